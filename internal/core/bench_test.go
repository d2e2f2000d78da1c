package core

import (
	"fmt"
	"testing"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/jobfile"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// BenchmarkJobs is what the core does for a job: it is submitted, given to a worker, ended,
// written out and dropped from memory, a hundred at a time. The jobs have a name, a hundred in
// turn, and a cluster of the newest format. The time is one job's.
func BenchmarkJobs(b *testing.B) {
	const batch = 100
	s := New(Config{Lease: 60_000, Retention: 1000})
	now, seq, placing := int64(1_000_000), uint64(0), 1000
	carryOut := func(d Decision) {
		for more := true; more; d, more = s.Follow(now) {
			for _, e := range d.Events {
				s.Apply(e)
			}
		}
	}
	do := func(c Command) any {
		d, err := s.Decide(Input{Now: now, Seed: seq}, c)
		if err != nil {
			b.Fatal(err)
		}
		carryOut(d)
		return d.Reply
	}
	carryOut(Decision{Events: s.Begin(now, 1, 1)})
	do(RaiseFormat{To: 3})
	var submits []Submit
	for i := range 100 {
		file, err := jobfile.Parse("", fmt.Appendf(nil, "name: job-%d\nrun: \"true\"", i))
		if err != nil {
			b.Fatal(err)
		}
		submits = append(submits, Submit{
			Namespace: DefaultName, Spec: file.Spec, Hash: file.Hash, Canonical: file.Canonical, By: "anna", Items: make([]Item, batch),
		})
		for k := range submits[i].Items {
			submits[i].Items[k].Params = []byte("{}")
		}
	}
	worker := do(WorkerHello{Hello: link.Hello{
		Protocol: link.Protocol, Name: "w", Instance: "w", Incarnation: 1, Slots: batch, Capacity: job.Resources{CPU: 1e9, Memory: 1 << 50},
		Executors: []string{"process"},
	}}).(Welcomed)
	turn := func(c Submit) {
		seq++
		now += 1000
		c.ReadSeq = s.Seq()
		do(c)
		var report link.Report
		for len(report.Ended) < batch {
			d := s.Place(now, placing)
			for _, e := range d.Events {
				a := e.(AttemptAssigned)
				report.Ended = append(report.Ended, link.Result{
					Fence: a.Fence, Started: now + 10, Ended: now + 20 + int64(a.Fence)%50, Usage: job.Usage{Memory: 100<<20 + int64(a.Fence)%100<<18},
				})
			}
		}
		now += 500
		do(WorkerReport{Worker: worker.Worker, Session: worker.Session, Report: report})
		s.Batch(seq)
		if seq%10 == 0 {
			var ended nothing
			s.BeginFlush(&ended)
			for !s.Encode(1000) {
			}
			s.Flushed(now, ended.jobs)
			s.Evict(now)
		}
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		turn(submits[n%len(submits)])
		n++
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/batch, "ns/job")
}

// nothing is a sink that keeps only which jobs have ended.
type nothing struct{ jobs []job.ID }

func (nothing) Counters(CountersImage, uint64)              {}
func (nothing) Namespace(NamespaceSet, uint64)              {}
func (nothing) Queue(QueueImage, uint64)                    {}
func (nothing) Pool(PoolSet, uint64)                        {}
func (nothing) Reservation(string, *ReservationSet, uint64) {}
func (nothing) Token(Token, uint64)                         {}
func (nothing) Worker(uint64, *WorkerImage, uint64)         {}
func (nothing) Learned(LearnedImage, uint64)                {}
func (nothing) Use(string, UseImage, uint64)                {}
func (nothing) Key(string, *KeyImage, uint64)               {}
func (nothing) Spec(job.ID, Hash, []byte)                   {}
func (nothing) Chunk(ChunkImage, uint64)                    {}
func (nothing) Past(PastAttempt, uint64)                    {}
func (nothing) Output(OutputImage, uint64)                  {}
func (n *nothing) Job(m JobImage) {
	if m.State.Terminal() {
		n.jobs = append(n.jobs, m.ID)
	}
}

// BenchmarkPoolSet changes what all of many workers give away, in one turn.
func BenchmarkPoolSet(b *testing.B) {
	s := New(Config{Lease: 60_000})
	for _, e := range s.Begin(1, 1, 1) {
		s.Apply(e)
	}
	for i := range MaxWorkers {
		name := fmt.Sprint("w", i)
		s.Apply(WorkerJoined{ID: uint64(i + 1), Hello: link.Hello{
			Protocol: link.Protocol, Name: name, Instance: name, Incarnation: 1, Slots: 8, Capacity: job.Resources{CPU: 8000, Memory: 1 << 35}, Executors: []string{"process"},
		}})
	}
	for i := range b.N {
		s.Apply(PoolSet{Name: DefaultName, Policy: job.PoolPolicy{Overcommit: job.Factors{CPU: int64(1500 + i%100)}}})
		s.Forget()
	}
}
