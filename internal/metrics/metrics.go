// Package metrics is what a server and a worker count, for Prometheus to collect. No
// label has a value that a job chooses: queues, methods, causes and states are as many
// as administrators and this program make them.
package metrics

import (
	"log/slog"
	"net/http"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Buckets of histograms.
var (
	// seconds reaches from a fast disk's fsync to a stall that people notice.
	seconds = prometheus.ExponentialBuckets(0.0001, 2, 17) // 100 µs to 6.5 s
	counts  = prometheus.ExponentialBuckets(1, 4, 8)       // 1 to 16,384
	sizes   = prometheus.ExponentialBuckets(256, 4, 9)     // 256 B to 16 MiB
)

// factory makes metrics and registers them. A name that is used twice, or that no
// collector could read, is a mistake in this package: it panics at the start.
type factory struct{ registry *prometheus.Registry }

// newFactory returns one for a registry that has what every process of Go has, and
// which version of role ("server", "worker") this is.
func newFactory(role, version string) factory {
	f := factory{prometheus.NewRegistry()}
	f.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	f.gauges("reeve_build_info", "Which Reeve this is; always 1.", "role", "version", "go").WithLabelValues(role, version, runtime.Version()).Set(1)
	return f
}

func (f factory) counter(name, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	f.registry.MustRegister(c)
	return c
}

func (f factory) counters(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	f.registry.MustRegister(c)
	return c
}

func (f factory) gauge(name, help string) prometheus.Gauge {
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	f.registry.MustRegister(g)
	return g
}

func (f factory) gauges(name, help string, labels ...string) *prometheus.GaugeVec {
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	f.registry.MustRegister(g)
	return g
}

func (f factory) histogram(name, help string, buckets []float64) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
	f.registry.MustRegister(h)
	return h
}

func (f factory) histograms(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
	f.registry.MustRegister(h)
	return h
}

// maxScrapes bounds the collections under way at a time.
const maxScrapes = 4

// handler answers collectors.
func (f factory) handler(log *slog.Logger) http.Handler {
	return promhttp.HandlerFor(f.registry, promhttp.HandlerOpts{
		MaxRequestsInFlight: maxScrapes, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	})
}
