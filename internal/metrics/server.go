package metrics

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/leader"
)

// Server is what a server counts. It is the leader's observer, and told of every call;
// all methods may be called concurrently.
type Server struct {
	factory factory

	turns, appends, flushes   prometheus.Histogram
	batchEvents, batchBytes   prometheus.Histogram
	rows, submitted, assigned prometheus.Counter
	refused                   *prometheus.CounterVec
	// By cause and state, looked up once: attempts end thousands of times a second.
	attemptsEnded [job.LastCause + 1]prometheus.Counter
	jobsEnded     [job.JobCancelled + 1]prometheus.Counter

	forecasts prometheus.Histogram
	late      prometheus.Gauge

	open     *prometheus.GaugeVec
	calls    *prometheus.CounterVec
	callTime *prometheus.HistogramVec
}

var _ leader.Observer = (*Server)(nil)

// NewServer returns a server's counters, all zero.
func NewServer(version string) *Server {
	f := newFactory("server", version)
	s := &Server{
		factory:     f,
		turns:       f.histogram("reeve_leader_turn_seconds", "How long turns of the leader's loop take.", seconds),
		refused:     f.counters("reeve_leader_refused_total", "Requests turned away since there was too much to do, by lane.", "lane"),
		appends:     f.histogram("reeve_journal_append_seconds", "How long batches take to be durable.", seconds),
		batchEvents: f.histogram("reeve_journal_batch_events", "Events in a batch.", counts),
		batchBytes:  f.histogram("reeve_journal_batch_bytes", "Bytes of a batch.", sizes),
		flushes:     f.histogram("reeve_tables_flush_seconds", "How long flushes take, from the first row encoded to all of them written.", seconds),
		rows:        f.counter("reeve_tables_rows_total", "Rows written to the tables."),
		submitted:   f.counter("reeve_jobs_submitted_total", "Jobs accepted."),
		assigned:    f.counter("reeve_attempts_assigned_total", "Attempts given to workers."),
		forecasts:   f.histogram("reeve_forecast_seconds", "How long forecasts take, with the copying.", seconds),
		late:        f.gauge("reeve_jobs_expected_late", "Jobs that are expected to miss their deadline, by this server's last forecast; the leader makes one every half minute."),
		open:        f.gauges("reeve_calls_open", "Calls and streams under way, by method.", "method"),
		calls:       f.counters("reeve_calls_total", "Calls and streams that have ended, by method and code.", "method", "code"),
		callTime:    f.histograms("reeve_call_seconds", "How long calls and streams take, by method.", seconds, "method"),
	}
	ended := f.counters("reeve_attempts_ended_total", "Attempts that have ended, by cause; none is success.", "cause")
	for k := range s.attemptsEnded {
		s.attemptsEnded[k] = ended.WithLabelValues(job.CauseKind(k).String())
	}
	ended = f.counters("reeve_jobs_ended_total", "Jobs that have ended, by state.", "state")
	for k := range s.jobsEnded {
		if state := job.State(k); state.Terminal() {
			s.jobsEnded[k] = ended.WithLabelValues(state.String())
		}
	}
	return s
}

// Handler answers collectors with the counters, with how the server stands, and with what
// vitals says, if it knows; neither may block. Call it once.
func (s *Server) Handler(vitals func() (leader.Vitals, bool), stands func() Standing, log *slog.Logger) http.Handler {
	s.factory.registry.MustRegister(newCondition(vitals), newStanding(stands))
	return s.factory.handler(log)
}

// Turned counts a turn of the leader's loop.
func (s *Server) Turned(took time.Duration) { s.turns.Observe(took.Seconds()) }

// Appended counts a durable batch.
func (s *Server) Appended(events, bytes int, took time.Duration) {
	s.batchEvents.Observe(float64(events))
	s.batchBytes.Observe(float64(bytes))
	s.appends.Observe(took.Seconds())
}

// Flushed counts a flush.
func (s *Server) Flushed(rows int, took time.Duration) {
	s.rows.Add(float64(rows))
	s.flushes.Observe(took.Seconds())
}

// Refused counts a request that was turned away.
func (s *Server) Refused(lane string) { s.refused.WithLabelValues(lane).Inc() }

// Foreseen counts a forecast: how many jobs are expected to miss their deadline, and how long it
// took, 0 for none that was made.
func (s *Server) Foreseen(late int, took time.Duration) {
	s.late.Set(float64(late))
	if took > 0 {
		s.forecasts.Observe(took.Seconds())
	}
}

// Applied counts what an event says.
func (s *Server) Applied(e core.Event) {
	switch e := e.(type) {
	case core.JobSubmitted:
		s.submitted.Inc()
	case core.AttemptAssigned:
		s.assigned.Inc()
	case core.AttemptEnded:
		if !e.Awaits && e.Cause.Kind <= job.LastCause {
			s.attemptsEnded[e.Cause.Kind].Inc()
		}
	case core.JobEnded:
		if c := s.jobsEnded[e.State]; c != nil {
			c.Inc()
		}
	}
}

// Began counts a call to one of the API's methods. What it returns is called once, with
// the code of the answer.
func (s *Server) Began(method string) (ended func(code string)) {
	open := s.open.WithLabelValues(method)
	open.Inc()
	began := time.Now()
	return func(code string) {
		open.Dec()
		s.callTime.WithLabelValues(method).Observe(time.Since(began).Seconds())
		s.calls.WithLabelValues(method, code).Inc()
	}
}
