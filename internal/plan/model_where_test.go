package plan

import (
	"strconv"
	"strings"

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
