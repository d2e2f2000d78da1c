package workspace

import (
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// maxSpares bounds the directories that are kept; more than this many attempts that
// leave nothing seldom run on one worker at a time.
const maxSpares = 64

// maxOwn bounds the agent's own file in a spare, in bytes.
const maxOwn = 64 << 10

// spares are the directories of attempts that left nothing, for attempts to come. A
// rename takes a few microseconds; making and removing five files takes longer than
// many a process, on some file systems as long as starting it.
type spares struct {
	mu   sync.Mutex
	free []string
	made uint64
}

func (s *spares) take() (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := len(s.free) - 1
	if last < 0 {
		return "", false
	}
	dir := s.free[last]
	s.free = s.free[:last]
	return dir, true
}

// name is what the next spare is called; false if there are enough.
func (s *spares) name() (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.made++
	return strconv.FormatUint(s.made, 10), len(s.free) < maxSpares
}

func (s *spares) put(dir string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free = append(s.free, dir)
}

// Reclaim keeps the directory of a process that has ended for another one, if it left
// nothing in it; the directory is then gone from where it was. Otherwise, and after an
// error, it is where it was, perhaps with less in it.
func (s *Space) Reclaim(key string) {
	base, err := s.cfg.Root()
	if err != nil {
		return
	}
	dir := filepath.Join(base, AttemptsDir, key)
	name, wanted := s.spares.name()
	if !wanted || !s.pristine(dir) {
		return
	}
	spare := filepath.Join(base, SparesDir, name)
	if os.Rename(dir, spare) == nil {
		s.spares.put(spare)
	}
}

// pristine reports whether a directory is as makeDirs makes it for a process, but for
// the agent's own file. What we wrote ourselves is removed.
func (s *Space) pristine(dir string) bool {
	if !untouched(dir, unix.S_IFDIR|0o700) {
		return false
	}
	names, err := list(dir)
	if err != nil {
		return false
	}
	d := dirsOf(dir)
	made := 0
	for _, name := range names {
		switch path := dir + "/" + name; path {
		case d.files, d.temp, d.artifacts:
			made++
			if !untouched(path, unix.S_IFDIR|0o700) || !empty(path) {
				return false
			}
		case d.script, d.stdin, d.output, dir + "/log":
			if os.Remove(path) != nil {
				return false
			}
		default:
			if name != s.cfg.Own || !untouched(path, unix.S_IFREG|0o600) {
				return false
			}
		}
	}
	return made == len([]string{d.files, d.temp, d.artifacts})
}

// What follows is done several times for each process, however short: package os makes
// three times as many system calls of it.

// untouched reports whether a file or directory has the mode it was made with, and a
// file no other name, under which it would be written to.
func untouched(path string, mode uint32) bool {
	var st unix.Stat_t
	if unix.Lstat(path, &st) != nil || uint32(st.Mode) != mode { //nolint:unconvert // it is narrower on other systems
		return false
	}
	return mode&unix.S_IFMT == unix.S_IFDIR || st.Nlink == 1 && st.Size <= maxOwn
}

// empty reports whether a path is a directory, and no link to one, with nothing in it.
func empty(path string) bool {
	names, err := list(path)
	return err == nil && len(names) == 0
}

// list returns the names in a directory, links to one refused, up to the first few: an
// attempt may have left a million.
func list(path string) ([]string, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	const few = 16 // more than ours
	var buf [2048]byte
	var names []string
	for len(names) < few {
		n, err := unix.ReadDirent(fd, buf[:])
		if err != nil {
			return nil, err
		}
		if n == 0 {
			break
		}
		_, _, names = unix.ParseDirent(buf[:n], few, names)
	}
	return names, nil
}
