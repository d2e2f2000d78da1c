package keeper

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// homes is a place with the cgroups of keepers, removed with the test.
func homes(t *testing.T) string {
	t.Helper()
	place, lock, err := findCgroup("reeve-test-homes")
	if err != nil {
		t.Skip("no cgroup: ", err)
	}
	t.Cleanup(func() {
		removeCgroup(place)
		unix.Close(lock)
	})
	return place
}

func word(letter string) string { return homePrefix + strings.Repeat(letter, wordLen) }

// TestSweepDead removes what dead keepers have left, and nothing else.
func TestSweepDead(t *testing.T) {
	place := homes(t)
	dead, live, full, foreign := filepath.Join(place, word("a")), filepath.Join(place, word("b")), filepath.Join(place, word("c")), filepath.Join(place, "reeve-server")
	for _, dir := range []string{dead, live, full, foreign} {
		if err := os.MkdirAll(filepath.Join(dir, "1", "of-an-attempt"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	lock, err := claim(live)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(lock)
	s, err := makeSlot(filepath.Join(full, "1"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("cat")
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: s.dir}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	sweepDead(place)
	for dir, want := range map[string]bool{dead: false, live: true, full: true, foreign: true} {
		if _, err := os.Stat(filepath.Join(dir, "1")); (err == nil) != want {
			t.Errorf("%s is there: %v, want %v", dir, err == nil, want)
		}
	}
	if err := errors.Join(in.Close(), cmd.Wait()); err != nil {
		t.Fatal(err)
	}
	s.remove()
	sweepDead(place)
	if _, err := os.Stat(full); err == nil {
		t.Error("the cgroup that was full is left")
	}
}

// TestClaim: one keeper at a time has a cgroup, and one that was swept before its lock
// was there is made again.
func TestClaim(t *testing.T) {
	base := filepath.Join(homes(t), word("a"))
	first, err := claim(base)
	if err != nil {
		t.Fatal(err)
	}
	if second, err := claim(base); !errors.Is(err, errClaimed) {
		t.Errorf("a second keeper: %d, %v", second, err)
	}
	removeCgroup(base)
	second, err := claim(base)
	if err != nil {
		t.Fatalf("after it was removed: %v", err)
	}
	unix.Close(first)
	if third, err := claim(base); !errors.Is(err, errClaimed) {
		t.Errorf("the lock of the removed one counted for the new one: %d, %v", third, err)
	}
	unix.Close(second)
	third, err := claim(base)
	if err != nil {
		t.Fatalf("after its owner has ended: %v", err)
	}
	unix.Close(third)
}

func TestIsWord(t *testing.T) {
	for word, want := range map[string]bool{
		"uj554b6netrfvrnx": true, "": false, "short": false, "uj554b6netrfvrn1": false, "UJ554B6NETRFVRNX": false,
		"../../../../../..": false, "uj554b6netrfvrnxx": false,
	} {
		if isWord(word) != want {
			t.Errorf("isWord(%q) = %v", word, !want)
		}
	}
	made, err := readMarker(filepath.Join(t.TempDir(), "id"))
	if err != nil || !isWord(made) {
		t.Errorf("a new word is %q, %v", made, err)
	}
}
