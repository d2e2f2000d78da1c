package forecast

import (
	"container/heap"
	"slices"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/limit"
	"github.com/reeve-scheduler/reeve/internal/plan"
)

// engine lets a plan of its own decide, moment by moment, at which something ends.
type engine struct {
	x     *plan.Index
	now   int64
	steps int
	stop  func() bool
	cut   bool // stop has said so
	// groups is what waits, by the first of the ways in which it can be served, and ways the others.
	groups map[plan.GroupID]*plan.Ready
	ways   map[plan.GroupID][]plan.Group
	// patience is until when what is patient waits for cheaper workers.
	patience map[plan.GroupID]int64
	ends     ends
	course   *Course
	// started is the groups of which something has.
	started []plan.GroupID
	graphs  map[job.ID]*graph
	// tagged are attempts that may have to make room, by the plan's name for them.
	tagged map[uint64]*attempt
	// rated are the queues that have a rate.
	rated []*rated
}

// rated is a queue of which so many may start in a while.
type rated struct {
	*Queue
	meter limit.Meter
}

// attempt is one that runs.
type attempt struct {
	run    *plan.Run
	worker uint64
	id     plan.GroupID
	of     place
	over   bool
}

// end is a moment at which something changes: an attempt ends, or elements become ready.
type end struct {
	at      int64
	order   int // of those at one moment
	attempt *attempt
	of      place
	// ready is how many elements become ready, if nothing ends, and opens the queue that does
	// then; over: a reservation is. lapses has no more patience.
	ready  int64
	opens  *rated
	over   bool
	lapses plan.GroupID
}

const (
	// virtual marks the tags of attempts that run in a forecast alone.
	virtual = 1 << 63
	// leaves is how long an attempt takes that is asked to make room, in milliseconds: it may
	// be less, and at most its grace.
	leaves = 1000
)

// place is a task of a job that is followed; without a graph it is none.
type place struct {
	graph *graph
	task  int
}

// engine makes a plan of the copy. What was sent ahead is the worker's, or waits: then it is
// known when it starts.
func (c *Cluster) engine(aheadWaits bool) *engine {
	e := &engine{
		x: plan.New(), now: c.Now, groups: make(map[plan.GroupID]*plan.Ready, len(c.Waiting)), graphs: make(map[job.ID]*graph, len(c.Jobs)),
		ways: map[plan.GroupID][]plan.Group{}, patience: make(map[plan.GroupID]int64, len(c.Patience)),
		tagged: map[uint64]*attempt{},
		course: &Course{Now: c.Now, Starts: make(map[plan.GroupID]Start, len(c.Waiting)), Jobs: make(map[job.ID]JobCourse, len(c.Waiting))},
	}
	for _, n := range c.Namespaces {
		e.x.SetNamespace(n.Name, n.Policy)
		e.x.SetPaused(n.Name, "", n.Paused)
	}
	for i := range c.Queues {
		q := &c.Queues[i]
		e.x.SetQueue(q.Namespace, q.Name, q.Policy)
		e.x.SetPaused(q.Namespace, q.Name, q.Paused)
		if q.Policy.Rate.Count > 0 {
			r := &rated{q, q.Meter}
			e.rated = append(e.rated, r)
			e.close(r)
		}
	}
	e.setWorkers(c)
	for _, p := range c.Pasts {
		e.x.Remember(p)
	}
	for _, p := range c.Patience {
		e.patience[first(p.Of)] = p.Until
	}
	for i := range c.Jobs {
		e.follows(&c.Jobs[i])
	}
	for _, r := range c.Runs {
		switch {
		case !r.Attempt.Prefetch:
			e.run(r.Attempt, &attempt{run: e.x.Take(r.Worker, r.Attempt, 0), worker: r.Worker, id: r.Of, of: e.began(r.Of, 1)})
		case !aheadWaits:
			e.began(r.Of, 1)
			e.x.Take(r.Worker, r.Attempt, 0)
		}
	}
	if aheadWaits {
		for _, w := range c.Ahead {
			e.wait(w)
		}
	}
	behind := map[plan.GroupID]bool{}
	if aheadWaits { // who looks at now alone knows as much of keys as the leader
		for _, id := range c.Behind {
			behind[id] = true
		}
	}
	for _, w := range c.Waiting {
		if !behind[w.Group.ID] && w.Group.ID.Way == 0 {
			e.wait(w)
		}
	}
	for _, w := range c.Waiting {
		if of := first(w.Group.ID); of != w.Group.ID && e.groups[of] != nil {
			e.way(w.Group)
		}
	}
	for i := range c.Jobs {
		e.graphs[c.Jobs[i].ID].begin(e)
	}
	return e
}

// setWorkers tells the plan of the workers. When what they are reserved for is over, more may start.
func (e *engine) setWorkers(c *Cluster) {
	seen := map[int64]bool{}
	for _, w := range c.Workers {
		e.x.SetWorker(w)
		for i := range w.Reserved {
			if at := w.Reserved[i].Until; at > e.now && at <= e.now+MaxAhead && !seen[at] {
				seen[at] = true
				heap.Push(&e.ends, end{at: at, over: true})
			}
		}
	}
}

// follows lets a job be followed from task to task.
func (e *engine) follows(j *Job) {
	e.graphs[j.ID] = newGraph(j)
	for i := range j.Tasks {
		if t := &j.Tasks[i]; t.Patience > 0 {
			e.patience[t.Group.ID] = t.Patience
		}
	}
}

// began notes that elements of a group wait or run, and returns its place.
func (e *engine) began(id plan.GroupID, n int64) place {
	p := e.placeOf(id)
	if p.graph != nil {
		p.graph.at[p.task].out += n
	}
	return p
}

func (e *engine) placeOf(id plan.GroupID) place {
	if g := e.graphs[id.Job]; g != nil && int(id.Task) < len(g.at) {
		return place{g, int(id.Task)}
	}
	return place{}
}

// wait is what waits at the beginning.
func (e *engine) wait(w plan.Ready) {
	e.began(w.Group.ID, w.N*together(&w.Group))
	e.ready(w.Group, w.N)
}

// together is how many elements of a task start by one placement: those of a gang do all.
func together(g *plan.Group) int64 { return int64(max(g.Nodes, 1)) }

// ready lets elements of a group wait.
func (e *engine) ready(g plan.Group, n int64) {
	w := e.groups[g.ID]
	if w == nil {
		// What is sent ahead starts when a worker says so, which nobody knows better than this.
		g.NoPrefetch = true
		if until := e.patience[g.ID]; g.Patient && until > e.now {
			heap.Push(&e.ends, end{at: until, order: e.steps, lapses: g.ID})
		} else {
			g.Patient = false
		}
		w = &plan.Ready{Group: g}
		e.groups[g.ID] = w
	}
	w.Group.Near = g.Near // it may be near other workers than those that wait already
	w.N += n
	e.tell(w)
}

// first is what elements are called whichever way they are served.
func first(id plan.GroupID) plan.GroupID {
	id.Way = 0
	return id
}

// way notes another way in which elements can be served that wait or will.
func (e *engine) way(g plan.Group) {
	of := first(g.ID)
	if at := slices.IndexFunc(e.ways[of], func(o plan.Group) bool { return o.ID == g.ID }); at >= 0 {
		e.ways[of][at].Near = g.Near
		return
	}
	g.NoPrefetch, g.Patient = true, g.Patient && e.patience[of] > e.now
	e.ways[of] = append(e.ways[of], g)
	if w := e.groups[of]; w != nil {
		e.x.SetGroup(g, w.N)
	}
}

// tell tells the plan how many elements of a group wait.
func (e *engine) tell(w *plan.Ready) {
	e.x.SetGroup(w.Group, w.N)
	for _, g := range e.ways[w.Group.ID] {
		e.x.SetGroup(g, w.N)
	}
}

// lapse ends the patience of what waits for cheaper workers.
func (e *engine) lapse(id plan.GroupID) {
	for i := range e.ways[id] {
		e.ways[id][i].Patient = false
	}
	w := e.groups[id]
	w.Group.Patient = false
	e.tell(w)
}

// chosen is the way in which a placement serves elements.
func (e *engine) chosen(w *plan.Ready, id plan.GroupID) *plan.Group {
	for i := range e.ways[w.Group.ID] {
		if g := &e.ways[w.Group.ID][i]; g.ID == id {
			return g
		}
	}
	return &w.Group
}

// run notes when an attempt ends.
func (e *engine) run(a plan.Attempt, of *attempt) {
	at := a.Ends
	if at <= e.now {
		at = a.Limit
	}
	c := e.course.Jobs[of.id.Job]
	if at <= e.now {
		c.Open = true
	} else if at >= c.End {
		c.End, c.Task = at, of.id.Task
	}
	e.course.Jobs[of.id.Job] = c
	e.tagged[a.Tag] = of
	switch {
	case at > e.now:
		heap.Push(&e.ends, end{at: at, order: e.steps, attempt: of})
	case e.steps > 0:
		e.course.Further++
	default:
		e.course.Endless++
	}
}

// on reports whether the bounds let it go on.
func (e *engine) on() bool {
	const often = 64
	if e.stop != nil && !e.cut && e.steps%often == 0 {
		e.cut = e.stop()
	}
	return e.steps < MaxSteps && !e.cut
}

// settle starts all that can start at this moment.
func (e *engine) settle() {
	const mostAged = 64 // users whose turn comes nearer
	e.x.Age(e.now, mostAged)
	for e.on() {
		p, ok := e.x.Next(e.now)
		if !ok {
			e.makeRoom()
			return
		}
		e.steps++
		e.start(p)
	}
}

// close keeps a queue from starting more until its rate allows it.
func (e *engine) close(r *rated) {
	if next := r.meter.Next(r.Policy.Rate, e.now); next > e.now {
		e.x.SetClosed(r.Namespace, r.Name, true)
		heap.Push(&e.ends, end{at: next, order: e.steps, opens: r})
	}
}

// makeRoom asks attempts to end for what comes first. That they run again is not followed.
func (e *engine) makeRoom() {
	for e.on() {
		p, ok := e.x.Evict(e.now)
		if !ok {
			return
		}
		e.steps++
		for _, tag := range p.Tags {
			a := e.tagged[tag]
			if a == nil {
				continue
			}
			e.x.Leave(a.run, leaves)
			heap.Push(&e.ends, end{at: e.now + leaves, order: e.steps, attempt: a})
			e.course.Evicted = append(e.course.Evicted, Eviction{Of: a.id.Job, For: p.Group.Job})
			e.open(a.id.Job)
		}
	}
}

// open notes that nobody knows all of a job.
func (e *engine) open(id job.ID) {
	c := e.course.Jobs[id]
	c.Open = true
	e.course.Jobs[id] = c
}

func (e *engine) start(p plan.Placement) {
	w := e.groups[first(p.Group)]
	g := e.chosen(w, p.Group)
	p.Group = first(p.Group)
	a := plan.Attempt{
		Shape: g.Shape, Namespace: g.Namespace, Queue: g.Queue, User: g.User, Alone: p.Group.Alone, Apart: g.Apart, Spread: g.Spread, Job: p.Group.Job,
		Tier: g.Tier, Nodes: g.Nodes, Began: e.now,
	}
	if g.Length > 0 {
		a.Ends, a.Limit = e.now+g.Length, e.now+g.Length
	}
	var runs []*attempt
	for i, worker := range p.All() {
		if i > 0 {
			e.steps++
		}
		a.Tag = virtual | uint64(e.steps)
		runs = append(runs, &attempt{run: e.x.Take(worker, a, e.now), worker: worker, id: p.Group, of: e.placeOf(p.Group)})
	}
	w.N--
	e.tell(w)
	for _, q := range e.rated {
		if q.Name == g.Queue && q.Namespace == g.Namespace {
			q.meter = q.meter.Take(q.Policy.Rate, e.now)
			e.close(q)
		}
	}
	s := e.course.Starts[p.Group]
	if s.Started == 0 {
		s.First, s.Worker = e.now, p.Worker
		e.started = append(e.started, p.Group)
	}
	s.Started += together(g)
	s.Last, s.Ends = e.now, a.Ends
	e.course.Starts[p.Group] = s
	c := e.course.Jobs[p.Group.Job]
	if c.Start == 0 {
		c.Start = e.now
	}
	if e.now >= c.End {
		c.End, c.Task = e.now, p.Group.Task
	}
	e.course.Jobs[p.Group.Job] = c
	for _, r := range runs {
		e.run(r.run.Attempt(), r)
	}
}

// follow goes from moment to moment.
func (e *engine) follow() {
	until := e.course.Now + MaxAhead
	for len(e.ends) > 0 && e.ends[0].at <= until && e.on() {
		e.now = e.ends[0].at
		for len(e.ends) > 0 && e.ends[0].at == e.now {
			next, _ := heap.Pop(&e.ends).(end)
			e.comes(&next)
		}
		e.settle()
	}
}

// comes carries out what happens at a moment.
func (e *engine) comes(next *end) {
	g := next.of.graph
	switch a := next.attempt; {
	case next.lapses != (plan.GroupID{}):
		e.lapse(next.lapses)
	case next.over || a != nil && a.over:
	case a != nil:
		a.over = true
		e.x.Give(a.run, e.now)
		if a.of.graph != nil {
			a.of.graph.ended(e, a.of.task, a.worker)
		}
	case next.opens != nil:
		e.x.SetClosed(next.opens.Namespace, next.opens.Name, false)
	case next.ready > 0:
		g.again(e, next.of.task, next.ready)
	default:
		g.open(e)
	}
}

// finish is the course, once it was followed as far as it goes.
func (e *engine) finish(c *Cluster) *Course {
	out := e.course
	switch {
	case e.cut:
		out.Extent = TooLong
	case e.steps >= MaxSteps:
		out.Extent = TooMany
	case len(e.ends) > 0:
		out.Extent = TooFar
	}
	for _, list := range [][]plan.Ready{c.Waiting, c.Ahead} {
		for _, w := range list {
			if g := e.groups[first(w.Group.ID)]; g == nil || g.N > 0 {
				e.open(w.Group.ID.Job)
			}
		}
	}
	for _, id := range e.started {
		s := out.Starts[id]
		s.Left = e.left(id)
		out.Starts[id] = s
	}
	for i := range c.Jobs {
		j := &c.Jobs[i]
		if !e.graphs[j.ID].over() {
			e.open(j.ID)
		}
		if is := out.Jobs[j.ID]; j.Deadline > 0 && is.End > j.Deadline {
			out.Late = append(out.Late, Late{Job: j.ID, Deadline: j.Deadline, At: is.End, AtLeast: is.Open || c.More, Task: j.Tasks[is.Task].Name})
		}
	}
	return out
}

// left is how many elements of a group have not started, those of its task that do not wait yet among them.
func (e *engine) left(id plan.GroupID) (n int64) {
	if w := e.groups[id]; w != nil {
		n = w.N * together(&w.Group)
	}
	if p := e.placeOf(id); p.graph != nil {
		n += p.graph.at[p.task].hidden + p.graph.job.Tasks[p.task].Backoff
	}
	return n
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
