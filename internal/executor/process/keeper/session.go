package keeper

import (
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/reeve-scheduler/reeve/internal/executor/process/keeperproto"
)

const (
	// helloWithin is how long a connection may take to say hello.
	helloWithin = 10 * time.Second
	// maxReplies bounds the replies, in bytes, that wait for an agent which sends
	// and does not read; past it no more requests are read.
	maxReplies = 1 << 20
	// hintEvery is how often an agent is told that logs have grown.
	hintEvery = 10 * time.Millisecond
)

// session is one agent's connection. A goroutine reads and obeys, another writes;
// neither holds Keeper.mu while it waits for the agent, so that an agent which is
// stopped delays nothing. What it is to be told is a flag per attempt, not a queue.
type session struct {
	k    *Keeper
	conn net.Conn
	// urgent and hinted have room for one.
	urgent, hinted chan struct{}

	mu sync.Mutex
	// drained says that replies have been written or the session is over.
	drained *sync.Cond
	replies []byte
	over    bool
}

// serve accepts agents until the listener is closed.
func (k *Keeper) serve(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			select {
			case <-k.over:
				return
			default:
			}
			k.log.Error("accepting an agent", "error", err)
			// Descriptors may run out for a while.
			pause := time.NewTimer(100 * time.Millisecond)
			<-pause.C
			continue
		}
		s := &session{k: k, conn: conn, urgent: make(chan struct{}, 1), hinted: make(chan struct{}, 1)}
		s.drained = sync.NewCond(&s.mu)
		go s.run()
	}
}

// run serves one agent until the connection or its charge ends.
func (s *session) run() {
	defer s.close()
	_ = s.conn.SetDeadline(time.Now().Add(helloWithin))
	in := keeperproto.NewReader(s.conn)
	hello, err := in.Next()
	if err != nil || hello.Op != keeperproto.Hello {
		return
	}
	if hello.Version != keeperproto.Version {
		_, _ = s.conn.Write(keeperproto.Append(nil, keeperproto.Message{
			Op: keeperproto.Refused, Version: keeperproto.Version,
			Text: fmt.Sprintf("the keeper speaks version %d and the agent version %d; end the attempts or let the older agent drain, then end the keeper (pid %d)",
				keeperproto.Version, hello.Version, os.Getpid()),
		}))
		return
	}
	_ = s.conn.SetDeadline(time.Time{})
	if !s.takeCharge() {
		return
	}
	go s.write()
	for {
		m, err := in.Next()
		if err != nil || !s.obey(m) {
			return
		}
	}
}

// takeCharge makes s the agent's connection and queues the list of what is held.
// From then on news go to s, and none is both in the list and told again.
func (s *session) takeCharge() bool {
	k := s.k
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return false
	}
	if old := k.agent; old != nil {
		k.log.Info("another agent takes charge")
		old.conn.Close()
	}
	k.agent = s
	k.settle()
	out := keeperproto.Append(nil, keeperproto.Message{
		Op: keeperproto.Welcome, Version: keeperproto.Version,
		Key: k.identity, Code: uint64(os.Getpid()), Text: k.fence.about(),
	})
	for _, a := range k.attempts {
		a.news, a.listed = 0, false
		if a.abandoned {
			continue
		}
		m := keeperproto.Message{Op: keeperproto.Held, Key: a.key, Ref: a.ref, Text: a.dir, Exit: a.exit}
		if !a.started.IsZero() {
			m.At = a.started.UnixNano()
		}
		out = keeperproto.Append(out, m)
	}
	k.news = nil
	s.replies = keeperproto.Append(out, keeperproto.Message{Op: keeperproto.Ready})
	wake(s.urgent)
	return true
}

// obey does one request and queues the reply. It reports false when s is no longer
// in charge or said what no agent says.
func (s *session) obey(m keeperproto.Message) bool {
	k := s.k
	k.mu.Lock()
	charge := k.agent == s
	k.mu.Unlock()
	if !charge {
		return false
	}
	reply := keeperproto.Message{Op: keeperproto.Reply, ID: m.ID}
	switch m.Op {
	case keeperproto.Start:
		if err := k.start(m.Task); err != nil {
			reply.Code, reply.Text = keeperproto.CodeRefused, err.Error()
		}
	case keeperproto.Renew:
		k.renew(m.Keys, m.Deadline)
	case keeperproto.Stop:
		if !k.stop(m.Key, m.Grace, m.Cause) {
			reply.Code = keeperproto.CodeUnknown
		}
	case keeperproto.Release:
		known, done := k.release(m.Key)
		if !known {
			reply.Code = keeperproto.CodeUnknown
		} else if !done {
			reply.Code, reply.Text = keeperproto.CodeRefused, "it still runs"
		}
	case keeperproto.Abandon:
		k.abandon(m.Key)
	default:
		return false
	}
	s.reply(reply)
	return true
}

func (s *session) reply(m keeperproto.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.replies) > maxReplies && !s.over {
		s.drained.Wait()
	}
	s.replies = keeperproto.Append(s.replies, m)
	wake(s.urgent)
}

// urge makes write look; what is not urgent may wait for hintEvery.
func (s *session) urge(urgent bool) {
	if urgent {
		wake(s.urgent)
	} else {
		wake(s.hinted)
	}
}

// write sends replies and news until the connection fails.
func (s *session) write() {
	pause := time.NewTimer(0)
	defer pause.Stop()
	<-pause.C
	var buf []byte
	for {
		select {
		case <-s.urgent:
		case <-s.hinted:
			// Hints are worth waiting for others, unless something urgent comes.
			pause.Reset(hintEvery)
			select {
			case <-s.urgent:
			case <-pause.C:
			}
		}
		s.mu.Lock()
		// A reply goes before news: that an attempt was accepted before its start.
		buf = append(buf[:0], s.replies...)
		s.replies = s.replies[:0]
		over := s.over
		s.drained.Signal()
		s.mu.Unlock()
		if over {
			return
		}
		buf = s.k.takeNews(s, buf)
		if len(buf) == 0 {
			continue
		}
		if _, err := s.conn.Write(buf); err != nil {
			s.conn.Close()
			return
		}
		if cap(buf) > maxReplies {
			buf = nil
		}
	}
}

// takeNews appends what s has not been told.
func (k *Keeper) takeNews(s *session, buf []byte) []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.agent != s {
		return buf
	}
	for _, a := range k.news {
		n := a.news
		a.news, a.listed = 0, false
		if n&newsStarted != 0 {
			buf = keeperproto.Append(buf, keeperproto.Message{Op: keeperproto.Started, Key: a.key, At: a.started.UnixNano()})
		}
		switch {
		case n&newsEnded != 0:
			buf = keeperproto.Append(buf, keeperproto.Message{Op: keeperproto.Ended, Key: a.key, Exit: a.exit})
		case n&newsWrote != 0:
			buf = keeperproto.Append(buf, keeperproto.Message{Op: keeperproto.Wrote, Key: a.key})
		}
	}
	clear(k.news)
	k.news = k.news[:0]
	return buf
}

// close ends the session and, if it was in charge, leaves the keeper without agent.
func (s *session) close() {
	s.conn.Close()
	s.mu.Lock()
	s.over = true
	s.drained.Broadcast()
	s.mu.Unlock()
	wake(s.urgent)
	k := s.k
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.agent == s {
		k.agent = nil
		clear(k.news)
		k.news = nil
		k.settle()
	}
}
