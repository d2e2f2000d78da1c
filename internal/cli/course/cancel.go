package course

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/reeve-scheduler/reeve/internal/cli/render"
	"github.com/reeve-scheduler/reeve/internal/cli/usage"
	"github.com/reeve-scheduler/reeve/internal/client"
	"github.com/reeve-scheduler/reeve/internal/job"
)

func (e Env) cancel() *cobra.Command {
	return e.stopping("cancel", false, "Cancel jobs, tasks or elements: SIGTERM, grace, SIGKILL; clean-up tasks still run")
}

func (e Env) kill() *cobra.Command {
	return e.stopping("kill", true, "Kill jobs, tasks or elements at once; nothing more of them runs")
}

func (e Env) stopping(verb string, kill bool, help string) *cobra.Command {
	var elements, reason string
	c := &cobra.Command{
		Use:   verb + " REF…",
		Short: help,
		Example: fmt.Sprintf(`  reeve %[1]s 4217
  reeve %[1]s 4217.transform
  reeve %[1]s 4217.transform --elements 3,10-19`, verb),
		Args: usage.Count(1, -1),
		RunE: e.On(e.each(func(ctx context.Context, cl *client.Client, text string) (map[string]any, error) {
			ref, err := e.Ref(ctx, cl, text)
			if err != nil {
				return nil, err
			}
			q := &client.CancelRequest{Id: ref.Job.String(), Task: ref.Task, Elements: elements, Kill: kill, Reason: reason}
			if ref.Index != job.NoIndex {
				if elements != "" {
					return nil, fmt.Errorf("%s names an element already; leave out --elements", text)
				}
				q.Elements = fmt.Sprint(ref.Index)
			}
			a, err := cl.Cancel(ctx, q)
			if err != nil {
				return nil, err
			}
			value := map[string]any{
				"id": ref.String(), "cancelled": a.GetCancelled(), "stopping": a.GetStopping(), "already_ended": a.GetAlreadyEnded(),
			}
			return value, e.stopped(ref, a)
		})),
	}
	c.Flags().StringVar(&elements, "elements", "", "of an array task: these `indexes`, such as 3 or 1-7:2")
	c.Flags().StringVar(&reason, "reason", "", "why, in `words`, for the record")
	return c
}

func (e Env) stopped(ref job.Ref, a *client.CancelResponse) error {
	var err error
	switch {
	case e.Structured() || e.Quiet:
	case a.GetAlreadyEnded():
		_, err = fmt.Fprintf(e.Out, "%s had ended already\n", ref)
	default:
		_, err = fmt.Fprintf(e.Out, "%s: %s\n", ref, stopping(a))
	}
	return err
}

// stopping says what a request to stop has met.
func stopping(a *client.CancelResponse) string {
	waited, run := render.Plural(a.GetCancelled(), "waiting element")+" cancelled", render.Plural(a.GetStopping(), "running element")+" being stopped"
	switch {
	case a.GetStopping() == 0:
		return waited
	case a.GetCancelled() == 0:
		return run
	}
	return waited + ", " + run
}
