package core

import (
	"slices"
	"testing"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// aheadLab has a worker of one processor that runs an element of an array and was sent three more ahead.
func aheadLab(t *testing.T, array string) *lab {
	t.Helper()
	l := newLab(t.Fatalf)
	h := poolHello("w1", "night", job.Resources{CPU: 1000})
	h.Prefetch = 3
	if err := l.join(h); err != nil {
		t.Fatal(err)
	}
	mustSubmit(t, l, array)
	if w := l.s.Workers()[0]; w.Running != 1 || w.Prefetched != 3 {
		t.Fatalf("%d run and %d are ahead, want 1 and 3", w.Running, w.Prefetched)
	}
	return l
}

// askedBack is how many attempts that were sent ahead are asked back, and how many are not.
func askedBack(l *lab) (back, stay int) {
	for a := l.s.workers[1].first; a != nil; a = a.next {
		switch {
		case a.prefetched && a.recalled:
			back++
		case a.prefetched:
			stay++
		}
	}
	return back, stay
}

// TestWhoComesFirstIsNotBehindWhatIsAhead: what was sent ahead of its place is asked back when something
// comes that goes before it and finds no place, whatever that asks for, and not for what comes after.
func TestWhoComesFirstIsNotBehindWhatIsAhead(t *testing.T) {
	for _, c := range []struct {
		name, file string
		back, stay int
	}{
		{"of the same shape", "run: x\npriority: high\n", 3, 0},
		{"of another shape", "run: x\npriority: high\nresources: {cpu: 0.5}\n", 3, 0},
		{"later in order", "run: x\n", 0, 3},
		{"lower in order", "run: x\npriority: low\n", 0, 3},
		{"of no use to it", "run: x\npriority: high\nresources: {cpu: 2}\n", 0, 3},
		{"in another queue", "run: x\npriority: high\nqueue: other\n", 0, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := aheadLab(t, "run: x\narray: 0-99\n")
			mustTurn(t, l, PutQueue{Namespace: DefaultName, Name: "other", Create: true})
			mustSubmit(t, l, c.file)
			if back, stay := askedBack(l); back != c.back || stay != c.stay {
				t.Errorf("%d are asked back and %d stay, want %d and %d", back, stay, c.back, c.stay)
			}
		})
	}
}

// TestComerGoesFirstOnceOthersAreBack: it is the next that the worker starts.
func TestComerGoesFirstOnceOthersAreBack(t *testing.T) {
	l := aheadLab(t, "run: x\narray: 0-99\n")
	mustSubmit(t, l, "run: x\npriority: high\nresources: {cpu: 0.5}\n")
	w := l.workers["w1"]
	first := w.held[0]
	l.begin(w, first)
	for _, g := range slices.Clone(w.held) {
		if g.recalled {
			w.drop(g.fence)
			l.report(w, link.Report{Returned: []link.Fence{g.fence}})
		}
	}
	l.finish(w, first, link.Result{})
	if j := l.s.jobs.get(2); j.tasks[0].one.live == nil || j.tasks[0].one.live.prefetched {
		t.Errorf("job 2 has no place although its worker has room and it goes first")
	}
}

// TestBriefStaysAhead: what is known to take next to no time is not asked back.
func TestBriefStaysAhead(t *testing.T) {
	for _, c := range []struct {
		run        int64
		back, stay int
	}{{brief - 1, 0, 3}, {brief, 3, 0}} {
		l := newLab(t.Fatalf)
		h := poolHello("w1", "night", job.Resources{CPU: 1000})
		h.Prefetch = 3
		mustTurn(t, l, RaiseFormat{To: FormatLearns})
		if err := l.join(h); err != nil {
			t.Fatal(err)
		}
		mustSubmit(t, l, "name: known\nrun: x\n")
		w := l.workers["w1"]
		l.begin(w, w.held[0])
		l.now += c.run
		l.finish(w, w.held[0], link.Result{})
		mustSubmit(t, l, "name: known\nrun: x\narray: 0-99\n")
		mustSubmit(t, l, "run: x\npriority: high\n")
		if back, stay := askedBack(l); back != c.back || stay != c.stay {
			t.Errorf("after runs of %d ms: %d are asked back and %d stay, want %d and %d", c.run, back, stay, c.back, c.stay)
		}
	}
}

// TestNobodyOfACrowdIsBehindWhatIsAhead: neither one that comes with another that finds a place at once, nor one of
// more than are noted.
func TestNobodyOfACrowdIsBehindWhatIsAhead(t *testing.T) {
	for _, n := range []int{1, maxComers, maxComers + 1} {
		l := aheadLab(t, "run: x\npool: night\narray: 0-99\n")
		h := poolHello("w2", "day", job.Resources{CPU: 100_000})
		h.Slots, h.Prefetch = 100, 0
		if err := l.join(h); err != nil {
			t.Fatal(err)
		}
		for range n { // these start elsewhere
			c, _ := l.asks("run: x\npool: day\npriority: critical\n", nil)
			if _, err := l.do(c); err != nil {
				t.Fatal(err)
			}
		}
		mustSubmit(t, l, "run: x\npool: night\npriority: high\n")
		if back, stay := askedBack(l); back != 3 || stay != 0 {
			t.Errorf("beside %d others: %d are asked back and %d stay, want 3 and 0", n, back, stay)
		}
	}
}
