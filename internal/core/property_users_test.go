package core

import (
	"fmt"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/reeve-scheduler/reeve/internal/element"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/limit"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// target picks a job in memory, and a task of it or none.
func (m *machine) target(t *rapid.T) (*jobState, uint32) {
	var ids []job.ID
	for j := range m.s.jobs.all {
		ids = append(ids, j.id)
	}
	if len(ids) == 0 {
		t.Skip("no job")
	}
	j := m.s.jobs.get(rapid.SampledFrom(ids).Draw(t, "job"))
	ti := NoTask
	if rapid.Bool().Draw(t, "a task") {
		ti = uint32(rapid.IntRange(0, len(j.tasks)-1).Draw(t, "task"))
	}
	return j, ti
}

func (m *machine) cancelSome(t *rapid.T) {
	j, ti := m.target(t)
	c := Cancel{Job: j.id, Task: ti, Kill: rapid.Bool().Draw(t, "kill"), By: "anna"}
	if ti != NoTask && rapid.Bool().Draw(t, "elements") {
		n := max(j.tasks[ti].n, 1)
		first := rapid.Int64Range(0, n-1).Draw(t, "first")
		c.Spans = []element.Span{{First: first, Last: rapid.Int64Range(first, n-1).Draw(t, "last")}}
	}
	if _, err := m.turn(c); err != nil {
		t.Fatal(err)
	}
}

func (m *machine) holdSome(t *rapid.T) {
	j, ti := m.target(t)
	if _, err := m.turn(Hold{Job: j.id, Task: ti, Held: rapid.IntRange(0, 2).Draw(t, "held") == 0}); err != nil && job.CodeOf(err) != job.Refused {
		t.Fatal(err)
	}
}

// updateSome changes where a job stands, which an older format has no place for.
func (m *machine) updateSome(t *rapid.T) {
	j, _ := m.target(t)
	c := Update{Job: j.id, By: "anna"}
	if rapid.Bool().Draw(t, "priority") {
		c.Priority = new(rapid.SampledFrom([]int32{-1000, -400, 0, 1, 500, 1000}).Draw(t, "to"))
	}
	if rapid.Bool().Draw(t, "queue") {
		c.Queue = new(rapid.SampledFrom([]string{DefaultName, "night", "night"}).Draw(t, "name"))
	}
	if rapid.Bool().Draw(t, "place") {
		c.Front = new(rapid.IntRange(0, 3).Draw(t, "front") > 0)
	}
	reply, err := m.turn(c)
	switch job.CodeOf(err) {
	case job.Refused:
	case job.NotFound:
		if c.Queue == nil || *c.Queue == DefaultName || m.s.CheckQueue(DefaultName, "night") == nil {
			t.Fatal(err)
		}
	default:
		if err != nil {
			t.Fatal(err)
		}
		m.standsAt(j, c, reply.(Standing))
	}
}

// standsAt holds where a job stands after an update against what was asked for.
func (m *machine) standsAt(j *jobState, c Update, got Standing) {
	now := Standing{j.queue.name, j.priority(), j.front}
	if got != now && !j.state.Terminal() ||
		c.Queue != nil && *c.Queue != got.Queue || c.Priority != nil && *c.Priority != got.Priority || c.Front != nil && *c.Front != (got.Front > 0) {
		m.fail("the update %+v is answered with %+v, and job %d stands at %+v", c, got, j.id, now)
	}
	if c.Front == nil || !*c.Front {
		return
	}
	for o := range m.s.jobs.all {
		if o != j && o.queue == j.queue && !o.state.Terminal() && o.front >= j.front {
			m.fail("job %d was put to the front with %d, and job %d is there with %d", j.id, j.front, o.id, o.front)
		}
	}
}

func (m *machine) pauseSome(t *rapid.T) {
	paused := rapid.IntRange(0, 2).Draw(t, "paused") == 0
	c := Command(PutQueue{Namespace: DefaultName, Name: DefaultName, Paused: new(paused)})
	if rapid.Bool().Draw(t, "namespace") {
		c = PutNamespace{Name: DefaultName, Paused: new(paused)}
	}
	if _, err := m.turn(c); err != nil {
		t.Fatal(err)
	}
}

// policySome changes a part of a policy, which an older format has no place for.
func (m *machine) policySome(t *rapid.T) {
	most := rapid.SampledFrom([]job.Limit{{}, {Running: 2}, {Resources: job.Resources{CPU: 3000}}, {Running: 3, Resources: job.Resources{CPU: 2000}}}).Draw(t, "limit")
	rate := rapid.SampledFrom([]job.Rate{{}, {}, {Count: 1, Per: job.Duration(2 * time.Second), Burst: 1}, {Count: 3, Per: job.Duration(10 * time.Second), Burst: 4}}).Draw(t, "rate")
	change := job.QueueChange{Limit: &most, Rate: &rate}
	if rapid.Bool().Draw(t, "order") {
		change.Order = new(rapid.SampledFrom([]job.Order{job.ByPriority, job.ByAge, job.ByDeadline, job.ByLength, job.ByShare}).Draw(t, "by"))
		change.Ageing = new(rapid.SampledFrom([]job.Duration{0, job.Duration(time.Minute)}).Draw(t, "ageing"))
	}
	name := rapid.SampledFrom([]string{DefaultName, DefaultName, "night"}).Draw(t, "of")
	c := Command(PutQueue{Namespace: DefaultName, Name: name, Create: m.s.CheckQueue(DefaultName, name) != nil, Change: change})
	if rapid.Bool().Draw(t, "namespace") {
		c = PutNamespace{Name: DefaultName, Change: job.NamespaceChange{Limit: &most, Pending: new(rapid.SampledFrom([]int64{0, 20}).Draw(t, "pending"))}}
	}
	if _, err := m.turn(c); err != nil && (job.CodeOf(err) != job.Refused || m.s.Format() >= FormatLimits) {
		t.Fatal(err)
	}
}

// poolSome has the workers give away more or less than they have, which an older format has no
// place for.
func (m *machine) poolSome(t *rapid.T) {
	factor := rapid.SampledFrom([]int64{0, 400, 900, 1500, 2000, 3000})
	over := job.Factors{CPU: factor.Draw(t, "cpu times"), Memory: factor.Draw(t, "memory times"), Other: job.AmountsOf(map[string]int64{"licence": factor.Draw(t, "licence times"), job.Disk: factor.Draw(t, "disk times")})}
	for _, id := range m.s.workerIDs {
		if w := m.s.workers[id]; m.s.Format() >= FormatPools && !w.used.Fits(gives(w, over)) {
			m.shrunk[w.hello.Name] = true
		}
	}
	reply, err := m.turn(PutPool{Name: DefaultName, Change: job.PoolChange{Overcommit: &over}})
	switch {
	case err != nil && (job.CodeOf(err) != job.Refused || m.s.Format() >= FormatPools):
		t.Fatal(err)
	case err != nil:
		return
	}
	var now PoolView
	for _, v := range m.s.Pools() {
		if v.Name == DefaultName {
			now = v
		}
	}
	if got := reply.(PoolView); got.Policy.Overcommit != over || now.Offers != got.Offers || now.Policy != got.Policy {
		m.fail("the over-commit %s is answered with %+v, and the pool is %+v", over, got, now)
	}
}

// releaseSome takes a slot from its holder.
func (m *machine) releaseSome(t *rapid.T) {
	var all []ReleaseSlot
	for _, k := range m.s.limits.List(DefaultName, limit.Name{}, 100) {
		for _, o := range k.Owners(100) {
			c := ReleaseSlot{Namespace: DefaultName, Key: k.Name().Key, Holder: job.Ref{Job: o.Job, Index: job.NoIndex}, By: "anna"}
			if k.Name().Each {
				c.Holder = m.s.refOf(m.s.attempts[fenceOf(o.Fence)])
			}
			all = append(all, c)
		}
	}
	if len(all) == 0 {
		t.Skip("nobody holds a key")
	}
	c := rapid.SampledFrom(all).Draw(t, "slot")
	if _, err := m.turn(c); err != nil {
		t.Fatal(err)
	}
	if _, err := m.turn(c); job.CodeOf(err) != job.NotFound {
		t.Fatalf("a slot is let go twice: %v", err)
	}
}

func (m *machine) raiseSome(t *rapid.T) {
	m.raise(m.s.Format() + rapid.Uint64Range(0, 2).Draw(t, "more"))
}

func (m *machine) raise(to uint64) {
	if _, err := m.turn(RaiseFormat{To: to, By: "anna"}); err != nil && job.CodeOf(err) != job.Refused || m.s.Format() != to {
		m.fail("format %d was raised to %d (%v)", to, m.s.Format(), err)
	}
}

func (m *machine) tickSome(t *rapid.T) {
	m.advance(rapid.SampledFrom([]int64{1, 1000, 5000, 30_000, 120_000}).Draw(t, "ms"))
}

func (m *machine) flushSome(t *rapid.T) {
	m.flush(rapid.SampledFrom([]int{0, 1, 2, 1000}).Draw(t, "rows"))
}

func (m *machine) failOverSome(t *rapid.T) {
	if rapid.IntRange(0, 3).Draw(t, "really") > 0 {
		t.Skip("not this time")
	}
	m.failOver()
	m.rejoin(t)
}

// rejoin has the workers come to a new leader.
func (m *machine) rejoin(t *rapid.T) {
	for _, name := range m.names {
		if w := m.workers[name]; w.up && m.s.workers[w.id] != nil {
			if err := m.join(w.hello); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// cutOffSome ends a batch, and with it the leader's term, in the midst of what a
// command entails.
func (m *machine) cutOffSome(t *rapid.T) {
	var c Command
	switch rapid.IntRange(0, 3).Draw(t, "kind") {
	case 0:
		j, ti := m.target(t)
		c = Cancel{Job: j.id, Task: ti, By: "anna"}
	case 1:
		w, g := m.grip(t, func(w *hand, g *grip) bool { return g.phase == link.Running || m.mayRun(w, g) })
		g.phase = link.Ended
		g.result = link.Result{Fence: g.fence, Ended: m.now, Outputs: []byte(`{"n":"3"}`)}
		if rapid.Bool().Draw(t, "fails") {
			g.result.Cause = job.Cause{Kind: job.CauseExit, Code: 3}
		}
		c = WorkerReport{Worker: w.id, Report: link.Report{Ended: []link.Result{g.result}}}
	default:
		t.Skip("not this time")
	}
	m.cutOff(c, rapid.IntRange(0, 4).Draw(t, "steps"))
	m.rejoin(t)
}

// finishAll takes away all that hinders, gives work to a worker that can do
// anything, and wants every job to end.
func (m *machine) finishAll() {
	must := func(c Command) {
		if _, err := m.turn(c); err != nil && job.CodeOf(err) != job.Refused {
			m.fail("%T: %v", c, err)
		}
	}
	must(PutNamespace{Name: DefaultName, Paused: new(false), Change: job.NamespaceChange{Limit: &job.Limit{}, Pending: new(int64(0))}})
	for _, name := range m.s.spaces[DefaultName].names {
		must(PutQueue{Namespace: DefaultName, Name: name, Paused: new(false), Change: job.QueueChange{Limit: &job.Limit{}}})
	}
	for _, j := range slices.Collect(m.s.jobs.all) {
		if id := j.id; !j.state.Terminal() {
			must(Hold{Job: id, Task: NoTask})
			for i := range j.tasks {
				must(Hold{Job: id, Task: uint32(i)})
			}
		}
	}
	for _, w := range slices.Clone(m.s.workerIDs) {
		must(WorkerSilent{Worker: w, For: 1e9})
	}
	for _, w := range m.workers {
		w.held, w.up = nil, false
	}
	ids := make([]string, 200)
	for i := range ids {
		ids[i] = fmt.Sprint(i)
	}
	for i := range 3 { // several, since an attempt may have to be alone, and a gang takes as many
		name := fmt.Sprintf("last%d", i)
		err := m.join(link.Hello{
			Protocol: link.Protocol, Name: name, Instance: name, Incarnation: 1, Slots: 50,
			Capacity: job.Resources{CPU: 1e6, Memory: 1 << 50, Other: "disk=999\ngpu=200\nlicence=999"}, Executors: []string{"process"},
			Devices: job.Devices("").Set(job.GPU, ids),
		})
		if err != nil {
			m.fail("%v", err)
		}
	}
	m.reclaim()
	for range 10_000 {
		if m.s.live == 0 {
			m.checkRecovery(m.t)
			return
		}
		if !m.runOne() {
			m.place() // a rate may hold it back, or another that had to end before
			m.close()
			if m.runOne() {
				continue
			}
			if m.s.NextTimer() == 0 {
				break
			}
			m.advance(max(m.s.NextTimer()-m.now, 0) + 1)
		}
	}
	for _, j := range slices.Collect(m.s.jobs.all) {
		if id := j.id; !j.state.Terminal() {
			m.fail("job %d never ends:\n%s%s\n%v", id, m.show(id), j.spec.canonical, m.s.Explain(id, "", m.now))
		}
	}
}

// reclaim has the workers that hold what is never lost come back without it,
// draining, so that they are given nothing else before they leave.
func (m *machine) reclaim() {
	for _, id := range slices.Clone(m.s.workerIDs) {
		w := m.s.workers[id]
		if w.held == 0 || !w.away {
			continue
		}
		if _, err := m.turn(Drain{Worker: w.hello.Name, Draining: true, By: "anna"}); err != nil {
			m.fail("%v", err)
		}
		h := w.hello
		h.Incarnation++
		reply, err := m.turn(WorkerHello{Hello: h})
		if err != nil {
			m.fail("%v", err)
		}
		if _, err := m.turn(WorkerClosed{Worker: id, Session: reply.(Welcomed).Session, Left: true}); err != nil {
			m.fail("%v", err)
		}
	}
}

// runOne ends one attempt well.
func (m *machine) runOne() bool {
	for _, name := range m.names {
		w := m.workers[name]
		for _, g := range w.held {
			if w.up && (g.phase == link.Running || m.mayRun(w, g)) {
				m.finish(w, g, link.Result{Outputs: []byte(`{"n":"2"}`)})
				return true
			}
		}
	}
	return false
}
