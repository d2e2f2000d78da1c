package app

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/reeve-scheduler/reeve/internal/store"
)

// TestBackup backs a server up while it runs: who trusted it trusts what is restored, which knows
// its jobs and gives out ids that are far from them. One that is moved goes on where it was.
func TestBackup(t *testing.T) {
	ctx, at := t.Context(), func() string { return filepath.Join(t.TempDir(), "data") }
	r := start(t, ServerConfig{Dir: at()})
	if id := r.submit(r.admin(), "run: \"true\"\n"); id != "1" {
		t.Fatalf("the first job is %s", id)
	}
	var file bytes.Buffer
	wrote, err := Backup(ctx, Place{Dir: r.dir}, "test", &file)
	if err != nil || wrote.Jobs != 1 || wrote.Secrets != 2 {
		t.Fatalf("%+v is backed up: %v", wrote, err)
	}
	if _, err := MigrateStore(ctx, Place{Dir: r.dir}, Place{Dir: at()}); !errors.Is(err, store.ErrLocked) {
		t.Errorf("the store of a server that runs is moved: %v", err)
	}
	r.end()

	restored, moved := at(), at()
	if _, generation, err := Restore(ctx, Place{Dir: restored}, bytes.NewReader(file.Bytes())); err != nil || generation != 2 {
		t.Fatalf("generation %d is restored: %v", generation, err)
	}
	if held, err := MigrateStore(ctx, Place{Dir: r.dir}, Place{Dir: moved}); err != nil || held.Jobs != 1 {
		t.Fatalf("%+v is moved: %v", held, err)
	}
	private(t, restored)
	for dir, next := range map[string]string{restored: "1099511627776", moved: "2"} {
		for _, name := range []string{"tls/ca.pem", proofKeyFile} {
			if !bytes.Equal(content(t, filepath.Join(dir, name)), content(t, filepath.Join(r.dir, name))) {
				t.Errorf("%s is another one", name)
			}
		}
		copyFile(t, filepath.Join(r.dir, AdminTokenFile), filepath.Join(dir, AdminTokenFile))
		again := start(t, ServerConfig{Dir: dir})
		admin := again.admin()
		if j, err := admin.Get(ctx, "1", false); err != nil || j.GetId() != "1" {
			t.Errorf("the first job is not there: %v", err)
		}
		if id := again.submit(admin, "run: \"true\"\n"); id != next {
			t.Errorf("the next job is %s, want %s", id, next)
		}
		again.end()
	}
}

// TestRestoreRefuses holds that a directory with something of its own stays as it is, and that what
// is not whole leaves no more than an empty store.
func TestRestoreRefuses(t *testing.T) {
	ctx := t.Context()
	r := start(t, ServerConfig{Dir: filepath.Join(t.TempDir(), "data")})
	var file bytes.Buffer
	if _, err := Backup(ctx, Place{Dir: r.dir}, "test", &file); err != nil {
		t.Fatal(err)
	}
	r.end()
	into := func(dir string, part int, text string) {
		t.Helper()
		_, _, err := Restore(ctx, Place{Dir: dir}, bytes.NewReader(file.Bytes()[:part]))
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("the restore ends with %v, want %q", err, text)
		}
	}
	into(r.dir, file.Len(), "not empty")
	dir := t.TempDir()
	into(dir, file.Len()-10, "damaged or was cut off")
	if _, err := os.Stat(filepath.Join(dir, proofKeyFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("half a backup has left a key: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, proofKeyFile), []byte(strings.Repeat("ab", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	into(dir, file.Len(), "another one is there")
	if err := os.Remove(filepath.Join(dir, proofKeyFile)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Restore(ctx, Place{Dir: dir}, &file); err != nil {
		t.Errorf("what was refused before can't be restored into: %v", err)
	}
}
