package plan

import (
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// gangOf is a group that takes so many workers at once.
func gangOf(id job.ID, nodes int, cpu int64) Group {
	g := group(task(id), needing(1000*cpu, 0))
	g.Nodes = nodes
	return g
}

// teamOf is the workers of a placement, in order.
func teamOf(p Placement) []uint64 {
	team := append([]uint64{p.Worker}, p.Team...)
	slices.Sort(team)
	return team
}

func TestGangTakesAllOrNothing(t *testing.T) {
	x := New()
	x.SetWorker(host(1, 2))
	x.SetWorker(host(2, 2))
	x.SetGroup(gangOf(1, 3, 2), 1)
	if p, ok := x.Next(0); ok {
		t.Fatalf("two workers are not three: %+v", p)
	}
	want := []string{"it needs 3 workers at once; 2 could run it now"}
	if diff := gocmp.Diff(want, x.Explain(task(1), 0).Lines()); diff != "" {
		t.Errorf("Explain: -want +got\n%s", diff)
	}
	x.SetWorker(host(3, 2))
	x.Take(3, Attempt{Shape: cpu1, Namespace: "default", Queue: "default"}, 0)
	if p, ok := x.Next(0); ok {
		t.Fatalf("one of three has too little room: %+v", p)
	}
	want = []string{
		"it needs 3 workers at once; 2 have a place for it now",
		"1 of 3 fitting workers is busy: 1 has too little cpu free (needs 2, the most free is 1)",
	}
	if diff := gocmp.Diff(want, x.Explain(task(1), 0).Lines()); diff != "" {
		t.Errorf("Explain: -want +got\n%s", diff)
	}
	give(x, 3, cpu1, false, false)
	if p, ok := x.Next(0); !ok || p.Group != task(1) || !slices.Equal(teamOf(p), []uint64{1, 2, 3}) {
		t.Errorf("Next = %+v %v, want job 1 on all three workers", p, ok)
	}
	if err := x.Check(); err != nil {
		t.Error(err)
	}
}

// TestGangWithinLimits: a limit looks at all that a gang takes, and what ends elsewhere in the queue
// lets it start, also where that ran on a worker that it can't use.
func TestGangWithinLimits(t *testing.T) {
	for name, limit := range map[string]job.Limit{
		"attempts":   {Running: 2},
		"processors": {Resources: job.Resources{CPU: 2000}},
	} {
		t.Run(name, func(t *testing.T) {
			x := New()
			x.SetQueue("default", "default", job.QueuePolicy{Limit: limit})
			other := host(3, 1)
			other.Labels = []string{"other"}
			labelled := cpu1
			labelled.Where = "node"
			for id := range uint64(2) {
				w := host(id+1, 1)
				w.Labels = []string{"node"}
				x.SetWorker(w)
			}
			x.SetWorker(other)
			run := x.Take(3, Attempt{Shape: cpu1, Namespace: "default", Queue: "default"}, 0)
			g := gangOf(1, 2, 1)
			g.Shape = labelled
			x.SetGroup(g, 1)
			if p, ok := x.Next(0); ok {
				t.Fatalf("three are more than the limit: %+v", p)
			}
			if l := x.Explain(task(1), 0).Limits; len(l) != 1 {
				t.Errorf("Explain names the limits %v, want one", l)
			}
			x.Give(run, 0)
			if p, ok := x.Next(0); !ok || !slices.Equal(teamOf(p), []uint64{1, 2}) {
				t.Errorf("Next = %+v %v, want job 1 on workers 1 and 2", p, ok)
			}
			if err := x.Check(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestGangsStart: a stream of small jobs of which nobody knows how long they run can't keep a gang
// from starting, whatever part of the workers it takes.
func TestGangsStart(t *testing.T) {
	for _, nodes := range []int{2, 3, 10} {
		const workers = 10
		b := newBatch(job.QueuePolicy{}, slices.Repeat([]int64{4}, workers)...)
		next := job.ID(1)
		small := func() {
			b.submit(next, &batchJob{lasts: 1 << 40, cpu: 1})
			next++
		}
		for range 5 * workers {
			small()
		}
		b.place()
		wide := next
		next++
		b.jobs[wide] = &batchJob{lasts: 1 << 40, cpu: 4}
		b.x.SetGroup(gangOf(wide, nodes, 4), 1)
		for step := 0; b.started[wide] == 0; step++ {
			if step > 100*workers || len(b.runs) == 0 {
				t.Fatalf("%d nodes: after %d ends the gang has not started", nodes, step)
			}
			b.now += 1000
			b.runs[(step*7)%len(b.runs)].ends = b.now
			b.end()
			small()
			b.place()
		}
		if err := b.x.Check(); err != nil {
			t.Error(err)
		}
	}
}

// TestGangBackfill: what ends before a gang can start may have the workers that are kept for it.
func TestGangBackfill(t *testing.T) {
	b := newBatch(job.QueuePolicy{}, 2, 2)
	b.now = 100
	b.submit(1, &batchJob{length: 500, lasts: 500, cpu: 2})
	b.place()
	b.jobs[2] = &batchJob{length: 300, lasts: 300, cpu: 2}
	g := gangOf(2, 2, 2)
	g.Length = 300
	b.x.SetGroup(g, 1)
	b.submit(3, &batchJob{length: 600, lasts: 600, cpu: 2})
	b.submit(4, &batchJob{length: 500, lasts: 500, cpu: 2})
	b.place()
	for _, at := range []int64{600, 900} {
		b.now = at
		b.end()
		b.place()
	}
	if diff := gocmp.Diff(map[job.ID]int64{1: 100, 4: 100, 2: 600, 3: 900}, b.started); diff != "" {
		t.Errorf("started: -want +got\n%s", diff)
	}
}

// TestGangBefore: of gangs that are alike but for how long they take, one that is over in time may start
// before a window, or before the workers are needed for which they are kept, though one that comes first
// may not.
func TestGangBefore(t *testing.T) {
	gang := func(id job.ID, cpu, length int64) Group {
		g := gangOf(id, 2, cpu)
		g.Length = length
		return g
	}
	for name, prepare := range map[string]func(x *Index){
		"a window": func(x *Index) {
			x.SetWorker(reservedFor(host(1, 2), 600, ""))
			x.SetWorker(reservedFor(host(2, 2), 600, ""))
		},
		"what is kept": func(x *Index) {
			for id := range uint64(3) {
				x.SetWorker(host(id+1, 2))
			}
			x.Take(3, Attempt{Shape: needing(2000, 0), Namespace: "default", Queue: "default", Ends: 600, Limit: 600}, 100)
			wide := gangOf(1, 3, 2)
			wide.Length = 100
			x.SetGroup(wide, 1)
		},
		"a window for who prefers workers": func(x *Index) {
			for id := range uint64(2) {
				w := reservedFor(host(id+1, 2), 600, "")
				w.Labels = []string{"disk=fast"}
				x.SetWorker(w)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			x := New()
			prepare(x)
			for id, length := range map[job.ID]int64{2: 510, 3: 505, 4: 500, 5: 490} {
				g := gang(id, 2, length)
				if name == "a window for who prefers workers" {
					g.Prefer = "10 disk=fast"
				}
				x.SetGroup(g, 1)
			}
			p, ok := x.Next(100)
			if !ok || p.Group != task(4) || !slices.Equal(teamOf(p), []uint64{1, 2}) {
				t.Errorf("Next = %+v %v, want job 4 on workers 1 and 2", p, ok)
			}
			if err := x.Check(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestGangEvicts: room is made on as many workers as are lacking, and not at all where that would
// not be enough.
func TestGangEvicts(t *testing.T) {
	x := New()
	background := map[uint64]*Run{}
	for id := range uint64(3) {
		x.SetWorker(host(id+1, 2))
	}
	for _, id := range []uint64{2, 3} {
		background[id] = x.Take(id, Attempt{Shape: needing(2000, 0), Namespace: "default", Queue: "default", Tag: id}, 0)
	}
	g := gangOf(1, 4, 2)
	g.Tier = 2
	x.SetGroup(g, 1)
	x.Next(0)
	if e, ok := x.Evict(0); ok {
		t.Fatalf("three workers are not four: %+v", e)
	}
	g.Nodes = 3
	x.SetGroup(g, 1)
	x.Next(0)
	for range background {
		e, ok := x.Evict(0)
		if !ok || e.Group != task(1) || len(e.Tags) != 1 || background[e.Worker] == nil {
			t.Fatalf("Evict = %+v %v, want what runs on worker 2 or 3", e, ok)
		}
		x.Leave(background[e.Worker], 1000)
	}
	if e, ok := x.Evict(0); ok {
		t.Errorf("more is evicted for what has room soon: %+v", e)
	}
	later := gangOf(2, 1, 2)
	later.Background = true
	x.SetGroup(later, 1)
	for _, id := range []uint64{2, 3} {
		if p, ok := x.Next(0); ok {
			t.Fatalf("%+v is placed where room is made for the gang", p)
		}
		x.Give(background[id], 0)
	}
	if p, ok := x.Next(0); !ok || p.Group != task(1) || len(p.Team) != 2 {
		t.Errorf("Next = %+v %v, want the gang on three workers", p, ok)
	}
	if err := x.Check(); err != nil {
		t.Error(err)
	}
}
