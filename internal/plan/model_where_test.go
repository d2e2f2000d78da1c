package plan

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/match"
	"github.com/reeve-scheduler/reeve/internal/plan/why"
)

// someConditions are expressions, and what they say, written out: whether they hold, and what is
// wrong where they have no value.
var someConditions = []struct {
	text string
	is   func(w *Worker) (bool, string)
}{
	{`int(labels.gen) >= 3 && labels.zone in ["eu", "us"]`, func(w *Worker) (bool, string) {
		zone, ok := labelOf(w, "zone")
		if ok && zone != "eu" && zone != "us" {
			return false, "" // whatever the other is
		}
		gen, has := labelOf(w, "gen")
		n, err := strconv.Atoi(gen)
		switch {
		case has && err == nil && n < 3:
			return false, ""
		case !has:
			return false, "no label gen"
		case err != nil:
			return false, "type conversion error from 'string' to 'int'"
		case !ok:
			return false, "no label zone"
		}
		return true, ""
	}},
	{`labels.gpu != "c" || name == "ann"`, func(w *Worker) (bool, string) {
		gpu, ok := labelOf(w, "gpu")
		if w.Name == "ann" || ok && gpu != "c" {
			return true, ""
		}
		if !ok {
			return false, "no label gpu"
		}
		return false, ""
	}},
	{`!("host" in labels) || size(labels) == 1 && name == ""`, func(w *Worker) (bool, string) {
		_, ok := labelOf(w, "host")
		return !ok, ""
	}},
}

func labelOf(w *Worker, key string) (string, bool) {
	for _, l := range w.Labels {
		if k, v, _ := strings.Cut(l, "="); k == key {
			return v, true
		}
	}
	return "", false
}

// unmetBy is the first of what a shape asks for by Where that a worker does not meet, labels first.
func unmetBy(w *Worker, s Shape) string {
	if s.Where == "" {
		return ""
	}
	var labels, others []string
	for want := range strings.SplitSeq(s.Where, "\n") {
		if match.IsLabel(want) {
			labels = append(labels, want)
		} else {
			others = append(others, want)
		}
	}
	for _, want := range labels {
		key, value, pair := strings.Cut(want, "=")
		if has, ok := labelOf(w, key); !ok || pair && has != value {
			return want
		}
	}
	for _, want := range others {
		if ok, _ := conditionOf(want)(w); !ok {
			return want
		}
	}
	return ""
}

func conditionOf(text string) func(w *Worker) (bool, string) {
	for _, c := range someConditions {
		if c.text == text {
			return c.is
		}
	}
	panic("no such condition: " + text)
}

func labelsOf(s Shape) string {
	var out []string
	for want := range strings.SplitSeq(s.Where, "\n") {
		if match.IsLabel(want) {
			out = append(out, want)
		}
	}
	return strings.Join(out, "\n")
}

func explainUnmet(y *why.Why, w *Worker, condition string) {
	at := -1
	for i := range y.Unmet {
		if y.Unmet[i].Condition == condition {
			at = i
		}
	}
	if at < 0 {
		at = len(y.Unmet)
		y.Unmet = append(y.Unmet, why.Unmet{Condition: condition})
	}
	u := &y.Unmet[at]
	u.Workers++
	if _, reason := conditionOf(condition)(w); reason != "" {
		for i := range u.NoValue {
			if u.NoValue[i].Reason == reason {
				u.NoValue[i].Workers++
				return
			}
		}
		u.NoValue = append(u.NoValue, why.NoValue{Reason: reason, Workers: 1})
	}
}

// shapeOf is the shape of a group.
func shapeOf(x *Index, id GroupID) Shape {
	at, _ := x.find(id)
	return x.classes[x.groups.Get(at).Class].shape.Shape
}

// somePreferences are preferences, and what they come to, written out.
var somePreferences = []struct {
	list []job.Preference
	of   func(w *Worker) int64
}{
	{[]job.Preference{{When: match.Cheapest, Weight: 1}}, priceOf},
	{[]job.Preference{{When: `labels.zone == "eu"`, Weight: 3}, {When: "gpu", Weight: -2}, {When: "int(labels.gen)", Weight: 1}}, func(w *Worker) int64 {
		sum := int64(0)
		if zone, _ := labelOf(w, "zone"); zone == "eu" {
			sum += 3_000_000
		}
		if _, ok := labelOf(w, "gpu"); ok {
			sum -= 2_000_000
		}
		gen, _ := labelOf(w, "gen")
		n, err := strconv.ParseInt(gen, 10, 64)
		if err != nil {
			return sum - 1<<58
		}
		return sum + n*1_000_000
	}},
}

func priceOf(w *Worker) int64 {
	price, _ := labelOf(w, "price")
	v, err := strconv.ParseFloat(price, 64)
	if err != nil {
		return -1 << 58
	}
	return -int64(v * 1_000_000)
}

// worthOf is what a worker is worth to a group.
func worthOf(w *Worker, g *modelGroup) int64 {
	for _, p := range somePreferences {
		if PreferOf(p.list) == g.Prefer && !g.ID.Alone {
			return p.of(w)
		}
	}
	return 0
}

// TestPreferBest: of workers that are all worth something else to each of many preferences, the
// best is chosen that has room, whatever came and went before; and if there are more preferences
// than are followed at a time, some worker is.
func TestPreferBest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := New()
		many := rapid.SampledFrom([]int{1, 3, maxFollowed, maxFollowed + 5}).Draw(t, "preferences")
		workers := map[uint64]*Worker{}
		next := job.ID(0)
		id := func(t *rapid.T) uint64 { return uint64(rapid.IntRange(1, 40).Draw(t, "id")) }
		set := func(t *rapid.T) {
			w := host(id(t), rapid.IntRange(0, 3).Draw(t, "slots"))
			w.Prefetch = 0
			w.Labels = []string{fmt.Sprint("price=", rapid.IntRange(0, 50).Draw(t, "price")), fmt.Sprint("load=", rapid.IntRange(0, 50).Draw(t, "load"))}
			workers[w.ID] = &w
			x.SetWorker(w)
		}
		place := func(t *rapid.T) {
			weight := int64(rapid.IntRange(1, many).Draw(t, "weight"))
			s := needing(int64(rapid.IntRange(0, 3).Draw(t, "cpu"))*1000, 0)
			next++
			g := group(task(next), s)
			g.Prefer = PreferOf([]job.Preference{{When: match.Cheapest, Weight: weight}, {When: "int(labels.load)", Weight: 7}})
			x.SetGroup(g, 1)
			worth := func(w *Worker) int64 {
				price, _ := labelOf(w, "price")
				load, _ := labelOf(w, "load")
				p, _ := strconv.ParseInt(price, 10, 64)
				l, _ := strconv.ParseInt(load, 10, 64)
				return 7*l - weight*p
			}
			p, ok := x.Next(0)
			var best *Worker
			for _, w := range workers {
				u, n, _ := x.Usage(w.ID)
				if n < w.Slots && s.Resources.Fits(w.Capacity.Minus(u)) && (best == nil || worth(w) > worth(best)) {
					best = w
				}
			}
			switch {
			case ok != (best != nil):
				t.Fatalf("placed: %v; the best is %+v", ok, best)
			case ok && many <= maxFollowed && worth(workers[p.Worker]) != worth(best):
				t.Fatalf("on %+v, worth %d; %+v is worth %d", workers[p.Worker], worth(workers[p.Worker]), best, worth(best))
			case ok:
				x.Take(p.Worker, Attempt{Shape: s, Namespace: "default", Queue: "default"}, 0)
			}
			x.SetReady(task(next), 0)
		}
		t.Repeat(map[string]func(*rapid.T){"set": set, "place": place, "place more": place, "remove": func(t *rapid.T) {
			id := id(t)
			delete(workers, id)
			x.RemoveWorker(id)
		}, "give": func(t *rapid.T) {
			if w := x.workers[id(t)]; w != nil && len(w.runs) > 0 {
				x.Give(w.runs[0], 0)
			}
		}, "resource": func(t *rapid.T) {
			w := host(41, 1)
			w.Capacity.Other = job.Amounts(fmt.Sprintf("r%d=1", rapid.IntRange(0, 9).Draw(t, "resource")))
			x.SetWorker(w)
			x.RemoveWorker(41)
		}, "sweep": func(t *rapid.T) {
			x.sweepAt = 0
			x.sweep()
		}, "": func(t *rapid.T) {
			if err := x.Check(); err != nil {
				t.Fatal(err)
			}
			if len(x.followed) > maxFollowed {
				t.Fatalf("%d preferences are followed", len(x.followed))
			}
		}})
	})
}

// TestPatience: a preference that was not asked for in a long time is followed no more where
// another is asked for.
func TestPatience(t *testing.T) {
	x := New()
	for i := range uint64(2) {
		w := host(i+1, 1)
		w.Labels = []string{fmt.Sprint("price=", 2-i)}
		x.SetWorker(w)
	}
	id := job.ID(0)
	placed := func(weight int64) uint64 {
		id++
		g := group(task(id), cpu1)
		g.Prefer = PreferOf([]job.Preference{{When: match.Cheapest, Weight: weight}})
		x.SetGroup(g, 1)
		p, _ := x.Next(0)
		x.SetReady(task(id), 0)
		return p.Worker
	}
	for weight := range int64(maxFollowed) {
		if at := placed(weight + 1); at != 2 {
			t.Fatalf("the dearer worker %d is preferred", at)
		}
	}
	if at := placed(100); at != 1 {
		t.Fatalf("one more than are followed is placed on worker %d", at)
	}
	x.asks += patience
	if at := placed(100); at != 2 || len(x.followed) != maxFollowed {
		t.Fatalf("later it is placed on worker %d, with %d that are followed", at, len(x.followed))
	}
}
