package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/reeve-scheduler/reeve/internal/cli/render"
	"github.com/reeve-scheduler/reeve/internal/cli/usage"
	"github.com/reeve-scheduler/reeve/internal/client"
	"github.com/reeve-scheduler/reeve/internal/job"
)

func (e *env) show() *cobra.Command {
	var states []string
	var limit int
	var spec bool
	c := &cobra.Command{
		Use:   "show REF",
		Short: "Show a job, a task with its elements, or an element with its attempts",
		Long: `Show a job, a task with its elements, or an element with its attempts.

Of a job with a name, the tasks that have not ended show how long an attempt is expected to run: what the last two took on
average, and between what four of five did. A line below says which tasks ask for far more memory than they use, or for less.

Of what waits it shows when it is expected to start, of a job when it is expected to have ended, and that it will miss its
deadline, as far as that is known; reeve explain says why.`,
		Example: `  reeve show last
  reeve show 4217.transform --state failed
  reeve show 4217.transform.3
  reeve show 4217.transform.3 -o wide    and what each attempt was given
  reeve show 4217.transform.3@2`,
		Args: usage.Count(1, 1),
		RunE: e.on(func(ctx context.Context, cl *client.Client, args []string) error {
			ref, err := e.ref(ctx, cl, args[0])
			if err != nil {
				return err
			}
			j, err := cl.Get(ctx, ref.Job.String(), spec)
			if err != nil {
				return err
			}
			switch {
			case ref.Task == "" && len(states) > 0:
				return fmt.Errorf("--state is for the elements of a task, such as %s.%s", args[0], j.GetTasks()[0].GetName())
			case ref.Task == "":
				return e.showJob(j)
			case ref.Index == job.NoIndex && isArray(j, ref.Task):
				return e.showElements(ctx, cl, j, ref, states, limit)
			}
			return e.showAttempts(ctx, cl, ref)
		}),
	}
	f := c.Flags()
	f.StringSliceVarP(&states, "state", "s", nil, "of a task: only elements in these `states`")
	f.IntVar(&limit, "limit", 100, "of a task: at most this `number` of elements")
	f.BoolVar(&spec, "spec", false, "of a job, with -o json or yaml: the job file too")
	return c
}

func isArray(j *client.Job, task string) bool {
	return slices.ContainsFunc(j.GetTasks(), func(t *client.Task) bool { return t.GetName() == task && t.GetArray() })
}

func (e *env) showJob(j *client.Job) error {
	if e.Structured() {
		return e.Message(j)
	}
	if e.Quiet {
		fmt.Fprintln(e.Out, j.GetState())
		return nil
	}
	line := func(name, value string) {
		if value != "" && value != "-" {
			fmt.Fprintf(e.Out, "%-10s %s\n", name, render.Clean(value))
		}
	}
	line("job", j.GetId())
	line("name", j.GetName())
	line("state", jobState(j))
	line("cause", j.GetCause())
	line("queue", j.GetNamespace()+"/"+j.GetQueue())
	line("labels", render.Labels(j.GetLabels()))
	if p := j.GetPriority(); p != 0 {
		line("priority", fmt.Sprint(p))
	}
	if j.GetFrontAt() != nil {
		line("front", "since "+render.Stamp(j.GetFrontAt()))
	}
	line("submitted", render.Stamp(j.GetSubmittedAt())+" by "+j.GetSubmittedBy())
	line("started", render.Stamp(j.GetStartedAt()))
	line("ended", render.Stamp(j.GetEndedAt()))
	line("deadline", render.Stamp(j.GetDeadline()))
	line("warning", j.GetDeadlineWarning())
	line("starts", render.Stamp(j.GetStartAfter()))
	line("expected", expected(j))
	line("retry of", j.GetRetryOf())
	line("waits for", strings.Join(j.GetWaitsFor(), ", "))
	if e.Format == "wide" {
		line("kept until", render.Stamp(j.GetKeepUntil()))
		if len(j.GetParams().GetFields()) > 0 {
			b, err := j.GetParams().MarshalJSON()
			if err != nil {
				return err
			}
			line("params", string(b))
		}
	}
	fmt.Fprintln(e.Out)
	return e.showTasks(j)
}

// expected is when an unfinished job starts and ends, as far as is known.
func expected(j *client.Job) string {
	start := "to start "
	if j.GetStartedAt() != nil {
		start = "the next of it to start "
	}
	var parts []string
	for _, p := range []struct {
		what string
		at   *client.Timestamp
	}{{start, j.GetExpectedStart()}, {"to end ", j.GetExpectedEnd()}} {
		if p.at != nil && !client.Ended(j) {
			parts = append(parts, p.what+render.Moment(p.at))
		}
	}
	if len(parts) > 0 && j.GetExpectedAtLeast() {
		parts = append(parts, "or later")
	}
	return strings.Join(parts, ", ")
}

// showTasks prints a table of a job's tasks, when those start that wait, how long those may run
// that have not ended, and whether any asks for far more memory than it takes, or for less.
func (e *env) showTasks(j *client.Job) error {
	head := []string{"TASK", "STATE", "DONE", "TOOK", "WORKER", "CAUSE"}
	rows := make([][]string, 0, len(j.GetTasks()))
	for _, t := range j.GetTasks() {
		rows = append(rows, render.TaskRow(t))
	}
	// column adds one before another, if any task has something to say there.
	column := func(at int, name string, of func(*client.Task) string) {
		if !slices.ContainsFunc(j.GetTasks(), func(t *client.Task) bool { return of(t) != "" }) {
			return
		}
		head = slices.Insert(head, at, name)
		for i, t := range j.GetTasks() {
			rows[i] = slices.Insert(rows[i], at, render.OrDash(of(t)))
		}
	}
	if e.Format == "wide" || slices.ContainsFunc(j.GetTasks(), asksForMore) {
		column(len(head), "RESOURCES", takes)
	}
	const tookEnds = 4
	column(tookEnds, "EXPECTED", func(t *client.Task) string {
		if t.GetEndedAt() != nil {
			return ""
		}
		return t.GetForecast().GetRun()
	})
	column(tookEnds, "STARTS", func(t *client.Task) string {
		if t.GetExpectedStart() == nil || t.GetEndedAt() != nil {
			return ""
		}
		return render.In(t.GetExpectedStart()) + " on " + t.GetExpectedWorker()
	})
	if err := e.Table(head, rows); err != nil {
		return err
	}
	first := true
	for _, t := range j.GetTasks() {
		advice := t.GetForecast().GetMemoryAdvice()
		if advice == "" {
			continue
		}
		if first {
			fmt.Fprintln(e.Out)
			first = false
		}
		fmt.Fprintf(e.Out, "%s: %s\n", t.GetName(), advice)
	}
	return nil
}

// takes is what each attempt of a task is given.
func takes(t *client.Task) string {
	if len(t.GetEither()) == 0 {
		return render.Resources(t.GetResources())
	}
	ways := make([]string, len(t.GetEither()))
	for i, r := range t.GetEither() {
		ways[i] = render.Resources(r.GetResources())
	}
	return strings.Join(ways, " or ")
}

// asksForMore reports whether a task asks for something else than one processor, which is
// what it gets that says nothing.
func asksForMore(t *client.Task) bool {
	r := t.GetResources()
	return len(t.GetEither()) > 0 || len(r) > 1 || len(r) == 1 && r["cpu"] != job.FormatCPU(job.DefaultCPU)
}

func (e *env) showElements(ctx context.Context, cl *client.Client, j *client.Job, ref job.Ref, states []string, limit int) error {
	const most = 1000
	var all []*client.Element
	token := ""
	for len(all) < limit {
		page, next, err := cl.Elements(ctx, j.GetId(), ref.Task, states, int32(min(limit-len(all), most)), token)
		if err != nil {
			return err
		}
		all = append(all, page...)
		if token = next; token == "" {
			break
		}
	}
	switch {
	case e.Structured():
		return render.List(&e.Printer, all)
	case e.Quiet:
		for _, el := range all {
			fmt.Fprintln(e.Out, el.GetId())
		}
		return nil
	}
	rows := make([][]string, 0, len(all))
	for _, el := range all {
		state := el.GetState()
		if el.GetCancelRequested() {
			state += ", cancelling"
		}
		cause := el.GetCause()
		if el.GetCarriedFrom() != "" {
			cause = "carried over from " + el.GetCarriedFrom()
		}
		rows = append(rows, []string{
			el.GetId(), state, fmt.Sprint(el.GetAttempts()), render.Took(el.GetStartedAt(), el.GetEndedAt()), render.OrDash(el.GetWorker()), render.OrDash(cause),
		})
	}
	if err := e.Table([]string{"ELEMENT", "STATE", "ATTEMPTS", "TOOK", "WORKER", "CAUSE"}, rows); err != nil {
		return err
	}
	if token != "" {
		fmt.Fprintln(e.err, "there are more: use --limit or --state")
	}
	return nil
}

// attemptsOf returns the attempts of an element, or the one that ref names.
func attemptsOf(ctx context.Context, cl *client.Client, ref job.Ref) ([]*client.Attempt, error) {
	only := ref
	ref.Attempt = 0
	attempts, err := cl.Attempts(ctx, ref.String())
	if err != nil || only.Attempt == 0 {
		return attempts, err
	}
	n := len(attempts)
	attempts = slices.DeleteFunc(attempts, func(a *client.Attempt) bool { return a.GetId() != only.String() })
	if len(attempts) == 0 {
		return nil, fmt.Errorf("%s has no attempt %d; it had %s", ref, only.Attempt, render.Plural(int64(n), "attempt"))
	}
	return attempts, nil
}

func (e *env) showAttempts(ctx context.Context, cl *client.Client, ref job.Ref) error {
	attempts, err := attemptsOf(ctx, cl, ref)
	if err != nil {
		return err
	}
	ref.Attempt = 0
	if e.Structured() {
		return render.List(&e.Printer, attempts)
	}
	if e.Quiet {
		for _, a := range attempts {
			fmt.Fprintln(e.Out, a.GetId())
		}
		return nil
	}
	rows := make([][]string, 0, len(attempts))
	for _, a := range attempts {
		cpu, memory := render.Usage(a)
		rows = append(rows, []string{
			a.GetId(), a.GetState(), render.Stamp(a.GetStartedAt()), render.Took(a.GetStartedAt(), a.GetEndedAt()), cpu, memory,
			render.OrDash(a.GetWorker()), render.OrDash(a.GetCause()),
		})
	}
	header := []string{"ATTEMPT", "STATE", "STARTED", "TOOK", "CPU", "MEMORY", "WORKER", "CAUSE"}
	if slices.ContainsFunc(attempts, func(a *client.Attempt) bool { return len(a.GetDevices()) > 0 }) {
		header = append(header, "DEVICES")
		for i, a := range attempts {
			rows[i] = append(rows[i], render.OrDash(render.Resources(a.GetDevices())))
		}
	}
	if e.Format == "wide" || slices.ContainsFunc(attempts, func(a *client.Attempt) bool {
		return a.GetEndedAt() == nil || !maps.Equal(a.GetResources(), attempts[0].GetResources())
	}) {
		header = append(header, "RESOURCES")
		for i, a := range attempts {
			rows[i] = append(rows[i], render.OrDash(render.Resources(a.GetResources())))
		}
	}
	if len(rows) == 0 {
		fmt.Fprintf(e.err, "%s has had no attempt yet; see reeve explain %s\n", ref, ref)
		return nil
	}
	return e.Table(header, rows)
}
