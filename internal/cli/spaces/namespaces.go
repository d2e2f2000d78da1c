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

func (e Env) namespaces() *cobra.Command {
	c := &cobra.Command{
		Use:   "namespaces",
		Short: "List, make and change namespaces",
		Example: `  reeve namespaces
  reeve namespaces -o wide         how each is served
  reeve namespaces create team-a`,
		Args: usage.Subcommand,
		RunE: e.On(func(ctx context.Context, cl *client.Client, _ []string) error {
			all, err := cl.Namespaces(ctx)
			if err != nil {
				return err
			}
			header := []string{"NAMESPACE", "STATE", "JOBS", "AGE"}
			if e.Format == "wide" {
				header = append(header, "WEIGHT", "GUARANTEE", "LIMIT", "PENDING")
			}
			return list(e, all, (*client.Namespace).GetName, header, e.namespaceRow)
		}),
	}
	pause := func(paused bool) func(context.Context, *client.Client, string) error {
		return func(ctx context.Context, cl *client.Client, name string) error {
			return cl.PauseNamespace(ctx, name, paused)
		}
	}
	c.AddCommand(
		e.createNamespace(), e.setNamespace(), e.showNamespace(),
		e.named("pause NAME", "Keep what waits in a namespace from starting", "  reeve namespaces pause team-a", "namespace %s is paused", pause(true)),
		e.named("resume NAME", "End a pause", "  reeve namespaces resume team-a", "namespace %s is open", pause(false)),
	)
	return c
}

func (e Env) namespaceRow(n *client.Namespace) []string {
	row := []string{n.GetName(), openOrPaused(n.GetPaused()), fmt.Sprint(n.GetJobs()), render.Ago(n.GetCreatedAt())}
	if e.Format == "wide" {
		p := client.NamespacePolicy(n)
		row = append(row, fmt.Sprint(p.Weight), job.FormatResources(p.Guarantee), p.Limit.String(), pendingText(p.Pending))
	}
	return row
}

func pendingText(n int64) string {
	if n == 0 {
		return job.None
	}
	return fmt.Sprint(n)
}

func (e Env) createNamespace() *cobra.Command {
	var p namespaceFlags
	c := e.named("create NAME", "Make a namespace, with a queue default in it", `  reeve namespaces create team-a
  reeve namespaces create team-a --limit running=100 --pending 10000`, "namespace %s is made",
		func(ctx context.Context, cl *client.Client, name string) error {
			return cl.CreateNamespace(ctx, name, p.change)
		})
	p.add(c)
	return c
}

func (e Env) setNamespace() *cobra.Command {
	var p namespaceFlags
	c := &cobra.Command{
		Use:   "set NAME",
		Short: "Change how a namespace is served; what is not named stays as it is",
		Long: `Change how a namespace is served beside others, and what it may have. What is not named stays as it is. "none" ends
a limit or a guarantee; what runs beyond a new limit goes on.`,
		Example: `  reeve namespaces set team-a --weight 3 --guarantee cpu=8
  reeve namespaces set team-a --limit running=100,gpu=4 --pending 10000`,
		Args: usage.Count(1, 1),
		RunE: e.On(func(ctx context.Context, cl *client.Client, args []string) error {
			n, err := cl.UpdateNamespace(ctx, args[0], p.change)
			switch {
			case err != nil:
				return err
			case e.Structured():
				return e.Message(n)
			}
			return e.Done(nil, "namespace %s is changed", args[0])
		}),
	}
	p.add(c)
	needsFlag(c, "--weight 2")
	return c
}

func (e Env) showNamespace() *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Show how a namespace is served", Example: "  reeve namespaces show team-a", Args: usage.Count(1, 1),
		RunE: e.On(func(ctx context.Context, cl *client.Client, args []string) error {
			n, err := cl.Namespace(ctx, args[0])
			if err != nil {
				return err
			}
			p := client.NamespacePolicy(n)
			return show(e, n, [][2]string{
				{"namespace", n.GetName()}, {"state", openOrPaused(n.GetPaused())}, {"jobs", fmt.Sprint(n.GetJobs())},
				{"weight", fmt.Sprint(p.Weight)}, {"guarantee", job.FormatResources(p.Guarantee)}, {"limit", p.Limit.String()},
				{"pending", pendingText(p.Pending)}, {"half-life", durationText(p.HalfLife, durationText(job.DefaultHalfLife, ""))},
			})
		}),
	}
}
