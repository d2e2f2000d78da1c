package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/reeve-scheduler/reeve/internal/cli/usage"
	"github.com/reeve-scheduler/reeve/internal/client"
)

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
