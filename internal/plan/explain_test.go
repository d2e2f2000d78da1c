package plan

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/reeve-scheduler/reeve/internal/job"
)

var rewrite = flag.Bool("rewrite", false, "write the golden explanations anew")

// explanations is one situation each; the texts are in testdata/explain.txt.
var explanations = []struct {
	name string
	make func(x *Index) GroupID
}{
	{"nothing is ready", func(*Index) GroupID { return task(1) }},
	{"no worker", func(x *Index) GroupID { return ready(x, cpu1) }},
	{"a paused queue without workers", func(x *Index) GroupID {
		x.SetPaused("default", "default", true)
		return ready(x, cpu1)
	}},
	{"both paused, with a place", func(x *Index) GroupID {
		x.SetPaused("default", "default", true)
		x.SetPaused("default", "", true)
		x.SetWorker(host(1, 4))
		return ready(x, cpu1)
	}},
	{"it goes next", func(x *Index) GroupID {
		x.SetWorker(host(1, 4))
		x.SetWorker(host(2, 4))
		return ready(x, cpu1)
	}},
	{"one of two has a place", func(x *Index) GroupID {
		x.SetWorker(host(1, 4))
		x.SetWorker(host(2, 1))
		taken(x, 2, cpu1, false, false)
		return ready(x, cpu1)
	}},
	{"all are away", func(x *Index) GroupID {
		x.SetWorker(away(1))
		x.SetWorker(away(2))
		return ready(x, cpu1)
	}},
	{"the only one is away", func(x *Index) GroupID {
		x.SetWorker(away(1))
		return ready(x, cpu1)
	}},
	{"no executor", func(x *Index) GroupID {
		w := host(1, 1)
		w.Executors = []string{"function"}
		x.SetWorker(w)
		x.SetWorker(away(2))
		return ready(x, cpu1)
	}},
	{"no function", func(x *Index) GroupID {
		for id := range uint64(3) {
			w := host(id+1, 1)
			w.Executors, w.Functions = []string{"function"}, []string{"other"}
			x.SetWorker(w)
		}
		x.SetWorker(host(4, 1))
		return ready(x, Shape{Executor: "function", Function: "resize"})
	}},
	{"labels", func(x *Index) GroupID {
		w := host(1, 1)
		w.Labels = []string{"disk=ssd", "gpu=a"}
		x.SetWorker(w)
		x.SetWorker(host(2, 1))
		s := cpu1
		s.Where = "disk=ssd\nzone"
		return ready(x, s)
	}},
	{"conditions", func(x *Index) GroupID {
		for id, labels := range [][]string{{"gen=3", "zone=eu"}, {"gen=2", "zone=eu"}, {"gen=new", "zone=eu"}, {"zone=eu"}, {"zone=us"}, {"zone=us"}, {"gen=3"}} {
			w := host(uint64(id)+1, 1)
			w.Labels = labels
			x.SetWorker(w)
		}
		s := cpu1
		s.Where = "int(labels.gen) >= 4\nlabels.zone != \"us\"\nzone"
		return ready(x, s)
	}},
	{"a condition that no worker has a value for", func(x *Index) GroupID {
		x.SetWorker(host(1, 1))
		x.SetWorker(host(2, 1))
		s := cpu1
		s.Where = "labels.zone != \"us\""
		return ready(x, s)
	}},
	{"a condition of another version", func(x *Index) GroupID {
		x.SetWorker(host(1, 1))
		s := cpu1
		s.Where = "labels.zone.moon(3)"
		return ready(x, s)
	}},
	{"too little memory anywhere", func(x *Index) GroupID {
		for id := range uint64(3) {
			w := host(id+1, 4)
			w.Capacity.Memory = int64(id)<<30 + 1<<29 + 12345
			x.SetWorker(w)
		}
		return ready(x, needing(1000, 8<<30))
	}},
	{"too few processors anywhere", func(x *Index) GroupID {
		x.SetWorker(host(1, 4))
		x.SetWorker(away(2))
		return ready(x, needing(4500, 0))
	}},
	{"too little of everything", func(x *Index) GroupID {
		x.SetWorker(host(1, 4))
		x.SetWorker(host(2, 2))
		return ready(x, needing(16_000, 64<<30))
	}},
	{"one has the one, one the other", func(x *Index) GroupID {
		w := host(1, 4)
		w.Capacity.Memory = 1 << 30
		x.SetWorker(w)
		x.SetWorker(host(2, 1))
		return ready(x, needing(4000, 8<<30))
	}},
	{"one has the one device, one the other", func(x *Index) GroupID {
		for id, name := range []string{"gpu", "licence"} {
			w := host(uint64(id+1), 4)
			w.Capacity.Other = w.Capacity.Other.Set(name, 1)
			x.SetWorker(w)
		}
		s := cpu1
		s.Resources.Other = s.Resources.Other.Set("gpu", 1).Set("licence", 1)
		return ready(x, s)
	}},
	{"each lacks something else", func(x *Index) GroupID {
		for id := range uint64(3) {
			w := host(id+1, 4)
			w.Capacity.Other = w.Capacity.Other.Set("gpu", 2).Set("licence", 2)
			x.SetWorker(w)
		}
		takes := func(worker uint64, cpu int64, name string) {
			s := needing(cpu, 0)
			if name != "" {
				s.Resources.Other = s.Resources.Other.Set(name, 2)
			}
			taken(x, worker, s, false, false)
		}
		takes(1, 3500, "")
		takes(2, 100, "licence")
		takes(3, 4000, "licence")
		s := cpu1
		s.Resources.Other = s.Resources.Other.Set("gpu", 1).Set("licence", 1)
		return ready(x, s)
	}},
	{"another user comes first, in a queue at its limit", func(x *Index) GroupID {
		x.SetQueue("default", "default", job.QueuePolicy{Order: job.ByShare, Limit: job.Limit{Running: 1}})
		x.SetWorker(host(1, 4))
		x.Take(1, Attempt{Shape: cpu1, Namespace: "default", Queue: "default", User: "anna"}, 0)
		for i, user := range []string{"anna", "bert"} {
			x.SetGroup(Group{ID: task(job.ID(i + 1)), Namespace: "default", Queue: "default", User: user, Shape: cpu1}, 1)
		}
		return task(1)
	}},
	{"no slots at all", func(x *Index) GroupID {
		w := host(1, 0)
		w.Capacity.CPU = 9000
		x.SetWorker(w)
		return ready(x, cpu1)
	}},
	{"every slot taken, others ahead", func(x *Index) GroupID {
		for id := range uint64(4) {
			x.SetWorker(host(id+1, 1))
			taken(x, id+1, cpu1, false, false)
		}
		x.SetGroup(group(task(2), cpu1), 12)
		return ready(x, cpu1)
	}},
	{"one ahead", func(x *Index) GroupID {
		x.SetWorker(host(1, 1))
		taken(x, 1, cpu1, false, false)
		x.SetGroup(group(task(2), cpu1), 1)
		x.SetGroup(group(task(50), cpu1), 1)
		return ready(x, cpu1)
	}},
	{"each busy in its own way", func(x *Index) GroupID {
		for id := range uint64(5) {
			w := host(id+1, 8)
			w.Slots = 3
			x.SetWorker(w)
		}
		taken(x, 1, needing(7000, 1<<30), false, false)
		taken(x, 2, needing(1000, 7<<30+12345), false, false)
		taken(x, 3, cpu1, false, true)
		for range 3 {
			taken(x, 4, cpu1, false, false)
		}
		taken(x, 5, needing(6500, 7<<30), false, false)
		x.SetWorker(away(6))
		return ready(x, needing(2000, 2<<30))
	}},
	{"alone", func(x *Index) GroupID {
		for id := range uint64(2) {
			x.SetWorker(host(id+1, 4))
			taken(x, id+1, cpu1, false, false)
		}
		x.SetGroup(group(alone(9), cpu1), 1)
		return alone(9)
	}},
	{"patient", func(x *Index) GroupID {
		for id, price := range []string{"0.1", "0.1", "0.1", "0.1", "0.9", "0.8"} {
			x.SetWorker(priced(uint64(id+1), 1, price))
		}
		for id := range uint64(4) {
			taken(x, id+1, cpu1, false, false)
		}
		g := thrifty(9, 1)
		x.SetGroup(g, 1)
		return g.ID
	}},
	{"patient, and the best has a place", func(x *Index) GroupID {
		x.SetWorker(priced(1, 1, "0.1"))
		x.SetWorker(priced(2, 1, "0.9"))
		g := thrifty(9, 1)
		x.SetGroup(g, 1)
		return g.ID
	}},
	{"a patient gang", func(x *Index) GroupID {
		for id, price := range []string{"0.1", "0.2", "0.3"} {
			x.SetWorker(priced(uint64(id+1), 1, price))
		}
		taken(x, 1, cpu1, false, false)
		g := thrifty(9, 1)
		g.Nodes = 2
		x.SetGroup(g, 1)
		return g.ID
	}},
	{"alone, and the only worker is busy", func(x *Index) GroupID {
		x.SetWorker(host(1, 4))
		taken(x, 1, cpu1, true, false)
		x.SetGroup(group(alone(9), cpu1), 1)
		return alone(9)
	}},
}

func ready(x *Index, s Shape) GroupID {
	x.SetGroup(group(task(9), s), 3)
	return task(9)
}

func away(id uint64) Worker {
	w := host(id, 4)
	w.Accepts = false
	return w
}

func needing(cpu, memory int64) Shape {
	return Shape{Resources: job.Resources{CPU: cpu, Memory: memory}, Executor: "process"}
}

func TestExplain(t *testing.T) {
	var b strings.Builder
	for _, c := range explanations {
		x := New()
		y := x.Explain(c.make(x), 0)
		y.Patience, y.Now = 3600_000, 0
		fmt.Fprintf(&b, "%s:\n", c.name)
		for _, line := range y.Lines() {
			fmt.Fprintf(&b, "  %s\n", line)
		}
		if got, want := y.String(), strings.Join(y.Lines(), "; "); got != want {
			t.Errorf("String is %q, want %q", got, want)
		}
		if err := x.Check(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	const golden = "testdata/explain.txt"
	if *rewrite {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("explanations (go test -rewrite accepts them): -want +got\n%s", diff)
	}
}

// What is ahead is counted up to a bound.
func TestExplainBound(t *testing.T) {
	x := New()
	x.SetWorker(host(1, 1))
	taken(x, 1, needing(1, 0), false, false)
	for i := range maxAhead {
		x.SetGroup(group(task(job.ID(i+1)), cpu1), 2)
	}
	last := task(maxAhead + 1)
	x.SetGroup(group(last, cpu1), 1)
	if y := x.Explain(last, 0); y.Ahead != 2*maxAhead || !y.AheadMore {
		t.Errorf("%d ahead, more: %v", y.Ahead, y.AheadMore)
	}
	x.SetReady(task(1), 0)
	y := x.Explain(last, 0)
	if y.Ahead != 2*(maxAhead-1) || y.AheadMore {
		t.Errorf("%d ahead, more: %v", y.Ahead, y.AheadMore)
	}
}
