package cli

import (
	"context"
	"fmt"
	"time"

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
	c := &cobra.Command{
		Use:   "logs REF",
		Short: "Show what a job, task, element or attempt wrote",
		Long: `Show what a job, task, element or attempt wrote: its standard output on standard output, the rest on standard error. Of
elements that were tried several times it is the newest attempt's. Ctrl-C ends the showing only; what runs goes on.`,
		Example: `  reeve logs last
  reeve logs 4217.transform.3 -f
  reeve logs 4217 --task transform --attempt 1 --tail 20`,
		Args: usage.Count(1, 1),
		RunE: e.on(func(ctx context.Context, cl *client.Client, args []string) error {
			ref, err := e.ref(ctx, cl, args[0])
			if err != nil {
				return err
			}
			if task != "" {
				ref.Task = task
			}
			if attempt < 0 {
				return fmt.Errorf("--attempt %d: attempts count from 1", attempt)
			}
			if attempt > 0 {
				if ref.Task == "" {
					return fmt.Errorf("--attempt %d: name the task as well, such as %s.main", attempt, ref)
				}
				ref.Attempt = attempt
			}
			if since != "" {
				if o.Since, err = sinceTime("since", since); err != nil {
					return err
				}
			}
			if tail < -1 { // -1 is for all
				return fmt.Errorf("--tail %d: want 0 lines or more", tail)
			}
			if o.Tail = max(tail, 0); tail == 0 {
				o.Tail = -1 // nothing of what was
			}
			if stdoutOnly != stderrOnly {
				o.Streams = []string{map[bool]string{true: "stdout", false: "stderr"}[stdoutOnly]}
			}
			err = e.showLogs(ctx, cl, ref.String(), o, style)
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

func sinceTime(flag, text string) (*client.Timestamp, error) {
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return client.Time(at), nil
	}
	d, err := job.ParseDuration(text)
	if err != nil {
		return nil, fmt.Errorf("--%s %q: want a duration such as 5m, or a time such as 2026-01-02T15:04:05Z", flag, text)
	}
	return client.Time(time.Now().Add(-d)), nil
}

// showLogs prints output: what was standard output to standard output, the rest to
// standard error.
func (e *env) showLogs(ctx context.Context, cl *client.Client, ref string, o client.LogOptions, style render.LogStyle) error {
	piece := render.NewLog(e.Out, e.err, style).Piece
	if o.Follow {
		return cl.FollowLogs(ctx, ref, o, piece)
	}
	return cl.Logs(ctx, ref, o, piece)
}
