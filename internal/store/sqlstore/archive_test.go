package sqlstore

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/reeve-scheduler/reeve/internal/store"
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
	insist(t, s, numbered(1, 100))
	f, _ := benchFlush(1, 1, 10, true)
	f.Jobs[3].Payload = []byte("payload")
	if err := s.Tables().Flush(t.Context(), &f); err != nil {
		t.Fatal(err)
	}
	return s
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
