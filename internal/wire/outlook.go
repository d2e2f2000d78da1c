package wire

import (
	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/forecast"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/plan"
	"github.com/reeve-scheduler/reeve/internal/plan/why"

	reevev1 "github.com/reeve-scheduler/reeve/gen/reeve/v1"
)

// Explanation writes why a task waits, and what is expected of it.
func Explanation(x *core.Explanation) *reevev1.Explanation {
	out := &reevev1.Explanation{Task: x.Task, State: x.State.String(), WouldStartWith: changes(x.Changes), Waiting: x.Pending}
	for _, r := range x.Reasons {
		out.Reasons = append(out.Reasons, &reevev1.Reason{Kind: r.Kind, Text: r.Text})
	}
	if e := &x.Expected; e.Started > 0 {
		out.ExpectedStart, out.ExpectedWorker = Time(e.First), e.Worker
		if e.Started >= x.Pending {
			out.ExpectedLastStart = Time(e.Last)
		}
	}
	return out
}

func changes(list []forecast.Change) (out []*reevev1.Change) {
	for _, c := range list {
		one := &reevev1.Change{Text: c.String(), Resource: c.Resource, Label: c.Label, TimeoutMs: c.Length, Namespace: c.Limit.Namespace, Queue: c.Limit.Queue}
		one.From, one.To = c.Amounts()
		out = append(out, one)
	}
	return out
}

func reasons(list []why.Reason) (out []*reevev1.Reason) {
	for _, r := range list {
		out = append(out, &reevev1.Reason{Kind: r.Kind, Text: r.Text})
	}
	return out
}

// Expect adds to an unfinished job what a course of a cluster says of it, and of its tasks if it
// has them.
func Expect(out *reevev1.Job, m *core.JobImage, c *forecast.Course, of *forecast.Cluster) {
	is := c.Jobs[m.ID]
	waits := false
	for i := range m.Tasks {
		pending := m.Tasks[i].Counts[job.Pending] > 0
		waits = waits || pending
		if i < len(out.GetTasks()) && pending {
			expectTask(out.GetTasks()[i], plan.GroupID{Job: m.ID, Task: uint32(i)}, c, of.WorkerName)
		}
	}
	if waits {
		out.ExpectedStart, out.ExpectedAtLeast = Time(is.Start), is.Start > 0 && of.More
	}
	if !is.Open && is.End > c.Now {
		out.ExpectedEnd = Time(is.End)
	}
}

func expectTask(out *reevev1.Task, id plan.GroupID, c *forecast.Course, worker func(uint64) string) {
	first := c.Starts[id]
	id.Alone = true
	if s := c.Starts[id]; first.Started == 0 || s.Started > 0 && s.First < first.First {
		first = s
	}
	if first.Started > 0 {
		out.ExpectedStart, out.ExpectedWorker = Time(first.First), worker(first.Worker)
	}
}

// Effect writes what would happen if a job were submitted; now is in Unix milliseconds. The
// jobs that would start later are left to the caller.
func Effect(out *reevev1.PlanResponse, e *forecast.Effect, now int64) {
	out.Verdict = [...]string{forecast.Starts: "starts", forecast.Waits: "waits", forecast.Never: "never"}[e.Verdict]
	out.Summary, out.ExpectedEnd, out.AtLeast = e.Summary(now), Time(e.End), e.AtLeast
	if e.Late != nil {
		out.DeadlineWarning = e.Late.String(now)
	}
	for i := range e.Tasks {
		t := &e.Tasks[i]
		one := &reevev1.PlannedTask{
			Name: t.Name, Count: t.Count, Starting: t.Started, ExpectedStart: Time(t.First), ExpectedEnd: Time(t.Ends), ExpectedWorker: t.Worker,
			Skipped: t.Skipped, Reasons: reasons(t.Reasons), WouldStartWith: changes(t.Changes),
		}
		if t.Started == t.Count {
			one.ExpectedLastStart = Time(t.Last)
		}
		out.Tasks = append(out.Tasks, one)
	}
}
