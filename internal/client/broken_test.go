package client

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"connectrpc.com/connect"

	"github.com/reeve-scheduler/reeve/internal/job"
)

type connKey struct{}

// TestBrokenAnswer breaks connections in the middle of an answer: whether the call
// took effect is unknown, so that it counts as unavailable and is tried again.
func TestBrokenAnswer(t *testing.T) {
	var calls, broken, status atomic.Int32
	status.Store(http.StatusOK)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/proto")
		if calls.Add(1) > broken.Load() {
			return // an empty message
		}
		if code := int(status.Load()); code != http.StatusOK {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(code)
			_, _ = w.Write([]byte(`{"code":"already_exists","mess`))
		} else {
			_, _ = w.Write([]byte{0x0a, 100})
		}
		_ = http.NewResponseController(w).Flush()
		r.Context().Value(connKey{}).(net.Conn).Close()
	}))
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) }
	s.Start()
	defer s.Close()
	try := func(breaks int32, o Options) error {
		calls.Store(0)
		broken.Store(breaks)
		o.Address = s.URL
		c, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, err = c.Status(t.Context())
		return err
	}
	if err := try(2, Options{}); err != nil || calls.Load() != 3 {
		t.Errorf("after %d calls: %v", calls.Load(), err)
	}
	for _, code := range []int32{http.StatusOK, http.StatusBadRequest, http.StatusConflict} {
		status.Store(code)
		if err := try(1, Options{Patience: -1}); job.CodeOf(err) != job.Unavailable {
			t.Errorf("an answer of status %d that broke is %v: %v", code, job.CodeOf(err), err)
		}
	}
}

// TestBroken: which errors are a connection's end, and which are somebody's mistake.
func TestBroken(t *testing.T) {
	for text, want := range map[string]bool{
		"protocol error: incomplete envelope: http2: client connection force closed via ClientConn.Close": true,
		"http2: client connection lost": true,
		"unmarshal message: bad field":  false,
		"409 Conflict":                  true,
		"409 jobs":                      false,
	} {
		if got := broken(connect.NewError(connect.CodeInternal, errors.New(text))); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
	if broken(connect.NewError(connect.CodeInvalidArgument, io.ErrUnexpectedEOF)) || broken(connect.NewWireError(connect.CodeInternal, io.ErrUnexpectedEOF)) {
		t.Error("a server's answer is taken for the end of the connection")
	}
}
