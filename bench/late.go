package main

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/reeve-scheduler/reeve"
)

// The functions by which a worker knows how late jobs start: due is called with the
// moment at which its job was to be submitted, lateness answers what became of those.
const (
	dueFunction      = "due"
	latenessFunction = "lateness"
)

// lateness counts how late jobs started, by the second of the moment at which they were
// to be submitted. The clock of one machine serves all processes.
type lateness struct {
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

func newLateness() *lateness {
	return &lateness{due: map[int64]*histogram{}, started: map[int64]int64{}}
}

// handle registers both functions.
func (l *lateness) handle(w *reeve.Worker) {
	reeve.Handle(w, dueFunction, func(_ context.Context, _ *reeve.Attempt, micros int64) (struct{}, error) {
		l.note(time.UnixMicro(micros), time.Now())
		return struct{}{}, nil
	})
	reeve.Handle(w, latenessFunction, func(_ context.Context, _ *reeve.Attempt, q lateQuery) (lateAnswer, error) {
		return l.answer(q), nil
	})
}

func (l *lateness) note(due, started time.Time) {
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

// lateQuery asks for intervals of so many seconds, from a Unix second on.
type lateQuery struct {
	From    int64 `json:"from"`
	Seconds int64 `json:"seconds"`
	N       int64 `json:"n"`
}

// lateAnswer has one interval in each place.
type lateAnswer struct {
	Intervals []interval `json:"intervals"`
}

// interval is what became of the jobs that were due in it, and how many started in it.
// Durations are in microseconds.
type interval struct {
	Due     int64 `json:"due"`
	Started int64 `json:"started"`
	P50     int64 `json:"p50"`
	P99     int64 `json:"p99"`
	P999    int64 `json:"p999"`
}

func (l *lateness) answer(q lateQuery) (a lateAnswer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range q.N {
		var all histogram
		var v interval
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
