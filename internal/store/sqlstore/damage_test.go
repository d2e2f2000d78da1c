package sqlstore

import (
	"bytes"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/reeve-scheduler/reeve/internal/store"
	"github.com/reeve-scheduler/reeve/internal/store/sqlstore/file"
)

// written leaves a closed store in which batch 2 holds "second payload" and job 1
// "state of the job".
func written(t *testing.T) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "data")
	s := openIn(t, dir)
	last := [16]byte{}
	for seq, payload := range []string{"first payload", "second payload", "third payload"} {
		b := store.Batch{Seq: uint64(seq + 1), Epoch: 7, ID: [16]byte{byte(seq + 1)}, Prev: last, Payload: []byte(payload)}
		last = b.ID
		if err := s.Journal().Append(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	err := s.Tables().Flush(t.Context(), &store.Flush{
		Seq: 3, Objects: []store.ObjectRow{{Kind: 1, Key: "queue", Blob: []byte("state of the queue")}},
		Jobs:  []store.JobRow{{ID: 1, Live: true, Spec: [32]byte{9}, Blob: []byte("state of the job")}},
		Parts: []store.PartRow{{Job: 1, Kind: store.PartChunk, Blob: []byte("state of the part")}},
		Specs: []store.SpecRow{{Hash: [32]byte{9}, Blob: []byte("text of the spec")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// edit changes a file's bytes.
func edit(t *testing.T, path string, change func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, change(b), 0o600); err != nil {
		t.Fatal(err)
	}
}

// flip changes one bit of the one place where text stands.
func flip(t *testing.T, path, text string) {
	t.Helper()
	edit(t, path, func(b []byte) []byte {
		at := bytes.Index(b, []byte(text))
		if at < 0 || bytes.Contains(b[at+1:], []byte(text)) {
			t.Fatalf("%q doesn't stand once in %s", text, path)
		}
		b[at+3] ^= 0x10
		return b
	})
}

// update changes columns of the jobs of a closed store's tables, as a flipped bit does.
func update(t *testing.T, path, columns string) {
	t.Helper()
	db, err := sql.Open("sqlite", file.DataSource(path, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "UPDATE jobs_1 SET "+columns); err != nil {
		t.Fatal(err)
	}
}

// TestDamage holds that damaged bytes are found and named, at the latest when they
// are read.
func TestDamage(t *testing.T) {
	readBatches := func(t *testing.T, s *Store) error {
		_, err := s.Journal().Read(t.Context(), 1, 1<<20)
		return err
	}
	loadAll := func(t *testing.T, s *Store) error {
		_, err := s.Tables().Load(t.Context(), &counting{})
		return err
	}
	readJob := func(t *testing.T, s *Store) error {
		_, _, err := s.History().Job(t.Context(), 1)
		return err
	}
	tests := []struct {
		name, file string
		change     func(t *testing.T, path string)
		read       func(t *testing.T, s *Store) error // nil: opening must fail
		want       string
	}{
		{"batch", "journal.db", func(t *testing.T, p string) { flip(t, p, "second payload") }, readBatches, "batch 2"},
		{"newest batch", "journal.db", func(t *testing.T, p string) { flip(t, p, "third payload") }, nil, "batch 3"},
		{"object", "tables.db", func(t *testing.T, p string) { flip(t, p, "state of the queue") }, loadAll, `object 1 "queue"`},
		{"job", "tables.db", func(t *testing.T, p string) { flip(t, p, "state of the job") }, loadAll, "job 1"},
		{"whether a job lives", "tables.db", func(t *testing.T, p string) { update(t, p, "live = 0") }, readJob, "job 1"},
		{"a job's state", "tables.db", func(t *testing.T, p string) { update(t, p, "state = state + 1") }, readJob, "job 1"},
		{"a job's retention", "tables.db", func(t *testing.T, p string) { update(t, p, "keep_until = 1") }, readJob, "job 1"},
		{"a job's namespace", "tables.db", func(t *testing.T, p string) { update(t, p, "namespace = 'x'") }, readJob, "job 1"},
		{"a job's spec", "tables.db", func(t *testing.T, p string) { update(t, p, "spec = zeroblob(32)") }, readJob, "job 1"},
		{"part", "tables.db", func(t *testing.T, p string) { flip(t, p, "state of the part") }, loadAll, "of job 1"},
		{"spec", "tables.db", func(t *testing.T, p string) { flip(t, p, "text of the spec") }, loadAll, "spec 09"},
		{"journal gone", "journal.db", func(t *testing.T, p string) { os.Remove(p) }, nil, "there are rows up to 3 and no journal"},
		{"journal cut off", "journal.db", func(t *testing.T, p string) {
			edit(t, p, func(b []byte) []byte { return b[:4096] })
		}, nil, "journal"},
		{"tables cut off", "tables.db", func(t *testing.T, p string) {
			edit(t, p, func(b []byte) []byte { return b[:2*4096] })
		}, nil, "tables"},
		{"no database", "tables.db", func(t *testing.T, p string) {
			edit(t, p, func([]byte) []byte { return []byte("something else") })
		}, nil, "isn't an SQLite file"},
		{"another program's", "journal.db", func(t *testing.T, p string) {
			edit(t, p, func(b []byte) []byte { b[68]++; return b })
		}, nil, "another program"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := written(t)
			tt.change(t, filepath.Join(dir, tt.file))
			if tt.read == nil {
				// Twice: a failed opening lets go of the directory.
				for range 2 {
					_, err := OpenSQLite(t.Context(), dir, Options{})
					if !errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), tt.want) {
						t.Errorf("OpenSQLite: %v, want %v with %q", err, store.ErrCorrupt, tt.want)
					}
				}
				return
			}
			err := tt.read(t, openIn(t, dir))
			if !errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %v with %q", err, store.ErrCorrupt, tt.want)
			}
		})
	}
}

// TestADamagedPayloadIsNone: it is left out, and hides neither its job nor others'.
func TestADamagedPayloadIsNone(t *testing.T) {
	for name, change := range map[string]string{
		"a bit":         "payload = CAST(payload AS TEXT) || 'x' WHERE id = 2",
		"another's":     "payload = (SELECT payload FROM jobs_1 WHERE id = 1) WHERE id = 2",
		"its checksum":  "payload = x'00000000' || substr(payload, 5) WHERE id = 2",
		"nearly all":    "payload = x'ff' WHERE id = 2",
		"all of it":     "payload = NULL WHERE id = 2",
		"not even that": "payload = x'' WHERE id = 2",
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			s := openIn(t, dir)
			flush := &store.Flush{Seq: 1, Specs: []store.SpecRow{{Hash: [32]byte{9}}}}
			for id := uint64(1); id <= 3; id++ {
				flush.Jobs = append(flush.Jobs, store.JobRow{ID: id, Live: true, Spec: [32]byte{9}, Payload: []byte("what is to be done")})
			}
			if err := s.Journal().Append(t.Context(), numbered(1, 10)); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(s.Tables().Flush(t.Context(), flush), s.Close()); err != nil {
				t.Fatal(err)
			}
			update(t, filepath.Join(dir, "tables.db"), change)
			s = openIn(t, dir)
			got, err := s.History().Payloads(t.Context(), []uint64{1, 2, 3})
			if err != nil || len(got) != 2 || string(got[1]) != "what is to be done" || string(got[3]) != "what is to be done" {
				t.Errorf("Payloads = %v, %v; want those of 1 and 3", got, err)
			}
			if _, _, err := s.History().Job(t.Context(), 2); err != nil {
				t.Errorf("Job: %v", err)
			}
		})
	}
}

// TestADamagedRowHidesNoOthers: a list names it, and goes on.
func TestADamagedRowHidesNoOthers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := openIn(t, dir)
	flush := &store.Flush{Seq: 1, Specs: []store.SpecRow{{Hash: [32]byte{9}, Blob: []byte("text of the spec")}}}
	for id := range uint64(5) {
		flush.Jobs = append(flush.Jobs, store.JobRow{ID: id + 1, Namespace: "default", Spec: [32]byte{9}, Blob: []byte("state")})
	}
	if err := s.Journal().Append(t.Context(), numbered(1, 10)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Tables().Flush(t.Context(), flush), s.Close()); err != nil {
		t.Fatal(err)
	}
	update(t, filepath.Join(dir, "tables.db"), "state = 4 WHERE id = 2")
	update(t, filepath.Join(dir, "tables.db"), "labels = x'ff' WHERE id = 4")
	page, err := openIn(t, dir).History().Jobs(t.Context(), store.Query{Namespace: "default", Limit: 3, WithBlobs: true})
	if err != nil {
		t.Fatal(err)
	}
	var ids []uint64
	for _, j := range page.Rows {
		ids = append(ids, j.ID)
	}
	if !slices.Equal(ids, []uint64{5, 3, 1}) || !slices.Equal(page.Damaged, []uint64{4, 2}) {
		t.Errorf("jobs %v, and damaged %v; want 5, 3, 1 and 4, 2", ids, page.Damaged)
	}
}

// TestLostLog cuts the end off a journal's write-ahead log, which SQLite by itself
// takes for a log that ended earlier.
func TestLostLog(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := openIn(t, dir)
	for seq := uint64(1); seq <= 10; seq++ {
		if err := s.Journal().Append(t.Context(), numbered(seq, 1000)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Tables().Flush(t.Context(), &store.Flush{Seq: 9}); err != nil {
		t.Fatal(err)
	}
	crashed := copyDir(t, dir)
	edit(t, filepath.Join(crashed, "journal.db-wal"), func(b []byte) []byte { return b[:len(b)*2/3] })
	if _, err := OpenSQLite(t.Context(), crashed, Options{}); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("OpenSQLite: %v, want %v", err, store.ErrCorrupt)
	}
}

// TestHole takes a batch out of the middle.
func TestHole(t *testing.T) {
	dir := written(t)
	alter(t, filepath.Join(dir, "journal.db"), "DELETE FROM journal WHERE seq = 2")
	_, err := openIn(t, dir).Journal().Read(t.Context(), 1, 1<<20)
	if !errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), "no batch 2") {
		t.Errorf("Read: %v, want %v", err, store.ErrCorrupt)
	}
}

func TestNewerSchema(t *testing.T) {
	dir := written(t)
	alter(t, filepath.Join(dir, "tables.db"), "INSERT INTO schema_versions (version, name) VALUES (99, 'future')")
	_, err := OpenSQLite(t.Context(), dir, Options{})
	if err == nil || errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), "schema version 99") {
		t.Errorf("OpenSQLite: %v, want a refusal of schema version 99", err)
	}
}

// alter runs a statement on a file behind the store's back.
func alter(t *testing.T, path, text string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), text); err != nil {
		t.Fatal(err)
	}
}
