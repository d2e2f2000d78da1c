package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/reeve-scheduler/reeve/internal/client"
	"github.com/reeve-scheduler/reeve/internal/job"
)

func (e *env) workers() *cobra.Command {
	return &cobra.Command{
		Use:   "workers",
		Short: "List the workers",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cl, err := e.connect()
			if err != nil {
				return err
			}
			defer cl.Close()
			all, err := cl.Workers(c.Context())
			if err != nil {
				return err
			}
			if e.structured() {
				return list(e, all)
			}
			header := []string{"WORKER", "STATE", "RUNNING", "CPU", "MEMORY", "AGE"}
			if e.output == "wide" {
				header = append(header, "ID", "RUNS", "VERSION", "LABELS", "ENFORCES")
			}
			rows := make([][]string, 0, len(all))
			for _, w := range all {
				if e.quiet {
					fmt.Fprintln(e.out, w.GetName())
				}
				rows = append(rows, e.workerRow(w))
			}
			if e.quiet {
				return nil
			}
			return e.table(header, rows)
		},
	}
}

func (e *env) workerRow(w *client.Worker) []string {
	running := fmt.Sprintf("%d/%d", w.GetRunning(), w.GetSlots())
	if n := w.GetPrefetched(); n > 0 {
		running += fmt.Sprintf("+%d", n)
	}
	row := []string{
		w.GetName(), w.GetState(), running, job.FormatCPU(w.GetCpuMilliUsed()) + "/" + job.FormatCPU(w.GetCpuMilli()),
		mebibytes(w.GetMemoryBytesUsed()) + "/" + mebibytes(w.GetMemoryBytes()), ago(w.GetJoinedAt()),
	}
	if e.output == "wide" {
		runs := strings.Join(w.GetExecutors(), ",")
		if f := w.GetFunctions(); len(f) > 0 {
			runs += " (" + strings.Join(f, ",") + ")"
		}
		row = append(row, w.GetId(), runs, orDash(w.GetVersion()), labels(w.GetLabels()), strings.Join(w.GetAbout(), "; "))
	}
	return row
}

func mebibytes(n int64) string {
	if n == 0 {
		return "0"
	}
	return fmt.Sprintf("%dMi", n>>20)
}

func (e *env) drain() *cobra.Command {
	var stop, undo bool
	c := &cobra.Command{
		Use:   "drain WORKER",
		Short: "Keep new work from a worker; what runs there goes on",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := e.connect()
			if err != nil {
				return err
			}
			defer cl.Close()
			if undo {
				if stop {
					return fmt.Errorf("--undo and --stop contradict each other")
				}
				if err := cl.Undrain(c.Context(), args[0]); err != nil {
					return err
				}
				fmt.Fprintf(e.out, "worker %s takes work again\n", args[0])
				return nil
			}
			n, err := cl.Drain(c.Context(), args[0], stop)
			if err != nil {
				return err
			}
			what := "go on"
			if stop {
				what = "are stopped and run elsewhere"
			}
			fmt.Fprintf(e.out, "worker %s takes nothing new; %s there %s\n", args[0], plural(int64(n), "attempt"), what)
			return nil
		},
	}
	c.Flags().BoolVar(&stop, "stop", false, "also stop what runs there, to run it elsewhere; no attempt is spent by that")
	c.Flags().BoolVar(&undo, "undo", false, "end a drain")
	return c
}
