// Package spaces is the commands for where jobs wait and run: queues, namespaces, pools and
// reservations, and what they may have.
package spaces

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/reeve-scheduler/reeve/internal/cli/render"
	"github.com/reeve-scheduler/reeve/internal/cli/usage"
	"github.com/reeve-scheduler/reeve/internal/client"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// Env is what the commands have of the command line. All of it is required.
type Env struct {
	*render.Printer
	// On makes what a command runs of what it does with a server.
	On func(do func(ctx context.Context, cl *client.Client, args []string) error) func(*cobra.Command, []string) error
	// Namespace is the one that flags and environment name, empty for none.
	Namespace func() string
}

// Commands returns the commands.
func (e Env) Commands() []*cobra.Command {
	return []*cobra.Command{e.queues(), e.namespaces(), e.limits(), e.pools(), e.reserve(), e.reservations(), e.unreserve()}
}

func openOrPaused(paused bool) string {
	if paused {
		return "paused"
	}
	return "open"
}

// named is a command on one name.
func (e Env) named(use, help, example, done string, do func(ctx context.Context, cl *client.Client, name string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: help, Example: example, Args: usage.Count(1, 1),
		RunE: e.On(func(ctx context.Context, cl *client.Client, args []string) error {
			if err := do(ctx, cl, args[0]); err != nil {
				return err
			}
			return e.Done(map[string]any{"name": args[0]}, done, args[0])
		}),
	}
}

// list prints what there is: names, messages, or rows.
func list[M client.Message](e Env, all []M, name func(M) string, header []string, row func(M) []string) error {
	if e.Structured() {
		return render.List(e.Printer, all)
	}
	rows := make([][]string, 0, len(all))
	for _, m := range all {
		if e.Quiet {
			fmt.Fprintln(e.Out, name(m))
		}
		rows = append(rows, row(m))
	}
	if e.Quiet {
		return nil
	}
	return e.Table(header, rows)
}

// show prints one of them, with what is said of it line by line.
func show(e Env, m client.Message, lines [][2]string) error {
	if e.Structured() {
		return e.Message(m)
	}
	for _, l := range lines {
		if _, err := fmt.Fprintf(e.Out, "%-11s %s\n", l[0], render.Clean(l[1])); err != nil {
			return err
		}
	}
	return nil
}

// rateText is a rate with its burst.
func rateText(r job.Rate) string {
	if r.Count == 0 {
		return r.String()
	}
	return fmt.Sprintf("%s, burst %d", r, r.Burst)
}

// durationText is a duration, or what its absence means.
func durationText(d job.Duration, none string) string {
	if d == 0 {
		return none
	}
	text, err := d.MarshalText()
	if err != nil {
		return err.Error()
	}
	return string(text)
}
