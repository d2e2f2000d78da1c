// Package fleet is the commands for what a cluster runs on: its servers, the format that they
// share, and its workers.
package fleet

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/reeve-scheduler/reeve/internal/cli/render"
	"github.com/reeve-scheduler/reeve/internal/client"
)

// Env is what the commands have of the command line. Both are required.
type Env struct {
	*render.Printer
	// On makes what a command runs of what it does with a server.
	On func(do func(ctx context.Context, cl *client.Client, args []string) error) func(*cobra.Command, []string) error
}

// Commands returns the commands.
func (e Env) Commands() []*cobra.Command {
	return []*cobra.Command{e.workers(), e.drain(), e.servers(), e.upgrade()}
}
