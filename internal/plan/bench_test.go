package plan

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/match"
)

type started struct {
	Placement
	run *Run
}

// start does as the core does with a proposal.
func start(x *Index, p Placement) started {
	at, _ := x.find(p.Group)
	c := x.classes[x.groups.Get(at).Class]
	r := x.Take(p.Worker, Attempt{
		Shape: c.shape.Shape, Namespace: c.queue().up.name, Queue: c.queue().name, Prefetch: p.Prefetch, Alone: p.Group.Alone,
	}, x.now+1) // the dearest: nobody's past is of this moment
	x.SetReady(p.Group, 0)
	return started{p, r}
}

// pending makes an index with a million groups in so many classes, each of a shape
// of its own unless they only differ in their queue, and workers that are full.
func pending(classes, workers int, queues bool) (x *Index, running []started, shapes []Shape) {
	x = New()
	for i := range workers {
		w := host(uint64(i+1), 8)
		w.Capacity.Memory, w.Prefetch = 64<<30, 0
		x.SetWorker(w)
	}
	for i := range classes {
		s := cpu1
		if !queues {
			s.Resources.Memory = int64(i+1) << 10
		}
		shapes = append(shapes, s)
	}
	const n = 1_000_000
	for i := range n {
		g := group(task(job.ID(i+1)), shapes[i%classes])
		if queues {
			g.Queue = fmt.Sprint(i % classes)
		}
		x.SetGroup(g, 1)
	}
	for {
		p, ok := x.Next(0)
		if !ok {
			return x, running, shapes
		}
		running = append(running, start(x, p))
	}
}

// BenchmarkPlace is the whole life of an element in a full cluster with a million
// pending groups: one ends, the next takes its place, a new one is submitted.
// batch is how many end before Next is asked.
func BenchmarkPlace(b *testing.B) {
	for _, workers := range []int{1000, 10_000} {
		for _, c := range []struct {
			classes int
			queues  bool
		}{{1, false}, {100, true}, {100, false}, {10_000, true}, {10_000, false}} {
			what := "shapes"
			if c.queues {
				what = "queues"
			}
			x, running, shapes := pending(c.classes, workers, c.queues)
			for _, batch := range []int{1, 256} {
				b.Run(fmt.Sprintf("workers=%d/%s=%d/batch=%d", workers, what, c.classes, batch), func(b *testing.B) {
					place(b, x, running, shapes, batch, func(g *Group) {
						if c.queues {
							g.Queue = fmt.Sprint(int(g.ID.Job-1) % c.classes)
						}
					})
				})
			}
		}
	}
}

func place(b *testing.B, x *Index, running []started, shapes []Shape, batch int, more func(g *Group)) {
	classes := job.ID(len(shapes))
	next, at := lastID(x), 0
	for b.Loop() {
		for range batch {
			x.Give(running[at%len(running)].run, 0)
			at++
		}
		for i := at - batch; ; i++ {
			p, ok := x.Next(0)
			if !ok {
				break
			}
			running[i%len(running)] = start(x, p)
			g := group(task(next+1), shapes[next%classes])
			more(&g)
			next++
			x.SetGroup(g, 1)
		}
	}
	b.ReportMetric(float64(b.N*batch)/b.Elapsed().Seconds(), "placements/s")
}

// lastID is where the ids go on after an earlier run on the same index.
func lastID(x *Index) job.ID {
	var last job.ID
	for i := range x.groups.Last() {
		if r := x.groups.Get(i); r.Ready > 0 {
			last = max(last, r.Job)
		}
	}
	return last
}

// BenchmarkPrefer is BenchmarkPlace where some of the shapes have preferences, so many different
// ones, over workers that all have their own price and load.
func BenchmarkPrefer(b *testing.B) {
	for _, preferences := range []int{0, 1, 2, 8, 16, 32} {
		x := New()
		r := rand.New(rand.NewPCG(1, 2))
		for i := range 10_000 {
			w := host(uint64(i+1), 8)
			w.Capacity.Memory, w.Prefetch = 64<<30, 0
			w.Labels = []string{fmt.Sprint("price=", r.Float64()), fmt.Sprint("load=", r.Float64())}
			x.SetWorker(w)
		}
		var shapes []Shape
		for i := range 100 {
			shapes = append(shapes, cpu1)
			shapes[i].Resources.Memory = int64(i+1) << 10
		}
		prefer := func(g *Group) {
			if n := int64(g.ID.Job) % int64(preferences+1); n > 0 {
				g.Prefer = PreferOf([]job.Preference{{When: match.Cheapest, Weight: n}, {When: "double(labels.load)", Weight: n * n}})
			}
		}
		last, running := job.ID(0), []started{}
		for range 300_000 {
			last++
			g := group(task(last), shapes[last%100])
			prefer(&g)
			x.SetGroup(g, 1)
		}
		for {
			p, ok := x.Next(0)
			if !ok {
				break
			}
			running = append(running, start(x, p))
		}
		for _, batch := range []int{1, 256} {
			b.Run(fmt.Sprintf("preferences=%d/batch=%d", preferences, batch), func(b *testing.B) {
				place(b, x, running, shapes, batch, prefer)
			})
		}
	}
}

// BenchmarkMixed is placements where nothing is alike: ten thousand workers of any
// size, a thousand shapes of any need, any priority.
func BenchmarkMixed(b *testing.B) {
	for _, prefer := range []string{"", "1 cheapest"} {
		b.Run("prefer="+prefer, func(b *testing.B) { mixed(b, prefer) })
	}
}

func mixed(b *testing.B, prefer string) {
	r := rand.New(rand.NewPCG(1, 2))
	x := New()
	for i := range 10_000 {
		w := host(uint64(i+1), 64)
		w.Capacity = job.Resources{CPU: 1000 * (4 + r.Int64N(60)), Memory: (4 + r.Int64N(252)) << 30}
		w.Labels = []string{fmt.Sprint("price=", i*7919%10_000)}
		x.SetWorker(w)
	}
	shapes := make([]Shape, 1000)
	for i := range shapes {
		shapes[i] = needing(500*(1+r.Int64N(16)), (1+r.Int64N(256))<<27)
	}
	var last job.ID
	submit := func() {
		last++
		g := group(task(last), shapes[r.IntN(len(shapes))])
		g.Score, g.Prefer = r.Int64N(5), prefer
		x.SetGroup(g, 1)
	}
	for range 300_000 {
		submit()
	}
	var running []started
	fill := func() {
		for {
			p, ok := x.Next(0)
			if !ok {
				return
			}
			running = append(running, start(x, p))
		}
	}
	fill()
	for b.Loop() {
		for range 256 {
			i := r.IntN(len(running))
			e := running[i]
			running[i] = running[len(running)-1]
			running = running[:len(running)-1]
			x.Give(e.run, 0)
			submit()
		}
		fill()
	}
	b.ReportMetric(float64(b.N*256)/b.Elapsed().Seconds(), "ends/s")
}

// BenchmarkNext is a question to which the answer is no and was no before.
func BenchmarkNext(b *testing.B) {
	x, _, _ := pending(100, 1000, false)
	for b.Loop() {
		x.Next(0)
	}
}

// BenchmarkExplain is an explanation with a thousand workers and half a million
// elements ahead, of which it counts ten thousand.
func BenchmarkExplain(b *testing.B) {
	x, _, _ := pending(100, 1000, false)
	for b.Loop() {
		x.Explain(task(500_000))
	}
}

// BenchmarkAddKind is a job that asks for what no job before it did, in a cluster of ten thousand
// workers: all of them are asked, once for each kind of answer.
func BenchmarkAddKind(b *testing.B) {
	for _, c := range []struct{ name, where string }{
		{"label", "zone=z%d"},
		{"zone", `labels.zone in ["z0", "z%d"]`},
		{"zone and generation", `labels.zone in ["z0", "z%d"] && int(labels.gen) >= 3`},
		{"name", `name != "w%d"`},
		{"host", `labels.host != "w%d"`},
		{"all labels", `size(labels) != 1%d`},
		{"dear", strings.Repeat(`labels[name + "x"].matches("(0|1|2|3|4|5|6|7|8|9)*x") || `, 15) + `name != "w%d"`},
	} {
		b.Run(c.name, func(b *testing.B) {
			x := New()
			for i := range 10_000 {
				w := host(uint64(i+1), 8)
				w.Name = fmt.Sprint("w", i)
				w.Labels = []string{"arch=amd64", fmt.Sprint("gen=", i/4%5), "host=" + w.Name, "os=linux", "pool=default", fmt.Sprint("zone=z", i%4)}
				x.SetWorker(w)
			}
			n := 0
			for b.Loop() {
				n++
				s := cpu1
				s.Where = fmt.Sprintf(c.where, n)
				k := &kind{id: uint32(n), where: x.conditions(s.Where), name: kindName{executor: "process", where: s.Where}}
				x.addKind(k)
				for _, p := range x.profileList { // as if it were gone
					p.kinds = nil
				}
				b.StopTimer()
				x.reprofile()
				b.StartTimer()
			}
		})
	}
}
