// Package lateness is how a worker counts how late jobs start, as the jobs themselves tell it
// when they were due.
package lateness

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/reeve-scheduler/reeve"
)

// The functions by which a worker knows how late jobs start: DueFunction is called with the
// moment at which its job was to be submitted, Function answers what became of those.
const (
	DueFunction = "due"
	Function    = "lateness"
)

// Counts counts how late jobs started, by the second of the moment at which they were
// to be submitted. The clock of one machine serves all processes.
type Counts struct {
	mu sync.Mutex
	// due is by the second in which a job was to be submitted, started how many began in
	// a second.
	due     map[int64]*histogram
	started map[int64]int64
}

// histogram counts durations in steps of an eighth of a power of two, from a microsecond on.
type histogram [8 * 28]int64

func stepOf(d time.Duration) int {
	us := max(d.Microseconds(), 1)
	return min(int(8*math.Log2(float64(us))), len(histogram{})-1)
}

// stepEnd is the longest duration of a step.
func stepEnd(step int) time.Duration {
	return time.Duration(math.Exp2(float64(step+1)/8) * float64(time.Microsecond))
}

func (h *histogram) count() (n int64) {
	for _, c := range h {
		n += c
	}
	return n
}

// quantile is the duration that a share of all does not exceed, no less than it is and at
// most a tenth too much.
func (h *histogram) quantile(share float64) time.Duration {
	rank := int64(math.Ceil(share * float64(h.count())))
	for step, c := range h {
		if rank -= c; rank <= 0 {
			return stepEnd(step)
		}
	}
	return 0
}

func (h *histogram) add(o *histogram) {
	for i := range h {
		h[i] += o[i]
	}
}

// New returns an empty count.
func New() *Counts {
	return &Counts{due: map[int64]*histogram{}, started: map[int64]int64{}}
}

// Handle registers both functions.
func (l *Counts) Handle(w *reeve.Worker) {
	reeve.Handle(w, DueFunction, func(_ context.Context, _ *reeve.Attempt, micros int64) (struct{}, error) {
		l.note(time.UnixMicro(micros), time.Now())
		return struct{}{}, nil
	})
	reeve.Handle(w, Function, func(_ context.Context, _ *reeve.Attempt, q Query) (Answer, error) {
		return l.answer(q), nil
	})
}

func (l *Counts) note(due, started time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.due[due.Unix()]
	if h == nil {
		h = &histogram{}
		l.due[due.Unix()] = h
	}
	h[stepOf(started.Sub(due))]++
	l.started[started.Unix()]++
}

// Query asks for intervals of so many seconds, from a Unix second on.
type Query struct {
	From    int64 `json:"from"`
	Seconds int64 `json:"seconds"`
	N       int64 `json:"n"`
}

// Answer has one interval in each place.
type Answer struct {
	Intervals []Interval `json:"intervals"`
}

// Interval is what became of the jobs that were due in it, and how many started in it.
// Durations are in microseconds.
type Interval struct {
	Due     int64 `json:"due"`
	Started int64 `json:"started"`
	P50     int64 `json:"p50"`
	P99     int64 `json:"p99"`
	P999    int64 `json:"p999"`
}

func (l *Counts) answer(q Query) (a Answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range q.N {
		var all histogram
		var v Interval
		for second := q.From + i*q.Seconds; second < q.From+(i+1)*q.Seconds; second++ {
			if h := l.due[second]; h != nil {
				all.add(h)
			}
			v.Started += l.started[second]
		}
		if v.Due = all.count(); v.Due > 0 {
			v.P50, v.P99, v.P999 = all.quantile(0.5).Microseconds(), all.quantile(0.99).Microseconds(), all.quantile(0.999).Microseconds()
		}
		a.Intervals = append(a.Intervals, v)
	}
	return a
}
