package sqlstore

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/reeve-scheduler/reeve/internal/store"
	"github.com/reeve-scheduler/reeve/internal/store/pgtest"
	"github.com/reeve-scheduler/reeve/internal/store/sqlstore/postgres"
	"github.com/reeve-scheduler/reeve/internal/store/storetest"
)

func TestPostgresConformance(t *testing.T) {
	server := pgtest.Start(t, pgtest.Config{})
	storetest.Run(t, func(t *testing.T) storetest.Opened { return sharing(t, server.Database(t)) })
}

// connected opens a store in a database of PostgreSQL that the test closes, unless it is closed before.
func connected(t testing.TB, url string) *Store {
	t.Helper()
	s, err := OpenPostgres(t.Context(), PostgresOptions{Options: postgres.Options{URL: url}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		select {
		case <-s.journal.db.closed:
		default:
			s.Close()
		}
	})
	return s
}

func sharing(t *testing.T, url string) storetest.Opened {
	s := connected(t, url)
	s.tables.scan = 37
	again := func(t *testing.T) storetest.Opened { return sharing(t, url) }
	return storetest.Opened{
		Journal: s.Journal(), Tables: s.Tables(), History: s.History(), Cluster: s.Cluster(), Archive: s,
		Reopen: func(t *testing.T) storetest.Opened {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			return again(t)
		},
		Crash: again,
	}
}

// TestPostgresPlans holds that no statement walks a whole table, whether or not the server has
// statistics of it yet.
func TestPostgresPlans(t *testing.T) {
	server := pgtest.Start(t, pgtest.Config{Settings: []string{"autovacuum=off"}})
	url := server.Database(t)
	s := connected(t, url)
	const n = 20_000
	seq := uint64(0)
	for first := uint64(1); first <= n; first += 1000 {
		seq++
		insist(t, s, numbered(seq, 100))
		begun, over := benchFlush(seq, first, 1000, true)
		f := &over
		f.Seq, f.Specs = seq, begun.Specs
		for i := range f.Jobs {
			if i%500 == 0 {
				f.Jobs[i] = begun.Jobs[i]
			}
			for part := range 5 {
				f.Parts = append(f.Parts, store.PartRow{Job: f.Jobs[i].ID, Kind: store.PartChunk, N: uint64(part), Blob: make([]byte, 50)})
			}
		}
		if err := s.Tables().Flush(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
	numbers := func(ns ...int64) (args []any) {
		for _, n := range ns {
			args = append(args, n)
		}
		return args
	}
	page := []any{int64(n), int64(n - 100), []byte{}, []byte{}, []byte{}, []byte{}, []byte{}, []byte{}}
	tests := []struct {
		text string
		args []any
	}{
		{selectLive, numbers(5000, 256)},
		{selectLiveParts, numbers(5000, 9000, 2)},
		{selectJob, numbers(77)},
		{selectWindow, numbers(n, 200)},
		{selectPage, append(page, numbers(0, 0, 0, 0, 0, 0, 0, 0)...)},
		{selectParts, numbers(77, 0, 1, 0, 10)},
		{selectSpec, []any{make([]byte, 32)}},
		{byKeys(200), numbers(make([]int64, 200)...)},
		{payloadsOf(200), numbers(make([]int64, 200)...)},
		{selectPast, numbers(1, 1, 10)},
		{selectBatches, numbers(2, 10)},
		{selectLast, nil},
		{selectBounds, nil},
	}
	for _, analyzed := range []bool{false, true} {
		if analyzed {
			server.Exec(t, url, "ANALYZE")
		}
		for _, tt := range tests {
			err := s.tables.db.read(t.Context(), func(ctx context.Context, r *session) error {
				var plan []string
				err := r.query(ctx, statement{text: "EXPLAIN " + tt.text, partition: 1}, func(rows row) (bool, error) {
					var line string
					err := rows.Scan(&line)
					plan = append(plan, line)
					return true, err
				}, tt.args...)
				if all := strings.Join(plan, "\n"); strings.Contains(all, "Seq Scan") || strings.Contains(all, "Sort") {
					t.Errorf("analyzed: %t\n%s\nis planned as\n%s", analyzed, tt.text, all)
				}
				return err
			})
			if err != nil {
				t.Errorf("%s: %v", tt.text, err)
			}
		}
	}
}

// TestNoConnectionsLeft lets others take all connections that the database gives: a store that
// has its own goes on with all it does, one that has none is told, and is served when there are some.
func TestNoConnectionsLeft(t *testing.T) {
	server := pgtest.Start(t, pgtest.Config{Settings: []string{"max_connections=30"}})
	url := server.Database(t)
	s := connected(t, url)
	seq := uint64(0)
	work := func() {
		t.Helper()
		seq++
		if err := s.Journal().Append(t.Context(), numbered(seq, 1000)); err != nil {
			t.Fatal(err)
		}
		begun, _ := benchFlush(seq, seq*100, 100, true)
		begun.ID = numbered(seq, 1).ID
		if err := s.Tables().Flush(t.Context(), &begun); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Cluster().Claim(t.Context(), [16]byte{1}, "https://1", 1e9); err != nil {
			t.Fatal(err)
		}
		holds(t, s, seq)
	}
	for range 4 { // each connection is made when it is first needed, and kept
		work()
	}
	var others []*pgx.Conn
	for {
		c, err := pgx.Connect(t.Context(), url)
		if err != nil {
			if !strings.Contains(err.Error(), "53300") {
				t.Fatalf("after %d connections: %v, want that there are too many", len(others), err)
			}
			break
		}
		others = append(others, c)
	}
	release := func() {
		for _, c := range others {
			if err := c.Close(context.WithoutCancel(t.Context())); err != nil {
				t.Error(err)
			}
		}
		others = nil
	}
	defer release()

	work()
	work()
	open := func() error {
		another, err := OpenPostgres(t.Context(), PostgresOptions{Options: postgres.Options{URL: url}})
		if err != nil {
			return err
		}
		return another.Close()
	}
	if err := open(); !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "53300") {
		t.Errorf("a store is opened: %v, want %v with the reason", err, store.ErrUnavailable)
	}
	release()
	for err := open(); err != nil; err = open() { // until the last one is gone
		if !errors.Is(err, store.ErrUnavailable) || t.Context().Err() != nil {
			t.Fatalf("with room again: %v", err)
		}
	}
}
