package core

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/jobfile"
	"github.com/reeve-scheduler/reeve/internal/jobfile/expr"
	"github.com/reeve-scheduler/reeve/internal/limit"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// quotaPause is what a submit waits for that a quota refuses: until something has started.
const quotaPause = 5 * time.Second

// MaxKeys bounds the concurrency keys that are known at the same time.
const MaxKeys = 1_000_000

// admission is what one submit asks of limits.
type admission struct {
	s    *State
	n    *namespace
	spec *job.Spec
	// elements is how many each job has as it begins, and sum how many all have.
	elements, sum int64
	// keyed is the tasks that have keys, NoTask for the job.
	keyed []uint32
	// named counts jobs of this submit that name a key whose conflict is refuse.
	named map[limit.Name]int64
}

func (s *State) newAdmission(n *namespace, spec *job.Spec) *admission {
	a := &admission{s: s, n: n, spec: spec}
	for i := range spec.Tasks {
		a.elements += max(spec.Tasks[i].Array.Len(), 1)
		if spec.Tasks[i].Concurrency != nil {
			a.keyed = append(a.keyed, uint32(i))
		}
	}
	if spec.Concurrency != nil {
		a.keyed = append(a.keyed, NoTask)
	}
	return a
}

// take works out the keys of a submit's job, and refuses one that is in conflict.
func (a *admission) take(c *Submit, i int) ([]KeyOf, error) {
	item := &c.Items[i]
	a.sum += a.elements
	for _, carried := range item.Carry {
		a.sum += carried.Count - max(a.spec.Tasks[carried.Task].Array.Len(), 1) // how many are known by now
		for _, span := range carried.Spans {
			a.sum -= span.Last - span.First + 1
		}
	}
	if len(a.keyed) == 0 {
		return nil, nil
	}
	if err := a.s.checkFormat(FormatLimits, "concurrency"); err != nil {
		return nil, err
	}
	which := ""
	if len(c.Items) > 1 {
		which = fmt.Sprintf("item %d: ", i)
	}
	var params map[string]json.RawMessage
	var keys []KeyOf
	for _, ti := range a.keyed {
		of := a.spec.Concurrency
		if ti != NoTask {
			of = a.spec.Tasks[ti].Concurrency
		}
		if params == nil && strings.Contains(of.Key, "$") {
			var err error
			if params, err = jobfile.DecodeParams(item.Params); err != nil {
				return nil, fault("parameters of a submit: %v", err)
			}
		}
		key, err := expr.Key(of, a.spec.Name, params)
		if err != nil {
			return nil, refuse(job.Invalid, "%s%s", which, err)
		}
		keys = append(keys, KeyOf{Task: ti, Key: key})
		if of.Conflict != job.ConflictRefuse {
			continue
		}
		if err := a.conflict(limit.Name{Namespace: a.n.name, Key: key}, of.Limit); err != nil {
			return nil, refuse(job.Exists, "%s%s", which, err)
		}
	}
	return keys, nil
}

// conflict reports which job is in the way of one more that names a key.
func (a *admission) conflict(name limit.Name, most int64) error {
	k := a.s.limits.Find(name)
	taken := a.named[name]
	if k != nil {
		taken += k.Uses()
	}
	if taken < most {
		if a.named == nil {
			a.named = map[limit.Name]int64{}
		}
		a.named[name]++
		return nil
	}
	who := "another job of this submit names it"
	if k != nil && k.Uses() > 0 {
		who = "an unfinished job names it"
		if first := k.Owners(1); len(first) > 0 {
			who = fmt.Sprintf("job %d holds it", first[0].Job)
		} else if first := k.Queue(1); len(first) > 0 {
			who = fmt.Sprintf("job %d waits for it", first[0].Job)
		}
	}
	if taken > most {
		return fmt.Errorf("concurrency key %q is taken: %s, and %d unfinished jobs name it, of which %d may run; it is free when fewer do", name.Key, who, taken, most)
	}
	return fmt.Errorf("concurrency key %q is taken: %s (%d of %d); it is free when that has ended", name.Key, who, taken, most)
}

// check holds the whole submit against what the namespace may have waiting.
func (a *admission) check() error {
	most := a.n.policy.Pending
	switch {
	case len(a.keyed) > 0 && a.s.limits.Len() > MaxKeys:
		return refuse(job.Busy, "%d concurrency keys are in use; no more are allowed: try again later", a.s.limits.Len())
	case most == 0 || a.sum <= 0 || a.n.pending+a.sum <= most:
		return nil
	case a.sum > most:
		return refuse(job.Refused, "a submit of %d elements; in namespace %s at most %d may wait: submit fewer at a time", a.sum, a.n.name, most)
	}
	return &job.Error{Code: job.Busy, After: quotaPause, Message: fmt.Sprintf(
		"namespace %s has %s waiting, of at most %d: there is no room for %d more; try again later",
		a.n.name, plural(int(a.n.pending), "element", "elements"), most, a.sum)}
}

// decideRelease takes a slot from its holder.
func (s *State) decideRelease(in Input, c ReleaseSlot) (d Decision, err error) {
	fence, err := s.holderOf(c)
	if err == nil {
		d.Events = []Event{SlotReleased{Job: c.Holder.Job, Fence: fence, By: c.By, At: in.Now}}
	}
	return d, err
}

// holderOf finds the attempt that holds a slot of a key, 0 for the job as a whole.
func (s *State) holderOf(c ReleaseSlot) (link.Fence, error) {
	if _, err := s.space(c.Namespace); err != nil {
		return 0, err
	}
	each := c.Holder.Task != ""
	k := s.limits.Find(limit.Name{Namespace: c.Namespace, Key: c.Key, Each: each})
	if k == nil {
		return 0, refuse(job.NotFound, "no unfinished job of namespace %s names concurrency key %q", c.Namespace, c.Key)
	}
	var held []string
	const most = 20
	for _, o := range k.Owners(most) {
		ref := job.Ref{Job: o.Job, Index: job.NoIndex}
		if a := s.attempts[fenceOf(o.Fence)]; a != nil {
			ref = s.refOf(a)
		}
		whole := ref
		if c.Holder.Attempt == 0 {
			whole.Attempt = 0
		}
		if whole == c.Holder {
			return fenceOf(o.Fence), nil
		}
		held = append(held, ref.String())
	}
	switch more := k.Held() - int64(len(held)); {
	case len(held) == 0:
		return 0, refuse(job.NotFound, "%s holds no slot of concurrency key %q; nobody does", c.Holder, c.Key)
	case more > 0:
		held = append(held, fmt.Sprintf("%d more", more))
	}
	return 0, refuse(job.NotFound, "%s holds no slot of concurrency key %q; held by %s", c.Holder, c.Key, strings.Join(held, ", "))
}

func (s *State) applySlotReleased(e SlotReleased) {
	if e.Fence == 0 {
		j := s.change(e.Job)
		for i := range j.slots {
			if k := &j.seldom().slots[i]; k.task == NoTask {
				k.released = true
				s.limits.Free(k.key, limit.Owner{Job: j.id})
			}
		}
		return
	}
	a := s.held(uint64(e.Fence))
	a.released = true
	if k := a.job.slotOf(a.task); k != nil {
		s.limits.Free(k.key, limit.Owner{Job: e.Job, Fence: uint64(e.Fence)})
	}
}

// rivals reports whether a group waits for a key for which its job cancels others.
func (s *State) rivals(j *jobState, g limit.Group) bool {
	k := j.slotOf(NoTask)
	return k != nil && j.concurrency(NoTask).Conflict == job.ConflictCancel && k.key.Waits(g) && j.stop.Kind == job.CauseNone
}

// followRival makes room for a job that could start but for a key, and cancels for it: a newer
// one that waits to do the same leaves no room, or the oldest holders are asked to end.
func (s *State) followRival(d *Decision, g limit.Group, now int64) {
	j := s.jobs.get(g.Job)
	if j == nil || s.settled(d, j, now) || !s.rivals(j, g) {
		return
	}
	k, most := j.slotOf(NoTask).key, j.concurrency(NoTask).Limit
	newer, newest := k.Newer(j.id)
	if newer >= most {
		s.supersede(d, j, newest, k, now)
		return
	}
	need := k.Held() + newer + 1 - most
	var going []*jobState
	for _, o := range k.Owners(int(k.Held())) {
		if h := s.jobs.get(o.Job); h.stop.Kind != job.CauseNone {
			need--
		} else {
			going = append(going, h)
		}
	}
	for _, h := range going[:min(max(need, 0), int64(len(going)))] {
		if d.heavy() {
			s.follow.rival(g)
			return
		}
		s.supersede(d, h, j.id, k, now)
	}
}

// supersede cancels a job for another that takes its key.
func (s *State) supersede(d *Decision, j *jobState, by job.ID, k *limit.Key, now int64) {
	cause := job.Cause{Kind: job.CauseCancelled, Detail: fmt.Sprintf("job %d, which takes concurrency key %s", by, k.Name().Key)}.Trim()
	d.Events = append(d.Events, CancelRequested{Job: j.id, Task: NoTask, Cause: cause, At: now})
	for i := range j.tasks {
		if ti := uint32(i); !s.cleansUp(j, ti) {
			s.cancelTask(d, j, ti, nil, cause, now)
		}
	}
}
