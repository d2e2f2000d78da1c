package workspace

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// listed is what is in a directory, with modes, hidden names included.
func listed(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		name, _ := filepath.Rel(dir, path)
		out = append(out, name+" "+info.Mode().String())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestReclaim: the directory of an attempt that left nothing serves the next one, which
// finds nothing of the first; any trace keeps it from that.
func TestReclaim(t *testing.T) {
	for name, trace := range map[string]func(dir string) error{
		"":                nil,
		"output":          func(dir string) error { return os.WriteFile(dir+"/output", []byte("a=1\n"), 0o600) },
		"log":             func(dir string) error { return os.WriteFile(dir+"/log", []byte("x"), 0o600) },
		"file in work":    func(dir string) error { return os.WriteFile(dir+"/work/x", nil, 0o600) },
		"hidden in tmp":   func(dir string) error { return os.WriteFile(dir+"/tmp/.x", nil, 0o600) },
		"artifact":        func(dir string) error { return os.Mkdir(dir+"/artifacts/d", 0o700) },
		"beside":          func(dir string) error { return os.WriteFile(dir+"/x", nil, 0o600) },
		"output is a dir": func(dir string) error { return os.MkdirAll(dir+"/output/x", 0o700) },
		"mode of work":    func(dir string) error { return os.Chmod(dir+"/work", 0o500) },
		"sticky work":     func(dir string) error { return os.Chmod(dir+"/work", 0o700|os.ModeSticky) },
		"mode of all":     func(dir string) error { return os.Chmod(dir, 0o755) },
		"no tmp":          func(dir string) error { return os.Remove(dir + "/tmp") },
		"link for tmp": func(dir string) error {
			return errors.Join(os.Remove(dir+"/tmp"), os.Symlink(dir+"/work", dir+"/tmp"))
		},
		"link for own": func(dir string) error {
			return errors.Join(os.Remove(dir+"/own"), os.Symlink("/etc/passwd", dir+"/own"))
		},
		"second name": func(dir string) error { return os.Link(dir+"/own", filepath.Dir(dir)+"/stolen") },
		"mode of own": func(dir string) error { return os.Chmod(dir+"/own", 0o644) },
	} {
		t.Run(name, func(t *testing.T) {
			s, root := newSpace(t, &memStore{})
			s.cfg.Own = "own"
			ctx, attempts := context.Background(), filepath.Join(root, AttemptsDir)
			w := assignment(&job.Spec{Tasks: []job.Task{{Run: "true", Stdin: "in", Shell: []string{"sh"}}}})
			if _, cause := s.Prepare(ctx, "first", w); cause != (job.Cause{}) {
				t.Fatal(cause)
			}
			if err := os.WriteFile(attempts+"/first/own", []byte("first"), 0o600); err != nil {
				t.Fatal(err)
			}
			if trace != nil {
				if err := trace(attempts + "/first"); err != nil {
					t.Fatal(err)
				}
			}
			s.Reclaim("first")
			clean := name == "" || name == "output" || name == "log"
			if _, err := os.Lstat(attempts + "/first"); errors.Is(err, os.ErrNotExist) != clean {
				t.Fatalf("after Reclaim: %v, want it gone: %v", err, clean)
			}
			w.Spec.Tasks[0] = job.Task{Command: []string{"true"}}
			if _, cause := s.Prepare(ctx, "second", w); cause != (job.Cause{}) {
				t.Fatal(cause)
			}
			want := []string{". drwx------", "artifacts drwx------", "own -rw-------", "tmp drwx------", "work drwx------"}
			if !clean {
				want = append(want[:2:2], want[3:]...)
			}
			if diff := cmp.Diff(want, listed(t, attempts+"/second")); diff != "" {
				t.Errorf("the second attempt's directory (-want +got):\n%s", diff)
			}
		})
	}
}

// TestSparesAreFew: what more attempts leave is not kept.
func TestSparesAreFew(t *testing.T) {
	s, root := newSpace(t, &memStore{})
	w := assignment(&job.Spec{Tasks: []job.Task{{Command: []string{"true"}}}})
	keys := make([]string, maxSpares+2)
	for i := range keys {
		keys[i] = string(rune('a'+i/26)) + string(rune('a'+i%26))
		if _, cause := s.Prepare(context.Background(), keys[i], w); cause != (job.Cause{}) {
			t.Fatal(cause)
		}
	}
	for _, key := range keys {
		s.Reclaim(key)
	}
	for dir, want := range map[string]int{AttemptsDir: 2, SparesDir: maxSpares} {
		entries, err := os.ReadDir(filepath.Join(root, dir))
		if err != nil || len(entries) != want {
			t.Errorf("%s holds %d, want %d (%v)", dir, len(entries), want, err)
		}
	}
}
