package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/reeve-scheduler/reeve/internal/agent/will"
	"github.com/reeve-scheduler/reeve/internal/link"
	"github.com/reeve-scheduler/reeve/internal/logline"
)

const (
	// maxPiece bounds the frames of one attempt in one message; it holds at least
	// one frame whole.
	maxPiece = 256 << 10
	// maxMessage bounds the frames of one message, maxPieces its attempts.
	maxMessage = 512 << 10
	maxPieces  = 512
	// pollEvery is how often logs are looked at for which no hint came.
	pollEvery = 2 * time.Second
	// firstWait is how long to wait before the first try to connect again.
	firstWait = 100 * time.Millisecond
)

// shipper sends what attempts write, on a connection of its own. Of each attempt one
// piece is on its way at a time, and the server's answer says where to go on: that
// one rule covers repeats, gaps and servers that were restarted. Attempts take turns.
type shipper struct {
	open func(context.Context) (LogStream, error)
	// path is where an attempt's log is.
	path func(key string) string
	tell func(will.Event)
	log  *slog.Logger
	wait time.Duration

	mu    sync.Mutex
	tails map[link.Fence]*tail
	// ring is the tails that may have something to send, each once.
	ring []*tail
	wake chan struct{}
	buf  []byte
}

// tail is one attempt's log.
type tail struct {
	link.Claim
	path string
	// next is what the server has; size is known once the attempt has ended.
	next, size int64
	sealed     bool
	// sealAt is where the seal that was sent is, -1 for none.
	sealAt int64
	// away: a piece is on its way. queued: it is in the ring. asks: another server may have less
	// of it than the one before, and is asked.
	away, queued, gone, asks bool
}

func newShipper() *shipper {
	return &shipper{tails: map[link.Fence]*tail{}, wake: make(chan struct{}, 1)}
}

func (s *shipper) follow(of link.Claim, key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tails[of.Fence] != nil {
		return
	}
	t := &tail{Claim: of, path: s.path(key), size: -1, sealAt: -1}
	s.tails[of.Fence] = t
	s.enqueue(t)
}

func (s *shipper) seal(fence link.Fence, size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.tails[fence]; t != nil {
		t.size, t.sealed = size, true
		s.enqueue(t)
	}
}

func (s *shipper) drop(fence link.Fence) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(fence)
}

func (s *shipper) remove(fence link.Fence) {
	if t := s.tails[fence]; t != nil {
		t.gone = true
		delete(s.tails, fence)
	}
}

// wrote is a hint that a log has grown; false if it is not followed.
func (s *shipper) wrote(fence link.Fence) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tails[fence]
	if t != nil {
		s.enqueue(t)
	}
	return t != nil
}

func (s *shipper) enqueue(t *tail) {
	if t.queued || t.away {
		return // what is away is looked at again when the answer comes
	}
	t.queued = true
	s.ring = append(s.ring, t)
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// poll looks at every log again.
func (s *shipper) poll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.tails {
		if t.sealed || larger(t.path, t.next) {
			s.enqueue(t)
		}
	}
}

func larger(path string, than int64) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Size() > than
}

// run ships until ctx ends. It opens a stream only when there is something to send.
func (s *shipper) run(ctx context.Context) {
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for wait := firstWait; ; {
		select {
		case <-ctx.Done():
			return
		case <-poll.C:
			s.poll()
			continue
		case <-s.wake:
		}
		worked, err := s.stream(ctx)
		if ctx.Err() != nil {
			return
		}
		if worked {
			wait = firstWait
		}
		s.log.Debug("the log stream ended", "error", err, "again", wait)
		s.recall()
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
		wait = min(2*wait, s.wait)
	}
}

// recall takes back what was on its way, to be sent again.
func (s *shipper) recall() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.tails {
		t.away, t.asks = false, t.next > 0
		s.enqueue(t)
	}
}

// stream sends until the stream breaks; worked says whether any answer came.
func (s *shipper) stream(ctx context.Context) (worked bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	st, err := s.open(ctx)
	if err != nil {
		return false, err
	}
	broken := make(chan error, 1)
	go func() {
		defer close(broken)
		for {
			answers, err := st.Receive()
			if err != nil {
				broken <- err
				return
			}
			worked = true
			for _, a := range answers {
				s.answer(a)
			}
		}
	}()
	err = s.send(ctx, st, broken)
	cancel()
	err = errors.Join(err, st.Close())
	for range broken { // the receiver ends with the stream
	}
	return worked, err
}

func (s *shipper) send(ctx context.Context, st LogStream, broken <-chan error) error {
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for {
		for pieces := s.gather(); len(pieces) > 0; pieces = s.gather() {
			if err := st.Send(pieces); err != nil {
				return err
			}
		}
		select {
		case err := <-broken:
			return err
		case <-ctx.Done():
			return ctx.Err()
		case <-poll.C:
			s.poll()
		case <-s.wake:
		}
	}
}

// gather reads the next pieces, one of each log in turn, into the one buffer.
func (s *shipper) gather() []LogPiece {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.buf == nil {
		s.buf = make([]byte, 0, maxMessage)
	}
	s.buf = s.buf[:0]
	var pieces []LogPiece
	for len(s.ring) > 0 && len(pieces) < maxPieces && cap(s.buf)-len(s.buf) >= maxPiece {
		t := s.ring[0]
		s.ring = s.ring[1:]
		t.queued = false
		if t.gone || t.away {
			continue
		}
		p, ok, err := s.read(t)
		switch {
		case err != nil:
			s.end(t, err.Error())
		case ok:
			t.away = true
			pieces = append(pieces, p)
		}
	}
	return pieces
}

// read takes the next whole frames of a log; false if there is nothing to send.
func (s *shipper) read(t *tail) (LogPiece, bool, error) {
	p := LogPiece{Claim: t.Claim, Offset: t.next}
	at := len(s.buf)
	space := s.buf[at : at+maxPiece]
	if t.sealed {
		space = space[:min(int64(len(space)), max(t.size-t.next, 0))]
	}
	n, err := readAt(t.path, space, t.next)
	if errors.Is(err, fs.ErrNotExist) && !t.sealed {
		return p, false, nil
	}
	if err != nil {
		return p, false, err
	}
	whole, err := logline.Whole(space[:n])
	if err != nil {
		return p, false, fmt.Errorf("%s at byte %d: %w", filepath.Base(t.path), t.next+int64(whole), err)
	}
	p.Frames = space[:whole:whole]
	s.buf = s.buf[:at+whole]
	// A torn frame at the end is all that a kill in the middle of a write leaves.
	p.Seal = t.sealed && (t.next+int64(whole) >= t.size || whole == 0 || n < len(space))
	if p.Seal {
		t.sealAt = t.next + int64(whole)
	}
	asks := t.asks
	t.asks = false
	return p, whole > 0 || p.Seal || asks, nil
}

func readAt(path string, into []byte, at int64) (int, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	n, err := f.ReadAt(into, at)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// answer goes on where the server says.
func (s *shipper) answer(a LogAnswer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tails[a.Fence]
	switch {
	case t == nil:
	case a.Done:
		s.end(t, "")
	case a.Next < 0 || t.sealed && a.Next > t.size:
		s.end(t, fmt.Sprintf("the server has %d bytes of %d", a.Next, t.size))
	case t.sealAt >= 0 && a.Next == t.sealAt:
		s.end(t, "")
	case a.Next == t.next:
		t.away = false // it took nothing: leave it until the next poll
	default:
		t.next, t.away = a.Next, false
		s.enqueue(t)
	}
}

// end tells that a log is shipped, or can't be. One that goes on is told of when its
// attempt has ended.
func (s *shipper) end(t *tail, why string) {
	s.remove(t.Fence)
	s.tell(will.Shipped{Fence: t.Fence, Err: why})
}
