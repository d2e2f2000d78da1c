package blackbox

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/reeve-scheduler/reeve"
)

// heardOf is how far an element is in what was heard.
type heardOf struct {
	attempt int
	phase   reeve.EventKind
}

// events: what was heard of each element are legal steps in their order, without a gap
// between two resyncs, and nothing comes after a job's end.
func (a *auditor) events() {
	elements := map[string]heardOf{}
	over := map[string]bool{}
	for _, e := range a.Heard {
		job, _, _ := strings.Cut(e.Ref, ".")
		switch e.Kind {
		case reeve.EventResync:
			clear(elements)
		case reeve.EventJobEnded:
			over[job] = true
		case reeve.EventAttemptAssigned, reeve.EventAttemptStarted, reeve.EventAttemptEnded:
			if over[job] {
				a.fault("%s of %s was heard after the end of its job", e.Kind, e.Ref)
			}
			a.step(elements, e)
		}
	}
}

// step holds an attempt's event against the one before of its element.
func (a *auditor) step(elements map[string]heardOf, e heard) {
	element, number, ok := strings.Cut(e.Ref, "@")
	n, err := strconv.Atoi(number)
	if !ok || err != nil {
		a.fault("%s of %q, which is no attempt", e.Kind, e.Ref)
		return
	}
	was, known := elements[element]
	elements[element] = heardOf{n, e.Kind}
	if !known {
		return
	}
	legal := false
	switch e.Kind {
	case reeve.EventAttemptAssigned:
		// One that has not begun may be taken back, and is assigned again.
		legal = was.phase == reeve.EventAttemptEnded && n == was.attempt+1 || was.phase == reeve.EventAttemptAssigned && n == was.attempt
	case reeve.EventAttemptStarted:
		legal = was.phase == reeve.EventAttemptAssigned && n == was.attempt
	case reeve.EventAttemptEnded:
		legal = was.phase != reeve.EventAttemptEnded && n == was.attempt
	}
	if !legal {
		a.fault("%s of %s was heard after %s of attempt %d", e.Kind, e.Ref, was.phase, was.attempt)
	}
}

// void says why a run has tried nothing, if it has not: a fault that left no trace, or too
// little of what must have happened. Of many strikes of a fault, a few may meet nothing that
// they could do anything to: those are not claimed.
func void(h *history) []string {
	why, missed, found := []string{}, map[string]string{}, map[string]bool{}
	in100 := 0
	for i := range h.Strikes {
		s := &h.Strikes[i]
		kind, _, _ := strings.Cut(s.Name, ": ")
		if s.Evidence == "" {
			missed[kind] = s.Name
			in100 += 100
		} else {
			found[kind] = true
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(missed)) {
		if !found[kind] || in100 > len(h.Strikes) {
			why = append(why, "void: "+missed[kind]+" left no trace")
		}
	}
	got, want := count(h), h.About.Least
	for _, c := range []struct {
		what      string
		got, want int
	}{
		{"jobs", got.Jobs, want.Jobs}, {"attempts", got.Attempts, want.Attempts}, {"faults", got.Strikes, want.Strikes},
		{"attempts of lost workers", got.Lost, want.Lost}, {"results that came too late", got.Late, want.Late},
	} {
		if c.got < c.want {
			why = append(why, "void: "+strconv.Itoa(c.got)+" "+c.what+", want at least "+strconv.Itoa(c.want))
		}
	}
	if len(h.Strangers) > 0 && comeAgain(h) == 0 {
		why = append(why, "void: no number of a job's process was a stranger's later")
	}
	return why
}

// comeAgain counts strangers who have the number that a process of a job had before.
func comeAgain(h *history) (n int) {
	had := map[int]float64{}
	for i := range h.Marks {
		if m := &h.Marks[i]; m.Worker == h.About.Among && had[m.PID] == 0 {
			had[m.PID] = m.Up
		}
	}
	for _, s := range h.Strangers {
		if first := had[s.PID]; first != 0 && s.Born > first {
			n++
		}
	}
	return n
}

// count is what a run has had. A result came too late if the attempt has ended well in the
// book and was lost for Reeve.
func count(h *history) least {
	n := least{Jobs: len(h.Records), Strikes: len(h.Strikes)}
	type attempt struct {
		element string
		number  int
	}
	ended := map[attempt]bool{}
	for i := range h.Marks {
		m := &h.Marks[i]
		switch m.Verb {
		case "begin":
			n.Attempts++
		case "end":
			ended[attempt{m.element(), m.Attempt}] = true
		}
	}
	for i := range h.Records {
		for ref, list := range h.Records[i].Attempts {
			for j := range list {
				if strings.HasPrefix(list[j].Cause, "worker lost") {
					n.Lost++
					if ended[attempt{ref, list[j].Number}] {
						n.Late++
					}
				}
			}
		}
	}
	return n
}
