package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/reeve-scheduler/reeve/internal/cli/usage"
	"github.com/reeve-scheduler/reeve/internal/demo"
)

func (e *env) demo() *cobra.Command {
	var o demo.Options
	c := &cobra.Command{
		Use:   "demo [DIR]",
		Short: "See it work: a server, three workers and a real job, here and now",
		Long: `Start a server and three workers on this machine and run a real job on them: it counts the identifiers of a
tree of Go source in 64 shards and in one single process, and compares the two. Half-way one of the workers is killed. The
exit code is 0 only if both counts agree. DIR is the source to count, by default that of the Go toolchain.

Nothing is left when the demo ends, unless --data names a directory to keep.`,
		Example: `  reeve demo
  reeve demo --keep            leave the server and its workers up until Ctrl-C, to look around
  reeve demo ~/src/project     count something of your own`,
		Args: usage.Count(0, 1),
		RunE: func(c *cobra.Command, args []string) error {
			if e.Structured() {
				return fmt.Errorf("-o %s: the demonstration is for people; leave -o out", e.Format)
			}
			if len(args) > 0 {
				o.Dir = args[0]
			}
			o.Version, o.Out, o.Err, o.Quiet, o.Terminal = e.built, e.Out, e.err, e.Quiet, e.terminal()
			// A closed terminal must leave nothing behind either.
			ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGHUP)
			defer stop()
			// Nor may an impatient second Ctrl-C, until this process, which ends with this,
			// has said what is left behind.
			signal.Notify(make(chan os.Signal, 1), os.Interrupt, syscall.SIGTERM)
			err := demo.Run(ctx, o)
			if errors.Is(err, context.Canceled) && c.Context().Err() == nil {
				return exitCode(128 + int(syscall.SIGHUP))
			}
			if errors.Is(err, context.Canceled) {
				return leftBehind("nothing of the demo is left running")
			}
			return err
		},
	}
	c.Flags().BoolVar(&o.Keep, "keep", false, "leave the server and the workers up until Ctrl-C")
	c.Flags().StringVar(&o.Data, "data", "", "keep everything in this `directory` (default: a temporary one)")
	return c
}

// demoStep is the hidden program that the tasks of the demo's job run.
func (e *env) demoStep() *cobra.Command {
	c := &cobra.Command{
		Use: "demo-step", Short: "Do one task of the demo's job (started by it)", Hidden: true,
	}
	atLeast := c.Flags().Duration("at-least", 0, "how long a shard takes at the least")
	c.RunE = func(c *cobra.Command, args []string) error {
		p, err := demo.PlaceOf(os.Getenv, e.Out)
		if err != nil {
			return err
		}
		p.AtLeast = *atLeast
		return demo.Step(c.Context(), p, args)
	}
	return c
}
