// Package outlook is the commands that look ahead: why something waits and when it will start,
// and what would happen if something were submitted.
package outlook

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/reeve-scheduler/reeve/internal/cli/render"
	"github.com/reeve-scheduler/reeve/internal/client"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// Env is what the commands have of the command line. All of it is required.
type Env struct {
	*render.Printer
	// On makes what a command runs of what it does with a server.
	On func(do func(ctx context.Context, cl *client.Client, args []string) error) func(*cobra.Command, []string) error
	// Ref reads a reference.
	Ref func(ctx context.Context, cl *client.Client, text string) (job.Ref, error)
	// Asking adds the flags of a submit to a command, and returns what reads a job file, as they
	// say and as it would be submitted.
	Asking func(c *cobra.Command) Read
	// Exit is an error that ends the program with a code and says nothing.
	Exit func(code int) error
}

// Read reads a job file, - for standard input, and stores nothing.
type Read func(ctx context.Context, file string) (*client.SubmitRequest, error)

// Commands returns the commands.
func (e Env) Commands() []*cobra.Command { return []*cobra.Command{e.explain(), e.plan()} }

// warn says that a deadline is expected to be missed, if it is.
func (e Env) warn(text string) {
	if text != "" {
		fmt.Fprintf(e.Out, "warning: %s\n", render.Clean(text))
	}
}

// prospect prints what is said of a task below its headline.
func (e Env) prospect(head string, p *render.Prospect) {
	fmt.Fprintf(e.Out, "\n%s\n", render.Clean(head))
	for _, line := range p.Lines() {
		fmt.Fprintf(e.Out, "  %s\n", line)
	}
}
