package workspace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"
	"time"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// firstWait is how long to wait before the first call is repeated.
const firstWait = 100 * time.Millisecond

// errTooMuch: what comes is larger than its limit.
var errTooMuch = errors.New("too large")

// fetch puts the artifacts and outputs of a task that is needed under inputs/TASK;
// those of an array's elements under inputs/TASK/INDEX. Of a task that is needed
// element by element only the one element is there.
func (s *Space) fetch(ctx context.Context, inputs string, w *link.Assignment, name string) error {
	from := job.Ref{Job: w.Job, Task: name, Index: job.NoIndex}
	for _, n := range w.Spec.Tasks[w.Task].Needs {
		if n.Task == name && n.Each {
			from.Index = w.Index
		}
	}
	if err := os.Mkdir(inputs+"/"+name, 0o700); err != nil {
		return err
	}
	root, err := os.OpenRoot(inputs + "/" + name)
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // nothing is written through the directory itself
	var list []Artifact
	err = s.insist(ctx, func() (err error) {
		list, err = s.cfg.Store.ListArtifacts(ctx, from)
		return err
	})
	if err != nil {
		return err
	}
	left := s.cfg.Limits.InputBytes
	if len(list) > s.cfg.Limits.InputFiles {
		return fmt.Errorf("%d files; this worker fetches at most %d", len(list), s.cfg.Limits.InputFiles)
	}
	for _, a := range list {
		to := a.Path
		if a.Ref.Index != job.NoIndex {
			to = strconv.FormatInt(a.Ref.Index, 10) + "/" + a.Path
		}
		n, err := s.download(ctx, root, to, left, func(to io.Writer) error {
			return s.cfg.Store.GetArtifact(ctx, a.Ref, a.Path, to)
		})
		if err != nil {
			return fmt.Errorf("%s of %s: %w", a.Path, a.Ref, err)
		}
		left -= n
	}
	_, err = s.download(ctx, root, "outputs.jsonl", left, func(to io.Writer) error {
		return s.cfg.Store.Outputs(ctx, from, to)
	})
	if err != nil {
		return fmt.Errorf("outputs: %w", err)
	}
	return nil
}

// download writes a file below root, from the start again after each failure, and
// returns its size.
func (s *Space) download(ctx context.Context, root *os.Root, to string, limit int64, get func(io.Writer) error) (int64, error) {
	if dir := path.Dir(to); dir != "." {
		if err := root.MkdirAll(dir, 0o700); err != nil {
			return 0, err
		}
	}
	var size int64
	err := s.insist(ctx, func() error {
		f, err := root.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
		if err != nil {
			return &job.Error{Code: job.Refused, Message: err.Error()}
		}
		b := &bounded{to: f, left: limit}
		err = get(b)
		size = limit - b.left
		if b.left < 0 {
			err = &job.Error{Code: job.Refused, Message: fmt.Sprintf("more than %s, which is what this worker fetches for one task at most", job.FormatSize(s.cfg.Limits.InputBytes))}
		}
		return errors.Join(err, f.Close())
	})
	return size, err
}

// bounded writes no more than left bytes.
type bounded struct {
	to   io.Writer
	left int64
}

func (b *bounded) Write(p []byte) (int, error) {
	b.left -= int64(len(p))
	if b.left < 0 {
		return 0, errTooMuch
	}
	return b.to.Write(p)
}

// insist repeats a call to the server until it succeeds, can't succeed, or ctx ends.
func (s *Space) insist(ctx context.Context, call func() error) error {
	for wait := firstWait; ; wait = min(2*wait, s.cfg.Retry+firstWait) {
		err := call()
		if err == nil || ctx.Err() != nil {
			return err
		}
		switch job.CodeOf(err) {
		case job.Invalid, job.NotFound, job.Refused, job.Denied:
			return err
		}
		s.cfg.Log.Debug("asking the server again", "error", err, "after", wait)
		if !pause(ctx, wait) {
			return err
		}
	}
}

// pause waits; false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
