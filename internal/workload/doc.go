// Package workload holds what a simulation runs: jobs with the times that they came
// at and took. They come from a log in the Standard Workload Format, from the
// Lublin–Feitelson model, or from a list of tasks.
package workload

// Job is one job of a workload. All times are milliseconds; moments count from the
// workload's beginning.
type Job struct {
	// Number is what the source calls it.
	Number int64
	Submit int64
	// Run is how long it runs, at most Request.
	Run int64
	// Request is how long it may run, by the word of its user.
	Request int64
	// Procs is how many processors it needs, all at once.
	Procs int64
	// CPU is the same in thousandths where it is no whole number, else 0.
	CPU int64
	// Memory is how many bytes it needs, 0 where nobody said.
	Memory int64
	// User, Queue and Name are empty where nobody said.
	User, Queue, Name string
	Priority          int32
	// Where is labels that a worker must have for it, "key=value" or "key".
	Where []string
	// Deadline is the moment by which it should have ended, 0 for none.
	Deadline int64
	// Wait is how long it waited where it was recorded, -1 if that is unknown.
	Wait int64
}

// Milli is the processors that a job needs, in thousandths.
func (j *Job) Milli() int64 {
	if j.CPU > 0 {
		return j.CPU
	}
	return j.Procs * 1000
}

// SetMilli sets what Milli says; whole processors are as many as it takes.
func (j *Job) SetMilli(milli int64) {
	j.Procs, j.CPU = max((milli+999)/1000, 1), 0
	if milli%1000 != 0 {
		j.CPU = milli
	}
}

// Unknown is what a field says of which nothing is known.
const Unknown = -1

// Trace is a workload.
type Trace struct {
	// Procs is how many processors the machine of the trace has, 0 if that is unknown.
	Procs int64
	// Start is when the trace begins, in Unix milliseconds, 0 if that is unknown.
	Start int64
	// Jobs stand in the order in which they come.
	Jobs []Job
}

// Window returns n jobs from the one at a place on, counted from 0, or as many as
// there are. The jobs are shared with the trace.
func (t *Trace) Window(at, n int) *Trace {
	at = min(max(at, 0), len(t.Jobs))
	return &Trace{Procs: t.Procs, Start: t.Start, Jobs: t.Jobs[at:min(at+n, len(t.Jobs))]}
}

// Load is the work of the jobs, as a share in thousandths of what a number of
// processors can do between the first submit and the last.
func (t *Trace) Load(procs int64) int64 {
	if len(t.Jobs) < 2 || procs < 1 {
		return 0
	}
	span := float64(t.Jobs[len(t.Jobs)-1].Submit - t.Jobs[0].Submit)
	work := 0.0
	for i := range t.Jobs {
		work += float64(t.Jobs[i].Milli()) / 1000 * float64(t.Jobs[i].Run)
	}
	if span <= 0 {
		return 0
	}
	return int64(work / span / float64(procs) * 1000)
}
