package plan

import (
	"fmt"
	"runtime"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/reeve-scheduler/reeve/internal/job"
)

var cpu1 = Shape{Resources: job.Resources{CPU: 1000}, Executor: "process"}

func task(id job.ID) GroupID { return GroupID{Job: id} }

func alone(id job.ID) GroupID { return GroupID{Job: id, Alone: true} }

func group(id GroupID, s Shape) Group {
	return Group{ID: id, Namespace: "default", Queue: "default", Shape: s}
}

// host is a worker with as many processors as slots.
func host(id uint64, slots int) Worker {
	return Worker{
		ID: id, Capacity: job.Resources{CPU: int64(slots) * 1000, Memory: 8 << 30}, Slots: slots, Prefetch: 2,
		Executors: []string{"process"}, Accepts: true,
	}
}

// taken gives a worker an attempt of a shape, give takes one back, and promote lets one that
// was sent ahead take its place. They know attempts by what is the same in them.
func taken(x *Index, id uint64, s Shape, prefetch, alone bool) {
	x.Take(id, Attempt{Shape: s, Namespace: "default", Queue: "default", Prefetch: prefetch, Alone: alone}, 0)
}

func give(x *Index, id uint64, s Shape, prefetch, alone bool) {
	x.Give(runOf(x, id, s, prefetch, alone), 0)
}

func promote(x *Index, id uint64, s Shape) { x.Promote(runOf(x, id, s, true, false)) }

func runOf(x *Index, id uint64, s Shape, prefetch, alone bool) *Run {
	if w := x.workers[id]; w != nil {
		for _, r := range w.runs {
			if r.shape.Shape == s && r.prefetch == prefetch && r.alone == alone {
				return r
			}
		}
	}
	return nil
}

// fill takes proposals until there are tournament.None, and says what they were.
func fill(x *Index) []string {
	var out []string
	for {
		p, ok := x.Next(0)
		if !ok {
			return out
		}
		y := x.Explain(p.Group, 0)
		taken(x, p.Worker, shapeOf(x, p.Group), p.Prefetch, p.Group.Alone)
		x.SetReady(p.Group, y.Ready-1)
		s := fmt.Sprintf("%d.%d>%d", p.Group.Job, p.Group.Task, p.Worker)
		if p.Group.Alone {
			s += " alone"
		}
		if p.Prefetch {
			s += " ahead"
		}
		out = append(out, s)
	}
}

func wantPlaced(t *testing.T, x *Index, want ...string) {
	t.Helper()
	if diff := gocmp.Diff(want, fill(x)); diff != "" {
		t.Errorf("placed: -want +got\n%s", diff)
	}
	if err := x.Check(); err != nil {
		t.Error(err)
	}
}

func TestOrder(t *testing.T) {
	x := New()
	for i, p := range []int64{0, 5, 0, -1, 5} {
		g := group(task(job.ID(10-i)), cpu1)
		g.Score = p
		x.SetGroup(g, 1)
	}
	x.SetGroup(group(GroupID{Job: 10, Task: 3}, cpu1), 1)
	x.SetGroup(group(GroupID{Job: 10, Task: 2}, cpu1), 1)
	x.SetWorker(host(1, 10))
	wantPlaced(t, x, "6.0>1", "9.0>1", "8.0>1", "10.0>1", "10.2>1", "10.3>1", "7.0>1")
}

func TestPriorityChanges(t *testing.T) {
	x := New()
	x.SetGroup(group(task(1), cpu1), 1)
	x.SetGroup(group(task(2), cpu1), 1)
	later := group(task(2), cpu1)
	later.Score = 1
	x.SetGroup(later, 1)
	x.SetWorker(host(1, 4))
	wantPlaced(t, x, "2.0>1", "1.0>1")
}

func TestSpread(t *testing.T) {
	x := New()
	x.SetWorker(host(3, 2))
	x.SetWorker(host(2, 2))
	x.SetWorker(host(1, 3))
	x.SetGroup(group(task(1), cpu1), 6)
	wantPlaced(t, x, "1.0>1", "1.0>1", "1.0>2", "1.0>3", "1.0>1", "1.0>2")
}

// A large element that fits nowhere must not keep a small one from a place.
func TestSmallOnesGoOn(t *testing.T) {
	x := New()
	big := cpu1
	big.Resources.CPU = 8000
	x.SetGroup(group(task(1), big), 1)
	x.SetGroup(group(task(2), cpu1), 1)
	x.SetWorker(host(1, 4))
	wantPlaced(t, x, "2.0>1")
	x.SetWorker(host(2, 8))
	wantPlaced(t, x, "1.0>2")
}

func TestPrefetch(t *testing.T) {
	x := New()
	x.SetWorker(host(1, 1))
	x.SetWorker(host(2, 1))
	x.SetGroup(group(task(1), cpu1), 10)
	direct := group(task(2), cpu1)
	direct.NoPrefetch = true
	x.SetGroup(direct, 1)
	x.SetGroup(group(task(3), other), 1)
	x.SetGroup(group(alone(4), cpu1), 1)
	wantPlaced(t, x, "1.0>1", "1.0>2", "1.0>1 ahead", "1.0>2 ahead", "1.0>1 ahead", "1.0>2 ahead")

	// The end of one lets a held one start, and makes room to hold another.
	give(x, 1, cpu1, false, false)
	promote(x, 1, cpu1)
	wantPlaced(t, x, "1.0>1 ahead")

	// A worker that is no longer of the kind gets nothing more ahead.
	w := host(1, 1)
	w.Prefetch, w.Executors = 9, []string{"function"}
	x.SetWorker(w)
	wantPlaced(t, x)
	w.Executors = []string{"process"}
	x.SetWorker(w)
	wantPlaced(t, x, "1.0>1 ahead", "1.0>1 ahead", "1.0>1 ahead")
}

func TestAlone(t *testing.T) {
	x := New()
	x.SetWorker(host(1, 4))
	x.SetGroup(group(task(1), cpu1), 1)
	x.SetGroup(group(alone(1), cpu1), 2)
	wantPlaced(t, x, "1.0>1")
	give(x, 1, cpu1, false, false)
	x.SetGroup(group(task(2), cpu1), 1)
	wantPlaced(t, x, "1.0>1 alone")
	x.SetWorker(host(2, 1))
	wantPlaced(t, x, "1.0>2 alone")
	give(x, 1, cpu1, false, true)
	wantPlaced(t, x, "2.0>1")
}

// Of one task the elements that need no worker for themselves go first.
func TestAloneAfterTheRest(t *testing.T) {
	for range 2 {
		x := New()
		x.SetGroup(group(alone(1), cpu1), 1)
		x.SetGroup(group(task(1), cpu1), 1)
		x.SetWorker(host(1, 1))
		x.SetWorker(host(2, 1))
		wantPlaced(t, x, "1.0>1", "1.0>2 alone")
	}
}

func TestPause(t *testing.T) {
	x := New()
	x.SetPaused("team", "", true)
	x.SetPaused("default", "night", true)
	for i, q := range []struct{ space, name string }{{"team", "night"}, {"default", "night"}, {"default", "default"}} {
		g := group(task(job.ID(i+1)), cpu1)
		g.Namespace, g.Queue = q.space, q.name
		x.SetGroup(g, 1)
	}
	x.SetWorker(host(1, 9))
	wantPlaced(t, x, "3.0>1")
	x.SetPaused("team", "", false)
	wantPlaced(t, x, "1.0>1")
	x.SetPaused("default", "night", false)
	wantPlaced(t, x, "2.0>1")
}

// Capacity that shrinks below what is used stops new work and nothing else.
func TestShrink(t *testing.T) {
	x := New()
	x.SetWorker(host(1, 4))
	x.SetGroup(group(task(1), cpu1), 3)
	wantPlaced(t, x, "1.0>1", "1.0>1", "1.0>1")
	small := host(1, 2)
	small.Prefetch = 0
	x.SetWorker(small)
	x.SetGroup(group(task(2), cpu1), 5)
	wantPlaced(t, x)
	give(x, 1, cpu1, false, false)
	wantPlaced(t, x)
	give(x, 1, cpu1, false, false)
	wantPlaced(t, x, "2.0>1")
}

func TestUnknownWorkers(t *testing.T) {
	x := New()
	taken(x, 7, cpu1, false, false)
	give(x, 7, cpu1, false, false)
	promote(x, 7, cpu1)
	x.RemoveWorker(7)
	if used, running, ahead := x.Usage(7); used != (job.Resources{}) || running+ahead != 0 {
		t.Errorf("an unknown worker uses %v by %d and %d", used, running, ahead)
	}
	if x.SetReady(task(1), 3) {
		t.Error("SetReady knows a group that was never set")
	}
}

func TestLostCount(t *testing.T) {
	x := New()
	x.SetWorker(host(1, 4))
	taken(x, 1, cpu1, false, false)
	r := x.workers[1].runs[0]
	x.Give(r, 0)
	defer func() {
		if recover() == nil {
			t.Error("what was given back twice is not noticed")
		}
	}()
	x.Give(r, 0)
}

var other = Shape{Resources: job.Resources{CPU: 1000, Memory: 1 << 20}, Executor: "process"}

// recalls starts from two full workers of one slot that hold two of cpu1 and one of
// other ahead.
var recalls = []struct {
	name   string
	change func(x *Index)
	limit  int
	want   []Recall
}{
	{"no place", func(*Index) {}, 9, nil},
	{"many places", func(x *Index) { x.SetWorker(host(3, 9)) }, 9, []Recall{{1, cpu1, 2}, {2, other, 1}}},
	{"limit", func(x *Index) { x.SetWorker(host(3, 9)) }, 1, []Recall{{1, cpu1, 1}}},
	{"limit zero", func(x *Index) { x.SetWorker(host(3, 9)) }, 0, nil},
	{"one place is for one shape", func(x *Index) {
		w := host(3, 1)
		w.Capacity.CPU = 9000
		x.SetWorker(w)
	}, 9, []Recall{{1, cpu1, 1}}},
	{"one processor is for one shape", func(x *Index) {
		w := host(3, 9)
		w.Capacity.CPU = 1000
		x.SetWorker(w)
	}, 9, []Recall{{1, cpu1, 1}}},
	{"two places, three to have them", func(x *Index) { x.SetWorker(host(3, 2)) }, 9, []Recall{{1, cpu1, 2}}},
	{"by amounts", func(x *Index) {
		w := host(3, 9)
		w.Capacity = job.Resources{CPU: 2500, Memory: 1<<20 - 1}
		x.SetWorker(w)
	}, 9, []Recall{{1, cpu1, 2}}},
	{"by memory", func(x *Index) {
		w := host(3, 9)
		w.Capacity = job.Resources{CPU: 2500, Memory: 1 << 20}
		x.SetWorker(w)
		promote(x, 1, cpu1)
		promote(x, 1, cpu1)
		taken(x, 2, other, true, false)
	}, 9, []Recall{{2, other, 1}}},
	{"ready ones first", func(x *Index) {
		x.SetGroup(group(task(1), cpu1), 1)
		x.SetWorker(host(3, 9))
	}, 9, []Recall{{2, other, 1}}},
	{"its own place", func(x *Index) { give(x, 1, cpu1, false, false) }, 9, []Recall{{2, other, 1}}},
	{"the fullest first", func(x *Index) {
		x.SetWorker(host(3, 1))
		taken(x, 3, cpu1, false, false)
		for range 3 {
			taken(x, 3, cpu1, true, false)
		}
		x.SetWorker(host(4, 4))
	}, 9, []Recall{{3, cpu1, 3}, {1, cpu1, 1}}},
}

func TestRecalls(t *testing.T) {
	for _, c := range recalls {
		t.Run(c.name, func(t *testing.T) {
			x := New()
			x.SetWorker(host(1, 1))
			x.SetWorker(host(2, 1))
			taken(x, 1, cpu1, false, false)
			taken(x, 2, other, false, false)
			taken(x, 1, cpu1, true, false)
			taken(x, 1, cpu1, true, false)
			taken(x, 2, other, true, false)
			c.change(x)
			if diff := gocmp.Diff(c.want, x.Recalls(c.limit)); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			if err := x.Check(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A worker that gave up its entry of a shape and has another must not count twice.
func TestRecallsOncePerWorker(t *testing.T) {
	x := New()
	for id := range uint64(2) {
		x.SetWorker(host(id+1, 1))
		taken(x, id+1, cpu1, true, false)
	}
	give(x, 1, cpu1, true, false)
	give(x, 2, cpu1, true, false)
	taken(x, 1, cpu1, false, false)
	taken(x, 1, cpu1, true, false)
	x.SetWorker(host(3, 9))
	if diff := gocmp.Diff([]Recall{{1, cpu1, 1}}, x.Recalls(9)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// What is out of use is forgotten in time, and what is in use stays.
func TestForget(t *testing.T) {
	x := New()
	x.SetWorker(host(1, 1))
	x.SetPaused("kept", "q", true)
	x.SetPaused("also", "", true)
	taken(x, 1, cpu1, false, false)
	for i := range 20 * internedFloor {
		s := cpu1
		s.Resources.Memory = int64(i)
		if i%2 == 0 {
			s.Where = fmt.Sprint("zone=", i%100)
		}
		g := group(task(1), s)
		g.Namespace, g.Queue = fmt.Sprint(i%1000), fmt.Sprint(i)
		x.SetGroup(g, 1)
		x.Next(0)
		x.SetReady(g.ID, 0)
	}
	if x.interned > 2*internedFloor {
		t.Errorf("%d things are interned", x.interned)
	}
	leaves := 0
	for _, k := range x.kindList {
		leaves += int(k.id)
	}
	if leaves > 2*internedFloor {
		t.Errorf("%d leaves of waiting lanes", leaves)
	}
	for i, q := range []string{"kept", "also"} {
		g := group(task(job.ID(i+1)), cpu1)
		g.Namespace, g.Queue = q, "q"
		x.SetGroup(g, 1)
	}
	give(x, 1, cpu1, false, false)
	wantPlaced(t, x)
}

// A worker that gains room must only bring up the lanes that fit it, and only as
// far as it has places: that keeps Next's cost to what changed.
func TestTriesOnlyWhatFits(t *testing.T) {
	x := New()
	x.SetWorker(host(1, 1))
	for i := range 100 {
		s := cpu1
		s.Resources = job.Resources{CPU: 1000, Memory: int64(100-i) << 30}
		x.SetGroup(group(task(job.ID(i+1)), s), 1)
	}
	wantPlaced(t, x, "93.0>1")
	w := host(2, 1)
	w.Capacity.Memory = 20 << 30
	x.SetWorker(w)
	if l := x.candidate(); l == nil || x.nameOf(l, l.groups[0]) != task(81) {
		t.Errorf("the candidate is %+v, want that of job 81", l)
	}
	p, ok := x.Next(0)
	if !ok || p.Group != task(81) || p.Worker != 2 || len(x.tried) != 0 {
		t.Errorf("placed %+v after %d tries, want job 81 on worker 2 at once", p, len(x.tried))
	}
	s := cpu1
	s.Resources.Memory = 20 << 30
	taken(x, 2, s, false, false)
	x.SetReady(p.Group, 0)
	if l := x.candidate(); l != nil {
		t.Errorf("the candidate is %+v, and there is no place", l)
	}
}

// Amounts of two workers together look like a place that neither has.
func TestDeceived(t *testing.T) {
	x := New()
	shape := needing(4000, 4<<30)
	x.SetGroup(group(task(1), shape), 1)
	x.SetGroup(group(task(2), needing(1000, 1<<30)), 3)
	wantPlaced(t, x)
	for i, r := range []job.Resources{{CPU: 4000, Memory: 1 << 30}, {CPU: 1000, Memory: 4 << 30}} {
		w := host(uint64(i+1), 4)
		w.Capacity, w.Prefetch = r, 0
		x.SetWorker(w)
	}
	if p, ok := x.Next(0); !ok || p.Group != task(2) || len(x.tried) != 1 {
		t.Errorf("placed %+v with %d tried, want job 2 after job 1 failed", p, len(x.tried))
	}
	w := host(3, 4)
	x.SetWorker(w)
	wantPlaced(t, x, "1.0>3", "2.0>1", "2.0>2")
}

func TestNoGarbage(t *testing.T) {
	x := New()
	for i := range 10 {
		x.SetWorker(host(uint64(i+1), 2))
	}
	for i := range 100 {
		x.SetGroup(group(task(job.ID(i+1)), cpu1), 1000)
	}
	fill(x)
	got := testing.AllocsPerRun(1000, func() {
		give(x, 3, cpu1, false, false)
		p, _ := x.Next(0)
		taken(x, p.Worker, cpu1, p.Prefetch, false)
		x.SetReady(p.Group, 500)
		x.Next(0)
	})
	if got > 1 { // what Take returns
		t.Errorf("a placement allocates %v times", got)
	}
}

func TestMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("makes a million groups")
	}
	const n = 1_000_000
	var before, after runtime.MemStats
	x := New()
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range n {
		x.SetGroup(group(task(job.ID(i+1)), cpu1), 1)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := (after.HeapAlloc - before.HeapAlloc) / n
	t.Logf("%d bytes for each pending group", each)
	if each > 100 {
		t.Errorf("a pending group takes %d bytes, want at most 100", each)
	}
	for i := range n {
		x.SetReady(task(job.ID(i+1)), 0)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if left := int64(after.HeapAlloc) - int64(before.HeapAlloc); left > 1<<20 {
		t.Errorf("%d bytes are left of a million groups that are gone", left)
	}
	runtime.KeepAlive(x)
}
