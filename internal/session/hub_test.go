package session

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// slowLeader answers a hello when it is told to.
type slowLeader struct {
	hub           *Hub
	asked, answer chan struct{}
	done          chan core.Command
}

func (l *slowLeader) Do(ctx context.Context, c core.Command) (any, error) {
	if _, ok := c.(core.WorkerHello); !ok {
		l.done <- c
		return nil, nil
	}
	close(l.asked)
	<-l.answer
	if ctx.Err() != nil {
		return nil, ctx.Err() // as the leader does when nobody waits for it any more
	}
	l.hub.Opened(7, 3)
	return core.Welcomed{Worker: 7, Session: 3}, nil
}

func (*slowLeader) Post(core.Command) error                           { return nil }
func (*slowLeader) Heard(uint64)                                      {}
func (*slowLeader) Lease() time.Duration                              { return time.Minute }
func (*slowLeader) Holds() bool                                       { return true }
func (*slowLeader) Position() (generation, durable, projected uint64) { return 1, 1, 1 }

// brokenStream carries a hello and breaks.
type brokenStream struct {
	hello  bool
	broken chan struct{}
}

func (s *brokenStream) Receive() (link.FromWorker, error) {
	if !s.hello {
		s.hello = true
		return link.FromWorker{Hello: &link.Hello{Name: "w1"}}, nil
	}
	<-s.broken
	return link.FromWorker{}, errBroken
}

func (s *brokenStream) Send(link.ToWorker) error { return errBroken }

var errBroken = errors.New("broken")

// TestHelloOutlivesItsStream: a worker whose stream breaks while its hello is decided
// counts as being here from then on. Unless the end of the session is told, the worker is
// given work and nobody ever notices that it is not there.
func TestHelloOutlivesItsStream(t *testing.T) {
	leader := &slowLeader{asked: make(chan struct{}), answer: make(chan struct{}), done: make(chan core.Command, 1)}
	stream := &brokenStream{broken: make(chan struct{})}
	hub := NewHub(slog.New(slog.DiscardHandler))
	leader.hub = hub
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- hub.Serve(ctx, leader, nil, stream) }()
	<-leader.asked
	close(stream.broken)
	cancel()
	close(leader.answer)
	if err := <-served; err == nil {
		t.Error("the session ended in good order")
	}
	select {
	case c := <-leader.done:
		if want := (core.WorkerClosed{Worker: 7, Session: 3}); c != want {
			t.Errorf("the leader is told %+v, want %+v", c, want)
		}
	default:
		t.Error("the leader is not told that the session is over")
	}
	if hub.Connected(7) {
		t.Error("the hub takes the worker for connected")
	}
}
