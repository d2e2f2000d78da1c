package core

import (
	"fmt"
	"testing"
	"time"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/jobfile"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// BenchmarkOutlook is what a forecast costs: the longest look at the state, which is the leader's
// own time, and all of it, which is not.
func BenchmarkOutlook(b *testing.B) {
	for _, size := range []struct{ workers, slots, jobs, kinds int }{
		{10, 8, 1_000, 10}, {1_000, 16, 100_000, 100}, {10_000, 8, 1_000_000, 100}, {1_000, 16, 200_000, 5_000},
	} {
		b.Run(fmt.Sprintf("%d workers, %d jobs of %d kinds", size.workers, size.jobs, size.kinds), func(b *testing.B) {
			s, now := throng(b, size.workers, size.slots, size.jobs, size.kinds)
			var longest, looked, followed, moment time.Duration
			for b.Loop() {
				v := NewSurvey(now)
				from := time.Now()
				for done := false; !done; {
					began := time.Now()
					done = s.Look(v, 1000)
					longest = max(longest, time.Since(began))
				}
				looked += time.Since(from)
				from = time.Now()
				c := v.Whole()
				c.Forecast(nil)
				followed += time.Since(from)
				from = time.Now()
				c.Moment()
				moment += time.Since(from)
			}
			per := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 / float64(b.N) }
			b.ReportMetric(float64(longest.Microseconds())/1000, "ms-longest")
			b.ReportMetric(per(looked), "ms-look")
			b.ReportMetric(per(followed), "ms-forecast")
			b.ReportMetric(per(moment), "ms-moment")
		})
	}
}

// throng is a state in which every worker is busy and many jobs of different needs wait.
func throng(b *testing.B, workers, slots, jobs, kinds int) (*State, int64) {
	b.Helper()
	s, now := New(Config{Lease: 60_000, Retention: 1000}), int64(1_000_000)
	do := func(c Command) {
		d, err := s.Decide(Input{Now: now}, c)
		if err != nil {
			b.Fatal(err)
		}
		for more := true; more; d, more = s.Follow(now) {
			for _, e := range d.Events {
				s.Apply(e)
			}
		}
	}
	for _, e := range s.Begin(now, 1, 1) {
		s.Apply(e)
	}
	for i := range workers {
		name := fmt.Sprintf("w%d", i)
		do(WorkerHello{Hello: link.Hello{
			Protocol: link.Protocol, Name: name, Instance: name, Incarnation: 1, Slots: slots, Executors: []string{"process"},
			Capacity: job.Resources{CPU: int64(slots) * 1000, Memory: int64(slots) << 30},
		}})
	}
	for i := range kinds {
		file, err := jobfile.Parse("", fmt.Appendf(nil, "run: \"true\"\ntimeout: %ds\nresources: {cpu: %d.%03d, memory: %dMi}", 60+i%600, 1+i%4, i%1000, 100+i))
		if err != nil {
			b.Fatal(err)
		}
		c := Submit{Namespace: DefaultName, Spec: file.Spec, Hash: file.Hash, Canonical: file.Canonical, By: "anna"}
		for left := jobs / kinds; left > 0; left -= len(c.Items) {
			c.Items = make([]Item, min(left, MaxItems))
			for k := range c.Items {
				c.Items[k].Params = []byte("{}")
			}
			do(c)
		}
	}
	for len(s.Place(now, 1000).Events) > 0 {
	}
	return s, now
}
