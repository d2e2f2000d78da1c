package agent

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/reeve-scheduler/reeve/internal/agent/will"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
	"github.com/reeve-scheduler/reeve/internal/logline"
)

// shipping runs a shipper over a directory of logs named by key.
func shipping(t *testing.T, open func(context.Context) (LogStream, error)) (*shipper, string, chan will.Shipped) {
	t.Helper()
	dir, told := t.TempDir(), make(chan will.Shipped, 100)
	s := newShipper()
	s.open, s.log, s.wait = open, quietLog(), time.Second
	s.path = func(key string) string { return filepath.Join(dir, key) }
	s.tell = func(e will.Event) { told <- e.(will.Shipped) }
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { s.run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	return s, dir, told
}

func frames(n int, text string) []byte {
	var b []byte
	for i := range n {
		b = logline.Append(b, logline.Stdout, 1000, fmt.Appendf(nil, "%d %s\n", i, text))
	}
	return b
}

func write(t *testing.T, name string, b []byte) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // Write has told
	if _, err := f.Write(b); err != nil {
		t.Fatal(err)
	}
}

func claimOf(f link.Fence) link.Claim {
	return link.Claim{Fence: f, Ref: job.Ref{Job: 1, Task: "m", Index: job.NoIndex, Attempt: 1}, Proof: proofOf(f)}
}

// TestShipMany: many small logs and some large ones, over streams that break.
func TestShipMany(t *testing.T) {
	srv := newMemServer(t)
	srv.breakLogs = 3
	s, dir, told := shipping(t, srv.AppendLogs)
	want := map[link.Fence][]byte{}
	for f := link.Fence(1); f <= 50; f++ {
		b := frames(3, "small")
		if f%10 == 0 {
			b = frames(20_000, strings.Repeat("x", 50)) // several pieces
		}
		want[f] = b
		key := fmt.Sprint(f)
		write(t, filepath.Join(dir, key), b)
		s.follow(claimOf(f), key)
		s.seal(f, int64(len(b)))
	}
	for range want {
		if e := get(t, told); e.Err != "" {
			t.Errorf("log of %d: %s", e.Fence, e.Err)
		}
	}
	for f, b := range want {
		if got := srv.log(f).text; !bytes.Equal(got, b) {
			t.Errorf("log of %d: %d bytes, want %d", f, len(got), len(b))
		}
	}
}

// TestShipLive: a growing log is shipped as it grows, whole frames at a time.
func TestShipLive(t *testing.T) {
	srv := newMemServer(t)
	grown := make(chan int, 100)
	s, dir, told := shipping(t, func(ctx context.Context) (LogStream, error) {
		st, err := srv.AppendLogs(ctx)
		return watched{st, grown}, err
	})
	s.follow(claimOf(1), "log") // not there yet
	b := frames(2, "text")
	name := filepath.Join(dir, "log")
	write(t, name, b[:len(b)-3])
	if !s.wrote(1) || s.wrote(2) {
		t.Error("wrote knows the wrong logs")
	}
	first := len(b) / 2
	if n := get(t, grown); n != first {
		t.Errorf("%d bytes shipped, want %d: one frame", n, first)
	}
	write(t, name, b[len(b)-3:])
	s.wrote(1)
	if n := get(t, grown); n != len(b)-first {
		t.Errorf("%d bytes shipped, want %d", n, len(b)-first)
	}
	// The keeper died in the middle of a frame.
	write(t, name, b[:3])
	s.seal(1, int64(len(b)+3))
	if e := get(t, told); e.Err != "" {
		t.Error(e.Err)
	}
	if got := srv.log(1).text; !bytes.Equal(got, b) {
		t.Errorf("log %q, want %q", got, b)
	}
}

// watched tells how many bytes are sent.
type watched struct {
	LogStream
	grown chan int
}

func (w watched) Send(pieces []LogPiece) error {
	n := 0
	for _, p := range pieces {
		n += len(p.Frames)
	}
	w.grown <- n
	return w.LogStream.Send(pieces)
}

// TestShipToTheNextServer: what a server had of a log that goes on goes to the one after it, though
// nothing more is written.
func TestShipToTheNextServer(t *testing.T) {
	b := frames(2, "text")
	held := map[link.Fence]int64{}
	whole := make(chan link.Fence, 10)
	two := newScript(func(p LogPiece) LogAnswer {
		if p.Offset <= held[p.Fence] {
			held[p.Fence] = p.Offset + int64(len(p.Frames))
			if held[p.Fence] == int64(len(b)) {
				whole <- p.Fence
			}
		}
		return LogAnswer{Fence: p.Fence, Next: held[p.Fence]}
	})
	one := newScript(func(p LogPiece) LogAnswer { return LogAnswer{Fence: p.Fence, Next: p.Offset + int64(len(p.Frames))} })
	streams := []*script{one, two}
	s, dir, _ := shipping(t, func(context.Context) (LogStream, error) {
		next := streams[0]
		streams = streams[1:]
		return next, nil
	})
	write(t, filepath.Join(dir, "log"), b)
	s.follow(claimOf(1), "log")
	if p := get(t, one.pieces); int64(len(p.Frames)) != int64(len(b)) {
		t.Fatalf("the first server got %d bytes", len(p.Frames))
	}
	for shipped := int64(0); shipped < int64(len(b)); { // until the answer is there
		s.mu.Lock()
		shipped = s.tails[1].next
		s.mu.Unlock()
	}
	one.Close()
	if f := get(t, whole); f != 1 {
		t.Errorf("the next server has the log of %d", f)
	}
}

// script is a log stream whose answers are written down before.
type script struct {
	answer func(LogPiece) LogAnswer
	pieces chan LogPiece
	out    chan []LogAnswer
	done   chan struct{}
	once   sync.Once
}

func newScript(answer func(LogPiece) LogAnswer) *script {
	return &script{answer: answer, pieces: make(chan LogPiece, 1000), out: make(chan []LogAnswer, 1000), done: make(chan struct{})}
}

func (s *script) open(context.Context) (LogStream, error) { return s, nil }

func (s *script) Send(pieces []LogPiece) error {
	var answers []LogAnswer
	for _, p := range pieces {
		p.Frames = slices.Clone(p.Frames)
		s.pieces <- p
		answers = append(answers, s.answer(p))
	}
	s.out <- answers
	return nil
}

func (s *script) Receive() ([]LogAnswer, error) {
	select {
	case a := <-s.out:
		return a, nil
	case <-s.done:
		return nil, errClosed
	}
}

func (s *script) Close() error {
	s.once.Do(func() { close(s.done) })
	return nil
}

// TestShipResumes: after a restart the server says from where on.
func TestShipResumes(t *testing.T) {
	b := frames(1000, strings.Repeat("y", 1000)) // four pieces
	half := int64(len(frames(600, strings.Repeat("y", 1000))))
	st := newScript(func(p LogPiece) LogAnswer {
		if p.Offset == 0 {
			return LogAnswer{Fence: p.Fence, Next: half}
		}
		return LogAnswer{Fence: p.Fence, Next: p.Offset + int64(len(p.Frames)), Done: p.Seal}
	})
	s, dir, told := shipping(t, st.open)
	write(t, filepath.Join(dir, "log"), b)
	s.follow(claimOf(1), "log")
	s.seal(1, int64(len(b)))
	if e := get(t, told); e.Err != "" {
		t.Error(e.Err)
	}
	if p := get(t, st.pieces); p.Offset != 0 {
		t.Errorf("the first piece is at %d", p.Offset)
	}
	if p := get(t, st.pieces); p.Offset != half {
		t.Errorf("the second piece is at %d, want %d", p.Offset, half)
	}
}

// TestShipEnds: each way in which a log's shipping ends without its whole.
func TestShipEnds(t *testing.T) {
	good := frames(3, "text")
	follow := func(p LogPiece) LogAnswer { return LogAnswer{Fence: p.Fence, Next: p.Offset + int64(len(p.Frames))} }
	for name, c := range map[string]struct {
		file   []byte
		size   int64
		answer func(LogPiece) LogAnswer
		part   string
	}{
		"not wanted":    {good, int64(len(good)), func(p LogPiece) LogAnswer { return LogAnswer{Fence: p.Fence, Done: true} }, ""},
		"kept unsealed": {good, int64(len(good)), follow, ""},
		"damaged":       {append(slices.Clone(good), 99, 99, 99), int64(len(good)) + 3, follow, "damaged"},
		"no file":       {nil, 10, follow, "no such file"},
		"too much kept": {good, int64(len(good)), func(p LogPiece) LogAnswer { return LogAnswer{Fence: p.Fence, Next: 1 << 40} }, "the server has"},
	} {
		t.Run(name, func(t *testing.T) {
			st := newScript(c.answer)
			s, dir, told := shipping(t, st.open)
			if c.file != nil {
				write(t, filepath.Join(dir, "log"), c.file)
			}
			s.follow(claimOf(1), "log")
			s.seal(1, c.size)
			if e := get(t, told); e.Fence != 1 || c.part == "" && e.Err != "" || !strings.Contains(e.Err, c.part) {
				t.Errorf("shipped: %+v, want %q", e, c.part)
			}
		})
	}
}

// TestShipDrop: a dropped log is not told of, and does not hinder others.
func TestShipDrop(t *testing.T) {
	srv := newMemServer(t)
	s, dir, told := shipping(t, srv.AppendLogs)
	write(t, filepath.Join(dir, "a"), frames(1, "a"))
	s.follow(claimOf(1), "missing")
	s.drop(1)
	s.drop(7)
	s.seal(1, 3)
	s.follow(claimOf(2), "a")
	s.seal(2, int64(len(frames(1, "a"))))
	if e := get(t, told); e.Fence != 2 || e.Err != "" {
		t.Errorf("shipped: %+v", e)
	}
}

func TestPool(t *testing.T) {
	var wg sync.WaitGroup
	p := &pool{limit: 1, wg: &wg}
	var got []int // one at a time, so that it needs no lock
	for i := range 100 {
		p.run(func() { got = append(got, i) })
	}
	wg.Wait()
	if len(got) != 100 || !slices.IsSorted(got) {
		t.Errorf("order: %v", got)
	}
	p.limit = 3
	gate, in := make(chan struct{}), make(chan struct{}, 10)
	for range 5 {
		p.run(func() { in <- struct{}{}; <-gate })
	}
	for range 3 {
		get(t, in)
	}
	select {
	case <-in:
		t.Error("more than three at a time")
	default:
	}
	close(gate)
	wg.Wait()
}

func TestMailbox(t *testing.T) {
	b := newMailbox()
	b.put(will.Tick{})
	b.put(will.Leave{})
	get(t, b.wake)
	if got := b.take(); len(got) != 2 || got[0] != (will.Tick{}) || got[1] != (will.Leave{}) {
		t.Errorf("took %v", got)
	}
	if got := b.take(); len(got) != 0 {
		t.Errorf("took %v again", got)
	}
}
