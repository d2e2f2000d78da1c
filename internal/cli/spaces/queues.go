package spaces

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/reeve-scheduler/reeve/internal/cli/render"
	"github.com/reeve-scheduler/reeve/internal/cli/usage"
	"github.com/reeve-scheduler/reeve/internal/client"
	"github.com/reeve-scheduler/reeve/internal/job"
)

func (e Env) queues() *cobra.Command {
	c := &cobra.Command{
		Use:   "queues",
		Short: "List, make and change queues",
		Example: `  reeve queues -n team-a
  reeve queues -o wide             how each is served
  reeve queues create night`,
		Args: usage.Subcommand,
		RunE: e.On(func(ctx context.Context, cl *client.Client, _ []string) error {
			all, err := cl.Queues(ctx, e.Namespace())
			if err != nil {
				return err
			}
			header := []string{"QUEUE", "STATE", "JOBS", "AGE"}
			if e.Format == "wide" {
				header = append(header, "ORDER", "BACKFILL", "AGEING", "WEIGHT", "GUARANTEE", "LIMIT", "RATE")
			}
			return list(e, all, (*client.Queue).GetName, header, e.queueRow)
		}),
	}
	c.AddCommand(
		e.createQueue(), e.setQueue(), e.showQueue(),
		e.named("pause NAME", "Keep what waits in a queue from starting; what runs goes on", "  reeve queues pause night", "queue %s is paused", e.pauseQueue(true)),
		e.named("resume NAME", "End a pause", "  reeve queues resume night", "queue %s is open", e.pauseQueue(false)),
	)
	return c
}

func (e Env) queueRow(q *client.Queue) []string {
	row := []string{q.GetName(), openOrPaused(q.GetPaused()), fmt.Sprint(q.GetJobs()), render.Ago(q.GetCreatedAt())}
	if e.Format == "wide" {
		p := client.QueuePolicy(q)
		row = append(row, p.Order.String(), p.Backfill.String(), durationText(p.Ageing, "-"), fmt.Sprint(p.Weight),
			job.FormatResources(p.Guarantee), p.Limit.String(), rateText(p.Rate))
	}
	return row
}

func (e Env) createQueue() *cobra.Command {
	var p queueFlags
	c := e.named("create NAME", "Make a queue", `  reeve queues create night
  reeve queues create night --order fair --limit running=10,gpu=2`, "queue %s is made",
		func(ctx context.Context, cl *client.Client, name string) error {
			return cl.CreateQueue(ctx, e.Namespace(), name, p.change)
		})
	p.add(c)
	return c
}

func (e Env) setQueue() *cobra.Command {
	var p queueFlags
	c := &cobra.Command{
		Use:   "set NAME",
		Short: "Change how a queue is served; what is not named stays as it is",
		Long: `Change how a queue is served. What is not named stays as it is. "none" ends a limit, a guarantee or a rate; what
runs beyond a new limit goes on.`,
		Example: `  reeve queues set night --order fair --half-life 1h
  reeve queues set night --limit running=10,cpu=16,gpu=2 --rate 10/s --burst 20
  reeve queues set night --limit none`,
		Args: usage.Count(1, 1),
		RunE: e.On(func(ctx context.Context, cl *client.Client, args []string) error {
			q, err := cl.UpdateQueue(ctx, e.Namespace(), args[0], p.change)
			switch {
			case err != nil:
				return err
			case e.Structured():
				return e.Message(q)
			}
			return e.Done(nil, "queue %s is changed", args[0])
		}),
	}
	p.add(c)
	needsFlag(c, "--weight 2")
	return c
}

func (e Env) showQueue() *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Show how a queue is served", Example: "  reeve queues show night", Args: usage.Count(1, 1),
		RunE: e.On(func(ctx context.Context, cl *client.Client, args []string) error {
			q, err := cl.Queue(ctx, e.Namespace(), args[0])
			if err != nil {
				return err
			}
			p := client.QueuePolicy(q)
			return show(e, q, [][2]string{
				{"queue", q.GetName()}, {"namespace", q.GetNamespace()}, {"state", openOrPaused(q.GetPaused())}, {"jobs", fmt.Sprint(q.GetJobs())},
				{"order", p.Order.String()}, {"backfill", p.Backfill.String()}, {"ageing", durationText(p.Ageing, "never")},
				{"weight", fmt.Sprint(p.Weight)}, {"guarantee", job.FormatResources(p.Guarantee)}, {"limit", p.Limit.String()},
				{"rate", rateText(p.Rate)}, {"half-life", durationText(p.HalfLife, durationText(job.DefaultHalfLife, ""))}, {"preempt", strconv.FormatBool(p.Preempt)},
			})
		}),
	}
}

func (e Env) pauseQueue(paused bool) func(context.Context, *client.Client, string) error {
	return func(ctx context.Context, cl *client.Client, name string) error {
		return cl.PauseQueue(ctx, e.Namespace(), name, paused)
	}
}
