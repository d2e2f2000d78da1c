package workspace

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/reeve-scheduler/reeve/internal/executor"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// Prepare makes an attempt's directory and all that is in it, and returns the task
// for the executor. It may take as long as its inputs do; ctx ends it.
func (s *Space) Prepare(ctx context.Context, key string, w *link.Assignment) (executor.Task, job.Cause) {
	b := newBuilder(s.cfg.Worker, s.cfg.Env, w)
	base, err := s.cfg.Root()
	if err != nil {
		return executor.Task{}, lacking("state directory: %v", err)
	}
	d := dirsOf(filepath.Join(base, AttemptsDir, key))
	if b.item == nil && b.task.Array != nil && b.task.Array.Blob != "" {
		item, err := s.blobs.item(ctx, b.task.Array.Blob, w.Position)
		if err != nil {
			return executor.Task{}, rejected(err, "array items: %v", err)
		}
		b.item = &item
	}
	if err := s.makeDirs(d, b.task); err != nil {
		return executor.Task{}, lacking("%v", err)
	}
	if err := writeInputs(d, b.task, w); err != nil {
		if lacks(err) {
			return executor.Task{}, lacking("%v", err)
		}
		return executor.Task{}, failure(job.CauseStart, "%v", err)
	}
	for _, name := range b.task.Fetch {
		if err := s.fetch(ctx, d.inputs, w, name); err != nil {
			return executor.Task{}, rejected(err, "inputs of task %s: %v", name, err)
		}
	}
	if b.task.Function != "" {
		t, c := b.function(key, d.root, s.cfg.Wall)
		t.Work = d.files
		if environ := t.Environ; environ != nil {
			t.Environ = func() []string {
				return append(environ(), "REEVE_WORK_DIR="+d.files, "REEVE_FILES="+d.files, "REEVE_INPUTS="+d.inputs)
			}
		}
		return t, c
	}
	return b.process(key, d, s.cfg.Wall)
}

// lacks tells a machine that lacks something, so that another may do better, from a
// task that can't be prepared anywhere.
func lacks(err error) bool {
	for _, lack := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EIO, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM} {
		if errors.Is(err, lack) {
			return true
		}
	}
	return false
}

// lacking is a rejection for what this machine lacks.
func lacking(format string, args ...any) job.Cause {
	c := failure(job.CauseRejected, format, args...)
	c.Code = job.Lacking
	return c
}

// rejected is a rejection because of err, of this attempt alone unless the machine lacks
// something.
func rejected(err error, format string, args ...any) job.Cause {
	if lacks(err) {
		return lacking(format, args...)
	}
	return failure(job.CauseRejected, format, args...)
}

// makeDirs makes an attempt's directories, or takes a spare for them.
func (s *Space) makeDirs(d dirs, t *job.Task) error {
	list := []string{d.root, d.files}
	if t.Function == "" {
		list = append(list, d.temp, d.artifacts)
		if spare, ok := s.spares.take(); ok && os.Rename(spare, d.root) == nil {
			list = nil
		}
	}
	if len(t.Fetch) > 0 {
		list = append(list, d.inputs)
	}
	for _, dir := range list {
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// writeInputs writes what came with the spec.
func writeInputs(d dirs, t *job.Task, w *link.Assignment) error {
	if t.Run != "" {
		if err := os.WriteFile(d.script, []byte(t.Run), 0o700); err != nil {
			return err
		}
	}
	if t.Stdin != "" {
		if err := os.WriteFile(d.stdin, []byte(t.Stdin), 0o600); err != nil {
			return err
		}
	}
	if t.Function != "" {
		return nil
	}
	files := w.Spec.Files
	if len(t.Files) > 0 {
		files = maps.Clone(files)
		if files == nil {
			files = map[string]job.File{}
		}
		maps.Copy(files, t.Files)
	}
	local := t.Workdir != "" && filepath.IsLocal(t.Workdir)
	if len(files) == 0 && !local {
		return nil
	}
	root, err := os.OpenRoot(d.files)
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // nothing is written through the directory itself
	if local {
		if err := root.MkdirAll(t.Workdir, 0o700); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := writeFile(root, name, files[name]); err != nil {
			return fmt.Errorf("file %q: %w", name, err)
		}
	}
	return nil
}

// writeFile writes one file below root, out of which no path leads.
func writeFile(root *os.Root, name string, file job.File) error {
	if dir := path.Dir(name); dir != "." {
		if err := root.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	mode := fs.FileMode(file.Mode).Perm()
	if mode == 0 {
		mode = 0o644
	}
	f, err := root.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	content := file.Base64
	if content == nil {
		content = []byte(file.Content)
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Chmod(mode), f.Close())
}
