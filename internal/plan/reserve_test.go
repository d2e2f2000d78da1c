package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/reeve-scheduler/reeve/internal/job"
	"pgregory.net/rapid"
)

// tick is the finest length that the plan tells apart, in milliseconds.
const tick = 100

// batch is a cluster in virtual time whose jobs run as long as they say, or shorter.
type batch struct {
	x    *Index
	now  int64
	jobs map[job.ID]*batchJob
	runs []*batchRun
	// started is when each job did.
	started map[job.ID]int64
}

type batchJob struct {
	submit, length, lasts, cpu int64
}

type batchRun struct {
	id   job.ID
	ends int64
	run  *Run
}

func newBatch(p job.QueuePolicy, cpus ...int64) *batch {
	b := &batch{x: New(), jobs: map[job.ID]*batchJob{}, started: map[job.ID]int64{}}
	b.x.SetQueue("default", "default", p)
	for i, cpu := range cpus {
		w := host(uint64(i+1), int(cpu))
		w.Prefetch = 0
		b.x.SetWorker(w)
	}
	return b
}

func (b *batch) submit(id job.ID, j *batchJob) {
	b.jobs[id] = j
	g := group(task(id), Shape{Resources: job.Resources{CPU: 1000 * j.cpu}, Executor: "process"})
	g.Length = j.length
	b.x.SetGroup(g, 1)
}

// place starts all that the plan proposes.
func (b *batch) place() {
	for {
		p, ok := b.x.Next(b.now)
		if !ok {
			return
		}
		j := b.jobs[p.Group.Job]
		at, _ := b.x.find(p.Group)
		c := b.x.classes[b.x.groups.Get(at).Class]
		a := Attempt{Shape: c.shape.Shape, Namespace: "default", Queue: "default"}
		if j.length > 0 {
			a.Ends, a.Limit = b.now+j.length, b.now+j.length
		}
		b.x.SetReady(p.Group, 0)
		b.started[p.Group.Job] = b.now
		for _, w := range append([]uint64{p.Worker}, p.Team...) {
			b.runs = append(b.runs, &batchRun{p.Group.Job, b.now + j.lasts, b.x.Take(w, a, 0)})
		}
	}
}

// end ends what is over.
func (b *batch) end() {
	b.runs = slices.DeleteFunc(b.runs, func(r *batchRun) bool {
		if r.ends > b.now {
			return false
		}
		b.x.Give(r.run, 0)
		return true
	})
}

// simulate runs jobs, which are in the order of their submits, to the end.
func (b *batch) simulate(jobs []*batchJob) {
	for next := 0; next < len(jobs) || len(b.runs) > 0; {
		at := never
		if next < len(jobs) {
			at = jobs[next].submit
		}
		for _, r := range b.runs {
			at = min(at, r.ends)
		}
		b.now = at
		b.end()
		for ; next < len(jobs) && jobs[next].submit == at; next++ {
			b.submit(job.ID(next+1), jobs[next])
		}
		b.place()
	}
}

func drawJobs(t *rapid.T, most int64) []*batchJob {
	jobs := make([]*batchJob, rapid.IntRange(1, 30).Draw(t, "jobs"))
	at := int64(100)
	for i := range jobs {
		at += tick * rapid.Int64Range(0, 20).Draw(t, "later")
		length := tick * rapid.Int64Range(1, 60).Draw(t, "length")
		lasts := length
		if rapid.Bool().Draw(t, "shorter") {
			lasts = tick * rapid.Int64Range(1, length/tick).Draw(t, "lasts")
		}
		jobs[i] = &batchJob{at, length, lasts, rapid.Int64Range(1, most).Draw(t, "cpu")}
	}
	return jobs
}

// profile is what is free of one machine over time, by the definition: at each moment, what
// there is less what runs and what is kept then.
type machineProfile struct {
	total int64
	spans [][3]int64 // from, until, cpu
}

func (p *machineProfile) free(at int64) int64 {
	free := p.total
	for _, s := range p.spans {
		if s[0] <= at && at < s[1] {
			free -= s[2]
		}
	}
	return free
}

// earliest is the first moment from now on at which so much is free for so long.
func (p *machineProfile) earliest(now, length, cpu int64) int64 {
	moments := []int64{now}
	for _, s := range p.spans {
		moments = append(moments, s[0], s[1])
	}
	slices.Sort(moments)
	for _, from := range moments {
		fits := from >= now
		for _, at := range append(moments, from) {
			fits = fits && (at < from || at >= from+length || p.free(at) >= cpu)
		}
		if fits {
			return from
		}
	}
	panic("never")
}

// reference is first come, first served with backfill on one machine, by the definitions of
// Mu'alem and Feitelson (2001): at each event, all that comes first in order starts; then places
// are kept for so many of those that wait, and the others start if they delay tournament.None of these.
func reference(jobs []*batchJob, total int64, keep int) map[job.ID]int64 {
	started, waiting := map[job.ID]int64{}, []job.ID(nil)
	type run struct {
		id                   job.ID
		expected, ends, size int64
	}
	var runs []run
	for next := 0; next < len(jobs) || len(runs) > 0; {
		now := never
		if next < len(jobs) {
			now = jobs[next].submit
		}
		for _, r := range runs {
			now = min(now, r.ends)
		}
		runs = slices.DeleteFunc(runs, func(r run) bool { return r.ends <= now })
		for ; next < len(jobs) && jobs[next].submit == now; next++ {
			waiting = append(waiting, job.ID(next+1))
		}
		p := machineProfile{total: total}
		for _, r := range runs {
			p.spans = append(p.spans, [3]int64{now, r.expected, r.size})
		}
		kept := 0
		waiting = slices.DeleteFunc(waiting, func(id job.ID) bool {
			j := jobs[id-1]
			at := p.earliest(now, j.length, j.cpu)
			if at > now && kept == keep {
				return false
			}
			p.spans = append(p.spans, [3]int64{at, at + j.length, j.cpu})
			if at > now {
				kept++
				return false
			}
			started[id] = now
			runs = append(runs, run{id, now + j.length, now + j.lasts, j.cpu})
			return true
		})
	}
	return started
}

// TestBackfill checks that what starts, and when, is what the definitions say.
func TestBackfill(t *testing.T) {
	for _, c := range []struct {
		backfill job.Backfill
		keep     int
	}{{job.BackfillEasy, 1}, {job.BackfillConservative, 1000}} {
		t.Run(c.backfill.String(), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				total := rapid.Int64Range(1, 8).Draw(t, "processors")
				jobs := drawJobs(t, total)
				b := newBatch(job.QueuePolicy{Order: job.ByAge, Backfill: c.backfill}, total)
				b.simulate(jobs)
				if diff := gocmp.Diff(reference(jobs, total, c.keep), b.started); diff != "" {
					t.Fatalf("started: -want +got\n%s", diff)
				}
				if err := b.x.Check(); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

// TestPlanIncludesWhatComes: once places are kept for a whole queue, what comes later in it may
// delay nothing of it either that was new and found no place.
func TestPlanIncludesWhatComes(t *testing.T) {
	b := newBatch(job.QueuePolicy{Order: job.ByAge, Backfill: job.BackfillConservative}, 6)
	b.now = 300
	for id, j := range []*batchJob{
		{length: 200, lasts: 200, cpu: 1}, // runs
		{length: 100, lasts: 100, cpu: 6}, // from 500 on
		{length: 100, lasts: 100, cpu: 1}, // now
		{length: 100, lasts: 100, cpu: 1}, // now
		{length: 100, lasts: 100, cpu: 4}, // from 400 on
		{length: 200, lasts: 200, cpu: 2}, // not now, although there is room until 500
	} {
		b.submit(job.ID(id+1), j)
	}
	b.place()
	if want := map[job.ID]int64{1: 300, 3: 300, 4: 300}; !maps.Equal(b.started, want) {
		t.Errorf("started %v, want %v", b.started, want)
	}
}

// TestStrict checks that nothing starts before what comes first in its queue.
func TestStrict(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		total := rapid.Int64Range(1, 8).Draw(t, "processors")
		jobs := drawJobs(t, total)
		b := newBatch(job.QueuePolicy{Order: job.ByAge, Backfill: job.BackfillNone}, total)
		b.simulate(jobs)
		for i := 2; i <= len(jobs); i++ {
			if b.started[job.ID(i)] < b.started[job.ID(i-1)] {
				t.Fatalf("job %d starts at %d, and job %d before it at %d", i-1, b.started[job.ID(i-1)], i, b.started[job.ID(i)])
			}
		}
		if len(b.started) != len(jobs) {
			t.Fatalf("%d of %d jobs started", len(b.started), len(jobs))
		}
	})
}

// TestStrictAtLimit: where nothing may pass, nothing passes what waits for room in a limit, on any worker and of
// any kind; what is more than the limit holds up nobody.
func TestStrictAtLimit(t *testing.T) {
	gang := func() Group { return gangOf(3, 2, 2) }
	wide := func() Group { return group(task(3), needing(4000, 0)) }
	for name, c := range map[string]struct {
		backfill job.Backfill
		space    bool // the limit is the namespace's
		limit    job.Limit
		first    Group
		queue    string // of the one that comes later
		passes   bool
	}{
		"nothing passes":           {backfill: job.BackfillNone, limit: job.Limit{Resources: job.Resources{CPU: 4000}}, first: wide()},
		"nor a namespace's limit":  {backfill: job.BackfillNone, space: true, limit: job.Limit{Resources: job.Resources{CPU: 4000}}, first: wide()},
		"nor a gang":               {backfill: job.BackfillNone, limit: job.Limit{Running: 2}, first: gang()},
		"too much for ever":        {backfill: job.BackfillNone, limit: job.Limit{Resources: job.Resources{CPU: 3000}}, first: wide(), passes: true},
		"a queue whose turn it is": {backfill: job.BackfillNone, space: true, limit: job.Limit{Resources: job.Resources{CPU: 4000}}, first: wide(), queue: "other", passes: true},
		"where anything passes":    {backfill: job.BackfillAny, limit: job.Limit{Resources: job.Resources{CPU: 4000}}, first: wide(), passes: true},
	} {
		t.Run(name, func(t *testing.T) {
			x := New()
			p := job.QueuePolicy{Backfill: c.backfill}
			if c.space {
				x.SetNamespace("default", job.NamespacePolicy{Limit: c.limit})
			} else {
				p.Limit = c.limit
			}
			x.SetQueue("default", "default", p)
			for id := range uint64(3) {
				x.SetWorker(host(id+1, 8))
			}
			small := host(4, 1)
			small.Executors = []string{"wasm"}
			x.SetWorker(small)
			run := x.Take(1, Attempt{Shape: cpu1, Namespace: "default", Queue: "default"}, 0)
			x.SetGroup(c.first, 1)
			later := group(task(4), Shape{Resources: job.Resources{CPU: 1000}, Executor: "wasm"})
			if c.queue != "" {
				later.Queue = c.queue
			}
			x.SetGroup(later, 1)
			if p, ok := x.Next(0); ok != c.passes || ok && p.Group != later.ID {
				t.Fatalf("Next = %+v %v, want what comes later: %v", p, ok, c.passes)
			}
			if err := x.Check(); err != nil {
				t.Error(err)
			}
			if c.passes {
				return
			}
			x.Give(run, 0)
			if p, ok := x.Next(0); !ok || p.Group != c.first.ID {
				t.Errorf("Next = %+v %v, want what comes first", p, ok)
			}
		})
	}
}

// TestRoomInLimit: what waits for room in a limit is passed by what is over before there is room for it, by what
// fits beside it, and by what takes nothing of what is lacking.
func TestRoomInLimit(t *testing.T) {
	type ends = []int64 // of 1 cpu each, 0 for unknown
	for name, c := range map[string]struct {
		runs   ends
		wide   int64
		cpu    int64
		length int64
		passes bool
	}{
		"nobody knows":               {runs: ends{0, 0}, wide: 6, cpu: 1},
		"over at some time":          {runs: ends{0, 0}, wide: 6, cpu: 1, length: 1000, passes: true},
		"over in time":               {runs: ends{600, 700}, wide: 5, cpu: 1, length: 500, passes: true},
		"over too late":              {runs: ends{600, 700}, wide: 5, cpu: 2, length: 600},
		"beside":                     {runs: ends{600, 700}, wide: 5, cpu: 1, length: 600},
		"beside when another ends":   {runs: ends{600, 700, 600}, wide: 4, cpu: 1, length: 600, passes: true},
		"takes nothing that lacks":   {runs: ends{0, 0}, wide: 6, cpu: 0, passes: true},
		"enough without who goes on": {runs: ends{600, 0}, wide: 5, cpu: 1, length: 500, passes: true},
	} {
		t.Run(name, func(t *testing.T) {
			x := New()
			x.SetQueue("default", "default", job.QueuePolicy{Limit: job.Limit{Resources: job.Resources{CPU: 6000}}})
			x.SetWorker(host(1, 20))
			for _, end := range c.runs {
				x.Take(1, Attempt{Shape: cpu1, Namespace: "default", Queue: "default", Ends: end, Limit: end}, 100)
			}
			first, later := group(task(3), needing(1000*c.wide, 0)), group(task(4), needing(1000*c.cpu, 1<<20))
			later.Length = c.length
			x.SetGroup(first, 1)
			x.SetGroup(later, 1)
			p, ok := x.Next(100)
			if ok != c.passes || ok && p.Group != later.ID {
				t.Fatalf("Next = %+v %v, want what comes later: %v", p, ok, c.passes)
			}
			want := "room in the limit of queue default is kept for job 3, which comes first"
			if k := x.RoomKept(later.ID, 100); (k == nil) != c.passes || k != nil && k.String() != want {
				t.Errorf("RoomKept = %v, want %q: %v", k, want, !c.passes)
			}
			if err := x.Check(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestRoomInLimitComes: a stream of small ones of which nobody knows how long they run can't keep a wide one from
// its room in a limit, and they go on when it has started or is gone.
func TestRoomInLimitComes(t *testing.T) {
	for _, gone := range []bool{false, true} {
		x := New()
		x.SetNamespace("default", job.NamespacePolicy{Limit: job.Limit{Running: 8, Resources: job.Resources{CPU: 4000}}})
		x.SetWorker(host(1, 20))
		var runs []*Run
		next := job.ID(1)
		small := func() {
			x.SetGroup(group(task(next), cpu1), 1)
			next++
		}
		var wide Group
		for step := range 20 {
			small()
			small()
			if step == 3 {
				wide = group(task(next), needing(4000, 0))
				x.SetGroup(wide, 1)
				next++
			}
			for {
				p, ok := x.Next(int64(step))
				if !ok {
					break
				}
				if p.Group == wide.ID {
					if gone {
						t.Fatal("what is gone is placed")
					}
					return
				}
				runs = append(runs, x.Take(1, Attempt{Shape: cpu1, Namespace: "default", Queue: "default"}, int64(step)))
				x.SetReady(p.Group, 0)
			}
			if err := x.Check(); err != nil {
				t.Fatal(err)
			}
			if gone && step == 6 {
				x.SetReady(wide.ID, 0)
				if p, ok := x.Next(int64(step)); !ok {
					t.Fatalf("Next = %+v %v when what room was kept for is gone", p, ok)
				}
				break
			}
			if len(runs) > 0 {
				x.Give(runs[0], int64(step))
				runs = runs[1:]
			}
		}
		if !gone {
			t.Error("the wide one has not started")
		}
	}
}

// TestWideOnesStart: a stream of small jobs whose length nobody knows can't keep a wide one from
// starting, on however many workers.
func TestWideOnesStart(t *testing.T) {
	for _, workers := range []int{1, 2, 5, 100} {
		b := newBatch(job.QueuePolicy{}, slices.Repeat([]int64{4}, workers)...)
		next, small := job.ID(1), func() *batchJob { return &batchJob{lasts: 1000, cpu: 1} }
		submit := func(j *batchJob) {
			b.submit(next, j)
			next++
		}
		for range 20 * workers {
			submit(small())
		}
		b.place()
		wide := next
		submit(&batchJob{lasts: 1000, cpu: 4})
		for step := 0; b.started[wide] == 0; step++ {
			if step > 20*workers {
				t.Fatalf("%d workers: after %d ends the wide job has not started", workers, step)
			}
			b.now += 1000
			r := b.runs[(step*7)%len(b.runs)]
			r.ends = b.now
			b.end()
			submit(small())
			g := group(task(next-1), cpu1)
			g.Score = 1 // it comes first, as those of a higher priority do
			if step%3 == 0 {
				b.x.SetGroup(g, 1)
			}
			b.place()
		}
	}
}

// TestKeptWorkers: only one worker is kept free for what waits, and the others go on.
func TestKeptWorkers(t *testing.T) {
	b := newBatch(job.QueuePolicy{}, 4, 4)
	for id := range job.ID(8) {
		b.submit(id+1, &batchJob{lasts: 1 << 40, cpu: 1})
	}
	b.place()
	b.submit(9, &batchJob{lasts: 1 << 40, cpu: 4})
	for id := job.ID(10); id < 20; id++ {
		b.submit(id, &batchJob{lasts: 1 << 40, cpu: 1})
	}
	b.place()
	var got []string
	for len(b.runs) > 0 && len(got) < 7 {
		b.now += 1000
		b.runs[0].ends = b.now
		before := len(b.started)
		b.end()
		b.place()
		var ids []job.ID
		for id, at := range b.started {
			if at == b.now {
				ids = append(ids, id)
			}
		}
		slices.SortFunc(ids, cmp.Compare)
		got = append(got, fmt.Sprint(len(b.started)-before, ids))
	}
	want := []string{"0 []", "1 [10]", "0 []", "1 [11]", "0 []", "1 [12]", "1 [9]"}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("started after each end: -want +got\n%s", diff)
	}
}

// TestNothingIsKeptForWhatNobodyHas: what asks for a resource that no worker has ever had comes first
// in every order and keeps nothing else from starting, ahead or by making room.
func TestNothingIsKeptForWhatNobodyHas(t *testing.T) {
	for _, policy := range []job.QueuePolicy{{}, {Backfill: job.BackfillConservative}, {Backfill: job.BackfillNone}, {Preempt: true}} {
		x := New()
		x.SetQueue("default", "default", policy)
		x.SetWorker(host(1, 2))
		low := Attempt{Shape: needing(1000, 0), Namespace: "default", Queue: "default", Tier: 0}
		x.Take(1, low, 0)
		g := group(task(1), Shape{Resources: job.Resources{CPU: 2000, Other: "licence=1"}, Executor: "process"})
		g.Score, g.Tier = 9, 3
		x.SetGroup(g, 1)
		x.SetGroup(group(task(2), needing(1000, 0)), 1)
		if p, ok := x.Next(0); !ok || p.Group != task(2) {
			t.Errorf("%s backfill, preempt %v: Next = %+v %v, want task 2", policy.Backfill, policy.Preempt, p, ok)
			continue
		}
		x.Take(1, Attempt{Shape: needing(1000, 0), Namespace: "default", Queue: "default", Tier: 2}, 0)
		x.SetReady(task(2), 0)
		if p, ok := x.Next(0); ok {
			t.Errorf("%s: Next = %+v", policy.Backfill, p)
		}
		if e, ok := x.Evict(0); ok {
			t.Errorf("%s, preempt %v: Evict = %+v for what can't start", policy.Backfill, policy.Preempt, e)
		}
		if err := x.Check(); err != nil {
			t.Error(err)
		}
	}
}
