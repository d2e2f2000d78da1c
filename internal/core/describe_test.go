package core

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/reeve-scheduler/reeve/internal/element"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// describe says in a line what an event says, in the words of the scenarios.
func (l *lab) describe(e Event) string {
	switch e := e.(type) {
	case EpochStarted:
		return fmt.Sprintf("epoch %d", e.Epoch)
	case StateDigested:
		return "state digested"
	case FormatRaised:
		return fmt.Sprintf("format %d", e.Format)
	case NamespaceSet:
		return "namespace " + e.Name + when(e.Paused, " paused") + when(e.Policy != job.NamespacePolicy{}, " "+inJSON(e.Policy))
	case QueueSet:
		return "queue " + e.Namespace + "/" + e.Name + when(e.Paused, " paused") + when(e.Policy != job.QueuePolicy{}, " "+inJSON(e.Policy))
	case PoolSet:
		return "pool " + e.Name + " gives away " + e.Policy.Overcommit.String()
	case ReservationSet:
		return fmt.Sprintf("reservation %s of %s%s%s from %s until %s", e.Name, e.Pool, strings.Join(e.Workers, ","), strings.Join(e.Where, ","), l.clock(e.From), l.clock(e.Until)) +
			when(e.Namespace != "", " for "+e.Namespace+"/"+e.Queue)
	case ReservationRemoved:
		return "reservation " + e.Name + " is over"
	case TokenSet:
		return "token " + e.Token.Name + when(e.Token.Revoked > 0, " revoked")
	case SpecAdded:
		return "spec added"
	case WorkerJoined:
		return fmt.Sprintf("worker %s joined, incarnation %d", e.Hello.Name, e.Hello.Incarnation)
	case WorkerAway:
		return "worker " + l.workerName(e.ID) + " away"
	case WorkerDrained:
		return "worker " + l.workerName(e.ID) + when(e.Draining, " drains") + when(!e.Draining, " drains no more")
	case WorkerUnfit:
		return "worker " + l.workerName(e.ID) + when(e.Why != "", " unfit: "+e.Why) + when(e.Why == "", " fit again")
	case WorkerForgotten:
		return "worker " + l.workerName(e.ID) + " forgotten" + when(e.Lost, ", lost")
	case AttemptAssigned, AttemptStarted, AttemptEnded, AttemptReturned, AttemptRecalled, AttemptStopped, AttemptsStopped:
		return l.describeAttempt(e)
	}
	return l.describeJob(e)
}

func (l *lab) describeAttempt(e Event) string {
	switch e := e.(type) {
	case AttemptAssigned:
		return l.ref(e.Fence) + " assigned to " + l.workerName(e.Worker) + when(e.Prefetched, ", prefetched") + when(e.Alone, ", alone") + when(e.Way > 0, ", way "+fmt.Sprint(e.Way)) + when(e.Memory > 0, ", memory "+job.FormatSize(e.Memory)) +
			when(e.Lease != l.config.Lease, ", lease "+ago(e.Lease))
	case AttemptStarted:
		return l.ref(e.Fence) + " started"
	case AttemptEnded:
		text := l.ref(e.Fence) + " ended"
		if e.Cause.Kind != job.CauseNone {
			text += " (" + e.Cause.String() + ")"
		}
		if e.Awaits {
			return text + ", awaits its gang" + when(e.Promotes != 0, "; promotes "+l.ref(e.Promotes))
		}
		text += ": " + e.Next.String()
		if e.Next == job.Pending {
			text += " until " + l.clock(e.RetryAt)
		}
		return text + when(e.Promotes != 0, "; promotes "+l.ref(e.Promotes))
	case AttemptReturned:
		return l.ref(e.Fence) + " returned" + when(e.Promotes != 0, "; promotes "+l.ref(e.Promotes))
	case AttemptRecalled:
		return l.ref(e.Fence) + " recalled"
	case AttemptStopped:
		return l.ref(e.Fence) + " stopped: " + e.Cause.String() + ", grace " + ago(e.Grace)
	case AttemptsStopped:
		return l.task(e.Job, e.Task) + when(e.Spans != nil, " "+spans(e.Spans)) + " stopped: " + e.Cause.String() + ", grace " + ago(e.Grace)
	}
	return fmt.Sprintf("%#v", e)
}

func (l *lab) describeJob(e Event) string {
	switch e := e.(type) {
	case JobSubmitted:
		text := fmt.Sprintf("%d submitted", e.ID) + when(e.Held, ", held")
		for _, w := range e.Waits {
			text += fmt.Sprintf(", after %d %s", w.Job, w.Condition)
		}
		for _, k := range e.Keys {
			text += ", key " + k.Key + when(k.Task != NoTask, fmt.Sprintf(" of task %d", k.Task))
		}
		for _, c := range e.Carry {
			text += fmt.Sprintf(", carries task %d %s", c.Task, spans(c.Spans))
		}
		return text
	case JobWoken:
		return fmt.Sprintf("%d woken", e.Job)
	case AfterMet:
		return fmt.Sprintf("%d waits no more for %d", e.Job, e.On)
	case TaskReady:
		return l.task(e.Job, e.Task) + fmt.Sprintf(" ready, %d", e.Count) + when(e.Items != nil, " "+strings.Join(e.Items, " "))
	case ElementsOpened:
		return l.task(e.Job, e.Task) + " opens " + spans(e.Spans)
	case ElementsEnded:
		return l.task(e.Job, e.Task) + " " + spans(e.Spans) + " " + e.State.String() + " (" + e.Cause.String() + ")"
	case ElementWoken:
		return l.task(e.Job, e.Task) + fmt.Sprintf(" %d woken", e.Position)
	case JobEnded:
		text := fmt.Sprintf("%d %s", e.Job, e.State)
		if e.Cause.Kind != job.CauseNone {
			text += " (" + e.Cause.String() + ")"
		}
		return text + when(e.Code != 0, fmt.Sprintf(", code %d", e.Code))
	case CancelRequested:
		return l.task(e.Job, e.Task) + " to end" + when(e.Kill, " at once") + ": " + e.Cause.String()
	case SlotReleased:
		if e.Fence == 0 {
			return fmt.Sprintf("%d goes on without its slot, by %s", e.Job, e.By)
		}
		return l.ref(e.Fence) + " goes on without its slot, by " + e.By
	case JobChanged:
		return fmt.Sprintf("%d in queue %s, priority %d", e.Job, e.Queue, e.Priority) + when(e.Front != 0, ", in front since "+l.clock(e.Front))
	case HoldSet:
		return l.task(e.Job, e.Task) + when(e.Held, " held") + when(!e.Held, " released")
	}
	return fmt.Sprintf("%#v", e)
}

// tell says what a worker is told.
func (l *lab) tell(m toHand) string {
	var parts []string
	if m.msg.Assign != nil {
		for _, a := range m.msg.Assign.Attempts {
			text := l.ref(a.Fence)
			for _, o := range a.Outputs {
				text += " with " + o.Task + string(o.Outputs)
			}
			parts = append(parts, text+when(a.HasItem, " item "+a.Item))
		}
		return "  " + m.hand.hello.Name + ": run " + strings.Join(parts, ", ")
	}
	if s := m.msg.Stop; s != nil && s.Forget {
		return "  " + m.hand.hello.Name + ": forget " + l.ref(s.Fence)
	} else if s != nil {
		return "  " + m.hand.hello.Name + ": stop " + l.ref(s.Fence) + " in " + ago(s.Grace.Milliseconds())
	}
	if m.msg.Goodbye != "" {
		parts = append(parts, "goodbye, "+m.msg.Goodbye)
	}
	for _, f := range m.msg.Recall {
		parts = append(parts, "recall "+l.ref(f))
	}
	for _, f := range m.msg.Ack {
		parts = append(parts, "ack "+l.ref(f))
	}
	return "  " + m.hand.hello.Name + ": " + strings.Join(parts, ", ")
}

func inJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func when(yes bool, text string) string {
	if yes {
		return text
	}
	return ""
}

func ago(ms int64) string { return job.FormatDuration(time.Duration(ms) * time.Millisecond) }

func (l *lab) clock(at int64) string { return ago(at - began) }

func (l *lab) ref(f link.Fence) string {
	if r, ok := l.refs[f]; ok {
		return r.String()
	}
	return fmt.Sprintf("fence %d", f)
}

func (l *lab) task(id job.ID, ti uint32) string {
	if j := l.s.jobs.get(id); ti != NoTask && j != nil {
		return fmt.Sprintf("%d.%s", id, j.spec.spec.Tasks[ti].Name)
	}
	return id.String()
}

func (l *lab) workerName(id uint64) string {
	if w := l.s.workers[id]; w != nil {
		return w.hello.Name
	}
	return fmt.Sprintf("worker %d", id)
}

func spans(list []element.Span) string {
	var parts []string
	for _, s := range list {
		if s.First == s.Last {
			parts = append(parts, fmt.Sprint(s.First))
		} else {
			parts = append(parts, fmt.Sprintf("%d-%d", s.First, s.Last))
		}
	}
	return strings.Join(parts, ",")
}

// show prints a job as it is.
func (l *lab) show(id job.ID) string {
	j := l.s.jobs.get(id)
	if j == nil {
		return fmt.Sprintf("%d is not in memory\n", id)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s", id, j.state)
	if j.cause.Kind != job.CauseNone {
		fmt.Fprintf(&b, " (%s)", j.cause)
	}
	b.WriteString(when(j.held, " held") + "\n")
	for i := range j.tasks {
		t := &j.tasks[i]
		fmt.Fprintf(&b, "  %s %s%s%s\n", j.spec.spec.Tasks[i].Name, t.counts().TaskState(), when(t.ready, " ready"), when(t.held, " held"))
		for p := range max(t.n, 1) {
			r := t.record(p)
			if t.n == 0 || t.arr != nil && r == (element.Record{}) {
				continue
			}
			fmt.Fprintf(&b, "    %d: %s@%d", p, r.State, r.Attempts)
			if r.Cause.Kind != job.CauseNone {
				fmt.Fprintf(&b, " (%s)", r.Cause)
			}
			if at := t.retryOf(p).at; at > 0 {
				fmt.Fprintf(&b, " until %s", l.clock(at))
			}
			b.WriteString(when(r.Carried, " carried") + "\n")
		}
	}
	return b.String()
}
