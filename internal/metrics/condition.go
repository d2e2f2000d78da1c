package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/reeve-scheduler/reeve/internal/leader"
)

// condition is what there is at the moment of a collection, rather than what has
// happened.
type condition struct {
	vitals func() (leader.Vitals, bool)
	gauges []gauge
}

// gauge reads one metric, with one value for each combination of labels.
type gauge struct {
	desc *prometheus.Desc
	read func(v *leader.Vitals, is func(x float64, labels ...string))
}

// one is a gauge without labels.
func one(name, help string, read func(*leader.Vitals) float64) gauge {
	return gauge{prometheus.NewDesc(name, help, nil, nil), func(v *leader.Vitals, is func(float64, ...string)) { is(read(v)) }}
}

func newCondition(vitals func() (leader.Vitals, bool)) *condition {
	return &condition{vitals, append(work(), engine()...)}
}

// work is what there is to do, and who does it.
func work() []gauge {
	const milli = 1000
	return []gauge{
		one("reeve_jobs_unfinished", "Jobs that have not ended.", func(v *leader.Vitals) float64 { return float64(v.Census.Live) }),
		{
			prometheus.NewDesc("reeve_queue_jobs_unfinished",
				"Jobs of a queue that have not ended. Queue and namespace \"\" stand for those beyond the first thousand queues.",
				[]string{"namespace", "queue"}, nil),
			func(v *leader.Vitals, is func(float64, ...string)) {
				for _, q := range v.Census.Queues {
					is(float64(q.Jobs), q.Namespace, q.Queue)
				}
				if v.Census.OtherJobs > 0 {
					is(float64(v.Census.OtherJobs), "", "")
				}
			},
		},
		one("reeve_attempts_held", "Attempts that workers hold under a lease.", func(v *leader.Vitals) float64 { return float64(v.Census.Attempts) }),
		one("reeve_attempts_prefetched", "Attempts that connected workers hold ready for a slot.",
			func(v *leader.Vitals) float64 { return float64(v.Census.Prefetched) }),
		{
			prometheus.NewDesc("reeve_workers", "Workers, by state; those that drain are connected too.", []string{"state"}, nil),
			func(v *leader.Vitals, is func(float64, ...string)) {
				is(float64(v.Census.Connected), "connected")
				is(float64(v.Census.Away), "away")
				is(float64(v.Census.Draining), "draining")
			},
		},
		one("reeve_slots", "Slots of connected workers.", func(v *leader.Vitals) float64 { return float64(v.Census.Slots) }),
		one("reeve_slots_used", "Slots with an attempt.", func(v *leader.Vitals) float64 { return float64(v.Census.Running) }),
		one("reeve_cpu_cores", "Processors that connected workers give.", func(v *leader.Vitals) float64 { return float64(v.Census.Capacity.CPU) / milli }),
		one("reeve_cpu_cores_used", "Processors that attempts have reserved.", func(v *leader.Vitals) float64 { return float64(v.Census.Used.CPU) / milli }),
		one("reeve_memory_bytes", "Memory that connected workers give.", func(v *leader.Vitals) float64 { return float64(v.Census.Capacity.Memory) }),
		one("reeve_memory_bytes_used", "Memory that attempts have reserved.", func(v *leader.Vitals) float64 { return float64(v.Census.Used.Memory) }),
	}
}

// engine is how the server copes.
func engine() []gauge {
	return []gauge{
		{
			prometheus.NewDesc("reeve_leader_waiting", "Requests that wait for the leader's loop, by lane.", []string{"lane"}, nil),
			func(v *leader.Vitals, is func(float64, ...string)) {
				for _, w := range v.Waiting {
					is(float64(w.N), w.Lane)
				}
			},
		},
		one("reeve_leader_epoch", "The leader's term.", func(v *leader.Vitals) float64 { return float64(v.Census.Epoch) }),
		one("reeve_journal_sequence", "The last durable batch.", func(v *leader.Vitals) float64 { return float64(v.Durable) }),
		one("reeve_journal_stalled_seconds", "For how long the journal has taken no batch; 0 if it does.", func(v *leader.Vitals) float64 {
			if v.Stalled.IsZero() {
				return 0
			}
			return time.Since(v.Stalled).Seconds()
		}),
		one("reeve_tables_lag_batches", "Batches whose changes the tables lack; one that changes no table, as a digest, is none of them.",
			func(v *leader.Vitals) float64 { return float64(v.Census.UnprojectedBatches) }),
		one("reeve_tables_lag_jobs", "Jobs that the tables lack or have in an older form.",
			func(v *leader.Vitals) float64 { return float64(v.Census.UnprojectedCount) }),
		one("reeve_jobs_in_memory", "Jobs in memory, those included that have ended and are not yet evicted.",
			func(v *leader.Vitals) float64 { return float64(v.Census.Jobs) }),
	}
}

// Describe names what Collect gives.
func (c *condition) Describe(to chan<- *prometheus.Desc) {
	for _, g := range c.gauges {
		to <- g.desc
	}
}

// Collect reads the vitals once. As long as nobody leads there is nothing to say.
func (c *condition) Collect(to chan<- prometheus.Metric) {
	v, ok := c.vitals()
	if !ok {
		return
	}
	for _, g := range c.gauges {
		g.read(&v, func(x float64, labels ...string) {
			to <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, x, labels...)
		})
	}
}
