package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sort"
	"syscall"
	"time"

	"github.com/reeve-scheduler/reeve/internal/executor"
	"github.com/reeve-scheduler/reeve/internal/executor/process/keeper"
	"github.com/reeve-scheduler/reeve/internal/executor/process/keeperproto"
	"github.com/reeve-scheduler/reeve/internal/job"
)

const (
	// answerWithin is how long a keeper may take for its greeting and its list.
	answerWithin = 30 * time.Second
	// retryFrom and retryTo bound the pause between attempts to reach a keeper.
	retryFrom, retryTo = 10 * time.Millisecond, time.Second
)

// errRefused: the keeper is there and can't be talked to.
var errRefused = errors.New("process: the keeper refuses")

// link is a connection whose greeting is done.
type link struct {
	conn    net.Conn
	in      *keeperproto.Reader
	welcome keeperproto.Message
	held    []keeperproto.Message
}

// connect reaches the keeper, starting one where there is none, until ctx ends.
func (e *Executor) connect(ctx context.Context) (*link, error) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	<-pause.C
	for wait := retryFrom; ; wait = min(2*wait, retryTo) {
		l, err := e.dial(ctx)
		if err == nil {
			return l, nil
		}
		if errors.Is(err, errRefused) {
			return nil, err
		}
		launched := e.launch(ctx)
		if launched == nil {
			if l, err = e.dial(ctx); err == nil {
				return l, nil
			}
		} else {
			err = launched
		}
		pause.Reset(wait)
		select {
		case <-pause.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("process: no keeper in %s: %w", e.cfg.Dir, err)
		case <-e.over.Done():
			return nil, ErrClosed
		}
	}
}

// dial connects to a keeper that runs, and reads what it holds.
func (e *Executor) dial(ctx context.Context) (_ *link, err error) {
	path, done, err := keeper.SocketPath(e.cfg.Dir)
	if err != nil {
		return nil, err
	}
	defer done()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			conn.Close()
		}
	}()
	_ = conn.SetDeadline(time.Now().Add(answerWithin))
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if _, err := conn.Write(keeperproto.Append(nil, keeperproto.Message{Op: keeperproto.Hello, Version: keeperproto.Version})); err != nil {
		return nil, err
	}
	l := &link{conn: conn, in: keeperproto.NewReader(conn)}
	for {
		m, err := l.in.Next()
		switch {
		case err != nil:
			return nil, err
		case m.Op == keeperproto.Refused:
			return nil, fmt.Errorf("%w: %s", errRefused, m.Text)
		case m.Op == keeperproto.Welcome:
			l.welcome = m
		case m.Op == keeperproto.Held:
			l.held = append(l.held, m)
		case m.Op == keeperproto.Ready:
			_ = conn.SetDeadline(time.Time{})
			return l, nil
		default:
			return nil, fmt.Errorf("%w: it answered a greeting with message %d", errRefused, m.Op)
		}
	}
}

// launch starts a keeper in its own session and waits until it listens, or until
// it finds that another one has the directory.
func (e *Executor) launch(ctx context.Context) error {
	errs, err := os.OpenFile(filepath.Join(e.cfg.Dir, "keeper.log"), os.O_WRONLY|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer errs.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	argv := append(append([]string(nil), e.cfg.Keeper...), "--dir", e.cfg.Dir, "--idle", e.cfg.Idle.String())
	cmd := exec.Command(argv[0], argv[1:]...) //nolint:noctx // a keeper outlives its agent
	cmd.Dir, cmd.Env = "/", keeperEnv(e.cfg.Env)
	cmd.Stdout, cmd.Stderr = w, errs
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	w.Close()
	if err != nil {
		return fmt.Errorf("starting the keeper: %w", err)
	}
	ended := make(chan error, 1)
	// This goroutine lives as long as the keeper: somebody must collect it.
	go func() { ended <- cmd.Wait() }()
	stop := context.AfterFunc(ctx, func() { _ = r.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	_ = r.SetReadDeadline(time.Now().Add(answerWithin))
	line := make([]byte, len(keeper.ReadyLine))
	if _, err := io.ReadFull(r, line); err == nil && string(line) == keeper.ReadyLine {
		return nil
	}
	select {
	case err := <-ended:
		if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == keeper.ExitLocked {
			return nil
		}
		return fmt.Errorf("the keeper ended at once (%w); see %s", err, errs.Name())
	case <-ctx.Done():
		return ctx.Err()
	}
}

// keeperEnv is what a keeper needs of the agent's environment, and no more: every
// process of the user can read it.
func keeperEnv(more []string) []string {
	var env []string
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "LANG", keeper.MarkerEnv} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return append(env, more...)
}

// run reads from the keeper, and reconnects, until Close.
func (e *Executor) run(l *link) {
	defer close(e.gone)
	for {
		written := make(chan struct{})
		go func() {
			defer close(written)
			e.write(l.conn)
		}()
		err := e.read(l)
		l.conn.Close()
		e.mu.Lock()
		e.conn, e.out = nil, nil
		e.mu.Unlock()
		e.nudge()
		<-written
		if e.over.Err() != nil {
			return
		}
		e.cfg.Log.Warn("the connection to the keeper is lost", "error", err)
		if l = e.reconnect(); l == nil {
			return
		}
		e.attach(l, false)
	}
}

// reconnect tries until it works or Close is called.
func (e *Executor) reconnect() *link {
	pause := time.NewTimer(0)
	defer pause.Stop()
	<-pause.C
	for {
		l, err := e.connect(e.over)
		if err == nil {
			return l
		}
		if e.over.Err() != nil {
			return nil
		}
		e.cfg.Log.Error("no keeper", "error", err)
		pause.Reset(retryTo)
		select {
		case <-pause.C:
		case <-e.over.Done():
			return nil
		}
	}
}

// write sends what is queued until conn is not the connection any more.
func (e *Executor) write(conn net.Conn) {
	var spare []byte
	for range e.writable {
		e.mu.Lock()
		if e.conn != conn {
			e.mu.Unlock()
			return
		}
		buf := e.out
		e.out = spare[:0]
		e.mu.Unlock()
		if len(buf) > 0 {
			if _, err := conn.Write(buf); err != nil {
				// The reader sees it too and starts over.
				conn.Close()
			}
		}
		if spare = buf; cap(spare) > 1<<20 {
			spare = nil
		}
	}
}

func (e *Executor) nudge() {
	select {
	case e.writable <- struct{}{}:
	default:
	}
}

// attach makes l the connection: what the keeper holds is compared with what it
// should hold, and unanswered requests are sent again.
func (e *Executor) attach(l *link, first bool) {
	e.mu.Lock()
	another := e.identity != "" && e.identity != l.welcome.Key
	e.conn, e.identity, e.about, e.pid = l.conn, l.welcome.Key, l.welcome.Text, int(l.welcome.Code)
	if e.over.Err() != nil {
		// Close has come in between and found no connection to end.
		l.conn.Close()
	}
	var calls []func()
	if !first {
		calls = e.reconcile(l.held, another)
	}
	ids := make([]uint64, 0, len(e.asked))
	for id := range e.asked {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		e.send(e.asked[id])
	}
	e.mu.Unlock()
	for _, call := range calls {
		call()
	}
}

// reconcile brings held up to date with a keeper's list and returns the events
// that came of it. another says that it is not the keeper of before. The caller
// holds mu.
func (e *Executor) reconcile(list []keeperproto.Message, another bool) (calls []func()) {
	listed := map[string]bool{}
	for _, m := range list {
		listed[m.Key] = true
		calls = append(calls, e.started(m.Key, m.At)...)
		if m.Exit != nil {
			calls = append(calls, e.ended(m.Key, m.Exit)...)
		}
	}
	if another {
		// A start that the dead keeper may have seen can have run: it is not sent
		// again, but counts as accepted and lost.
		for id, r := range e.asked {
			if r.op == keeperproto.Start && r.sent {
				delete(e.asked, id)
				if h := e.held[r.key]; h != nil {
					h.accepted = true
				}
				r.done <- keeperproto.Message{Op: keeperproto.Reply, ID: id}
			}
		}
	}
	keys := make([]string, 0, len(e.held))
	for key, h := range e.held {
		if h.accepted && h.exit == nil && !listed[key] {
			keys = append(keys, key)
		}
	}
	sort.Strings(keys)
	for _, key := range keys {
		calls = append(calls, e.ended(key, &executor.Exit{
			Cause:   job.Cause{Kind: job.CauseWorkerLost, Detail: "its keeper died"},
			Started: e.held[key].started, Ended: time.Now(),
		})...)
	}
	return calls
}

// read handles what the keeper says until the connection fails.
func (e *Executor) read(l *link) error {
	for {
		m, err := l.in.Next()
		if err != nil {
			return err
		}
		e.mu.Lock()
		var calls []func()
		switch m.Op {
		case keeperproto.Reply:
			e.answer(m)
		case keeperproto.Started:
			calls = e.started(m.Key, m.At)
		case keeperproto.Ended:
			calls = e.ended(m.Key, m.Exit)
		case keeperproto.Wrote:
			if h := e.held[m.Key]; h != nil && (!h.older || e.adopting) {
				key := m.Key
				calls = []func(){func() { e.cfg.Events.Wrote(key) }}
			}
		default:
			err = fmt.Errorf("process: the keeper sent message %d", m.Op)
		}
		e.mu.Unlock()
		if err != nil {
			return err
		}
		for _, call := range calls {
			call()
		}
	}
}

// answer gives a reply to who asked. The caller holds mu.
func (e *Executor) answer(m keeperproto.Message) {
	r := e.asked[m.ID]
	if r == nil {
		return
	}
	delete(e.asked, m.ID)
	if h := e.held[r.key]; h != nil && r.op == keeperproto.Start && m.Code == keeperproto.CodeOK {
		h.accepted = true
	}
	r.done <- m
}

// started and ended note news of an attempt and return whom to tell. An attempt
// that nobody here knows was given up, or left by an agent that is gone; it is not
// to run. The caller holds mu.
func (e *Executor) started(key string, at int64) []func() {
	h := e.known(key)
	if h == nil || at == 0 || !h.started.IsZero() {
		return nil
	}
	h.started = wallTime(at)
	if h.older && !e.adopting {
		return nil
	}
	return []func(){func() { e.cfg.Events.Started(key, wallTime(at)) }}
}

func (e *Executor) ended(key string, x *executor.Exit) []func() {
	h := e.known(key)
	if h == nil || h.exit != nil || x == nil {
		return nil
	}
	h.exit = x
	if h.older && !e.adopting {
		return nil
	}
	return []func(){func() { e.cfg.Events.Ended(key, *x) }}
}

func (e *Executor) known(key string) *held {
	h := e.held[key]
	if h == nil {
		e.ask(keeperproto.Message{Op: keeperproto.Abandon, Key: key})
	}
	return h
}
