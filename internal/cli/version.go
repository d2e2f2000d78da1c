package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
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
		Use: "version", Short: "Print the version, and with --server the server's", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			fmt.Fprintf(e.out, "reeve %s (%s, %s/%s)\n", e.built, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			if !server {
				return nil
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
			if e.structured() {
				return e.message(s)
			}
			fmt.Fprintf(e.out, "server %s at %s: %s, up %s, %s unfinished, sequence %d\n", s.GetVersion(), cl.Address, s.GetRole(),
				ago(s.GetStartedAt()), plural(s.GetPending(), "job"), s.GetSequence())
			return nil
		},
	}
	c.Flags().BoolVar(&server, "server", false, "ask the server too")
	return c
}
