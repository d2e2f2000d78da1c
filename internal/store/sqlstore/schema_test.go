package sqlstore

import (
	"context"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
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

func TestReadSteps(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	tests := []struct {
		name string
		fs   fstest.MapFS
		want []string
		err  string
	}{
		{"in order", fstest.MapFS{"s/0002_b.sql": file("b"), "s/0001_a.sql": file("a")}, []string{"a", "b"}, ""},
		{"a gap", fstest.MapFS{"s/0001_a.sql": file("a"), "s/0003_c.sql": file("c")}, nil, "want number 0002"},
		{"twice", fstest.MapFS{"s/0001_a.sql": file("a"), "s/0001_b.sql": file("b")}, nil, "want number 0002"},
		{"no number", fstest.MapFS{"s/first.sql": file("a")}, nil, "want number 0001"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			steps, err := readSteps(tt.fs, "s")
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Fatalf("error %v, want %q", err, tt.err)
			}
			var got []string
			for _, s := range steps {
				got = append(got, s.text)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("steps (-want +got):\n%s", d)
			}
		})
	}
}

// TestMigrate grows a schema by a step, fails in the next, and finds the database
// as before that step.
func TestMigrate(t *testing.T) {
	s := openIn(t, t.TempDir())
	db := s.tables.db
	first, err := migrations.ReadFile("schema/tables/0001_tables.sql")
	if err != nil {
		t.Fatal(err)
	}
	grown := fstest.MapFS{
		"schema/tables/0001_tables.sql": {Data: first},
		"schema/tables/0002_more.sql":   {Data: []byte("CREATE TABLE more (id {{key}}, body {{blob}}); INSERT INTO more (id) VALUES (7);")},
	}
	if err := db.migrate(t.Context(), grown); err != nil {
		t.Fatal(err)
	}
	grown["schema/tables/0003_bad.sql"] = &fstest.MapFile{Data: []byte("DELETE FROM more; CREATE TABLE more (id {{key}});")}
	if err := db.migrate(t.Context(), grown); err == nil || !strings.Contains(err.Error(), "0003_bad.sql") {
		t.Errorf("a bad step: %v, want an error that names it", err)
	}
	var version, rows integer
	err = db.read(t.Context(), func(ctx context.Context, r *session) error {
		if err := r.row(ctx, statement{text: selectVersion}, nil, &version); err != nil {
			return err
		}
		return r.row(ctx, statement{text: "SELECT count(*) FROM more"}, nil, &rows)
	})
	if err != nil || version != 2 || rows != 1 {
		t.Errorf("version %d with %d rows, want 2 with 1 (%v)", version, rows, err)
	}
}

func TestLabels(t *testing.T) {
	for _, labels := range [][]string{nil, {""}, {"a=b"}, {"", "x", strings.Repeat("é", 1000)}} {
		got, ok := decodeLabels(encodeLabels(nil, labels))
		if d := cmp.Diff(labels, got); !ok || d != "" {
			t.Errorf("labels (-want +got):\n%s", d)
		}
	}
	for _, bad := range [][]byte{{5, 'a'}, {0xff}, {1}} {
		if got, ok := decodeLabels(bad); ok {
			t.Errorf("decodeLabels(%x) = %q, want a refusal", bad, got)
		}
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
