package forward

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
	"sync"
	"testing"
	"time"

	"github.com/reeve-scheduler/reeve/internal/wire"
)

// server is one of several, on loopback, with HTTP/2.
type server struct {
	*httptest.Server
	name    string
	mu      sync.Mutex
	s       Standing
	changed chan struct{}
	waits   chan struct{} // told when somebody asks what may change
	handler *Handler
	// hold, if not nil, keeps the inner handler before it answers; held is closed then.
	hold, held chan struct{}
}

func (v *server) standing() Standing {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.s
}

func (v *server) set(s Standing) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.s = s
	close(v.changed)
	v.changed = make(chan struct{})
}

func (v *server) change() <-chan struct{} {
	v.mu.Lock()
	defer v.mu.Unlock()
	select {
	case v.waits <- struct{}{}:
	default:
	}
	return v.changed
}

// ServeHTTP is the inner handler: it says who it is and what it was told, and echoes lines
// of a stream as they come.
func (v *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Trailer", "Status")
	if r.URL.Path == "/stream" {
		_ = http.NewResponseController(w).EnableFullDuplex()
		in := bufio.NewScanner(r.Body)
		for in.Scan() {
			fmt.Fprintf(w, "%s: %s\n", v.name, in.Text())
			_ = http.NewResponseController(w).Flush()
		}
		w.Header().Set("Status", "whole")
		return
	}
	body, err := io.ReadAll(r.Body)
	if v.hold != nil {
		close(v.held)
		<-v.hold
	}
	fmt.Fprintf(w, "%s: %s as %s, %d bytes, %v", v.name, r.URL.Path, r.Header.Get("Authorization"), len(body), err)
	w.Header().Set("Status", "whole")
}

func start(t *testing.T, name string, change func(*Options)) *server {
	t.Helper()
	v := &server{name: name, changed: make(chan struct{}), waits: make(chan struct{}, 1)}
	transport := NewTransport(nil)
	t.Cleanup(transport.CloseIdleConnections)
	o := Options{
		Inner: v, Standing: v.standing, Changed: v.change, Transport: transport, Log: slog.New(slog.DiscardHandler),
		Anywhere: func(path string) bool { return path == "/read" },
		Fail: func(w http.ResponseWriter, _ *http.Request, err error) {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, err)
		},
	}
	if change != nil {
		change(&o)
	}
	v.handler = New(o)
	v.Server = httptest.NewUnstartedServer(v.handler)
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	v.Config.Protocols = &protocols
	v.Start()
	t.Cleanup(v.Close)
	return v
}

// call makes a call at a server and returns the answer.
func call(t *testing.T, v *server, path, body string) (text string, h http.Header, trailer http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, v.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer anna")
	client := http.Client{Transport: NewTransport(nil)}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(out), resp.Header, resp.Trailer
}

func wants(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %q; want %q", what, got, want)
	}
}

// TestForward answers reads itself, sends everything else on with the caller's headers, and
// names leader and servers.
func TestForward(t *testing.T) {
	a, b := start(t, "a", nil), start(t, "b", nil)
	servers := []string{a.URL, b.URL}
	a.set(Standing{Leads: true, Able: true, Leader: a.URL, Servers: servers})
	b.set(Standing{Able: true, Leader: a.URL, Servers: servers})
	text, h, _ := call(t, b, "/read", "x")
	wants(t, "a read", text, "b: /read as Bearer anna, 1 bytes, <nil>")
	wants(t, "its leader", h.Get(wire.LeaderHeader), a.URL)
	text, h, trailer := call(t, b, "/write", "small")
	wants(t, "a write", text, "a: /write as Bearer anna, 5 bytes, <nil>")
	wants(t, "its leader", h.Get(wire.LeaderHeader), a.URL)
	wants(t, "its servers", h.Get(wire.ServersHeader), strings.Join(servers, ","))
	wants(t, "its trailer", trailer.Get("Status"), "whole")
	text, h, _ = call(t, a, "/write", strings.Repeat("x", maxKept*2))
	wants(t, "a write at the leader", text, fmt.Sprintf("a: /write as Bearer anna, %d bytes, <nil>", maxKept*2))
	wants(t, "the leader's leader", h.Get(wire.LeaderHeader), "")
	text, _, _ = call(t, b, "/write", strings.Repeat("x", maxKept*2))
	wants(t, "a large write", text, fmt.Sprintf("a: /write as Bearer anna, %d bytes, <nil>", maxKept*2))
	b.set(Standing{Leader: a.URL, Servers: servers})
	text, _, _ = call(t, b, "/read", "x")
	wants(t, "a read at a server that can't", text, "a: /read as Bearer anna, 1 bytes, <nil>")
}

// TestStream sends on both directions of a stream as they come.
func TestStream(t *testing.T) {
	a, b := start(t, "a", nil), start(t, "b", nil)
	a.set(Standing{Leads: true, Able: true})
	b.set(Standing{Able: true, Leader: a.URL})
	in, out := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.URL+"/stream", in)
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Transport: NewTransport(nil)}
	defer client.CloseIdleConnections()
	go func() { _, _ = io.WriteString(out, "one\n") }()
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for _, word := range []string{"one", "two", "three"} {
		if !lines.Scan() {
			t.Fatalf("the stream ended before %s: %v", word, lines.Err())
		}
		wants(t, "a line", lines.Text(), "a: "+word)
		if word != "three" {
			next := map[string]string{"one": "two", "two": "three"}[word]
			go func() { _, _ = io.WriteString(out, next+"\n") }()
		}
	}
	out.Close()
	if lines.Scan() || lines.Err() != nil {
		t.Errorf("the stream went on with %q: %v", lines.Text(), lines.Err())
	}
}

// TestStreamEnds ends a stream that the leader has ended, though its caller would say more.
func TestStreamEnds(t *testing.T) {
	a := start(t, "a", func(o *Options) {
		o.Inner = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			line, _ := bufio.NewReader(r.Body).ReadString('\n')
			fmt.Fprintf(w, "heard %s", line)
		})
	})
	b := start(t, "b", nil)
	a.set(Standing{Leads: true, Able: true})
	b.set(Standing{Able: true, Leader: a.URL})
	in, out := io.Pipe()
	defer out.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.URL+"/stream", in)
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Transport: NewTransport(nil)}
	defer client.CloseIdleConnections()
	go func() { _, _ = io.WriteString(out, "one\n") }()
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if string(text) != "heard one\n" || err != nil {
		t.Errorf("the caller hears %q, %v", text, err)
	}
}

// TestNobodyLeads holds calls until somebody leads, this server or another one.
func TestNobodyLeads(t *testing.T) {
	a, b := start(t, "a", nil), start(t, "b", nil)
	a.set(Standing{Leads: true, Able: true})
	for _, next := range []Standing{{Able: true, Leader: a.URL}, {Leads: true, Able: true}} {
		b.set(Standing{Able: true})
		got := make(chan string, 1)
		go func() {
			text, _, _ := call(t, b, "/write", "x")
			got <- text
		}()
		<-b.waits
		b.set(next)
		want := "a: /write as Bearer anna, 1 bytes, <nil>"
		if next.Leads {
			want = "b" + want[1:]
		}
		wants(t, "a call that waited", <-got, want)
	}
}

// TestTheLeaderIsGone tries the next leader with a call that none has seen.
func TestTheLeaderIsGone(t *testing.T) {
	a, b, c := start(t, "a", nil), start(t, "b", nil), start(t, "c", nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "http://" + l.Addr().String()
	l.Close()
	a.set(Standing{Leads: true, Able: true})
	c.set(Standing{Able: true, Leader: b.URL}) // it was believed to lead
	for _, old := range []string{nobody, c.URL} {
		for _, size := range []int{1, maxKept + 1} {
			b.set(Standing{Able: true, Leader: old})
			select {
			case <-b.waits:
			default:
			}
			got := make(chan string, 1)
			go func() {
				text, _, _ := call(t, b, "/write", strings.Repeat("x", size))
				got <- text
			}()
			<-b.waits
			b.set(Standing{Able: true, Leader: a.URL})
			text := <-got
			if want := fmt.Sprintf("a: /write as Bearer anna, %d bytes, <nil>", size); text != want && (size == 1 || !strings.Contains(text, "outcome is unknown")) {
				t.Errorf("%d bytes by %s: %q; want %q", size, old, text, want)
			}
		}
	}
}

// TestTheLeaderIsNotReady tries a leader again that is told to lead before it does, however
// often something else changes meanwhile.
func TestTheLeaderIsNotReady(t *testing.T) {
	a, b := start(t, "a", nil), start(t, "b", nil)
	a.set(Standing{Able: true})
	stands := Standing{Able: true, Leader: a.URL}
	b.set(stands)
	got := make(chan string, 1)
	go func() {
		text, _, _ := call(t, b, "/write", "x")
		got <- text
	}()
	for range 3 {
		<-b.waits
		b.set(stands)
	}
	a.set(Standing{Leads: true, Able: true})
	for {
		select {
		case text := <-got:
			wants(t, "a call", text, "a: /write as Bearer anna, 1 bytes, <nil>")
			return
		case <-b.waits:
			b.set(stands)
		}
	}
}

// TestLimits says that nobody leads when that lasts, and at once when too many wait.
func TestLimits(t *testing.T) {
	b := start(t, "b", func(o *Options) { o.Hold, o.MaxHeld = time.Millisecond, 1 })
	b.set(Standing{Able: true})
	text, _, _ := call(t, b, "/write", "x")
	wants(t, "a call", text, "no server leads at the moment; try again")
	b.handler.held.Add(1)
	if b.handler.wait(context.Background(), nil, time.Time{}) {
		t.Error("one more call waits than may")
	}
}

// TestLoop: servers that take each other for the leader refuse a call, however large.
func TestLoop(t *testing.T) {
	soon := func(o *Options) { o.Hold = time.Millisecond }
	a, b := start(t, "a", soon), start(t, "b", soon)
	a.set(Standing{Able: true, Leader: b.URL})
	b.set(Standing{Able: true, Leader: a.URL})
	text, _, _ := call(t, b, "/write", "x")
	wants(t, "a call", text, "no server leads at the moment; try again")
	text, _, _ = call(t, b, "/write", strings.Repeat("x", maxKept+1))
	if !strings.Contains(text, "try again") {
		t.Errorf("a large call: %q", text)
	}
}

// TestUnreachable says which server can't be reached when one leads, as the others know.
func TestUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	nobody := "http://" + l.Addr().String()
	b := start(t, "b", func(o *Options) { o.Hold = time.Millisecond })
	b.set(Standing{Able: true, Leader: nobody})
	text, _, _ := call(t, b, "/write", "x")
	wants(t, "a call", text, "this server can't reach the one that leads, "+nobody+"; try again")
}

// TestUpload sends a large message on as it comes, without keeping it.
func TestUpload(t *testing.T) {
	const half = 1 << 20
	began := make(chan error, 1)
	a := start(t, "a", func(o *Options) {
		o.Inner = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, err := io.CopyN(io.Discard, r.Body, half)
			began <- err
			n, err := io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, half+n, err)
		})
	})
	b := start(t, "b", nil)
	a.set(Standing{Leads: true, Able: true})
	b.set(Standing{Able: true, Leader: a.URL})
	in, out := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.URL+"/write", in)
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = 2 * half
	go func() {
		_, _ = out.Write(make([]byte, half))
		if err := <-began; err != nil { // the leader has the half that was sent
			_ = out.CloseWithError(err)
			return
		}
		_, _ = out.Write(make([]byte, half))
		_ = out.Close()
	}()
	client := http.Client{Transport: NewTransport(nil)}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if want := fmt.Sprint(2*half, "<nil>"); err != nil || strings.ReplaceAll(string(text), " ", "") != want {
		t.Errorf("the leader got %s: %v; want %s", text, err, want)
	}
}

// TestTakenBack: a transport that is slow to stop gets nothing of a message that the next
// server has.
func TestTakenBack(t *testing.T) {
	r := httptest.NewRequest(http.MethodPost, "/write", io.NopCloser(strings.NewReader("hello")))
	r.ContentLength = -1
	m, err := keep(r)
	if err != nil {
		t.Fatal(err)
	}
	old := m.again(r).Body
	_ = old.Close()
	if !m.takeBack() {
		t.Fatal("a message of which nothing has gone can't be taken back")
	}
	next := m.again(r).Body
	if n, err := old.Read(make([]byte, 5)); n > 0 || err == nil {
		t.Errorf("the first server gets %d bytes", n)
	}
	if text, err := io.ReadAll(next); err != nil || string(text) != "hello" || m.takeBack() {
		t.Errorf("the second server gets %q: %v", text, err)
	}
}

// TestCut tells the caller that the outcome is unknown when the leader goes away with a call.
func TestCut(t *testing.T) {
	a, b := start(t, "a", nil), start(t, "b", nil)
	a.hold, a.held = make(chan struct{}), make(chan struct{})
	a.set(Standing{Leads: true, Able: true})
	b.set(Standing{Able: true, Leader: a.URL})
	got := make(chan string, 1)
	go func() {
		text, _, _ := call(t, b, "/write", "x")
		got <- text
	}()
	<-a.held
	a.CloseClientConnections()
	if text := <-got; !strings.Contains(text, "outcome is unknown") {
		t.Errorf("the caller hears %q", text)
	}
	close(a.hold)
}

// TestGivenUp ends the call at the leader when its caller goes away.
func TestGivenUp(t *testing.T) {
	ended := make(chan error, 1)
	began := make(chan struct{})
	a := start(t, "a", func(o *Options) {
		o.Inner = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			close(began)
			<-r.Context().Done()
			ended <- r.Context().Err()
		})
	})
	b := start(t, "b", nil)
	a.set(Standing{Leads: true, Able: true})
	b.set(Standing{Able: true, Leader: a.URL})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.URL+"/write", strings.NewReader("x"))
		if err != nil {
			return
		}
		client := http.Client{Transport: NewTransport(nil)}
		defer client.CloseIdleConnections()
		if resp, err := client.Do(req); err == nil {
			resp.Body.Close()
		}
	}()
	<-began
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the call at the leader ended with %v", err)
	}
}
