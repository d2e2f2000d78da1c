package agent

import (
	"context"

	"github.com/reeve-scheduler/reeve/internal/agent/will"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// conn is one session's goroutines.
type conn struct {
	number uint64
	cancel context.CancelFunc
	// out has room for the one message that the machine may have on its way.
	out chan link.FromWorker
}

// connect opens a session in the background.
func (s *shell) connect(number uint64) {
	s.hangUp()
	ctx, cancel := context.WithCancel(s.ctx)
	c := &conn{number: number, cancel: cancel, out: make(chan link.FromWorker, 1)}
	s.conn = c
	s.wg.Go(func() {
		defer cancel()
		// Close ends the session, and lets the last words through; a context would not.
		sess, err := s.cfg.Server.Session(context.WithoutCancel(ctx))
		if err != nil {
			s.box.put(will.Disconnected{Session: number, Why: err.Error()})
			return
		}
		s.wg.Go(func() {
			<-ctx.Done() // a blocked Send or Receive returns by the Close alone
			if err := sess.Close(); err != nil {
				s.log.Debug("closing the session", "error", err)
			}
		})
		s.box.put(will.Connected{Session: number})
		s.wg.Go(func() { s.receive(c, sess) })
		s.send(ctx, c, sess)
	})
}

// hangUp ends the session, if there is one.
func (s *shell) hangUp() {
	if s.conn != nil {
		s.conn.cancel()
		s.conn = nil
	}
}

func (s *shell) receive(c *conn, sess Session) {
	defer c.cancel()
	for {
		m, err := sess.Receive()
		if err != nil {
			s.box.put(will.Disconnected{Session: c.number, Why: err.Error()})
			return
		}
		s.box.put(will.Received{Session: c.number, Message: m})
	}
}

func (s *shell) send(ctx context.Context, c *conn, sess Session) {
	for {
		select {
		case m := <-c.out:
			if err := sess.Send(m); err != nil {
				s.box.put(will.Disconnected{Session: c.number, Why: err.Error()})
				return
			}
			s.box.put(will.Sent{Session: c.number})
		case <-ctx.Done():
			return
		}
	}
}
