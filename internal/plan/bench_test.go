package plan

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

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

// pending makes an index with n groups in so many classes, each of a shape of its own unless they
// only differ in their queue, and workers that are full.
func pending(n, classes, workers int, queues bool) (x *Index, running []started, shapes []Shape) {
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

// variety is in what those that wait differ: so many shapes, or so many queues of one.
type variety struct {
	n      int
	queues bool
}

var benchClasses = []variety{{1, false}, {100, true}, {100, false}, {10_000, true}, {10_000, false}}

func (c variety) String() string {
	if c.queues {
		return fmt.Sprintf("queues=%d", c.n)
	}
	return fmt.Sprintf("shapes=%d", c.n)
}

// draw says in which queue a group is.
func (c variety) draw(g *Group) {
	if c.queues {
		g.Queue = fmt.Sprint(int(g.ID.Job-1) % c.n)
	}
}

// BenchmarkPlace is the whole life of an element in a full cluster with a million pending groups:
// some end, the next take their places, which is a pass, and as many are submitted. Of some one
// ends at a time, of others 256, or one on each worker. Placements are counted by the time of all
// that, the percentiles are of passes alone.
func BenchmarkPlace(b *testing.B) {
	for _, workers := range []int{1000, 5000, 10_000} {
		for _, c := range benchClasses {
			x, running, shapes := pending(1_000_000, c.n, workers, c.queues)
			for _, batch := range []int{1, 256, workers} {
				b.Run(fmt.Sprintf("workers=%d/%s/batch=%d", workers, c, batch), func(b *testing.B) {
					place(b, x, running, shapes, batch, c.draw)
				})
			}
		}
	}
}

// BenchmarkStep is what it takes when one worker gains room, by what waits: one attempt ends and
// another one takes its place. As many wait after that as before.
func BenchmarkStep(b *testing.B) {
	for _, n := range []int{10_000, 100_000, 1_000_000} {
		for _, c := range benchClasses {
			x, running, shapes := pending(n+8*1000, c.n, 1000, c.queues)
			b.Run(fmt.Sprintf("pending=%d/%s", n, c), func(b *testing.B) { place(b, x, running, shapes, 1, c.draw) })
		}
	}
}

func place(b *testing.B, x *Index, running []started, shapes []Shape, batch int, more func(g *Group)) {
	classes := job.ID(len(shapes))
	next, at, asked := lastID(x), 0, times{}
	for b.Loop() {
		began := time.Now()
		for range batch {
			x.Give(running[at%len(running)].run, 0)
			at++
		}
		placed := 0
		for {
			p, ok := x.Next(0)
			if !ok {
				break
			}
			running[(at-batch+placed)%len(running)] = start(x, p)
			placed++
		}
		asked = append(asked, time.Since(began))
		if placed != batch {
			b.Fatalf("%d have ended and %d were placed", batch, placed)
		}
		for range batch {
			g := group(task(next+1), shapes[next%classes])
			more(&g)
			next++
			x.SetGroup(g, 1)
		}
	}
	b.ReportMetric(float64(b.N*batch)/b.Elapsed().Seconds(), "placements/s")
	asked.report(b)
}

// BenchmarkVain is a pass that places nothing: every worker gains room, and nothing that waits, a
// million groups, fits into that.
func BenchmarkVain(b *testing.B) {
	for _, workers := range []int{1000, 5000, 10_000} {
		for _, c := range benchClasses {
			x, running, _ := pending(1_000_000, c.n, workers, c.queues)
			small := make([]*Run, workers)
			filler := Attempt{Shape: needing(400, 0), Namespace: "default", Queue: "default"}
			for i := range running { // each worker runs seven more, and has 0.6 processors left
				if p := running[i].Placement; small[p.Worker-1] == nil {
					x.Give(running[i].run, 0)
					x.Take(p.Worker, Attempt{Shape: needing(600, 0), Namespace: "default", Queue: "default"}, 1)
					small[p.Worker-1] = x.Take(p.Worker, filler, 1)
				}
			}
			b.Run(fmt.Sprintf("workers=%d/%s", workers, c), func(b *testing.B) {
				asked := times{}
				for b.Loop() {
					for _, r := range small {
						x.Give(r, 0)
					}
					began := time.Now()
					if p, ok := x.Next(0); ok {
						b.Fatalf("%+v is placed", p)
					}
					asked = append(asked, time.Since(began))
					for i := range small {
						small[i] = x.Take(uint64(i+1), filler, 1)
					}
				}
				asked.report(b)
			})
		}
	}
}

// times is how long something took, each time.
type times []time.Duration

func (t times) report(b *testing.B) {
	slices.Sort(t)
	for name, at := range map[string]int{"p50-µs": len(t) / 2, "p99-µs": len(t) * 99 / 100, "max-µs": len(t) - 1} {
		b.ReportMetric(float64(t[at].Nanoseconds())/1000, name)
	}
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

// BenchmarkNear is BenchmarkPlace where each of those that wait is near workers of its own.
func BenchmarkNear(b *testing.B) {
	const workers = 10_000
	for _, many := range []int{0, 1, job.MaxNear} {
		x, running, shapes := pending(300_000, 100, workers, false)
		r := rand.New(rand.NewPCG(1, 2))
		near := func(g *Group) {
			of := make([]uint64, many)
			for i := range of {
				of[i] = 1 + r.Uint64N(workers)
			}
			g.Near = NearOf(of...)
		}
		for class := range x.Classes() {
			all, _ := x.Waiting(nil, class, 1<<30)
			for _, w := range all {
				near(&w.Group)
				x.SetGroup(w.Group, w.N)
			}
		}
		for _, batch := range []int{1, 256, workers} {
			b.Run(fmt.Sprintf("near=%d/batch=%d", many, batch), func(b *testing.B) { place(b, x, running, shapes, batch, near) })
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
	x, _, _ := pending(1_000_000, 100, 1000, false)
	for b.Loop() {
		x.Next(0)
	}
}

// BenchmarkExplain is an explanation with a thousand workers and half a million
// elements ahead, of which it counts ten thousand.
func BenchmarkExplain(b *testing.B) {
	x, _, _ := pending(1_000_000, 100, 1000, false)
	for b.Loop() {
		x.Explain(task(500_000), 0)
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

// BenchmarkDispersed is BenchmarkPlace where those that wait are of arrays of 100 that look at where
// their like run. Half of ten thousand workers have room; those of a zone are each tenth, or a thousand in a
// row. asked is how many workers were looked at one by one for each placement.
func BenchmarkDispersed(b *testing.B) {
	const workers, zones = 10_000, 10
	for _, of := range []struct {
		apart, spread string
		row           int
	}{{row: 1}, {"", "zone", 1}, {"", "zone", 1000}, {job.AtWorker, "", 1}, {job.AtWorker, "zone", 1}, {job.AtWorker, "zone", 1000}} {
		b.Run(fmt.Sprintf("apart=%s/spread=%s/row=%d", of.apart, of.spread, of.row), func(b *testing.B) {
			x := New()
			for i := range workers {
				w := host(uint64(i+1), 8)
				w.Prefetch, w.Labels = 0, []string{fmt.Sprint("zone=", i/of.row%zones)}
				x.SetWorker(w)
			}
			for i := range workers / 2 {
				for range 8 {
					x.Take(uint64(2*i+1), Attempt{Shape: cpu1, Namespace: "default", Queue: "default"}, 0)
				}
			}
			last, asked := job.ID(0), 0
			for b.Loop() {
				last++
				g := group(task(last), cpu1)
				if of.apart != "" {
					g.Apart = Company{Job: last, By: of.apart}
				}
				if of.spread != "" {
					g.Spread = Company{Job: last, By: of.spread}
				}
				x.SetGroup(g, 100)
				var runs []*Run
				for left := int64(99); ; left-- {
					most := math.MaxInt
					p, ok := x.NextWithin(1, &most)
					asked += math.MaxInt - most
					if !ok {
						break
					}
					runs = append(runs, x.Take(p.Worker, Attempt{Shape: cpu1, Namespace: "default", Queue: "default", Apart: g.Apart, Spread: g.Spread}, 0))
					x.SetReady(p.Group, left)
				}
				if len(runs) != 100 {
					b.Fatalf("%d were placed", len(runs))
				}
				for _, r := range runs {
					x.Give(r, 0)
				}
			}
			b.ReportMetric(float64(100*b.N)/b.Elapsed().Seconds(), "placements/s")
			b.ReportMetric(float64(asked)/float64(100*b.N), "asked")
		})
	}
}
