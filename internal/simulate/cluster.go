package simulate

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/reeve-scheduler/reeve/internal/classic"
	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/jobfile"
	"github.com/reeve-scheduler/reeve/internal/jobfile/canon"
	"github.com/reeve-scheduler/reeve/internal/link"
	"github.com/reeve-scheduler/reeve/internal/outcome"
	"github.com/reeve-scheduler/reeve/internal/workload"
)

// Worker is workers of a fleet that are alike.
type Worker struct {
	Name string
	// N is how many there are.
	N        int
	Capacity job.Resources
	// Slots is how many attempts each runs at the same time.
	Slots  int
	Labels map[string]string
}

// Processors is a fleet of one worker with a number of processors and all the memory
// that anybody asks for.
func Processors(procs int64) []Worker {
	return []Worker{{Name: "machine", N: 1, Capacity: job.Resources{CPU: procs * 1000, Memory: 1 << 60}, Slots: int(min(procs, link.MaxSlots))}}
}

// Total is how many processors a fleet has, in thousandths.
func Total(fleet []Worker) (milli int64) {
	for _, w := range fleet {
		milli += w.Capacity.CPU * int64(w.N)
	}
	return milli
}

// Cluster runs a workload by the scheduler itself: the core decides each submit, each
// placement and each end as it does in a server, in virtual time. What can't run on any
// worker of the fleet never starts.
//
// All queues are served as served says. With a policy the placements are proposed by that, on a
// fleet of one worker; the core checks them as it checks the plan's.
func Cluster(t *workload.Trace, fleet []Worker, served job.QueueChange, policy *classic.Policy) (*outcome.Run, error) {
	c := &cluster{
		trace: t, base: cmp.Or(t.Start, firstDay), s: core.New(core.Config{Lease: lease, Retention: lease}),
		run: &outcome.Run{Jobs: t.Jobs, Start: make([]int64, len(t.Jobs)), End: make([]int64, len(t.Jobs)), Capacity: Total(fleet) / 1000},
	}
	for i := range c.run.Start {
		c.run.Start[i] = outcome.Never
	}
	if len(t.Jobs) > 0 {
		c.now = t.Jobs[0].Submit
	}
	if err := c.begin(fleet, served); err != nil {
		return nil, err
	}
	if policy != nil {
		if len(c.workers) != 1 {
			return nil, fmt.Errorf("policy %s is for one worker; the fleet has %d", policy.Name, len(c.workers))
		}
		if policy.Events == classic.Pyss {
			return nil, errors.New("events=pyss lets jobs start just before those have ended that they follow, which the core refuses")
		}
		c.by = &proposer{s: classic.New(*policy, Total(fleet)/1000, t.Jobs), worker: c.workers[0].id, base: c.base}
		c.each = policy.Events == classic.Each
	}
	for c.next < len(t.Jobs) || len(c.ends) > 0 {
		if err := c.turn(); err != nil {
			return nil, err
		}
	}
	return c.run, nil
}

const (
	// firstDay is when a workload begins that does not say when, in Unix milliseconds.
	firstDay = 24 * 3600_000
	lease    = 60_000
	// placeMost is the placements of one decision, as at a leader.
	placeMost = 1000
	// flushEvery is after how many changed jobs those that have ended leave memory.
	flushEvery = 10_000
	// template is the job file of a job, but for its amounts.
	template = "command: [simulated]\nretry: {max_attempts: 1}"
)

type cluster struct {
	trace *workload.Trace
	run   *outcome.Run
	// base is added to the trace's time for the core's, now is the trace's.
	base, now int64
	s         *core.State
	seq       uint64
	first     job.ID // the first job's
	template  *job.Spec
	workers   []*hand
	by        *proposer
	each      bool

	next    int
	ends    ends
	running []attempt // by their number in ends
	free    []int32
	ended   []job.ID
}

// hand is a worker as the runner has it.
type hand struct {
	id, session uint64
	ended       []link.Result
	started     []link.Started
}

// attempt is what runs.
type attempt struct {
	fence link.Fence
	job   int32
	hand  int32
}

// begin makes the cluster and its queues, and lets its workers greet.
func (c *cluster) begin(fleet []Worker, served job.QueueChange) error {
	file, err := jobfile.Parse("", []byte(template))
	if err != nil {
		return err
	}
	c.template = file.Spec
	for _, e := range c.s.Begin(c.clock(), 1, 1) {
		c.s.Apply(e)
	}
	if _, err := c.do(core.RaiseFormat{To: core.FormatLearns, By: "the simulation"}); err != nil {
		return err
	}
	for _, w := range fleet {
		for k := range w.N {
			name := w.Name
			if w.N > 1 {
				name = fmt.Sprintf("%s-%d", w.Name, k+1)
			}
			reply, err := c.do(core.WorkerHello{Hello: link.Hello{
				Protocol: link.Protocol, Name: name, Instance: name, Incarnation: 1, Capacity: w.Capacity, Slots: w.Slots,
				Labels: w.Labels, Executors: []string{"process"},
			}})
			if err != nil {
				return err
			}
			welcome := reply.(core.Welcomed)
			c.workers = append(c.workers, &hand{id: welcome.Worker, session: welcome.Session})
		}
	}
	if served != (job.QueueChange{}) {
		if _, err := c.do(core.PutQueue{Namespace: core.DefaultName, Name: core.DefaultName, Change: served}); err != nil {
			return err
		}
	}
	var queues []string
	for i := range c.trace.Jobs {
		if q := queueOf(&c.trace.Jobs[i]); q != "" && q != core.DefaultName && !slices.Contains(queues, q) {
			queues = append(queues, q)
			if _, err := c.do(core.PutQueue{Namespace: core.DefaultName, Name: q, Create: true, Change: served}); err != nil {
				return err
			}
		}
	}
	c.batch()
	return nil
}

func (c *cluster) clock() int64 { return c.base + c.now }

// turn lets the next things happen, and places what can be placed.
func (c *cluster) turn() error {
	at := int64(-1)
	if c.next < len(c.trace.Jobs) {
		at = c.trace.Jobs[c.next].Submit
	}
	if len(c.ends) > 0 && (at < 0 || c.ends[0].at < at) {
		at = c.ends[0].at
	}
	if due := c.s.NextTimer(); due != 0 && due-c.base < at {
		at = max(due-c.base, c.now)
	}
	c.now = at
	if c.s.Due(c.clock()) {
		if _, err := c.do(core.Tick{}); err != nil {
			return err
		}
	}
	if err := c.happen(); err != nil {
		return err
	}
	if err := c.place(); err != nil {
		return err
	}
	c.batch()
	return nil
}

// happen lets things happen that are to happen now: all of them, what ends first, or
// one, what comes first.
func (c *cluster) happen() error {
	comes := func() bool { return c.next < len(c.trace.Jobs) && c.trace.Jobs[c.next].Submit == c.now }
	if c.each && comes() {
		return c.submit()
	}
	for len(c.ends) > 0 && c.ends[0].at == c.now {
		c.end(c.ends.pop())
		if c.each {
			return c.report()
		}
	}
	if err := c.report(); err != nil {
		return err
	}
	for comes() {
		if err := c.submit(); err != nil {
			return err
		}
	}
	return nil
}

// do decides a command and applies all that follows from it.
func (c *cluster) do(command core.Command) (any, error) {
	d, err := c.s.Decide(core.Input{Now: c.clock(), Seed: c.seq}, command)
	if err != nil {
		return nil, err
	}
	reply := d.Reply
	for more := true; more; d, more = c.s.Follow(c.clock()) {
		for _, e := range d.Events {
			c.s.Apply(e)
		}
	}
	return reply, nil
}

// batch ends a batch, and lets what has ended leave memory, as if it were in tables.
func (c *cluster) batch() {
	c.seq++
	c.s.Batch(c.seq)
	if c.s.Dirty() < flushEvery {
		return
	}
	c.ended = c.ended[:0]
	c.s.BeginFlush(sink{c})
	for !c.s.Encode(flushEvery) {
	}
	c.s.Flushed(c.clock(), c.ended)
	for range flushEvery / 1000 {
		c.s.Evict(c.clock())
	}
}

// submit submits the next job.
func (c *cluster) submit() error {
	j := &c.trace.Jobs[c.next]
	spec := c.specOf(j)
	canonical, hash, err := canon.Write(spec)
	if err != nil {
		return err
	}
	reply, err := c.do(core.Submit{
		Namespace: core.DefaultName, Spec: spec, Hash: hash, Canonical: canonical, By: cmp.Or(j.User, "unknown"),
		Items: []core.Item{{Params: []byte("{}")}}, ReadSeq: c.s.Seq(),
	})
	if err != nil {
		return fmt.Errorf("job %d: %w", j.Number, err)
	}
	if c.next == 0 {
		c.first = reply.([]core.Submitted)[0].ID
	}
	if c.by != nil {
		c.by.first = c.first
		c.by.s.Arrive(c.next, c.now)
	}
	c.next++
	return nil
}

// specOf is what a user would have submitted: a template, with the job's own amounts.
func (c *cluster) specOf(j *workload.Job) *job.Spec {
	s, t := *c.template, c.template.Tasks[0]
	t.Resources = job.Resources{CPU: j.Milli(), Memory: j.Memory}
	t.Where = j.Where
	t.Timeout = job.Duration(j.Request) * job.Duration(time.Millisecond)
	s.Tasks = []job.Task{t}
	s.Queue, s.Priority = queueOf(j), j.Priority
	switch s.Name = j.Name; {
	case j.Name == "" && j.User == "": // nothing tells it from others: it teaches nothing
	case job.CheckName(s.Name) != nil:
		s.Name = "app-" + cmp.Or(j.Name, "0")
	}
	if j.Deadline > 0 {
		s.Deadline = &job.Moment{At: time.UnixMilli(c.base + j.Deadline).UTC()}
	}
	return &s
}

// queueOf is the queue that a job is submitted to: its own, if that is a name.
func queueOf(j *workload.Job) string {
	if job.CheckName(j.Queue) != nil {
		return ""
	}
	return j.Queue
}

// place gives out what can be given out, and lets it start.
func (c *cluster) place() error {
	for {
		var d core.Decision
		if c.by == nil {
			d = c.s.Place(c.clock(), placeMost)
		} else {
			d = c.s.PlaceBy(c.clock(), placeMost, c.by, c.by.applied)
		}
		if len(d.Events) == 0 && !d.More {
			return c.report()
		}
		for _, e := range d.Events {
			if a, ok := e.(core.AttemptAssigned); ok {
				c.begun(a)
			}
		}
	}
}

// begun notes an attempt that was assigned: it starts at once.
func (c *cluster) begun(a core.AttemptAssigned) {
	i := int32(a.Job - c.first)
	h := int32(a.Worker - c.workers[0].id)
	n := int32(len(c.running))
	if k := len(c.free); k > 0 {
		n, c.free = c.free[k-1], c.free[:k-1]
		c.running[n] = attempt{a.Fence, i, h}
	} else {
		c.running = append(c.running, attempt{a.Fence, i, h})
	}
	c.run.Start[i] = c.now
	c.run.End[i] = c.now + c.trace.Jobs[i].Run
	c.ends.push(end{at: c.run.End[i], nth: int32(a.Fence), job: n})
	w := c.workers[h]
	w.started = append(w.started, link.Started{Fence: a.Fence, At: c.clock()})
}

// end notes an attempt whose time is over.
func (c *cluster) end(e end) {
	a := c.running[e.job]
	c.free = append(c.free, e.job)
	w := c.workers[a.hand]
	w.ended = append(w.ended, link.Result{Fence: a.fence, Started: c.base + c.run.Start[a.job], Ended: c.clock()})
	if c.by != nil {
		c.by.s.End(int(a.job), c.now)
	}
}

// report sends what workers have to say.
func (c *cluster) report() error {
	for _, w := range c.workers {
		if len(w.started)+len(w.ended) == 0 {
			continue
		}
		_, err := c.do(core.WorkerReport{Worker: w.id, Session: w.session, Report: link.Report{Started: w.started, Ended: w.ended}})
		if err != nil {
			return err
		}
		w.started, w.ended = w.started[:0], w.ended[:0]
	}
	return nil
}
