package forecast

import (
	"container/heap"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/plan"
	"github.com/reeve-scheduler/reeve/internal/plan/why"
)

// Job is one that is followed from task to task: its tasks in the order of its file.
type Job struct {
	ID job.ID
	// Deadline is in Unix milliseconds, 0 for none.
	Deadline int64
	// From is when the first of its tasks may start, 0 for now.
	From int64
	// After is jobs that must have ended before.
	After []job.ID
	Tasks []Task
}

// Task is a node of such a job.
type Task struct {
	Name string
	// Group is what its elements are for planning; its ID is the job's and the task's place.
	Group plan.Group
	// Others are the other ways in which its elements can be served, if there are any.
	Others []plan.Group
	// Patience is until when its elements wait for cheaper workers, in Unix milliseconds, 0 for not at all.
	Patience int64
	// Count is its elements, at least 1 even where that is not known yet; Left is those that
	// have not ended, all of them in a job that has not begun.
	Count, Left int64
	Needs       []Need
	// Throttle bounds how many elements run at a time, 0 for any number.
	Throttle int64
	// State is how it ended, if it has.
	State job.ElementState
	// Ready: its needs are met. Held: nothing more of it starts.
	Ready, Held bool
	// Again is when its element may be tried again, in Unix milliseconds, 0 for none that
	// waits for that; Backoff is how many elements of an array do, nobody knows until when.
	Again   int64
	Backoff int64
	// Waits is what it waits for outside of the job, in words.
	Waits []why.Reason
	// Blocked is what keeps a task from starting, Held as it is, that nobody knows the end of.
	Blocked []why.Reason
	// Learned: how long it runs is known from earlier ones.
	Learned bool
	// Near is the tasks, by place, that it would rather run where they did; Last is the worker on which
	// one of its elements succeeded last, 0 for none.
	Near []int
	Last uint64
}

// Need is another task that has to end before.
type Need struct {
	Task      int
	Condition job.Condition
	// Each: elements need the same elements of the other.
	Each bool
}

// graph is how a job comes along in virtual time. Everything is expected to succeed.
type graph struct {
	job   *Job
	at    []progress
	opens bool
	// downs are the tasks that need one.
	downs [][]int
	// todo is tasks to be looked at.
	todo []int
}

// progress is how a task comes along: out of its elements wait for a place or run, hidden ones
// do not wait yet, left ones have not ended.
type progress struct {
	left, out, hidden int64
	last              uint64           // where one of them succeeded last
	state             job.ElementState // how it ends
	skipped           bool             // it never runs
}

func newGraph(j *Job) *graph {
	g := &graph{job: j, at: make([]progress, len(j.Tasks)), downs: make([][]int, len(j.Tasks))}
	for i := range j.Tasks {
		t := &j.Tasks[i]
		g.at[i] = progress{left: t.Left, state: t.State, last: t.Last}
		for _, n := range t.Needs {
			g.downs[n.Task] = append(g.downs[n.Task], i)
		}
	}
	return g
}

// begin lets begin what nothing keeps, once it is known what waits and runs.
func (g *graph) begin(e *engine) {
	for i := range g.job.Tasks {
		t, p := &g.job.Tasks[i], &g.at[i]
		p.hidden = max(p.left-p.out-t.Backoff, 0)
		if t.Again > 0 {
			p.hidden, p.out = 0, 1
			heap.Push(&e.ends, end{at: max(t.Again, e.now+1), of: place{g, i}, ready: 1})
		}
		if p.left == 0 {
			continue
		}
		if p.state = g.expected(i); p.state == job.Skipped {
			p.skipped = true
		}
	}
	if g.job.From > e.now {
		heap.Push(&e.ends, end{at: g.job.From, of: place{graph: g}})
		return
	}
	g.open(e)
}

// expected is how a task ends if everything that runs succeeds.
func (g *graph) expected(i int) job.ElementState {
	t, p := &g.job.Tasks[i], &g.at[i]
	if p.state.Terminal() {
		return p.state
	}
	p.state = job.Succeeded
	for _, n := range t.Needs {
		if !t.Ready && job.Decide(n.Condition, g.expected(n.Task)) == job.Skip {
			p.state = job.Skipped
		}
	}
	return p.state
}

// open lets the job's tasks start. Of those that are ready already all waits that can, and if
// that is nothing, something else keeps them that is not known here.
func (g *graph) open(e *engine) {
	g.opens = true
	for i := range g.at {
		if !g.job.Tasks[i].Ready {
			g.todo = append(g.todo, i)
		}
	}
	g.look(e)
}

// again lets elements wait that were out without doing so.
func (g *graph) again(e *engine, task int, n int64) { g.ready(e, task, n) }

// ready lets elements of a task wait, in each of the ways in which they can be served.
func (g *graph) ready(e *engine, task int, n int64) {
	t, near := &g.job.Tasks[task], g.near(task)
	for _, other := range t.Others {
		other.Near = near
		e.way(other)
	}
	of := t.Group
	of.Near = near
	e.ready(of, n)
}

// near is the workers on which those ran by now that a task is near.
func (g *graph) near(task int) string {
	var workers []uint64
	for _, u := range g.job.Tasks[task].Near {
		if w := g.at[u].last; w != 0 {
			workers = append(workers, w)
		}
	}
	return plan.NearOf(workers...)
}

// ended notes that an element has ended on a worker, and lets start what that makes ready. What
// waits already is near what it was near then.
func (g *graph) ended(e *engine, task int, worker uint64) {
	p := &g.at[task]
	p.left, p.out, p.last = max(p.left-1, 0), max(p.out-1, 0), worker
	g.todo = append(append(g.todo, task), g.downs[task]...)
	g.look(e)
}

// look goes through the tasks that are to be looked at.
func (g *graph) look(e *engine) {
	for len(g.todo) > 0 {
		i := g.todo[len(g.todo)-1]
		g.todo = g.todo[:len(g.todo)-1]
		t, p := &g.job.Tasks[i], &g.at[i]
		n := g.free(i)
		switch {
		case n <= 0:
		case p.skipped:
			p.left, p.hidden = 0, 0
			g.todo = append(g.todo, g.downs[i]...)
		default:
			p.hidden -= n
			p.out += n
			g.ready(e, i, n/together(&t.Group))
		}
	}
}

// free is how many more elements of a task may wait for a place.
func (g *graph) free(i int) int64 {
	t, p := &g.job.Tasks[i], &g.at[i]
	n := p.hidden
	if !g.opens || t.Held {
		return 0
	}
	for _, need := range t.Needs {
		u := &g.at[need.Task]
		switch {
		case u.left == 0 || t.Ready && !need.Each:
		case !need.Each:
			return 0
		default:
			shown := t.Count - p.hidden
			n = min(n, g.job.Tasks[need.Task].Count-u.left-shown)
		}
	}
	if t.Throttle > 0 && !p.skipped {
		n = min(n, t.Throttle-p.out)
	}
	return n
}

// over reports whether everything has ended.
func (g *graph) over() bool {
	for i := range g.at {
		if g.at[i].left > 0 {
			return false
		}
	}
	return true
}
