package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/reeve-scheduler/reeve/internal/cli/bars"
	"github.com/reeve-scheduler/reeve/internal/cli/render"
	"github.com/reeve-scheduler/reeve/internal/cli/usage"
	"github.com/reeve-scheduler/reeve/internal/client"
	"github.com/reeve-scheduler/reeve/internal/job"
)

func (e *env) wait() *cobra.Command {
	var timeout time.Duration
	var c *cobra.Command
	c = &cobra.Command{
		Use:   "wait JOB…",
		Short: "Wait for jobs to end and exit with the highest of their codes",
		Long: `Wait for jobs to end. The exit code is the job's own: 0 if it succeeded, the highest exit code of its failed
tasks, 128+n for signal n, 124 for a timeout, 130 if it was cancelled, 1 if it was skipped or its worker was lost. Reeve's
own failures are 125.

Ctrl-C ends the waiting only; the jobs go on.`,
		Example: `  reeve wait last
  reeve wait 4217 4218 --timeout 10m`,
		Args: usage.Count(1, -1),
		RunE: e.on(func(ctx context.Context, cl *client.Client, args []string) error {
			if c.Flags().Changed("timeout") {
				if timeout <= 0 {
					return fmt.Errorf("--timeout %s: want more than nothing; leave it out to wait without end", job.FormatDuration(timeout))
				}
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
			err := e.waitFor(ctx, cl, ids)
			if _, ok := errors.AsType[notEnded](err); ok {
				return fmt.Errorf("not ended after %s: %w", job.FormatDuration(timeout), err)
			}
			return err
		}),
	}
	usage.Duration(c.Flags(), &timeout, "timeout", "give up waiting after this `duration`, such as 10m; the jobs go on")
	return c
}

// notEnded is the ids of jobs that were still going on when the time to wait was over.
type notEnded []string //nolint:errname // it is what is left first, and an error only on its way out

// Error says which.
func (n notEnded) Error() string {
	if len(n) == 1 {
		return "job " + n[0] + "; it goes on"
	}
	return "jobs " + strings.Join(n, ", ") + "; they go on"
}

// maxWhy bounds the jobs of which it is said why they wait.
const maxWhy = 3

// maxWaiters bounds the jobs that are followed at the same time.
const maxWaiters = 100

// waitFor waits for jobs, says how each ended, and returns the highest exit code.
func (e *env) waitFor(ctx context.Context, cl *client.Client, ids []string) error {
	p := bars.New(e.bars(), len(ids))
	defer p.Stop()
	why := time.AfterFunc(whyAfter, func() {
		for _, id := range ids[:min(len(ids), maxWhy)] {
			e.sayWhy(ctx, cl, id, p)
		}
	})
	defer why.Stop()
	results := make([]*client.Job, len(ids))
	errs := make([]error, len(ids))
	room := make(chan struct{}, maxWaiters)
	var wg sync.WaitGroup
	for i, id := range ids {
		room <- struct{}{}
		wg.Go(func() {
			defer func() { <-room }()
			results[i], errs[i] = cl.Follow(ctx, id, p.Update)
		})
	}
	wg.Wait()
	p.Stop()
	failed := slices.IndexFunc(errs, func(err error) bool { return err != nil })
	if failed >= 0 && (len(ids) == 1 || ctx.Err() != nil) {
		return stopped(ctx, ids, errs, errs[failed])
	}
	for i, err := range errs {
		if err != nil {
			e.failed(fmt.Errorf("%s: %w", ids[i], err))
		}
	}
	results = slices.DeleteFunc(results, func(j *client.Job) bool { return j == nil })
	if err := e.ended(results); err != nil {
		return err
	}
	if failed >= 0 {
		return exitCode(e.failure)
	}
	code := int32(0)
	for _, j := range results {
		code = max(code, j.GetExitCode())
	}
	if code != 0 {
		return exitCode(code)
	}
	return nil
}

// stopped is what ended the waiting before every job had: ctx, or else the failure.
func stopped(ctx context.Context, ids []string, errs []error, failure error) error {
	var left []string
	for i, err := range errs {
		if err != nil {
			left = append(left, ids[i])
		}
	}
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return goesOn(left)
	case errors.Is(failure, context.DeadlineExceeded):
		return notEnded(left)
	}
	return failure
}

// ended says how jobs ended.
func (e *env) ended(all []*client.Job) error {
	switch {
	case e.Structured():
		return render.OneOrList(&e.Printer, all)
	case e.Quiet:
		return nil
	}
	for _, j := range all {
		line := fmt.Sprintf("job %s %s after %s", j.GetId(), j.GetState(), render.Took(j.GetSubmittedAt(), j.GetEndedAt()))
		if c := j.GetCause(); c != "" {
			line += ": " + render.Clean(c)
		}
		if failed := render.Failed(j); failed != "" {
			line += " (" + failed + ")"
		}
		fmt.Fprintln(e.err, line)
	}
	return nil
}
