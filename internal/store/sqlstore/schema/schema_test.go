package schema

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

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
			steps, err := Read(tt.fs, "s")
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Fatalf("error %v, want %q", err, tt.err)
			}
			var got []string
			for _, s := range steps {
				got = append(got, s.Text)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("steps (-want +got):\n%s", d)
			}
		})
	}
}

// TestOldest holds that each step of the shared schema says for whom it is.
func TestOldest(t *testing.T) {
	all, err := Read(Files(), "postgres")
	if err != nil {
		t.Fatal(err)
	}
	for i, st := range all {
		if oldest, err := st.Oldest(); err != nil || oldest > i+1 {
			t.Errorf("step %s is for programs that know version %d (%v)", st.Name, oldest, err)
		}
	}
	if _, err := (&Step{Name: "0001_x.sql", Text: "CREATE TABLE x"}).Oldest(); err == nil {
		t.Error("a step that does not say it is taken")
	}
}
