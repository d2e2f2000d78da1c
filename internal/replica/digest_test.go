package replica

import (
	"errors"
	"slices"
	"testing"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/jobfile"
	"github.com/reeve-scheduler/reeve/internal/record"
	"github.com/reeve-scheduler/reeve/internal/record/digest"
)

// digest writes a digest of a part as the next batch; wrong gives it another sum.
func (h *history) digest(e core.StateDigested, wrong byte) {
	h.t.Helper()
	e.Sum = digest.Of(h.state, e)
	e.Sum[0] ^= wrong
	h.append(e)
}

// TestDigests: a copy agrees with rounds of digests as a whole, and ends at one that it does not
// agree with. Who recovers goes on, and says so.
func TestDigests(t *testing.T) {
	h := newHistory(t)
	h.append(core.FormatRaised{Format: record.Newest})
	c, err := h.recover()
	if err != nil || c.State.Format() != record.Newest {
		t.Fatalf("format %d, %v", c.State.Format(), err)
	}
	follow := func() error {
		end, err := h.journal.Last(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return c.Follow(t.Context(), h.journal, end, nil)
	}
	agrees := func(rounds int) {
		t.Helper()
		if err := follow(); err != nil || c.Rounds != rounds || c.Differs != nil {
			t.Fatalf("it agrees with %d rounds (%v, %v), want %d", c.Rounds, err, c.Differs, rounds)
		}
	}
	h.submit()
	h.submit()
	h.digest(core.StateDigested{Round: 1, Slice: 1, From: 2, To: core.LastJob}, 0) // the end of one whose beginning it has not seen
	agrees(0)
	h.digest(core.StateDigested{Round: 2, To: 1}, 0)
	agrees(0)
	h.submit() // between two parts
	h.digest(core.StateDigested{Round: 2, Slice: 1, From: 2, To: core.LastJob}, 0)
	agrees(1)
	h.flush()
	h.digest(core.StateDigested{Round: 3, To: core.LastJob}, 0)
	agrees(2)

	h.digest(core.StateDigested{Round: 4, To: core.LastJob}, 1)
	h.submit()
	err = follow()
	d, ok := errors.AsType[*DifferenceError](err)
	if !ok || d.Seq != c.Last.Seq || d.Own == d.Of.Sum || c.Rounds != 0 {
		t.Errorf("it ended with %v at %d", err, c.Last.Seq)
	}
	if c, err = h.recover(); err != nil || c.Differs == nil || c.Differs.Seq != d.Seq || c.State.Totals().Live != 4 {
		t.Fatalf("recovered with %d jobs: %v, %v", c.State.Totals().Live, c.Differs, err)
	}
	c.Differs = nil
	h.digest(core.StateDigested{Round: 5, To: core.LastJob}, 0)
	agrees(1)
}

// BenchmarkDigest digests as many jobs as a leader does in one turn.
func BenchmarkDigest(b *testing.B) {
	const jobs = 500
	state := core.New(core.Config{})
	for _, e := range state.Begin(1000, 1, 1) {
		state.Apply(e)
	}
	file, err := jobfile.Parse("", []byte(`run: "true"`))
	if err != nil {
		b.Fatal(err)
	}
	d, err := state.Decide(core.Input{Now: 2000}, core.Submit{
		Namespace: core.DefaultName, Spec: file.Spec, Hash: file.Hash, Canonical: file.Canonical, By: "anna",
		Items: slices.Repeat([]core.Item{{Params: []byte("{}")}}, jobs),
	})
	if err != nil {
		b.Fatal(err)
	}
	for _, e := range d.Events {
		state.Apply(e)
	}
	for b.Loop() {
		digest.Of(state, core.StateDigested{To: core.LastJob})
	}
}
