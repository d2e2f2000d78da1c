package fleet

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/reeve-scheduler/reeve/internal/cli/render"
	"github.com/reeve-scheduler/reeve/internal/cli/usage"
	"github.com/reeve-scheduler/reeve/internal/client"
	"github.com/reeve-scheduler/reeve/internal/job"
)

func (e Env) workers() *cobra.Command {
	return &cobra.Command{
		Use:   "workers",
		Short: "List the workers",
		Example: `  reeve workers
  reeve workers -o wide            what each can run, its devices, what it enforces and is reserved for`,
		Args: usage.Count(0, 0),
		RunE: e.On(func(ctx context.Context, cl *client.Client, _ []string) error {
			all, err := cl.Workers(ctx)
			if err != nil {
				return err
			}
			if e.Structured() {
				return render.List(e.Printer, all)
			}
			header := []string{"WORKER", "STATE", "POOL", "RUNNING", "CPU", "MEMORY", "OTHER", "AGE"}
			if e.Format == "wide" {
				header = append(header, "ID", "RUNS", "DEVICES", "VERSION", "LABELS", "ENFORCES", "RESERVED", "UNFIT")
			}
			rows := make([][]string, 0, len(all))
			for _, w := range all {
				if e.Quiet {
					fmt.Fprintln(e.Out, w.GetName())
				}
				rows = append(rows, e.workerRow(w))
			}
			if e.Quiet {
				return nil
			}
			return e.Table(header, rows)
		}),
	}
}

func (e Env) workerRow(w *client.Worker) []string {
	running := fmt.Sprintf("%d/%d", w.GetRunning(), w.GetSlots())
	if n := w.GetPrefetched(); n > 0 {
		running += fmt.Sprintf("+%d", n)
	}
	row := []string{
		w.GetName(), w.GetState(), render.OrDash(w.GetPool()), running, given(w, "cpu", w.GetCpuMilliUsed(), w.GetCpuMilli(), w.GetCpuMilliOffered(), job.FormatCPU),
		given(w, "memory", w.GetMemoryBytesUsed(), w.GetMemoryBytes(), w.GetMemoryBytesOffered(), render.Mebibytes), render.OrDash(others(w)), render.Ago(w.GetJoinedAt()),
	}
	if e.Format == "wide" {
		runs := strings.Join(w.GetExecutors(), ",")
		if f := w.GetFunctions(); len(f) > 0 {
			runs += " (" + strings.Join(f, ",") + ")"
		}
		row = append(row, w.GetId(), runs, render.OrDash(devices(w)), render.OrDash(w.GetVersion()), render.Labels(w.GetLabels()), strings.Join(w.GetAbout(), "; "), render.OrDash(reserved(w)), render.OrDash(w.GetUnfit()))
	}
	return row
}

// reserved is what a worker is set aside for, and when.
func reserved(w *client.Worker) string {
	parts := make([]string, 0, len(w.GetReserved()))
	for _, r := range w.GetReserved() {
		parts = append(parts, fmt.Sprintf("%s from %s until %s", r.GetName(), render.Stamp(r.GetFrom()), render.Stamp(r.GetUntil())))
	}
	return strings.Join(parts, "; ")
}

// given is how much of something attempts have and how much there is to be given away: 6/8 (4 × 2)
// where that is another amount than the worker has.
func given(w *client.Worker, name string, used, has, offered int64, format func(int64) string) string {
	if by, over := w.GetOvercommit()[name]; over {
		return fmt.Sprintf("%s/%s (%s × %s)", format(used), format(offered), format(has), by)
	}
	return format(used) + "/" + format(has)
}

// others is how much attempts have, and how much there is, of what has no column of its own.
func others(w *client.Worker) string {
	names := slices.Collect(maps.Keys(w.GetResources()))
	for name := range w.GetResourcesUsed() { // the worker may have come back without it
		names = append(names, name)
	}
	slices.Sort(names)
	var parts []string
	for _, name := range slices.Compact(names) {
		format := func(n int64) string { return job.FormatAmount(name, n) }
		parts = append(parts, name+" "+given(w, name, w.GetResourcesUsed()[name], w.GetResources()[name], w.GetResourcesOffered()[name], format))
	}
	return strings.Join(parts, ", ")
}

// devices is the ids of devices, and those that attempts have.
func devices(w *client.Worker) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(w.GetDevices())) {
		part := name + " " + w.GetDevices()[name]
		if taken := w.GetDevicesUsed()[name]; taken != "" {
			part += " (taken: " + taken + ")"
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, "; ")
}

func (e Env) drain() *cobra.Command {
	var stop, undo bool
	c := &cobra.Command{
		Use:   "drain WORKER",
		Short: "Keep new work from a worker; what runs there goes on",
		Example: `  reeve drain w1
  reeve drain w1 --undo`,
		Args:    usage.Count(1, 1),
		PreRunE: func(c *cobra.Command, _ []string) error { return usage.OnlyOne(c, "stop", "undo") },
		RunE: e.On(func(ctx context.Context, cl *client.Client, args []string) error {
			if undo {
				if err := cl.Undrain(ctx, args[0]); err != nil {
					return err
				}
				return e.Done(map[string]any{"worker": args[0], "drained": false}, "worker %s takes work again", args[0])
			}
			n, err := cl.Drain(ctx, args[0], stop)
			if err != nil {
				return err
			}
			held := "it holds no attempt"
			switch {
			case n > 0 && stop:
				held = render.Plural(int64(n), "attempt") + " there being stopped, to run elsewhere"
			case n > 0:
				held = render.Plural(int64(n), "attempt") + " there still to end"
			}
			return e.Done(map[string]any{"worker": args[0], "drained": true, "running": n},
				"worker %s takes nothing new; %s", args[0], held)
		}),
	}
	c.Flags().BoolVar(&stop, "stop", false, "also stop what runs there, to run it elsewhere; no attempt is spent by that")
	c.Flags().BoolVar(&undo, "undo", false, "end a drain")
	return c
}
