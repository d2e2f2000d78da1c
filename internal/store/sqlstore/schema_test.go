package sqlstore

import (
	"context"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/reeve-scheduler/reeve/internal/store/sqlstore/schema"
)

func TestBind(t *testing.T) {
	plain, numbered := sqliteDialect(), &dialect{numbered: true}
	tests := []struct{ text, want string }{
		{"SELECT 1", "SELECT 1"},
		{"a = ? AND b = ?", "a = $1 AND b = $2"},
		{"?", "$1"},
		{"VALUES " + rowsOf(2, 3), "VALUES ($1,$2,$3),($4,$5,$6)"},
	}
	for _, tt := range tests {
		if got := plain.bind(tt.text); got != tt.text {
			t.Errorf("SQLite: bind(%q) = %q", tt.text, got)
		}
		if got := numbered.bind(tt.text); got != tt.want {
			t.Errorf("numbered: bind(%q) = %q, want %q", tt.text, got, tt.want)
		}
	}
}

// TestMigrate grows a schema by a step, fails in the next, and finds the database
// as before that step.
func TestMigrate(t *testing.T) {
	s := openIn(t, t.TempDir())
	db := s.tables.db
	first, err := fs.ReadFile(schema.Files(), "tables/0001_tables.sql")
	if err != nil {
		t.Fatal(err)
	}
	grown := fstest.MapFS{
		"tables/0001_tables.sql": {Data: first},
		"tables/0002_more.sql":   {Data: []byte("CREATE TABLE more (id {{key}}, body {{blob}}); INSERT INTO more (id) VALUES (7);")},
	}
	if err := db.migrate(t.Context(), grown); err != nil {
		t.Fatal(err)
	}
	grown["tables/0003_bad.sql"] = &fstest.MapFile{Data: []byte("DELETE FROM more; CREATE TABLE more (id {{key}});")}
	if err := db.migrate(t.Context(), grown); err == nil || !strings.Contains(err.Error(), "0003_bad.sql") {
		t.Errorf("a bad step: %v, want an error that names it", err)
	}
	var version, rows integer
	err = db.read(t.Context(), func(ctx context.Context, r *session) error {
		if err := r.row(ctx, statement{text: `SELECT max(version) FROM schema_versions`}, nil, &version); err != nil {
			return err
		}
		return r.row(ctx, statement{text: "SELECT count(*) FROM more"}, nil, &rows)
	})
	if err != nil || version != 2 || rows != 1 {
		t.Errorf("version %d with %d rows, want 2 with 1 (%v)", version, rows, err)
	}
}

func TestBegins(t *testing.T) {
	const day = 86_400_000
	db := database{span: day}
	for ms, want := range map[int64]int64{0: 0, day - 1: 0, day: day, -1: -day, -day: -day, -day - 1: -2 * day} {
		if got := db.begins(ms); got != want {
			t.Errorf("begins(%d) = %d, want %d", ms, got, want)
		}
	}
}
