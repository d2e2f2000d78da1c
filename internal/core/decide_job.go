package core

import (
	"cmp"
	"encoding/json"

	"github.com/reeve-scheduler/reeve/internal/element"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/jobfile"
	"github.com/reeve-scheduler/reeve/internal/jobfile/expr"
)

func (s *State) decideSubmit(in Input, c Submit) (Decision, error) {
	n, err := s.space(c.Namespace)
	if err != nil {
		return Decision{}, err
	}
	if _, err := n.queue(queueName(c.Spec)); err != nil {
		return Decision{}, err
	}
	if err := s.checkSpec(c.Spec); err != nil {
		return Decision{}, err
	}
	if len(c.Items) == 0 || len(c.Items) > MaxItems {
		return Decision{}, refuse(job.Invalid, "a submit of %d items; want 1 to %d", len(c.Items), MaxItems)
	}
	if n := len(c.Items) * len(c.Spec.Tasks); n > MaxSubmitTasks {
		return Decision{}, refuse(job.Invalid, "a submit of %d jobs with %d tasks each; at most %d tasks in all are allowed: submit fewer at a time",
			len(c.Items), len(c.Spec.Tasks), MaxSubmitTasks)
	}
	waits, doomed, err := s.waitsOf(c)
	if err != nil {
		return Decision{}, err
	}
	allowed := s.newAdmission(n, c.Spec)
	d := Decision{Events: make([]Event, 0, len(c.Items)+1)}
	replies := make([]Submitted, len(c.Items))
	var fresh map[string]int
	id := s.nextJob
	for i := range c.Items {
		item := &c.Items[i]
		if item.Key != "" {
			found, err := s.byKey(c, item)
			if err != nil {
				return Decision{}, err
			}
			if first, ok := fresh[item.Key]; ok {
				if c.Items[first].Body != item.Body {
					return Decision{}, keyConflict(item.Key, replies[first].ID)
				}
				found = replies[first].ID
			}
			if found != 0 {
				replies[i] = Submitted{ID: found, Existed: true}
				continue
			}
			if fresh == nil {
				fresh = make(map[string]int, len(c.Items))
			}
			fresh[item.Key] = i
		}
		// Recovery loads the specs of live jobs alone: only one of those spares the text.
		if sp := s.specs[c.Hash]; len(d.Events) == 0 && (sp == nil || sp.live == 0) {
			d.Events = append(d.Events, SpecAdded{Hash: c.Hash, Canonical: c.Canonical})
		}
		replies[i] = Submitted{ID: id}
		e := submitted(id, &c, item, waits, in.Now)
		if e.Keys, err = allowed.take(&c, i); err != nil {
			return Decision{}, err
		}
		d.Events = append(d.Events, e)
		if doomed.Kind != job.CauseNone {
			d.Events = append(d.Events, doom(id, doomed, in.Now))
		}
		id++
	}
	if err := allowed.check(); err != nil {
		return Decision{}, err
	}
	d.Reply = replies
	return d, nil
}

// queueName is the queue that a spec names, or the one that always exists.
func queueName(spec *job.Spec) string { return cmp.Or(spec.Queue, DefaultName) }

func submitted(id job.ID, c *Submit, item *Item, waits []Wait, now int64) JobSubmitted {
	return JobSubmitted{
		ID: id, UID: item.UID, Namespace: c.Namespace, Spec: c.Hash, Params: item.Params, Payload: item.Payload,
		Key: item.Key, Body: item.Body, By: c.By, At: now, Held: c.Held,
		StartAfter: c.Spec.StartAfter.Resolve(now), StartBefore: c.Spec.StartBefore.Resolve(now), Deadline: c.Spec.Deadline.Resolve(now),
		Waits: waits, RetryOf: item.RetryOf, Carry: item.Carry,
	}
}

// waitsOf sorts the jobs that a submit depends on: those that have not ended are
// waited for; one that has ended badly dooms the submit.
func (s *State) waitsOf(c Submit) (waits []Wait, doomed job.Cause, err error) {
	for _, after := range c.Spec.After {
		state, known := job.JobPending, false
		if j := s.jobs.get(after.Job); j != nil && j.queue.space.name == c.Namespace {
			state, known = j.state, true // a job of another namespace does not exist here
		}
		for _, e := range c.Ended {
			if !known && e.ID == after.Job {
				state, known = e.State, true
			}
		}
		switch {
		case !known && c.ReadSeq < s.horizon:
			return nil, doomed, refuse(job.Stale, "what was read of job %d is outdated; try again", after.Job)
		case !known:
			return nil, doomed, refuse(job.NotFound, "after: job %d does not exist, or is past its retention", after.Job)
		case !state.Terminal():
			waits = append(waits, Wait{Job: after.Job, Condition: after.Condition})
		case job.Decide(after.Condition, job.AfterJob(state)) == job.Skip:
			doomed = job.Cause{Kind: job.CauseDependency, Detail: "job " + after.Job.String() + " " + state.String()}
		}
	}
	return waits, doomed, nil
}

// byKey finds the job that an item's key stands for already, 0 for none.
func (s *State) byKey(c Submit, item *Item) (job.ID, error) {
	if j := s.keyed(nameKey{c.Namespace, item.Key}); j != nil {
		if j.body != item.Body {
			return 0, keyConflict(item.Key, j.id)
		}
		return j.id, nil
	}
	if c.ReadSeq < s.horizon {
		return 0, refuse(job.Stale, "what was read of key %q is outdated; try again", item.Key)
	}
	if f := item.Existing; f != nil {
		if f.Body != item.Body {
			return 0, keyConflict(item.Key, f.ID)
		}
		return f.ID, nil
	}
	return 0, nil
}

func keyConflict(key string, id job.ID) error {
	return refuse(job.Exists, "idempotency key %q belongs to job %d, which was submitted with another body; use another key", key, id)
}

// find returns a job that has not ended, for a command that changes its course.
func (s *State) find(id job.ID, ti uint32) (*jobState, error) {
	j := s.jobs.get(id)
	if j == nil {
		return nil, refuse(job.NotFound, "job %d does not exist, or has ended", id)
	}
	if ti != NoTask && int(ti) >= len(j.tasks) {
		return nil, refuse(job.NotFound, "job %d has no task number %d", id, ti)
	}
	return j, nil
}

func (s *State) decideCancel(in Input, c Cancel) (Decision, error) {
	j, err := s.find(c.Job, c.Task)
	if err != nil {
		return Decision{}, err
	}
	cause := job.Cause{Kind: job.CauseCancelled, Detail: c.By}
	if c.Kill {
		cause.Kind = job.CauseKilled
	}
	if c.Reason != "" {
		cause.Detail += " (" + c.Reason + ")"
	}
	cause = cause.Trim()
	var d Decision
	var reply Cancelled
	if j.state.Terminal() || c.Task != NoTask && j.tasks[c.Task].over() {
		d.Reply = Cancelled{AlreadyEnded: true}
		return d, nil
	}
	if c.Task != NoTask && j.spec.spec.Tasks[c.Task].Nodes > 0 {
		c.Spans = nil // a gang ends as a whole
	}
	if c.Task == NoTask && j.stop.Kind != job.CauseNone && (j.killed || !c.Kill) {
		// It ends already; the first reason stays.
	} else if c.Spans == nil {
		d.Events = append(d.Events, CancelRequested{Job: j.id, Task: c.Task, Kill: c.Kill, Cause: cause, At: in.Now})
	} else if err := element.CheckSpans(c.Spans, max(j.tasks[c.Task].n, 1)); err != nil {
		return Decision{}, refuse(job.Invalid, "elements: %s", err)
	}
	for i := range j.tasks {
		ti := uint32(i)
		if c.Task != NoTask && c.Task != ti || c.Task == NoTask && !c.Kill && s.cleansUp(j, ti) {
			continue
		}
		cancelled, stopping := s.cancelTask(&d, j, ti, c.Spans, cause, in.Now)
		reply.Cancelled += cancelled
		reply.Stopping += stopping
	}
	d.Reply = reply
	return d, nil
}

// cancelTask ends what waits of a task, or of some of its elements, and asks what runs to
// end. It returns how many elements that is.
func (s *State) cancelTask(d *Decision, j *jobState, ti uint32, spans []element.Span, cause job.Cause, now int64) (cancelled, stopping int64) {
	t := &j.tasks[ti]
	if cancelled = pendingIn(t, spans); cancelled > 0 {
		ended := spans
		if ended == nil {
			ended = []element.Span{{First: 0, Last: max(t.n, 1) - 1}}
		}
		d.Events = append(d.Events, ElementsEnded{Job: j.id, Task: ti, Spans: ended, State: job.Cancelled, Cause: cause, At: now})
	}
	return cancelled, s.stopLive(d, j, ti, spans, cause, cause.Kind == job.CauseKilled)
}

func pendingIn(t *task, spans []element.Span) int64 {
	if spans == nil || t.arr == nil {
		return t.counts()[job.Pending]
	}
	var n int64
	for _, span := range spans {
		for p := t.arr.table.NextPending(span.First); p >= 0 && p <= span.Last; p = t.arr.table.NextPending(p + 1) {
			n++
		}
	}
	return n
}

func (s *State) decideHold(c Hold) (Decision, error) {
	j, err := s.find(c.Job, c.Task)
	if err != nil {
		return Decision{}, err
	}
	held, what := j.held, "job "+j.id.String()
	if c.Task != NoTask {
		held, what = j.tasks[c.Task].held, what+"."+j.spec.spec.Tasks[c.Task].Name
	}
	if j.state.Terminal() || c.Task != NoTask && j.tasks[c.Task].over() {
		return Decision{}, refuse(job.Refused, "%s has ended; only what waits can be held or released", what)
	}
	if held == c.Held {
		return Decision{}, nil
	}
	return Decision{Events: []Event{HoldSet(c)}}, nil
}

// evalArray works out the elements of an array whose number is an expression.
func evalArray(j *jobState, ti uint32) (int64, []string, error) {
	scope, err := scopeOf(j, ti)
	if err != nil {
		return 0, nil, err
	}
	return expr.Array(j.spec.spec.Tasks[ti].Array.From, scope)
}

func scopeOf(j *jobState, ti uint32) (*expr.Scope, error) {
	params, err := jobfile.DecodeParams(j.params)
	if err != nil {
		return nil, err
	}
	scope := &expr.Scope{
		JobID: j.id, JobName: j.spec.spec.Name, Params: params, Index: job.NoIndex,
		Outputs: map[string]map[string]string{},
	}
	for _, u := range j.spec.uses[ti] {
		outputs := map[string]string{}
		if raw := j.tasks[u].outputs; raw != nil {
			if err := json.Unmarshal(raw, &outputs); err != nil {
				return nil, err
			}
		}
		scope.Outputs[j.spec.spec.Tasks[u].Name] = outputs
	}
	return scope, nil
}
