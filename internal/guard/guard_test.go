package guard

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/reeve-scheduler/reeve/internal/auth"
	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// engine is a state in memory with a clock that the test moves, and counts the
// reads.
type engine struct {
	state *core.State
	now   int64
	views int
	fail  error
}

func (e *engine) View(_ context.Context, fn func(*core.State)) error {
	e.views++
	if e.fail == nil {
		fn(e.state)
	}
	return e.fail
}

func (e *engine) Now() int64 { return e.now }

// newEngine has one token, a reader's, and its text.
func newEngine(t *testing.T) (*engine, string) {
	t.Helper()
	c, err := auth.NewCredential([]byte(strings.Repeat("k", auth.IDSize+auth.SecretSize)))
	if err != nil {
		t.Fatal(err)
	}
	e := &engine{state: core.New(core.Config{}), now: 1000}
	e.set(core.Token{ID: c.ID, Name: "reader", Scopes: []string{"read"}, Hash: c.Hash(), Created: 1, Expires: 10_000})
	return e, c.Text()
}

func (e *engine) set(t core.Token) { e.state.Apply(core.TokenSet{Token: t}) }

func newGuard(t *testing.T, o Options) *Guard {
	t.Helper()
	o.Log = slog.New(slog.DiscardHandler)
	o.Fail = func(err error) error {
		return connect.NewError(map[job.Code]connect.Code{
			job.Denied: connect.CodePermissionDenied, job.Unauthenticated: connect.CodeUnauthenticated, job.Unavailable: connect.CodeUnavailable,
			job.Internal: connect.CodeInternal,
		}[job.CodeOf(err)], err)
	}
	g, err := New(o, Files())
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// through sends a request through a guard; body is what a handler behind it
// answered, empty if it was not reached.
func through(g *Guard, q *http.Request) (resp *httptest.ResponseRecorder, reached bool) {
	resp = httptest.NewRecorder()
	g.Before(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true })).ServeHTTP(resp, q)
	return resp, reached
}

func post(url string, headers ...string) *http.Request {
	q := httptest.NewRequest(http.MethodPost, url, strings.NewReader("{}"))
	q.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		q.Header.Set(headers[i], headers[i+1])
	}
	return q
}

// TestPages: what a page of another site makes a browser send to a server without
// tokens is refused, also if the page's name has come to mean this machine.
func TestPages(t *testing.T) {
	e, _ := newEngine(t)
	g := newGuard(t, Options{Engine: e, Open: true})
	const get = "/reeve.v1.JobService/Get"
	for _, test := range []struct {
		name string
		q    *http.Request
		in   bool
		says string
	}{
		{"a program", post("http://127.0.0.1:7420" + get), true, ""},
		{"by name", post("http://localhost:7420" + get), true, ""},
		{"by name, loudly", post("http://LOCALHOST:7420" + get), true, ""},
		{"without a port", post("http://localhost" + get), true, ""},
		{"IPv6", post("http://[::1]:7420" + get), true, ""},
		{"another loopback address", post("http://127.8.9.1:7420" + get), true, ""},
		{"its own page", post("http://127.0.0.1:7420"+get, "Origin", "http://127.0.0.1:7420", "Sec-Fetch-Site", "same-origin"), true, ""},
		{"a rebound name", post("http://evil.example:7420" + get), false, `host "evil.example:7420": a server without tokens answers to localhost`},
		{"a rebound name's own page", post("http://evil.example:7420"+get, "Origin", "http://evil.example:7420", "Sec-Fetch-Site", "same-origin"), false, "host"},
		{"localhost as a part", post("http://localhost.evil.example" + get), false, "host"},
		{"loopback as a part", post("http://127.0.0.1.evil.example" + get), false, "host"},
		{"an address of the network", post("http://10.1.2.3:7420" + get), false, "host"},
		{"every address", post("http://0.0.0.0:7420" + get), false, "host"},
		{"another site's page", post("http://127.0.0.1:7420"+get, "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"), false, `origin "https://evil.example": pages of other sites may not call`},
		{"an old browser", post("http://127.0.0.1:7420"+get, "Origin", "https://evil.example"), false, "origin"},
		{"a page on another port", post("http://127.0.0.1:7420"+get, "Origin", "http://127.0.0.1:8080"), false, "origin"},
		{"a sandboxed page", post("http://127.0.0.1:7420"+get, "Origin", "null", "Sec-Fetch-Site", "cross-site"), false, "origin"},
		{"a sister site", post("http://127.0.0.1:7420"+get, "Sec-Fetch-Site", "same-site"), false, "origin"},
		{"also where there is nothing", post("http://evil.example/nothing"), false, "host"},
	} {
		t.Run(test.name, func(t *testing.T) {
			resp, in := through(g, test.q)
			if in != test.in || !strings.Contains(resp.Body.String(), strings.ReplaceAll(test.says, `"`, `\"`)) || !in && resp.Code != http.StatusForbidden {
				t.Errorf("let in: %v, %d %s; want let in: %v, 403 with %q", in, resp.Code, resp.Body, test.in, test.says)
			}
		})
	}
	empty := post("http://127.0.0.1" + get)
	empty.Host = ""
	if _, in := through(g, empty); in {
		t.Error("a request without a host was let in")
	}
}

// TestPagesWithTokens: a server with tokens is called by any name, but not by pages
// of other sites.
func TestPagesWithTokens(t *testing.T) {
	e, text := newEngine(t)
	g := newGuard(t, Options{Engine: e})
	const get = "https://reeve.example/reeve.v1.JobService/Get"
	if resp, in := through(g, post(get, "Authorization", "Bearer "+text)); !in {
		t.Errorf("a program was refused: %s", resp.Body)
	}
	if resp, in := through(g, post(get, "Authorization", "Bearer "+text, "Origin", "https://evil.example")); in || resp.Code != http.StatusForbidden {
		t.Errorf("a page of another site was let in: %d", resp.Code)
	}
}

// TestCredentials: what is no live token of the right scope stays out, and is told
// why without its secret.
func TestCredentials(t *testing.T) {
	e, text := newEngine(t)
	g := newGuard(t, Options{Engine: e})
	secret := strings.SplitN(text, "_", 3)[2]
	for _, test := range []struct {
		name, method, header string
		code                 int
		says                 string
	}{
		{"good", "JobService/Get", "Bearer " + text, 200, ""},
		{"the scheme's case does not matter", "JobService/Get", "bearer  " + text, 200, ""},
		{"another scope", "JobService/Submit", "Bearer " + text, 403, "token reader (read) may not submit or change jobs; it needs scope submit"},
		{"a worker's call", "WorkerService/Session", "Bearer " + text, 403, "it needs scope worker"},
		{"none", "JobService/Get", "", 401, "this call needs a token: set REEVE_TOKEN, or send the header Authorization"},
		{"another scheme", "JobService/Get", "Basic " + text, 401, "this call needs a token"},
		{"no scheme", "JobService/Get", text, 401, "this call needs a token"},
		{"another secret", "JobService/Get", "Bearer " + text[:len(text)-43] + strings.Repeat("A", 43), 401, "no such token"},
		{"cut short", "JobService/Get", "Bearer " + text[:len(text)-2], 401, "is cut short or mistyped"},
		{"with more behind it", "JobService/Get", "Bearer " + text + " " + text, 401, "is cut short or mistyped"},
		{"of another kind", "JobService/Get", "Bearer rvj1_" + secret, 401, "is a join token"},
		{"open", "HealthService/Check", "", 200, ""},
		{"open with a bad token", "HealthService/Check", "Bearer x", 200, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			resp, in := through(g, post("https://reeve.example/reeve.v1."+test.method, "Authorization", test.header))
			if resp.Code != test.code || in != (test.code == 200) || !strings.Contains(resp.Body.String(), test.says) {
				t.Errorf("%d %s, let in: %v; want %d with %q", resp.Code, resp.Body, in, test.code, test.says)
			}
			if strings.Contains(resp.Body.String(), secret[:20]) {
				t.Errorf("the answer repeats the secret: %s", resp.Body)
			}
		})
	}
}

// TestPathsAreExact: what is spelled nearly as a method is none, and is never let
// through as one.
func TestPathsAreExact(t *testing.T) {
	e, text := newEngine(t)
	g := newGuard(t, Options{Engine: e})
	for _, path := range []string{
		"/reeve.v1.HealthService/check", "/reeve.v1.HealthService/Check/", "//reeve.v1.HealthService/Check", "/reeve.v1.healthservice/Check",
		"/reeve.v1.JobService/Get%2f", "/x/../reeve.v1.JobService/Submit", "/reeve.v1.JobService/",
	} {
		g.Before(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) {
			if c, ok := q.Context().Value(callKey{}).(call); ok {
				t.Errorf("%s was admitted as %+v", path, c)
			}
		})).ServeHTTP(httptest.NewRecorder(), post("https://reeve.example"+path, "Authorization", "Bearer "+text))
	}
}

// TestUnadmitted: a handler that is reached past the guard may do nothing.
func TestUnadmitted(t *testing.T) {
	if err := Allow(t.Context(), "default"); job.CodeOf(err) != job.Denied {
		t.Errorf("a context without a call: %v", err)
	}
	if Caller(t.Context()) != "" {
		t.Error("a context without a call is somebody's")
	}
	ctx := context.WithValue(t.Context(), callKey{}, call{method: "/reeve.v1.JobService/Get"})
	for _, ctx := range []context.Context{t.Context(), ctx} {
		if _, err := admitted(ctx, "/reeve.v1.JobService/Submit"); job.CodeOf(err) != job.Denied {
			t.Errorf("a call that was not admitted, or as another: %v", err)
		}
	}
}

// TestTokensAreRead: the state is asked seldom, but never late.
func TestTokensAreRead(t *testing.T) {
	e, text := newEngine(t)
	tokens := newTokens(e)
	check := func() error {
		_, err := tokens.check(t.Context(), "Bearer "+text, e.now)
		return err
	}
	for range 100 {
		if err := check(); err != nil {
			t.Fatal(err)
		}
	}
	if e.views > 3 {
		t.Errorf("100 calls within a moment read the tokens %d times", e.views)
	}
	e.views = 0
	for i := range 100 {
		if _, ok, err := tokens.find(t.Context(), fmt.Sprint("guess", i), false); ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	if e.views > 10 {
		t.Errorf("100 guesses within a moment read the tokens %d times", e.views)
	}
	e.now = 10_000
	if err := check(); err == nil || !strings.Contains(err.Error(), "token reader expired") {
		t.Errorf("an expired token: %v", err)
	}
	e.now = 1000
	revoked := e.state.Tokens()[0]
	revoked.Revoked = 2000
	e.set(revoked)
	changed := tokens.changes()
	tokens.forget()
	select {
	case <-changed:
	default:
		t.Error("who waits for changes was not told")
	}
	if err := check(); err == nil || !strings.Contains(err.Error(), "token reader was revoked") {
		t.Errorf("a revoked token: %v", err)
	}
	tokens.forget()
	e.fail = &job.Error{Code: job.Unavailable, Message: "the server is stopping; try again"}
	if err := check(); job.CodeOf(denied(err)) != job.Unavailable {
		t.Errorf("a state that can't be read: %v; want that the server is unavailable", err)
	}
}

// TestReadWhileRevoked: a read that began before a token was revoked does not bring
// it back.
func TestReadWhileRevoked(t *testing.T) {
	e, text := newEngine(t)
	slow := &slowEngine{engine: e, began: make(chan bool), goOn: make(chan bool)}
	tokens := newTokens(slow)
	answer := make(chan error)
	go func() {
		_, err := tokens.check(context.Background(), "Bearer "+text, e.now)
		answer <- err
	}()
	<-slow.began
	revoked := e.state.Tokens()[0]
	revoked.Revoked = 2000
	slow.goOn <- true // the read has what was before
	<-slow.began
	e.set(revoked)
	tokens.forget()
	slow.goOn <- true
	<-slow.began // it reads again
	slow.goOn <- true
	<-slow.began
	slow.goOn <- true
	if err := <-answer; err == nil || !strings.Contains(err.Error(), "was revoked") {
		t.Errorf("a token that was revoked during the read: %v", err)
	}
}

// slowEngine stops before and after each read.
type slowEngine struct {
	*engine
	began, goOn chan bool
}

func (s *slowEngine) View(ctx context.Context, fn func(*core.State)) error {
	s.began <- true
	<-s.goOn
	err := s.engine.View(ctx, fn)
	s.began <- true
	<-s.goOn
	return err
}

// TestServerBounds looks at what one peer can take from the server, on the wire.
func TestServerBounds(t *testing.T) {
	address := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "in") }))
	t.Run("headers", func(t *testing.T) {
		conn := dial(t, address)
		fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\nX-Large: %s\r\n\r\n", strings.Repeat("x", maxHeader+8<<10))
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("headers of more than %d bytes: %v, %v", maxHeader, resp, err)
		}
	})
	t.Run("streams", func(t *testing.T) {
		conn := dial(t, address)
		fmt.Fprint(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
		head := make([]byte, 9)
		if _, err := io.ReadFull(conn, head); err != nil || head[3] != 4 {
			t.Fatalf("the first frame is %v, %v; want SETTINGS", head, err)
		}
		settings := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
		if _, err := io.ReadFull(conn, settings); err != nil {
			t.Fatal(err)
		}
		const maxConcurrentStreams = 3
		for ; len(settings) >= 6; settings = settings[6:] {
			if settings[1] == maxConcurrentStreams {
				if n := int(settings[2])<<24 | int(settings[3])<<16 | int(settings[4])<<8 | int(settings[5]); n != maxStreams {
					t.Errorf("%d streams on one connection; want %d", n, maxStreams)
				}
				return
			}
		}
		t.Error("the server does not bound the streams of a connection")
	})
	hs := NewHTTPServer(t.Context(), nil, false, slog.New(slog.DiscardHandler))
	if hs.ReadHeaderTimeout <= 0 || hs.IdleTimeout <= 0 || hs.HTTP2.SendPingTimeout+hs.HTTP2.PingTimeout > 20*time.Second || hs.Protocols.UnencryptedHTTP2() {
		t.Errorf("a server without bounds, or with TLS and HTTP/2 without it: %+v", hs)
	}
}

// serve runs the server on loopback without TLS.
func serve(t *testing.T, h http.Handler) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	hs := NewHTTPServer(context.Background(), h, true, slog.New(slog.DiscardHandler))
	served := make(chan error, 1)
	go func() { served <- hs.Serve(l) }()
	t.Cleanup(func() {
		hs.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// TestRefusedBeforeItsMessage: who may not call is told so while the message is
// still to come, and keeps no connection open by never sending it.
func TestRefusedBeforeItsMessage(t *testing.T) {
	e, _ := newEngine(t)
	g := newGuard(t, Options{Engine: e})
	address := serve(t, g.Before(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("let in") })))
	conn := dial(t, address)
	fmt.Fprint(conn, "POST /reeve.v1.JobService/Submit HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10000000\r\n\r\n{")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a call without a token and without its message: %v, %v", resp, err)
	}
}

// TestOpenCallsAreSmall: what needs no token takes no large message.
func TestOpenCallsAreSmall(t *testing.T) {
	e, _ := newEngine(t)
	g := newGuard(t, Options{Engine: e})
	sizes := make(chan error, 1)
	address := serve(t, g.Before(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		sizes <- err
	})))
	for size, fits := range map[int]bool{maxOpen: true, maxOpen + 1: false} {
		resp, err := http.Post("http://"+address+"/reeve.v1.HealthService/Check", "application/json", strings.NewReader(strings.Repeat(" ", size)))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		_, large := errors.AsType[*http.MaxBytesError](<-sizes)
		if large == fits {
			t.Errorf("%d bytes: too large is %v, want %v", size, large, !fits)
		}
	}
}

// deadlines is a response writer that takes note of the bound on reads.
type deadlines struct {
	http.ResponseWriter
	read []time.Time
}

func (d *deadlines) SetReadDeadline(at time.Time) error { d.read = append(d.read, at); return nil }

// TestMessageTimeout: the message of a call may take so long, and the handler as
// long as it likes.
func TestMessageTimeout(t *testing.T) {
	e, text := newEngine(t)
	g := newGuard(t, Options{Engine: e})
	w := &deadlines{ResponseWriter: httptest.NewRecorder()}
	g.Before(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) {
		if len(w.read) != 1 || time.Until(w.read[0]) > messageTimeout || time.Until(w.read[0]) < messageTimeout/2 {
			t.Errorf("the bounds while the message comes: %v", w.read)
		}
		req := &connect.Request[struct{}]{}
		_, err := g.WrapUnary(func(context.Context, connect.AnyRequest) (connect.AnyResponse, error) { return nil, nil })(q.Context(), req)
		if err == nil {
			t.Error("a call was taken for another one")
		}
	})).ServeHTTP(w, post("https://reeve.example/reeve.v1.JobService/Get", "Authorization", "Bearer "+text))
}
