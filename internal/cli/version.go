package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/reeve-scheduler/reeve/internal/cli/render"
	"github.com/reeve-scheduler/reeve/internal/cli/usage"
)

// builtVersion is what the build knows of its commit, where no release is stamped.
func builtVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "devel"
	}
	revision, dirty := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && len(s.Value) >= 12:
			revision = "-" + s.Value[:12]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "-dirty"
		}
	}
	return "devel" + revision + dirty
}

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
