package sqlstore

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/reeve-scheduler/reeve/internal/store"
	"github.com/reeve-scheduler/reeve/internal/store/pgtest"
)

// engine is what a benchmark runs on.
type engine struct {
	name string
	open func(b *testing.B) *Store
	// server is nil where the engine is this process.
	server *pgtest.Server
}

// engines are SQLite and, if it is installed, PostgreSQL, both with all their promises kept.
func engines(b *testing.B) []engine {
	b.Helper()
	all := []engine{{name: "sqlite", open: func(b *testing.B) *Store { b.Helper(); return openIn(b, b.TempDir()) }}}
	if _, err := exec.LookPath("psql"); err != nil {
		return all
	}
	server := pgtest.Start(b, pgtest.Config{Durable: true, Settings: []string{"shared_buffers=256MB", "max_wal_size=4GB"}})
	return append(all, engine{"postgres", func(b *testing.B) *Store { b.Helper(); return connected(b, server.Database(b)) }, server})
}

// each runs a benchmark on every engine.
func each(b *testing.B, run func(b *testing.B, e engine)) {
	b.Helper()
	for _, e := range engines(b) {
		b.Run("engine="+e.name, func(b *testing.B) { run(b, e) })
	}
}

// BenchmarkAppend is one fsynced append: how long a reply waits for the disk, and
// how fast a journal grows by batches of a size.
func BenchmarkAppend(b *testing.B) { each(b, benchmarkAppend) }

func benchmarkAppend(b *testing.B, e engine) {
	for _, size := range []int{1 << 10, 64 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("bytes=%d", size), func(b *testing.B) {
			s := e.open(b)
			j, ctx := s.Journal(), b.Context()
			payload := make([]byte, size) // a fifth of it tells anything, as of events
			r := rand.New(rand.NewPCG(1, 2))
			for i := 0; i < size; i += 5 {
				payload[i] = byte(r.Uint32())
			}
			b.SetBytes(int64(size))
			report := e.reportCPU(b)
			seq := uint64(0)
			for b.Loop() {
				seq++
				batch := store.Batch{Seq: seq, Epoch: 1, Payload: payload}
				binary.LittleEndian.PutUint64(batch.ID[:], seq)
				if seq > 1 {
					binary.LittleEndian.PutUint64(batch.Prev[:], seq-1)
				}
				if err := j.Append(ctx, batch); err != nil {
					b.Fatal(err)
				}
				if seq%256 == 0 {
					if err := j.Trim(ctx, seq-128); err != nil {
						b.Fatal(err)
					}
				}
			}
			report(b.N)
		})
	}
}

// reportCPU returns a function that reports the processor time per op since, which
// other load on the machine changes less than it does the time.
func reportCPU(b *testing.B) func(ops int) {
	b.Helper()
	now := func() float64 {
		var u unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return float64(u.Utime.Nano()+u.Stime.Nano()) / 1000
	}
	from := now()
	return func(ops int) { b.ReportMetric((now()-from)/float64(ops), "cpu-µs/item") }
}

// reportCPU is reportCPU with the processor time of the engine's own processes beside.
func (e engine) reportCPU(b *testing.B) func(ops int) {
	b.Helper()
	report := reportCPU(b)
	if e.server == nil {
		return report
	}
	from := e.server.CPU(b)
	return func(ops int) {
		report(ops)
		b.ReportMetric(float64((e.server.CPU(b)-from).Microseconds())/float64(ops), "db-cpu-µs/item")
	}
}

// benchFlush is a flush of n new jobs, and the same jobs ended.
func benchFlush(seq, first uint64, n int, keyed bool) (begun, over store.Flush) {
	r := rand.New(rand.NewPCG(first, 1))
	begun.Seq, over.Seq = seq, seq+1
	blob := make([]byte, 200)
	begun.Specs = []store.SpecRow{{Job: first, Hash: [32]byte{1}, Blob: []byte(`{"run":"true"}`)}}
	for i := range n {
		j := store.JobRow{
			ID: first + uint64(i), Live: true, Changed: seq, Namespace: "default", Queue: "default", Name: "no-op",
			State: 1, Submitted: 1_700_000_000_000, Spec: [32]byte{1}, Blob: blob,
		}
		if keyed {
			j.KeyHash = r.Uint64() | 1
		}
		begun.Jobs = append(begun.Jobs, j)
		j.Live, j.State, j.Changed, j.Ended = false, 3, seq+1, j.Submitted+9
		j.KeepUntil = j.Ended + 30*24*3600*1000
		over.Jobs = append(over.Jobs, j)
	}
	return begun, over
}

// BenchmarkFlush is what a job costs the tables: a row when it begins and the same
// row when it has ended, in transactions of so many, with the Durable that follows.
func BenchmarkFlush(b *testing.B) { each(b, benchmarkFlush) }

func benchmarkFlush(b *testing.B, e engine) {
	for _, n := range []int{1024, 10_000} {
		for _, keyed := range []bool{false, true} {
			b.Run(fmt.Sprintf("jobs=%d/keyed=%t", n, keyed), func(b *testing.B) { benchmarkFlushOf(b, e, n, keyed) })
		}
	}
}

func benchmarkFlushOf(b *testing.B, e engine, n int, keyed bool) {
	s := e.open(b)
	report := e.reportCPU(b)
	seq, id, rows := uint64(1), uint64(1), 0
	for b.Loop() {
		b.StopTimer()
		begun, over := benchFlush(seq, id, n, keyed)
		b.StartTimer()
		for _, f := range []*store.Flush{&begun, &over} {
			if err := s.Tables().Flush(b.Context(), f); err != nil {
				b.Fatal(err)
			}
		}
		seq += 2
		id += uint64(n)
		rows += 2 * n
		if seq%32 == 1 {
			if _, err := s.Tables().Durable(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	}
	report(rows)
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}

// filled is a store with n jobs, all live or all ended.
func (e engine) filled(b *testing.B, n int, live bool) *Store {
	b.Helper()
	s := e.open(b)
	seq, payload := uint64(1), make([]byte, 300)
	for id := 1; id <= n; id += 1024 {
		begun, over := benchFlush(seq, uint64(id), min(1024, n-id+1), true)
		f := &begun
		if !live {
			over.Specs, f = begun.Specs, &over
		}
		for i := range f.Jobs {
			f.Jobs[i].Payload = payload
		}
		if err := s.Tables().Flush(b.Context(), f); err != nil {
			b.Fatal(err)
		}
		seq += 2
	}
	return s
}

type counting struct{ jobs int }

func (c *counting) Object(store.ObjectRow) error { return nil }
func (c *counting) Spec(store.SpecRow) error     { return nil }
func (c *counting) Part(store.PartRow) error     { return nil }
func (c *counting) Job(store.JobRow) error       { c.jobs++; return nil }

// BenchmarkLoad is a recovery of 100,000 live jobs.
func BenchmarkLoad(b *testing.B) { each(b, benchmarkLoad) }

func benchmarkLoad(b *testing.B, e engine) {
	const n = 100_000
	s := e.filled(b, n, true)
	report := e.reportCPU(b)
	for b.Loop() {
		var c counting
		if _, err := s.Tables().Load(b.Context(), &c); err != nil || c.jobs != n {
			b.Fatal(c.jobs, err)
		}
	}
	report(n * b.N)
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
}

// BenchmarkHistory is what readers ask, over 100,000 jobs of the past.
func BenchmarkHistory(b *testing.B) { each(b, benchmarkHistory) }

func benchmarkHistory(b *testing.B, e engine) {
	const n = 100_000
	s := e.filled(b, n, false)
	h := s.History()
	r := rand.New(rand.NewPCG(1, 2))
	reads := []struct {
		name string
		read func(ctx context.Context) error
	}{
		{"job", func(ctx context.Context) error {
			_, _, err := h.Job(ctx, 1+r.Uint64N(n))
			return err
		}},
		{"key", func(ctx context.Context) error {
			_, _, err := h.JobsByKey(ctx, store.Latest, []uint64{r.Uint64()})
			return err
		}},
		{"keys", func(ctx context.Context) error {
			var keys [1000]uint64
			for i := range keys {
				keys[i] = r.Uint64()
			}
			_, _, err := h.JobsByKey(ctx, store.Latest, keys[:])
			return err
		}},
		{"payloads", func(ctx context.Context) error {
			var ids [256]uint64
			for i, first := 0, 1+r.Uint64N(n-256); i < len(ids); i++ {
				ids[i] = first + uint64(i)
			}
			_, err := h.Payloads(ctx, ids[:])
			return err
		}},
		{"page", func(ctx context.Context) error {
			_, err := h.Jobs(ctx, store.Query{Limit: 100})
			return err
		}},
		{"scan", func(ctx context.Context) error {
			_, err := h.Jobs(ctx, store.Query{Limit: 100, Name: "absent"})
			return err
		}},
	}
	for _, q := range reads {
		b.Run(q.name, func(b *testing.B) {
			report := e.reportCPU(b)
			for b.Loop() {
				if err := q.read(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			report(b.N)
		})
	}
}
