package plan

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/plan/usage"
	"pgregory.net/rapid"
)

// model answers as the index must, by looking at everything each time. Nothing is kept free
// in it: reserve_test.go has that.
type model struct {
	groups   map[GroupID]*modelGroup
	workers  map[uint64]*Worker
	paused   map[string]bool // "namespace/queue", "namespace/"
	spaces   map[string]job.NamespacePolicy
	queues   map[string]job.QueuePolicy
	attempts []modelAttempt
	pasts    map[string]usage.Past // "namespace", "namespace/queue", "namespace/queue/user"
	now      int64
}

type modelGroup struct {
	Group
	ready int64
}

type modelAttempt struct {
	worker uint64
	Attempt
	run *Run
}

func newModel() *model {
	return &model{
		groups: map[GroupID]*modelGroup{}, workers: map[uint64]*Worker{}, paused: map[string]bool{},
		spaces: map[string]job.NamespacePolicy{}, queues: map[string]job.QueuePolicy{}, pasts: map[string]usage.Past{}, now: 1,
	}
}

// part is what the attempts of a namespace, of a queue in it, or of a user of that have.
func (m *model) part(of ...string) (used job.Resources, running int64) {
	for _, a := range m.attempts {
		if names := []string{a.Namespace, a.Queue, a.User}; slices.Equal(names[:len(of)], of) {
			used, running = used.Plus(a.Shape.Resources), running+1
		}
	}
	return used, running
}

// before is whether a group goes before another, and whether that is certain: between those
// that have the same share of everything, it is not.
func (m *model) before(a, b *modelGroup) bool {
	if a.Background != b.Background {
		return b.Background
	}
	names, others := []string{a.Namespace, a.Queue, a.User}, []string{b.Namespace, b.Queue, b.User}
	for i := range names {
		if names[i] != others[i] {
			return m.key(names[:i+1]...) < m.key(others[:i+1]...)
		}
	}
	alone := 0
	if a.ID.Alone != b.ID.Alone {
		alone = -1
		if a.ID.Alone {
			alone = 1
		}
	}
	return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.ID.Job, b.ID.Job), a.ID.compare(b.ID), alone) < 0
}

// compare orders groups of one job: by task, those that need more after the others, then by way.
func (id GroupID) compare(o GroupID) int {
	larger := 0
	if id.Larger != o.Larger {
		larger = -1
		if id.Larger {
			larger = 1
		}
	}
	return cmp.Or(cmp.Compare(id.Task, o.Task), larger, cmp.Compare(id.Way, o.Way))
}

// barred reports whether a pause or a limit is in the way of a group.
func (m *model) barred(g *modelGroup) bool {
	if m.paused[g.Namespace+"/"+g.Queue] || m.paused[g.Namespace+"/"] {
		return true
	}
	for i, l := range []job.Limit{m.spaces[g.Namespace].Limit, m.queues[g.Namespace+"/"+g.Queue].Limit} {
		used, running := m.part([]string{g.Namespace, g.Queue}[:i+1]...)
		n := int64(g.together())
		if l.Running > 0 && running+n > l.Running || l.Over(0, used, g.Shape.Resources.Times(n)) != "" {
			return true
		}
	}
	return false
}

func (m *model) bounded(g *modelGroup) bool {
	return m.spaces[g.Namespace].Limit != job.Limit{} || m.queues[g.Namespace+"/"+g.Queue].Limit != job.Limit{}
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
		case a.Prefetch:
			u.prefetched++
			if a.Shape == s {
				u.held++
			}
		default:
			u.running++
			u.used = u.used.Plus(a.Shape.Resources)
			u.alone = u.alone || a.Alone
			if a.Shape == s {
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
	return unmetBy(w, s) == ""
}

func (m *model) free(w *Worker, s Shape, alone bool) bool {
	u := m.use(w.ID, s)
	return m.suits(w, s) && !u.alone && u.running < w.Slots && s.Resources.Fits(w.Capacity.Minus(u.used)) &&
		(!alone || u.running+u.prefetched == 0)
}

// place is the worker on which a group must go, 0 for tournament.None.
func (m *model) place(g *modelGroup) uint64 {
	best, most, have, worth, near, far := uint64(0), 0, 0, int64(0), 0, 0
	for _, id := range m.ids() {
		w := m.workers[id]
		if !m.free(w, g.Shape, g.ID.Alone) || !m.admits(w, g) || m.spurns(w, g) {
			continue
		}
		have++
		n, score, by, off := w.Slots-m.use(id, g.Shape).running, worthOf(w, g), m.near(w, g), distance(g, id)
		if best == 0 || by < near || by == near && (off < far || off == far && (score > worth || score == worth && n > most)) {
			best, most, worth, near, far = id, n, score, by, off
		}
	}
	if have < g.together() {
		return 0
	}
	return best
}

// ahead is the worker to which one of a group may be sent ahead, 0 for tournament.None.
func (m *model) ahead(g *modelGroup) uint64 {
	best, least := uint64(0), 1<<30
	for _, id := range m.ids() {
		w, u := m.workers[id], m.use(id, g.Shape)
		if g.NoPrefetch || m.patient(g) || g.looksAt() || g.Near != "" || g.Nodes > 1 || g.ID.Alone || u.alone || u.same == 0 || u.prefetched >= w.Prefetch || m.bounded(g) ||
			!m.suits(w, g.Shape) || !g.Shape.Resources.Fits(w.Capacity) || !u.used.Fits(w.Capacity) {
			continue
		}
		if u.prefetched < least {
			best, least = id, u.prefetched
		}
	}
	return best
}

// judge says what is wrong with a proposal, or with its absence.
func (m *model) judge(p Placement, ok bool) string {
	for _, prefetch := range []bool{false, true} {
		where := m.place
		if prefetch {
			where = m.ahead
		}
		found := false
		for _, g := range m.groups {
			at := uint64(0)
			if !m.barred(g) {
				at = where(g)
			}
			found = found || at != 0
			switch mine := m.groups[p.Group]; {
			case at == 0 && ok && g == mine && p.Prefetch == prefetch:
				return fmt.Sprintf("%+v can't be placed", g)
			case at == 0 || !ok:
			case mine == nil || p.Prefetch && !prefetch:
				return fmt.Sprintf("%+v could be placed", g)
			case g == mine && g.Nodes > 1:
				if wrong := m.judgeTeam(g, p); wrong != "" {
					return wrong
				}
			case g == mine && p.Prefetch == prefetch && (p.Worker != at || p.Team != nil):
				return fmt.Sprintf("%+v is to go to worker %d", g, at)
			case p.Prefetch == prefetch && m.before(g, mine):
				return fmt.Sprintf("%+v goes before", g)
			}
		}
		if found {
			if !ok {
				return "something could be placed"
			}
			return ""
		}
	}
	if ok {
		return "nothing can be placed"
	}
	return ""
}

// judgeTeam says what is wrong with the workers of a gang.
func (m *model) judgeTeam(g *modelGroup, p Placement) string {
	team := append(slices.Clone(p.Team), p.Worker)
	slices.Sort(team)
	if len(slices.Compact(slices.Clone(team))) != g.Nodes {
		return fmt.Sprintf("%+v needs %d workers, not %v", g, g.Nodes, team)
	}
	for _, id := range team {
		if w := m.workers[id]; w == nil || !m.free(w, g.Shape, g.ID.Alone) || m.spurns(w, g) {
			return fmt.Sprintf("%+v has no place on worker %d", g, id)
		}
	}
	for _, id := range m.ids() {
		if w := m.workers[id]; !slices.Contains(team, id) && m.free(w, g.Shape, g.ID.Alone) {
			for _, o := range team {
				if worthOf(w, g) > worthOf(m.workers[o], g) {
					return fmt.Sprintf("%+v prefers worker %d to %d", g, id, o)
				}
			}
		}
	}
	return ""
}

// wantRecall reports whether some attempt is held ahead by a worker without a
// place for it while a worker that holds tournament.None of its shape has one and no group of
// the shape waits for it.
func (m *model) wantRecall() bool {
	ready := map[Shape]bool{}
	for _, g := range m.groups {
		open := !m.paused[g.Namespace+"/"+g.Queue] && !m.paused[g.Namespace+"/"]
		for i, l := range []job.Limit{m.spaces[g.Namespace].Limit, m.queues[g.Namespace+"/"+g.Queue].Limit} {
			_, running := m.part([]string{g.Namespace, g.Queue}[:i+1]...)
			open = open && (l.Running == 0 || running < l.Running)
		}
		if !g.ID.Alone && open && g.Nodes <= 1 && !m.patient(g) {
			ready[g.Shape] = true
		}
	}
	for _, a := range m.attempts {
		if !a.Prefetch || ready[a.Shape] || m.free(m.workers[a.worker], a.Shape, false) {
			continue
		}
		for _, w := range m.workers {
			if m.use(w.ID, a.Shape).held == 0 && m.free(w, a.Shape, false) {
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
	// stingy: it asks about few workers at a time.
	stingy bool
}

var (
	someShapes = func() []Shape {
		var out []Shape
		for _, r := range []job.Resources{{}, {CPU: 1000}, {CPU: 2000, Memory: 1 << 30}, {CPU: 500, Memory: 3 << 30}, {CPU: 500, Other: "gpu=2"}} {
			out = append(out, Shape{Resources: r, Executor: "process"},
				Shape{Resources: r, Executor: "function", Function: "resize"},
				Shape{Resources: r, Executor: "process", Where: "gpu"},
				Shape{Resources: r, Executor: "process", Where: "disk=ssd\ngpu=a"},
				Shape{Resources: r, Executor: "process", Where: someConditions[0].text + "\nzone"},
				Shape{Resources: r, Executor: "process", Where: someConditions[1].text + "\n" + someConditions[2].text})
		}
		return out
	}()
	someLabels = [][]string{nil, {"gpu=a"}, {"disk=ssd", "gpu=a"}, {"disk=ssd", "gpu"}, {"gpu=b", "host=x", "zone=eu"}, {"gen=3", "zone=eu"}, {"gen=10", "gpu=c", "zone=us"}, {"gen=new", "zone"}, {"gen=new", "zone=eu"}, {"gen=4", "price=0.5"}, {"price=0.25"}, {"price=free", "zone=eu"}}
	someKeys   = []string{"", job.AtWorker, "disk", "gpu", "zone", "gen", "price", "host"}
	someSpaces = []string{"default", "team"}
	someQueues = []string{"default", "night", "batch"}
	someUsers  = []string{"", "ann", "bob"}
)

func drawID(t *rapid.T) GroupID {
	return GroupID{
		Job:   job.ID(rapid.IntRange(1, 12).Draw(t, "job")),
		Task:  uint32(rapid.IntRange(0, 1).Draw(t, "task")),
		Alone: rapid.IntRange(0, 5).Draw(t, "alone") == 0, Larger: rapid.IntRange(0, 7).Draw(t, "larger") == 0,
		Way: rapid.SampledFrom([]uint8{0, 0, 0, 0, 1, Ways - 1}).Draw(t, "way"),
	}
}

func (s *machine) setGroup(t *rapid.T) {
	g := Group{
		ID: drawID(t), Namespace: rapid.SampledFrom(someSpaces).Draw(t, "namespace"),
		Queue:      rapid.SampledFrom(someQueues).Draw(t, "queue"),
		Score:      rapid.Int64Range(-1, 1).Draw(t, "score"),
		User:       rapid.SampledFrom(someUsers).Draw(t, "user"),
		Background: rapid.IntRange(0, 4).Draw(t, "background") == 0,
		Shape:      rapid.SampledFrom(someShapes).Draw(t, "shape"),
		Prefer:     rapid.SampledFrom([]string{"", PreferOf(somePreferences[0].list), PreferOf(somePreferences[1].list)}).Draw(t, "prefer"),
		NoPrefetch: rapid.IntRange(0, 3).Draw(t, "direct") == 0,
		Nodes:      rapid.SampledFrom([]int{0, 0, 0, 1, 2, 3, 5}).Draw(t, "nodes"),
		Patient:    rapid.IntRange(0, 2).Draw(t, "patient") == 0,
	}
	if g.together() == 1 && rapid.IntRange(0, 3).Draw(t, "company") == 0 {
		g.Apart, g.Spread = drawCompany(t, &g, "apart"), drawCompany(t, &g, "spread")
	}
	if g.together() == 1 && rapid.IntRange(0, 2).Draw(t, "near") == 0 {
		g.Near = NearOf(rapid.SliceOfN(rapid.Uint64Range(1, 7), 1, 3).Draw(t, "workers")...)
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

func (s *machine) policy(t *rapid.T) {
	space, q := rapid.SampledFrom(someSpaces).Draw(t, "namespace"), rapid.SampledFrom(append(someQueues, "")).Draw(t, "queue")
	weight := rapid.Int64Range(0, 3).Draw(t, "weight")
	guarantee := job.Resources{CPU: 1000 * rapid.Int64Range(0, 2).Draw(t, "guarantee")}
	forget := job.Duration(time.Minute) * job.Duration(rapid.IntRange(0, 60).Draw(t, "half-life"))
	var limit job.Limit
	switch rapid.IntRange(0, 3).Draw(t, "limit") {
	case 0:
		limit.Running = rapid.Int64Range(1, 4).Draw(t, "most")
	case 1:
		limit.Resources.CPU = 500 * rapid.Int64Range(1, 6).Draw(t, "cpu")
	}
	if q == "" {
		s.m.spaces[space] = job.NamespacePolicy{Weight: weight, Guarantee: guarantee, Limit: limit, HalfLife: forget}
		s.x.SetNamespace(space, s.m.spaces[space])
		return
	}
	s.setQueue(space, q, job.QueuePolicy{Weight: weight, Guarantee: guarantee, Limit: limit, HalfLife: forget, Backfill: job.BackfillAny})
}

func (s *machine) setQueue(space, queue string, p job.QueuePolicy) {
	s.m.queues[space+"/"+queue] = p
	s.x.SetQueue(space, queue, p)
}

func (s *machine) setWorker(t *rapid.T) {
	w := Worker{
		ID: uint64(rapid.IntRange(1, 6).Draw(t, "worker")),
		Capacity: job.Resources{CPU: int64(rapid.IntRange(0, 4).Draw(t, "cpu")) * 1000, Memory: int64(rapid.IntRange(0, 4).Draw(t, "memory")) << 30,
			Other: rapid.SampledFrom([]job.Amounts{"", "", "gpu=1", "gpu=4"}).Draw(t, "other")},
		Name:  rapid.SampledFrom([]string{"ann", "bob"}).Draw(t, "name"),
		Slots: rapid.IntRange(0, 4).Draw(t, "slots"), Prefetch: rapid.IntRange(0, 3).Draw(t, "prefetch"),
		Executors: rapid.SampledFrom([][]string{{"process"}, {"function"}, {"process", "function"}}).Draw(t, "executors"),
		Functions: rapid.SampledFrom([][]string{nil, {"resize"}}).Draw(t, "functions"),
		Labels:    rapid.SampledFrom(someLabels).Draw(t, "labels"),
		Accepts:   rapid.IntRange(0, 4).Draw(t, "accepts") > 0,
	}
	s.x.SetWorker(w)
	s.m.workers[w.ID] = &w
}

func (s *machine) removeWorker(t *rapid.T) {
	s.remove(uint64(rapid.IntRange(1, 6).Draw(t, "worker")))
}

func (s *machine) remove(id uint64) {
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
			s.give(t, a)
		}
	}
}

// give ends an attempt that the model has no more, sometimes without knowing when.
func (s *machine) give(t *rapid.T, a modelAttempt) {
	if rapid.IntRange(0, 5).Draw(t, "unheard") == 0 {
		s.x.Give(a.run, 0)
		return
	}
	s.m.attempts = append(s.m.attempts, a)
	s.m.note(a.Attempt)
	s.m.attempts = s.m.attempts[:len(s.m.attempts)-1]
	s.x.Give(a.run, s.m.now)
}

// wait lets time go by, so much that everybody's past is another.
func (s *machine) wait(t *rapid.T) {
	s.m.now += rapid.Int64Range(60_000, 7_200_000).Draw(t, "later")
	s.x.Age(s.m.now, 1000)
}

// promote ends an attempt and lets one that is held ahead take its place, as
// agents do.
func (s *machine) promote(t *rapid.T) {
	for i, a := range s.m.attempts {
		if a.Prefetch {
			continue
		}
		j := slices.IndexFunc(s.m.attempts, func(b modelAttempt) bool {
			return b.Prefetch && b.worker == a.worker && b.Shape == a.Shape
		})
		if j >= 0 {
			s.m.note(a.Attempt)
			s.x.Give(a.run, s.m.now)
			s.x.Promote(s.m.attempts[j].run)
			s.m.attempts[j].Prefetch = false
			s.m.attempts = slices.Delete(s.m.attempts, i, i+1)
			return
		}
	}
	t.Skip("nothing to promote")
}

// place takes up to n proposals and reports whether there was an end to them.
func (s *machine) place(t *rapid.T, n int) bool {
	for range n {
		p, ok := s.next()
		if wrong := s.m.judge(p, ok); wrong != "" {
			t.Fatalf("Next() = %+v %v: %s", p, ok, wrong)
		}
		if !ok {
			return true
		}
		g := s.m.groups[p.Group]
		a := Attempt{Shape: g.Shape, Namespace: g.Namespace, Queue: g.Queue, User: g.User, Prefetch: p.Prefetch, Alone: p.Group.Alone, Apart: g.Apart, Spread: g.Spread, Job: p.Group.Job}
		for _, w := range append([]uint64{p.Worker}, p.Team...) {
			s.m.note(a)
			s.m.attempts = append(s.m.attempts, modelAttempt{w, a, s.x.Take(w, a, s.m.now)})
		}
		g.ready--
		s.x.SetReady(p.Group, g.ready)
		if g.ready == 0 {
			delete(s.m.groups, p.Group)
		}
	}
	return false
}

func (s *machine) drain(t *rapid.T) {
	if !s.place(t, 1000) {
		t.Fatal("no end of placements")
	}
	s.recalls(t)
	for _, g := range s.m.groups {
		if y := s.x.Explain(g.ID, 0); y.Open >= g.together() && !s.m.barred(g) {
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
		got := s.x.Explain(id, 0)
		if got.Limits != nil != (s.m.barred(g) && !got.QueuePaused && !got.NamespacePaused) && !got.QueuePaused && !got.NamespacePaused {
			t.Fatalf("Explain(%v) names the limits %v, and it is barred: %v", id, got.Limits, s.m.barred(g))
		}
		got.Limits, got.Turns = nil, nil
		if diff := gocmp.Diff(s.m.explain(g), got); diff != "" {
			t.Fatalf("Explain(%v): -want +got\n%s", id, diff)
		}
	}
}

// TestModel checks every answer of the index against one that was worked out by
// looking at everything: the order, the choice of worker, that nothing is
// over-committed and that nothing that fits is left.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &machine{x: New(), m: newModel(), stingy: rapid.Bool().Draw(t, "stingy")}
		for _, space := range someSpaces {
			for _, q := range someQueues {
				s.setQueue(space, q, job.QueuePolicy{Backfill: job.BackfillAny})
			}
		}
		// Forgetting as soon as anything is out of use must change no answer.
		forgetful := rapid.Bool().Draw(t, "forgetful")
		t.Repeat(map[string]func(*rapid.T){
			"group":   s.setGroup,
			"group2":  s.setGroup,
			"group3":  s.setGroup,
			"ready":   s.setReady,
			"pause":   s.pause,
			"policy":  s.policy,
			"worker":  s.setWorker,
			"worker2": s.setWorker,
			"remove":  s.removeWorker,
			"end":     s.end,
			"end2":    s.end,
			"promote": s.promote,
			"wait":    s.wait,
			"move":    s.move,
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
