package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/reeve-scheduler/reeve/internal/cli/render"
	"github.com/reeve-scheduler/reeve/internal/cli/usage"
	"github.com/reeve-scheduler/reeve/internal/client"
	"github.com/reeve-scheduler/reeve/internal/job"
)

func (e *env) tokens() *cobra.Command {
	c := &cobra.Command{
		Use:   "tokens",
		Short: "List, make and revoke tokens",
		Args:  usage.Subcommand,
		RunE: e.on(func(ctx context.Context, cl *client.Client, _ []string) error {
			all, err := cl.Tokens(ctx)
			if err != nil {
				return err
			}
			if e.Structured() {
				return render.List(&e.Printer, all)
			}
			if e.Quiet {
				for _, t := range all {
					fmt.Fprintln(e.Out, t.GetId())
				}
				return nil
			}
			rows := make([][]string, 0, len(all))
			for _, t := range all {
				expires := "never"
				if t.GetExpiresAt() != nil {
					expires = render.Stamp(t.GetExpiresAt())
				}
				spaces := "all"
				if len(t.GetNamespaces()) > 0 {
					spaces = strings.Join(t.GetNamespaces(), ",")
				}
				rows = append(rows, []string{t.GetId(), t.GetName(), tokenState(t, time.Now()), strings.Join(t.GetScopes(), ","), spaces, expires, t.GetCreatedBy()})
			}
			return e.Table([]string{"TOKEN", "NAME", "STATE", "SCOPES", "NAMESPACES", "EXPIRES", "BY"}, rows)
		}),
	}
	c.AddCommand(e.createToken(), e.revokeToken())
	return c
}

func (e *env) revokeToken() *cobra.Command {
	return &cobra.Command{
		Use: "revoke TOKEN", Short: "End a token at once, by id or name", Example: "  reeve tokens revoke ci", Args: usage.Count(1, 1),
		RunE: e.on(func(ctx context.Context, cl *client.Client, args []string) error {
			if err := cl.RevokeToken(ctx, args[0]); err != nil {
				return err
			}
			return e.Done(map[string]any{"name": args[0]}, "token %s is revoked", args[0])
		}),
	}
}

// tokenState is what has become of a token by now.
func tokenState(t *client.Token, now time.Time) string {
	switch {
	case t.GetRevokedAt() != nil:
		return "revoked"
	case t.GetExpiresAt() != nil && !now.Before(t.GetExpiresAt().AsTime()):
		return "expired"
	}
	return "valid"
}

func (e *env) createToken() *cobra.Command {
	var q client.NewToken
	var valid string
	c := &cobra.Command{
		Use:   "create [NAME]",
		Short: "Make a token and print its secret, this once",
		Example: `  reeve tokens create ci --scope submit,read --namespace-limit team-a
  reeve tokens create --join          a token for reeve worker --join on another machine`,
		Args: usage.Count(0, 1),
		RunE: func(c *cobra.Command, args []string) error {
			d, err := job.ParseDuration(valid)
			if err != nil {
				return fmt.Errorf("--valid: %w", err)
			}
			if d < time.Second || d%time.Second != 0 { // the API counts seconds, and 0 means its default there
				return fmt.Errorf("--valid %s: want whole seconds, at least 1s", valid)
			}
			q.ValidSeconds = int64(d / time.Second)
			switch {
			case len(args) == 1:
				q.Name = args[0]
			case q.GetJoin():
				q.Name = "join-" + randomKey()[:8]
			default:
				return fmt.Errorf("name the token, such as reeve tokens create ci")
			}
			if len(q.GetScopes()) == 0 && !q.GetJoin() {
				return fmt.Errorf("say what the token is for: --scope admin, submit, read, worker, or several separated by commas")
			}
			cl, err := e.connect()
			if err != nil {
				return err
			}
			defer cl.Close()
			t, err := cl.CreateToken(c.Context(), &q)
			if err != nil {
				return err
			}
			switch {
			case e.Structured():
				return e.Message(t)
			case q.GetJoin():
				fmt.Fprintln(e.Out, t.GetJoinToken())
			default:
				fmt.Fprintln(e.Out, t.GetSecret())
			}
			return nil
		},
	}
	f := c.Flags()
	f.StringSliceVar(&q.Scopes, "scope", nil, "what it is for, one or more `scopes`: admin, submit, read, worker")
	f.StringSliceVar(&q.Namespaces, "namespace-limit", nil, "only in these `namespaces` (default: all)")
	f.StringVar(&valid, "valid", "90d", "how long it is valid: a `duration`")
	f.BoolVar(&q.Join, "join", false, "print a join token for workers, which carries the server's address and fingerprint")
	return c
}
