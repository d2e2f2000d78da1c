package logstore_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/logstore"
)

// BenchmarkSmallLogs is a million small attempts: one append and a seal each.
func BenchmarkSmallLogs(b *testing.B) {
	s := open(b, b.TempDir(), newBlobs(), logstore.Options{})
	defer s.Close()
	f := out(1_800_000_000_000, "shard done: 1234 lines, 56789 bytes\n")
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r := job.Ref{Job: job.ID(i/1000 + 1), Task: "map", Index: int64(i % 1000), Attempt: 1}
		n, err := s.Append(context.Background(), r, 0, f)
		if err == nil {
			err = s.Seal(context.Background(), r, n)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFlood is one attempt that logs as fast as it can.
func BenchmarkFlood(b *testing.B) {
	s := open(b, b.TempDir(), newBlobs(), logstore.Options{MaxPending: 1 << 20})
	defer s.Close()
	f := out(1, strings.Repeat("yes\n", 16_000))
	b.SetBytes(int64(len(f)))
	next := int64(0)
	for b.Loop() {
		var err error
		if next, err = s.Append(context.Background(), first, next, f); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReadPacked reads small packed logs at random.
func BenchmarkReadPacked(b *testing.B) {
	s := open(b, b.TempDir(), newBlobs(), logstore.Options{})
	defer s.Close()
	const n = 50_000
	for i := range n {
		r := job.Ref{Job: job.ID(i + 1), Task: "t", Index: job.NoIndex, Attempt: 1}
		if _, err := s.Append(context.Background(), r, 0, out(1, fmt.Sprint("result ", i, "\n"))); err != nil {
			b.Fatal(err)
		}
	}
	flush(b, s)
	for i := 0; b.Loop(); i++ {
		r := job.Ref{Job: job.ID(i*7919%n + 1), Task: "t", Index: job.NoIndex, Attempt: 1}
		for _, err := range s.Read(context.Background(), r, logstore.ReadOptions{}) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}
