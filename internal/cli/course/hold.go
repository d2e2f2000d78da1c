package course

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/reeve-scheduler/reeve/internal/cli/usage"
	"github.com/reeve-scheduler/reeve/internal/client"
	"github.com/reeve-scheduler/reeve/internal/job"
)

func (e Env) hold() *cobra.Command {
	return e.holding("hold REF…", "Keep what has not started of jobs or tasks from starting",
		"  reeve hold last\n  reeve hold 4217.transform 4218", "held",
		func(ctx context.Context, cl *client.Client, id, task string) error { return cl.Hold(ctx, id, task) })
}

func (e Env) release() *cobra.Command {
	return e.holding("release REF…", "End a hold", "  reeve release last\n  reeve release 4217.transform 4218", "released",
		func(ctx context.Context, cl *client.Client, id, task string) error { return cl.Release(ctx, id, task) })
}

func (e Env) holding(use, help, example, done string, do func(ctx context.Context, cl *client.Client, id, task string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: help, Example: example, Args: usage.Count(1, -1),
		RunE: e.On(e.each(func(ctx context.Context, cl *client.Client, text string) (map[string]any, error) {
			ref, err := e.Ref(ctx, cl, text)
			if err != nil {
				return nil, err
			}
			if ref.Index != job.NoIndex {
				return nil, fmt.Errorf("%s names an element; only jobs and tasks can be held, such as %s.%s", text, ref.Job, ref.Task)
			}
			if err := do(ctx, cl, ref.Job.String(), ref.Task); err != nil || e.Structured() {
				return map[string]any{"id": ref.String(), "held": done == "held"}, err
			}
			return nil, e.Done(nil, "%s is %s", ref, done)
		})),
	}
}
