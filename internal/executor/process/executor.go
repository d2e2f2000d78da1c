// Package process runs attempts as processes of the machine. It is the agent's
// side: the processes belong to a keeper (package keeper), a process of its own
// that outlives the agent, and this package starts that keeper, talks to it, and
// finds it again after either of them was away.
package process

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/reeve-scheduler/reeve/internal/executor"
	"github.com/reeve-scheduler/reeve/internal/executor/process/keeper"
	"github.com/reeve-scheduler/reeve/internal/executor/process/keeperproto"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// ErrClosed: the executor was closed. What a request did that was under way then
// is not known; the next executor of the directory finds it by Adopt.
var ErrClosed = errors.New("process: the executor is closed")

// KeeperMain is the program of the keeper: the binary calls it with the arguments
// that follow Config.Keeper, and exits with what it returns.
func KeeperMain(args []string) int { return keeper.Main(args) }

// Config says where and how a keeper is started.
type Config struct {
	// Dir is the agent's state directory; it is made with mode 0700. One keeper
	// belongs to one directory.
	Dir string
	// Keeper is the command that ends in KeeperMain, such as reeve keeper; --dir and
	// --idle are appended.
	Keeper []string
	// Env is added to the little that the keeper's environment holds: it must not
	// inherit the agent's secrets.
	Env []string
	// Idle is how long a keeper stays with neither agent nor attempts; default 1m.
	Idle time.Duration
	// Events is told what happens.
	Events executor.Events
	Log    *slog.Logger
}

// Executor is the agent's side of a keeper. It implements executor.Executor.
//
// Events.Started may be called before Start has returned. When the keeper dies, a
// new one is started, which kills what is left of the attempts; they end with
// job.CauseWorkerLost.
type Executor struct {
	cfg Config
	// over is closed by Close, and gone when no goroutine is left.
	over context.Context
	end  context.CancelFunc
	gone chan struct{}

	mu   sync.Mutex
	held map[string]*held
	// asked are the requests without an answer, by ID; they are sent again on a new
	// connection.
	asked  map[uint64]*request
	lastID uint64
	conn   net.Conn
	// out waits to be written to conn; writable has room for one.
	out      []byte
	writable chan struct{}
	identity string
	pid      int
	about    string
	// adopting: Adopt was called, so that the ends of older attempts are reported.
	adopting bool
}

var _ executor.Executor = (*Executor)(nil)

// held is what is known of an attempt that was not released.
type held struct {
	ref     job.Ref
	dir     string
	started time.Time
	exit    *executor.Exit
	// older: it is from before this executor.
	older bool
	// accepted: the keeper has answered its Start.
	accepted bool
}

// request is one question to the keeper.
type request struct {
	id    uint64
	op    keeperproto.Op
	key   string
	frame []byte
	// sent: a keeper may have seen it.
	sent bool
	// done has room for the answer.
	done chan keeperproto.Message
}

// New connects to the keeper of cfg.Dir, starting one if there is none.
func New(ctx context.Context, cfg Config) (*Executor, error) {
	if cfg.Idle <= 0 {
		cfg.Idle = time.Minute
	}
	if len(cfg.Keeper) == 0 || cfg.Events == nil || cfg.Log == nil {
		return nil, errors.New("process: Config needs Keeper, Events and Log")
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, err
	}
	cfg.Dir = dir
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("state directory %s: whoever can enter it controls the attempts: want mode 0700", dir)
	}
	e := &Executor{
		cfg: cfg, gone: make(chan struct{}), writable: make(chan struct{}, 1),
		held: map[string]*held{}, asked: map[uint64]*request{},
	}
	e.over, e.end = context.WithCancel(context.Background())
	l, err := e.connect(ctx)
	if err != nil {
		e.end()
		return nil, err
	}
	for _, m := range l.held {
		e.held[m.Key] = &held{ref: m.Ref, dir: m.Text, started: wallTime(m.At), exit: m.Exit, older: true, accepted: true}
	}
	e.attach(l, true)
	go e.run(l)
	return e, nil
}

// KeeperPID is the keeper's process, for tests and for people.
func (e *Executor) KeeperPID() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.pid
}

// About says how processes are killed here and what is not enforced.
func (e *Executor) About() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.about
}

// Start hands t to the keeper, which starts it soon after.
func (e *Executor) Start(ctx context.Context, t executor.Task) error {
	if err := checkTask(t); err != nil {
		return err
	}
	e.mu.Lock()
	if e.held[t.Key] != nil {
		e.mu.Unlock()
		return fmt.Errorf("process: attempt %s was started before", t.Key)
	}
	e.held[t.Key] = &held{ref: t.Ref, dir: t.Dir}
	r := e.ask(keeperproto.Message{Op: keeperproto.Start, Task: t})
	e.mu.Unlock()
	reply, err := e.await(ctx, r)
	if err == nil && reply.Code == keeperproto.CodeOK {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.held, t.Key)
	if err == nil {
		return fmt.Errorf("process: attempt %s: %s", t.Key, reply.Text)
	}
	if r.sent && !errors.Is(err, ErrClosed) {
		// The keeper may have it; an error of ours must mean that nothing runs.
		e.ask(keeperproto.Message{Op: keeperproto.Abandon, Key: t.Key})
	}
	return err
}

// checkTask refuses what no keeper could run.
func checkTask(t executor.Task) error {
	size := 0
	for _, list := range [][]string{t.Argv, t.Env} {
		for _, s := range list {
			size += len(s) + 4
		}
	}
	switch {
	case t.Key == "" || len(t.Key) > 200 || strings.ContainsAny(t.Key, "/\x00") || t.Key[0] == '.':
		return fmt.Errorf("process: key %q: want a file name of at most 200 bytes", t.Key)
	case !filepath.IsAbs(t.Dir):
		return fmt.Errorf("process: attempt %s: directory %q: want an absolute path", t.Key, t.Dir)
	case t.Work != "" && !filepath.IsAbs(t.Work):
		return fmt.Errorf("process: attempt %s: work directory %q: want an absolute path", t.Key, t.Work)
	case size > keeperproto.MaxFrame/2:
		return fmt.Errorf("process: attempt %s: arguments and environment have %d bytes; at most %d are allowed", t.Key, size, keeperproto.MaxFrame/2)
	}
	return nil
}

// SetDeadline moves deadlines in the keeper. Attempts that have ended are left out.
func (e *Executor) SetDeadline(ctx context.Context, keys []string, d executor.Deadline) error {
	if len(keys) == 0 {
		return nil
	}
	e.mu.Lock()
	r := e.ask(keeperproto.Message{Op: keeperproto.Renew, Keys: keys, Deadline: d})
	e.mu.Unlock()
	_, err := e.await(ctx, r)
	return err
}

// Stop asks the attempt's process group to end, and kills the whole tree after grace.
func (e *Executor) Stop(ctx context.Context, key string, grace time.Duration, cause job.Cause) error {
	e.mu.Lock()
	h := e.held[key]
	if h == nil || h.exit != nil {
		e.mu.Unlock()
		if h == nil {
			return executor.ErrUnknown
		}
		return nil
	}
	r := e.ask(keeperproto.Message{Op: keeperproto.Stop, Key: key, Grace: max(grace, 0), Cause: cause.Trim()})
	e.mu.Unlock()
	reply, err := e.await(ctx, r)
	if err == nil && reply.Code == keeperproto.CodeUnknown {
		err = executor.ErrUnknown
	}
	return err
}

// Adopt lists what the keeper held before this executor connected.
func (e *Executor) Adopt(context.Context) ([]executor.Running, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.adopting = true
	var list []executor.Running
	for key, h := range e.held {
		if h.older {
			list = append(list, executor.Running{Key: key, Ref: h.ref, Started: h.started, Exit: h.exit})
		}
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Key < list[j].Key })
	return list, nil
}

// Release removes an ended attempt's directory and makes the keeper forget it. If
// the directory can't be removed the attempt is forgotten all the same, and the
// error says so.
func (e *Executor) Release(ctx context.Context, key string) error {
	e.mu.Lock()
	h := e.held[key]
	switch {
	case h == nil:
		e.mu.Unlock()
		return executor.ErrUnknown
	case h.exit == nil:
		e.mu.Unlock()
		return fmt.Errorf("process: attempt %s still runs", key)
	}
	e.mu.Unlock()
	// The directory goes first: a crash in between leaves an attempt that is
	// released again, not a directory that nobody knows.
	removed := removeAll(h.dir)
	e.mu.Lock()
	r := e.ask(keeperproto.Message{Op: keeperproto.Release, Key: key})
	e.mu.Unlock()
	if _, err := e.await(ctx, r); err != nil {
		return err
	}
	e.mu.Lock()
	delete(e.held, key)
	e.mu.Unlock()
	return removed
}

// removeAll removes a tree, directories without permissions included.
func removeAll(dir string) error {
	// A quiet attempt leaves nothing, or nothing in it: one cheap call finds out.
	switch unix.Rmdir(dir) {
	case nil, unix.ENOENT:
		return nil
	}
	if os.RemoveAll(dir) == nil {
		return nil
	}
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, _ error) error {
		if d != nil && d.IsDir() {
			_ = os.Chmod(path, 0o700) //nolint:gosec // the attempt, whose files these are, is gone
		}
		return nil
	})
	return os.RemoveAll(dir)
}

// Close leaves the keeper and its attempts to themselves.
func (e *Executor) Close() error {
	e.end()
	e.mu.Lock()
	if e.conn != nil {
		e.conn.Close()
	}
	e.mu.Unlock()
	<-e.gone
	return nil
}

// ask queues a request. The caller holds mu.
func (e *Executor) ask(m keeperproto.Message) *request {
	e.lastID++
	m.ID = e.lastID
	key := m.Key
	if m.Op == keeperproto.Start {
		key = m.Task.Key
	}
	r := &request{id: m.ID, op: m.Op, key: key, frame: keeperproto.Append(nil, m), done: make(chan keeperproto.Message, 1)}
	e.asked[m.ID] = r
	if e.conn != nil {
		e.send(r)
	}
	return r
}

// send hands a request to the writer. The caller holds mu.
func (e *Executor) send(r *request) {
	r.sent = true
	e.out = append(e.out, r.frame...)
	select {
	case e.writable <- struct{}{}:
	default:
	}
}

// await waits for the answer to r; when it returns an error, r is not sent any more.
func (e *Executor) await(ctx context.Context, r *request) (keeperproto.Message, error) {
	var err error
	select {
	case m := <-r.done:
		return m, nil
	case <-ctx.Done():
		err = fmt.Errorf("process: the keeper does not answer: %w", ctx.Err())
	case <-e.over.Done():
		err = ErrClosed
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	select {
	case m := <-r.done:
		return m, nil
	default:
	}
	delete(e.asked, r.id)
	return keeperproto.Message{}, err
}

func wallTime(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns)
}
