package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/reeve-scheduler/reeve/internal/client"
)

func (e *env) wait() *cobra.Command {
	var timeout time.Duration
	c := &cobra.Command{
		Use:   "wait JOB…",
		Short: "Wait for jobs to end and exit with the highest of their codes",
		Long: `Wait for jobs to end. The exit code is the job's own: 0 if it succeeded, the highest exit code of its failed
tasks, 128+n for signal n, 124 for a timeout, 130 if it was cancelled. Reeve's own failures are 125.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := e.connect()
			if err != nil {
				return err
			}
			defer cl.Close()
			ctx := c.Context()
			if timeout > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, timeout)
				defer cancel()
			}
			ids := make([]string, len(args))
			for i, a := range args {
				id, err := e.jobID(ctx, cl, a)
				if err != nil {
					return err
				}
				ids[i] = id.String()
			}
			err = e.waitFor(ctx, cl, ids)
			if errors.Is(err, context.DeadlineExceeded) {
				return fmt.Errorf("%s not ended after %s", strings.Join(ids, ", "), timeout)
			}
			return err
		},
	}
	c.Flags().DurationVar(&timeout, "timeout", 0, "give up waiting after this long; the jobs go on")
	return c
}

// maxWaiters bounds the jobs that are followed at the same time.
const maxWaiters = 100

// waitFor waits for jobs, says how each ended, and returns the highest exit code.
func (e *env) waitFor(ctx context.Context, cl *client.Client, ids []string) error {
	p := e.progress(ids)
	defer p.stop()
	results := make([]*client.Job, len(ids))
	errs := make([]error, len(ids))
	room := make(chan struct{}, maxWaiters)
	var wg sync.WaitGroup
	for i, id := range ids {
		room <- struct{}{}
		wg.Go(func() {
			defer func() { <-room }()
			results[i], errs[i] = cl.Follow(ctx, id, func(j *client.Job) { p.update(i, j) })
		})
	}
	wg.Wait()
	p.stop()
	if err := errors.Join(errs...); err != nil {
		return errs[firstError(errs)]
	}
	code := int32(0)
	for _, j := range results {
		code = max(code, j.GetExitCode())
		if err := e.ended(j); err != nil {
			return err
		}
	}
	if code != 0 {
		return exitCode(code)
	}
	return nil
}

func firstError(errs []error) int {
	for i, err := range errs {
		if err != nil {
			return i
		}
	}
	return 0
}

// ended says how a job ended.
func (e *env) ended(j *client.Job) error {
	switch {
	case e.structured():
		return e.message(j)
	case e.quiet:
		return nil
	}
	line := fmt.Sprintf("job %s %s after %s", j.GetId(), j.GetState(), took(j.GetSubmittedAt(), j.GetEndedAt()))
	if c := j.GetCause(); c != "" {
		line += ": " + clean(c)
	}
	fmt.Fprintln(e.err, line)
	return nil
}
