package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/reeve-scheduler/reeve/internal/cli/render"
	"github.com/reeve-scheduler/reeve/internal/cli/usage"
	"github.com/reeve-scheduler/reeve/internal/client"
)

func (e *env) queues() *cobra.Command {
	c := &cobra.Command{
		Use:   "queues",
		Short: "List, make, pause and resume queues",
		Example: `  reeve queues -n team-a
  reeve queues create night`,
		Args: usage.Subcommand,
		RunE: e.on(func(ctx context.Context, cl *client.Client, _ []string) error {
			all, err := cl.Queues(ctx, e.namespace)
			if err != nil {
				return err
			}
			if e.Structured() {
				return render.List(&e.Printer, all)
			}
			rows := make([][]string, 0, len(all))
			for _, q := range all {
				if e.Quiet {
					fmt.Fprintln(e.Out, q.GetName())
				}
				rows = append(rows, []string{q.GetName(), openOrPaused(q.GetPaused()), fmt.Sprint(q.GetJobs()), render.Ago(q.GetCreatedAt())})
			}
			if e.Quiet {
				return nil
			}
			return e.Table([]string{"QUEUE", "STATE", "JOBS", "AGE"}, rows)
		}),
	}
	c.AddCommand(
		e.named("create NAME", "Make a queue", "  reeve queues create night", "queue %s is made", func(ctx context.Context, cl *client.Client, name string) error {
			return cl.CreateQueue(ctx, e.namespace, name)
		}),
		e.named("pause NAME", "Keep what waits in a queue from starting; what runs goes on", "  reeve queues pause night", "queue %s is paused", e.pauseQueue(true)),
		e.named("resume NAME", "End a pause", "  reeve queues resume night", "queue %s is open", e.pauseQueue(false)),
	)
	return c
}

func (e *env) pauseQueue(paused bool) func(context.Context, *client.Client, string) error {
	return func(ctx context.Context, cl *client.Client, name string) error {
		return cl.PauseQueue(ctx, e.namespace, name, paused)
	}
}

func openOrPaused(paused bool) string {
	if paused {
		return "paused"
	}
	return "open"
}

// named is a command on one name.
func (e *env) named(use, help, example, done string, do func(ctx context.Context, cl *client.Client, name string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: help, Example: example, Args: usage.Count(1, 1),
		RunE: e.on(func(ctx context.Context, cl *client.Client, args []string) error {
			if err := do(ctx, cl, args[0]); err != nil {
				return err
			}
			return e.Done(map[string]any{"name": args[0]}, done, args[0])
		}),
	}
}

func (e *env) namespaces() *cobra.Command {
	c := &cobra.Command{
		Use:   "namespaces",
		Short: "List, make, pause and resume namespaces",
		Example: `  reeve namespaces
  reeve namespaces create team-a`,
		Args: usage.Subcommand,
		RunE: e.on(func(ctx context.Context, cl *client.Client, _ []string) error {
			all, err := cl.Namespaces(ctx)
			if err != nil {
				return err
			}
			if e.Structured() {
				return render.List(&e.Printer, all)
			}
			rows := make([][]string, 0, len(all))
			for _, n := range all {
				if e.Quiet {
					fmt.Fprintln(e.Out, n.GetName())
				}
				rows = append(rows, []string{n.GetName(), openOrPaused(n.GetPaused()), fmt.Sprint(n.GetJobs()), render.Ago(n.GetCreatedAt())})
			}
			if e.Quiet {
				return nil
			}
			return e.Table([]string{"NAMESPACE", "STATE", "JOBS", "AGE"}, rows)
		}),
	}
	pause := func(paused bool) func(context.Context, *client.Client, string) error {
		return func(ctx context.Context, cl *client.Client, name string) error {
			return cl.PauseNamespace(ctx, name, paused)
		}
	}
	c.AddCommand(
		e.named("create NAME", "Make a namespace, with a queue default in it", "  reeve namespaces create team-a", "namespace %s is made",
			func(ctx context.Context, cl *client.Client, name string) error { return cl.CreateNamespace(ctx, name) }),
		e.named("pause NAME", "Keep what waits in a namespace from starting", "  reeve namespaces pause team-a", "namespace %s is paused", pause(true)),
		e.named("resume NAME", "End a pause", "  reeve namespaces resume team-a", "namespace %s is open", pause(false)),
	)
	return c
}
