package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/reeve-scheduler/reeve/internal/client"
)

func (e *env) hold() *cobra.Command {
	return e.holding("hold REF…", "Keep what has not started of jobs or tasks from starting", "held",
		func(ctx context.Context, cl *client.Client, id, task string) error { return cl.Hold(ctx, id, task) })
}

func (e *env) release() *cobra.Command {
	return e.holding("release REF…", "End a hold", "released",
		func(ctx context.Context, cl *client.Client, id, task string) error { return cl.Release(ctx, id, task) })
}

func (e *env) holding(use, help, done string, do func(ctx context.Context, cl *client.Client, id, task string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: help, Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := e.connect()
			if err != nil {
				return err
			}
			defer cl.Close()
			for _, text := range args {
				ref, err := e.ref(c.Context(), cl, text)
				if err != nil {
					return err
				}
				if err := do(c.Context(), cl, ref.Job.String(), ref.Task); err != nil {
					return err
				}
				if !e.quiet {
					fmt.Fprintf(e.out, "%s is %s\n", ref, done)
				}
			}
			return nil
		},
	}
}

func (e *env) retry() *cobra.Command {
	var all, wait bool
	var key string
	c := &cobra.Command{
		Use:   "retry JOB",
		Short: "Run a finished job again as a new job that carries over what had succeeded",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := e.connect()
			if err != nil {
				return err
			}
			defer cl.Close()
			id, err := e.jobID(c.Context(), cl, args[0])
			if err != nil {
				return err
			}
			if key == "" {
				key = randomKey()
			}
			again, err := cl.Retry(c.Context(), id.String(), all, key)
			if err != nil {
				return err
			}
			if err := e.submitted(&client.SubmittedJob{Id: again}); err != nil || !wait {
				return err
			}
			return e.waitFor(c.Context(), cl, []string{again})
		},
	}
	c.Flags().BoolVar(&all, "all", false, "run everything again; carry nothing over")
	c.Flags().StringVar(&key, "key", "", "idempotency key of the new job (default: a random one)")
	c.Flags().BoolVarP(&wait, "wait", "w", false, "wait for the new job and exit with its code")
	return c
}

func (e *env) explain() *cobra.Command {
	return &cobra.Command{
		Use:   "explain REF",
		Short: "Say every reason why a job, task or element waits",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := e.connect()
			if err != nil {
				return err
			}
			defer cl.Close()
			ref, err := e.ref(c.Context(), cl, args[0])
			if err != nil {
				return err
			}
			why, err := cl.Explain(c.Context(), ref.String())
			if err != nil {
				return err
			}
			if e.structured() {
				return e.message(why)
			}
			fmt.Fprintln(e.out, clean(why.GetSummary()))
			for _, t := range why.GetTasks() {
				fmt.Fprintf(e.out, "\n%s: %s\n", t.GetTask(), t.GetState())
				for _, r := range t.GetReasons() {
					fmt.Fprintf(e.out, "  - %s\n", clean(r.GetText()))
				}
			}
			return nil
		},
	}
}
