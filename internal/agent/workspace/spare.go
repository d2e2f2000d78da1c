package workspace

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
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
	if !untouched(dir, fs.ModeDir|0o700) {
		return false
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	d := dirsOf(dir)
	made := 0
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		switch path {
		case d.files, d.temp, d.artifacts:
			made++
			if !untouched(path, fs.ModeDir|0o700) || !empty(path) {
				return false
			}
		case d.script, d.stdin, d.output, dir + "/log":
			if os.Remove(path) != nil {
				return false
			}
		default:
			if e.Name() != s.cfg.Own || !untouched(path, 0o600) {
				return false
			}
		}
	}
	return made == len([]string{d.files, d.temp, d.artifacts})
}

// untouched reports whether a file or directory has the mode it was made with, and a
// file no other name, under which it would be written to.
func untouched(path string, mode fs.FileMode) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != mode {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && (info.IsDir() || st.Nlink == 1 && info.Size() <= maxOwn)
}

func empty(dir string) bool {
	f, err := os.Open(dir)
	if err != nil {
		return false
	}
	defer f.Close()
	names, err := f.Readdirnames(1)
	return len(names) == 0 && errors.Is(err, io.EOF)
}
