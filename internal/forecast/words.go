package forecast

import (
	"fmt"
	"slices"
	"strings"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/plan"
	"github.com/reeve-scheduler/reeve/internal/plan/why"
)

// Expectation is when elements of a group are expected to start, as far as is known.
type Expectation struct {
	// Start is what is known of that, nothing if Started is 0.
	Start
	// Worker names where the first starts.
	Worker string
	// Reasons says the same in words, or why nobody knows. It is empty where other reasons say
	// that it does not start as things are.
	Reasons []why.Reason
}

// Expect says when the elements of a group start that wait or will, of which there are n at about that moment.
func (m *Moment) Expect(c *Course, id plan.GroupID, n int64) Expectation {
	out := Expectation{Start: c.Starts[id]}
	if out.Started == 0 {
		out.Reasons = m.unknown(c, id)
		return out
	}
	out.Worker = m.c.WorkerName(out.Start.Worker)
	text := "it is expected to start " + when(out.First, c.Now)
	switch {
	case n <= 1:
		text += ", on worker " + out.Worker
	case out.Left > 0:
		text = "the first of its elements is expected to start " + when(out.First, c.Now) + ", on worker " + out.Worker + "; when the last does nobody knows"
	case out.Last == out.First:
		text = "its elements are expected to start " + when(out.First, c.Now) + ", the first on worker " + out.Worker
	default:
		text = "its elements are expected to start from now"
		if out.First > c.Now {
			text = "its elements are expected to start from " + span(out.First, c.Now)
		}
		text += " to " + span(out.Last, c.Now) + ", the first on worker " + out.Worker
	}
	out.Reasons = append([]why.Reason{{Kind: "expected", Text: text}}, m.more()...)
	return out
}

// more says that what is expected is at the earliest, if that is so.
func (m *Moment) more() []why.Reason {
	if !m.c.More {
		return nil
	}
	return []why.Reason{{Kind: "at_least", Text: "it may be later, since more waits than a forecast looks at"}}
}

// when is a moment from another: in about 12m (14:03 UTC).
func when(at, now int64) string {
	if at <= now {
		return "now"
	}
	return "in about " + span(at, now)
}

func span(at, now int64) string {
	return job.FormatAbout(at-now) + " (" + job.FormatClock(at, now) + ")"
}

// Beyond says of a group that is ready that it is not looked at, if that is so.
func (m *Moment) Beyond(id plan.GroupID) []why.Reason {
	if !m.c.More || m.e.groups[id] != nil {
		return nil
	}
	return unknown("so much waits that no forecast looks at it")
}

// unknown says why nobody knows when a group starts.
func (m *Moment) unknown(c *Course, id plan.GroupID) []why.Reason {
	if !m.Waits(id) {
		return nil
	}
	if y := m.Why(id); y.Short() || y.NamespacePaused || y.QueuePaused {
		return nil
	}
	switch n := m.endless(id); {
	case slices.Contains(m.c.Behind, id):
		return unknown("others go before it for a concurrency key, and no forecast follows those")
	case c.Extent == TooMany:
		return unknown("%d attempts start before, and no forecast looks further", MaxSteps)
	case c.Extent == TooLong:
		return unknown("there is so much to do that the forecast was given up")
	case c.Extent == TooFar:
		return unknown("it is more than %s away", job.FormatAbout(MaxAhead))
	case n == 0 && c.Further == 0 && m.strictlyBehind(id):
		return unknown("its queue starts nothing before what comes first in it (backfill: none), and that can't start as things are")
	case n == 0 && c.Further == 0:
		return nil
	case n == 1:
		return unknown("1 attempt runs of which nobody knows how long it takes; a timeout: or a few runs of a named job would tell")
	case n > 1:
		return unknown("%d attempts run of which nobody knows how long they take; a timeout: or a few runs of a named job would tell", n)
	}
	return unknown("attempts start before of which nobody knows how long they take; a timeout: or a few runs of a named job would tell")
}

// strictlyBehind reports whether something of its queue comes before a group that nothing of the queue may pass.
func (m *Moment) strictlyBehind(id plan.GroupID) bool {
	w := m.e.groups[id]
	if w == nil {
		return false
	}
	q := m.c.queue(w.Group.Namespace, w.Group.Queue)
	return q != nil && q.Policy.Backfill == job.BackfillNone && m.Why(id).Ahead > 0
}

func unknown(format string, args ...any) []why.Reason {
	return []why.Reason{{Kind: "unknown_start", Text: "nobody knows when it starts: " + fmt.Sprintf(format, args...)}}
}

// String says by how much a job misses its deadline, as seen at a moment in Unix milliseconds.
func (l *Late) String(now int64) string {
	by := "about "
	if l.AtLeast {
		by = "at least "
	}
	deadline, at := job.FormatClock(l.Deadline, now), job.FormatClock(l.At, now)
	if deadline == at { // as far as minutes say
		deadline, at = job.FormatSecond(l.Deadline, now), job.FormatSecond(l.At, now)
	}
	return fmt.Sprintf("will miss its deadline %s by %s%s: task %s is not expected to end before %s",
		deadline, by, job.FormatAbout(l.At-l.Deadline), l.Task, at)
}

// Summary is the effect in one line, as seen at a moment in Unix milliseconds.
func (e *Effect) Summary(now int64) string {
	if e.Verdict == Never {
		for _, t := range e.Tasks {
			if t.Never {
				return fmt.Sprintf("it could never start as the cluster is: task %s: %s", t.Name, gist(t.Reasons))
			}
		}
	}
	text, first := "it would start at once", int64(0)
	for _, t := range e.Tasks {
		if t.Started > 0 && (first == 0 || t.First < first) {
			first = t.First
		}
	}
	switch {
	case e.Verdict == Starts:
	case first == 0:
		text = "it would wait, and nobody knows for how long"
	case first <= now:
		text = "some of it would start at once"
	default:
		text = "it would wait and start " + when(first, now)
	}
	if e.End > 0 {
		text += ", and end " + when(e.End, now)
	}
	if e.AtLeast && first > now {
		text += ", at the earliest"
	}
	return text
}

// gist is all that keeps a task from ever starting, without what says no more than that something does.
func gist(reasons []why.Reason) string {
	var parts []string
	for _, r := range reasons {
		if !strings.HasSuffix(r.Text, why.NoneCan) {
			parts = append(parts, r.Text)
		}
	}
	if parts == nil {
		return reasons[0].Text
	}
	return strings.Join(parts, "; ")
}
