package metrics

import (
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/reeve-scheduler/reeve/internal/agent"
	"github.com/reeve-scheduler/reeve/internal/agent/will"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// Worker is what a worker counts. It is the agent's observer; all methods may be called
// concurrently.
type Worker struct {
	factory                  factory
	held, running, connected prometheus.Gauge
	ran                      [job.LastCause + 1]prometheus.Counter
}

var _ agent.Observer = (*Worker)(nil)

// NewWorker returns a worker's counters, all zero.
func NewWorker(version string) *Worker {
	f := newFactory("worker", version)
	w := &Worker{
		factory:   f,
		held:      f.gauge("reeve_worker_attempts_held", "Attempts that this worker holds."),
		running:   f.gauge("reeve_worker_slots_used", "Slots of this worker with an attempt."),
		connected: f.gauge("reeve_worker_connected", "1 if the server has welcomed this worker, else 0."),
	}
	ran := f.counters("reeve_worker_attempts_ended_total", "Attempts that ran here and have ended, by cause; none is success.", "cause")
	for k := range w.ran {
		w.ran[k] = ran.WithLabelValues(job.CauseKind(k).String())
	}
	return w
}

// Handler answers collectors.
func (w *Worker) Handler(log *slog.Logger) http.Handler { return w.factory.handler(log) }

// Fares sets the gauges.
func (w *Worker) Fares(v will.Vitals) {
	w.held.Set(float64(v.Held))
	w.running.Set(float64(v.Running))
	connected := 0.0
	if v.Connected {
		connected = 1
	}
	w.connected.Set(connected)
}

// Ran counts an attempt that has ended.
func (w *Worker) Ran(cause job.CauseKind) {
	if cause <= job.LastCause {
		w.ran[cause].Inc()
	}
}
