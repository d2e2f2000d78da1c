package leader

import (
	"context"
	"log/slog"
	"testing"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/jobfile"
	"github.com/reeve-scheduler/reeve/internal/link"
	"github.com/reeve-scheduler/reeve/internal/store/memstore"
)

// BenchmarkJobs takes jobs through the loop, a hundred at a time: submitted, given to a
// worker, ended. The store is in memory, so that what is measured is the loop, the
// core and the codec; its own time is a job's share.
func BenchmarkJobs(b *testing.B) {
	s := memstore.New()
	box := make(postbox, 1024)
	l, err := New(b.Context(), Settings{}, s.Journal(), s.Tables(), box, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- l.Run(ctx) }()
	file, err := jobfile.Parse("", []byte(`run: "true"`))
	if err != nil {
		b.Fatal(err)
	}
	h := hello("w1")
	const batch = 100
	h.Hello.Slots, h.Hello.Capacity.CPU, h.Hello.Capacity.Memory = batch, 1e9, 1<<50
	reply, err := l.Do(ctx, h)
	if err != nil {
		b.Fatal(err)
	}
	worker := reply.(core.Welcomed).Worker
	c := core.Submit{Namespace: core.DefaultName, Spec: file.Spec, Hash: file.Hash, Canonical: file.Canonical, By: "anna", Items: make([]core.Item, batch)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := l.Do(ctx, c); err != nil {
			b.Fatal(err)
		}
		var report link.Report
		for len(report.Ended) < batch {
			for _, msg := range <-box {
				if msg.Assign == nil {
					continue
				}
				for i := range msg.Assign.Attempts {
					report.Ended = append(report.Ended, link.Result{Fence: msg.Assign.Attempts[i].Fence, Started: 1, Ended: 2})
				}
			}
		}
		if _, err := l.Do(ctx, core.WorkerReport{Worker: worker, Report: report}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/batch, "ns/job")
	cancel()
	if err := <-over; err != nil {
		b.Fatal(err)
	}
}

// postbox is an outbox of one worker.
type postbox chan []link.ToWorker

func (postbox) Opened(uint64, uint64) {}

func (p postbox) Deliver(_ uint64, msgs []link.ToWorker) { p <- msgs }
