package sqlstore

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/store"
)

// span is a partition as a test sees it.
type span struct{ First, Day, Jobs int64 }

// spans reads the partitions and counts their jobs.
func spans(t *testing.T, s *Store) (all []span) {
	t.Helper()
	err := s.tables.db.read(t.Context(), func(ctx context.Context, r *session) error {
		if err := r.refresh(ctx); err != nil {
			return err
		}
		for _, p := range r.layout.parts {
			var n integer
			if err := r.row(ctx, statement{text: "SELECT count(*) FROM jobs_{{n}}", partition: p.number}, nil, &n); err != nil {
				return err
			}
			all = append(all, span{p.first, p.begins / 86_400_000, int64(n)})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestPartitions holds which job begins a partition and which job goes where.
func TestPartitions(t *testing.T) {
	s := openIn(t, t.TempDir())
	const day = 86_400_000
	seq := uint64(0)
	write := func(jobs ...store.JobRow) {
		t.Helper()
		seq++
		if err := s.Tables().Flush(t.Context(), &store.Flush{Seq: seq, Jobs: jobs}); err != nil {
			t.Fatal(err)
		}
	}
	job := func(id uint64, submitted int64) store.JobRow { return store.JobRow{ID: id, Submitted: submitted} }
	steps := []struct {
		name string
		jobs []store.JobRow
		want []span
	}{
		{"the first job", []store.JobRow{job(10, day)}, []span{{10, 1, 1}}},
		{"more of its day", []store.JobRow{job(11, 2*day-1), job(20, day)}, []span{{10, 1, 3}}},
		{"the next day in the middle of a flush", []store.JobRow{job(21, day), job(22, 2*day), job(23, 2*day)}, []span{{10, 1, 4}, {22, 2, 2}}},
		{"a clock that goes back", []store.JobRow{job(24, day)}, []span{{10, 1, 4}, {22, 2, 3}}},
		{"old jobs again, of both days", []store.JobRow{job(20, day), job(22, 2*day)}, []span{{10, 1, 4}, {22, 2, 3}}},
		{"old and new jobs", []store.JobRow{job(10, day), job(23, 2*day), job(30, 9*day)}, []span{{10, 1, 4}, {22, 2, 3}, {30, 9, 1}}},
		{"a job from before the first", []store.JobRow{job(5, 0)}, []span{{5, 0, 1}, {10, 1, 4}, {22, 2, 3}, {30, 9, 1}}},
	}
	for _, st := range steps {
		write(st.jobs...)
		if d := cmp.Diff(st.want, spans(t, s)); d != "" {
			t.Errorf("%s (-want +got):\n%s", st.name, d)
		}
	}
}

// TestSpans changes the span of partitions from start to start: whatever it was, a job
// that was submitted in a later span than the last partition's begins one.
func TestSpans(t *testing.T) {
	dir := t.TempDir()
	seq := uint64(0)
	for _, st := range []struct {
		span      time.Duration
		submitted time.Duration
		want      int
	}{
		{10 * time.Second, 0, 1},
		{10 * time.Second, 9 * time.Second, 1},
		{10 * time.Second, 10 * time.Second, 2},
		{24 * time.Hour, time.Minute, 2},
		{24 * time.Hour, 24 * time.Hour, 3},
		{time.Hour, 24*time.Hour + 59*time.Minute, 3},
		{time.Hour, 25 * time.Hour, 4},
	} {
		s := openWith(t, dir, Options{Span: st.span})
		seq++
		b := store.Batch{Seq: seq, Epoch: 1, ID: [16]byte{byte(seq)}, Prev: [16]byte{byte(seq - 1)}, Payload: []byte{1}}
		if err := s.Journal().Append(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		if err := s.Tables().Flush(t.Context(), &store.Flush{Seq: seq, Jobs: []store.JobRow{{ID: seq, Submitted: st.submitted.Milliseconds()}}}); err != nil {
			t.Fatal(err)
		}
		if got := len(spans(t, s)); got != st.want {
			t.Errorf("a job at %s in spans of %s: %d partitions, want %d", st.submitted, st.span, got, st.want)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFailedFlushLeavesNoPartition fails a flush after it began a partition, and
// then does without it.
func TestFailedFlushLeavesNoPartition(t *testing.T) {
	s := openIn(t, t.TempDir())
	const day = 86_400_000
	bad := store.Flush{Seq: 1, Jobs: []store.JobRow{{ID: 1}, {ID: 2, Submitted: day}, {ID: 3, Submitted: 2 * day, Spec: [32]byte{1}}}}
	if err := s.Tables().Flush(t.Context(), &bad); err == nil {
		t.Fatal("a flush without a spec was taken")
	}
	if got := spans(t, s); got != nil {
		t.Errorf("partitions %v after a refused flush, want none", got)
	}
	good := store.Flush{Seq: 1, Jobs: []store.JobRow{{ID: 1, Submitted: day}}}
	if err := s.Tables().Flush(t.Context(), &good); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]span{{1, 1, 1}}, spans(t, s)); d != "" {
		t.Errorf("partitions (-want +got):\n%s", d)
	}
}

// TestRetainDropsTables holds that what retention leaves behind is exactly the
// tables of the partitions that are left.
func TestRetainDropsTables(t *testing.T) {
	s := openIn(t, t.TempDir())
	const day = 86_400_000
	var f store.Flush
	f.Seq = 1
	for id := uint64(1); id <= 40; id++ {
		f.Jobs = append(f.Jobs, store.JobRow{ID: id, Submitted: int64(id/10) * day, KeepUntil: int64(id) * day})
	}
	if err := s.Tables().Flush(t.Context(), &f); err != nil {
		t.Fatal(err)
	}
	steps := []struct {
		now     int64 // days
		dropped int
		want    []span
	}{
		{1, 0, []span{{1, 0, 9}, {10, 1, 10}, {20, 2, 10}, {30, 3, 10}, {40, 4, 1}}},
		{5, 0, []span{{1, 0, 9}, {10, 1, 10}, {20, 2, 10}, {30, 3, 10}, {40, 4, 1}}},
		{6, 5, []span{{1, 0, 4}, {10, 1, 10}, {20, 2, 10}, {30, 3, 10}, {40, 4, 1}}},
		{25, 4 + 10 + 5, []span{{20, 2, 5}, {30, 3, 10}, {40, 4, 1}}},
		{38, 5, []span{{30, 3, 10}, {40, 4, 1}}}, // the last one of the fourth goes in a day
		{41, 11, nil},
	}
	for _, st := range steps {
		n, err := s.Tables().Retain(t.Context(), time.UnixMilli(st.now*day), nil)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(st.want, spans(t, s)); d != "" || n != st.dropped {
			t.Errorf("on day %d %d jobs were dropped, want %d; partitions (-want +got):\n%s", st.now, n, st.dropped, d)
		}
		var tables integer
		err = s.tables.db.read(t.Context(), func(ctx context.Context, r *session) error {
			return r.row(ctx, statement{text: `SELECT count(*) FROM sqlite_schema WHERE type = 'table'
AND (name LIKE 'jobs!_%' ESCAPE '!' OR name LIKE 'parts!_%' ESCAPE '!' OR name LIKE 'specs!_%' ESCAPE '!')`}, nil, &tables)
		})
		if err != nil || int(tables) != 3*len(st.want) {
			t.Errorf("%d tables for %d partitions (%v)", tables, len(st.want), err)
		}
	}
}

// TestKeysOverManyPartitions looks a key up in more partitions than one statement
// joins.
func TestKeysOverManyPartitions(t *testing.T) {
	s := openIn(t, t.TempDir())
	const day, n = 86_400_000, maxTerms + 20
	var f store.Flush
	f.Seq = 1
	for id := uint64(1); id <= n; id++ {
		f.Jobs = append(f.Jobs, store.JobRow{ID: id, Submitted: int64(id) * day, KeyHash: id%2 + 1})
	}
	if err := s.Tables().Flush(t.Context(), &f); err != nil {
		t.Fatal(err)
	}
	rows, _, err := s.History().JobsByKey(t.Context(), store.Latest, []uint64{2})
	if err != nil || len(rows) != n/2 {
		t.Fatalf("%d jobs, want %d (%v)", len(rows), n/2, err)
	}
	for i, r := range rows {
		if r.ID != uint64(2*i+1) {
			t.Fatalf("job %d at %d, want %d", r.ID, i, 2*i+1)
		}
	}
}
