package client

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/reeve-scheduler/reeve/internal/guard"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
	"github.com/reeve-scheduler/reeve/internal/trust"
	"github.com/reeve-scheduler/reeve/internal/wire"
)

// TestAnywhere holds the client to what the servers say of themselves: with what only the
// leader answers it goes to the leader.
func TestAnywhere(t *testing.T) {
	answers, n := guard.Anywhere(), 0
	for _, file := range guard.Files() {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for k := range service.Methods().Len() {
				path := "/" + string(service.FullName()) + "/" + string(service.Methods().Get(k).Name())
				if n++; anywhere[path] != answers(path) {
					t.Errorf("%s: the client believes %v", path, anywhere[path])
				}
			}
		}
	}
	if n < len(anywhere) {
		t.Errorf("%d methods in all", n)
	}
}

// among returns a client of several servers.
func among(t *testing.T, o Options, addresses ...string) *Client {
	t.Helper()
	o.Address = strings.Join(addresses, ",")
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// TestMovesOn goes to another server with a call, or the next stream, that one can't answer.
func TestMovesOn(t *testing.T) {
	refusing := func() *script { return &script{codes: []connect.Code{connect.CodeUnavailable}} }
	a, b := refusing(), &script{}
	c := among(t, Options{Patience: patience}, scripted(t, a, Options{}).Address, scripted(t, b, Options{}).Address)
	if _, err := c.Get(t.Context(), "1", false); err != nil || a.calls != 1 || b.calls != 1 {
		t.Errorf("a call: %v, after %d calls and %d", err, a.calls, b.calls)
	}
	a, b = refusing(), &script{}
	c = among(t, Options{Patience: -1}, scripted(t, a, Options{}).Address, scripted(t, b, Options{}).Address)
	for range 2 { // what its server can't go on with ends; it is whoever follows something that begins again
		_ = c.Watch(t.Context(), "", nil, "", func(*WatchResponse) error { return nil })
	}
	if a.calls != 1 || b.calls != 1 {
		t.Errorf("two streams: %d and %d calls", a.calls, b.calls)
	}
	a, b = refusing(), &script{}
	c = among(t, Options{Patience: -1}, scripted(t, a, Options{}).Address, scripted(t, b, Options{}).Address)
	for i := range 2 {
		if err := c.CreateQueue(t.Context(), "", "q", job.QueueChange{}); (err == nil) != (i == 1) {
			t.Errorf("call %d: %v", i, err)
		}
	}
	if a.calls != 1 || b.calls != 1 {
		t.Errorf("a call that was not repeated, and the next: %d and %d calls", a.calls, b.calls)
	}
}

// TestEachIsTried: a server that hangs until patience is over leaves a try for each other one.
func TestEachIsTried(t *testing.T) {
	hs := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	hs.Config.Protocols = new(http.Protocols)
	hs.Config.Protocols.SetUnencryptedHTTP2(true)
	hs.Start()
	t.Cleanup(hs.Close)
	b := &script{}
	address := scripted(t, b, Options{}).Address
	c := among(t, Options{Patience: time.Nanosecond}, hs.URL, address)
	if _, err := c.Get(t.Context(), "1", false); err != nil || b.calls != 1 {
		t.Errorf("a call after one that broke: %v, and %d calls of the other server", err, b.calls)
	}
	c = among(t, Options{Patience: -1}, hs.URL, address)
	if _, err := c.Get(t.Context(), "1", false); err == nil || b.calls != 1 {
		t.Errorf("a call that is not to be repeated: %v, and %d calls of the other server", err, b.calls-1)
	}
}

// TestNotTwice: what a server may have got is not sent to another one.
func TestNotTwice(t *testing.T) {
	hs := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		panic(http.ErrAbortHandler)
	}))
	hs.Config.Protocols = new(http.Protocols)
	hs.Config.Protocols.SetUnencryptedHTTP2(true)
	hs.Start()
	t.Cleanup(hs.Close)
	b := &script{}
	c := among(t, Options{Patience: patience}, hs.URL, scripted(t, b, Options{}).Address)
	if err := c.CreateQueue(t.Context(), "", "q", job.QueueChange{}); err == nil || b.calls != 0 {
		t.Errorf("a call that a server has read: %v, and %d calls of another", err, b.calls)
	}
	s := newServers([]string{hs.URL, "http://" + echo(t, "b", func() http.Header { return nil })}, nil)
	defer s.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://nobody/x", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := s.RoundTrip(req); err == nil {
		resp.Body.Close()
		t.Error("a call without a message went to a second server after the first had it")
	}
}

// TestTakenBack: a transport that is slow to stop gets nothing of a message that another one
// has by then.
func TestTakenBack(t *testing.T) {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://nobody", strings.NewReader("hello"))
	if err != nil {
		t.Fatal(err)
	}
	out, body := lend(req)
	_ = out.Body.Close()
	if !body.takeBack() {
		t.Fatal("a message of which nothing has gone can't be taken back")
	}
	again, other := lend(req)
	if _, err := out.Body.Read(make([]byte, 5)); !errors.Is(err, errTakenBack) {
		t.Errorf("the first server reads: %v", err)
	}
	if text, err := io.ReadAll(again.Body); err != nil || string(text) != "hello" || other.takeBack() {
		t.Errorf("the second server reads %q: %v", text, err)
	}
	closing, body := lend(req)
	if _, err := closing.GetBody(); err != nil || body.takeBack() {
		t.Errorf("a message that a transport has copied can be taken back (%v)", err)
	}
}

// TestLeaderOutOfReach goes through another server while the leader can't be reached from
// here, and asks less and less often whether it can.
func TestLeaderOutOfReach(t *testing.T) {
	leader := gone(t)
	a := echo(t, "a", func() http.Header { return http.Header{wire.LeaderHeader: {"http://" + leader}} })
	s := newServers([]string{"http://" + a}, nil)
	defer s.CloseIdleConnections()
	const write = "/reeve.v1.JobService/Submit"
	for i, rest := range []time.Duration{0, restLeader, restLeader, 2 * restLeader, 4 * restLeader} {
		if i > 2 {
			s.rested = time.Now().Add(-s.rest) // it has rested
		}
		if got := ask(t, s, write, "hello"); got != "a got hello" || s.rest != rest || s.leader != leader {
			t.Fatalf("%d: %q; the leader, %s, rests for %s; want %s", i, got, s.leader, s.rest, rest)
		}
	}
}

// TestNoneAnswers says of each server why it does not, on one line, and gives up at once if
// none can be trusted.
func TestNoneAnswers(t *testing.T) {
	dir := t.TempDir()
	own, err := trust.OpenServer(trust.ServerOptions{Dir: dir, Names: []string{"127.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	calls := &script{}
	start := func(server *trust.Server) string {
		hs := httptest.NewUnstartedServer(calls)
		address := hs.Listener.Addr().String()
		hs.Listener = tls.NewListener(hs.Listener, server.Config())
		hs.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
		hs.Start()
		t.Cleanup(hs.Close)
		return "https://" + address
	}
	other, err := trust.OpenServer(trust.ServerOptions{Dir: t.TempDir(), Names: []string{"127.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Token: "rv1_secret_secret", TLS: func(host string) (*tls.Config, error) {
		return trust.ClientConfig(host, trust.ClientOptions{CAFile: filepath.Join(dir, trust.CAFile)})
	}}
	a, b, c := start(other), start(other), "https://"+gone(t)
	o.Patience = time.Hour
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	says := func(err error, words ...string) {
		t.Helper()
		for _, w := range words {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%v: it says nothing of %s", err, w)
			}
		}
		if strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "rv1_") {
			t.Errorf("%v", err)
		}
	}
	err = among(t, o, a, b).Check(ctx)
	if !errors.Is(err, trust.ErrUntrusted) || ctx.Err() != nil {
		t.Fatalf("servers that can't be trusted: %v", err)
	}
	says(err, a+": the server's certificate can't be trusted", b+": ", "--ca")
	o.Patience = -1
	if err = among(t, o, a, c).Check(ctx); errors.Is(err, trust.ErrUntrusted) || !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("one that can't be trusted and one that is not there: %v", err)
	}
	says(err, "no server answers: ", a+": the server's certificate can't be trusted", c+": connect: connection refused", "--addr")
	if calls.calls != 0 {
		t.Error("a server that is not trusted was called, with the token")
	}
	if err := among(t, o, a, start(own)).Check(ctx); err != nil || calls.calls != 1 {
		t.Errorf("one that can be trusted: %v", err)
	}
}

// TestUnreached: a connection that took too long is no deadline of the caller's, and what may
// have arrived counts before what has not.
func TestUnreached(t *testing.T) {
	slow := &unreached{"http", []try{{"a", context.DeadlineExceeded}, {"b", syscall.ECONNREFUSED}}}
	if errors.Is(slow, context.DeadlineExceeded) || errors.Is(slow, syscall.ECONNREFUSED) {
		t.Errorf("%v is taken for one of them", slow)
	}
	cut := &unreached{"http", []try{{"a", syscall.ECONNREFUSED}, {"b", io.ErrUnexpectedEOF}}}
	if !errors.Is(cut, io.ErrUnexpectedEOF) || unsent(cut) {
		t.Errorf("%v: the last server may have got it", cut)
	}
}

// TestLearned: servers that others name are known by the same authority, and none of them is
// called without TLS.
func TestLearned(t *testing.T) {
	s := newServers([]string{"https://a:1"}, nil)
	named := http.Header{wire.ServersHeader: {"https://a:1,http://plain:1,https://u@user:1, https://b:1"}, wire.LeaderHeader: {"http://plain:1"}}
	s.answered("a:1", &http.Response{StatusCode: http.StatusOK, Header: named})
	if len(s.learned) != 1 || s.learned[0] != "b:1" || s.leader != "" {
		t.Errorf("it has learned %v, and that %q leads", s.learned, s.leader)
	}
	if _, err := s.transport(way{host: "b:1"}); err != nil {
		t.Fatal(err)
	}
	s.answered("a:1", &http.Response{StatusCode: http.StatusOK, Header: http.Header{wire.ServersHeader: {"https://c:1"}}})
	if s.transports[way{host: "b:1"}] != nil || s.learned[0] != "c:1" {
		t.Errorf("it knows %v, and keeps %v", s.learned, s.transports)
	}
}

// TestFollowsElsewhere goes on with a job and its log at another server that has the same
// data.
func TestFollowsElsewhere(t *testing.T) {
	s := newServer(t)
	elsewhere := unused(t)
	c := among(t, Options{}, "http://"+s.address, "http://"+elsewhere)
	made, err := c.Submit(t.Context(), &SubmitRequest{Source: File([]byte("run: x")), Items: []*SubmitItem{{IdempotencyKey: "k"}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	seen, over := make(chan string, 10), make(chan error, 1)
	go func() {
		j, err := c.Follow(ctx, made[0].GetId(), func(j *Job) { seen <- j.GetState() })
		if err == nil && j.GetState() != "succeeded" {
			err = errors.New("it ended " + j.GetState())
		}
		over <- err
	}()
	<-seen
	s.stop()
	s.address = elsewhere
	s.start()
	w := s.join(c, 1)
	w.send(link.FromWorker{Report: &link.Report{Ended: []link.Result{{Fence: w.take().Fence, Started: 1, Ended: 2}}}})
	if err := <-over; err != nil {
		t.Errorf("following the job: %v (%v)", err, job.CodeOf(err))
	}
}
