package sqlstore

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/store"
	"github.com/reeve-scheduler/reeve/internal/store/sqlstore/file"
)

// TestFiles holds that nobody but the owner reads the data, and that the files are
// told for Reeve's.
func TestFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", `odd ?#%41 "größe'`, "data")
	s := openIn(t, dir)
	if err := s.Journal().Append(t.Context(), numbered(1, 10)); err != nil {
		t.Fatal(err)
	}
	if err := s.Tables().Flush(t.Context(), &store.Flush{Seq: 1}); err != nil {
		t.Fatal(err)
	}
	modes := map[string]os.FileMode{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		modes[e.Name()] = info.Mode()
	}
	want := map[string]os.FileMode{"lock": 0o600}
	for _, name := range []string{"journal.db", "tables.db"} {
		want[name], want[name+"-wal"], want[name+"-shm"] = 0o600, 0o600, 0o600
	}
	if d := cmp.Diff(want, modes); d != "" {
		t.Errorf("files (-want +got):\n%s", d)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory has mode %v, want 0700 (%v)", info.Mode(), err)
	}
}

// TestSettings holds that each session has the settings that promises stand on.
func TestSettings(t *testing.T) {
	s := openIn(t, t.TempDir())
	type settings struct {
		Mode                                               string
		Synchronous, Auto, QueryOnly, Application, Version int64
	}
	look := func(ctx context.Context, s *session) (got settings, err error) {
		for text, dest := range map[string]any{
			"PRAGMA journal_mode": &got.Mode, "PRAGMA synchronous": &got.Synchronous,
			"PRAGMA wal_autocheckpoint": &got.Auto, "PRAGMA query_only": &got.QueryOnly,
			"PRAGMA application_id": &got.Application, "PRAGMA user_version": &got.Version,
		} {
			err = errors.Join(err, s.row(ctx, statement{text: text}, nil, dest))
		}
		return got, err
	}
	tests := []struct {
		name string
		db   *database
		sync int64
		// version is the schema's.
		version int64
	}{{"journal", s.journal.db, 2, 2}, {"tables", s.tables.db, 1, 1}}
	for _, tt := range tests {
		want := settings{Mode: "wal", Synchronous: tt.sync, Auto: 65536, Application: file.ApplicationID, Version: tt.version}
		err := tt.db.write(t.Context(), func(ctx context.Context, s *session) error {
			got, err := look(ctx, s)
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%s, writer (-want +got):\n%s", tt.name, d)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
		err = tt.db.read(t.Context(), func(ctx context.Context, s *session) error {
			got, err := look(ctx, s)
			if got.QueryOnly != 1 || got.Mode != "wal" {
				t.Errorf("%s: a reader has query_only %d, journal_mode %s", tt.name, got.QueryOnly, got.Mode)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// TestPlans holds that no statement walks a whole table or sorts where an index
// gives the order.
func TestPlans(t *testing.T) {
	s := openIn(t, t.TempDir())
	begun, _ := benchFlush(1, 1, 100, true)
	if err := s.Tables().Flush(t.Context(), &begun); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		text string
		db   *database
		want []string
	}{
		{selectLive, s.tables.db, []string{"SEARCH jobs_1 USING INDEX jobs_1_live (live=? AND id>?)"}},
		{selectLiveParts, s.tables.db, []string{"SEARCH parts_1 USING INDEX sqlite_autoindex_parts_1_1 (job=?)", "jobs_1_live (live=? AND id>? AND id<?)"}},
		{selectAnyLive, s.tables.db, []string{"jobs_1_live (live=?)"}},
		{selectJob, s.tables.db, []string{"USING INTEGER PRIMARY KEY (rowid=?)"}},
		{selectPage, s.tables.db, []string{"USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"}},
		{selectParts, s.tables.db, []string{"(job=? AND task=? AND kind=? AND n>?)"}},
		{selectSpec, s.tables.db, []string{"(hash=?)"}},
		{selectBatches, s.journal.db, []string{"USING INTEGER PRIMARY KEY (rowid>?)"}},
		{selectBounds, s.journal.db, []string{"SEARCH journal"}},
		{selectByKeys[0], s.tables.db, []string{"jobs_1_key (key_hash=?)"}},
	}
	lookup := (&layout{parts: []partition{{number: 1}, {number: 1}}}).lookups()[0].text
	tests = append(tests, tests[0])
	tests[len(tests)-1].text, tests[len(tests)-1].want = lookup, []string{"jobs_1_key (key_hash=?)"}
	for _, tt := range tests {
		err := tt.db.read(t.Context(), func(ctx context.Context, r *session) error {
			var plan []string
			text := expand(statement{text: tt.text, partition: 1}, 0)
			args := make([]any, strings.Count(text, "?"))
			err := r.query(ctx, statement{text: "EXPLAIN QUERY PLAN " + text}, func(rows row) (bool, error) {
				var id, parent, unused integer
				var detail string
				err := rows.Scan(&id, &parent, &unused, &detail)
				plan = append(plan, detail)
				return true, err
			}, args...)
			all := strings.Join(plan, "\n")
			for _, want := range tt.want {
				if !strings.Contains(all, want) {
					t.Errorf("%s\nis planned as\n%s\nwant %s", text, all, want)
				}
			}
			if strings.Contains(all, "TEMP B-TREE") {
				t.Errorf("%s\nsorts:\n%s", text, all)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// TestLogIsBegunAnew holds that a write-ahead log doesn't grow for ever under a
// writer that never pauses.
func TestLogIsBegunAnew(t *testing.T) {
	dir := t.TempDir()
	s := openIn(t, dir)
	const limit = 1 << 20
	s.journal.db.walLimit = limit
	grown := false
	for seq := uint64(1); seq <= 24; seq++ {
		if err := s.Journal().Append(t.Context(), numbered(seq, 64<<10)); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(filepath.Join(dir, "journal.db-wal")); err == nil && info.Size() > limit {
			grown = true
		}
	}
	if !grown {
		t.Fatal("the test wrote too little")
	}
	if err := s.Journal().Trim(t.Context(), 20); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, "journal.db-wal"))
	if err != nil || info.Size() > limit {
		t.Errorf("the log has %d bytes after a trim, want at most %d (%v)", info.Size(), limit, err)
	}
	batches, err := s.Journal().Read(t.Context(), 20, 1<<30)
	if err != nil || len(batches) != 5 {
		t.Errorf("%d batches, want 5 (%v)", len(batches), err)
	}
}

// TestTidyBesideReader holds that a reader of an old snapshot doesn't hold up a
// trim or a flush.
func TestTidyBesideReader(t *testing.T) {
	s := openIn(t, t.TempDir())
	begun, over := benchFlush(1, 1, 100, false)
	if err := s.Tables().Flush(t.Context(), &begun); err != nil {
		t.Fatal(err)
	}
	err := s.tables.db.read(t.Context(), func(ctx context.Context, r *session) error {
		if err := r.refresh(ctx); err != nil {
			return err
		}
		if err := s.Tables().Flush(t.Context(), &over); err != nil {
			return err
		}
		durable, err := s.Tables().Durable(t.Context())
		if durable != 2 {
			t.Errorf("durable %d beside a reader, want 2", durable)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestClosed(t *testing.T) {
	s := openIn(t, t.TempDir())
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Journal().Append(t.Context(), numbered(1, 1)); !errors.Is(err, errClosed) {
		t.Errorf("Append: %v, want %v", err, errClosed)
	}
	if _, err := s.Tables().Durable(t.Context()); !errors.Is(err, errClosed) {
		t.Errorf("Durable: %v, want %v", err, errClosed)
	}
	if _, _, err := s.History().Job(t.Context(), 1); !errors.Is(err, errClosed) {
		t.Errorf("Job: %v, want %v", err, errClosed)
	}
}

// TestLibc holds the one version of the C library's translation that the driver was
// made with: it says that others break it.
func TestLibc(t *testing.T) {
	tool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("no go command")
	}
	list := func(format, module string) string {
		out, err := exec.CommandContext(t.Context(), tool, "list", "-m", "-f", format, module).Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(out))
	}
	ours := list("{{.Path}} {{.Version}}", "modernc.org/libc")
	theirs, err := os.ReadFile(list("{{.GoMod}}", "modernc.org/sqlite"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(theirs), ours+"\n") {
		t.Errorf("go.mod has %s, the driver requires another:\n%s", ours, theirs)
	}
}

// TestFilesTakenAway: what is written into a file that has no name any more would be
// acknowledged and lost.
func TestFilesTakenAway(t *testing.T) {
	remove := func(t *testing.T, path string) {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	replace := func(t *testing.T, path string) {
		content, err := os.ReadFile(path)
		if err == nil {
			err = errors.Join(os.Remove(path), os.WriteFile(path, content, 0o600))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	appends := func(t *testing.T, s *Store, seq uint64) error {
		return s.Journal().Append(t.Context(), numbered(seq, 10))
	}
	flushes := func(t *testing.T, s *Store, seq uint64) error {
		return s.Tables().Flush(t.Context(), &store.Flush{Seq: seq})
	}
	for _, c := range []struct {
		name, file string
		do         func(*testing.T, string)
		write      func(*testing.T, *Store, uint64) error
	}{
		{"the journal", "journal.db", remove, appends},
		{"the journal's log", "journal.db-wal", remove, appends},
		{"another journal in its place", "journal.db", replace, appends},
		{"the tables", "tables.db", remove, flushes},
		{"the tables' log", "tables.db-wal", remove, flushes},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			s := openIn(t, dir)
			for seq := uint64(1); seq <= 3; seq++ {
				if err := appends(t, s, seq); err != nil {
					t.Fatal(err)
				}
			}
			if err := flushes(t, s, 1); err != nil {
				t.Fatal(err)
			}
			c.do(t, filepath.Join(dir, c.file))
			next := map[bool]uint64{true: 4, false: 2}[strings.HasPrefix(c.file, "journal")]
			for range 2 {
				if err := c.write(t, s, next); !errors.Is(err, store.ErrBroken) {
					t.Errorf("a write after that: %v, want that nothing can be written any more", err)
				}
			}
		})
	}
}
