package plan

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/plan/why"
	"pgregory.net/rapid"
)

// placeBy is what a worker has of a label that a company looks at.
func placeBy(w *Worker, key string) string {
	if key == job.AtWorker {
		return fmt.Sprint("#", w.ID)
	}
	value, _ := labelOf(w, key)
	return value
}

// distance is how many workers a group would rather have than one.
func distance(g *modelGroup, worker uint64) (n int) {
	for rest := g.Near; rest != "" && binary.BigEndian.Uint64([]byte(rest)) != worker; rest = rest[8:] {
		n++
	}
	return n
}

func (m *model) admits(w *Worker, g *modelGroup) bool {
	return g.Apart == (Company{}) || !slices.ContainsFunc(m.attempts, func(a modelAttempt) bool { return m.meets(w, g, a) })
}

// meets reports whether an attempt is where a worker is, for a group that is to be apart from it.
func (m *model) meets(w *Worker, g *modelGroup, a modelAttempt) bool {
	return a.Apart == g.Apart && placeBy(m.workers[a.worker], g.Apart.By) == placeBy(w, g.Apart.By)
}

// near is how many of those that a group is spread with are where a worker is.
func (m *model) near(w *Worker, g *modelGroup) (n int) {
	for _, a := range m.attempts {
		if g.Spread != (Company{}) && a.Spread == g.Spread && placeBy(m.workers[a.worker], g.Spread.By) == placeBy(w, g.Spread.By) {
			n++
		}
	}
	return n
}

// rivals names what is where workers could take a group.
func (m *model) rivals(g *modelGroup) (list []why.Rival, more bool) {
	if g.Apart.Key == "" {
		return nil, false
	}
	for _, id := range m.ids() {
		w := m.workers[id]
		if !m.suits(w, g.Shape) || !g.Shape.Resources.Fits(w.Capacity) || w.Slots == 0 || m.spurns(w, g) {
			continue
		}
		for _, a := range m.attempts {
			if r := (why.Rival{Job: a.Job, Worker: m.workers[a.worker].Name}); m.meets(w, g, a) && !slices.Contains(list, r) {
				list = append(list, r)
			}
		}
	}
	slices.SortFunc(list, func(a, b why.Rival) int { return cmp.Or(cmp.Compare(a.Job, b.Job), cmp.Compare(a.Worker, b.Worker)) })
	if len(list) > maxRivals {
		return list[:maxRivals], true
	}
	return list, false
}

// drawCompany draws what a group looks at: others of its task, or of a key of its namespace.
func drawCompany(t *rapid.T, g *Group, what string) Company {
	by := rapid.SampledFrom(someKeys).Draw(t, what)
	switch {
	case by == "":
		return Company{}
	case rapid.Bool().Draw(t, what+" by key"):
		return Company{Space: g.Namespace, Key: rapid.SampledFrom([]string{"disk", "web"}).Draw(t, what+" key"), By: by}
	}
	return Company{Job: g.ID.Job, Task: g.ID.Task, By: by}
}

// TestDispersed checks the choice among many workers, most of them alike, of which few suit those that
// look at their like: what was learned of all of them must never lead to another than who looks at all.
func TestDispersed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &machine{x: New(), m: newModel(), stingy: rapid.Bool().Draw(t, "stingy")}
		for _, q := range someQueues {
			s.setQueue("default", q, job.QueuePolicy{Backfill: job.BackfillAny})
		}
		n, zones := rapid.IntRange(20, 250).Draw(t, "workers"), rapid.IntRange(1, 6).Draw(t, "zones")
		block := rapid.SampledFrom([]int{1, 3, 100}).Draw(t, "in a row")
		worker := func(id int) {
			zone := id / block % zones
			w := host(uint64(id), rapid.SampledFrom([]int{1, 2, 2, 2, 3 + zone}).Draw(t, "slots"))
			w.Prefetch, w.Labels = 0, []string{fmt.Sprint("disk=", rapid.IntRange(0, 1).Draw(t, "disk")), fmt.Sprint("gpu=", zone)}
			s.x.SetWorker(w)
			s.m.workers[w.ID] = &w
		}
		for id := range n {
			worker(id + 1)
		}
		kinds := []Group{group(task(1), cpu1)} // looks at nobody
		for id := job.ID(2); id < 5; id++ {
			g := group(task(id), cpu1)
			g.Prefer = rapid.SampledFrom([]string{"", "", PreferOf(somePreferences[0].list)}).Draw(t, "prefer")
			g.Apart, g.Spread = drawCompany(t, &g, "apart"), drawCompany(t, &g, "spread")
			kinds = append(kinds, g)
		}
		t.Repeat(map[string]func(*rapid.T){
			"group": func(t *rapid.T) {
				g, ready := rapid.SampledFrom(kinds).Draw(t, "group"), rapid.Int64Range(1, 200).Draw(t, "ready")
				g.Score = rapid.Int64Range(0, 3).Draw(t, "score")
				s.x.SetGroup(g, ready)
				s.m.groups[g.ID] = &modelGroup{g, ready}
			},
			"few":    func(t *rapid.T) { s.place(t, rapid.IntRange(1, 6).Draw(t, "most")) },
			"some":   func(t *rapid.T) { s.place(t, rapid.IntRange(10, 100).Draw(t, "most")) },
			"all":    func(t *rapid.T) { s.place(t, 1000) },
			"end":    s.end,
			"free":   func(t *rapid.T) { s.free(t, rapid.IntRange(0, zones-1).Draw(t, "zone")) },
			"again":  func(t *rapid.T) { worker(rapid.IntRange(1, n).Draw(t, "worker")) },
			"remove": func(t *rapid.T) { s.remove(uint64(rapid.IntRange(1, n).Draw(t, "worker"))) },
			"": func(t *rapid.T) {
				if err := s.x.Check(); err != nil {
					t.Fatal(err)
				}
			},
		})
	})
}

// free ends some of what runs in a zone.
func (s *machine) free(t *rapid.T, zone int) {
	s.m.attempts = slices.DeleteFunc(s.m.attempts, func(a modelAttempt) bool {
		ends := placeBy(s.m.workers[a.worker], "gpu") == fmt.Sprint(zone) && rapid.Bool().Draw(t, "ends")
		if ends {
			s.x.Give(a.run, 0)
		}
		return ends
	})
}

// next is the next proposal.
func (s *machine) next() (p Placement, ok bool) {
	if !s.stingy {
		return s.x.Next(s.m.now)
	}
	for {
		most := 1
		if p, ok = s.x.NextWithin(s.m.now, &most); ok || most > 0 {
			return p, ok
		}
	}
}
