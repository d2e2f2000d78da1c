package keeper

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/reeve-scheduler/reeve/internal/executor"
	"github.com/reeve-scheduler/reeve/internal/executor/process/keeperproto"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// noFence starts processes without telling trees apart: these tests start none that
// has children.
type noFence struct{ killed chan string }

func (f noFence) enter(*attempt) (*syscall.SysProcAttr, error) {
	return &syscall.SysProcAttr{Setsid: true}, nil
}
func (f noFence) kill(a *attempt)     { f.killed <- a.key }
func (f noFence) left(*attempt) bool  { return false }
func (f noFence) orphan(int) string   { return "" }
func (f noFence) leave(*attempt) bool { return false }
func (f noFence) about() string       { return "nothing is fenced" }
func (f noFence) sweep() error        { return nil }
func (f noFence) close()              {}

// served is a keeper whose starter and collector do not run: attempts stay queued,
// so that what sessions do is seen alone.
func served(t *testing.T) (*Keeper, string) {
	t.Helper()
	k := &Keeper{
		identity: "me", log: slog.New(slog.DiscardHandler), idle: time.Hour, fence: noFence{make(chan string, 1000)},
		forked: make(chan struct{}, 1), poke: make(chan struct{}, 1), startable: make(chan struct{}, 1), over: make(chan struct{}),
		attempts: map[string]*attempt{}, pids: map[int]*attempt{}, watch: NewDeadlines(),
	}
	k.pool.New = func() any { b := make([]byte, 0, pipeBuffer); return &b }
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	go k.serve(l)
	go k.timers()
	t.Cleanup(func() {
		k.mu.Lock()
		if !k.closed {
			k.closed = true
			close(k.over)
		}
		k.mu.Unlock()
		l.Close()
	})
	return k, path
}

// peer is an agent's end of a connection.
type peer struct {
	t    *testing.T
	conn net.Conn
	in   *keeperproto.Reader
}

func dial(t *testing.T, path string, version uint64) *peer {
	t.Helper()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	p := &peer{t: t, conn: conn, in: keeperproto.NewReader(conn)}
	p.say(keeperproto.Message{Op: keeperproto.Hello, Version: version})
	return p
}

func (p *peer) say(m keeperproto.Message) {
	p.t.Helper()
	if _, err := p.conn.Write(keeperproto.Append(nil, m)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) hear(op keeperproto.Op) keeperproto.Message {
	p.t.Helper()
	m, err := p.in.Next()
	if err != nil || m.Op != op {
		p.t.Fatalf("heard %+v, %v; want message %d", m, err, op)
	}
	return m
}

// greet reads the greeting and returns what is held.
func (p *peer) greet() map[string]keeperproto.Message {
	p.t.Helper()
	p.hear(keeperproto.Welcome)
	held := map[string]keeperproto.Message{}
	for {
		m, err := p.in.Next()
		if err != nil {
			p.t.Fatal(err)
		}
		if m.Op == keeperproto.Ready {
			return held
		}
		held[m.Key] = m
	}
}

func TestGreeting(t *testing.T) {
	_, path := served(t)
	p := dial(t, path, keeperproto.Version)
	m := p.hear(keeperproto.Welcome)
	if m.Version != keeperproto.Version || m.Key != "me" || m.Code != uint64(os.Getpid()) || m.Text != "nothing is fenced" {
		t.Errorf("welcome = %+v", m)
	}
	p.hear(keeperproto.Ready)
}

func TestAnotherVersionIsRefusedInWords(t *testing.T) {
	_, path := served(t)
	p := dial(t, path, keeperproto.Version+1)
	m := p.hear(keeperproto.Refused)
	if m.Version != keeperproto.Version || !strings.Contains(m.Text, fmt.Sprintf("pid %d", os.Getpid())) {
		t.Errorf("refusal = %+v", m)
	}
	if _, err := p.in.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("after the refusal: %v", err)
	}
}

func TestNonsenseEndsTheConnection(t *testing.T) {
	_, path := served(t)
	for name, m := range map[string]keeperproto.Message{
		"no hello":          {Op: keeperproto.Release, Key: "a"},
		"a keeper's answer": {Op: keeperproto.Ready},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
			if _, err := conn.Write(keeperproto.Append(nil, m)); err != nil {
				t.Fatal(err)
			}
			if _, err := keeperproto.NewReader(conn).Next(); !errors.Is(err, io.EOF) {
				t.Errorf("it answers: %v", err)
			}
		})
	}
}

func TestRequests(t *testing.T) {
	_, path := served(t)
	p := dial(t, path, keeperproto.Version)
	p.greet()
	task := executor.Task{Key: "a", Dir: t.TempDir(), Argv: []string{"true"}}
	tests := []struct {
		m    keeperproto.Message
		code uint64
	}{
		{keeperproto.Message{Op: keeperproto.Start, Task: task}, keeperproto.CodeOK},
		{keeperproto.Message{Op: keeperproto.Start, Task: task}, keeperproto.CodeOK}, // repeated after a lost reply
		{keeperproto.Message{Op: keeperproto.Renew, Keys: []string{"a", "nobody"}, Deadline: 1 << 62}, keeperproto.CodeOK},
		{keeperproto.Message{Op: keeperproto.Stop, Key: "nobody"}, keeperproto.CodeUnknown},
		{keeperproto.Message{Op: keeperproto.Release, Key: "nobody"}, keeperproto.CodeUnknown},
		{keeperproto.Message{Op: keeperproto.Release, Key: "a"}, keeperproto.CodeRefused},
		{keeperproto.Message{Op: keeperproto.Stop, Key: "a"}, keeperproto.CodeOK},
		{keeperproto.Message{Op: keeperproto.Abandon, Key: "a"}, keeperproto.CodeOK},
		{keeperproto.Message{Op: keeperproto.Abandon, Key: "nobody"}, keeperproto.CodeOK},
	}
	for i, test := range tests {
		test.m.ID = uint64(i) + 100
		p.say(test.m)
		if reply := p.hear(keeperproto.Reply); reply.ID != test.m.ID || reply.Code != test.code {
			t.Errorf("reply to request %d, %+v: %+v", i, test.m, reply)
		}
	}
}

// TestNewerTakesCharge: the older connection ends, and what it still says is not
// obeyed; the newer one is told what is held, once.
func TestNewerTakesCharge(t *testing.T) {
	k, path := served(t)
	older := dial(t, path, keeperproto.Version)
	older.greet()
	ref := job.Ref{Job: 3, Task: "t", Index: job.NoIndex, Attempt: 1}
	older.say(keeperproto.Message{Op: keeperproto.Start, ID: 1, Task: executor.Task{Key: "a", Ref: ref, Dir: "/d"}})
	older.hear(keeperproto.Reply)
	newer := dial(t, path, keeperproto.Version)
	held := newer.greet()
	if a := held["a"]; len(held) != 1 || a.Ref != ref || a.Text != "/d" || a.At != 0 || a.Exit != nil {
		t.Errorf("held = %+v", held)
	}
	if m, err := older.in.Next(); err == nil {
		t.Errorf("the older one hears %+v", m)
	}
	k.mu.Lock()
	k.conclude(k.attempts["a"], executor.Exit{Cause: job.Cause{Kind: job.CauseExit, Code: 7}})
	k.mu.Unlock()
	if m := newer.hear(keeperproto.Ended); m.Key != "a" || m.Exit.Cause.Code != 7 {
		t.Errorf("ended = %+v", m)
	}
	third := dial(t, path, keeperproto.Version)
	if a := third.greet()["a"]; a.Exit == nil || a.Exit.Cause.Code != 7 {
		t.Errorf("the result is not kept: %+v", a)
	}
}

// TestDeafAgentDelaysNothing: an agent that does not read, with more news than any
// socket holds, blocks neither the keeper's state nor the news of the next agent.
func TestDeafAgentDelaysNothing(t *testing.T) {
	k, path := served(t)
	deaf := dial(t, path, keeperproto.Version)
	deaf.greet()
	const n = 3000
	detail := strings.Repeat("x", job.MaxDetail)
	for i := range n {
		key := fmt.Sprintf("k%d", i)
		if err := k.start(executor.Task{Key: key, Dir: "/d"}); err != nil {
			t.Fatal(err)
		}
		k.mu.Lock()
		k.conclude(k.attempts[key], executor.Exit{Cause: job.Cause{Kind: job.CauseStart, Detail: detail}})
		k.mu.Unlock()
	}
	next := dial(t, path, keeperproto.Version)
	held := next.greet()
	if len(held) != n {
		t.Errorf("%d attempts are listed, want %d", len(held), n)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.news) != 0 {
		t.Errorf("%d news wait, although all are listed", len(k.news))
	}
}

func TestRefusesToHoldTooMany(t *testing.T) {
	k, _ := served(t)
	k.mu.Lock()
	for i := range maxAttempts {
		k.attempts[fmt.Sprint(i)] = &attempt{}
	}
	k.mu.Unlock()
	if err := k.start(executor.Task{Key: "one more"}); err == nil || !strings.Contains(err.Error(), "100000") {
		t.Errorf("start = %v", err)
	}
}

func TestWhenAQuietKeeperLeaves(t *testing.T) {
	k, path := served(t)
	p := dial(t, path, keeperproto.Version)
	p.greet()
	state := func() executor.Deadline {
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.quiet == 0 {
			return 0
		}
		return executor.Deadline(k.leaveAt().Sub(k.quiet))
	}
	if got := state(); got != 0 {
		t.Errorf("with an agent it leaves after %v", got)
	}
	if err := k.start(executor.Task{Key: "a"}); err != nil {
		t.Fatal(err)
	}
	p.conn.Close()
	waitFor(t, k, func() bool { return k.agent == nil })
	if got := state(); got != 0 {
		t.Errorf("with a live attempt it leaves after %v", got)
	}
	k.mu.Lock()
	k.idle = time.Minute
	k.conclude(k.attempts["a"], executor.Exit{})
	k.mu.Unlock()
	if got := time.Duration(state()); got != resultsKept {
		t.Errorf("with a result nobody fetched it leaves after %v, want %v", got, resultsKept)
	}
	if known, done := k.release("a"); !known || !done {
		t.Errorf("release = %v, %v", known, done)
	}
	if got := time.Duration(state()); got != time.Minute {
		t.Errorf("with nothing it leaves after %v, want a minute", got)
	}
	k.leave()
	select {
	case <-k.over:
	case <-time.After(30 * time.Second):
		t.Error("told to end, it stays")
	}
	if err := k.start(executor.Task{Key: "b"}); err == nil {
		t.Error("it accepts a start while it leaves")
	}
}

// waitFor waits for what another goroutine does to k.
func waitFor(t *testing.T, k *Keeper, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); <-tick.C {
		k.mu.Lock()
		done := ok()
		k.mu.Unlock()
		if done {
			return
		}
	}
	t.Fatal("waited in vain")
}

func TestListenerRemovesItsSocket(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		l, err := listen(dir)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(filepath.Join(dir, socketFile))
		if err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("the socket: %v, %v", info, err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(filepath.Join(dir, socketFile)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket is left: %v", err)
		}
	}
}
