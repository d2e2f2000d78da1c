package sqlstore

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/reeve-scheduler/reeve/internal/store/storetest"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Opened {
		return opened(t, filepath.Join(t.TempDir(), "data"))
	})
}

// openIn opens a store that the test closes, unless it is closed before.
func openIn(t testing.TB, dir string) *Store {
	t.Helper()
	return openWith(t, dir, Options{})
}

func openWith(t testing.TB, dir string, o Options) *Store {
	t.Helper()
	s, err := OpenSQLite(t.Context(), dir, o)
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

func opened(t *testing.T, dir string) storetest.Opened {
	s := openIn(t, dir)
	// A small window makes lists of the suite go through many of them.
	s.tables.scan = 37
	return storetest.Opened{
		Journal: s.Journal(), Tables: s.Tables(), History: s.History(), Archive: s,
		Reopen: func(t *testing.T) storetest.Opened {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			return opened(t, dir)
		},
		Crash: func(t *testing.T) storetest.Opened { return opened(t, copyDir(t, dir)) },
	}
}

// copyDir copies an open data directory: what a killed process would leave. It
// isn't done in this process, because closing a file drops SQLite's locks on it.
func copyDir(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if out, err := exec.CommandContext(t.Context(), "cp", "-R", dir, to).CombinedOutput(); err != nil {
		t.Fatalf("copy %s: %v: %s", dir, err, out)
	}
	return to
}
