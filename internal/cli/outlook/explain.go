package outlook

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/reeve-scheduler/reeve/internal/cli/render"
	"github.com/reeve-scheduler/reeve/internal/cli/usage"
	"github.com/reeve-scheduler/reeve/internal/client"
	"github.com/reeve-scheduler/reeve/internal/job"
)

func (e Env) explain() *cobra.Command {
	return &cobra.Command{
		Use:   "explain REF",
		Short: "Say every reason why a job, task or element waits, and when it is expected to start",
		Long: `Say every reason why a job, task or element waits: a line with a dash for each. Below them stand when it is expected to
start and on which worker, as far as that is known, and what would let it start now, each alone. A job that is expected to miss
its deadline says by how much. See reeve plan for a job that is not submitted yet.`,
		Example: `  reeve explain last
  reeve explain 4217.transform.3 -o json`,
		Args: usage.Count(1, 1),
		RunE: e.On(func(ctx context.Context, cl *client.Client, args []string) error {
			ref, err := e.Ref(ctx, cl, args[0])
			if err != nil {
				return err
			}
			why, err := cl.Explain(ctx, ref.String())
			if err != nil {
				return err
			}
			if e.Structured() {
				return e.Message(why)
			}
			fmt.Fprintln(e.Out, render.Clean(why.GetSummary()))
			e.warn(why.GetDeadlineWarning())
			for _, t := range why.GetTasks() {
				what := t.GetTask()
				if ref.Index != job.NoIndex {
					what = fmt.Sprintf("%s.%d", what, ref.Index)
				}
				e.prospect(what+": "+t.GetState(), &render.Prospect{
					Reasons: t.GetReasons(), Changes: t.GetWouldStartWith(), Count: t.GetWaiting(), Among: ref.Index != job.NoIndex,
					First: t.GetExpectedStart(), Last: t.GetExpectedLastStart(), Worker: t.GetExpectedWorker(),
				})
			}
			return nil
		}),
	}
}
