package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/reeve-scheduler/reeve/internal/cli/render"
	"github.com/reeve-scheduler/reeve/internal/cli/usage"
	"github.com/reeve-scheduler/reeve/internal/client"
	"github.com/reeve-scheduler/reeve/internal/job"
)

func (e *env) logs() *cobra.Command {
	var (
		o                      client.LogOptions
		style                  render.LogStyle
		since                  string
		task                   string
		attempt                int
		tail                   int64
		stdoutOnly, stderrOnly bool
	)
	var c *cobra.Command
	c = &cobra.Command{
		Use:   "logs REF",
		Short: "Show what a job, task, element or attempt wrote",
		Long: `Show what a job, task, element or attempt wrote: its standard output on standard output, the rest on standard error. Of
elements that were tried several times it is the newest attempt's. Ctrl-C ends the showing only; what runs goes on.

With -o json every piece is an object on a line of its own, all on standard output: ref, stream (stdout, stderr, note or gap), time, and text, or
base64 where the bytes are no UTF-8. A gap's text is the number of bytes that are missing.`,
		Example: `  reeve logs last
  reeve logs 4217.transform.3 -f
  reeve logs 4217 --task transform --attempt 1 --tail 20`,
		Args: usage.Count(1, 1),
		RunE: e.on(func(ctx context.Context, cl *client.Client, args []string) error {
			if e.Format == "yaml" {
				return errors.New("-o yaml: logs come as they are, or as lines of JSON with -o json")
			}
			ref, err := e.ref(ctx, cl, args[0])
			if err != nil {
				return err
			}
			if ref, err = narrowed(ref, task, attempt, c.Flags().Changed("attempt")); err != nil {
				return err
			}
			if ref.Attempt > 0 && !o.Follow { // one may follow an attempt that is yet to come
				if _, err := attemptsOf(ctx, cl, ref); err != nil {
					return err
				}
			}
			if since != "" {
				if o.Since, err = usage.Since("since", since); err != nil {
					return err
				}
			}
			if o.Tail, err = lastLines(tail, c.Flags().Changed("tail")); err != nil {
				return err
			}
			if stdoutOnly != stderrOnly {
				o.Streams = []string{map[bool]string{true: "stdout", false: "stderr"}[stdoutOnly]}
			}
			err = showLogs(ctx, cl, ref.String(), o, e.logPieces(style))
			if ctx.Err() != nil && o.Follow {
				return leftBehind(fmt.Sprintf("what runs goes on (reeve logs -f %s follows again)", ref))
			}
			return err
		}),
	}
	f := c.Flags()
	f.BoolVarP(&o.Follow, "follow", "f", false, "go on as more is written, until it ends")
	f.Int64Var(&tail, "tail", -1, "only the last `lines` (default: all)")
	f.Lookup("tail").DefValue = "0" // what the help leaves out
	f.StringVar(&since, "since", "", "only what is newer: a duration such as 5m, or a `time` (RFC 3339)")
	f.StringVar(&task, "task", "", "the `task`")
	f.IntVar(&attempt, "attempt", 0, "an earlier attempt, by `number` (default: the newest)")
	f.BoolVar(&stdoutOnly, "stdout", false, "only standard output")
	f.BoolVar(&stderrOnly, "stderr", false, "only standard error")
	f.BoolVarP(&style.Times, "timestamps", "t", false, "put the time before each line")
	f.BoolVar(&style.Names, "names", false, "put the attempt before each line")
	return c
}

// lastLines is --tail as the client has it: 0 for all, -1 for nothing of what was.
func lastLines(tail int64, given bool) (int64, error) {
	switch {
	case tail < 0 && given:
		return 0, fmt.Errorf("--tail %d: want 0 lines or more", tail)
	case tail == 0:
		return -1, nil
	}
	return max(tail, 0), nil
}

// narrowed is ref with the task and the attempt that flags name.
func narrowed(ref job.Ref, task string, attempt int, one bool) (job.Ref, error) {
	if task != "" && ref.Task != "" {
		return ref, fmt.Errorf("--task %s: %s names a task already; leave one out", task, ref)
	}
	ref.Task = cmp.Or(task, ref.Task)
	switch {
	case !one:
		return ref, nil
	case attempt < 1:
		return ref, fmt.Errorf("--attempt %d: attempts count from 1", attempt)
	case ref.Task == "":
		return ref, fmt.Errorf("--attempt %d: name the task as well, such as %s.main", attempt, ref)
	case ref.Attempt > 0:
		return ref, fmt.Errorf("--attempt %d: %s names an attempt already; leave one out", attempt, ref)
	}
	ref.Attempt = attempt
	return ref, nil
}

// logPieces shows pieces of output in the format that was asked for.
func (e *env) logPieces(style render.LogStyle) func(*client.LogPiece) error {
	if e.Format == "json" {
		return render.NewLogLines(e.Out).Piece
	}
	return render.NewLog(e.Out, e.err, style).Piece
}

// showLogs has each piece of what ref wrote shown.
func showLogs(ctx context.Context, cl *client.Client, ref string, o client.LogOptions, show func(*client.LogPiece) error) error {
	if o.Follow {
		return cl.FollowLogs(ctx, ref, o, show)
	}
	return cl.Logs(ctx, ref, o, show)
}
