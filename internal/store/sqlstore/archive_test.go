package sqlstore

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/reeve-scheduler/reeve/internal/store"
	"github.com/reeve-scheduler/reeve/internal/store/pgtest"
	"github.com/reeve-scheduler/reeve/internal/store/sqlstore/postgres"
)

// direct hands a dump on.
type direct struct {
	store.Copier

	batches int
	stop    error // instead of the first batch
}

func (d *direct) Batch(b store.Batch) error {
	if d.stop != nil {
		return d.stop
	}
	d.batches++
	return d.Copier.Batch(b)
}

// full returns a store with a job that has a payload.
func full(t *testing.T) *Store {
	t.Helper()
	s := openIn(t, filepath.Join(t.TempDir(), "full"))
	fillSome(t, s)
	return s
}

// fillSome writes ten jobs, one of them with a payload, and a batch.
func fillSome(t *testing.T, s *Store) {
	t.Helper()
	insist(t, s, numbered(1, 100))
	f, _ := benchFlush(1, 1, 10, true)
	f.Jobs[3].Payload = []byte("payload")
	if err := s.Tables().Flush(t.Context(), &f); err != nil {
		t.Fatal(err)
	}
}

// TestHalfFilled holds that rows without their journal, which is what a crash in the middle of a
// fill leaves, are not taken for a store.
func TestHalfFilled(t *testing.T) {
	from, dir := full(t), filepath.Join(t.TempDir(), "half")
	to := openIn(t, dir)
	if err := to.Fill(t.Context(), func(c store.Copier) error { return from.Dump(t.Context(), &direct{Copier: c}) }); err != nil {
		t.Fatal(err)
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"journal.db", "journal.db-wal", "journal.db-shm"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	_, err := OpenSQLite(t.Context(), dir, Options{})
	if !errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), "a restore was broken off") {
		t.Errorf("half a store is opened: %v", err)
	}
}

// TestDumpFindsDamage holds that a row which is not what was written is in no copy.
func TestDumpFindsDamage(t *testing.T) {
	for _, damage := range []string{
		`UPDATE jobs_1 SET body = CAST('x' AS BLOB) WHERE id = 2`, `UPDATE jobs_1 SET payload = CAST('abcdx' AS BLOB) WHERE id = 4`,
		`UPDATE specs_1 SET body = CAST('x' AS BLOB)`,
	} {
		s := full(t)
		err := s.tables.db.write(t.Context(), func(ctx context.Context, w *session) error {
			_, err := w.conn.ExecContext(ctx, damage)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		into := openIn(t, filepath.Join(t.TempDir(), "copy"))
		err = into.Fill(t.Context(), func(c store.Copier) error { return s.Dump(t.Context(), &direct{Copier: c}) })
		if !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("after %s: a dump ends with %v", damage, err)
		}
	}
}

// rows counts what a dump hands over.
type rows struct{ jobs, batches int }

func (r *rows) Flush(f *store.Flush) error { r.jobs += len(f.Jobs); return nil }

func (r *rows) Batch(store.Batch) error { r.batches++; return nil }

func (r *rows) Secret(string, []byte) error { return nil }

// TestReaders holds that a store can be read beside the one who has it open, and that nothing is
// made where none is.
func TestReaders(t *testing.T) {
	read := func(t *testing.T, r *Reader, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		var got rows
		if err := r.Dump(t.Context(), &got); err != nil || got != (rows{10, 1}) {
			t.Errorf("a reader has %+v: %v", got, err)
		}
	}
	t.Run("SQLite", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "none")
		if _, err := ReadSQLite(t.Context(), dir, false); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a store that is not there is read: %v", err)
		}
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("reading has made %s: %v", dir, err)
		}
		dir = filepath.Join(t.TempDir(), "data")
		s := openIn(t, dir)
		fillSome(t, s)
		r, err := ReadSQLite(t.Context(), dir, false)
		read(t, r, err)
		if _, err := ReadSQLite(t.Context(), dir, true); !errors.Is(err, store.ErrLocked) {
			t.Errorf("a store that another has open is read alone: %v", err)
		}
		insist(t, s, numbered(2, 100)) // as if nobody had looked
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = openIn(t, dir)
		if _, last, err := s.Journal().Bounds(t.Context()); err != nil || last != 2 {
			t.Errorf("afterwards the journal ends at %d: %v", last, err)
		}
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		server := pgtest.Start(t, pgtest.Config{})
		o := PostgresOptions{Options: postgres.Options{URL: server.Database(t)}}
		for range 2 {
			if _, err := ReadPostgres(t.Context(), o); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("a store that is not there is read: %v", err)
			}
		}
		fillSome(t, connected(t, o.URL))
		r, err := ReadPostgres(t.Context(), o)
		read(t, r, err)
	})
}
