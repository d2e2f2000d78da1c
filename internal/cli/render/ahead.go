package render

import (
	"fmt"
	"time"

	"github.com/reeve-scheduler/reeve/internal/client"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// In writes how far off an expected moment is, roughly: in 4m, or now; "-" for none.
func In(t *client.Timestamp) string {
	if t == nil {
		return "-"
	}
	d := time.Until(t.AsTime())
	if d < time.Second {
		return "now"
	}
	return "in " + job.FormatAbout(d.Milliseconds())
}

// Moment writes an expected moment and how far off it is: 2026-01-02 15:04:05 (in 4m).
func Moment(t *client.Timestamp) string {
	switch far := In(t); far {
	case "-", "now":
		return far
	default:
		return Stamp(t) + " (" + far + ")"
	}
}

// Later writes by how much one moment is after another, roughly.
func Later(from, to *client.Timestamp) string {
	if from == nil || to == nil {
		return "-"
	}
	return job.FormatAbout(max(0, to.AsTime().Sub(from.AsTime()).Milliseconds()))
}

// ETA writes when an unfinished job is expected to have ended, or, where nobody knows that and it
// has not begun, to start; "-" where nobody knows either.
func ETA(j *client.Job) string {
	later := ""
	if j.GetExpectedAtLeast() {
		later = " or later"
	}
	switch {
	case client.Ended(j):
	case j.GetExpectedEnd() != nil:
		return In(j.GetExpectedEnd()) + later
	case j.GetExpectedStart() != nil && j.GetStartedAt() == nil:
		return "starts " + In(j.GetExpectedStart()) + later
	}
	return "-"
}

// Prospect is what is said of something that waits, or would: why, when it starts and ends as
// far as is known, and what would let it start now.
type Prospect struct {
	Reasons []*client.Reason
	Changes []*client.Change
	// Count is how many elements First and Last are of; Among: it is one of them that is asked
	// about, nobody knows which.
	Count            int64
	Among            bool
	First, Last, End *client.Timestamp
	Worker           string
}

// Lines writes a prospect in lines: first a line for everything that is in the way, marked with a
// dash, then what is expected.
func (p *Prospect) Lines() []string {
	var out, expected []string
	for _, r := range p.Reasons {
		switch r.GetKind() {
		case "expected": // the times say it
		case "would_start":
		case "at_least", "unknown_start", "near":
			expected = append(expected, r.GetText())
		default:
			out = append(out, "- "+r.GetText())
		}
	}
	if p.First != nil {
		out = append(out, "expected to start "+p.start())
	}
	if p.End != nil {
		out = append(out, "expected to end "+Moment(p.End))
	}
	out = append(out, expected...)
	for _, c := range p.Changes {
		out = append(out, c.GetText())
	}
	for i := range out {
		out[i] = Clean(out[i])
	}
	return out
}

// start says when what waits starts, and where the first does.
func (p *Prospect) start() string {
	first, on := Moment(p.First), ", on worker "+p.Worker
	if p.Count > 1 {
		on = ", the first on worker " + p.Worker
	}
	switch {
	case p.Count > 1 && p.Among && p.Last == nil:
		return first + " at the earliest"
	case p.Count > 1 && p.Last == nil:
		return "from " + first + on + "; when the last does nobody knows"
	case p.Last != nil && p.Last.AsTime().After(p.First.AsTime()) && p.Among:
		return fmt.Sprintf("between %s and %s", first, Moment(p.Last))
	case p.Last != nil && p.Last.AsTime().After(p.First.AsTime()):
		return fmt.Sprintf("from %s to %s%s", first, Moment(p.Last), on)
	}
	return first + on
}
