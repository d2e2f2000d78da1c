package plan

import (
	"cmp"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/reeve-scheduler/reeve/internal/job"
	"pgregory.net/rapid"
)

// model answers as the index must, by looking at everything each time.
type model struct {
	groups   map[GroupID]*modelGroup
	workers  map[uint64]*Worker
	paused   map[string]bool // "namespace/queue", "namespace/"
	attempts []modelAttempt
}

type modelGroup struct {
	Group
	ready int64
}

type modelAttempt struct {
	worker          uint64
	shape           Shape
	prefetch, alone bool
}

func newModel() *model {
	return &model{groups: map[GroupID]*modelGroup{}, workers: map[uint64]*Worker{}, paused: map[string]bool{}}
}

func (m *model) ordered() []*modelGroup {
	var out []*modelGroup
	for _, g := range m.groups {
		if !m.paused[g.Namespace+"/"+g.Queue] && !m.paused[g.Namespace+"/"] {
			out = append(out, g)
		}
	}
	slices.SortFunc(out, func(a, b *modelGroup) int {
		alone := 0
		if a.ID.Alone != b.ID.Alone {
			alone = 1
			if b.ID.Alone {
				alone = -1
			}
		}
		return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(a.ID.Job, b.ID.Job), cmp.Compare(a.ID.Task, b.ID.Task), alone)
	})
	return out
}

func (m *model) ids() []uint64 {
	var out []uint64
	for id := range m.workers {
		out = append(out, id)
	}
	slices.Sort(out)
	return out
}

type modelUse struct {
	used                            job.Resources
	running, prefetched, same, held int
	alone                           bool
}

// use is what a worker does; same and held count its attempts of one shape.
func (m *model) use(id uint64, s Shape) modelUse {
	var u modelUse
	for _, a := range m.attempts {
		switch {
		case a.worker != id:
		case a.prefetch:
			u.prefetched++
			if a.shape == s {
				u.held++
			}
		default:
			u.running++
			u.used = u.used.Plus(a.shape.Resources)
			u.alone = u.alone || a.alone
			if a.shape == s {
				u.same++
			}
		}
	}
	return u
}

func (m *model) suits(w *Worker, s Shape) bool {
	if !w.Accepts || !slices.Contains(w.Executors, s.Executor) || s.Function != "" && !slices.Contains(w.Functions, s.Function) {
		return false
	}
	return hasLabels(w, s)
}

// hasLabels reports whether a worker has what a shape asks for.
func hasLabels(w *Worker, s Shape) bool {
	for want := range strings.SplitSeq(s.Where, "\n") {
		if want != "" && !slices.ContainsFunc(w.Labels, func(l string) bool {
			return l == want || strings.HasPrefix(l, want+"=")
		}) {
			return false
		}
	}
	return true
}

func (m *model) free(w *Worker, s Shape, alone bool) bool {
	u := m.use(w.ID, s)
	return m.suits(w, s) && !u.alone && u.running < w.Slots && s.Resources.Fits(w.Capacity.Minus(u.used)) &&
		(!alone || u.running+u.prefetched == 0)
}

func (m *model) next() (Placement, bool) {
	for _, g := range m.ordered() {
		best, most := uint64(0), 0
		for _, id := range m.ids() {
			w := m.workers[id]
			if n := w.Slots - m.use(id, g.Shape).running; n > most && m.free(w, g.Shape, g.ID.Alone) {
				best, most = id, n
			}
		}
		if best != 0 {
			return Placement{Group: g.ID, Worker: best}, true
		}
	}
	for _, g := range m.ordered() {
		best, least := uint64(0), 1<<30
		for _, id := range m.ids() {
			w, u := m.workers[id], m.use(id, g.Shape)
			if g.NoPrefetch || g.ID.Alone || u.alone || u.same == 0 || u.prefetched >= w.Prefetch ||
				!m.suits(w, g.Shape) || !g.Shape.Resources.Fits(w.Capacity) {
				continue
			}
			if u.prefetched < least {
				best, least = id, u.prefetched
			}
		}
		if best != 0 {
			return Placement{Group: g.ID, Worker: best, Prefetch: true}, true
		}
	}
	return Placement{}, false
}

// wantRecall reports whether some attempt is held ahead by a worker without a
// place for it while a worker that holds none of its shape has one and no group of
// the shape waits for it.
func (m *model) wantRecall() bool {
	ready := map[Shape]bool{}
	for _, g := range m.ordered() {
		if !g.ID.Alone {
			ready[g.Shape] = true
		}
	}
	for _, a := range m.attempts {
		if !a.prefetch || ready[a.shape] || m.free(m.workers[a.worker], a.shape, false) {
			continue
		}
		for _, w := range m.workers {
			if m.use(w.ID, a.shape).held == 0 && m.free(w, a.shape, false) {
				return true
			}
		}
	}
	return false
}

// machine drives index and model with the same calls.
type machine struct {
	x *Index
	m *model
}

var (
	someShapes = func() []Shape {
		var out []Shape
		for _, r := range []job.Resources{{}, {CPU: 1000}, {CPU: 2000, Memory: 1 << 30}, {CPU: 500, Memory: 3 << 30}} {
			out = append(out, Shape{Resources: r, Executor: "process"},
				Shape{Resources: r, Executor: "function", Function: "resize"},
				Shape{Resources: r, Executor: "process", Where: "gpu"},
				Shape{Resources: r, Executor: "process", Where: "disk=ssd\ngpu=a"})
		}
		return out
	}()
	someLabels = [][]string{nil, {"gpu=a"}, {"disk=ssd", "gpu=a"}, {"disk=ssd", "gpu"}, {"gpu=b", "host=x"}}
	someSpaces = []string{"default", "team"}
	someQueues = []string{"default", "night", "batch"}
)

func drawID(t *rapid.T) GroupID {
	return GroupID{
		Job:   job.ID(rapid.IntRange(1, 12).Draw(t, "job")),
		Task:  uint32(rapid.IntRange(0, 1).Draw(t, "task")),
		Alone: rapid.IntRange(0, 5).Draw(t, "alone") == 0,
	}
}

func (s *machine) setGroup(t *rapid.T) {
	g := Group{
		ID: drawID(t), Namespace: rapid.SampledFrom(someSpaces).Draw(t, "namespace"),
		Queue:      rapid.SampledFrom(someQueues).Draw(t, "queue"),
		Priority:   int32(rapid.IntRange(-1, 1).Draw(t, "priority")),
		Shape:      rapid.SampledFrom(someShapes).Draw(t, "shape"),
		NoPrefetch: rapid.IntRange(0, 3).Draw(t, "direct") == 0,
	}
	ready := int64(rapid.IntRange(0, 6).Draw(t, "ready"))
	s.x.SetGroup(g, ready)
	s.m.groups[g.ID] = &modelGroup{g, ready}
	if ready == 0 {
		delete(s.m.groups, g.ID)
	}
}

func (s *machine) setReady(t *rapid.T) {
	id, ready := drawID(t), int64(rapid.IntRange(0, 3).Draw(t, "ready"))
	g := s.m.groups[id]
	if known := s.x.SetReady(id, ready); known != (g != nil) {
		t.Fatalf("SetReady(%v) = %v", id, known)
	}
	if g != nil {
		g.ready = ready
		if ready == 0 {
			delete(s.m.groups, id)
		}
	}
}

func (s *machine) pause(t *rapid.T) {
	space, q := rapid.SampledFrom(someSpaces).Draw(t, "namespace"), rapid.SampledFrom(append(someQueues, "")).Draw(t, "queue")
	on := rapid.Bool().Draw(t, "paused")
	s.x.SetPaused(space, q, on)
	s.m.paused[space+"/"+q] = on
}

func (s *machine) setWorker(t *rapid.T) {
	w := Worker{
		ID:       uint64(rapid.IntRange(1, 6).Draw(t, "worker")),
		Capacity: job.Resources{CPU: int64(rapid.IntRange(0, 4).Draw(t, "cpu")) * 1000, Memory: int64(rapid.IntRange(0, 4).Draw(t, "memory")) << 30},
		Slots:    rapid.IntRange(0, 4).Draw(t, "slots"), Prefetch: rapid.IntRange(0, 3).Draw(t, "prefetch"),
		Executors: rapid.SampledFrom([][]string{{"process"}, {"function"}, {"process", "function"}}).Draw(t, "executors"),
		Functions: rapid.SampledFrom([][]string{nil, {"resize"}}).Draw(t, "functions"),
		Labels:    rapid.SampledFrom(someLabels).Draw(t, "labels"),
		Accepts:   rapid.IntRange(0, 4).Draw(t, "accepts") > 0,
	}
	s.x.SetWorker(w)
	s.m.workers[w.ID] = &w
}

func (s *machine) removeWorker(t *rapid.T) {
	id := uint64(rapid.IntRange(1, 6).Draw(t, "worker"))
	s.x.RemoveWorker(id)
	delete(s.m.workers, id)
	s.m.attempts = slices.DeleteFunc(s.m.attempts, func(a modelAttempt) bool { return a.worker == id })
}

func (s *machine) end(t *rapid.T) {
	if len(s.m.attempts) == 0 {
		t.Skip("nothing runs")
	}
	for range rapid.IntRange(1, 5).Draw(t, "ended") {
		if n := len(s.m.attempts); n > 0 {
			i := rapid.IntRange(0, n-1).Draw(t, "attempt")
			a := s.m.attempts[i]
			s.m.attempts = slices.Delete(s.m.attempts, i, i+1)
			s.x.Give(a.worker, a.shape, a.prefetch, a.alone)
		}
	}
}

// promote ends an attempt and lets one that is held ahead take its place, as
// agents do.
func (s *machine) promote(t *rapid.T) {
	for i, a := range s.m.attempts {
		if a.prefetch {
			continue
		}
		j := slices.IndexFunc(s.m.attempts, func(b modelAttempt) bool {
			return b.prefetch && b.worker == a.worker && b.shape == a.shape
		})
		if j >= 0 {
			s.x.Give(a.worker, a.shape, false, a.alone)
			s.x.Promote(a.worker, a.shape)
			s.m.attempts[j].prefetch = false
			s.m.attempts = slices.Delete(s.m.attempts, i, i+1)
			return
		}
	}
	t.Skip("nothing to promote")
}

// place takes up to n proposals and reports whether there was an end to them.
func (s *machine) place(t *rapid.T, n int) bool {
	for range n {
		want, more := s.m.next()
		got, ok := s.x.Next()
		if ok != more || got != want {
			t.Fatalf("Next() = %+v %v, want %+v %v", got, ok, want, more)
		}
		if !ok {
			return true
		}
		g := s.m.groups[got.Group]
		s.x.Take(got.Worker, g.Shape, got.Prefetch, got.Group.Alone)
		s.m.attempts = append(s.m.attempts, modelAttempt{got.Worker, g.Shape, got.Prefetch, got.Group.Alone})
		g.ready--
		s.x.SetReady(got.Group, g.ready)
		if g.ready == 0 {
			delete(s.m.groups, got.Group)
		}
	}
	return false
}

func (s *machine) drain(t *rapid.T) {
	if !s.place(t, 1000) {
		t.Fatal("no end of placements")
	}
	s.recalls(t)
	for _, g := range s.m.ordered() {
		if y := s.x.Explain(g.ID); y.Open != 0 {
			t.Fatalf("%+v was left, and %d workers have a place", g, y.Open)
		}
	}
}

func (s *machine) recalls(t *rapid.T) {
	limit := rapid.IntRange(1, 10).Draw(t, "limit")
	got := s.x.Recalls(limit)
	if want := s.m.wantRecall(); want != (len(got) > 0) {
		t.Fatalf("Recalls = %+v, want any: %v", got, want)
	}
	total := 0
	for _, r := range got {
		total += r.N
		if u := s.m.use(r.From, r.Shape); r.N < 1 || r.N > u.held || s.m.free(s.m.workers[r.From], r.Shape, false) {
			t.Fatalf("recall %+v from a worker that holds %d", r, u.held)
		}
	}
	if total > limit {
		t.Fatalf("Recalls(%d) = %+v", limit, got)
	}
}

func (s *machine) check(t *rapid.T) {
	if err := s.x.Check(); err != nil {
		t.Fatal(err)
	}
	for _, id := range s.m.ids() {
		u := s.m.use(id, Shape{})
		used, running, prefetched := s.x.Usage(id)
		if used != u.used || running != u.running || prefetched != u.prefetched {
			t.Fatalf("Usage(%d) = %+v %d %d, want %+v", id, used, running, prefetched, u)
		}
	}
	for id, g := range s.m.groups {
		if diff := gocmp.Diff(s.m.explain(g), s.x.Explain(id)); diff != "" {
			t.Fatalf("Explain(%v): -want +got\n%s", id, diff)
		}
	}
}

// explain counts what Why counts, in its order of causes.
func (m *model) explain(g *modelGroup) Why {
	y := Why{
		Ready: g.ready, Namespace: g.Namespace, Queue: g.Queue, Shape: g.Shape, Alone: g.ID.Alone,
		NamespacePaused: m.paused[g.Namespace+"/"], QueuePaused: m.paused[g.Namespace+"/"+g.Queue],
		Workers: len(m.workers),
	}
	for _, w := range m.workers {
		m.explainWorker(&y, w)
	}
	for _, o := range m.ordered() {
		before := cmp.Or(cmp.Compare(g.Priority, o.Priority), cmp.Compare(o.ID.Job, g.ID.Job), cmp.Compare(o.ID.Task, g.ID.Task))
		if before < 0 {
			y.Ahead += o.ready
		}
	}
	return y
}

func (m *model) explainWorker(y *Why, w *Worker) {
	u, need := m.use(w.ID, y.Shape), y.Shape.Resources
	room := w.Capacity.Minus(u.used)
	switch {
	case !slices.Contains(w.Executors, y.Shape.Executor):
		y.NoExecutor++
	case y.Shape.Function != "" && !slices.Contains(w.Functions, y.Shape.Function):
		y.NoFunction++
	case !hasLabels(w, y.Shape):
		y.NoLabel++
	case !need.Fits(w.Capacity) || w.Slots == 0:
		y.TooSmall++
		y.Largest = job.Resources{CPU: max(y.Largest.CPU, w.Capacity.CPU), Memory: max(y.Largest.Memory, w.Capacity.Memory)}
	case !w.Accepts:
		y.Away++
	case m.free(w, y.Shape, y.Alone):
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
			}
			if need.Memory > room.Memory {
				y.NoMemory++
			}
			y.MostFree = job.Resources{CPU: max(y.MostFree.CPU, room.CPU), Memory: max(y.MostFree.Memory, room.Memory)}
		}
	}
}

// TestModel checks every answer of the index against one that was worked out by
// looking at everything: the order, the choice of worker, that nothing is
// over-committed and that nothing that fits is left.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &machine{New(), newModel()}
		// Forgetting as soon as anything is out of use must change no answer.
		forgetful := rapid.Bool().Draw(t, "forgetful")
		t.Repeat(map[string]func(*rapid.T){
			"group":   s.setGroup,
			"group2":  s.setGroup,
			"group3":  s.setGroup,
			"ready":   s.setReady,
			"pause":   s.pause,
			"worker":  s.setWorker,
			"worker2": s.setWorker,
			"remove":  s.removeWorker,
			"end":     s.end,
			"end2":    s.end,
			"promote": s.promote,
			"some":    func(t *rapid.T) { s.place(t, 3) },
			"drain":   s.drain,
			"drain2":  s.drain,
			"": func(t *rapid.T) {
				if forgetful {
					s.x.sweepAt = 0
				}
				s.check(t)
			},
		})
	})
}
