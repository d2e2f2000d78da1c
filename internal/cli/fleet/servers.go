package fleet

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/reeve-scheduler/reeve/internal/cli/render"
	"github.com/reeve-scheduler/reeve/internal/cli/usage"
	"github.com/reeve-scheduler/reeve/internal/client"
)

func (e Env) servers() *cobra.Command {
	return &cobra.Command{
		Use:   "servers",
		Short: "List the servers that share the store",
		Example: `  reeve servers
  reeve servers -o wide            why one can neither lead nor follow`,
		Args: usage.Count(0, 0),
		RunE: e.On(func(ctx context.Context, cl *client.Client, _ []string) error {
			found, err := cl.Servers(ctx)
			if err != nil {
				return err
			}
			if e.Structured() {
				return render.List(e.Printer, found.GetServers())
			}
			return e.table(found.GetServers())
		}),
	}
}

func (e Env) table(servers []*client.Server) error {
	header := []string{"SERVER", "ROLE", "VERSION", "FORMAT", "BEHIND", "SEEN"}
	if e.Format == "wide" {
		header = append(header, "TROUBLE")
	}
	rows := make([][]string, 0, len(servers))
	for _, s := range servers {
		if e.Quiet {
			fmt.Fprintln(e.Out, s.GetAddress())
		}
		behind := "-"
		if s.BehindMs != nil {
			behind = (time.Duration(s.GetBehindMs()) * time.Millisecond).String()
		}
		row := []string{s.GetAddress(), s.GetRole(), render.OrDash(s.GetVersion()), fmt.Sprint(s.GetNewestFormat()), behind, render.Ago(s.GetSeenAt())}
		if e.Format == "wide" {
			row = append(row, render.OrDash(s.GetTrouble()))
		}
		rows = append(rows, row)
	}
	if e.Quiet {
		return nil
	}
	return e.Table(header, rows)
}

func (e Env) upgrade() *cobra.Command {
	var finalize bool
	c := &cobra.Command{
		Use:   "upgrade",
		Short: "Show whether all servers know a newer format, and raise the cluster to it",
		Long: `Show in which format the servers write what they share, the newest that each of them knows, and whether all know a
newer one. Versions that know the cluster's format can be run side by side, and a server can go back to an older one of them.

--finalize raises the format to the newest that all servers know. From then on older versions can't be used: they neither
start nor follow, and there is no way back.`,
		Example: `  reeve upgrade
  reeve upgrade --finalize`,
		Args: usage.Count(0, 0),
		RunE: e.On(func(ctx context.Context, cl *client.Client, _ []string) error {
			if finalize {
				return e.finalize(ctx, cl)
			}
			found, err := cl.Servers(ctx)
			if err != nil {
				return err
			}
			if e.Structured() {
				return e.Message(found)
			}
			if err := e.table(found.GetServers()); err != nil || e.Quiet {
				return err
			}
			fmt.Fprintf(e.Out, "\nThe cluster's format is %d%s.\n", found.GetFormat(), prospect(found))
			return nil
		}),
	}
	c.Flags().BoolVar(&finalize, "finalize", false, "raise the format; there is no way back")
	return c
}

// prospect says what could become of the cluster's format.
func prospect(s *client.Servers) string {
	if s.GetNextFormat() > s.GetFormat() {
		return fmt.Sprintf("; all servers know %d: reeve upgrade --finalize raises it", s.GetNextFormat())
	}
	for _, o := range s.GetServers() {
		if o.GetNewestFormat() > s.GetFormat() {
			return "; not all servers know a newer one yet"
		}
	}
	return ", the newest that its servers know"
}

func (e Env) finalize(ctx context.Context, cl *client.Client) error {
	f, err := cl.Finalize(ctx)
	if err != nil {
		return err
	}
	if e.Structured() {
		return e.Message(f)
	}
	if f.GetFormat() == f.GetBefore() {
		return e.Done(nil, "the cluster's format is %d already, the newest that its servers know", f.GetFormat())
	}
	return e.Done(nil, "the cluster's format was %d and is %d now; older versions can't be used any more", f.GetBefore(), f.GetFormat())
}
