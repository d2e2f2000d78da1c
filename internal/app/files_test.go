package app

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/reeve-scheduler/reeve/internal/record"
	"github.com/reeve-scheduler/reeve/internal/store"
	"github.com/reeve-scheduler/reeve/internal/store/sqlstore"
)

// copyFile copies a file for its owner alone, folders and all.
func copyFile(t *testing.T, from, to string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, content(t, from), 0o600); err != nil {
		t.Fatal(err)
	}
}

func content(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestHalfMadeStart: a first start that was killed after any of its steps is completed by
// the next one, which keeps what is made already. The token is the last that is written,
// and counts only once it is in the journal.
func TestHalfMadeStart(t *testing.T) {
	whole := t.TempDir()
	start(t, ServerConfig{Dir: whole}).end()
	steps := []string{"tls/ca.pem", CAFile, "tls/server.pem", AdminTokenFile}
	for n := range len(steps) + 1 {
		name := "databases"
		if n > 0 {
			name = filepath.Base(steps[n-1])
		}
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			start(t, ServerConfig{Dir: dir, Dev: true}).end() // it makes databases, and none of these files
			for _, file := range steps[:n] {
				copyFile(t, filepath.Join(whole, file), filepath.Join(dir, file))
			}
			for _, torn := range []string{"tls/.new-1", AdminTokenFile + ".new"} {
				if err := os.MkdirAll(filepath.Join(dir, "tls"), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, torn), []byte("torn"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			r := start(t, ServerConfig{Dir: dir})
			if _, err := r.admin().Status(t.Context()); err != nil {
				t.Errorf("the administrator's token: %v", err)
			}
			r.end()
			private(t, dir)
			same := func(file string) bool {
				return bytes.Equal(content(t, filepath.Join(whole, file)), content(t, filepath.Join(dir, file)))
			}
			for _, file := range steps[:min(n, 3)] {
				if !same(file) {
					t.Errorf("%s was there and was made again", file)
				}
			}
			if same(AdminTokenFile) {
				t.Error("the token is one that is in no journal")
			}
			made := map[string][]byte{}
			for _, file := range steps {
				made[file] = content(t, filepath.Join(dir, file))
			}
			start(t, ServerConfig{Dir: dir}).end()
			for _, file := range steps {
				if !bytes.Equal(made[file], content(t, filepath.Join(dir, file))) {
					t.Errorf("a restart replaced %s", file)
				}
			}
		})
	}
}

// TestWrittenByANewerVersion is left as it is, and the remedy is named.
func TestWrittenByANewerVersion(t *testing.T) {
	dir := t.TempDir()
	start(t, ServerConfig{Dir: dir, Dev: true}).end()
	appendTo(t, dir, []byte{8, 99}) // field 1 is the format
	before := content(t, filepath.Join(dir, "journal.db"))
	err := refused(t, ServerConfig{Dir: dir, Dev: true}, "format", "install the version of Reeve that wrote it, or a newer one")
	if !errors.Is(err, record.ErrFormat) {
		t.Errorf("the error is %v; want %v", err, record.ErrFormat)
	}
	if !slices.Equal(before, content(t, filepath.Join(dir, "journal.db"))) {
		t.Error("the journal was written to")
	}
}

// appendTo puts one more batch into a server's journal.
func appendTo(t *testing.T, dir string, payload []byte) {
	t.Helper()
	s, err := sqlstore.OpenSQLite(t.Context(), dir, sqlstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	last, err := s.Journal().Last(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b := store.Batch{Seq: last.Seq + 1, Epoch: 2, ID: [16]byte{1}, Prev: last.ID, Payload: payload}
	if err := errors.Join(s.Journal().Append(t.Context(), b), s.Close()); err != nil {
		t.Fatal(err)
	}
}
