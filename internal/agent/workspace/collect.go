package workspace

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// maxPath bounds the path of an artifact in bytes.
const maxPath = 1024

// Collect reads the outputs that a process left and uploads its artifacts, and
// returns the outputs as a JSON object of strings, nil for none. A cause other than
// job.CauseNone says why what it left can't be kept. The directory was the process's to write, so that nothing in it is trusted: no link
// is followed out of it, and nothing but regular files is opened.
func (s *Space) Collect(ctx context.Context, of link.Claim, key string) ([]byte, job.Cause) {
	base, err := s.cfg.Root()
	if err != nil {
		return nil, failure(job.CauseOutput, "%v", err)
	}
	path := filepath.Join(base, AttemptsDir, key)
	if leftNothing(path) {
		return nil, job.Cause{}
	}
	dir, err := os.OpenRoot(path)
	if err != nil {
		return nil, failure(job.CauseOutput, "the attempt's directory: %v", err)
	}
	defer dir.Close() //nolint:errcheck // it was only read
	outputs, err := readOutputs(dir)
	if err != nil {
		return nil, failure(job.CauseOutput, "%v", err)
	}
	if err := s.upload(ctx, dir, of); err != nil {
		return outputs, failure(job.CauseOutput, "%v", err)
	}
	return outputs, job.Cause{}
}

// leftNothing reports whether an attempt left neither outputs nor artifacts, as most do.
func leftNothing(root string) bool {
	d := dirsOf(root)
	var st unix.Stat_t
	return errors.Is(unix.Lstat(d.output, &st), unix.ENOENT) && empty(d.artifacts)
}

// readOutputs reads REEVE_OUTPUT as a JSON object of strings; nil if there is none.
func readOutputs(dir *os.Root) ([]byte, error) {
	info, err := dir.Lstat("output")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errors.New("REEVE_OUTPUT is no longer a regular file")
	case info.Size() == 0:
		return nil, nil
	}
	// A pipe put there since would block the open.
	f, err := dir.OpenFile("output", os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	b, err := io.ReadAll(io.LimitReader(f, job.MaxOutput+1))
	if err != nil {
		return nil, err
	}
	if len(b) > job.MaxOutput {
		return nil, fmt.Errorf("REEVE_OUTPUT has more than %s; put large results into REEVE_ARTIFACTS", job.FormatSize(job.MaxOutput))
	}
	return parseOutputs(b)
}

// parseOutputs reads lines of key=value. Empty lines mean nothing; of two lines with
// one key the last counts.
func parseOutputs(b []byte) ([]byte, error) {
	values := map[string]string{}
	n := 0
	for line := range bytes.Lines(b) {
		n++
		text := strings.TrimSuffix(strings.TrimSuffix(string(line), "\n"), "\r")
		if text == "" {
			continue
		}
		k, v, ok := strings.Cut(text, "=")
		switch {
		case !ok:
			return nil, fmt.Errorf("REEVE_OUTPUT line %d: %.60q has no =; want key=value", n, text)
		case !outputKey(k):
			return nil, fmt.Errorf("REEVE_OUTPUT line %d: key %.60q: want small letters, digits and _, beginning with a letter or _", n, k)
		case !utf8.ValidString(v):
			return nil, fmt.Errorf("REEVE_OUTPUT line %d: the value of %s is not UTF-8", n, k)
		}
		values[k] = v
	}
	if len(values) == 0 {
		return nil, nil
	}
	return json.Marshal(values)
}

func outputKey(k string) bool {
	for i := range len(k) {
		c := k[i]
		if !('a' <= c && c <= 'z' || c == '_' || '0' <= c && c <= '9' && i > 0) {
			return false
		}
	}
	return k != "" && len(k) <= 128
}

// FunctionOutputs checks what a function returned: a JSON object of strings, or
// nothing.
func FunctionOutputs(b []byte) ([]byte, error) {
	if len(b) == 0 {
		return nil, nil
	}
	if len(b) > job.MaxOutput {
		return nil, fmt.Errorf("the function's outputs have %d bytes; at most %d are kept", len(b), job.MaxOutput)
	}
	var values map[string]string
	if err := json.Unmarshal(b, &values); err != nil {
		return nil, fmt.Errorf("the function's outputs are not a JSON object of strings: %w", err)
	}
	for _, k := range slices.Sorted(maps.Keys(values)) {
		if !outputKey(k) {
			return nil, fmt.Errorf("the function's output %.60q: want small letters, digits and _, beginning with a letter or _", k)
		}
	}
	return b, nil
}

// upload stores every file below artifacts/. It checks them all before it sends the
// first, so that what is refused is refused as a whole.
func (s *Space) upload(ctx context.Context, dir *os.Root, of link.Claim) error {
	if info, err := dir.Lstat("artifacts"); err != nil || !info.IsDir() {
		switch {
		case err == nil:
			err = errors.New("REEVE_ARTIFACTS is no longer a directory")
		case errors.Is(err, fs.ErrNotExist):
			err = errors.New("REEVE_ARTIFACTS was removed; leave the directory where it is, empty if there is nothing to keep")
		}
		return err
	}
	root, err := dir.OpenRoot("artifacts")
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // it was only read
	paths, err := s.artifacts(root)
	if err != nil {
		return err
	}
	left := s.cfg.Limits.ArtifactBytes
	for _, p := range paths {
		var size int64
		err := s.insist(ctx, func() (err error) {
			size, err = s.put(ctx, root, of, p, left)
			return err
		})
		if err != nil {
			return fmt.Errorf("artifact %q: %w", p, err)
		}
		left -= size
	}
	return nil
}

// artifacts lists the files, by path.
func (s *Space) artifacts(root *os.Root) ([]string, error) {
	var paths []string
	var size int64
	err := fs.WalkDir(root.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		size += info.Size()
		switch {
		case !d.Type().IsRegular():
			return fmt.Errorf("artifact %q is a %s; only regular files are kept", p, kindOf(d.Type()))
		case len(p) > maxPath || !utf8.ValidString(p):
			return fmt.Errorf("artifact %.80q…: want a path in UTF-8 of at most %d bytes", p, maxPath)
		case len(paths) == s.cfg.Limits.ArtifactFiles:
			return fmt.Errorf("more than %d artifacts; pack them into an archive", len(paths))
		case size > s.cfg.Limits.ArtifactBytes:
			return fmt.Errorf("the artifacts have more than %s", job.FormatSize(s.cfg.Limits.ArtifactBytes))
		}
		paths = append(paths, p)
		return nil
	})
	return paths, err
}

func kindOf(m fs.FileMode) string {
	switch {
	case m&fs.ModeSymlink != 0:
		return "symbolic link"
	case m&fs.ModeNamedPipe != 0:
		return "named pipe"
	case m&fs.ModeSocket != 0:
		return "socket"
	}
	return "device"
}

// put uploads one file.
func (s *Space) put(ctx context.Context, root *os.Root, of link.Claim, p string, limit int64) (int64, error) {
	f, err := root.OpenFile(p, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return 0, &job.Error{Code: job.Refused, Message: err.Error()}
	}
	defer f.Close() //nolint:errcheck // it was only read
	// One byte more than allowed tells a file that still grows from one that fits.
	from := &io.LimitedReader{R: f, N: limit + 1}
	err = s.cfg.Store.PutArtifact(ctx, of, p, from)
	if from.N == 0 {
		return 0, &job.Error{Code: job.Refused, Message: "the artifacts have more than " + job.FormatSize(s.cfg.Limits.ArtifactBytes)}
	}
	return limit + 1 - from.N, err
}
