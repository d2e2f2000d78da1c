package client

import (
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/reeve-scheduler/reeve/internal/wire"
)

// echo is a server that says its name and what it was sent.
func echo(t *testing.T, name string, headers func() http.Header) (host string) {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		maps.Copy(w.Header(), headers())
		body, _ := io.ReadAll(r.Body)
		if len(body) > 5 {
			body = body[:5]
		}
		fmt.Fprintf(w, "%s got %s", name, body)
	}))
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	s.Config.Protocols = &protocols
	s.Start()
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// gone is an address at which nothing listens.
func gone(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func ask(t *testing.T, s *servers, path, body string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://nobody"+path, io.NopCloser(strings.NewReader(body)))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.RoundTrip(req)
	if err != nil {
		return "failed"
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestServers goes on to the next server when one can't be reached, stays with one that
// answers, and learns the others and the leader.
func TestServers(t *testing.T) {
	var b string
	none := func() http.Header { return nil }
	b = echo(t, "b", none)
	a := echo(t, "a", func() http.Header {
		return http.Header{wire.ServersHeader: {"http://" + b + ",https://secure,rubbish"}, wire.LeaderHeader: {"http://" + b}}
	})
	s := newServers([]string{"http://" + gone(t), "http://" + a}, nil)
	defer s.CloseIdleConnections()
	const read = "/reeve.v1.JobService/Get"
	want := func(path, answer string) {
		t.Helper()
		if got := ask(t, s, path, "hello"); got != answer {
			t.Errorf("%s is answered with %q; want %q", path, got, answer)
		}
	}
	want(read, "a got hello")
	if !slices.Equal(s.learned, []string{b}) || s.leader != b || s.current != a {
		t.Errorf("learned %v, leader %s, at %s", s.learned, s.leader, s.current)
	}
	want("/reeve.v1.WorkerService/Session", "b got hello")
	want("/reeve.v1.JobService/Submit", "b got hello")
	s.leave(b) // it can't go on with a stream
	want(read, "a got hello")
	s.given, s.leader = []string{gone(t)}, ""
	s.current = s.given[0]
	want(read, "b got hello") // one that was only named by another
	s.learned = nil
	s.current = s.given[0]
	want(read, "failed")
}

// TestTooManyServers bounds what servers can make a client remember.
func TestTooManyServers(t *testing.T) {
	var named []string
	for i := range 100 {
		named = append(named, fmt.Sprintf("http://h:%d", i+1))
	}
	a := echo(t, "a", func() http.Header { return http.Header{wire.ServersHeader: {strings.Join(named, ",")}} })
	s := newServers([]string{"http://" + a}, nil)
	defer s.CloseIdleConnections()
	ask(t, s, "/x", "")
	if len(s.learned) != maxServers-1 {
		t.Errorf("it has learned %d servers", len(s.learned))
	}
	if _, err := New(Options{Address: strings.Join(named, ",")}); err == nil || !strings.Contains(err.Error(), "100 addresses") {
		t.Errorf("100 addresses: %v", err)
	}
	if _, err := New(Options{Address: "http://a:1,b:2"}); err == nil || !strings.Contains(err.Error(), "all of them with https") {
		t.Errorf("mixed addresses: %v", err)
	}
}

// TestStreamGoesOn: a stream whose first server could not be reached goes to the next with
// all that is sent after that.
func TestStreamGoesOn(t *testing.T) {
	echoing := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush() // it answers before it has been sent anything
		_, _ = io.Copy(w, r.Body)
	}))
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	echoing.Config.Protocols = &protocols
	echoing.Start()
	t.Cleanup(echoing.Close)
	s := newServers([]string{"http://" + gone(t), echoing.URL}, nil)
	defer s.CloseIdleConnections()
	in, out := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://nobody/x", in)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.WriteString(out, "hello"); err != nil {
		t.Fatalf("the stream is closed: %v", err)
	}
	out.Close()
	if got, err := io.ReadAll(resp.Body); err != nil || string(got) != "hello" {
		t.Errorf("the server got %q: %v", got, err)
	}
}
