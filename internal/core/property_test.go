package core

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// machine makes random things happen to a lab.
type machine struct {
	*lab
	t *rapid.T
	// files is the jobs that it submits.
	files []string
}

func TestCoreHoldsUnderAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &machine{t: t, files: files()}
		m.lab = newLab(func(format string, args ...any) {
			t.Helper()
			t.Fatalf(format, args...)
		})
		m.judge.deep, m.recording, m.recorded = true, true, len(m.journal)
		if rapid.IntRange(0, 3).Draw(t, "newest") > 0 { // else it may be raised on the way
			m.raise(max(FormatLearns, FormatResources))
		}
		t.Repeat(map[string]func(*rapid.T){
			"submit":    m.submitSome,
			"submit2":   m.submitSome,
			"worker":    m.joinSome,
			"shrink":    m.shrinkSome,
			"start":     m.startSome,
			"end":       m.endSome,
			"end2":      m.endSome,
			"end3":      m.endSome,
			"give back": m.returnSome,
			"stale":     m.reportStale,
			"break":     m.breakSome,
			"reconnect": m.reconnectSome,
			"silence":   m.silenceSome,
			"drain":     m.drainSome,
			"cancel":    m.cancelSome,
			"hold":      m.holdSome,
			"let go":    m.releaseSome,
			"pause":     m.pauseSome,
			"policy":    m.policySome,
			"pool":      m.poolSome,
			"reserve":   m.reserveSome,
			"update":    m.updateSome,
			"tick":      m.tickSome,
			"raise":     m.raiseSome,
			"flush":     m.flushSome,
			"evict":     func(*rapid.T) { m.evict() },
			"fail over": m.failOverSome,
			"cut off":   m.cutOffSome,
			"":          m.checkRecovery,
		})
		m.repeat()
		m.checkExport()
		m.finishAll()
	})
}

// repeat does everything once more and wants the same events: nothing may depend
// on the order of a map, or on anything else that was not passed in.
func (m *machine) repeat() {
	m.recording = false
	again := newLab(m.fail)
	for _, step := range m.script {
		step(again)
	}
	want := m.journal[:m.recorded]
	if diff := cmp.Diff(want, again.journal); diff != "" {
		m.fail("the same commands decided other events (-first +again):\n%s", diff)
	}
}

func (m *machine) checkRecovery(t *rapid.T) {
	if m.tables.twice != "" {
		t.Fatalf("a flush named a row twice: %s", m.tables.twice)
	}
	recovered := m.recovered()
	m.checkPayloads(m.s)
	m.checkPayloads(recovered)
	if diff := cmp.Diff(m.s.dumpAt(m.now), recovered.dumpAt(m.now), byValue()); diff != "" {
		t.Fatalf("what would be recovered at %d from the tables of %d differs (-state +recovered):\n%s", m.s.Seq(), m.tables.seq, diff)
	}
	m.checkLag(t, "the leader", m.s)
	m.checkLag(t, "a server that starts now", recovered)
	if m.copied != nil {
		m.follow().Projected(m.now, m.tables.seq)
		m.checkLag(t, "a server that follows", m.copied)
	}
}

// checkLag wants a state to know which batches have changed what the tables lack.
func (m *machine) checkLag(t *rapid.T, who string, s *State) {
	n, covered := uint64(0), uint64(len(m.journal))
	for seq := uint64(len(m.journal)); seq > m.tables.seq; seq-- {
		if slices.ContainsFunc(m.journal[seq-1], changesTables) {
			n, covered = n+1, seq-1
		}
	}
	if got := s.Totals(); got.UnprojectedBatches != n || got.Covered != covered {
		t.Fatalf("%s takes the tables, at %d of %d, to lack %d batches and to cover %d; want %d and %d",
			who, m.tables.seq, len(m.journal), got.UnprojectedBatches, got.Covered, n, covered)
	}
}

// changesTables reports whether an event alone is a reason to write to the tables.
func changesTables(e Event) bool {
	switch e.(type) {
	case EpochStarted, StateDigested, FormatRaised, SpecAdded:
		return false
	}
	return true
}

// checkExport wants a state that is loaded from its own export to be the same.
func (m *machine) checkExport() {
	whole := &tables{seq: m.s.Seq()}
	m.s.Export(whole)
	again, err := whole.load(m.config)
	if err != nil {
		m.fail("an export can't be loaded: %v", err)
	}
	if diff := cmp.Diff(m.s.dumpAt(m.now), again.dumpAt(m.now), byValue()); diff != "" || whole.twice != "" {
		m.fail("what is loaded from an export at %d differs (%s) (-state +loaded):\n%s", m.s.Seq(), whole.twice, diff)
	}
}

func (m *machine) submitSome(t *rapid.T) {
	text := rapid.SampledFrom(m.files).Draw(t, "file")
	var after []job.After
	if m.s.nextJob > 1 && rapid.IntRange(0, 3).Draw(t, "after") == 0 {
		after = append(after, job.After{
			Job:       job.ID(rapid.Uint64Range(1, uint64(m.s.nextJob)-1).Draw(t, "on")),
			Condition: rapid.SampledFrom(job.Conditions()).Draw(t, "condition"),
		})
		text += fmt.Sprintf("\nafter: {%d: %s}", after[0].Job, after[0].Condition)
	}
	key := rapid.SampledFrom([]string{"", "", "", "k1", "k2"}).Draw(t, "key")
	_, err := m.submit(text, func(c *Submit) {
		c.Held = rapid.IntRange(0, 5).Draw(t, "held") == 0
		c.Items[0].Key = key
		c.Ended = m.tables.ended()
		if key == "" {
			for range rapid.IntRange(0, 2).Draw(t, "more") {
				c.Items = append(c.Items, c.Items[0])
			}
			m.carrySome(t, c)
		}
	})
	switch job.CodeOf(err) {
	case job.Exists, job.Stale, job.NotFound, job.Busy, job.Refused:
	default:
		if err != nil {
			t.Fatalf("submit %s: %v", text, err)
		}
	}
}

// carrySome makes a submit a retry of a job of the same spec that has ended.
func (m *machine) carrySome(t *rapid.T, c *Submit) {
	for j := range m.s.jobs.all {
		if j.state.Terminal() && j.spec.hash == c.Hash && rapid.Bool().Draw(t, "retry") {
			c.Items = c.Items[:1]
			c.Items[0].RetryOf, c.Items[0].Carry = j.id, m.s.CarryOver(j.id)
			return
		}
	}
}

// ended is what a leader's server would attach of jobs that the tables hold.
func (t *tables) ended() (out []EndedJob) {
	for id := job.ID(1); id < 200; id++ {
		if m, ok := t.jobs[id]; ok && m.State.Terminal() {
			out = append(out, EndedJob{ID: id, State: m.State})
		}
	}
	return out
}

func (m *machine) joinSome(t *rapid.T) {
	n := rapid.IntRange(1, 3).Draw(t, "worker")
	name := fmt.Sprintf("w%d", n)
	h := link.Hello{
		Protocol: link.Protocol, Name: name, Instance: name, Incarnation: 1, Slots: n,
		Capacity: job.Resources{CPU: int64(n+1) * 1000, Memory: 1 << 40}, Prefetch: []int{0, 2, 1, 3}[n], Executors: []string{"process"},
	}
	h.Capacity.Other, h.Devices = someOthers(t)
	if zone := rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "zone"); zone != "" {
		h.Labels = map[string]string{"zone": zone, "price": map[string]string{"a": "0.5", "b": "2"}[zone]}
	}
	if w := m.workers[name]; w != nil {
		h.Incarnation = w.hello.Incarnation + 1
		w.held = nil
	}
	m.shrunk[name] = false
	if err := m.join(h); err != nil {
		t.Fatalf("%v", err)
	}
}

// someOthers is what a worker may have beside processors and memory; GPUs are named, or not.
func someOthers(t *rapid.T) (other job.Amounts, devices job.Devices) {
	ids := rapid.SampledFrom([][]string{nil, {"a", "b"}, {"b", "c", "d"}, {"c"}}).Draw(t, "gpus")
	other = job.AmountsOf(map[string]int64{job.Disk: 4, "licence": rapid.Int64Range(0, 3).Draw(t, "licences"), job.GPU: int64(len(ids))})
	if rapid.IntRange(0, 3).Draw(t, "named") > 0 {
		devices = devices.Set(job.GPU, ids)
	}
	return other, devices
}

// shrinkSome has a worker come back with other amounts, while it runs what it ran.
func (m *machine) shrinkSome(t *rapid.T) {
	w := m.someWorker(t, rapid.Bool().Draw(t, "up"))
	h := w.hello
	h.Capacity.CPU = rapid.Int64Range(1, 4).Draw(t, "cpu") * 1000
	h.Capacity.Other, h.Devices = someOthers(t)
	m.shrunk[h.Name] = true
	if err := m.join(h); err != nil {
		t.Fatal(err)
	}
}

// hold picks an attempt that a connected worker holds.
func (m *machine) grip(t *rapid.T, fits func(*hand, *grip) bool) (*hand, *grip) {
	type pair struct {
		w *hand
		g *grip
	}
	var all []pair
	for _, name := range m.names {
		for _, g := range m.workers[name].held {
			if fits(m.workers[name], g) {
				all = append(all, pair{m.workers[name], g})
			}
		}
	}
	if len(all) == 0 {
		t.Skip("nothing is held")
	}
	p := rapid.SampledFrom(all).Draw(t, "attempt")
	return p.w, p.g
}

// mayRun reports whether a worker would start an attempt: not while it is sent
// ahead.
func (m *machine) mayRun(w *hand, g *grip) bool {
	a := m.s.attempts[g.fence]
	return g.phase == link.Waiting && w.up && (a == nil || !a.prefetched)
}

func (m *machine) startSome(t *rapid.T) {
	w, g := m.grip(t, m.mayRun)
	m.begin(w, g)
}

func (m *machine) endSome(t *rapid.T) {
	w, g := m.grip(t, func(w *hand, g *grip) bool { return g.phase == link.Running || m.mayRun(w, g) || g.stop != nil })
	if g.phase == link.Ended {
		m.report(w, link.Report{Ended: []link.Result{g.result}})
		return
	}
	r := link.Result{Cause: rapid.SampledFrom([]job.Cause{
		{}, {}, {}, {}, {Kind: job.CauseExit, Code: 3}, {Kind: job.CauseExit, Code: 4}, {Kind: job.CauseTimeout, Code: 9},
		{Kind: job.CauseMemory}, {Kind: job.CauseSignal, Code: 9}, {Kind: job.CauseRejected, Detail: "full"}, {Kind: job.CauseOutput, Detail: "too long"},
	}).Draw(t, "cause")}
	r.Usage.Memory = rapid.SampledFrom([]int64{0, 10 << 20, 2 << 30}).Draw(t, "memory")
	if r.Cause.Kind == job.CauseNone {
		r.Outputs = rapid.SampledFrom([][]byte{nil, []byte(`{"n":"3"}`), []byte(`{"n":"0"}`), []byte(`{"n":"[\"x\",\"y\"]"}`), []byte(`{"n":"no"}`)}).Draw(t, "outputs")
	}
	m.finish(w, g, r)
}

func (m *machine) returnSome(t *rapid.T) {
	w, g := m.grip(t, func(w *hand, g *grip) bool { return g.recalled && g.phase == link.Waiting && w.up })
	w.drop(g.fence)
	m.report(w, link.Report{Returned: []link.Fence{g.fence}})
}

// reportStale says things of attempts that are over, of others' and of none.
func (m *machine) reportStale(t *rapid.T) {
	if len(m.names) == 0 {
		t.Skip("nobody to report")
	}
	w := m.workers[rapid.SampledFrom(m.names).Draw(t, "worker")]
	f := link.Fence(rapid.Uint64Range(0, uint64(m.s.nextFence)+1).Draw(t, "fence"))
	if a := m.s.attempts[f]; a != nil && a.worker.id == w.id {
		t.Skip("it is its own")
	}
	before := m.s.dumpAt(m.now)
	m.report(w, link.Report{
		Started: []link.Started{{Fence: f, At: m.now}}, Returned: []link.Fence{f},
		Ended: []link.Result{{Fence: f, Cause: job.Cause{Kind: job.CauseExit, Code: 1}}},
	})
	if diff := cmp.Diff(before, m.s.dumpAt(m.now), byValue()); diff != "" {
		t.Fatalf("a report about fence %d, which is not the worker's, did something:\n%s", f, diff)
	}
}

func (m *machine) someWorker(t *rapid.T, up bool) *hand {
	var names []string
	for _, name := range m.names {
		if m.workers[name].up == up {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		t.Skip("no such worker")
	}
	return m.workers[rapid.SampledFrom(names).Draw(t, "worker")]
}

func (m *machine) breakSome(t *rapid.T) {
	w := m.someWorker(t, true)
	w.up = false
	if _, err := m.turn(WorkerClosed{Worker: w.id, Session: w.session, Left: rapid.Bool().Draw(t, "left")}); err != nil {
		t.Fatal(err)
	}
}

func (m *machine) reconnectSome(t *rapid.T) {
	w := m.someWorker(t, rapid.Bool().Draw(t, "up"))
	if err := m.join(w.hello); err != nil {
		t.Fatal(err)
	}
}

func (m *machine) silenceSome(t *rapid.T) {
	w := m.someWorker(t, false)
	silent := rapid.SampledFrom([]int64{5_000, 11_000, 65_999, 66_000, 1e9}).Draw(t, "for")
	if rapid.Bool().Draw(t, "passed") { // else what was assigned just now is not lost yet
		m.advance(silent)
	}
	if _, err := m.turn(WorkerSilent{Worker: w.id, For: silent}); err != nil {
		t.Fatal(err)
	}
}

func (m *machine) drainSome(t *rapid.T) {
	w := m.someWorker(t, true)
	draining := rapid.Bool().Draw(t, "drain")
	if _, err := m.turn(Drain{Worker: w.hello.Name, Draining: draining, Stop: draining && rapid.Bool().Draw(t, "stop"), By: "anna"}); err != nil {
		t.Fatal(err)
	}
}
