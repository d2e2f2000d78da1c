package forecast

import (
	"cmp"
	"slices"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/plan"
)

// Job is one that has not been submitted: its tasks in the order of its file.
type Job struct {
	ID    job.ID
	Tasks []Task
}

// Task is a node of a job that is asked about.
type Task struct {
	Name string
	// Group is what its elements are for planning; its ID is the job's and the task's place.
	Group plan.Group
	// Count is its elements, at least 1 even where that is not known yet.
	Count int64
	// Needs is the places of the tasks that must have ended before.
	Needs []int
}

// TaskCourse is what would happen to a task. Times are Unix milliseconds, 0 for unknown.
type TaskCourse struct {
	Name string
	// Started is how many of Count elements start within the forecast.
	Started, Count int64
	First, Last    int64
	// Ends is when the last element would end.
	Ends int64
	// Worker is where the first element would start, by id.
	Worker uint64
}

// Delay is what a waiting group would lose by a job.
type Delay struct {
	Group plan.GroupID
	// From is its expected start without the job, To with it, 0 for later than is known.
	From, To int64
}

// Effect is what would happen if a job were submitted now.
type Effect struct {
	Tasks []TaskCourse
	// Delays is the groups that would start later, the most delayed first, at most
	// MaxDelays of them; Delayed is how many there are.
	Delays  []Delay
	Delayed int
	// Endless is how many attempts run, or would, of which nobody knows the end.
	Endless int
}

// MaxDelays bounds the delayed groups that an effect names.
const MaxDelays = 20

// WhatIf says what would happen if a job were submitted now, beside what would happen
// otherwise.
func (c *Cluster) WhatIf(j *Job, otherwise *Course) *Effect {
	e := c.engine()
	e.graph = newGraph(j)
	for i := range j.Tasks {
		if len(j.Tasks[i].Needs) == 0 {
			e.wait(plan.Ready{Group: j.Tasks[i].Group, N: j.Tasks[i].Count})
		}
	}
	e.settle()
	e.follow()
	out := &Effect{Tasks: e.graph.tasks, Endless: e.course.Endless}
	out.Delays = delays(c, otherwise, e.course)
	out.Delayed = len(out.Delays)
	out.Delays = out.Delays[:min(len(out.Delays), MaxDelays)]
	return out
}

// delays compares two courses of what waits.
func delays(c *Cluster, before, after *Course) []Delay {
	var out []Delay
	for _, w := range c.Waiting {
		was, is := before.Starts[w.Group.ID], after.Starts[w.Group.ID]
		if was.Started > 0 && (is.Started == 0 || is.First > was.First) {
			d := Delay{Group: w.Group.ID, From: was.First}
			if is.Started > 0 {
				d.To = is.First
			}
			out = append(out, d)
		}
	}
	slices.SortStableFunc(out, func(a, b Delay) int { return cmp.Compare(b.lost(), a.lost()) })
	return out
}

func (d Delay) lost() int64 {
	if d.To == 0 {
		return MaxAhead
	}
	return d.To - d.From
}

// graph follows the tasks of a job.
type graph struct {
	job   *Job
	tasks []TaskCourse
	left  []int64 // elements that have not ended
	waits []int   // needs that have not ended
}

func newGraph(j *Job) *graph {
	g := &graph{job: j, tasks: make([]TaskCourse, len(j.Tasks)), left: make([]int64, len(j.Tasks)), waits: make([]int, len(j.Tasks))}
	for i := range j.Tasks {
		t := &j.Tasks[i]
		g.tasks[i] = TaskCourse{Name: t.Name, Count: t.Count}
		g.left[i], g.waits[i] = t.Count, len(t.Needs)
	}
	return g
}

// started notes that an element started, and returns the place of its task, -1 for none.
func (g *graph) started(id plan.GroupID, now int64, worker uint64, ends int64) int {
	if g == nil || id.Job != g.job.ID {
		return -1
	}
	t := &g.tasks[id.Task]
	if t.Started == 0 {
		t.First, t.Worker = now, worker
	}
	t.Started++
	t.Last = now
	if t.Started == t.Count {
		t.Ends = ends
	}
	return int(id.Task)
}

// ended notes that an element ended, and returns what may start because of that.
func (g *graph) ended(task int) (ready []plan.Ready) {
	if g.left[task]--; g.left[task] > 0 {
		return nil
	}
	for i := range g.job.Tasks {
		t := &g.job.Tasks[i]
		if !slices.Contains(t.Needs, task) {
			continue
		}
		if g.waits[i]--; g.waits[i] == 0 {
			ready = append(ready, plan.Ready{Group: t.Group, N: t.Count})
		}
	}
	return ready
}
