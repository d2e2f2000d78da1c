package agent

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reeve-scheduler/reeve/internal/agent/will"
	"github.com/reeve-scheduler/reeve/internal/executor"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// closedServer refuses every session, and notes when it was asked.
type closedServer struct {
	*memServer
	asked chan time.Time
}

func (s closedServer) Session(context.Context) (Session, error) {
	s.asked <- time.Now()
	return nil, errors.New("connection refused")
}

// silentServer takes sessions and never says a word.
type silentServer struct{ closedServer }

func (s silentServer) Session(context.Context) (Session, error) {
	s.asked <- time.Now()
	return silentSession{&memSession{done: make(chan struct{})}}, nil
}

type silentSession struct{ *memSession }

func (silentSession) Send(link.FromWorker) error { return nil }

// virtual is the clocks of a test's bubble.
func virtual() will.Now {
	return will.Now{Boot: executor.Deadline(time.Now().UnixNano()), Wall: time.Now().UnixMilli()}
}

// TestBackoff: a server that is away is asked less and less often, within bounds.
func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := closedServer{newMemServer(t), make(chan time.Time, 1000)}
		stop := runAgent(t, Config{Server: srv, Reconnect: 7 * time.Second, LeaveWait: -1, Clock: virtual})
		last, n := <-srv.asked, 0
		for ; n < 14; n++ {
			next := <-srv.asked
			gap := next.Sub(last)
			if most := min(100*time.Millisecond<<n, 7*time.Second); gap < most/2 || gap > most {
				t.Errorf("gap %d is %v, want %v to %v", n, gap, most/2, most)
			}
			last = next
		}
		stop()
	})
}

// TestSilentServer: a server that accepts and never answers is left and tried again.
func TestSilentServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := silentServer{closedServer{newMemServer(t), make(chan time.Time, 1000)}}
		stop := runAgent(t, Config{Server: srv, LeaveWait: -1, Clock: virtual})
		first := <-srv.asked
		if gap := (<-srv.asked).Sub(first); gap < 10*time.Second || gap > 11*time.Second {
			t.Errorf("connected again after %v, want 10s and a moment", gap)
		}
		stop()
	})
}
