// Package outcome says what a run of a workload came to: how long jobs waited, how much
// that slowed them down, how well the machine was used, how evenly users fared, what
// was late and what it cost.
package outcome

import (
	"slices"

	"github.com/reeve-scheduler/reeve/internal/workload"
)

// Run is a workload that was run.
type Run struct {
	Jobs []workload.Job
	// Start and End are by job, in milliseconds; Start is Never for what did not run.
	Start, End []int64
	// Capacity is how many processors there were.
	Capacity int64
}

// Never is the start of a job that did not run.
const Never = -1

// Rules says what counts.
type Rules struct {
	// WarmUpJobs and WarmUpTime leave out the jobs that come first: so many, and those
	// that come within so many milliseconds of the first. They run, and count for nothing.
	WarmUpJobs int
	WarmUpTime int64
	// Price is what a processor costs in an hour.
	Price float64
}

// bound is the least run time, in milliseconds, that a slowdown is counted by: without
// it, jobs that end at once would decide the mean (Feitelson et al., 1997).
const bound = 10_000

// Figures is what a run came to. Times are seconds.
type Figures struct {
	// Jobs is how many counted, Unstarted how many of the workload never ran.
	Jobs      int64 `json:"jobs"`
	Unstarted int64 `json:"unstarted,omitempty"`
	// Wait is from submit to start.
	Wait Spread `json:"wait"`
	// Slowdown is bounded: (wait + run) / max(run, 10 s), and 1 at least.
	Slowdown Spread `json:"bounded_slowdown"`
	// Utilisation is the share of the processors that worked, from the first submit to the
	// last end.
	Utilisation float64 `json:"utilisation"`
	// Makespan is from the first submit to the last end.
	Makespan float64 `json:"makespan"`
	// Users is how many there are.
	Users int64 `json:"users"`
	// Fairness is Jain's index of the users' mean slowdowns: 1 if they are all alike, 1/n
	// if one of n has all of it.
	Fairness float64 `json:"fairness"`
	// WorstUser is the largest mean slowdown of a user, as a multiple of the mean of all
	// users.
	WorstUser float64 `json:"worst_user"`
	// Deadlines is how many jobs had one, Missed how many of these ended later or not at
	// all, and Late by how much those did in the mean that ended.
	Deadlines int64   `json:"deadlines"`
	Missed    int64   `json:"missed"`
	Late      float64 `json:"late"`
	// Cost is what the processors cost that the jobs had, CostOfAll what all of them did
	// for the makespan.
	Cost      float64 `json:"cost"`
	CostOfAll float64 `json:"cost_of_all"`
}

// Spread is how values lie.
type Spread struct {
	Mean   float64 `json:"mean"`
	Median float64 `json:"p50"`
	P90    float64 `json:"p90"`
	P99    float64 `json:"p99"`
	Max    float64 `json:"max"`
}

// Measure works out the figures of a run.
func Measure(r *Run, rules Rules) Figures {
	f := Figures{Fairness: 1, WorstUser: 1}
	if len(r.Jobs) == 0 {
		return f
	}
	waits, slow := make([]float64, 0, len(r.Jobs)), make([]float64, 0, len(r.Jobs))
	var late []float64
	users := people{index: map[string]int{}}
	first, last := r.Jobs[0].Submit, r.Jobs[0].Submit
	work := 0.0
	for i := range r.Jobs {
		j := &r.Jobs[i]
		counts := i >= rules.WarmUpJobs && j.Submit >= first+rules.WarmUpTime
		if r.Start[i] == Never {
			f.Unstarted++
			if counts && j.Deadline > 0 {
				f.Deadlines++
				f.Missed++
			}
			continue
		}
		last = max(last, r.End[i])
		ran := r.End[i] - r.Start[i]
		work += float64(ran) * float64(j.Milli()) / 1000
		if !counts {
			continue
		}
		wait := r.Start[i] - j.Submit
		s := max(float64(wait+ran)/float64(max(ran, bound)), 1)
		waits, slow = append(waits, float64(wait)/1000), append(slow, s)
		users.add(j.User, s)
		if j.Deadline > 0 {
			f.Deadlines++
		}
		if j.Deadline > 0 && r.End[i] > j.Deadline {
			f.Missed++
			late = append(late, float64(r.End[i]-j.Deadline)/1000)
		}
	}
	f.Jobs = int64(len(waits))
	f.Wait, f.Slowdown = spread(waits), spread(slow)
	f.Makespan = float64(last-first) / 1000
	if last > first && r.Capacity > 0 {
		f.Utilisation = work / float64(last-first) / float64(r.Capacity)
	}
	f.Users, f.Fairness, f.WorstUser = users.judge()
	f.Late = spread(late).Mean
	f.Cost = work / 3600_000 * rules.Price
	f.CostOfAll = f.Makespan / 3600 * float64(r.Capacity) * rules.Price
	return f
}

// spread sorts values and says how they lie.
func spread(v []float64) Spread {
	if len(v) == 0 {
		return Spread{}
	}
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	slices.Sort(v)
	// The p-th percentile is the least value that p per cent are not above.
	at := func(p int) float64 { return v[max((p*len(v)+99)/100, 1)-1] }
	return Spread{Mean: sum / float64(len(v)), Median: at(50), P90: at(90), P99: at(99), Max: v[len(v)-1]}
}

// people is the users' slowdowns.
type people struct {
	index map[string]int
	sum   []float64
	n     []int64
}

func (p *people) add(user string, slowdown float64) {
	i, ok := p.index[user]
	if !ok {
		i = len(p.sum)
		p.index[user] = i
		p.sum, p.n = append(p.sum, 0), append(p.n, 0)
	}
	p.sum[i] += slowdown
	p.n[i]++
}

// judge compares the users' means (Jain, Chiu and Hawe, 1984).
func (p *people) judge() (users int64, fairness, worst float64) {
	if len(p.sum) == 0 {
		return 0, 1, 1
	}
	sum, squares, most := 0.0, 0.0, 0.0
	for i := range p.sum {
		mean := p.sum[i] / float64(p.n[i])
		sum += mean
		squares += mean * mean
		most = max(most, mean)
	}
	n := float64(len(p.sum))
	return int64(len(p.sum)), sum * sum / (n * squares), most / (sum / n)
}

// Mean is the mean of the figures of several runs, such as windows of one trace: each
// counts as much as the others. Counts are sums, and maxima stay maxima.
func Mean(all []Figures) Figures {
	if len(all) == 1 {
		return all[0]
	}
	var m Figures
	n := float64(len(all))
	for i := range all {
		f := &all[i]
		m.Jobs, m.Unstarted = m.Jobs+f.Jobs, m.Unstarted+f.Unstarted
		m.Deadlines, m.Missed = m.Deadlines+f.Deadlines, m.Missed+f.Missed
		m.Cost, m.CostOfAll = m.Cost+f.Cost, m.CostOfAll+f.CostOfAll
		m.Users = max(m.Users, f.Users)
		m.Wait.plus(&f.Wait, n)
		m.Slowdown.plus(&f.Slowdown, n)
		m.Utilisation += f.Utilisation / n
		m.Makespan += f.Makespan / n
		m.Fairness += f.Fairness / n
		m.WorstUser += f.WorstUser / n
		m.Late += f.Late / n
	}
	return m
}

func (s *Spread) plus(o *Spread, n float64) {
	s.Mean += o.Mean / n
	s.Median += o.Median / n
	s.P90 += o.P90 / n
	s.P99 += o.P99 / n
	s.Max = max(s.Max, o.Max)
}
