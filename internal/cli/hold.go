package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/reeve-scheduler/reeve/internal/cli/usage"
	"github.com/reeve-scheduler/reeve/internal/client"
	"github.com/reeve-scheduler/reeve/internal/job"
)

func (e *env) hold() *cobra.Command {
	return e.holding("hold REF…", "Keep what has not started of jobs or tasks from starting",
		"  reeve hold last\n  reeve hold 4217.transform 4218", "held",
		func(ctx context.Context, cl *client.Client, id, task string) error { return cl.Hold(ctx, id, task) })
}

func (e *env) release() *cobra.Command {
	return e.holding("release REF…", "End a hold", "  reeve release last\n  reeve release 4217.transform 4218", "released",
		func(ctx context.Context, cl *client.Client, id, task string) error { return cl.Release(ctx, id, task) })
}

func (e *env) holding(use, help, example, done string, do func(ctx context.Context, cl *client.Client, id, task string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: help, Example: example, Args: usage.Count(1, -1),
		RunE: e.on(e.each(func(ctx context.Context, cl *client.Client, text string) (map[string]any, error) {
			ref, err := e.ref(ctx, cl, text)
			if err != nil {
				return nil, err
			}
			if ref.Index != job.NoIndex {
				return nil, fmt.Errorf("%s names an element; only jobs and tasks can be held, such as %s.%s", text, ref.Job, ref.Task)
			}
			if err := do(ctx, cl, ref.Job.String(), ref.Task); err != nil || e.Structured() {
				return map[string]any{"id": ref.String(), "held": done == "held"}, err
			}
			return nil, e.Done(nil, "%s is %s", ref, done)
		})),
	}
}

func (e *env) update() *cobra.Command {
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
	c.RunE = e.on(func(ctx context.Context, cl *client.Client, args []string) error {
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
func (e *env) updateOne(ctx context.Context, cl *client.Client, q *client.UpdateRequest, text string) (map[string]any, error) {
	id, err := e.jobID(ctx, cl, text)
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

func (e *env) retry() *cobra.Command {
	var all, wait bool
	var key string
	c := &cobra.Command{
		Use:   "retry JOB",
		Short: "Run a finished job again as a new job that carries over what had succeeded",
		Long: `Run a finished job again as a new job. What had succeeded is carried over and does not run again, unless it needs
something that does: a sum over an array is worked out anew once the elements that failed have run, and of a task that needs
an array element by element the same elements run again. The old job stays as it is.`,
		Example: `  reeve retry last --wait
  reeve retry 4217 --all`,
		Args: usage.Count(1, 1),
		RunE: e.on(func(ctx context.Context, cl *client.Client, args []string) error {
			id, err := e.jobID(ctx, cl, args[0])
			if err != nil {
				return err
			}
			if key == "" {
				key = randomKey()
			}
			again, err := cl.Retry(ctx, id.String(), all, key)
			if err != nil {
				return err
			}
			if !wait || !e.Structured() {
				if err := e.submitted(&client.SubmittedJob{Id: again}); err != nil || !wait {
					return err
				}
			}
			return e.waitFor(ctx, cl, []string{again})
		}),
	}
	c.Flags().BoolVar(&all, "all", false, "run everything again; carry nothing over")
	c.Flags().StringVar(&key, "key", "", "idempotency `key` of the new job (default: a random one)")
	c.Flags().BoolVarP(&wait, "wait", "w", false, "wait for the new job and exit with its code")
	return c
}
