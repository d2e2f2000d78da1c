package client

import (
	"context"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/reeve-scheduler/reeve/internal/api"
	"github.com/reeve-scheduler/reeve/internal/blob/dirblob"
	"github.com/reeve-scheduler/reeve/internal/guard"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/leader"
	"github.com/reeve-scheduler/reeve/internal/link"
	"github.com/reeve-scheduler/reeve/internal/logstore"
	serverside "github.com/reeve-scheduler/reeve/internal/session"
	"github.com/reeve-scheduler/reeve/internal/store/memstore"

	agents "github.com/reeve-scheduler/reeve/internal/agent"
)

// patience bounds waits for what must happen; a test that fails is all that it slows.
const patience = 30 * time.Second

// server is a real server without TLS and tokens that can be stopped and started
// again, at the same address and on the same data.
type server struct {
	t       *testing.T
	address string
	store   *memstore.Store
	blobs   *dirblob.Store
	logs    *logstore.Store
	stop    func()
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{t: t, address: "127.0.0.1:0", store: memstore.New()}
	dir := t.TempDir()
	var err error
	if s.blobs, err = dirblob.Open(dir + "/blobs"); err != nil {
		t.Fatal(err)
	}
	if s.logs, err = logstore.Open(t.Context(), dir+"/logs", s.blobs, logstore.Options{}); err != nil {
		t.Fatal(err)
	}
	s.start()
	t.Cleanup(func() {
		s.stop()
		s.logs.Close()
		s.blobs.Close()
	})
	return s
}

func (s *server) start() {
	s.t.Helper()
	log := slog.New(slog.DiscardHandler)
	sessions := serverside.NewHub(log)
	settings := leader.Settings{FlushEvery: time.Millisecond, Logged: s.logs.Expect}
	l, err := leader.New(context.Background(), settings, s.store.Journal(), s.store.Tables(), sessions, log)
	if err != nil {
		s.t.Fatal(err)
	}
	handler, err := api.New(api.Options{
		Engine: l, Leader: l, History: s.store.History(), Sessions: sessions, Logs: func() *logstore.Store { return s.logs }, Blobs: s.blobs, Log: log, Open: true, Config: settings.Core,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	listener, err := net.Listen("tcp", s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.address = listener.Addr().String()
	ctx, end := context.WithCancel(context.Background())
	hs := guard.NewHTTPServer(ctx, handler, true, log)
	over := make(chan struct{}, 2)
	go func() { _ = l.Run(ctx); over <- struct{}{} }()
	go func() { _ = hs.Serve(listener); over <- struct{}{} }()
	s.stop = func() {
		hs.Close() // as a process that is killed does, without a word
		end()
		<-over
		<-over
	}
}

func (s *server) client(o Options) *Client {
	s.t.Helper()
	o.Address = "http://" + s.address
	c, err := New(o)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(c.Close)
	return c
}

// worker is a session that the test drives.
type worker struct {
	t        *testing.T
	c        *Client
	session  agents.Session
	assigned chan link.Assignment
}

func (s *server) join(c *Client, incarnation uint64, held ...link.Held) *worker {
	s.t.Helper()
	if err := c.Check(context.Background()); err != nil { // streams are not tried again
		s.t.Fatal(err)
	}
	session, err := c.Agent().Session(context.Background())
	if err != nil {
		s.t.Fatal(err)
	}
	w := &worker{t: s.t, c: c, session: session, assigned: make(chan link.Assignment, 100)}
	w.send(link.FromWorker{Hello: &link.Hello{
		Protocol: link.Protocol, Name: "w1", Instance: "of w1", Incarnation: incarnation, Slots: 2, Capacity: job.Resources{CPU: 2000, Memory: 1 << 30},
		Executors: []string{"process"}, Held: held,
	}})
	welcomed, ended := make(chan bool, 1), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			m, err := session.Receive()
			if err != nil {
				return
			}
			if m.Welcome != nil {
				welcomed <- true
			}
			if m.Assign != nil {
				for _, a := range m.Assign.Attempts {
					w.assigned <- a
				}
			}
		}
	}()
	s.t.Cleanup(func() { _ = session.Close(); <-ended })
	select {
	case <-welcomed:
	case <-ended:
		s.t.Fatal("the session ended before its welcome")
	}
	return w
}

func (w *worker) send(m link.FromWorker) {
	w.t.Helper()
	if err := w.session.Send(m); err != nil {
		w.t.Fatal(err)
	}
}

func (w *worker) take() link.Assignment {
	w.t.Helper()
	select {
	case a := <-w.assigned:
		return a
	case <-time.After(patience):
		w.t.Fatal("no attempt was assigned")
		return link.Assignment{}
	}
}

// write ships frames of an attempt's log.
func (w *worker) write(a link.Assignment, ref job.Ref, offset int64, frames []byte, seal bool) {
	w.t.Helper()
	stream, err := w.c.Agent().AppendLogs(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	defer stream.Close()
	if err := stream.Send([]agents.LogPiece{{Claim: link.Claim{Fence: a.Fence, Ref: ref, Proof: a.Proof}, Offset: offset, Frames: frames, Seal: seal}}); err != nil {
		w.t.Fatal(err)
	}
	if _, err := stream.Receive(); err != nil {
		w.t.Fatal(err)
	}
}

// unused is an address at which nothing listens.
func unused(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
