package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (e *env) queues() *cobra.Command {
	c := &cobra.Command{
		Use:   "queues",
		Short: "List, make, pause and resume queues",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cl, err := e.connect()
			if err != nil {
				return err
			}
			defer cl.Close()
			all, err := cl.Queues(c.Context(), e.namespace)
			if err != nil {
				return err
			}
			if e.structured() {
				return list(e, all)
			}
			rows := make([][]string, 0, len(all))
			for _, q := range all {
				if e.quiet {
					fmt.Fprintln(e.out, q.GetName())
				}
				rows = append(rows, []string{q.GetName(), openOrPaused(q.GetPaused()), fmt.Sprint(q.GetJobs()), ago(q.GetCreatedAt())})
			}
			if e.quiet {
				return nil
			}
			return e.table([]string{"QUEUE", "STATE", "JOBS", "AGE"}, rows)
		},
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
		Use: use, Short: help, Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := do(c, args[0]); err != nil {
				return err
			}
			if !e.quiet {
				fmt.Fprintf(e.out, done+"\n", args[0])
			}
			return nil
		},
	}
}

func (e *env) namespaces() *cobra.Command {
	c := &cobra.Command{
		Use:   "namespaces",
		Short: "List, make, pause and resume namespaces",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cl, err := e.connect()
			if err != nil {
				return err
			}
			defer cl.Close()
			all, err := cl.Namespaces(c.Context())
			if err != nil {
				return err
			}
			if e.structured() {
				return list(e, all)
			}
			rows := make([][]string, 0, len(all))
			for _, n := range all {
				if e.quiet {
					fmt.Fprintln(e.out, n.GetName())
				}
				rows = append(rows, []string{n.GetName(), openOrPaused(n.GetPaused()), fmt.Sprint(n.GetJobs()), ago(n.GetCreatedAt())})
			}
			if e.quiet {
				return nil
			}
			return e.table([]string{"NAMESPACE", "STATE", "JOBS", "AGE"}, rows)
		},
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
