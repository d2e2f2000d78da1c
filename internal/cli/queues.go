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
		Args:  usage.Subcommand,
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
		e.named("create NAME", "Make a queue", "queue %s is made", func(c *cobra.Command, name string) error {
			cl, err := e.connect()
			if err != nil {
				return err
			}
			defer cl.Close()
			return cl.CreateQueue(c.Context(), e.namespace, name)
		}),
		e.named("pause NAME", "Keep what waits in a queue from starting; what runs goes on", "queue %s is paused", e.pauseQueue(true)),
		e.named("resume NAME", "End a pause", "queue %s is open", e.pauseQueue(false)),
	)
	return c
}

func (e *env) pauseQueue(paused bool) func(*cobra.Command, string) error {
	return func(c *cobra.Command, name string) error {
		cl, err := e.connect()
		if err != nil {
			return err
		}
		defer cl.Close()
		return cl.PauseQueue(c.Context(), e.namespace, name, paused)
	}
}

func openOrPaused(paused bool) string {
	if paused {
		return "paused"
	}
	return "open"
}

// named is a command on one name.
func (e *env) named(use, help, done string, do func(*cobra.Command, string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: help, Args: usage.Count(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := do(c, args[0]); err != nil {
				return err
			}
			return e.Done(map[string]any{"name": args[0]}, done, args[0])
		},
	}
}

func (e *env) namespaces() *cobra.Command {
	c := &cobra.Command{
		Use:   "namespaces",
		Short: "List, make, pause and resume namespaces",
		Args:  usage.Subcommand,
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
	c.AddCommand(
		e.named("create NAME", "Make a namespace, with a queue default in it", "namespace %s is made", func(c *cobra.Command, name string) error {
			cl, err := e.connect()
			if err != nil {
				return err
			}
			defer cl.Close()
			return cl.CreateNamespace(c.Context(), name)
		}),
		e.named("pause NAME", "Keep what waits in a namespace from starting", "namespace %s is paused", e.pauseNamespace(true)),
		e.named("resume NAME", "End a pause", "namespace %s is open", e.pauseNamespace(false)),
	)
	return c
}

func (e *env) pauseNamespace(paused bool) func(*cobra.Command, string) error {
	return func(c *cobra.Command, name string) error {
		cl, err := e.connect()
		if err != nil {
			return err
		}
		defer cl.Close()
		return cl.PauseNamespace(c.Context(), name, paused)
	}
}
