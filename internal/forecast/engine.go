package forecast

import (
	"container/heap"

	"github.com/reeve-scheduler/reeve/internal/plan"
)

// engine lets a plan of its own decide, moment by moment, at which something ends.
type engine struct {
	x      *plan.Index
	now    int64
	steps  int
	groups map[plan.GroupID]*plan.Ready
	ends   ends
	course *Course
	graph  *graph // nil, or a job that is asked about
}

// end is the expected end of an attempt.
type end struct {
	at    int64
	order int // of attempts that end at one moment
	run   *plan.Run
	// task is the place in the graph whose element ends, -1 for none.
	task int
}

func (c *Cluster) engine() *engine {
	e := &engine{
		x: plan.New(), now: c.Now, groups: make(map[plan.GroupID]*plan.Ready, len(c.Waiting)),
		course: &Course{Now: c.Now, Starts: make(map[plan.GroupID]Start, len(c.Waiting))},
	}
	for _, n := range c.Namespaces {
		e.x.SetNamespace(n.Name, n.Policy)
		e.x.SetPaused(n.Name, "", n.Paused)
	}
	for _, q := range c.Queues {
		e.x.SetQueue(q.Namespace, q.Name, q.Policy)
		e.x.SetPaused(q.Namespace, q.Name, q.Paused)
	}
	for _, w := range c.Workers {
		e.x.SetWorker(w)
	}
	for _, r := range c.Runs {
		e.run(r.Attempt, e.x.Take(r.Worker, r.Attempt), -1)
	}
	for _, w := range c.Waiting {
		e.wait(w)
	}
	return e
}

func (e *engine) wait(w plan.Ready) {
	// What is sent ahead starts when a worker says so, which nobody knows better than this.
	w.Group.NoPrefetch = true
	e.groups[w.Group.ID] = &w
	e.x.SetGroup(w.Group, w.N)
}

// run notes when an attempt ends.
func (e *engine) run(a plan.Attempt, r *plan.Run, task int) {
	at := a.Ends
	if at <= e.now {
		at = a.Limit
	}
	if at <= e.now {
		e.course.Endless++
		return
	}
	heap.Push(&e.ends, end{at, e.steps, r, task})
}

// settle starts all that can start at this moment.
func (e *engine) settle() {
	for e.steps < MaxSteps {
		p, ok := e.x.Next(e.now)
		if !ok {
			return
		}
		e.steps++
		e.start(p)
	}
}

func (e *engine) start(p plan.Placement) {
	w := e.groups[p.Group]
	g := &w.Group
	a := plan.Attempt{Shape: g.Shape, Namespace: g.Namespace, Queue: g.Queue, User: g.User, Alone: p.Group.Alone}
	if g.Length > 0 {
		a.Ends, a.Limit = e.now+g.Length, e.now+g.Length
	}
	r := e.x.Take(p.Worker, a)
	w.N--
	e.x.SetReady(p.Group, w.N)
	s := e.course.Starts[p.Group]
	if s.Started == 0 {
		s.First, s.Worker = e.now, p.Worker
	}
	s.Started++
	s.Last, s.Ends = e.now, a.Ends
	e.course.Starts[p.Group] = s
	e.run(a, r, e.graph.started(p.Group, e.now, p.Worker, a.Ends))
}

// follow goes from end to end.
func (e *engine) follow() {
	until := e.now + MaxAhead
	for len(e.ends) > 0 && e.steps < MaxSteps && e.ends[0].at <= until {
		e.now = e.ends[0].at
		for len(e.ends) > 0 && e.ends[0].at == e.now {
			next, _ := heap.Pop(&e.ends).(end)
			e.x.Give(next.run)
			e.ended(next.task)
		}
		e.settle()
	}
	e.course.Whole = e.steps < MaxSteps && len(e.ends) == 0
}

// ended makes ready what an element of the graph was waited for.
func (e *engine) ended(task int) {
	if task < 0 {
		return
	}
	for _, w := range e.graph.ended(task) {
		e.wait(w)
	}
}

// ends is a heap by moment.
type ends []end

func (h ends) Len() int { return len(h) }
func (h ends) Less(i, j int) bool {
	if h[i].at != h[j].at {
		return h[i].at < h[j].at
	}
	return h[i].order < h[j].order
}
func (h ends) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push is for container/heap.
func (h *ends) Push(v any) {
	if e, ok := v.(end); ok {
		*h = append(*h, e)
	}
}

// Pop is for container/heap.
func (h *ends) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}
