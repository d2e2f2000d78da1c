package blackbox

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/reeve-scheduler/reeve"
)

// audit holds against each other what clients were told, what Reeve says, what it told
// while it went along, and what jobs wrote. It returns what does not fit, each with the
// name of the rule that it breaks.
func audit(h *history) []string {
	a := &auditor{history: h, byJob: map[string]*record{}, byElement: map[string][]mark{}}
	for i := range h.Records {
		if info := h.Records[i].Info; info != nil {
			a.byJob[info.ID] = &h.Records[i]
		}
	}
	for _, m := range h.Marks {
		a.byElement[m.element()] = append(a.byElement[m.element()], m)
	}
	for _, rule := range []struct {
		name string
		hold func()
	}{
		{"accepted", a.accepted}, {"no phantoms", a.noPhantoms}, {"one end", a.oneEnd}, {"reads", a.reading},
		{"no twins", a.noTwins}, {"at most once", a.atMostOnce}, {"fences", a.fences}, {"truthful", a.truthful}, {"outcomes", a.outcomes},
		{"attempts", a.attempts}, {"graphs", a.graphs}, {"room", a.room}, {"throttle", a.throttles}, {"times", a.times}, {"limits", a.limits},
		{"cancels", a.cancels}, {"logs", a.logs}, {"events", a.events}, {"strangers", a.strangers},
	} {
		a.rule = rule.name
		rule.hold()
	}
	return a.faults
}

type auditor struct {
	*history

	byJob     map[string]*record
	byElement map[string][]mark
	rule      string
	faults    []string
}

func (a *auditor) fault(format string, args ...any) {
	a.faults = append(a.faults, a.rule+": "+fmt.Sprintf(format, args...))
}

// kind is what sort of job it is.
func (a *auditor) kind(job string) string {
	if r := a.byJob[job]; r != nil {
		return r.Info.Labels["kind"]
	}
	return ""
}

// accepted: every acknowledged job exists, once.
func (a *auditor) accepted() {
	jobs := map[string][]string{}
	for id, r := range a.byJob {
		n := r.Info.Labels["n"]
		jobs[n] = append(jobs[n], id)
	}
	for i := range a.Orders {
		o := &a.Orders[i]
		got := jobs[strconv.Itoa(o.N)]
		switch {
		case len(got) > 1:
			a.fault("order %d became %d jobs: %v", o.N, len(got), got)
		case o.ID != "" && !slices.Contains(got, o.ID):
			a.fault("order %d was acknowledged as job %s, which is lost", o.N, o.ID)
		}
	}
}

// noPhantoms: every job was ordered, and nothing ran that is not a job's.
func (a *auditor) noPhantoms() {
	ordered := map[string]bool{}
	for i := range a.Orders {
		ordered[strconv.Itoa(a.Orders[i].N)] = true
	}
	for id, r := range a.byJob {
		if !ordered[r.Info.Labels["n"]] {
			a.fault("job %s (%v) was not ordered by anybody", id, r.Info.Labels)
		}
	}
	for element, marks := range a.byElement {
		if a.byJob[marks[0].Job] == nil {
			a.fault("%s ran and is not in the history", element)
		}
	}
}

// oneEnd: every job and element has ended, and nobody heard another end.
func (a *auditor) oneEnd() {
	for id, r := range a.byJob {
		if !r.Info.State.Ended() {
			a.fault("job %s is still %s", id, r.Info.State)
		}
		switch {
		case len(r.Ends) > 1:
			a.fault("job %s ended %d times: %v", id, len(r.Ends), r.Ends)
		case len(r.Ends) == 1 && r.Ends[0] != r.Info.State:
			a.fault("job %s ended as %s and is now %s", id, r.Ends[0], r.Info.State)
		case len(r.Ends) == 0 && !a.About.Resync:
			a.fault("nobody heard of the end of job %s", id)
		}
		for ref := range r.Elements {
			if state := r.Elements[ref].State; !state.Ended() {
				a.fault("%s is still %s", ref, state)
			}
		}
	}
}

// reading: what was read as ended stays as it was read.
func (a *auditor) reading() {
	for _, read := range a.Reads {
		if r := a.byJob[read.Job]; r != nil && read.State.Ended() && read.State != r.Info.State {
			a.fault("job %s was read as %s and is now %s", read.Job, read.State, r.Info.State)
		}
	}
}

// noTwins: nothing of an attempt is written after a later one has begun.
func (a *auditor) noTwins() {
	for element, marks := range a.byElement {
		newest := mark{}
		for _, m := range marks {
			switch {
			case m.Verb == "begin" && m.Attempt > newest.Attempt:
				newest = m
			case m.Verb == "begin":
				a.fault("%s: attempt %d began after attempt %d", element, m.Attempt, newest.Attempt)
			}
			if m.Attempt != newest.Attempt {
				a.fault("%s: attempt %d (%s at %.2f) was there after attempt %d had begun at %.2f", element, m.Attempt, m.Verb, m.Up, newest.Attempt, newest.Up)
				break
			}
		}
	}
}

// atMostOnce: what may begin once began at most once.
func (a *auditor) atMostOnce() {
	for element, marks := range a.byElement {
		if !strings.HasPrefix(a.kind(marks[0].Job), "once") {
			continue
		}
		begins := 0
		for _, m := range marks {
			if m.Verb == "begin" {
				begins++
			}
		}
		if begins > 1 {
			a.fault("%s is at_most_once and began %d times", element, begins)
		}
	}
}

// fences: they rise with the attempts, and each attempt has its own.
func (a *auditor) fences() {
	owner := map[uint64]string{}
	for element, marks := range a.byElement {
		of := map[int]uint64{}
		highest := mark{}
		for _, m := range marks {
			if of[m.Attempt] == 0 {
				of[m.Attempt] = m.Fence
				if other := owner[m.Fence]; other != "" {
					a.fault("%s and %s have the same fence %d", element, other, m.Fence)
				}
				owner[m.Fence] = element
			}
			switch {
			case of[m.Attempt] != m.Fence:
				a.fault("%s: attempt %d has fences %d and %d", element, m.Attempt, of[m.Attempt], m.Fence)
			case m.Attempt > highest.Attempt && m.Fence <= highest.Fence:
				a.fault("%s: attempt %d has fence %d, the one before %d", element, m.Attempt, m.Fence, highest.Fence)
			}
			if m.Attempt > highest.Attempt {
				highest = m
			}
		}
	}
}

// said reports whether an attempt of an element wrote that in the book.
func (a *auditor) said(element string, attempt int, verb string) bool {
	return slices.ContainsFunc(a.byElement[element], func(m mark) bool { return m.Verb == verb && m.Attempt == attempt })
}

// truthful: what succeeded in the history says so in the book, by that attempt; what ended
// there with a code does too.
func (a *auditor) truthful() {
	for _, r := range a.byJob {
		for ref := range r.Elements {
			e := r.Elements[ref]
			if e.State == reeve.Succeeded && !a.said(ref, e.Attempts, "end") {
				a.fault("%s succeeded in attempt %d, which never said so in the book", ref, e.Attempts)
			}
		}
		for ref, attempts := range r.Attempts {
			for i := range attempts {
				t := &attempts[i]
				exited := strings.HasPrefix(t.Cause, "exit ")
				switch {
				case t.State == reeve.Succeeded && !a.said(ref, t.Number, "end"):
					a.fault("%s@%d succeeded and never said so in the book", ref, t.Number)
				case exited && a.said(ref, t.Number, "end"):
					a.fault("%s@%d ended well in the book and is %s: %s", ref, t.Number, t.State, t.Cause)
				case exited && !a.said(ref, t.Number, "fail"):
					a.fault("%s@%d is %s (%s), which it never said in the book", ref, t.Number, t.State, t.Cause)
				}
			}
		}
	}
}

// outcomes: each kind of job has an end that it comes to if nothing happens to it. What
// kept one from it is a cancel, or workers that were lost or could not take it.
func (a *auditor) outcomes() {
	want := map[string]reeve.State{"timeout": reeve.Failed, "failing": reeve.Failed}
	for i := range a.Orders {
		o := &a.Orders[i]
		r := a.byJob[o.ID]
		if r == nil || o.Cancelled || strings.Contains(r.Info.Cause, "worker") {
			continue
		}
		state := want[o.Kind]
		if state == "" {
			state = reeve.Succeeded
		}
		if r.Info.State != state && !(o.Kind == "hasty" && r.Info.State == reeve.Cancelled) {
			a.fault("job %s (%s) is %s: %s; want %s", o.ID, o.Kind, r.Info.State, r.Info.Cause, state)
		}
	}
}
