package core

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// market is a lab with a cheap and a dear worker of so many slots.
func market(t *testing.T, slots int) *lab {
	l := testLab(t)
	mustTurn(t, l, RaiseFormat{To: FormatConditions})
	for name, price := range map[string]string{"cheap": "0.1", "dear": "0.9"} {
		h := goodHello(name)
		h.Labels, h.Slots, h.Capacity.CPU, h.Prefetch = map[string]string{"price": price}, slots, int64(slots)*1000, 0
		mustJoin(t, l, h)
	}
	return l
}

// on says where what lives of a job's tasks is, and since when.
func (l *lab) on(id job.ID) string {
	var out []string
	j := l.s.jobs.get(id)
	for i := range j.tasks {
		for a := j.tasks[i].nextLive(0); a != nil; a = j.tasks[i].nextLive(a.position + 1) {
			out = append(out, fmt.Sprintf("%s at %ds", a.worker.hello.Name, (a.assigned-began)/1000))
		}
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

const thriftyFile = "run: x\nprefer: cheapest\ntimeout: 100s\ndeadline: 1h\n"

// thriftyLatest is when that must start: 100 s, a quarter of it and 10 s before the deadline.
const thriftyLatest = 3600 - 135

// TestWaitsForTheCheapest: until its latest start a job waits for the cheap worker while the dear one has
// room, at the latest start it takes that, and the leader wakes up for it; so does one that takes over.
func TestWaitsForTheCheapest(t *testing.T) {
	for _, takeover := range []bool{false, true} {
		l := market(t, 1)
		mustSubmit(t, l, "run: x\nwhere: price=0.1\n")
		id := mustSubmit(t, l, thriftyFile)
		l.advance((thriftyLatest - 1) * 1000)
		if takeover {
			l.failOver()
		}
		if got := l.on(id); got != "" {
			t.Fatalf("it is on %s", got)
		}
		if at := l.s.NextTimer(); at != began+thriftyLatest*1000 {
			t.Errorf("the leader wakes up after %d s", (at-began)/1000)
		}
		l.advance(2000)
		if got, want := l.on(id), fmt.Sprintf("dear at %ds", thriftyLatest); got != want {
			t.Errorf("it is on %q, want %q; takeover: %v", got, want, takeover)
		}
	}
}

// TestTheCheapestIsFreeInTime: what the cheap worker has room for earlier starts there.
func TestTheCheapestIsFreeInTime(t *testing.T) {
	l := market(t, 1)
	mustSubmit(t, l, "run: x\nwhere: price=0.1\n")
	id := mustSubmit(t, l, thriftyFile)
	l.advance(1000_000)
	w := l.workers["cheap"]
	l.begin(w, w.held[0])
	l.finish(w, w.held[0], link.Result{})
	if got := l.on(id); got != "cheap at 1000s" {
		t.Errorf("it is on %q", got)
	}
}

// TestWhoWaitsHowLong: when a job takes the dear worker beside a full cheap one.
func TestWhoWaitsHowLong(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"without a deadline", "run: x\nprefer: cheapest\ntimeout: 100s\n", "dear at 0s"},
		{"without anything known of its length", "run: x\nprefer: cheapest\ndeadline: 1h\n", "dear at 0s"},
		{"where it is to avoid the cheapest", "run: x\nprefer: {when: cheapest, weight: -1}\ntimeout: 100s\ndeadline: 1h\n", "dear at 0s"},
		{"with another preference beside", "run: x\nprefer: [cheapest, {when: gpu, weight: 2}]\ntimeout: 100s\ndeadline: 1h\n", "dear at 3465s"},
		{"too late already", "run: x\nprefer: cheapest\ntimeout: 100s\ndeadline: 2m\n", "dear at 0s"},
		{"by when it is to start", "run: x\nprefer: cheapest\ntimeout: 100s\ndeadline: 1h\nstart_before: 5m\n", "dear at 290s"},
		{"with what follows", "deadline: 1h\ntasks:\n  a: {run: x, prefer: cheapest, timeout: 100s}\n" +
			"  b: {run: x, needs: a, timeout: 200s}\n  c: {run: x, needs: b, timeout: 100s}\n  d: {run: x, needs: {a: failed}}\n", "dear at 3090s"},
		{"with what follows and takes nobody knows how long", "deadline: 1h\ntasks:\n  a: {run: x, prefer: cheapest, timeout: 100s}\n  b: {run: x, needs: a}\n", "dear at 0s"},
		// Each of the two workers runs two at a time: three turns of 100 s.
		{"an array", "run: x\nprefer: cheapest\ntimeout: 100s\ndeadline: 1h\narray: 0-9\n", "dear at 3215s, dear at 3215s"},
		{"an array with a throttle", "run: x\nprefer: cheapest\ntimeout: 100s\ndeadline: 1h\narray: 0-9%1\n", "dear at 2340s"},
		{"an array that is to be apart", "run: x\nprefer: cheapest\ntimeout: 100s\ndeadline: 1h\narray: 0-9\napart: worker\n", "dear at 2965s"},
		{"a gang", "run: x\nprefer: cheapest\ntimeout: 100s\ndeadline: 1h\nnodes: 1\n", "dear at 3465s"},
		{"one of several ways", "run: x\nprefer: cheapest\ntimeout: 100s\ndeadline: 1h\neither: [{gpu: 1}, {cpu: 1}]\n", "dear at 3465s"},
	} {
		l := market(t, 2)
		mustSubmit(t, l, "run: x\narray: 0-1\nwhere: price=0.1\n")
		id := mustSubmit(t, l, c.text)
		for range 3599 {
			if l.on(id) != "" {
				break
			}
			l.advance(1000)
		}
		if got := l.on(id); got != c.want {
			t.Errorf("%s: it is on %q, want %q", c.name, got, c.want)
		}
	}
}

// TestAnArrayWaitsLonger: the fewer elements are left, the later the last ones must start.
func TestAnArrayWaitsLonger(t *testing.T) {
	l := market(t, 1)
	id := mustSubmit(t, l, "run: x\nprefer: cheapest\ntimeout: 100s\ndeadline: 1h\narray: 0-9\n")
	w := l.workers["cheap"]
	for range 8 { // two at a time would have to begin after 2965 s
		l.begin(w, w.held[0])
		l.advance(360_000)
		l.finish(w, w.held[0], link.Result{})
	}
	if got := l.on(id); got != "cheap at 2880s" {
		t.Fatalf("after eight elements it is on %q", got)
	}
	l.advance(500_000)
	if got := l.on(id); got != "cheap at 2880s" {
		t.Errorf("with two left it is on %q after %d s", got, (l.now-began)/1000)
	}
	l.advance(100_000)
	if got := l.on(id); got != "cheap at 2880s, dear at 3465s" {
		t.Errorf("with two left it is on %q after %d s", got, (l.now-began)/1000)
	}
}

// TestLearnedPatience: how long it takes is learned, at the worse end of what earlier runs took.
func TestLearnedPatience(t *testing.T) {
	l := market(t, 1)
	w := l.workers["dear"]
	for _, ran := range []int64{40_000, 200_000, 40_000, 40_000} {
		mustSubmit(t, l, "name: a\nrun: x\nwhere: price=0.9\n")
		l.begin(w, w.held[0])
		l.now += ran
		l.finish(w, w.held[0], link.Result{})
	}
	mustSubmit(t, l, "run: x\nwhere: price=0.1\n")
	id := mustSubmit(t, l, "name: a\nrun: x\nprefer: cheapest\ndeadline: 1h\n")
	at := l.s.jobs.get(id).tasks[0].patience
	if latest := (at - l.now) / 1000; latest < 3600-275-10 || latest > 3600-240-10 {
		t.Errorf("it waits for %d s, of 3600, and the longest run was of 200 s", latest)
	}
}
