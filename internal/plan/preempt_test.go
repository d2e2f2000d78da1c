package plan

import (
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// victim is an attempt that may have to make room.
type victim struct {
	worker uint64
	tag    uint64
	tier   uint8
	cpu    int64
	began  int64
	stays  bool
	space  string
	ahead  bool
	nodes  int
}

var evictions = []struct {
	name    string
	victims []victim
	tier    uint8
	cpu     int64
	preempt bool
	want    *Eviction
}{
	{"background makes room", []victim{{worker: 1, tag: 7, cpu: 2}, {worker: 1, tag: 8, cpu: 2, tier: 2}}, 2, 2, false, &Eviction{task(1), 1, []uint64{7}}},
	{"not for background", []victim{{worker: 1, tag: 7, cpu: 4}}, 0, 2, false, nil},
	{"a lower class stays", []victim{{worker: 1, tag: 7, cpu: 4, tier: 1}}, 4, 2, false, nil},
	{"unless the queue preempts", []victim{{worker: 1, tag: 7, cpu: 4, tier: 1}}, 4, 2, true, &Eviction{task(1), 1, []uint64{7}}},
	{"never its own class", []victim{{worker: 1, tag: 7, cpu: 4, tier: 3}}, 3, 2, true, nil},
	{"never what is of another namespace", []victim{{worker: 1, tag: 7, cpu: 4, tier: 1, space: "other"}}, 4, 2, true, nil},
	{"but for background", []victim{{worker: 1, tag: 7, cpu: 4, space: "other"}}, 1, 2, false, &Eviction{task(1), 1, []uint64{7}}},
	{"what must not run twice stays", []victim{{worker: 1, tag: 7, cpu: 4, stays: true}}, 4, 2, true, nil},
	{"the youngest", []victim{{worker: 1, tag: 7, cpu: 2, began: 10}, {worker: 1, tag: 8, cpu: 2, began: 30}}, 2, 2, false, &Eviction{task(1), 1, []uint64{8}}},
	{"the lowest", []victim{{worker: 1, tag: 7, cpu: 2, tier: 1, began: 90}, {worker: 1, tag: 8, cpu: 2, began: 10}}, 2, 2, true, &Eviction{task(1), 1, []uint64{8}}},
	{"no more than it takes", []victim{{worker: 1, tag: 7, cpu: 1, began: 90}, {worker: 1, tag: 8, cpu: 3, began: 10}}, 2, 3, false, &Eviction{task(1), 1, []uint64{8}}},
	{"where the least is lost", []victim{{worker: 1, tag: 7, cpu: 4, began: 10}, {worker: 2, tag: 8, cpu: 4, began: 80}}, 2, 4, false, &Eviction{task(1), 2, []uint64{8}}},
	{"a gang last, of which all is lost", []victim{{worker: 1, tag: 7, cpu: 4, began: 80, nodes: 5}, {worker: 2, tag: 8, cpu: 2, began: 10}, {worker: 2, tag: 9, cpu: 2, began: 70, nodes: 4}}, 2, 2, false, &Eviction{task(1), 2, []uint64{8}}},
	{"not where it would not fit", []victim{{worker: 1, tag: 7, cpu: 2}, {worker: 1, tag: 8, cpu: 2, tier: 2}}, 2, 3, false, nil},
	{"what would take the place first", []victim{{worker: 1, tag: 7, cpu: 4}, {worker: 1, tag: 8, cpu: 4, ahead: true}}, 2, 4, false, &Eviction{task(1), 1, []uint64{8, 7}}},
}

func TestEvict(t *testing.T) {
	for _, c := range evictions {
		t.Run(c.name, func(t *testing.T) {
			x := New()
			x.SetQueue("default", "default", job.QueuePolicy{Preempt: c.preempt})
			runs := map[uint64]*Run{}
			for _, v := range c.victims {
				x.SetWorker(host(v.worker, 4))
				a := Attempt{
					Shape: needing(1000*v.cpu, 0), Namespace: "default", Queue: "default", Tier: v.tier, Stays: v.stays, Tag: v.tag, Began: v.began, Prefetch: v.ahead, Nodes: v.nodes,
				}
				if v.space != "" {
					a.Namespace = v.space
				}
				runs[v.tag] = x.Take(v.worker, a, 0)
			}
			g := group(task(1), needing(1000*c.cpu, 0))
			g.Tier, g.Background = c.tier, c.tier == 0
			x.SetGroup(g, 1)
			if p, ok := x.Next(100); ok {
				t.Fatalf("it is placed: %+v", p)
			}
			e, ok := x.Evict(100)
			if ok != (c.want != nil) {
				t.Fatalf("Evict = %+v %v", e, ok)
			}
			if !ok {
				return
			}
			if diff := gocmp.Diff(*c.want, e); diff != "" {
				t.Fatalf("-want +got\n%s", diff)
			}
			for _, tag := range e.Tags {
				x.Leave(runs[tag], 1000)
			}
			if e, ok := x.Evict(100); ok {
				t.Errorf("more is evicted for what has room soon: %+v", e)
			}
			if y := x.Explain(task(1), 0); y.Leaving != len(e.Tags) {
				t.Errorf("Explain says that %d attempts leave, want %d", y.Leaving, len(e.Tags))
			}
			for _, tag := range e.Tags {
				x.Give(runs[tag], 0)
			}
			if p, ok := x.Next(200); !ok || p.Group != task(1) || p.Worker != e.Worker {
				t.Errorf("then it is placed: %+v %v", p, ok)
			}
			if err := x.Check(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestMoveToALowerTier: what runs and is lowered makes room like what was low from the beginning, and
// what is raised no more.
func TestMoveToALowerTier(t *testing.T) {
	x := New()
	x.SetWorker(host(1, 4))
	run := x.Take(1, Attempt{Shape: needing(4000, 0), Namespace: "default", Queue: "default", Tier: 2, Tag: 7}, 0)
	g := group(task(1), needing(1000, 0))
	g.Tier = 2
	x.SetGroup(g, 1)
	for _, step := range []struct {
		tier uint8
		want bool
	}{{2, false}, {0, true}, {2, false}, {0, true}} {
		x.Move(run, "default", "default", "", step.tier, 0)
		if p, ok := x.Next(100); ok {
			t.Fatalf("it is placed: %+v", p)
		}
		if e, ok := x.Evict(100); ok != step.want {
			t.Errorf("with an attempt of tier %d, Evict = %+v %v", step.tier, e, ok)
		}
	}
}

// move has an attempt count elsewhere.
func (s *machine) move(t *rapid.T) {
	if len(s.m.attempts) == 0 {
		t.Skip("nothing runs")
	}
	a := &s.m.attempts[rapid.IntRange(0, len(s.m.attempts)-1).Draw(t, "attempt")]
	to := a.Attempt
	to.Queue, to.User = rapid.SampledFrom(someQueues).Draw(t, "queue"), rapid.SampledFrom(someUsers).Draw(t, "user")
	if to.Queue != a.Queue || to.User != a.User {
		s.m.note(a.Attempt)
		s.m.note(to)
	}
	a.Attempt = to
	s.x.Move(a.run, a.Namespace, a.Queue, a.User, a.Tier, s.m.now)
}
