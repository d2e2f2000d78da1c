package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Standing is how a server stands among those that share its store.
type Standing struct {
	// Leads says that it decides; one that is alone does.
	Leads bool
	// Able says that it leads or follows, and so answers what is read.
	Able bool
	// Servers is how many there are.
	Servers int
	// Behind is how long ago a follower was last known to have seen everything.
	Behind time.Duration
	// Differed is how many copies of the state were found not to be the leader's.
	Differed int
}

// standing tells collectors how a server stands at the moment.
type standing struct {
	now                                    func() Standing
	leads, able, servers, behind, differed *prometheus.Desc
}

func newStanding(now func() Standing) *standing {
	desc := func(name, help string) *prometheus.Desc { return prometheus.NewDesc(name, help, nil, nil) }
	return &standing{
		now:      now,
		leads:    desc("reeve_server_leads", "1 at the server that decides, 0 at those that stand by."),
		able:     desc("reeve_server_able", "1 at a server that leads or follows, 0 at one that can do neither, as for want of a newer version."),
		servers:  desc("reeve_servers", "Servers that share the store and were heard of within 10 seconds."),
		behind:   desc("reeve_follower_behind_seconds", "How long ago a server that stands by was last known to have seen everything."),
		differed: desc("reeve_follower_differences_total", "How often a copy of the state was not what the leader had; anything but 0 is a fault of Reeve or of the machine."),
	}
}

// Describe names what Collect gives.
func (s *standing) Describe(to chan<- *prometheus.Desc) {
	to <- s.leads
	to <- s.able
	to <- s.servers
	to <- s.behind
	to <- s.differed
}

// Collect asks once.
func (s *standing) Collect(to chan<- prometheus.Metric) {
	now := s.now()
	yes := func(is bool) float64 {
		if is {
			return 1
		}
		return 0
	}
	to <- prometheus.MustNewConstMetric(s.leads, prometheus.GaugeValue, yes(now.Leads))
	to <- prometheus.MustNewConstMetric(s.able, prometheus.GaugeValue, yes(now.Able))
	to <- prometheus.MustNewConstMetric(s.servers, prometheus.GaugeValue, float64(now.Servers))
	to <- prometheus.MustNewConstMetric(s.behind, prometheus.GaugeValue, now.Behind.Seconds())
	to <- prometheus.MustNewConstMetric(s.differed, prometheus.CounterValue, float64(now.Differed))
}
