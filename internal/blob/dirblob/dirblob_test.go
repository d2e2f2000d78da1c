package dirblob_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/blob"
	"github.com/reeve-scheduler/reeve/internal/blob/blobtest"
	"github.com/reeve-scheduler/reeve/internal/blob/dirblob"
)

func open(t *testing.T, dir string) *dirblob.Store {
	t.Helper()
	s, err := dirblob.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestContract(t *testing.T) {
	blobtest.Run(t, func(t *testing.T) blob.Store { return open(t, t.TempDir()) })
	t.Run("shared", func(t *testing.T) {
		blobtest.Run(t, func(t *testing.T) blob.Store {
			s, err := dirblob.OpenShared(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.Close() })
			return s
		})
	})
}

func TestOpenMakesTheDirectoryForItsOwnerOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "some", "blobs")
	s := open(t, dir)
	if _, err := s.Put(t.Context(), "a/b", strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	modes := map[string]os.FileMode{}
	err := filepath.Walk(dir, func(p string, i os.FileInfo, err error) error {
		rel, _ := filepath.Rel(dir, p)
		modes[rel] = i.Mode().Perm()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]os.FileMode{".": 0o700, "~tmp": 0o700, "a": 0o700, "a/b~": 0o600}
	if diff := cmp.Diff(want, modes); diff != "" {
		t.Error(diff)
	}
}

func TestOpenSaysWhereItFailed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := dirblob.Open(file); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("Open on a file = %v, want an error that names it", err)
	}
}

func TestOpenRemovesWhatACrashLeft(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if _, err := s.Put(t.Context(), "keep", strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	s.Close()
	half := filepath.Join(dir, "~tmp", "17", "deep")
	if err := os.MkdirAll(half, 0o700); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	left, err := os.ReadDir(filepath.Join(dir, "~tmp"))
	if err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	r, _, err := s.Get(t.Context(), "keep", 0)
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
}

// TestShared lets several processes, as several stores are, use one directory: none takes
// from another what it is writing.
func TestShared(t *testing.T) {
	dir := t.TempDir()
	shared := func(t *testing.T) *dirblob.Store {
		t.Helper()
		s, err := dirblob.OpenShared(dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	one, tmp := shared(t), filepath.Join(dir, "~tmp")
	stale := filepath.Join(tmp, "17")
	if err := os.WriteFile(stale, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(stale, time.Time{}, time.Now().Add(-48*time.Hour)); err != nil {
		t.Fatal(err)
	}
	var two *dirblob.Store
	_, err := one.Put(t.Context(), "k", io.MultiReader(strings.NewReader("half "), onRead(func() {
		two = shared(t)
		if _, err := two.Put(t.Context(), "k", strings.NewReader("of another")); err != nil {
			t.Error(err)
		}
	}), strings.NewReader("whole")))
	if err != nil {
		t.Fatalf("a put beside another process: %v", err)
	}
	r, _, err := two.Get(t.Context(), "k", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if b, err := io.ReadAll(r); string(b) != "half whole" || err != nil {
		t.Errorf("k holds %q, %v", b, err)
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

type onRead func()

func (f onRead) Read([]byte) (int, error) { f(); return 0, io.EOF }

func TestDeletedPrefixLeavesNoFiles(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	for _, k := range []string{"a/b/c", "a/b/d", "x/y"} {
		if _, err := s.Put(t.Context(), k, strings.NewReader("x")); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range []string{"a/", "x/y"} {
		if err := s.Delete(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	filepath.Walk(dir, func(p string, _ os.FileInfo, err error) error {
		names = append(names, filepath.Base(p))
		return err
	})
	if diff := cmp.Diff([]string{filepath.Base(dir), "~tmp"}, names); diff != "" {
		t.Error(diff)
	}
}

// Links and foreign files can only come from somebody who writes into the
// directory; they must not lead out of it, nor be listed as blobs.
func TestLinksLeadNowhere(t *testing.T) {
	outside := t.TempDir()
	secret := filepath.Join(outside, "secret~")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s := open(t, dir)
	for name, target := range map[string]string{"link~": secret, "out": outside, "up": ".."} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"plain", "Caps~", "+~", "+9~", "a b~"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"link", "out/secret"} {
		r, _, err := s.Get(t.Context(), key, 0)
		if err == nil {
			r.Close()
			t.Errorf("Get(%q) followed a link out of the directory", key)
		}
	}
	if _, err := s.Put(t.Context(), "out/new", strings.NewReader("x")); err == nil {
		t.Error("Put followed a link out of the directory")
	}
	if err := s.Delete(t.Context(), "out/secret"); err == nil {
		t.Error("Delete followed a link out of the directory")
	}
	if b, err := os.ReadFile(secret); err != nil || string(b) != "secret" {
		t.Errorf("the file outside: %q, %v", b, err)
	}
	err := s.List(t.Context(), "", func(i blob.Info) error {
		return errors.New("listed " + i.Key)
	})
	if err != nil {
		t.Error(err)
	}
}

func TestGetRefusesWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if err := os.Mkdir(filepath.Join(dir, "d~"), 0o700); err != nil {
		t.Fatal(err)
	}
	if r, _, err := s.Get(t.Context(), "d", 0); err == nil {
		r.Close()
		t.Error("a directory was opened as a blob")
	} else if !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("Get = %v, want the reason", err)
	}
}
