package core

import (
	"fmt"
	"slices"

	"github.com/reeve-scheduler/reeve/internal/element"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/limit"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// worklist is what applied events have left to be looked at. It is filled by
// Apply and emptied by Follow; a replica that only applies forgets it.
type worklist struct {
	jobs  []job.ID
	tasks []taskKey
	ready []readyTask
	spans []endedSpan
	stops []stopping
	// gangs is those of which an attempt has ended.
	gangs []taskKey
	over  []job.ID
	// rivals is groups that wait for a key, and cancel for it what holds it.
	rivals []limit.Group
	// ahead is what was sent ahead and may not come first any more.
	ahead []overtaken
	// comers is jobs that may come before what was sent ahead, crowds the queues of more.
	comers []job.ID
	crowds []*queue
	// again is the first of the jobs that are all to be looked at again, 0 for none.
	again job.ID
	// at is the job that is being looked at.
	at job.ID
}

type taskKey struct {
	job  job.ID
	task uint32
}

// readyTask is a task whose elements from a position on are to be looked at, for its needs
// from a place on.
type readyTask struct {
	taskKey
	from int64
	need int
}

// endedSpan is elements that ended, to be looked at for the tasks that need theirs from a
// place on.
type endedSpan struct {
	taskKey
	span element.Span
	need int
}

// stopping is attempts that were asked to end, those from a position on, whose workers
// are to be told. Who is not told, since the leader has died, hears of it when it compares.
type stopping struct {
	AttemptsStopped
	from int64
}

func (w *worklist) job(id job.ID)   { w.jobs = append(w.jobs, id) }
func (w *worklist) ended(id job.ID) { w.over = append(w.over, id) }
func (w *worklist) rival(g limit.Group) {
	if n := len(w.rivals); n == 0 || w.rivals[n-1] != g {
		w.rivals = append(w.rivals, g)
	}
}
func (w *worklist) task(id job.ID, ti uint32) {
	w.tasks = append(w.tasks, taskKey{id, ti})
}
func (w *worklist) readied(id job.ID, ti uint32) {
	w.ready = append(w.ready, readyTask{taskKey: taskKey{id, ti}})
}
func (w *worklist) elements(id job.ID, ti uint32, span element.Span) {
	w.spans = append(w.spans, endedSpan{taskKey: taskKey{id, ti}, span: span})
}

func (w *worklist) stopped(e AttemptsStopped) { w.stops = append(w.stops, stopping{e, 0}) }

// Forget drops what Follow would look at: for replicas that only apply.
func (s *State) Forget() { s.follow = worklist{} }

// Unsettled reports whether Place has left something for Follow to look at: who is given
// a slot may be in the way of a job that cancels for it, and what was sent ahead in that of one that
// has found no place.
func (s *State) Unsettled() bool { return len(s.follow.rivals) > 0 || len(s.follow.ahead) > 0 }

// Bounds of one call of Follow: what a large array, a job of many tasks or one that many
// wait for entails is decided in slices. What is decided at once for one task or one job
// may go beyond the last two.
const (
	sliceElements = 8192
	sliceEvents   = 1000
	sliceBytes    = 1 << 20
	spanBytes     = 8 // about what a span takes in a record
)

// heavy reports whether the rest is for another slice.
func (d *Decision) heavy() bool { return len(d.Events) >= sliceEvents || d.bytes >= sliceBytes }

// Follow decides what one of the events applied before entails. The caller applies
// the decision and calls again until more is false. Each decision is small, and
// between two of them a batch may end: what is lost then Recheck finds again.
func (s *State) Follow(now int64) (d Decision, more bool) {
	w := &s.follow
	switch {
	case len(w.spans) > 0:
		e := w.spans[0]
		if e.span.Last-e.span.First >= sliceElements {
			e.span.Last = e.span.First + sliceElements - 1
			w.spans[0].span.First = e.span.Last + 1
		} else {
			w.spans = pop(w.spans)
		}
		w.at = e.job
		s.followElements(&d, e, now)
	case len(w.ready) > 0:
		k := w.ready[0]
		w.ready = pop(w.ready)
		w.at = k.job
		s.followReady(&d, k, now)
	case len(w.tasks) > 0:
		k := w.tasks[0]
		w.tasks = pop(w.tasks)
		w.at = k.job
		s.followTask(&d, k, now)
	case len(w.jobs) > 0:
		id := w.jobs[0]
		w.jobs = pop(w.jobs)
		w.at = id
		s.followJob(&d, id, now)
	case len(w.stops) > 0:
		e := w.stops[0]
		w.stops = pop(w.stops)
		w.at = e.Job
		s.followStopped(&d, e)
	case len(w.gangs) > 0:
		k := w.gangs[0]
		w.gangs = pop(w.gangs)
		w.at = k.job
		s.followGang(&d, k, now)
	case len(w.rivals) > 0:
		g := w.rivals[0]
		w.rivals = pop(w.rivals)
		w.at = g.Job
		s.followRival(&d, g, now)
	case len(w.over) > 0:
		id := w.over[0]
		w.over = pop(w.over)
		w.at = id
		s.followOver(&d, id, now)
	case len(w.ahead) > 0:
		o := w.ahead[0]
		w.ahead = pop(w.ahead)
		w.at = o.job
		s.followOvertaken(&d, o)
	case w.again > 0:
		s.recheck()
	default:
		return d, false
	}
	return d, true
}

// pop drops the first item; an emptied list keeps its memory for the next round.
func pop[T any](list []T) []T {
	if len(list) == 1 {
		return list[:0]
	}
	return list[1:]
}

// settled reports whether nothing is to be looked at in a job: it has ended, or was given
// up, so that it ends with what runs of it.
func (s *State) settled(d *Decision, j *jobState, now int64) bool {
	if !j.state.Terminal() && j.stop.Kind == job.CauseQuarantined {
		s.conclude(d, j, now)
		return true
	}
	return j.state.Terminal()
}

// followJob looks at every task of a job whose gates may have opened. It also sees too
// many failures that an earlier leader saw nothing follow from.
func (s *State) followJob(d *Decision, id job.ID, now int64) {
	j := s.jobs.get(id)
	if j == nil || s.settled(d, j, now) {
		return
	}
	for i := range j.tasks {
		if d.heavy() {
			s.follow.job(id)
			return
		}
		s.evaluate(d, j, uint32(i), now)
		s.checkMaxFails(d, j, uint32(i), now)
	}
	if len(d.Events) == 0 {
		s.conclude(d, j, now)
	}
}

// followTask looks at what a task's end means for its neighbours and its job.
func (s *State) followTask(d *Decision, k taskKey, now int64) {
	j := s.jobs.get(k.job)
	if j == nil || s.settled(d, j, now) {
		return
	}
	for _, ti := range j.spec.needed[k.task] {
		if d.heavy() {
			s.follow.task(k.job, k.task)
			return
		}
		s.evaluate(d, j, ti, now)
	}
	if len(d.Events) == 0 {
		s.conclude(d, j, now)
	}
}

// evaluate decides whether a task that waits may start, or never will.
func (s *State) evaluate(d *Decision, j *jobState, ti uint32, now int64) {
	t, spec := &j.tasks[ti], &j.spec.spec.Tasks[ti]
	switch {
	case t.ready || t.over():
		return
	case j.stop.Kind == job.CauseDependency:
		s.skip(d, j, ti, j.stop, now)
		return
	case !j.woken || len(j.waits) > 0:
		return
	}
	blocked := false
	for i, need := range spec.Needs {
		u := &j.tasks[j.spec.ups[ti][i]]
		if need.Each && u.n >= 0 {
			continue
		}
		if !u.over() {
			blocked = true
			continue
		}
		if end := u.counts().TaskState(); job.Decide(need.Condition, end) == job.Skip {
			s.skip(d, j, ti, job.Cause{Kind: job.CauseDependency, Detail: fmt.Sprintf("task %s %s", need.Task, end)}, now)
			return
		}
	}
	if blocked {
		return
	}
	count, items, err := s.elements(j, ti)
	size := sizeOf(items)
	if err == nil && size > 0 && j.itemsSize()+d.bytes+size > MaxArrayItems {
		err = fmt.Errorf("array: the items of the job's arrays take more than %s in all; let each element find its item by its index",
			job.FormatSize(MaxArrayItems))
	}
	if err != nil {
		s.end(d, j, ti, job.Failed, job.Cause{Kind: job.CauseExpression, Detail: err.Error()}.Trim(), now)
		return
	}
	d.Events = append(d.Events, TaskReady{Job: j.id, Task: ti, Count: count, Items: items})
	d.bytes += size
}

// sizeOf is about how many bytes of memory items take.
func sizeOf(items []string) (size int) {
	const header = 16
	for _, item := range items {
		size += header + len(item)
	}
	return size
}

// itemsSize is what the items of all of a job's tasks take.
func (j *jobState) itemsSize() (size int) {
	for i := range j.tasks {
		size += sizeOf(j.tasks[i].items)
	}
	return size
}

// elements works out how many elements a task has.
func (s *State) elements(j *jobState, ti uint32) (int64, []string, error) {
	t, spec := &j.tasks[ti], &j.spec.spec.Tasks[ti]
	count, items := t.n, t.items
	if count < 0 {
		var err error
		if count, items, err = evalArray(j, ti); err != nil {
			return 0, nil, err
		}
	}
	for i, need := range spec.Needs {
		u := &j.tasks[j.spec.ups[ti][i]]
		if need.Each && u.n != count && u.n >= 0 {
			return 0, nil, fmt.Errorf("array: %d elements, but task %s, which it needs element by element, has %d", count, need.Task, u.n)
		}
	}
	return count, items, nil
}

func (s *State) skip(d *Decision, j *jobState, ti uint32, c job.Cause, now int64) {
	s.end(d, j, ti, job.Skipped, c, now)
}

// end ends all pending elements of a task.
func (s *State) end(d *Decision, j *jobState, ti uint32, state job.ElementState, c job.Cause, now int64) {
	n := max(j.tasks[ti].n, 1)
	d.Events = append(d.Events, ElementsEnded{
		Job: j.id, Task: ti, Spans: []element.Span{{First: 0, Last: n - 1}}, State: state, Cause: c, At: now,
	})
}

// followReady looks at one need of a slice of the elements of a task, those whose
// element-wise needs were met, or can't be any more, before it became ready.
func (s *State) followReady(d *Decision, k readyTask, now int64) {
	j := s.jobs.get(k.job)
	if j == nil || s.settled(d, j, now) {
		return
	}
	t, needs := &j.tasks[k.task], j.spec.spec.Tasks[k.task].Needs
	if t.over() {
		s.follow.task(j.id, k.task)
		return
	}
	if t.arr == nil || !t.arr.gated {
		return
	}
	each := func(n job.Need) bool { return n.Each }
	first := slices.IndexFunc(needs, each)
	need := max(k.need, first)
	u := j.spec.ups[k.task][need]
	slice := element.Span{First: k.from, Last: min(k.from+sliceElements, t.n) - 1}
	spans := []element.Span{slice}
	if j.tasks[u].n >= 0 { // else it ended before it was known how many it has
		spans = endedSpans(&j.tasks[u], slice)
	}
	for _, span := range spans {
		e := endedSpan{taskKey: taskKey{j.id, u}, span: span}
		// What may start has its first need met, and is opened by that.
		if !s.skipElements(d, j, k.task, e, now) && need == first {
			s.openElements(d, j, k.task, span)
		}
	}
	if next := slices.IndexFunc(needs[need+1:], each); next >= 0 {
		k.need = need + 1 + next
	} else {
		k.from, k.need = k.from+sliceElements, 0
	}
	if k.from < t.n {
		s.follow.ready = append(s.follow.ready, k)
	}
}

// endedSpans is the terminal elements of a slice of an array as runs of one state.
func endedSpans(t *task, slice element.Span) []element.Span {
	var out []element.Span
	for p := slice.First; p <= slice.Last; p++ {
		if !t.state(p).Terminal() {
			continue
		}
		if k := len(out); k > 0 && out[k-1].Last == p-1 && t.state(out[k-1].First) == t.state(p) {
			out[k-1].Last = p
			continue
		}
		out = append(out, element.Span{First: p, Last: p})
	}
	return out
}

// followElements decides what the end of some elements, all in one state, means
// for max_fails and for tasks that need this one element by element.
func (s *State) followElements(d *Decision, e endedSpan, now int64) {
	j := s.jobs.get(e.job)
	if j == nil || s.settled(d, j, now) {
		return
	}
	if end := j.tasks[e.task].state(e.span.First); end == job.Failed || end == job.TimedOut {
		s.checkMaxFails(d, j, e.task, now)
	}
	for n, ti := range j.spec.needed[e.task][e.need:] {
		if d.heavy() {
			e.need += n
			s.follow.spans = append(s.follow.spans, e)
			return
		}
		if t := &j.tasks[ti]; t.arr != nil && t.arr.gated && t.ready && !t.over() {
			if !s.skipElements(d, j, ti, e, now) {
				s.openElements(d, j, ti, e.span)
			}
		}
	}
}

// skipElements skips the elements of task ti that can't run any more, since those
// of a span that they need ended as they did. It reports whether that is so.
func (s *State) skipElements(d *Decision, j *jobState, ti uint32, e endedSpan, now int64) bool {
	spec := &j.spec.spec.Tasks[ti]
	for i, need := range spec.Needs {
		if !need.Each || j.spec.ups[ti][i] != e.task {
			continue
		}
		end := j.tasks[e.task].state(e.span.First)
		if job.Decide(need.Condition, end) == job.Skip {
			d.Events = append(d.Events, ElementsEnded{
				Job: j.id, Task: ti, Spans: []element.Span{e.span}, State: job.Skipped, At: now,
				Cause: job.Cause{Kind: job.CauseDependency, Detail: fmt.Sprintf("its element of task %s %s", need.Task, end)},
			})
			return true
		}
	}
	return false
}

// openElements opens those elements of a span whose needs are all met.
func (s *State) openElements(d *Decision, j *jobState, ti uint32, span element.Span) {
	var open element.Set
	for p := span.First; p <= span.Last; p++ {
		if s.eachMet(j, ti, p) {
			open.Add(p)
		}
	}
	if open.Len() > 0 {
		spans := open.Spans()
		d.Events = append(d.Events, ElementsOpened{Job: j.id, Task: ti, Spans: spans})
		d.bytes += len(spans) * spanBytes
	}
}

// eachMet reports whether every element-wise need of an untouched pending element
// is met, and it has not been opened yet.
func (s *State) eachMet(j *jobState, ti uint32, p int64) bool {
	t, spec := &j.tasks[ti], &j.spec.spec.Tasks[ti]
	if r := t.record(p); r.State != job.Pending || r.Attempts > 0 || t.arr.open.Has(p) {
		return false
	}
	for i, need := range spec.Needs {
		if !need.Each {
			continue
		}
		u := &j.tasks[j.spec.ups[ti][i]]
		if end := u.state(p); !end.Terminal() || job.Decide(need.Condition, end) == job.Skip {
			return false
		}
	}
	return true
}

// checkMaxFails ends an array of which too many elements have failed. Where what waits runs
// on, each further failure asks what runs by then to end.
func (s *State) checkMaxFails(d *Decision, j *jobState, ti uint32, now int64) {
	t, rule := &j.tasks[ti], j.spec.spec.Tasks[ti].MaxFails
	if rule == nil || t.arr == nil {
		return
	}
	c := t.counts()
	failed := c[job.Failed] + c[job.TimedOut]
	if t.over() || t.stop.Kind != job.CauseNone || !rule.Reached(failed, t.n) {
		return
	}
	cause := job.Cause{Kind: job.CauseMaxFails, Code: int32(min(failed, 1<<30))}
	if rule.Pending != "run" {
		d.Events = append(d.Events, CancelRequested{Job: j.id, Task: ti, Cause: cause, At: now})
		s.skip(d, j, ti, cause, now)
		if rule.Running == "cancel" {
			s.stopLive(d, j, ti, nil, cause, false)
		}
		return
	}
	if rule.Running == "cancel" && cause.Code > t.asked { // in one event, which also says for how many
		d.Events = append(d.Events, AttemptsStopped{Job: j.id, Task: ti, Cause: cause, Grace: millis(j.spec.spec.Tasks[ti].Grace)})
	}
}

// conclude ends a job all of whose tasks have ended.
func (s *State) conclude(d *Decision, j *jobState, now int64) {
	ends := make([]job.End, len(j.tasks))
	for i := range j.tasks {
		if !j.tasks[i].over() {
			return
		}
		ends[i].State = j.tasks[i].counts().TaskState()
	}
	for i := range j.tasks {
		for k, need := range j.spec.spec.Tasks[i].Needs {
			if job.Handles(need.Condition) && ends[i].State == job.Succeeded {
				ends[j.spec.ups[i][k]].Handled = true
			}
		}
	}
	e := JobEnded{Job: j.id, State: job.Outcome(ends, j.stop.Kind), At: now}
	switch e.State {
	case job.JobCancelled:
		e.Cause = j.stop
		if e.Cause.Kind == job.CauseNone {
			e.Cause = j.spoiled
		}
		e.Code = int32(e.Cause.ExitCode())
	case job.JobFailed:
		e.Cause, e.Code = j.spoiled, max(j.code, 1)
		if j.stop.Kind == job.CauseDeadline || j.stop.Kind == job.CauseQuarantined {
			e.Cause, e.Code = j.stop, int32(j.stop.ExitCode())
		}
	}
	d.Events = append(d.Events, e)
}

// followOver tells some of the jobs that waited for one that has ended.
func (s *State) followOver(d *Decision, id job.ID, now int64) {
	j, waiting := s.jobs.get(id), s.waiters[id]
	for n, w := range waiting {
		if d.heavy() {
			s.waiters[id] = waiting[n:]
			s.follow.ended(id)
			return
		}
		if k := s.jobs.get(w); k != nil && !k.state.Terminal() {
			s.meet(d, k, id, j.state, now)
		}
	}
	delete(s.waiters, id)
}

// meet decides what the end of job on means for job k, which waits for it.
func (s *State) meet(d *Decision, k *jobState, on job.ID, end job.State, now int64) {
	waits := false
	for _, w := range k.waits {
		if w.Job != on {
			continue
		}
		waits = true
		if job.Decide(w.Condition, job.AfterJob(end)) == job.Run {
			continue
		}
		cause := job.Cause{Kind: job.CauseDependency, Detail: fmt.Sprintf("job %d %s", on, end)}
		d.Events = append(d.Events, doom(k.id, cause, now))
		return
	}
	if waits { // a leader that has recovered looks at what was told already
		d.Events = append(d.Events, AfterMet{Job: k.id, On: on})
	}
}

// doom ends a job whose dependencies were not met: evaluate skips its tasks.
func doom(id job.ID, cause job.Cause, now int64) CancelRequested {
	return CancelRequested{Job: id, Task: NoTask, Kill: true, Cause: cause, At: now}
}

// stopLive asks the live attempts of a task, or of some of its elements, to end: each by
// an event of its own, unless they are many. It returns how many there are.
func (s *State) stopLive(d *Decision, j *jobState, ti uint32, spans []element.Span, c job.Cause, kill bool) (live int64) {
	all := AttemptsStopped{Job: j.id, Task: ti, Spans: spans, Cause: c}
	if !kill {
		all.Grace = millis(j.spec.spec.Tasks[ti].Grace)
	}
	var asked []*attempt
	for a := j.tasks[ti].nextLive(0); a != nil; a = j.tasks[ti].nextLive(a.position + 1) {
		if !within(spans, a.position) || a.ended != nil {
			continue
		}
		live++
		if len(asked) <= sliceEvents && all.asks(a) {
			asked = append(asked, a)
		}
	}
	if len(asked) > sliceEvents {
		d.Events = append(d.Events, all)
		return live
	}
	for _, a := range asked {
		d.Events = append(d.Events, AttemptStopped{Fence: a.fence, Cause: c, Grace: all.Grace})
		d.Sends = append(d.Sends, Send{Worker: a.worker.id, Msg: link.ToWorker{Stop: stopMessage(a.fence, all.Grace, c)}})
	}
	return live
}

// followStopped tells the workers of a slice of what was asked to end at once.
func (s *State) followStopped(d *Decision, e stopping) {
	j := s.jobs.get(e.Job)
	if j == nil {
		return
	}
	t := &j.tasks[e.Task]
	for a := t.nextLive(e.from); a != nil; a = t.nextLive(a.position + 1) {
		if len(d.Sends) >= sliceEvents {
			e.from = a.position
			s.follow.stops = append(s.follow.stops, e)
			return
		}
		if a.stop == e.Cause && a.grace == e.Grace {
			d.Sends = append(d.Sends, Send{Worker: a.worker.id, Msg: link.ToWorker{Stop: stopMessage(a.fence, a.grace, a.stop)}})
		}
	}
}
