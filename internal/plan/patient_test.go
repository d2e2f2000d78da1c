package plan

import (
	"fmt"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/match"
)

// priced is a worker with a price, and perhaps more labels.
func priced(id uint64, slots int, price string, more ...string) Worker {
	w := host(id, slots)
	w.Name, w.Prefetch, w.Labels = fmt.Sprint("w", id), 0, append([]string{"price=" + price}, more...)
	return w
}

// thrifty is a patient group that needs so many processors.
func thrifty(id job.ID, cpu int64) Group {
	g := group(task(id), needing(1000*cpu, 0))
	g.Prefer, g.Patient, g.Score = PreferOf([]job.Preference{{When: match.Cheapest, Weight: 1}}), true, 9
	return g
}

// placeOne says what the plan proposes next, and has it done.
func (x *Index) placeOne(t *testing.T) string {
	t.Helper()
	p, ok := x.Next(0)
	if err := x.Check(); err != nil {
		t.Fatal(err)
	}
	if !ok {
		return "nothing"
	}
	at, _ := x.find(p.Group)
	r := x.groups.Get(at)
	for _, w := range p.All() {
		x.Take(w, Attempt{Shape: x.classes[r.Class].shape.Shape, Namespace: "default", Queue: "default", Tier: 2}, 0)
	}
	x.SetReady(p.Group, r.Ready-1)
	return fmt.Sprint(p.Group.Job, " on ", p.All())
}

// TestPatientPlacement: who is patient takes the best workers that could run it, whatever room others have, and
// the next best once those are gone; who has no more patience takes what there is.
func TestPatientPlacement(t *testing.T) {
	x := New()
	x.SetWorker(priced(1, 1, "0.1"))
	x.SetWorker(priced(2, 1, "0.2"))
	x.SetWorker(priced(3, 4, "0.9"))
	x.SetGroup(thrifty(1, 1), 4)
	want := func(what string, lines ...string) {
		t.Helper()
		var got []string
		for len(got) == 0 || got[len(got)-1] != "nothing" {
			got = append(got, x.placeOne(t))
		}
		if diff := gocmp.Diff(append(lines, "nothing"), got); diff != "" {
			t.Errorf("%s: -want +got\n%s", what, diff)
		}
	}
	want("at first", "1 on [1]")
	gone := priced(1, 1, "0.1")
	gone.Accepts = false
	x.SetWorker(gone)
	want("once the cheapest drains", "1 on [2]")
	x.SetGroup(thrifty(2, 3), 1)
	want("what fits on the dearest alone", "2 on [3]")
	x.RemoveWorker(2)
	want("once the next is gone", "1 on [3]")
	x.SetWorker(priced(2, 1, "0.2"))
	x.SetWorker(priced(4, 1, "0.3"))
	want("once one has come", "1 on [2]")
	x.SetGroup(thrifty(3, 1), 1)
	want("when that is full")
	over := thrifty(3, 1)
	over.Patient = false
	x.SetGroup(over, 1)
	want("without patience", "3 on [4]")
}

// TestNothingToWaitFor: nobody waits where all are worth the same, or nobody knows what the best is worth.
func TestNothingToWaitFor(t *testing.T) {
	for name, workers := range map[string][]Worker{
		"one price": {priced(1, 1, "1"), priced(2, 1, "1.0")},
		"no price":  {priced(1, 1, "spot", "zone=eu"), priced(2, 1, "market")},
	} {
		x := New()
		for _, w := range workers {
			x.SetWorker(w)
		}
		g := thrifty(1, 1)
		g.Prefer = PreferOf([]job.Preference{{When: match.Cheapest, Weight: 1}, {When: "zone=eu", Weight: 1}})
		if name == "one price" {
			g.Prefer = PreferOf([]job.Preference{{When: match.Cheapest, Weight: 1}})
		}
		x.SetGroup(g, 2)
		if got := []string{x.placeOne(t), x.placeOne(t)}; !slices.Equal(got, []string{"1 on [1]", "1 on [2]"}) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// TestPatientGang: a gang waits for as many of the best workers as it needs.
func TestPatientGang(t *testing.T) {
	x := New()
	for id, price := range []string{"0.1", "0.2", "0.2", "0.9"} {
		x.SetWorker(priced(uint64(id+1), 1, price))
	}
	hog := x.Take(1, Attempt{Shape: cpu1, Namespace: "default", Queue: "default"}, 0)
	g := thrifty(1, 1)
	g.Nodes = 2
	x.SetGroup(g, 2)
	if got := x.placeOne(t); got != "1 on [2 3]" {
		t.Errorf("%s, want the two that are as good as the second best", got)
	}
	x.Give(hog, 0)
	if got := x.placeOne(t); got != "nothing" {
		t.Errorf("%s, with one of the best free and the dearest", got)
	}
}

// TestPatientKeepsItsPlace: a place is kept for what is patient on the best workers, however many others
// are larger, and none elsewhere.
func TestPatientKeepsItsPlace(t *testing.T) {
	for _, backfill := range []job.Backfill{job.BackfillEasy, job.BackfillConservative, job.BackfillNone} {
		x := New()
		x.SetQueue("default", "default", job.QueuePolicy{Backfill: backfill})
		x.SetWorker(priced(1, 4, "0.1", "cheap"))
		for id := range uint64(maxLook + 10) {
			x.SetWorker(priced(id+2, 8, "0.9", "dear"))
		}
		x.Take(1, Attempt{Shape: needing(3000, 0), Namespace: "default", Queue: "default"}, 0)
		x.SetGroup(thrifty(1, 4), 1)
		cheap, dear := group(task(2), cpu1), group(task(3), cpu1)
		cheap.Shape.Where, dear.Shape.Where = "cheap", "dear"
		x.SetGroup(cheap, 1)
		x.SetGroup(dear, 1)
		if got := x.placeOne(t); got != "3 on [2]" && backfill != job.BackfillNone {
			t.Errorf("%s: %s", backfill, got)
		}
		if got := x.placeOne(t); got != "nothing" {
			t.Errorf("%s: then %s", backfill, got)
		}
		for _, k := range x.Kept() {
			if k.Worker != 1 {
				t.Errorf("%s: a place is kept on worker %d", backfill, k.Worker)
			}
		}
	}
}

// TestPatientEvicts: room is made for what is patient on the best workers alone, and what comes after it
// may ask for it on others.
func TestPatientEvicts(t *testing.T) {
	x := New()
	x.SetWorker(priced(1, 2, "0.1"))
	x.SetWorker(priced(2, 2, "0.9"))
	run := func(worker, tag uint64, tier uint8) *Run {
		return x.Take(worker, Attempt{Shape: needing(2000, 0), Namespace: "default", Queue: "default", Tag: tag, Tier: tier}, 0)
	}
	dear, cheap := run(2, 8, 0), run(1, 7, 2)
	g := thrifty(1, 2)
	g.Tier = 2
	x.SetGroup(g, 1)
	x.Next(0)
	if e, ok := x.Evict(0); ok {
		t.Errorf("Evict = %+v for what waits for worker 1", e)
	}
	later := group(task(2), needing(2000, 0))
	later.Tier = 2
	x.SetGroup(later, 1)
	x.Next(0)
	if e, ok := x.Evict(0); !ok || e.Group != task(2) || e.Worker != 2 {
		t.Errorf("Evict = %+v %v, want worker 2 for what comes after", e, ok)
	}
	x.Leave(dear, 1000)
	x.Move(cheap, "default", "default", "", 0, 0)
	x.Next(0)
	if e, ok := x.Evict(0); !ok || e.Group != task(1) || e.Worker != 1 {
		t.Errorf("Evict = %+v %v, want worker 1", e, ok)
	}
	x.Leave(cheap, 1000)
	if e, ok := x.Evict(0); ok {
		t.Errorf("Evict = %+v, and both have room soon", e)
	}
}

// twinned is two indexes that must propose the same: in one some groups are patient, in the other these ask
// for a label that the best workers have.
type twinned struct {
	patient, asks *Index
	workers       map[uint64]Worker
	runs          [][2]*Run
	shapes        map[GroupID][2]Shape
	lengths       map[GroupID]int64
	now           int64
}

// relabel gives each worker a label for each number of processors of which it is the cheapest that has them.
func (s *twinned) relabel() {
	for cpu := 1; cpu <= 4; cpu++ {
		best := ""
		for _, w := range s.workers {
			if price, _ := labelOf(&w, "price"); w.Accepts && w.Slots >= cpu && (best == "" || price < best) {
				best = price
			}
		}
		label := fmt.Sprint("best-", cpu)
		for id, w := range s.workers {
			price, _ := labelOf(&w, "price")
			w.Labels = slices.DeleteFunc(slices.Clone(w.Labels), func(l string) bool { return l == label })
			if price == best {
				w.Labels = append(w.Labels, label)
			}
			s.workers[id] = w
		}
	}
	for id := range uint64(5) {
		if w, ok := s.workers[id]; ok {
			s.asks.SetWorker(w)
		}
	}
}

func (s *twinned) worker(t *rapid.T) {
	w := priced(uint64(rapid.IntRange(1, 4).Draw(t, "worker")), rapid.IntRange(1, 4).Draw(t, "slots"), fmt.Sprint(rapid.IntRange(1, 3).Draw(t, "price")))
	w.Accepts = rapid.IntRange(0, 4).Draw(t, "accepts") > 0
	s.patient.SetWorker(w)
	s.workers[w.ID] = w
	s.relabel()
	// Where places are kept for all of a queue it matters who waits already: here nobody does.
	for _, x := range []*Index{s.patient, s.asks} {
		for _, c := range x.classes {
			if c != nil && c.waits() {
				x.move(c, active)
			}
		}
	}
}

func (s *twinned) group(t *rapid.T) {
	id := task(job.ID(rapid.IntRange(1, 9).Draw(t, "job")))
	cpu := rapid.Int64Range(1, 4).Draw(t, "cpu")
	g := group(id, needing(1000*cpu, 0))
	g.Length, g.Score, g.NoPrefetch = 1000*rapid.Int64Range(0, 5).Draw(t, "length"), rapid.Int64Range(0, 1).Draw(t, "score"), true
	g.Queue = rapid.SampledFrom([]string{"default", "night"}).Draw(t, "queue")
	asks := g
	if rapid.Bool().Draw(t, "patient") {
		g.Prefer, g.Patient = PreferOf(somePreferences[0].list), true
		asks.Shape.Where = fmt.Sprint("best-", cpu)
	}
	n := int64(rapid.IntRange(1, 2).Draw(t, "ready"))
	s.patient.SetGroup(g, n)
	s.asks.SetGroup(asks, n)
	s.shapes[id], s.lengths[id] = [2]Shape{g.Shape, asks.Shape}, g.Length
}

func (s *twinned) place(t *rapid.T) {
	for {
		p, ok := s.patient.Next(s.now)
		q, also := s.asks.Next(s.now)
		if diff := gocmp.Diff(q, p); diff != "" || ok != also {
			t.Fatalf("%v, want %v: -who asks for the best +who is patient\n%s", ok, also, diff)
		}
		if !ok {
			return
		}
		var runs [2]*Run
		for i, x := range []*Index{s.patient, s.asks} {
			at, _ := x.find(p.Group)
			a := Attempt{Shape: s.shapes[p.Group][i], Namespace: "default", Queue: x.classes[x.groups.Get(at).Class].queue().name, Tier: 2}
			if n := s.lengths[p.Group]; n > 0 {
				a.Ends, a.Limit = s.now+n, s.now+n
			}
			runs[i] = x.Take(p.Worker, a, 0)
			x.SetReady(p.Group, x.groups.Get(at).Ready-1)
		}
		s.runs = append(s.runs, runs)
	}
}

// TestPatientAsIfOthersWereNot: what is patient is placed, has places kept and keeps back others just as
// what must have the best workers.
func TestPatientAsIfOthersWereNot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &twinned{New(), New(), map[uint64]Worker{}, nil, map[GroupID][2]Shape{}, map[GroupID]int64{}, 1000}
		for _, queue := range []string{"default", "night"} {
			p := job.QueuePolicy{Backfill: rapid.SampledFrom([]job.Backfill{job.BackfillEasy, job.BackfillConservative, job.BackfillNone, job.BackfillAny}).Draw(t, "backfill")}
			s.patient.SetQueue("default", queue, p)
			s.asks.SetQueue("default", queue, p)
		}
		for range 3 {
			s.worker(t)
		}
		t.Repeat(map[string]func(*rapid.T){
			"worker": s.worker, "group": s.group, "group2": s.group, "group3": s.group, "place": s.place,
			"end": func(t *rapid.T) {
				if len(s.runs) == 0 {
					t.Skip("nothing runs")
				}
				i := rapid.IntRange(0, len(s.runs)-1).Draw(t, "run")
				s.patient.Give(s.runs[i][0], 0)
				s.asks.Give(s.runs[i][1], 0)
				s.runs = slices.Delete(s.runs, i, i+1)
			},
			"later": func(t *rapid.T) { s.now += 100 * rapid.Int64Range(1, 20).Draw(t, "by") },
			"": func(t *rapid.T) {
				s.place(t)
				if err := s.patient.Check(); err != nil {
					t.Fatal(err)
				}
			},
		})
	})
}

// BenchmarkPatient is placements on the dear half of ten thousand workers, one at a time, while so many
// classes that come first wait for the cheap half, which is full.
func BenchmarkPatient(b *testing.B) {
	for _, classes := range []int{0, 1, 100, 1000} {
		x := New()
		for i := range 10_000 {
			x.SetWorker(priced(uint64(i+1), 1, []string{"0.1", "0.9"}[i%2]))
			x.Take(uint64(i+1), Attempt{Shape: cpu1, Namespace: "default", Queue: "default"}, 0)
		}
		for i := range classes {
			g := thrifty(job.ID(i+1), 1)
			g.Shape.Resources.Memory = int64(i) << 10
			x.SetGroup(g, 1)
		}
		x.Next(0)
		b.Run(fmt.Sprint("classes=", classes), func(b *testing.B) {
			id, next := uint64(2), job.ID(100_000)
			for b.Loop() {
				x.Give(x.workers[id].runs[0], 0)
				next++
				x.SetGroup(group(task(next), cpu1), 1)
				p, ok := x.Next(0)
				if !ok || p.Worker != id {
					b.Fatalf("%+v %v", p, ok)
				}
				x.Take(p.Worker, Attempt{Shape: cpu1, Namespace: "default", Queue: "default"}, 0)
				x.SetReady(p.Group, 0)
				if _, ok := x.Next(0); ok {
					b.Fatal("more is placed")
				}
				id = id%10_000 + 2
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "placements/s")
		})
	}
}
