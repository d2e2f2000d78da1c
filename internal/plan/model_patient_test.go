package plan

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// patient reports whether a group waits for better workers: not one that must be alone or prefers nothing.
func (m *model) patient(g *modelGroup) bool { return g.Patient && g.Prefer != "" && !g.ID.Alone }

// floor is what a worker must be worth for a group to take it, false if it takes any.
func (m *model) floor(g *modelGroup) (int64, bool) {
	if !m.patient(g) {
		return 0, false
	}
	var able []int64
	for _, id := range m.ids() {
		if w := m.workers[id]; m.suits(w, g.Shape) && w.Slots > 0 && g.Shape.Resources.Fits(w.Capacity) {
			able = append(able, worthOf(w, g))
		}
	}
	if len(able) < g.together() {
		return 0, false
	}
	slices.Sort(able)
	floor := able[len(able)-g.together()]
	return floor, floor > -1<<57 // else a number has no value
}

func (m *model) spurns(w *Worker, g *modelGroup) bool {
	floor, waits := m.floor(g)
	return waits && worthOf(w, g) < floor
}

// patientGroup is a group that may wait for the cheapest workers. One whose preference is not followed
// always does, and is no gang: others are placed as if they preferred nothing.
func (s *machine) patientGroup(t *rapid.T) {
	unfollowed := len(s.x.followed) == maxFollowed
	g := Group{
		ID: GroupID{Job: job.ID(rapid.IntRange(1, 8).Draw(t, "job"))}, Namespace: "default", Queue: "default",
		Score: rapid.Int64Range(0, 1).Draw(t, "score"), Shape: needing(1000*rapid.Int64Range(1, 3).Draw(t, "cpu"), 0),
		Prefer: PreferOf(somePreferences[0].list), Patient: rapid.IntRange(0, 3).Draw(t, "patient") > 0,
		Nodes: rapid.SampledFrom([]int{1, 1, 1, 2, 3}).Draw(t, "nodes"),
	}
	if unfollowed {
		g.Patient, g.Nodes = true, 1
	}
	if g.Nodes == 1 && rapid.IntRange(0, 3).Draw(t, "company") == 0 {
		g.Spread = Company{Job: g.ID.Job, By: job.AtWorker}
		if rapid.Bool().Draw(t, "apart") {
			g.Apart = g.Spread
		}
	}
	if g.Nodes == 1 && rapid.IntRange(0, 3).Draw(t, "near") == 0 {
		g.Near = NearOf(rapid.SliceOfN(rapid.Uint64Range(1, 7), 1, 3).Draw(t, "workers")...)
	}
	ready := int64(rapid.IntRange(1, 4).Draw(t, "ready"))
	s.x.SetGroup(g, ready)
	s.m.groups[g.ID] = &modelGroup{g, ready}
}

// pricedWorker is a worker that most likely has a price.
func (s *machine) pricedWorker(t *rapid.T) {
	w := host(uint64(rapid.IntRange(1, 5).Draw(t, "worker")), rapid.IntRange(1, 4).Draw(t, "slots"))
	w.Labels, w.Accepts, w.Prefetch = []string{fmt.Sprint("price=", rapid.IntRange(1, 3).Draw(t, "price"))}, rapid.IntRange(0, 3).Draw(t, "accepts") > 0, 2
	if rapid.IntRange(0, 4).Draw(t, "free") == 0 {
		w.Labels = nil
	}
	s.x.SetWorker(w)
	s.m.workers[w.ID] = &w
}

// TestPatient is TestModel where nearly everything waits for the cheapest workers, which come and go.
// Sometimes as many other preferences are followed as may be.
func TestPatient(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &machine{x: New(), m: newModel(), stingy: rapid.Bool().Draw(t, "stingy")}
		s.setQueue("default", "default", job.QueuePolicy{Backfill: job.BackfillAny})
		if rapid.IntRange(0, 3).Draw(t, "others") == 0 {
			for i := range maxFollowed {
				s.x.follows(&preference{text: fmt.Sprint(i)})
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"group": s.patientGroup, "group2": s.patientGroup, "worker": s.pricedWorker, "worker2": s.pricedWorker,
			"remove": s.removeWorker, "end": s.end, "end2": s.end, "promote": s.promote,
			"some": func(t *rapid.T) { s.place(t, 3) }, "drain": s.drain, "drain2": s.drain,
			"sweep": func(*rapid.T) {
				s.x.sweepAt = 0
				s.x.sweep()
			},
			"": s.check,
		})
	})
}
