package forecast

import (
	"cmp"
	"slices"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/plan"
	"github.com/reeve-scheduler/reeve/internal/plan/why"
)

// Verdict is what would become of a job.
type Verdict uint8

const (
	// Starts: all of it that waits for nothing else in it would start at once.
	Starts Verdict = iota
	// Waits: some of that would wait.
	Waits
	// Never: some task of it could not start as the cluster is, even if nothing else ran.
	Never
)

// TaskCourse is what would happen to a task. Times are Unix milliseconds, 0 for unknown.
type TaskCourse struct {
	Name string
	// Started is how many of Count elements start within the forecast.
	Started, Count int64
	First, Last    int64
	// Ends is when the last element would end.
	Ends int64
	// Worker names where the first element would start.
	Worker string
	// Skipped: it would run only if something else did not succeed.
	Skipped bool
	// Never: it could not start as the cluster is, even if nothing else ran.
	Never bool
	// Reasons is why it would not start at once, though it needs nothing else, or never, and
	// Changes what would let it.
	Reasons []why.Reason
	Changes []Change
}

// Delay is what a job that waits would lose by another.
type Delay struct {
	Job job.ID
	// From is the expected start of some of it without the other, To with it, 0 for later than is
	// known.
	From, To int64
}

// Effect is what would happen if a job were submitted now.
type Effect struct {
	Verdict Verdict
	Tasks   []TaskCourse
	// End is when it would end, 0 for unknown, and Late that this is after its deadline.
	End  int64
	Late *Late
	// Delays is the jobs that would start later, the most delayed first.
	Delays []Delay
	// AtLeast: more waits than was looked at, so that times are at the earliest and there may be
	// more delays.
	AtLeast bool
	// Evicts is jobs of which attempts would have to make room.
	Evicts []job.ID
}

// WhatIf says what would happen if a job were submitted now, beside what would happen
// otherwise. stop is as in Forecast.
func (c *Cluster) WhatIf(j *Job, otherwise *Course, stop func() bool) *Effect {
	asked, known := *j, true
	for _, id := range j.After {
		is, ok := otherwise.Jobs[id]
		known = known && ok && !is.Open
		asked.From = max(asked.From, is.End)
	}
	if !known {
		asked.Tasks = slices.Clone(asked.Tasks)
		for i := range asked.Tasks {
			asked.Tasks[i].Held = true
		}
	}
	with := *c
	with.Jobs = append(slices.Clone(c.Jobs), asked)
	e := with.engine(true)
	e.stop = stop
	e.settle()
	e.follow()
	course, m := e.finish(&with), with.Moment()
	out := &Effect{Tasks: make([]TaskCourse, len(j.Tasks)), AtLeast: c.More}
	for i := range j.Tasks {
		out.Verdict = max(out.Verdict, m.askedTask(&out.Tasks[i], &j.Tasks[i], course, e.graphs[j.ID].at[i].skipped))
	}
	if is := course.Jobs[j.ID]; !is.Open {
		out.End = is.End
	}
	for i := range course.Late {
		if course.Late[i].Job == j.ID {
			out.Late = &course.Late[i]
		}
	}
	out.Delays = delays(c, otherwise, course)
	for _, v := range course.Evicted {
		if v.For == j.ID && !slices.Contains(out.Evicts, v.Of) {
			out.Evicts = append(out.Evicts, v.Of)
		}
	}
	return out
}

// askedTask says what becomes of a task of a job that is asked about.
func (m *Moment) askedTask(out *TaskCourse, t *Task, c *Course, skipped bool) Verdict {
	id := t.Group.ID
	s := c.Starts[id]
	*out = TaskCourse{Name: t.Name, Count: t.Count, Started: s.Started, First: s.First, Last: s.Last, Skipped: skipped}
	if s.Started > 0 {
		out.Worker = m.c.WorkerName(s.Worker)
	}
	if s.Started == t.Count {
		out.Ends = s.Ends
	}
	if reasons := m.never(t); reasons != nil && !skipped {
		out.Never, out.Reasons, out.Changes = true, reasons, m.Changes(id, t.Learned)
		return Never
	}
	if out.Reasons = slices.Concat(t.Waits, t.Blocked); len(out.Reasons) > 0 && !skipped {
		return Waits
	}
	if !m.Waits(id) {
		return Starts
	}
	out.Reasons = append(m.whys(t), m.Kept(id)...)
	if s.Started == 0 {
		out.Reasons = append(out.Reasons, m.unknown(c, id)...)
	} else {
		out.Reasons = append(out.Reasons, m.more()...)
	}
	out.Changes = m.Changes(id, t.Learned)
	return Waits
}

// whys is why a task's elements do not start now in any of the ways in which they can be served.
func (m *Moment) whys(t *Task) []why.Reason {
	if len(t.Others) == 0 {
		return m.Why(t.Group.ID).Reasons()
	}
	var out []why.Reason
	for _, g := range append([]plan.Group{t.Group}, t.Others...) {
		for _, r := range m.Why(g.ID).Reasons() {
			switch {
			case r.Kind != "turn":
				out = append(out, inWay(g, r))
			case g.ID == t.Group.ID: // whose turn it is, is the same in every way
				out = append(out, r)
			}
		}
	}
	return out
}

// inWay says of which way a reason is.
func inWay(g plan.Group, r why.Reason) why.Reason {
	r.Text = "with " + job.FormatResources(g.Shape.Resources) + ": " + r.Text
	return r
}

// never is why a task could never start as the cluster is, nil if it could.
func (m *Moment) never(t *Task) []why.Reason {
	reasons := m.hopeless(t.Group)
	if reasons == nil || len(t.Others) == 0 {
		return reasons
	}
	var out []why.Reason
	for _, r := range reasons {
		out = append(out, inWay(t.Group, r))
	}
	for _, g := range t.Others {
		reasons := m.hopeless(g)
		if reasons == nil {
			return nil
		}
		for _, r := range reasons {
			out = append(out, inWay(g, r))
		}
	}
	return out
}

// hopeless is why a group could never start as the cluster is, nil if it could.
func (m *Moment) hopeless(g plan.Group) []why.Reason {
	waits := m.e.groups[first(g.ID)]
	n := int64(1)
	if waits != nil && waits.N > 0 {
		n = waits.N
	}
	m.e.x.SetGroup(g, n)
	y := m.Why(g.ID)
	if waits != nil && waits.N > 0 {
		m.e.tell(waits)
	} else {
		m.e.x.SetReady(g.ID, 0)
	}
	var out []why.Reason
	for _, l := range y.Limits {
		if l.Need > l.Most {
			out = append(out, why.Reason{Kind: "limit", Text: l.String()})
		}
	}
	if y.Short() {
		for _, r := range y.Reasons() {
			if r.Kind == "no_worker" {
				out = append(out, r)
			}
		}
	}
	return out
}

// delays compares two courses of what waits, by job.
func delays(c *Cluster, before, after *Course) []Delay {
	var out []Delay
	at := map[job.ID]int{}
	for _, w := range c.Waiting {
		was, is := before.Starts[w.Group.ID], after.Starts[w.Group.ID]
		if was.Started == 0 || is.Started > 0 && is.First <= was.First {
			continue
		}
		d := Delay{Job: w.Group.ID.Job, From: was.First}
		if is.Started > 0 {
			d.To = is.First
		}
		switch i, ok := at[d.Job]; {
		case !ok:
			at[d.Job] = len(out)
			out = append(out, d)
		case d.lost() > out[i].lost():
			out[i] = d
		}
	}
	slices.SortStableFunc(out, func(a, b Delay) int { return cmp.Compare(b.lost(), a.lost()) })
	return out
}

func (d Delay) lost() int64 {
	if d.To == 0 {
		return MaxAhead
	}
	return d.To - d.From
}
