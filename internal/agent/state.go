package agent

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/reeve-scheduler/reeve/internal/agent/will"
	"github.com/reeve-scheduler/reeve/internal/agent/workspace"
	"github.com/reeve-scheduler/reeve/internal/executor"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// state is the state directory:
//
//	lock                held by the one agent
//	instance            who this worker is, for ever
//	incarnation         the number of the last process, which rises
//	attempts/KEY/       an attempt's directory
//	starts/KEY          an at_most_once attempt that was or may have been started
//	results/KEY         a result that is not acknowledged
//	blobs/              items of arrays, a cache
//	spares/             directories for attempts to come
//
// Without a directory of its own it makes a temporary one once it is needed.
type state struct {
	dir      string
	lock     *os.File
	instance string
	// incarnation is greater than that of every process before; 0 without a directory.
	incarnation uint64
	// place is where the directory is, as link.Hello has it.
	place   string
	temp    sync.Once
	tempErr error
	isTemp  bool
}

const (
	startsDir  = "starts"
	resultsDir = "results"
	// aboutFile is in an attempt's directory: what its assignment said.
	aboutFile = "assignment.json"
)

// aboutAttempt is what must be known of an attempt to adopt or report it.
type aboutAttempt struct {
	Ref        job.Ref       `json:"ref"`
	Fence      link.Fence    `json:"fence"`
	Lease      time.Duration `json:"lease_ns"`
	Proof      link.Proof    `json:"proof,omitzero"`
	CPU        int64         `json:"cpu_milli"`
	Memory     int64         `json:"memory_bytes"`
	Other      job.Amounts   `json:"other,omitempty"`
	Devices    job.Devices   `json:"devices,omitempty"`
	Where      []string      `json:"where,omitempty"`
	AtMostOnce bool          `json:"at_most_once,omitempty"`
	Result     *link.Result  `json:"result,omitempty"`
}

func about(w *link.Assignment) *aboutAttempt {
	t, given := &w.Spec.Tasks[w.Task], w.Resources()
	return &aboutAttempt{
		Ref: w.Ref(), Fence: w.Fence, Lease: w.Lease, Proof: w.Proof, CPU: given.CPU, Memory: given.Memory,
		Other: given.Other, Devices: w.Devices, Where: t.Where, AtMostOnce: t.AtMostOnce,
	}
}

// openState locks a state directory, making it if need be. With dir empty there is
// none, and the instance is new.
func openState(dir string) (*state, error) {
	s := &state{dir: dir, instance: newInstance()}
	if dir == "" {
		s.isTemp = true
		return s, nil
	}
	for _, d := range []string{"", workspace.AttemptsDir, startsDir, resultsDir, workspace.BlobsDir, workspace.SparesDir} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			return nil, fmt.Errorf("agent: state directory: %w", err)
		}
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("agent: state directory: %w", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("agent: another worker uses the state directory %s: stop it, or give this one its own", dir), lock.Close())
	}
	s.lock = lock
	s.place = placeOf(lock)
	name := filepath.Join(dir, "instance")
	if b, err := os.ReadFile(name); err == nil && len(strings.TrimSpace(string(b))) == len(s.instance) {
		s.instance = strings.TrimSpace(string(b))
	} else if err := writeSynced(name, []byte(s.instance+"\n")); err != nil {
		return nil, errors.Join(fmt.Errorf("agent: state directory: %w", err), s.close())
	}
	if err := s.count(); err != nil {
		return nil, errors.Join(fmt.Errorf("agent: state directory: %w", err), s.close())
	}
	return s, nil
}

// placeOf tells the directory of a lock from every other, also from its copies and from
// itself after the machine was restarted; empty where the boot of a machine has no name.
func placeOf(lock *os.File) string {
	boot := bootID()
	var is unix.Stat_t
	if err := unix.Fstat(int(lock.Fd()), &is); err != nil || boot == "" {
		return ""
	}
	return fmt.Sprintf("%.64s/%d:%d", boot, is.Dev, is.Ino)
}

// check fails once the directory is no longer the one that this agent has locked: it
// was removed or replaced, and another agent may have it.
func (s *state) check() error {
	if s.lock == nil {
		return nil
	}
	mine, err := s.lock.Stat()
	if err != nil {
		return fmt.Errorf("agent: state directory: %w", err)
	}
	now, err := os.Stat(s.lock.Name())
	if errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(mine, now) {
		return fmt.Errorf("agent: the state directory %s was removed or replaced while this worker used it; start the worker again", s.dir)
	}
	return nil // what else is wrong with it shows where it is used
}

// count numbers this process. The clock is its number, so that one with a damaged
// record, or a directory that went back in time, still is a later one.
func (s *state) count() error {
	name := filepath.Join(s.dir, "incarnation")
	var last uint64
	if b, err := os.ReadFile(name); err == nil {
		last, _ = strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64) // 0 for what is no number
	}
	s.incarnation = max(uint64(time.Now().UnixNano()), last+1)
	return writeSynced(name, []byte(strconv.FormatUint(s.incarnation, 10)+"\n"))
}

func newInstance() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

func (s *state) close() error {
	if s.isTemp && s.dir != "" {
		return os.RemoveAll(s.dir)
	}
	if s.lock == nil {
		return nil
	}
	return s.lock.Close()
}

// attempt is the directory of an attempt, which may not exist.
func (s *state) attempt(key string) string {
	dir, err := s.root()
	if err != nil {
		return filepath.Join(os.DevNull, key) // nothing is there, and nothing can be made there
	}
	return filepath.Join(dir, workspace.AttemptsDir, key)
}

// root is the directory; a temporary one is made at the first call.
func (s *state) root() (string, error) {
	if !s.isTemp {
		return s.dir, nil
	}
	s.temp.Do(func() {
		dir, err := os.MkdirTemp("", "reeve-worker-")
		if err == nil {
			err = os.MkdirAll(filepath.Join(dir, workspace.AttemptsDir), 0o700)
		}
		if err == nil {
			err = os.MkdirAll(filepath.Join(dir, workspace.BlobsDir), 0o700)
		}
		s.dir, s.tempErr = dir, err
	})
	return s.dir, s.tempErr
}

// describe writes down what must be known to adopt an attempt.
func (s *state) describe(key string, w *link.Assignment) error {
	b, err := json.Marshal(about(w))
	if err != nil {
		return err
	}
	// The file may be there from an attempt before, and is then written over: cutting it
	// to nothing first would make some file systems write it out.
	name := filepath.Join(s.attempt(key), aboutFile)
	fd, err := unix.Open(name, unix.O_WRONLY|unix.O_CREAT|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return &fs.PathError{Op: "open", Path: name, Err: err}
	}
	n, err := unix.Write(fd, b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	if err = errors.Join(err, unix.Ftruncate(fd, int64(len(b))), unix.Close(fd)); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

func (s *state) recordStart(key string, w *link.Assignment) error {
	return writeJSON(filepath.Join(s.dir, startsDir, key), about(w))
}

func (s *state) keepResult(key string, of link.Claim, r link.Result) error {
	return writeJSON(filepath.Join(s.dir, resultsDir, key), &aboutAttempt{Ref: of.Ref, Fence: of.Fence, Proof: of.Proof, Result: &r})
}

// forget removes an attempt's records. The result goes last, so that a crash in
// between does not make a reported end a lost one.
func (s *state) forget(key string) error {
	err := os.Remove(filepath.Join(s.dir, startsDir, key))
	err2 := os.Remove(filepath.Join(s.dir, resultsDir, key))
	for _, e := range []error{err, err2} {
		if e != nil && !errors.Is(e, fs.ErrNotExist) {
			return e
		}
	}
	return nil
}

func writeJSON(name string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return writeSynced(name, b)
}

// writeSynced replaces a file so that after a power loss it is whole, or as before.
func writeSynced(name string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	d, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// left lists what earlier processes left: the executors' attempts, kept results and
// recorded starts, each attempt once, by fence. Directories of none of them are
// removed.
func (s *state) left(held map[string][]executor.Running) ([]will.Adopted, error) {
	all := map[link.Fence]*will.Adopted{}
	keys := map[string]bool{}
	for kind, runs := range held {
		for i := range runs {
			r := &runs[i]
			keys[r.Key] = true
			fence, ok := will.FenceOf(r.Key)
			if !ok {
				continue // not ours; it will end at its deadline
			}
			o := &will.Adopted{Fence: fence, Ref: r.Ref, Key: r.Key, Executor: kind, Started: r.Started.UnixMilli()}
			if r.Exit != nil {
				x := exitOf(*r.Exit)
				o.Exit = &x
			}
			var ab aboutAttempt
			if err := readJSON(filepath.Join(s.attempt(r.Key), aboutFile), &ab); err != nil || ab.Fence != fence {
				o.Foreign = true
			} else {
				o.Lease, o.Proof, o.Where, o.AtMostOnce = ab.Lease, ab.Proof, ab.Where, ab.AtMostOnce
				o.Resources, o.Devices = job.Resources{CPU: ab.CPU, Memory: ab.Memory, Other: ab.Other}, ab.Devices
			}
			all[fence] = o
		}
	}
	if s.isTemp {
		return nil, nil
	}
	err := s.records(resultsDir, func(ab *aboutAttempt, key string) {
		keys[key] = true
		o := all[ab.Fence]
		if o == nil {
			o = &will.Adopted{Fence: ab.Fence, Ref: ab.Ref, Key: key}
			all[ab.Fence] = o
		}
		o.Result, o.Proof, o.Foreign = ab.Result, ab.Proof, false
	})
	err = errors.Join(err, s.records(startsDir, func(ab *aboutAttempt, key string) {
		if all[ab.Fence] == nil {
			all[ab.Fence] = &will.Adopted{Fence: ab.Fence, Ref: ab.Ref, Key: key, AtMostOnce: true}
		}
	}))
	if err != nil {
		return nil, err
	}
	list := make([]will.Adopted, 0, len(all))
	for _, o := range all {
		list = append(list, *o)
	}
	slices.SortFunc(list, func(a, b will.Adopted) int {
		if a.Fence < b.Fence {
			return -1
		}
		return 1
	})
	return list, s.sweep(keys)
}

// records reads every record of a directory. A damaged one is an error: it may be of
// an attempt that must not run twice.
func (s *state) records(dir string, each func(ab *aboutAttempt, key string)) error {
	entries, err := os.ReadDir(filepath.Join(s.dir, dir))
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := filepath.Join(s.dir, dir, e.Name())
		if strings.HasPrefix(e.Name(), ".new-") {
			if err := os.Remove(name); err != nil {
				return err
			}
			continue
		}
		var ab aboutAttempt
		if err := readJSON(name, &ab); err != nil {
			return fmt.Errorf("agent: record %s: %w; look into it, then remove it", name, err)
		}
		each(&ab, e.Name())
	}
	return nil
}

// sweep removes the directories of attempts that nobody knows, and what can be made
// again.
func (s *state) sweep(keys map[string]bool) error {
	entries, err := os.ReadDir(filepath.Join(s.dir, workspace.AttemptsDir))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !keys[e.Name()] {
			err = errors.Join(err, os.RemoveAll(s.attempt(e.Name())))
		}
	}
	for _, name := range []string{workspace.BlobsDir, workspace.SparesDir} {
		dir := filepath.Join(s.dir, name)
		err = errors.Join(err, os.RemoveAll(dir), os.MkdirAll(dir, 0o700))
	}
	return err
}

func readJSON(name string, v any) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}
