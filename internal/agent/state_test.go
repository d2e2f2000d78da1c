package agent

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/agent/will"
	"github.com/reeve-scheduler/reeve/internal/agent/workspace"
	"github.com/reeve-scheduler/reeve/internal/executor"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
)

func open(t *testing.T, dir string) *state {
	t.Helper()
	s, err := openState(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStateIsForOne(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	s := open(t, dir)
	if _, err := openState(dir); err == nil || !strings.Contains(err.Error(), "another worker uses") {
		t.Errorf("a second worker: %v", err)
	}
	instance, first := s.instance, s.incarnation
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	defer s.close() //nolint:errcheck // it is a test's
	if s.instance != instance || len(instance) != 32 {
		t.Errorf("instance %q, was %q", s.instance, instance)
	}
	if s.incarnation <= first {
		t.Errorf("incarnation %d follows %d: the server would take the process for an earlier one", s.incarnation, first)
	}
	if a, b := open(t, ""), open(t, ""); a.instance == b.instance {
		t.Error("two workers without a directory are one")
	}
}

// TestPlace is the same for whoever opens the directory again, also by another name, and
// another for a copy.
func TestPlace(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	placeIn := func(dir string) string {
		s := open(t, dir)
		defer s.close() //nolint:errcheck // it is a test's
		return s.place
	}
	place := placeIn(dir)
	copied := filepath.Join(t.TempDir(), "copied")
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	moved := dir + "-moved"
	if err := os.Rename(dir, moved); err != nil {
		t.Fatal(err)
	}
	if again := placeIn(moved); place == "" || again != place {
		t.Errorf("place %q, was %q", again, place)
	}
	if other := placeIn(copied); other == place {
		t.Errorf("a copy has the same place, %q", other)
	}
	if none := placeIn(""); none != "" {
		t.Errorf("without a directory the place is %q", none)
	}
}

// TestIncarnationsRise whatever the clock and the record say.
func TestIncarnationsRise(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "incarnation")
	for _, text := range []string{"9223372036854775807\n", "no number", ""} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, dir)
		if want, _ := strconv.ParseUint(strings.TrimSpace(text), 10, 64); s.incarnation <= want || s.incarnation == 1 {
			t.Errorf("after %q the incarnation is %d", text, s.incarnation)
		}
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTemporaryState(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	s := open(t, "")
	if entries, err := os.ReadDir(os.TempDir()); err != nil || len(entries) != 0 {
		t.Errorf("made before it was needed: %v %v", entries, err)
	}
	root, err := s.root()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{workspace.AttemptsDir, workspace.BlobsDir} {
		if _, err := os.Stat(filepath.Join(root, d)); err != nil {
			t.Error(err)
		}
	}
	if again, err := s.root(); again != root || err != nil {
		t.Errorf("root: %s, then %s, %v", root, again, err)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(root); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after close: %v", err)
	}
}

// assignment is of a process.
func assignment(fence link.Fence) *link.Assignment {
	return &link.Assignment{
		Fence: fence, Job: 7, Index: job.NoIndex, Attempt: 1, Lease: time.Minute,
		Spec: &job.Spec{Name: "j", Tasks: []job.Task{{
			Name: "m", Command: []string{"x"}, Resources: job.Resources{CPU: 500, Memory: 9}, Where: []string{"gpu"}, AtMostOnce: true,
		}}},
	}
}

// TestLeft: what executors hold and what is on disk becomes one list.
func TestLeft(t *testing.T) {
	s := open(t, t.TempDir())
	defer s.close() //nolint:errcheck // it is a test's
	ref := job.Ref{Job: 7, Task: "m", Index: job.NoIndex, Attempt: 1}
	key := func(f link.Fence) string { return will.Key(ref, f) }
	for _, f := range []link.Fence{1, 2, 9} {
		if err := os.Mkdir(s.attempt(key(f)), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	result := link.Result{
		Fence: 3, Cause: job.Cause{Kind: job.CauseExit, Code: 3, Detail: "x"}, Usage: job.Usage{CPU: 5, Memory: 6},
		Started: 1, Ended: 2, Outputs: []byte(`{"a":"1"}`), LogSize: 8,
	}
	err := errors.Join(
		s.describe(key(1), assignment(1)),                                                // held, live
		s.recordStart(key(1), assignment(1)),                                             //
		s.keepResult(key(3), link.Claim{Ref: ref, Fence: result.Fence}, result),          // only a result
		s.recordStart(key(3), assignment(3)),                                             //
		s.recordStart(key(4), assignment(4)),                                             // recorded, and gone
		os.WriteFile(filepath.Join(s.dir, startsDir, ".new-123"), []byte("torn"), 0o600), // a crash's
		os.WriteFile(filepath.Join(s.dir, workspace.BlobsDir, "old"), nil, 0o600),        // a cache
		os.MkdirAll(filepath.Join(s.dir, workspace.SparesDir, "1", "work"), 0o700),       // of an earlier process
		s.keepResult(key(2), link.Claim{Ref: ref, Fence: 2}, link.Result{Fence: 2}),      // held, ended, and kept
		os.Mkdir(filepath.Join(s.dir, workspace.AttemptsDir, "stale"), 0o700),            // of nobody
	)
	if err != nil {
		t.Fatal(err)
	}
	started := time.UnixMilli(1000)
	got, err := s.left(map[string][]executor.Running{"process": {
		{Key: key(1), Ref: ref, Started: started},
		{Key: key(2), Ref: ref, Started: started, Exit: &executor.Exit{Started: started, Ended: started.Add(time.Second), LogSize: 4}},
		{Key: key(5), Ref: ref, Started: started},
		{Key: "not a key", Started: started},
	}})
	if err != nil {
		t.Fatal(err)
	}
	want := []will.Adopted{
		{Fence: 1, Ref: ref, Key: key(1), Executor: "process", Lease: time.Minute, Resources: job.Resources{CPU: 500, Memory: 9}, Where: []string{"gpu"}, AtMostOnce: true, Started: 1000},
		{Fence: 2, Ref: ref, Key: key(2), Executor: "process", Started: 1000, Exit: &will.Exit{Started: 1000, Ended: 2000, LogSize: 4}, Result: &link.Result{Fence: 2}},
		{Fence: 3, Ref: ref, Key: key(3), Result: &result},
		{Fence: 4, Ref: ref, Key: key(4), AtMostOnce: true},
		{Fence: 5, Ref: ref, Key: key(5), Executor: "process", Started: 1000, Foreign: true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
	for _, gone := range []string{"attempts/stale", "attempts/" + key(9), "starts/.new-123", "blobs/old", "spares/1"} {
		if _, err := os.Stat(filepath.Join(s.dir, gone)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", gone, err)
		}
	}
	for _, f := range []link.Fence{2, 3, 4, 77} {
		if err := s.forget(key(f)); err != nil {
			t.Errorf("forget: %v", err)
		}
	}
	if got, err = s.left(nil); err != nil || len(got) != 1 || got[0].Fence != 1 {
		t.Errorf("left after forgetting: %+v, %v", got, err)
	}
}

// TestDescribeOver: a directory that served before has the file of an attempt before.
func TestDescribeOver(t *testing.T) {
	s := open(t, t.TempDir())
	defer s.close() //nolint:errcheck // it is a test's
	long, short := assignment(1), assignment(2)
	long.Spec.Tasks[0].Where = []string{"a long list", "of labels"}
	short.Spec.Tasks[0].Resources.Other, short.Devices = "gpu=1\nlicence=2", "gpu=a"
	if err := os.Mkdir(s.attempt("k"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.describe("k", long), s.describe("k", short)); err != nil {
		t.Fatal(err)
	}
	var got aboutAttempt
	if err := readJSON(filepath.Join(s.attempt("k"), aboutFile), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(*about(short), got); diff != "" {
		t.Errorf("described (-want +got):\n%s", diff)
	}
}

// TestDamagedRecord: a record that can't be read may be of an attempt that must not
// run again, so that it is not passed over.
func TestDamagedRecord(t *testing.T) {
	s := open(t, t.TempDir())
	defer s.close() //nolint:errcheck // it is a test's
	if err := os.WriteFile(filepath.Join(s.dir, startsDir, "7.m@1-4"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.left(nil); err == nil || !strings.Contains(err.Error(), "7.m@1-4") {
		t.Errorf("left: %v", err)
	}
}

func TestKey(t *testing.T) {
	ref := job.Ref{Job: 4217, Task: "my-task", Index: 3, Attempt: 2}
	if k := will.Key(ref, 159); k != "4217.my-task.3@2-9f" {
		t.Errorf("Key = %q", k)
	}
	for key, want := range map[string]link.Fence{
		"4217.my-task.3@2-9f": 159, "a-1": 1, "": 0, "-1": 0, "abc": 0, "a-": 0, "a-0": 0, "a-xyz": 0, "a-ffffffffffffffff": 1<<64 - 1,
	} {
		if got, ok := will.FenceOf(key); got != want && ok || ok != (want != 0) {
			t.Errorf("FenceOf(%q) = %d, %v; want %d", key, got, ok, want)
		}
	}
}
