package reeve_test

import (
	"context"
	"iter"
	"testing"

	"github.com/reeve-scheduler/reeve"
	"github.com/reeve-scheduler/reeve/internal/app"
)

// BenchmarkFunctions is functions that do nothing, end to end: submitted a thousand at a
// time to a real server, run by one worker over loopback, acknowledged when on disk.
//
//	go test -run '^$' -bench Functions -benchtime 50000x .
func BenchmarkFunctions(b *testing.B) {
	at := newServer(b, app.ServerConfig{}).addr
	c := connect(b, at)
	ran := make(chan struct{}, 1024)
	work(b, connect(b, at), reeve.WorkerConfig{Name: "bench", Concurrency: 100, Prefetch: 2000}, func(w *reeve.Worker) {
		w.Handle("noop", func(context.Context, *reeve.Attempt) error {
			ran <- struct{}{}
			return nil
		})
	})
	var items iter.Seq[reeve.Item] = func(yield func(reeve.Item) bool) {
		for range b.N {
			if !yield(reeve.Item{}) {
				return
			}
		}
	}
	failed := make(chan error, 1)
	b.ResetTimer()
	go func() {
		if _, err := c.SubmitMany(context.Background(), reeve.Function("noop", nil), items); err != nil {
			failed <- err
		}
	}()
	for range b.N {
		select {
		case <-ran:
		case err := <-failed:
			b.Fatal(err)
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
}
