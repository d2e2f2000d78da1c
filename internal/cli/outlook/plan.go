package outlook

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/reeve-scheduler/reeve/internal/cli/render"
	"github.com/reeve-scheduler/reeve/internal/cli/usage"
	"github.com/reeve-scheduler/reeve/internal/client"
)

func (e Env) plan() *cobra.Command {
	c := &cobra.Command{
		Use:   "plan FILE|-",
		Short: "Say what would happen if a job file were submitted now, and submit nothing",
		Long: `Say what would happen if a job file, or one from standard input, were submitted now, and submit nothing: whether it would
start at once, when each task is expected to start and end, on which worker, what would be in its way and what would let it
start now, whether it would miss its deadline, which jobs it would delay, and of which it would have attempts make room.

The exit code is for scripts:

    0    all that waits for nothing else in the job would start at once
    1    some of it would wait
    2    nothing would come of it: a task could never start as the cluster is, the submit would be refused, or its
         idempotency key stands for a job that there is already
    125  that could not be found out: no server, a wrong flag, a job file with errors

With -q the verdict alone is printed: starts, waits, never, refused or exists. Of the jobs that it would delay the ten most
delayed are shown, and up to a hundred with -o wide and json. A plan is a forecast, of what is known now;
docs/scheduling.md says how one is made, and what it does not know.`,
		Example: `  reeve plan etl.yaml
  reeve plan etl.yaml -p day=2026-01-01 -o json
  reeve plan -q big.yaml || reeve submit small.yaml
  generate-job | reeve plan -`,
		Args: usage.Count(1, 1),
	}
	read := e.Asking(c)
	c.RunE = e.On(func(ctx context.Context, cl *client.Client, args []string) error {
		q, err := read(ctx, args[0])
		if err != nil {
			return err
		}
		plan, err := cl.Plan(ctx, q)
		if err != nil {
			return err
		}
		return cmp.Or(e.print(plan), e.verdict(plan))
	})
	return c
}

// verdict ends the program with the code of a verdict.
func (e Env) verdict(plan *client.Plan) error {
	const waits, never = 1, 2
	switch plan.GetVerdict() {
	case "starts":
		return nil
	case "waits":
		return e.Exit(waits)
	}
	return e.Exit(never)
}

func (e Env) print(plan *client.Plan) error {
	switch {
	case e.Structured():
		return e.Message(plan)
	case e.Quiet:
		_, err := fmt.Fprintln(e.Out, plan.GetVerdict())
		return err
	}
	fmt.Fprintln(e.Out, render.Clean(plan.GetSummary()))
	e.warn(plan.GetDeadlineWarning())
	for _, t := range plan.GetTasks() {
		head := t.GetName()
		if n := t.GetCount(); n > 1 {
			head += ": " + render.Plural(n, "element")
		}
		p := &render.Prospect{
			Reasons: t.GetReasons(), Changes: t.GetWouldStartWith(), Count: t.GetCount(),
			First: t.GetExpectedStart(), Last: t.GetExpectedLastStart(), End: t.GetExpectedEnd(), Worker: t.GetExpectedWorker(),
		}
		if t.GetSkipped() {
			p.Reasons = append(p.Reasons, &client.Reason{Text: "it would run only if something else did not succeed"})
		}
		e.prospect(head, p)
	}
	return e.others(plan)
}

// fewOthers is how many other jobs are shown; the wide format has all.
const fewOthers = 10

// others prints which other jobs would have less of it.
func (e Env) others(plan *client.Plan) error {
	delays, preempts := plan.GetDelays(), plan.GetPreempts()
	if e.Format != "wide" {
		delays, preempts = delays[:min(len(delays), fewOthers)], preempts[:min(len(preempts), fewOthers)]
	}
	if n := plan.GetDelayed(); n > 0 {
		fmt.Fprintf(e.Out, "\nit would delay %s", render.Plural(n, "job"))
		if plan.GetAtLeast() {
			fmt.Fprint(e.Out, " or more")
		}
		if len(delays) > 0 && int64(len(delays)) < n {
			fmt.Fprint(e.Out, ", these the most")
		}
		fmt.Fprintln(e.Out)
	}
	rows := make([][]string, 0, len(delays))
	for _, d := range delays {
		to := "nobody knows"
		if d.GetDelayedStart() != nil {
			to = render.Moment(d.GetDelayedStart())
		}
		rows = append(rows, []string{d.GetId(), render.OrDash(d.GetName()), render.Moment(d.GetExpectedStart()), to, render.Later(d.GetExpectedStart(), d.GetDelayedStart())})
	}
	if len(rows) > 0 {
		if err := e.Table([]string{"JOB", "NAME", "STARTS", "WOULD START", "LATER BY"}, rows); err != nil {
			return err
		}
	}
	if len(preempts) > 0 {
		fmt.Fprintf(e.Out, "\nattempts of these jobs would have to make room: %s", strings.Join(preempts, ", "))
		if more := len(plan.GetPreempts()) - len(preempts); more > 0 {
			fmt.Fprintf(e.Out, " and %d more", more)
		}
		fmt.Fprintln(e.Out)
	}
	return nil
}
