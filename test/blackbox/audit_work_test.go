package blackbox

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/reeve-scheduler/reeve"
)

// slack, in seconds, is what a busy machine may add to a time before it counts as broken.
const slack = 5

// attempts: they are numbered without a gap, one at a time is live, only the last may have
// succeeded, it decides the element's end, and budgets hold.
func (a *auditor) attempts() {
	for id, r := range a.byJob {
		for ref, list := range r.Attempts {
			e := r.Elements[ref]
			if len(list) != e.Attempts {
				a.fault("%s has %d attempts, and %d are listed", ref, e.Attempts, len(list))
			}
			counted := 0
			for i := range list {
				t := &list[i]
				switch {
				case t.Number != i+1:
					a.fault("%s: attempt %d of the list has number %d", ref, i+1, t.Number)
				case !t.State.Ended():
					a.fault("%s@%d is still %s", ref, t.Number, t.State)
				case i > 0 && !t.Assigned.IsZero() && t.Assigned.Before(list[i-1].Ended): // of old ones it is not kept
					a.fault("%s@%d was assigned %s before the one before it had ended", ref, t.Number, list[i-1].Ended.Sub(t.Assigned))
				case i < len(list)-1 && t.State == reeve.Succeeded:
					a.fault("%s@%d succeeded, and there was another attempt", ref, t.Number)
				}
				if strings.HasPrefix(t.Cause, "exit ") {
					counted++
				}
			}
			if n := len(list); n > 0 && (e.State == reeve.Succeeded) != (list[n-1].State == reeve.Succeeded) {
				a.fault("%s is %s, and its last attempt %s", ref, e.State, list[n-1].State)
			}
			if most := budget(a.kind(id)); counted > most {
				a.fault("%s had %d attempts that counted, at most %d", ref, counted, most)
			}
		}
	}
}

// budget is how many attempts of a kind of job may fail by themselves.
func budget(kind string) int {
	switch kind {
	case "once", "once-slow", "timeout", "doomed":
		return 1
	}
	return maxAttempts
}

// graphs: what needs something begins after it has ended as it must, and what is ruled out
// is skipped.
func (a *auditor) graphs() {
	said := map[string]bool{}
	for _, m := range a.Marks {
		switch {
		case m.Task == "first":
			said[m.Job+m.Verb] = true
		case m.Task == "second" && m.Verb == "begin" && !said[m.Job+"end"], m.Task == "handler" && m.Verb == "begin" && !said[m.Job+"fail"]:
			a.fault("%s began before what it needs had ended", m.element())
		case m.Task == "never":
			a.fault("%s began, and what it needs has failed", m.element())
		}
	}
	for id, r := range a.byJob {
		state := func(task string) reeve.State { return r.Elements[fmt.Sprintf("%s.%s.0", id, task)].State }
		switch kind := r.Info.Labels["kind"]; {
		case kind == "graph" && (state("first") == reeve.Succeeded && state("second") == reeve.Skipped || state("first") != reeve.Succeeded && state("second") == reeve.Succeeded):
			a.fault("job %s: first is %s and second %s", id, state("first"), state("second"))
		case kind == "doomed" && state("first") == reeve.Failed && (state("handler") == reeve.Skipped || state("never") != reeve.Skipped):
			a.fault("job %s: first is %s, its handler %s and what needs its success %s", id, state("first"), state("handler"), state("never"))
		}
	}
}

// span is a time, in uptime, in which something of an attempt was there for sure.
type span struct{ from, to float64 }

// spans are the attempts in the book, by what key makes of their marks; "" is left out.
func (a *auditor) spans(key func(m *mark) string) map[string][]span {
	type attempt struct {
		element string
		number  int
	}
	at := map[attempt]span{}
	of := map[attempt]string{}
	for i := range a.Marks {
		m := &a.Marks[i]
		k := key(m)
		if k == "" || m.Up == 0 {
			continue
		}
		id := attempt{m.element(), m.Attempt}
		if of[id] == "" {
			of[id], at[id] = k, span{m.Up, m.Up}
		}
		at[id] = span{at[id].from, m.Up}
	}
	out := map[string][]span{}
	for id, k := range of {
		out[k] = append(out[k], at[id])
	}
	return out
}

// most is how many of the spans there were at once. One that begins when another ends
// came after it: the clock is coarse.
func most(spans []span) (n int, at float64) {
	type edge struct {
		at   float64
		step int
	}
	edges := make([]edge, 0, 2*len(spans))
	for _, s := range spans {
		if s.to > s.from {
			edges = append(edges, edge{s.from, 1}, edge{s.to, -1})
		}
	}
	slices.SortFunc(edges, func(a, b edge) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.step, b.step)) })
	now := 0
	for _, e := range edges {
		if now += e.step; now > n {
			n, at = now, e.at
		}
	}
	return n, at
}

// room: no worker ran more than it has slots.
func (a *auditor) room() {
	for worker, spans := range a.spans(func(m *mark) string { return m.Worker }) {
		if n, at := most(spans); n > a.About.Slots {
			a.fault("worker %s ran %d attempts at %.2f and has %d slots", worker, n, at, a.About.Slots)
		}
	}
}

// throttles: no array had more elements running than it allows.
func (a *auditor) throttles() {
	arrays := a.spans(func(m *mark) string {
		if a.kind(m.Job) != "array" {
			return ""
		}
		return m.Job
	})
	for id, spans := range arrays {
		if n, at := most(spans); n > throttle {
			a.fault("array %s had %d elements running at %.2f, at most %d", id, n, at, throttle)
		}
	}
}

// times: nothing begins before its time, and nothing is begun after its last moment.
func (a *auditor) times() {
	for i := range a.Orders {
		o := &a.Orders[i]
		marks := a.byElement[o.ID+".main.0"]
		if len(marks) == 0 || marks[0].Up == 0 {
			continue
		}
		r := a.byJob[o.ID]
		switch first := marks[0].Up; {
		case o.Kind == "later" && first < o.Asked+laterBy.Seconds():
			a.fault("job %s began %.2f s after it was asked for, and was to wait for %s", o.ID, first-o.Asked, laterBy)
		case o.Kind == "hasty" && r != nil && marks[0].Attempt == 1:
			list := r.Attempts[o.ID+".main.0"]
			if len(list) > 0 && !list[0].Assigned.IsZero() && list[0].Assigned.Sub(r.Info.Submitted) > hastyWithin {
				a.fault("job %s was assigned %s after its submit, and must begin within %s", o.ID, list[0].Assigned.Sub(r.Info.Submitted), hastyWithin)
			}
			if late := first - o.Told - hastyWithin.Seconds(); late > a.About.Lease+slack {
				a.fault("job %s began %.2f s after its last moment", o.ID, late)
			}
		}
	}
}

// limits: what has a timeout is gone soon after it.
func (a *auditor) limits() {
	limited := a.spans(func(m *mark) string {
		if a.kind(m.Job) != "timeout" {
			return ""
		}
		return fmt.Sprintf("%s@%d", m.element(), m.Attempt)
	})
	for ref, spans := range limited {
		if ran, may := spans[0].to-spans[0].from, (limitOf+graceOf).Seconds()+a.About.Pause+slack; ran > may {
			a.fault("%s ran for %.2f s, at most %.2f", ref, ran, may)
		}
	}
}

// cancels: after an acknowledged cancel no attempt is assigned, what runs ends within its
// grace, or its lease where nobody can be told, and the end is cancelled or was one before.
func (a *auditor) cancels() {
	for i := range a.Orders {
		o := &a.Orders[i]
		r := a.byJob[o.ID]
		if r == nil || o.CancelTold == 0 {
			continue
		}
		for ref, list := range r.Attempts {
			for j := range list {
				if late := list[j].Assigned.Sub(o.CancelAt); !list[j].Assigned.IsZero() && late.Seconds() > 0.1 {
					a.fault("%s@%d was assigned %s after its cancel was acknowledged", ref, list[j].Number, late)
				}
			}
		}
		for ref := range r.Elements {
			for _, m := range a.byElement[ref] {
				if late, may := m.Up-o.CancelTold, 1.1*a.About.Lease+graceOf.Seconds()+a.About.Pause+slack; late > may {
					a.fault("%s@%d (%s) was there %.2f s after its cancel was acknowledged, at most %.2f", ref, m.Attempt, m.Verb, late, may)
					break
				}
			}
		}
	}
}

// logs: what is read is what was written, in order, each line once; what is missing in
// the middle is marked. What was read stays, unless the server's disk has lost its power,
// which is not to lose jobs, and may lose the last lines of a log.
func (a *auditor) logs() {
	powerLost := slices.ContainsFunc(a.Strikes, func(s strike) bool { return strings.HasPrefix(s.Name, "power") })
	for id, r := range a.byJob {
		if !strings.HasPrefix(r.Lines, r.Early) && !r.Gaps && !(powerLost && strings.HasPrefix(r.Early, r.Lines)) {
			a.fault("the log of job %s was %q after its end, and is %q", id, r.Early, r.Lines)
		}
		last := -1
		for line := range strings.Lines(r.Lines) {
			n := -1
			whole := strings.HasSuffix(line, "\n")
			if _, err := fmt.Sscanf(line, "line %d", &n); err != nil && whole && !r.Gaps {
				a.fault("the log of job %s has the line %q", id, line)
				break
			}
			if !whole || r.Gaps {
				continue // a piece of a line, at the end or at a mark
			}
			if n != last+1 {
				a.fault("the log of job %s has line %d after line %d", id, n, last)
				break
			}
			last = n
		}
		if last >= linesOf {
			a.fault("the log of job %s has line %d, and %d were written", id, last, linesOf)
		}
	}
}

// strangers: nothing that is not Reeve's was killed.
func (a *auditor) strangers() {
	for _, s := range a.Strangers {
		if s.Killed != 0 {
			a.fault("process %d, nobody's job, was killed by signal %d", s.PID, s.Killed)
		}
	}
}
