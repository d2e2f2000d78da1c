package keeper

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// homePrefix begins the name of every keeper's cgroup; the directory's own word follows.
const homePrefix = "reeve-"

// errClaimed: a keeper that lives has the cgroup.
var errClaimed = errors.New("a keeper of another directory has it")

// claimFor bounds how long a keeper waits for its cgroup: who only looks whether it is
// to be swept has the lock for a moment.
const claimFor = 2 * time.Second

// claim makes a cgroup this keeper's. The lock on it says so to others: it ends with
// this process, in whatever way that ends, and can't be mistaken for another's as a
// process number can. unlock gives it back.
func claim(base string) (unlock int, err error) {
	for end := time.Now().Add(claimFor); ; {
		if err := os.Mkdir(base, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return -1, err
		}
		fd, err := lockDir(base)
		switch {
		case err == nil && isAt(fd, base):
			return fd, nil
		case err == nil:
			// It was swept between the two steps.
			unix.Close(fd)
		case errors.Is(err, unix.ENOENT):
		case !errors.Is(err, unix.EWOULDBLOCK):
			return -1, fmt.Errorf("lock %s: %w", base, err)
		case time.Now().After(end):
			return -1, fmt.Errorf("%s: %w", base, errClaimed)
		}
		pause := time.NewTimer(2 * time.Millisecond)
		<-pause.C
	}
}

// lockDir opens and locks a directory; EWOULDBLOCK says that somebody has the lock.
func lockDir(name string) (fd int, err error) {
	fd, err = unix.Open(name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// isAt says whether fd is what has that name now.
func isAt(fd int, name string) bool {
	var mine, now unix.Stat_t
	return unix.Fstat(fd, &mine) == nil && unix.Stat(name, &now) == nil && mine.Ino == now.Ino && mine.Dev == now.Dev
}

// sweepDead removes what keepers have left in place that died and have no next one: the
// cgroups which are named as a keeper's, have nobody's lock and hold no process. One
// that holds some is left to the next keeper of its directory.
func sweepDead(place string) {
	entries, err := os.ReadDir(place)
	if err != nil {
		return
	}
	for _, e := range entries {
		if word, ok := strings.CutPrefix(e.Name(), homePrefix); !ok || !e.IsDir() || !isWord(word) {
			continue
		}
		base := filepath.Join(place, e.Name())
		fd, err := lockDir(base)
		if err != nil {
			continue
		}
		if !populated(fd) {
			removeCgroup(base)
		}
		unix.Close(fd)
	}
}

// populated says whether any process lives in the cgroup whose directory is fd.
func populated(fd int) bool {
	events, err := unix.Openat(fd, "cgroup.events", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return true
	}
	defer unix.Close(events)
	return numberIn(events, "populated") != 0
}
