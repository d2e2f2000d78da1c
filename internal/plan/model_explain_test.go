package plan

import (
	"cmp"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/match"
	"github.com/reeve-scheduler/reeve/internal/plan/why"
)

// explain counts what Why counts, in its order of causes.
func (m *model) explain(g *modelGroup) why.Why {
	y := why.Why{
		Ready: g.ready, Namespace: g.Namespace, Queue: g.Queue, Need: why.Need{Resources: g.Shape.Resources, Executor: g.Shape.Executor, Function: g.Shape.Function, Where: labelsOf(g.Shape)}, Alone: g.ID.Alone, Nodes: g.together(), Apart: g.Apart.By, ApartKey: g.Apart.Key, Job: g.ID.Job,
		NamespacePaused: m.paused[g.Namespace+"/"], QueuePaused: m.paused[g.Namespace+"/"+g.Queue],
		Workers: len(m.workers),
	}
	for _, id := range m.ids() {
		w := m.workers[id]
		busy := y.Busy
		if m.explainWorker(&y, g, w); y.Busy > busy && len(y.Best) < why.MaxNames {
			y.Best = append(y.Best, w.Name)
		}
	}
	if y.Dearer == 0 {
		y.Best = nil
	}
	y.Rivals, y.RivalsMore = m.rivals(g)
	before := func(o, g *modelGroup) bool {
		return cmp.Or(cmp.Compare(g.Score, o.Score), cmp.Compare(o.ID.Job, g.ID.Job), o.ID.compare(g.ID)) < 0
	}
	var ahead []*modelGroup
	for _, o := range m.groups {
		mine := o.Namespace == g.Namespace && o.Queue == g.Queue && o.User == g.User && o.Background == g.Background
		if mine && o.ready > 0 && o.ID.Way == 0 && before(o, g) {
			y.Ahead += o.ready
			ahead = append(ahead, o)
		}
	}
	slices.SortFunc(ahead, func(a, b *modelGroup) int {
		if before(a, b) {
			return -1
		}
		return 1
	})
	for _, o := range ahead {
		if slices.Contains(y.First, o.ID.Job) {
			continue
		}
		if y.FirstMore = len(y.First) == maxFirst; y.FirstMore {
			break
		}
		y.First = append(y.First, o.ID.Job)
	}
	return y
}

func (m *model) explainWorker(y *why.Why, g *modelGroup, w *Worker) {
	s := g.Shape
	u, need := m.use(w.ID, s), s.Resources
	room := w.Capacity.Minus(u.used)
	unmet := unmetBy(w, s)
	switch {
	case !slices.Contains(w.Executors, y.Need.Executor):
		y.NoExecutor++
	case y.Need.Function != "" && !slices.Contains(w.Functions, y.Need.Function):
		y.NoFunction++
	case match.IsLabel(unmet):
		y.NoLabel++
	case unmet != "":
		explainUnmet(y, w, unmet)
	case !need.Fits(w.Capacity) || w.Slots == 0:
		y.TooSmall++
		y.Largest = job.Resources{CPU: max(y.Largest.CPU, w.Capacity.CPU), Memory: max(y.Largest.Memory, w.Capacity.Memory),
			Other: y.Largest.Other.Set("gpu", max(y.Largest.Other.Get("gpu"), w.Capacity.Other.Get("gpu")))}
	case !w.Accepts:
		y.Away++
	case m.spurns(w, g):
		y.Dearer++
	case !m.admits(w, g):
		y.Busy++
		y.Together++
	case m.free(w, s, y.Alone):
		y.Open++
	default:
		y.Busy++
		switch {
		case u.alone || y.Alone && u.running+u.prefetched > 0:
			y.Taken++
		case u.running >= w.Slots:
			y.NoSlot++
		default:
			if need.CPU > room.CPU {
				y.NoCPU++
				y.MostFree.CPU = max(y.MostFree.CPU, room.CPU)
			}
			if need.Memory > room.Memory {
				y.NoMemory++
				y.MostFree.Memory = max(y.MostFree.Memory, room.Memory)
			}
			if need.Other.Get("gpu") > room.Other.Get("gpu") {
				y.NoOther++
				y.Lacking = []string{"gpu"}
				y.MostFree.Other = y.MostFree.Other.Set("gpu", max(room.Other.Get("gpu"), y.MostFree.Other.Get("gpu")))
			}
		}
	}
}

// TestTurnsInOrder: of those whose turn it is before, the first are named, in order, whichever came
// first.
func TestTurnsInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := New()
		x.SetWorker(host(1, 100))
		users := rapid.Permutation([]string{"a", "b", "c", "d", "e", "f", "g"}).Draw(t, "users")
		for i, user := range users {
			for range user[0] - 'a' { // the later in the alphabet, the more it has
				x.Take(1, Attempt{Shape: cpu1, Namespace: "default", Queue: "default", User: user}, 0)
			}
			g := group(task(job.ID(i+1)), cpu1)
			g.User = user
			x.SetGroup(g, 1)
		}
		last := task(job.ID(slices.Index(users, "g") + 1))
		got := ""
		for _, turn := range x.Explain(last, 0).Turns {
			got += turn.User
		}
		if got != "abcde" {
			t.Fatalf("the turns before the last of %v: %s", users, got)
		}
	})
}
