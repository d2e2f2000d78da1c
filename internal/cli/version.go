package cli

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/reeve-scheduler/reeve/internal/cli/render"
	"github.com/reeve-scheduler/reeve/internal/cli/usage"
)

func (e *env) version() *cobra.Command {
	var server bool
	c := &cobra.Command{
		Use: "version", Short: "Print the version, and with --server the server's", Args: usage.Count(0, 0),
		Example: "  reeve version\n  reeve version --server",
		RunE: func(c *cobra.Command, _ []string) error {
			if !server || !e.Structured() {
				err := e.Done(map[string]any{"version": e.built, "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH},
					"reeve %s (%s, %s/%s)", e.built, runtime.Version(), runtime.GOOS, runtime.GOARCH)
				if err != nil || !server {
					return err
				}
			}
			cl, err := e.connect()
			if err != nil {
				return err
			}
			defer cl.Close()
			s, err := cl.Status(c.Context())
			if err != nil {
				return err
			}
			if e.Structured() {
				return e.Message(s)
			}
			fmt.Fprintf(e.Out, "server %s at %s: %s, up %s, %s unfinished, sequence %d\n", s.GetVersion(), cl.Address, s.GetRole(),
				render.Ago(s.GetStartedAt()), render.Plural(s.GetPending(), "job"), s.GetSequence())
			return nil
		},
	}
	c.Flags().BoolVar(&server, "server", false, "ask the server too")
	return c
}
