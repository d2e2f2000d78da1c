package course

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/reeve-scheduler/reeve/internal/cli/usage"
	"github.com/reeve-scheduler/reeve/internal/client"
	"github.com/reeve-scheduler/reeve/internal/job"
)

func (e Env) update() *cobra.Command {
	var priority, queue string
	var front bool
	c := &cobra.Command{
		Use:   "update JOB…",
		Short: "Change the priority of jobs, move them to another queue, or put them to the front",
		Long: `Change the priority of jobs, move them to another queue of their namespace, or put them to the front of their queue: before
all others there, whatever its order; where users take turns, before all others of their user. Of several the one that was put there last
goes first. What waits is ranked anew; what runs goes on, and counts in the new queue.`,
		Example: `  reeve update last --front
  reeve update 4217 4218 --priority high
  reeve update 4217 --queue night --front
  reeve update 4217 --front=false`,
		Args: usage.Count(1, -1),
	}
	f := c.Flags()
	f.StringVar(&priority, "priority", "", "the new `priority`: critical, high, normal, low, background or a number from -1000 to 1000")
	f.StringVar(&queue, "queue", "", "the new `queue`")
	f.BoolVar(&front, "front", false, "put it before all others of its queue; =false puts it back")
	c.RunE = e.On(func(ctx context.Context, cl *client.Client, args []string) error {
		q := &client.UpdateRequest{}
		if f.Changed("priority") {
			p, err := job.ParsePriority(priority)
			if err != nil {
				return fmt.Errorf("--%w", err)
			}
			q.Priority = &p
		}
		if f.Changed("queue") {
			q.Queue = &queue
		}
		if f.Changed("front") {
			q.Front = &front
		}
		if q.Priority == nil && q.Queue == nil && q.Front == nil {
			return errors.New("nothing is to be changed: say --priority, --queue or --front")
		}
		return e.each(func(ctx context.Context, cl *client.Client, text string) (map[string]any, error) {
			return e.updateOne(ctx, cl, q, text)
		})(ctx, cl, args)
	})
	return c
}

// updateOne makes the changes of q to one job.
func (e Env) updateOne(ctx context.Context, cl *client.Client, q *client.UpdateRequest, text string) (map[string]any, error) {
	id, err := e.JobID(ctx, cl, text)
	if err != nil {
		return nil, err
	}
	q.Id = id.String()
	now, err := cl.Update(ctx, q)
	if err != nil {
		return nil, err
	}
	value := map[string]any{"id": q.GetId(), "queue": now.GetQueue(), "priority": now.GetPriority()}
	front := ""
	if at := now.GetFrontAt(); at != nil {
		value["front_at"], front = at.AsTime(), ", at its front"
	}
	if !e.Structured() {
		err = e.Done(nil, "%s is in queue %s%s, with priority %d", id, now.GetQueue(), front, now.GetPriority())
	}
	return value, err
}
