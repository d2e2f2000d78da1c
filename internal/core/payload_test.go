package core

import (
	"bytes"
	"testing"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/jobfile"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// given is a lab with a job for each of payloads, all of one spec.
func given(t *testing.T, payloads ...[]byte) *lab {
	t.Helper()
	l := testLab(t)
	for _, p := range payloads {
		spec, err := jobfile.Parse("", []byte("run: \"true\""))
		if err != nil {
			t.Fatal(err)
		}
		_, err = l.turn(Submit{
			Namespace: DefaultName, Spec: spec.Spec, Hash: spec.Hash, Canonical: spec.Canonical, By: "anna", ReadSeq: l.s.Seq(),
			Items: []Item{{Params: []byte(`{"day":"monday"}`), Payload: p}},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// TestPayloadsLeaveMemory once the tables have them, and no sooner, unless jobs share them;
// nothing else of a job goes.
func TestPayloadsLeaveMemory(t *testing.T) {
	own, same := bytes.Repeat([]byte("own"), 100), []byte("same")
	l := given(t, own, same, same, nil, []byte{}, []byte("last"))
	away := func() (out []bool) {
		for id := job.ID(1); id <= 6; id++ {
			j := l.s.jobs.get(id)
			if j.away != (j.payload == nil && id != 4) {
				t.Errorf("job %d is away %v with %q in memory", id, j.away, j.payload)
			}
			if m, _ := l.s.Image(id); m.Away != j.away || string(m.Params) != `{"day":"monday"}` || m.By != "anna" {
				t.Errorf("the image of job %d: away %v, params %s, by %s", id, m.Away, m.Params, m.By)
			}
			out = append(out, j.away)
		}
		return out
	}
	want := func(when string, want ...bool) {
		t.Helper()
		for i, got := range away() {
			if got != want[i] {
				t.Errorf("%s the payload of job %d is away: %v", when, i+1, got)
			}
		}
	}
	want("at first", false, false, false, false, false, false)
	l.flushing = &tables{}
	l.flushing.seq = l.s.BeginFlush(l.flushing)
	l.s.Encode(1000)
	want("until the tables confirm", false, false, false, false, false, false)
	l.flush(1000)
	want("once they have", true, false, false, false, false, true)
	if a, b := l.s.jobs.get(1), l.s.jobs.get(6); a.input != b.input {
		t.Error("jobs whose payloads are away do not share what is left")
	}
	if again := given(t, own, own); again.s.jobs.get(1).input != again.s.jobs.get(2).input {
		t.Error("jobs that were given the same keep it twice")
	}
}

// TestAssignmentsSayWhatTheyLack: what was given out before the tables had it goes as it
// is, and what comes again, or later, is to be read.
func TestAssignmentsSayWhatTheyLack(t *testing.T) {
	l := given(t, []byte("one"), []byte("two"))
	h := link.Hello{Protocol: link.Protocol, Name: "w1", Instance: "one", Incarnation: 1, Slots: 1,
		Capacity: job.Resources{CPU: 2000}, Executors: []string{"process"}}
	if err := l.join(h); err != nil {
		t.Fatal(err)
	}
	worker := l.workers["w1"]
	fences := func() []link.Fence { return []link.Fence{worker.held[0].fence} }
	if a := l.s.Assignments(fences())[0]; a.Job != 1 || a.Away || string(a.Payload) != "one" {
		t.Errorf("job %d goes out away %v with %q; want job 1 with its payload", a.Job, a.Away, a.Payload)
	}
	l.flush(1000)
	if a := l.s.Assignments(fences())[0]; a.Job != 1 || !a.Away || a.Payload != nil {
		t.Errorf("job %d comes again away %v with %q; want job 1 without its payload", a.Job, a.Away, a.Payload)
	}
}
