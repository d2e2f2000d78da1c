package keeper

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/job"
)

func TestWhy(t *testing.T) {
	anna := job.Cause{Kind: job.CauseCancelled, Detail: "anna"}
	tests := []struct {
		name   string
		a      attempt
		memory bool
		want   job.Cause
	}{
		{"success", attempt{}, false, job.Cause{}},
		{"exit", attempt{status: status{code: 3}}, false, job.Cause{Kind: job.CauseExit, Code: 3}},
		{"foreign signal", attempt{status: status{signal: 9}}, false, job.Cause{Kind: job.CauseSignal, Code: 9}},
		{"memory", attempt{status: status{signal: 9}}, true, job.Cause{Kind: job.CauseMemory}},
		{"a child's memory", attempt{status: status{code: 1}}, true, job.Cause{Kind: job.CauseExit, Code: 1}},
		{"asked and killed", attempt{asked: true, cause: anna, status: status{signal: 9}}, false, anna},
		{"asked, ended well", attempt{asked: true, cause: anna}, false, anna},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, test.a.why(test.memory)); diff != "" {
				t.Errorf("cause (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFindProgram(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a/tool", "b/tool", "b/plain", "work/bin/own"} {
		path := filepath.Join(dir, name)
		mode := os.FileMode(0o700)
		if strings.HasSuffix(name, "plain") {
			mode = 0o600
		}
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, nil, mode)); err != nil {
			t.Fatal(err)
		}
	}
	path := "PATH=" + dir + "/none:" + dir + "/a:" + dir + "/b"
	tests := []struct {
		name      string
		argv, env []string
		want      string
		wrong     string
	}{
		{"first in PATH", []string{"tool"}, []string{path}, dir + "/a/tool", ""},
		{"the last PATH counts", []string{"tool"}, []string{"PATH=/none", path}, dir + "/a/tool", ""},
		{"relative in PATH", []string{"own"}, []string{"PATH=bin"}, dir + "/work/bin/own", ""},
		{"absolute", []string{"/x/y"}, nil, "/x/y", ""},
		{"relative", []string{"./own"}, nil, "./own", ""},
		{"default PATH", []string{"sh"}, nil, "/bin/sh", ""},
		{"not executable", []string{"plain"}, []string{path}, "", `"plain" is in no directory of PATH`},
		{"empty", nil, nil, "", "the command is empty"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := findProgram(test.argv, test.env, dir+"/work")
			if test.wrong != "" {
				if err == nil || !strings.Contains(err.Error(), test.wrong) {
					t.Errorf("error = %v, want %q", err, test.wrong)
				}
				return
			}
			if err != nil || got != test.want && !strings.HasSuffix(got, test.want) {
				t.Errorf("found %q, %v; want %q", got, err, test.want)
			}
		})
	}
}

// TestWorkerOrTask: what another worker or a moment later could do is not the
// task's fault.
func TestWorkerOrTask(t *testing.T) {
	work := t.TempDir()
	for err, want := range map[error]job.CauseKind{
		unix.ENOENT: job.CauseStart, unix.EACCES: job.CauseStart, unix.ENOEXEC: job.CauseStart,
		unix.E2BIG: job.CauseStart, unix.EINVAL: job.CauseStart, unix.ELOOP: job.CauseStart,
		unix.EAGAIN: job.CauseRejected, unix.ENOMEM: job.CauseRejected, unix.EMFILE: job.CauseRejected,
		unix.ETXTBSY: job.CauseRejected, unix.EIO: job.CauseRejected, unix.ENODEV: job.CauseRejected,
	} {
		if got := startCause(explain(err, "/no/such", work)); got.Kind != want || !strings.Contains(got.Detail, "/no/such") {
			t.Errorf("%v: cause = %+v, want kind %d", err, got, want)
		}
	}
}

// TestStartCodes: a program that does not exist and one that can't be run have the exit
// codes that shells have for them.
func TestStartCodes(t *testing.T) {
	work := t.TempDir()
	for err, want := range map[error]int32{
		unix.ENOENT: job.CodeNotFound, unix.EACCES: job.CodeCantRun, unix.ENOEXEC: job.CodeCantRun, unix.E2BIG: job.CodeCantRun,
	} {
		if got := startCause(explain(err, "/no/such", work)); got.Code != want {
			t.Errorf("%v: cause = %+v, want code %d", err, got, want)
		}
	}
	if _, err := findProgram([]string{"no-such-program"}, nil, work); startCause(err).Code != job.CodeNotFound {
		t.Errorf("not in PATH: cause = %+v, want code %d", startCause(err), job.CodeNotFound)
	}
}

func TestNap(t *testing.T) {
	for in, want := range map[time.Duration]time.Duration{
		-time.Second: 0, 0: 0, time.Millisecond: time.Millisecond, time.Hour: time.Second / 2,
	} {
		if got := nap(in); got != want {
			t.Errorf("nap(%v) = %v, want %v", in, got, want)
		}
	}
}

func TestMainRefusesBadArguments(t *testing.T) {
	for _, args := range [][]string{{}, {"--dir", "relative"}, {"--dir", "/tmp", "more"}, {"--what"}} {
		if got := Main(args); got != exitUsage {
			t.Errorf("Main(%q) = %d, want %d", args, got, exitUsage)
		}
	}
}

func TestLockIsExclusive(t *testing.T) {
	path := filepath.Join(t.TempDir(), lockFile)
	first, err := takeLock(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := takeLock(path); !errors.Is(err, errLocked) {
		t.Errorf("a second lock: %v", err)
	}
	first.Close()
	second, err := takeLock(path)
	if err != nil {
		t.Fatalf("after the first is gone: %v", err)
	}
	second.Close()
}

func TestMarkerIsKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), markFile)
	first, err := readMarker(path)
	if err != nil || len(first) != 16 || strings.ContainsAny(first, "/:. ") {
		t.Fatalf("marker = %q, %v", first, err)
	}
	if again, err := readMarker(path); err != nil || again != first {
		t.Errorf("marker = %q, %v; want %q again", again, err, first)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := filepath.Join(t.TempDir(), markFile)
	for _, tt := range []struct {
		name, text string
		kept       bool
	}{
		{"a copy", string(b), false},
		{"cut short", first[:9], false},
		{"of a version that named no file", first + "\n", true},
	} {
		if err := os.WriteFile(elsewhere, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := readMarker(elsewhere)
		if err != nil || !isWord(got) || (got == first) != tt.kept {
			t.Errorf("%s: marker = %q, %v; it was %q", tt.name, got, err, first)
		}
		if again, err := readMarker(elsewhere); err != nil || again != got {
			t.Errorf("%s: marker = %q, %v; want %q again", tt.name, again, err, got)
		}
	}
}
