package core

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/jobfile/canon"
	"github.com/reeve-scheduler/reeve/internal/link"
	"github.com/reeve-scheduler/reeve/internal/plan"
)

// Limits that are checked here because they need the state.
const (
	// MaxItems bounds the items of one submit.
	MaxItems = 10_000
	// MaxSubmitTasks bounds the tasks of all jobs of one submit together.
	MaxSubmitTasks = 1_000_000
	// MaxArrayItems bounds the items of all arrays of a job that are known only once it
	// runs, in bytes of memory, which they take for as long as the job does.
	MaxArrayItems = 16 << 20
	// MaxNamespaces and MaxQueues bound what administrators make.
	MaxNamespaces = 10_000
	MaxQueues     = 1_000
	// MaxPools bounds the pools that anything is said of.
	MaxPools = 1_000
	// MaxTokens bounds the tokens that are kept, revoked ones included.
	MaxTokens = 10_000
	// MaxWorkers bounds the workers that are known.
	MaxWorkers = 50_000
)

// DefaultName is the namespace and the queue that always exist.
const DefaultName = "default"

// Input is what a decision may know beside state and command.
type Input struct {
	// Now is the leader's clock in Unix milliseconds.
	Now int64
	// Seed is random; backoffs are drawn from it.
	Seed uint64
}

// Decide answers a command with the events that carry it out, or with an error of
// type *job.Error, which changes nothing. It reads the state and leaves it alone.
func (s *State) Decide(in Input, c Command) (Decision, error) {
	switch c := c.(type) {
	case Submit:
		return s.decideSubmit(in, c)
	case Cancel:
		return s.decideCancel(in, c)
	case Hold:
		return s.decideHold(c)
	case Update:
		return s.decideUpdate(in, c)
	case ReleaseSlot:
		return s.decideRelease(in, c)
	case PutNamespace:
		return s.decideNamespace(in, c)
	case PutQueue:
		return s.decideQueue(in, c)
	case PutPool:
		return s.decidePool(c)
	case PutReservation:
		return s.decideReserve(in, c)
	case RemoveReservation:
		return s.decideUnreserve(c)
	case PutToken:
		return s.decideToken(c)
	case RevokeToken:
		return s.decideRevoke(in, c)
	case WorkerHello:
		return s.decideHello(in, c)
	case WorkerHeld:
		return s.decideHeld(in, c)
	case WorkerLeaving:
		return s.decideLeaving(c)
	case WorkerClosed:
		return s.decideClosed(c)
	case WorkerSilent:
		return s.decideSilent(in, c)
	case WorkerReport:
		return s.decideReport(in, c)
	case Drain:
		return s.decideDrain(c)
	case Tick:
		return s.decideTick(in)
	case Leap:
		return s.decideLeap(in, c), nil
	case Digest:
		return Decision{Events: []Event{c.Of}}, nil
	case RaiseFormat:
		return s.decideRaise(in, c)
	}
	return Decision{}, fault("command %T has no rule", c)
}

func fault(format string, args ...any) error {
	return &job.Error{Code: job.Internal, Message: "internal error: " + fmt.Sprintf(format, args...)}
}

func refuse(code job.Code, format string, args ...any) error {
	return &job.Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Begin is the first decision of a leader's term: the epoch record, and what an
// empty state needs to be of use. That has the newest format at once, since nobody was
// there before who could not read it.
func (s *State) Begin(now int64, epoch, generation uint64) []Event {
	events := []Event{EpochStarted{Epoch: epoch, Generation: generation, At: now}}
	if len(s.spaces) == 0 {
		events = append(events, NamespaceSet{Name: DefaultName, Created: now},
			QueueSet{Namespace: DefaultName, Name: DefaultName, Created: now})
		if s.config.Format > s.format {
			events = append(events, FormatRaised{Format: s.config.Format, By: "server", At: now})
		}
	}
	return events
}

func (s *State) decideLeap(in Input, c Leap) (d Decision) {
	if c.Generation > s.generation {
		d.Events = []Event{EpochStarted{Epoch: s.epoch, Generation: c.Generation, At: in.Now}}
	}
	return d
}

func (s *State) space(name string) (*namespace, error) {
	if n := s.spaces[name]; n != nil {
		return n, nil
	}
	return nil, refuse(job.NotFound, "namespace %q does not exist; known: %s", name, known(s.spaceNames))
}

func (n *namespace) queue(name string) (*queue, error) {
	if q := n.queues[name]; q != nil {
		return q, nil
	}
	return nil, refuse(job.NotFound, "queue %q does not exist in namespace %s; known: %s", name, n.name, known(n.names))
}

// known lists names for an error message, within reason.
func known(names []string) string {
	const most = 20
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ")
}

func (s *State) decideToken(c PutToken) (Decision, error) {
	t := c.Token
	if err := job.CheckName(t.Name); err != nil {
		return Decision{}, refuse(job.Invalid, "token: %s", err)
	}
	for _, id := range s.tokenIDs {
		if o := s.tokens[id]; id == t.ID || o.Name == t.Name && o.Revoked == 0 {
			return Decision{}, refuse(job.Exists, "token %q exists already; revoke it first or choose another name", o.Name)
		}
	}
	if len(s.tokens) >= MaxTokens {
		return Decision{}, refuse(job.Refused, "there are %d tokens; no more are allowed", len(s.tokens))
	}
	for _, n := range t.Namespaces {
		if _, err := s.space(n); err != nil {
			return Decision{}, err
		}
	}
	return Decision{Events: []Event{TokenSet{Token: t}}}, nil
}

func (s *State) decideRevoke(in Input, c RevokeToken) (Decision, error) {
	for _, id := range s.tokenIDs {
		t := *s.tokens[id]
		if t.Revoked != 0 || id != c.ID && t.Name != c.ID {
			continue
		}
		t.Revoked = in.Now
		return Decision{Events: []Event{TokenSet{Token: t}}}, nil
	}
	return Decision{}, refuse(job.NotFound, "token %q does not exist or is revoked", c.ID)
}

func (s *State) decideTick(in Input) (Decision, error) {
	const most = 1000 // timers, and about as many events
	var d Decision
	fired := make([]timer, 0, 16)
	whole := false
	defer func() {
		if !whole { // the one that can't be decided is left out, the others fire again
			for _, t := range fired[:max(len(fired), 1)-1] {
				s.timers.push(t)
			}
		}
	}()
	s.passed(&d, in.Now)
	for len(fired) < most && len(d.Events) < most {
		if !s.timers.due(in.Now) {
			break
		}
		fired = append(fired, s.timers.pop())
		s.fire(&d, fired[len(fired)-1], in)
	}
	whole = true
	return d, nil
}

// fire decides what a timer means. Taking it off the heap is not undone if the
// decision is lost: whoever loads the state sets its timers anew.
func (s *State) fire(d *Decision, t timer, in Input) {
	j := s.jobs.get(t.job)
	if j == nil || j.state.Terminal() {
		return
	}
	switch t.kind {
	case timerWake:
		if !j.woken {
			d.Events = append(d.Events, JobWoken{Job: j.id})
		}
	case timerWindow:
		if !j.begun && !j.out() && j.stop.Kind == job.CauseNone {
			s.giveUp(d, j, job.Cause{Kind: job.CauseWindow}, in.Now)
		}
	case timerDeadline:
		if j.stop.Kind == job.CauseNone {
			s.giveUp(d, j, job.Cause{Kind: job.CauseDeadline}, in.Now)
		}
	case timerBackoff:
		if d.over[j.id] && !s.cleansUp(j, t.task) {
			return // it is skipped
		}
		// Recovery sets a timer for a backoff that the rows still have and the tail ends.
		if r := j.tasks[t.task].retryOf(t.position); r.at == t.at {
			d.Events = append(d.Events, ElementWoken{Job: j.id, Task: t.task, Position: t.position})
		}
	}
}

// giveUp ends a job for want of time: what waits is skipped, what runs is stopped.
func (s *State) giveUp(d *Decision, j *jobState, cause job.Cause, now int64) {
	d.Events = append(d.Events, CancelRequested{Job: j.id, Task: NoTask, Cause: cause, At: now})
	if d.over == nil {
		d.over = map[job.ID]bool{}
	}
	d.over[j.id] = true
	for i := range j.tasks {
		ti := uint32(i)
		if s.cleansUp(j, ti) {
			continue
		}
		if j.tasks[i].counts()[job.Pending] > 0 {
			s.skip(d, j, ti, cause, now)
		}
		s.stopLive(d, j, ti, nil, cause, false)
	}
}

// cleansUp reports whether a task is a clean-up task with something to clean up:
// a task that it needs has started.
func (s *State) cleansUp(j *jobState, ti uint32) bool {
	spec := &j.spec.spec.Tasks[ti]
	if !spec.CleanUp() {
		return false
	}
	for _, u := range j.spec.ups[ti] {
		if j.tasks[u].one.started > 0 {
			return true
		}
	}
	return false
}

func parseSpec(canonical []byte) (*job.Spec, error) { return canon.Read(canonical) }

func millis(d job.Duration) int64 { return time.Duration(d).Milliseconds() }

func fenceOf(n uint64) link.Fence { return link.Fence(n) }

func stopMessage(f link.Fence, grace int64, c job.Cause) *link.Stop {
	return &link.Stop{Fence: f, Grace: time.Duration(grace) * time.Millisecond, Cause: c}
}

// labelPairs turns labels into sorted "key=value" pairs.
func labelPairs(labels map[string]string) []string {
	pairs := make([]string, 0, len(labels))
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		pairs = append(pairs, key+"="+labels[key])
	}
	return pairs
}

func planWorker(w *worker) plan.Worker {
	h := &w.hello
	out := plan.Worker{
		ID: w.id, Name: h.Name, Capacity: w.offers, Overcommit: w.over, Slots: h.Slots, Prefetch: h.Prefetch,
		Executors: h.Executors, Functions: h.Functions, Labels: w.labels(), Accepts: w.accepts(), Reserved: w.windows,
	}
	if !w.away && !w.draining {
		out.Unfit = h.Unfit
	}
	return out
}
