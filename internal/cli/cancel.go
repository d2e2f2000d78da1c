package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/reeve-scheduler/reeve/internal/client"
	"github.com/reeve-scheduler/reeve/internal/job"
)

func (e *env) cancel() *cobra.Command {
	return e.stopping("cancel", false, "Cancel jobs, tasks or elements: SIGTERM, grace, SIGKILL; clean-up tasks still run")
}

func (e *env) kill() *cobra.Command {
	return e.stopping("kill", true, "Kill jobs, tasks or elements at once; nothing more of them runs")
}

func (e *env) stopping(verb string, kill bool, help string) *cobra.Command {
	var elements, reason string
	c := &cobra.Command{
		Use:   verb + " REF…",
		Short: help,
		Example: fmt.Sprintf(`  reeve %[1]s 4217
  reeve %[1]s 4217.transform
  reeve %[1]s 4217.transform --elements 3,10-19`, verb),
		Args: cobra.MinimumNArgs(1),
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
				q := &client.CancelRequest{Id: ref.Job.String(), Task: ref.Task, Elements: elements, Kill: kill, Reason: reason}
				if ref.Index != job.NoIndex {
					if elements != "" {
						return fmt.Errorf("%s names an element already; leave out --elements", text)
					}
					q.Elements = fmt.Sprint(ref.Index)
				}
				a, err := cl.Cancel(c.Context(), q)
				if err != nil {
					return err
				}
				if err := e.stopped(ref, a); err != nil {
					return err
				}
			}
			return nil
		},
	}
	c.Flags().StringVar(&elements, "elements", "", "of an array task: these indexes, such as 3 or 1-7:2")
	c.Flags().StringVar(&reason, "reason", "", "why, for the record")
	return c
}

func (e *env) stopped(ref job.Ref, a *client.CancelResponse) error {
	switch {
	case e.structured():
		return e.message(a)
	case e.quiet:
		return nil
	case a.GetAlreadyEnded():
		fmt.Fprintf(e.out, "%s had ended already\n", ref)
		return nil
	}
	fmt.Fprintf(e.out, "%s: %d ended, %d are being stopped\n", ref, a.GetCancelled(), a.GetStopping())
	return nil
}
