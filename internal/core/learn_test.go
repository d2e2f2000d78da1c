package core

import (
	"fmt"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
	"github.com/reeve-scheduler/reeve/internal/predict"
)

// scholar is a machine that is about what is learned alone: many attempts end.
type scholar struct{ *machine }

func newScholar(t *rapid.T) *scholar {
	s := &scholar{&machine{t: t}}
	s.lab = newLab(func(format string, args ...any) {
		t.Helper()
		t.Fatalf(format, args...)
	})
	return s
}

func (s *scholar) join() {
	err := s.lab.join(link.Hello{
		Protocol: link.Protocol, Name: "w1", Instance: "w1", Incarnation: 1, Slots: 8, Capacity: job.Resources{CPU: 1e6, Memory: 1 << 50},
		Executors: []string{"process"},
	})
	if err != nil {
		s.fail("%v", err)
	}
}

// work submits a job of one of five names for one of two users.
func (s *scholar) work(t *rapid.T) {
	text := fmt.Sprintf("name: job-%d\nretry: {max_attempts: 2, delay: 1s}\nrun: \"true\"", rapid.IntRange(1, 5).Draw(t, "name"))
	if _, err := s.submit(text, func(c *Submit) { c.By = rapid.SampledFrom([]string{"anna", "bert"}).Draw(t, "by") }); err != nil {
		s.fail("%v", err)
	}
}

// end begins the oldest attempt, or ends it after a while.
func (s *scholar) end(t *rapid.T) {
	w := s.workers["w1"]
	if len(w.held) == 0 {
		return
	}
	g := w.held[0]
	if g.phase == link.Waiting {
		s.begin(w, g)
		return
	}
	s.now += rapid.Int64Range(0, 100_000).Draw(t, "ran")
	r := link.Result{Usage: job.Usage{Memory: rapid.SampledFrom([]int64{0, 10 << 20, 2 << 30}).Draw(t, "memory")}}
	if rapid.IntRange(0, 3).Draw(t, "fails") == 0 {
		r.Cause = job.Cause{Kind: job.CauseExit, Code: 3}
	}
	s.finish(w, g, r)
}

// TestLearnedIsRecovered: what was learned is the same at a leader, at who follows it, and at
// who begins with the tables, at any time. A flush may be under way, and keys be forgotten.
func TestLearnedIsRecovered(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newScholar(t)
		s.raise(rapid.SampledFrom([]uint64{FormatLearns, FormatLearns, FormatLearns, 2}).Draw(t, "format"))
		s.join()
		for range rapid.IntRange(20, 200).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"work", "work", "end", "end", "end", "end", "flush", "flush", "over", "raise", "evict"}).Draw(t, "step") {
			case "work":
				s.work(t)
			case "end":
				s.end(t)
			case "flush":
				s.flushSome(t)
				if copied := s.follow(); s.tables.seq == copied.Seq() && len(copied.flush.taught) > 0 {
					t.Fatalf("who follows would write what the tables have: %d keys", len(copied.flush.taught))
				}
			case "over":
				s.failOver()
				s.rejoin(t)
			case "raise":
				s.raise(max(s.s.Format(), FormatLearns))
			case "evict":
				s.now += 2 * linger
				s.evict()
			}
			want := s.s.dumpLearned()
			if diff := gocmp.Diff(want, s.recovered().dumpLearned()); diff != "" || s.tables.twice != "" {
				t.Fatalf("a server that starts now knows otherwise (%s) (-leader +other):\n%s", s.tables.twice, diff)
			}
			if diff := gocmp.Diff(want, s.follow().dumpLearned()); diff != "" {
				t.Fatalf("a server that follows knows otherwise (-leader +other):\n%s", diff)
			}
			if s.s.Format() < FormatLearns && len(want) > 0 {
				t.Fatalf("%d keys were learned of at format %d", len(want), s.s.Format())
			}
		}
		s.checkExport()
	})
}

// runs takes a job through one attempt, of so many milliseconds, and returns its id.
func (l *lab) runs(t *testing.T, text string, ms int64, r link.Result) job.ID {
	t.Helper()
	jobs, err := l.submit(text, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range l.names {
		if w := l.workers[name]; len(w.held) > 0 {
			g := w.held[0]
			l.begin(w, g)
			l.now += ms
			l.finish(w, g, r)
			return jobs[0].ID
		}
	}
	t.Fatal("no worker was given anything")
	return 0
}

// study is a lab that learns, with a worker that can do anything.
func study(t *testing.T) *lab {
	l := newLab(t.Fatalf)
	mustTurn(t, l, RaiseFormat{To: FormatLearns, By: "anna"})
	err := l.join(link.Hello{
		Protocol: link.Protocol, Name: "w1", Instance: "w1", Incarnation: 1, Slots: 1, Capacity: job.Resources{CPU: 1e6, Memory: 1 << 50},
		Executors: []string{"process"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestWhatTeaches: which ends of an attempt teach its run time, and which its memory.
func TestWhatTeaches(t *testing.T) {
	const used = 10 << 20
	for name, test := range map[string]struct {
		text         string
		result       link.Result
		runs, memory int64
	}{
		"success":          {"name: a\nrun: x", link.Result{Usage: job.Usage{Memory: used}}, 1, 1},
		"memory unknown":   {"name: a\nrun: x", link.Result{}, 1, 0},
		"failure":          {"name: a\nrun: x", link.Result{Cause: job.Cause{Kind: job.CauseExit, Code: 1}, Usage: job.Usage{Memory: used}}, 0, 1},
		"out of memory":    {"name: a\nrun: x", link.Result{Cause: job.Cause{Kind: job.CauseMemory}, Usage: job.Usage{Memory: used}}, 0, 1},
		"timeout":          {"name: a\nrun: x", link.Result{Cause: job.Cause{Kind: job.CauseTimeout}, Usage: job.Usage{Memory: used}}, 0, 1},
		"failure, nothing": {"name: a\nrun: x", link.Result{Cause: job.Cause{Kind: job.CauseExit, Code: 1}}, 0, 0},
		"no name":          {"run: x", link.Result{Usage: job.Usage{Memory: used}}, 0, 0},
		"to be retried":    {"name: a\nrun: x\nretry: {max_attempts: 2}", link.Result{Cause: job.Cause{Kind: job.CauseExit, Code: 1}, Usage: job.Usage{Memory: used}}, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			l := study(t)
			id := l.runs(t, test.text, 5000, test.result)
			m, _ := l.s.Image(id)
			p := l.s.Predict(&m, l.s.SpecOf(id), 0)
			if p.Run.Runs != test.runs || p.Memory.Runs != test.memory || p.Run.Run != 5000*test.runs {
				t.Errorf("%+v; want %d runs of 5 s, and the memory of %d", p, test.runs, test.memory)
			}
			if keys := len(l.s.learned.Entries()); keys != int(max(test.runs, test.memory)) {
				t.Errorf("%d keys", keys)
			}
			if e, ok := l.s.PredictRun(id, 0); e != p.Run || ok != (test.runs > 0) {
				t.Errorf("PredictRun: %+v, %v; Predict: %+v", e, ok, p.Run)
			}
		})
	}
}

// TestUnheardTeachesNothing: of what never began, or was lost, nobody knows how long it takes.
func TestUnheardTeachesNothing(t *testing.T) {
	l := study(t)
	for range 2 {
		if _, err := l.submit("name: a\nrun: x\nretry: {on_lost: 0}", nil); err != nil {
			t.Fatal(err)
		}
	}
	w := l.workers["w1"]
	l.finish(w, w.held[0], link.Result{Cause: job.Cause{Kind: job.CauseRejected}, Usage: job.Usage{Memory: 1 << 20}})
	l.begin(w, w.held[0])
	w.up = false
	l.now += 1e6
	mustTurn(t, l, WorkerSilent{Worker: w.id, For: 1e6})
	if n := len(l.s.learned.Entries()); n != 0 || len(l.s.attempts) != 0 {
		t.Errorf("%d keys were learned of, %d attempts are live", n, len(l.s.attempts))
	}
}

// TestPredict: the limit bounds what is predicted, another user's runs stand in for one's own,
// and what is asked for without need is told.
func TestPredict(t *testing.T) {
	l := study(t)
	var id job.ID
	for range 25 {
		id = l.runs(t, "name: a\nrun: x\ntimeout: 20s\nresources: {memory: 4Gi}", 30_000, link.Result{Usage: job.Usage{Memory: 600 << 20}})
	}
	m, _ := l.s.Image(id)
	spec := l.s.SpecOf(id)
	p := l.s.Predict(&m, spec, 0)
	if p.Run.String() != "about 20s (of 25 runs)" || !p.Advised || p.Advice.String() != "requested 4 GiB, p99 of 25 runs 606 MiB; 768 MiB would do" {
		t.Errorf("%q, %v %q", p.Run, p.Advised, p.Advice)
	}
	m.By = "bert"
	if p = l.s.Predict(&m, spec, 0); p.Run.String() != "about 20s (of 25 runs by others)" || !p.Run.Others || !p.Memory.Others {
		t.Errorf("to another user: %q, %+v", p.Run, p)
	}
	m.Namespace = "team"
	if p = l.s.Predict(&m, spec, 0); p != (Prediction{Advice: p.Advice}) {
		t.Errorf("in another namespace: %+v", p)
	}
	if e, ok := l.s.PredictRun(id+1, 0); ok || e != (predict.Estimate{}) {
		t.Errorf("of a job that is not there: %+v", e)
	}
	if e, ok := l.s.PredictRun(id, 1); ok || e != (predict.Estimate{}) {
		t.Errorf("of a task that is not there: %+v", e)
	}
}
