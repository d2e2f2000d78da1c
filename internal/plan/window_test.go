package plan

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// reserve is a cluster whose workers are reserved now and then, and what waits and runs in it.
type reserve struct {
	x       *Index
	now     int64
	workers []Worker
	groups  []*modelGroup
	runs    []reserveRun
	// eager: nothing waits for what comes first, so that everything that may start does.
	eager bool
	// plans: a queue keeps places for all that waits in it. What else may start then depends on what has
	// been tried.
	plans bool
}

type reserveRun struct {
	worker uint64
	run    *Run
	cpu    int64
	ahead  bool
	ends   int64
}

// may reports whether something of a group may start on a worker, by what the documents say.
func (r *reserve) may(g *Group, w *Worker) bool {
	for _, v := range w.Reserved {
		mine := v.Namespace == g.Namespace && (v.Queue == "" || v.Queue == g.Queue)
		if mine || v.Until <= r.now {
			continue
		}
		if v.From <= r.now {
			return false
		}
		if g.Length == 0 && r.now >= v.From-v.Lead || g.Length > 0 && r.now+g.Length > v.From {
			return false
		}
	}
	return true
}

func (r *reserve) free(w *Worker) int64 {
	free := w.Capacity.CPU
	for _, a := range r.runs {
		if a.worker == w.ID && !a.ahead {
			free -= a.cpu
		}
	}
	return free
}

func (r *reserve) fits(g *Group, w *Worker) bool {
	return r.free(w) >= g.Shape.Resources.CPU && slices.Contains(w.Executors, g.Shape.Executor)
}

// nearest is the first worker that a group is near and may have, 0 for none.
func (r *reserve) nearest(g *Group) uint64 {
	for id := range workersOf(g.Near) {
		if w := &r.workers[(id-1)%uint64(len(r.workers))]; w.ID == id && r.may(g, w) && r.fits(g, w) {
			return id
		}
	}
	return 0
}

// place carries out what is proposed, and holds it against the windows.
func (r *reserve) place(t *rapid.T) {
	for {
		p, ok := r.x.Next(r.now)
		if !ok {
			break
		}
		at := slices.IndexFunc(r.groups, func(g *modelGroup) bool { return g.ID == p.Group })
		g := r.groups[at]
		if near := r.nearest(&g.Group); r.eager && near != 0 && near != p.Worker {
			t.Fatalf("at %d: %+v is near worker %d, which has room, and goes to %d", r.now, g.Group, near, p.Worker)
		}
		for _, id := range p.All() {
			w := &r.workers[id-1]
			if !r.may(&g.Group, w) {
				t.Fatalf("at %d: %+v, of %+v, goes to %+v", r.now, p, g.Group, w)
			}
			if !p.Prefetch && !r.fits(&g.Group, w) {
				t.Fatalf("at %d: %+v has no room", r.now, p)
			}
			ends := int64(0)
			if g.Length > 0 {
				ends = r.now + g.Length
			}
			run := r.x.Take(id, Attempt{Shape: g.Shape, Namespace: g.Namespace, Queue: g.Queue, Prefetch: p.Prefetch, Alone: g.ID.Alone, Ends: ends, Limit: ends}, r.now)
			r.runs = append(r.runs, reserveRun{id, run, g.Shape.Resources.CPU, p.Prefetch, ends})
		}
		g.ready--
		r.x.SetReady(g.ID, g.ready)
		if g.ready == 0 {
			r.groups = slices.Delete(r.groups, at, at+1)
		}
	}
	r.x.regain()
	r.x.changed = true
	if p, ok := r.x.Next(r.now); ok && !r.plans {
		t.Fatalf("at %d: a second look finds %+v", r.now, p)
	}
	if !r.eager {
		return
	}
	for _, g := range r.groups {
		open := 0
		for i := range r.workers {
			if w := &r.workers[i]; r.may(&g.Group, w) && r.fits(&g.Group, w) {
				open++
			}
		}
		if open >= max(g.Nodes, 1) {
			t.Fatalf("at %d: %+v could start, %d workers have room", r.now, g.Group, open)
		}
	}
}

func (r *reserve) add(t *rapid.T) {
	g := &modelGroup{Group{
		ID: GroupID{Job: job.ID(rapid.IntRange(1, 40).Draw(t, "job"))}, Namespace: rapid.SampledFrom(someSpaces).Draw(t, "namespace"),
		Queue: rapid.SampledFrom(someQueues).Draw(t, "queue"), Score: rapid.Int64Range(0, 2).Draw(t, "score"),
		Length:     tick * rapid.SampledFrom([]int64{0, 1, 2, 3, 4, 5, 6, 7, 10, 12, 14}).Draw(t, "length"),
		Shape:      Shape{Resources: job.Resources{CPU: 1000 * rapid.Int64Range(1, 3).Draw(t, "cpu")}, Executor: rapid.SampledFrom([]string{"process", "process", "wasm"}).Draw(t, "executor")},
		Nodes:      rapid.SampledFrom([]int{0, 0, 0, 2}).Draw(t, "nodes"),
		NoPrefetch: rapid.Bool().Draw(t, "direct"),
	}, int64(rapid.IntRange(1, 3).Draw(t, "ready"))}
	if g.Nodes == 0 && rapid.IntRange(0, 2).Draw(t, "near") == 0 {
		g.Near = NearOf(rapid.SliceOfN(rapid.Uint64Range(1, 5), 1, 3).Draw(t, "workers")...)
	}
	r.groups = slices.DeleteFunc(r.groups, func(o *modelGroup) bool { return o.ID == g.ID })
	r.groups = append(r.groups, g)
	r.x.SetGroup(g.Group, g.ready)
}

func (r *reserve) reserve(t *rapid.T) {
	w := &r.workers[rapid.IntRange(0, len(r.workers)-1).Draw(t, "worker")]
	w.Reserved = nil
	for range rapid.IntRange(0, 2).Draw(t, "windows") {
		v := Window{Name: "r", From: r.now + tick*rapid.Int64Range(-1, 20).Draw(t, "from"), Lead: tick * rapid.Int64Range(0, 5).Draw(t, "lead")}
		v.Until = v.From + tick*rapid.Int64Range(2, 10).Draw(t, "for")
		if rapid.IntRange(0, 2).Draw(t, "whose") > 0 {
			v.Namespace = rapid.SampledFrom(someSpaces).Draw(t, "of")
			v.Queue = rapid.SampledFrom([]string{"", "night", "batch"}).Draw(t, "for queue")
		}
		w.Reserved = append(w.Reserved, v)
	}
	r.x.SetWorker(*w)
}

func (r *reserve) end(t *rapid.T) {
	if len(r.runs) == 0 {
		t.Skip("nothing runs")
	}
	i := rapid.IntRange(0, len(r.runs)-1).Draw(t, "run")
	r.x.Give(r.runs[i].run, r.now)
	r.runs = slices.Delete(r.runs, i, i+1)
}

// TestWindows holds what is proposed against the windows of workers, and what is not proposed too
// where nothing else is in the way of it.
func TestWindows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := &reserve{x: New(), now: 100 * tick, eager: rapid.Bool().Draw(t, "eager")}
		some := []job.Backfill{job.BackfillEasy}
		if rapid.Bool().Draw(t, "some plan") {
			some = append(some, job.BackfillConservative)
		}
		someLimits := []job.Limit{{}, {}, {Running: 2}, {Resources: job.Resources{CPU: 3000}}, {Running: 4, Resources: job.Resources{CPU: 6000}}}
		for _, space := range someSpaces {
			if !r.eager {
				r.x.SetNamespace(space, job.NamespacePolicy{Limit: rapid.SampledFrom(someLimits).Draw(t, "namespace's limit")})
			}
			for _, q := range someQueues {
				p := job.QueuePolicy{Backfill: rapid.SampledFrom(some).Draw(t, "backfill")}
				if r.eager {
					p.Backfill = job.BackfillAny
				} else {
					p.Limit = rapid.SampledFrom(someLimits).Draw(t, "limit")
				}
				r.plans = r.plans || p.Backfill == job.BackfillConservative
				r.x.SetQueue(space, q, p)
			}
		}
		for i := range rapid.IntRange(1, 4).Draw(t, "workers") {
			w := host(uint64(i+1), rapid.IntRange(1, 4).Draw(t, "cpus"))
			w.Prefetch = rapid.IntRange(0, 1).Draw(t, "prefetch")
			if rapid.Bool().Draw(t, "wasm") {
				w.Executors = append(w.Executors, "wasm")
			}
			r.workers = append(r.workers, w)
			r.x.SetWorker(w)
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": r.add, "add2": r.add, "reserve": r.reserve, "end": r.end, "place": r.place, "place2": r.place,
			"later": func(t *rapid.T) { r.now += tick * rapid.Int64Range(1, 4).Draw(t, "by") },
			"": func(t *rapid.T) {
				if err := r.x.Check(); err != nil {
					t.Fatal(err)
				}
			},
		})
	})
}

// reservedFor is a worker that is reserved from a moment on for ten ticks.
func reservedFor(w Worker, from int64, queue string) Worker {
	v := Window{Name: "night", From: from, Until: from + 10*tick, Lead: 2 * tick, Queue: queue}
	if queue != "" {
		v.Namespace = "default"
	}
	w.Reserved = []Window{v}
	return w
}

// TestWindowEndsByItself: what a window kept back starts when it is over, though nothing else has changed,
// and what is sent ahead too.
func TestWindowEndsByItself(t *testing.T) {
	x := New()
	x.SetWorker(reservedFor(host(1, 1), 50, ""))
	x.SetGroup(group(task(1), cpu1), 3)
	for _, now := range []int64{0, 50, 50 + 10*tick - 1} {
		if p, ok := x.Next(now); ok {
			t.Fatalf("at %d: %+v", now, p)
		}
	}
	p, ok := x.Next(50 + 10*tick)
	if !ok || p.Worker != 1 {
		t.Fatalf("after the window: %+v, %v", p, ok)
	}
}

// TestNothingKeptBack: a place that is kept for who waits for the end of a window keeps nobody back
// for whom the window is.
func TestNothingKeptBack(t *testing.T) {
	x := New()
	x.SetWorker(reservedFor(host(1, 2), 0, "night"))
	first := group(task(1), Shape{Resources: job.Resources{CPU: 2000}, Executor: "process"})
	x.SetGroup(first, 1)
	if p, ok := x.Next(10); ok {
		t.Fatalf("%+v", p)
	}
	g := group(task(2), cpu1)
	g.Queue = "night"
	x.SetGroup(g, 1)
	if p, ok := x.Next(10); !ok || p.Group != g.ID {
		t.Fatalf("%+v, %v", p, ok)
	}
}

func TestExplainReserved(t *testing.T) {
	x := New()
	day := int64(24 * 3600 * 1000)
	w := func(id uint64, from, until int64) {
		h := host(id, 1)
		h.Reserved = []Window{{Name: map[bool]string{true: "maintenance", false: "night"}[from == 0], From: from, Until: until, Lead: 3600_000}}
		x.SetWorker(h)
	}
	w(1, 0, day/4)
	w(2, 0, day/4)
	w(3, 2*3600_000, day)
	x.SetWorker(host(4, 1))
	taken(x, 4, cpu1, false, false)
	x.SetGroup(group(task(1), cpu1), 1)
	long := group(task(2), cpu1)
	long.Length = 3 * 3600_000
	x.SetGroup(long, 1)
	now := int64(90 * 60_000)
	for id, want := range map[job.ID][]string{
		1: {
			"1 of 4 fitting workers is busy: 1 has no free slot",
			"2 of 4 fitting workers are reserved by maintenance until 06:00 UTC",
			"1 of 4 fitting workers is kept for reservation night from 02:00 UTC, and nobody knows that it ends before",
		},
		2: {
			"1 of 4 fitting workers is busy: 1 has no free slot",
			"2 of 4 fitting workers are reserved by maintenance until 06:00 UTC",
			"1 of 4 fitting workers is kept for reservation night from 02:00 UTC, and it is expected to take 3h",
			"1 ready element is ahead of it in order, of job 1",
		},
	} {
		if diff := gocmp.Diff(want, x.Explain(task(id), now).Lines()); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
	}
}
