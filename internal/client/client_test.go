package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
	"github.com/reeve-scheduler/reeve/internal/logline"
	"github.com/reeve-scheduler/reeve/internal/trust"

	reevev1 "github.com/reeve-scheduler/reeve/gen/reeve/v1"
)

// script answers calls with errors, one after the other, and then with an empty
// message.
type script struct {
	mu    sync.Mutex
	codes []connect.Code
	busy  bool // resource_exhausted comes with Retry-After
	calls int
	heads []http.Header
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	s.heads = append(s.heads, r.Header)
	_, _ = io.Copy(io.Discard, r.Body)
	if len(s.codes) == 0 {
		w.Header().Set("Content-Type", "application/proto")
		return
	}
	err := connect.NewError(s.codes[0], errors.New("says the script"))
	if s.busy {
		err.Meta().Set("Retry-After", "1")
	}
	s.codes = s.codes[1:]
	_ = connect.NewErrorWriter().Write(w, r, err)
}

func scripted(t *testing.T, s *script, o Options) *Client {
	t.Helper()
	hs := httptest.NewUnstartedServer(s)
	hs.EnableHTTP2 = true
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	hs.Config.Protocols = &protocols
	hs.Start()
	t.Cleanup(hs.Close)
	o.Address = hs.URL
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// TestRetries: a call is made again where that helps and does no harm, and only
// there.
func TestRetries(t *testing.T) {
	get := func(ctx context.Context, c *Client) error { _, err := c.Get(ctx, "1", false); return err }
	submit := func(keys ...string) func(context.Context, *Client) error {
		return func(ctx context.Context, c *Client) error {
			q := &SubmitRequest{}
			for _, k := range keys {
				q.Items = append(q.Items, &SubmitItem{IdempotencyKey: k})
			}
			_, err := c.Submit(ctx, q)
			return err
		}
	}
	unavailable := []connect.Code{connect.CodeUnavailable, connect.CodeUnavailable}
	for _, test := range []struct {
		name  string
		call  func(context.Context, *Client) error
		codes []connect.Code
		busy  bool
		calls int
		want  job.Code // of the error, if calls is not enough to get past the codes
	}{
		{"a read", get, unavailable, false, 3, 0},
		{"a read of a stopping server", get, []connect.Code{connect.CodeCanceled}, false, 2, 0},
		{"a busy server", get, []connect.Code{connect.CodeResourceExhausted}, true, 2, 0},
		{"a message that is too large", get, []connect.Code{connect.CodeResourceExhausted}, false, 1, job.Busy},
		{"what does not exist", get, []connect.Code{connect.CodeNotFound}, false, 1, job.NotFound},
		{"a fault", get, []connect.Code{connect.CodeInternal}, false, 1, job.Internal},
		{"a submit with keys", submit("a", "b"), unavailable, false, 3, 0},
		{"a submit without a key", submit("a", ""), unavailable, false, 1, job.Unavailable},
		{"a submit of one job without a key", submit(), unavailable, false, 1, job.Unavailable},
		{"a submit without a key to a busy server", submit(), []connect.Code{connect.CodeResourceExhausted}, true, 2, 0},
		{"a retry with a key", func(ctx context.Context, c *Client) error { _, err := c.Retry(ctx, "1", false, "k"); return err }, unavailable, false, 3, 0},
		{"a retry without", func(ctx context.Context, c *Client) error { _, err := c.Retry(ctx, "1", false, ""); return err }, unavailable, false, 1, job.Unavailable},
		{"a cancel", func(ctx context.Context, c *Client) error { _, err := c.Cancel(ctx, &CancelRequest{}); return err }, unavailable, false, 3, 0},
		{"a new token", func(ctx context.Context, c *Client) error { _, err := c.CreateToken(ctx, &NewToken{}); return err }, unavailable, false, 1, job.Unavailable},
		{"a new queue", func(ctx context.Context, c *Client) error { return c.CreateQueue(ctx, "", "q", job.QueueChange{}) }, unavailable, false, 1, job.Unavailable},
		{"a new namespace", func(ctx context.Context, c *Client) error { return c.CreateNamespace(ctx, "n", job.NamespaceChange{}) }, unavailable, false, 1, job.Unavailable},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := &script{codes: test.codes, busy: test.busy}
			err := test.call(t.Context(), scripted(t, s, Options{Patience: patience}))
			if s.calls != test.calls || (err != nil) != (test.calls <= len(test.codes)) || err != nil && job.CodeOf(err) != test.want {
				t.Errorf("%d calls and %v; want %d calls", s.calls, err, test.calls)
			}
		})
	}
}

// TestRetriesEnd: patience ends, and so does the context.
func TestRetriesEnd(t *testing.T) {
	forever := make([]connect.Code, 1000)
	for i := range forever {
		forever[i] = connect.CodeUnavailable
	}
	s := &script{codes: forever}
	_, err := scripted(t, s, Options{Patience: 200 * time.Millisecond}).Get(t.Context(), "1", false)
	if job.CodeOf(err) != job.Unavailable || s.calls < 2 || s.calls > 10 {
		t.Errorf("%v after %d calls", err, s.calls)
	}
	s = &script{codes: forever}
	if _, err = scripted(t, s, Options{Patience: -1}).Get(t.Context(), "1", false); job.CodeOf(err) != job.Unavailable || s.calls != 1 {
		t.Errorf("without patience: %v after %d calls", err, s.calls)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s = &script{codes: forever}
	c := scripted(t, s, Options{Patience: time.Hour})
	cancel()
	if _, err = c.Get(ctx, "1", false); err == nil {
		t.Error("a call without a context succeeded")
	}
	gone, err := New(Options{Address: "http://" + unused(t), Patience: -1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := gone.Submit(t.Context(), &SubmitRequest{}); job.CodeOf(err) != job.Unavailable || !strings.Contains(err.Error(), "no server answers at http://127.0.0.1:") {
		t.Errorf("where nothing listens: %v", err)
	}
}

// TestHeaders: the token and the program's name are on every call, unary and stream.
func TestHeaders(t *testing.T) {
	s := &script{}
	c := scripted(t, s, Options{Token: "rv1_x_y", UserAgent: "reeve-test/1"})
	_, _ = c.Get(t.Context(), "1", false)
	_ = c.Watch(t.Context(), "", nil, "", func(*WatchResponse) error { return nil })
	_, _, _ = c.PutItems(t.Context(), strings.NewReader("x"))
	if len(s.heads) != 3 {
		t.Fatalf("%d calls", len(s.heads))
	}
	for _, h := range s.heads {
		if h.Get("Authorization") != "Bearer rv1_x_y" || h.Get("User-Agent") != "reeve-test/1" {
			t.Errorf("the headers: %v", h)
		}
	}
}

// TestErrors: each code of the wire is one of the domain's, with its message.
func TestErrors(t *testing.T) {
	for code := connect.CodeCanceled; code <= connect.CodeUnauthenticated; code++ {
		want, known := codes[code]
		if !known {
			want = job.Internal
		}
		c := scripted(t, &script{codes: []connect.Code{code}}, Options{Patience: -1})
		_, err := c.Get(t.Context(), "1", false)
		if job.CodeOf(err) != want || !strings.Contains(fmt.Sprint(err), "says the script") {
			t.Errorf("%s became %v (%d); want %d", code, err, job.CodeOf(err), want)
		}
	}
}

// TestTrust: a server is known by the fingerprint of its authority, by a file of it,
// or not at all.
func TestTrust(t *testing.T) {
	own := func() (*trust.Server, string) {
		t.Helper()
		dir := t.TempDir()
		s, err := trust.OpenServer(trust.ServerOptions{Dir: dir, Names: []string{"127.0.0.1"}})
		if err != nil {
			t.Fatal(err)
		}
		return s, filepath.Join(dir, trust.CAFile)
	}
	server, file := own()
	other, otherFile := own()
	script := &script{}
	hs := httptest.NewUnstartedServer(script)
	address := hs.Listener.Addr().String()
	hs.Listener = tls.NewListener(hs.Listener, server.Config())
	hs.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	hs.Start()
	t.Cleanup(hs.Close)
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		o    trust.ClientOptions
		says string
	}{
		{"the fingerprint", trust.ClientOptions{Pin: server.Fingerprint()}, ""},
		{"the authority", trust.ClientOptions{CAFile: file}, ""},
		{"another fingerprint", trust.ClientOptions{Pin: other.Fingerprint()}, "does not belong to the CA of the join token"},
		{"another authority", trust.ClientOptions{CAFile: otherFile}, "none of the CAs in"},
		{"the system's", trust.ClientOptions{}, "no CA known to this machine has signed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			config := func(host string) (*tls.Config, error) { return trust.ClientConfig(host, test.o) }
			before := script.calls
			c, err := New(Options{Address: address, TLS: config, Patience: -1, Token: "rv1_secret_secret"})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			err = c.Check(t.Context())
			if (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v; want %q", err, test.says)
			}
			if err != nil && (!errors.Is(err, trust.ErrUntrusted) || strings.Contains(err.Error(), "no server answers")) {
				t.Errorf("%v; want ErrUntrusted, and no word of a server that is not there", err)
			}
			if err != nil && script.calls != before {
				t.Error("a server that is not trusted was called, with the token")
			}
		})
	}
	plain := scripted(t, script, Options{})
	c, err := New(Options{Address: "https://" + strings.TrimPrefix(plain.Address, "http://"), Patience: -1, TLS: func(string) (*tls.Config, error) { return &tls.Config{MinVersion: tls.VersionTLS13}, nil }})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Check(t.Context()); err == nil || job.CodeOf(err) != job.Unavailable {
		t.Errorf("TLS to a server without: %v", err)
	}
}

// TestAddresses: what is no address is refused in words.
func TestAddresses(t *testing.T) {
	for address, want := range map[string]string{
		"http://h:1": "http://h:1", "https://h:1/": "https://h:1", "h:1": "https://h:1", "http://[::1]:7420": "http://[::1]:7420",
		"": "", "ftp://h:1": "", "http://a:1, http://b:1": "http://a:1,http://b:1", "http://": "", "http://h:1/path": "", "http://h:1:2": "", "::": "",
	} {
		c, err := New(Options{Address: address})
		if want == "" {
			if err == nil || !strings.Contains(err.Error(), "want http://host:port or https://host:port") {
				t.Errorf("%q: %v, %v", address, c, err)
			}
			continue
		}
		if err != nil || c.Address != want {
			t.Errorf("%q became %v, %v; want %s", address, c, err, want)
		}
	}
}

// TestFollowOverRestarts follows a job and its log while the server is stopped and
// started again on the same data: nothing is missed, and nothing comes twice.
func TestFollowOverRestarts(t *testing.T) {
	s := newServer(t)
	c := s.client(Options{})
	made, err := c.Submit(t.Context(), &SubmitRequest{Source: &reevev1.SubmitRequest_File{File: "run: x"}, Items: []*SubmitItem{{IdempotencyKey: "k"}}})
	if err != nil {
		t.Fatal(err)
	}
	id := made[0].GetId()
	w := s.join(c, 1)
	a := w.take()
	ref := job.Ref{Job: a.Job, Task: "main", Index: job.NoIndex, Attempt: 1}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	followed := make(chan error, 1)
	states := make(chan string, 100)
	go func() {
		j, err := c.Follow(ctx, id, func(j *Job) { states <- j.GetState() })
		if err == nil && j.GetState() != "succeeded" {
			err = fmt.Errorf("it ended %s", j.GetState())
		}
		followed <- err
	}()
	pieces := make(chan string, 100)
	read := make(chan error, 2)
	for _, what := range []string{id, ref.String()} {
		go func() {
			read <- c.FollowLogs(ctx, what, LogOptions{}, func(p *LogPiece) error { pieces <- string(p.GetData()); return nil })
		}()
	}
	over := 0
	next := func(want string) {
		t.Helper()
		for n := 0; n < 2; {
			select {
			case got := <-pieces:
				if got != want {
					t.Fatalf("a piece %q; want %q", got, want)
				}
				n++
			case err := <-read:
				if over++; err != nil {
					t.Fatalf("following the log: %v (%d), before %q came", err, job.CodeOf(err), want)
				}
			case <-ctx.Done():
				t.Fatalf("no piece %q came", want)
			}
		}
	}
	<-states
	offset := int64(0)
	for round := range 3 {
		text := fmt.Sprintf("round %d\n", round)
		frames := logline.Append(nil, logline.Stdout, 1_700_000_000_000, []byte(text))
		w.write(a, ref, offset, frames, false)
		offset += int64(len(frames))
		next(text)
		s.stop()
		s.start()
		// The one before may still have a connection to the server that is gone, and streams
		// are not tried again.
		w = s.join(s.client(Options{}), 1, link.Held{Fence: a.Fence, Phase: link.Running})
	}
	frames := logline.Append(nil, logline.Stdout, 1_700_000_000_000, []byte("the end\n"))
	w.write(a, ref, offset, frames, true)
	w.send(link.FromWorker{Report: &link.Report{Ended: []link.Result{{Fence: a.Fence, Started: 1, Ended: 2, LogSize: offset + int64(len(frames))}}}})
	next("the end\n")
	for ; over < 2; over++ {
		if err := <-read; err != nil {
			t.Errorf("following the log: %v", err)
		}
	}
	if err := <-followed; err != nil {
		t.Errorf("following the job: %v", err)
	}
	if len(pieces) != 0 {
		t.Errorf("pieces came twice: %q", <-pieces)
	}
}

// TestFollowEnds: what can't be followed is refused at once, and the context and the
// caller end it.
func TestFollowEnds(t *testing.T) {
	s := newServer(t)
	c := s.client(Options{})
	if _, err := c.Follow(t.Context(), "99", nil); job.CodeOf(err) != job.NotFound {
		t.Errorf("following no job: %v", err)
	}
	nothing := func(*LogPiece) error { return nil }
	if err := c.FollowLogs(t.Context(), "99", LogOptions{}, nothing); job.CodeOf(err) != job.NotFound {
		t.Errorf("following no log: %v", err)
	}
	made, err := c.Submit(t.Context(), &SubmitRequest{Source: &reevev1.SubmitRequest_File{File: "run: x"}})
	if err != nil {
		t.Fatal(err)
	}
	w := s.join(c, 1)
	a := w.take()
	ref := job.Ref{Job: a.Job, Task: "main", Index: job.NoIndex, Attempt: 1}
	w.write(a, ref, 0, logline.Append(nil, logline.Stdout, 1, []byte("x\n")), false)
	enough := errors.New("enough")
	if err := c.FollowLogs(t.Context(), made[0].GetId(), LogOptions{}, func(*LogPiece) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("a caller that has enough: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if err := c.FollowLogs(ctx, made[0].GetId(), LogOptions{}, func(*LogPiece) error { cancel(); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that ended: %v", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	if _, err := c.Follow(ctx, made[0].GetId(), func(*Job) { cancel() }); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that ended: %v", err)
	}
}

// ending is a reader's text and what happens when it has been read.
type ending struct {
	text io.Reader
	then func() error
}

func (e *ending) Read(b []byte) (int, error) {
	n, err := e.text.Read(b)
	if errors.Is(err, io.EOF) {
		err = e.then()
	}
	return n, err
}

// TestFilesAndItems sends and fetches files, items and outputs as agents do: whole or
// not at all.
func TestFilesAndItems(t *testing.T) {
	s := newServer(t)
	c := s.client(Options{})
	agent := c.Agent()
	ctx := t.Context()
	made, err := c.Submit(ctx, &SubmitRequest{Source: &reevev1.SubmitRequest_File{File: "tasks: {a: {array: 3-4, run: x}, b: {run: x}}"}})
	if err != nil {
		t.Fatal(err)
	}
	w := s.join(c, 1)
	broken := errors.New("the disk broke")
	breaks := func() error { return broken }
	text := strings.Repeat("0123456789", 100_000)
	for range 2 {
		a := w.take()
		spec := []string{"a", "b"}[a.Task]
		of := link.Claim{Fence: a.Fence, Ref: job.Ref{Job: a.Job, Task: spec, Index: a.Index, Attempt: a.Attempt}, Proof: a.Proof}
		if err := agent.PutArtifact(ctx, of, "dir/file", strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
		if err := agent.PutArtifact(ctx, of, "empty", strings.NewReader("")); err != nil {
			t.Fatal(err)
		}
		if err := agent.PutArtifact(ctx, of, "broken", &ending{strings.NewReader(text), breaks}); !errors.Is(err, broken) {
			t.Errorf("a file that can't be read: %v", err)
		}
		mayEnd, giveUp := context.WithCancel(ctx)
		if err := agent.PutArtifact(mayEnd, of, "given up", &ending{strings.NewReader(text), func() error {
			giveUp()
			return io.EOF
		}}); err == nil {
			t.Error("a file that was given up was stored")
		}
		if err := agent.PutArtifact(ctx, link.Claim{Fence: a.Fence + 99, Ref: of.Ref, Proof: a.Proof}, "late", strings.NewReader(text)); job.CodeOf(err) != job.Refused {
			t.Errorf("a file of another attempt: %v", err)
		}
		files, err := agent.ListArtifacts(ctx, job.Ref{Job: a.Job, Task: spec, Index: a.Index})
		if err != nil || len(files) != 2 || files[0].Path != "dir/file" || files[0].Size != int64(len(text)) || files[1].Size != 0 {
			t.Errorf("the files: %+v, %v", files, err)
		}
		var got strings.Builder
		if err := agent.GetArtifact(ctx, of.Ref, "dir/file", &got); err != nil || got.String() != text {
			t.Errorf("the file came back as %d bytes, %v", got.Len(), err)
		}
		if err := agent.GetArtifact(ctx, of.Ref, "none", &got); job.CodeOf(err) != job.NotFound {
			t.Errorf("no file: %v", err)
		}
		w.send(link.FromWorker{Report: &link.Report{Ended: []link.Result{{Fence: a.Fence, Started: 1, Ended: 2, Outputs: []byte(`{"k":"v"}`)}}}})
	}
	w.send(link.FromWorker{Report: &link.Report{Ended: []link.Result{{Fence: w.take().Fence, Started: 1, Ended: 2}}}})
	id := made[0].GetId()
	if _, err := c.Follow(ctx, id, nil); err != nil {
		t.Fatal(err)
	}
	var lines strings.Builder
	for _, task := range []string{"a", "b"} {
		ref, err := job.ParseRef(id + "." + task)
		if err != nil {
			t.Fatal(err)
		}
		if err := agent.Outputs(ctx, ref, &lines); err != nil {
			t.Fatal(err)
		}
	}
	if got := lines.String(); strings.Count(got, "\n") < 2 || !strings.Contains(got, `"outputs":{"k":"v"}}`) || !strings.Contains(got, `{"index":3,`) {
		t.Errorf("the outputs:\n%s", got)
	}
	items := "\"one\"\n\"two\"\n"
	key, n, err := c.PutItems(ctx, strings.NewReader(items))
	if err != nil || n != 2 {
		t.Fatal(key, n, err)
	}
	var got strings.Builder
	if err := agent.FetchBlob(ctx, key, &got); err != nil || got.String() != items {
		t.Errorf("the items came back as %q, %v", got.String(), err)
	}
	if _, _, err := c.PutItems(ctx, &ending{strings.NewReader(items), breaks}); !errors.Is(err, broken) {
		t.Errorf("items that can't be read: %v", err)
	}
	if _, _, err := c.PutItems(ctx, strings.NewReader("")); job.CodeOf(err) != job.Invalid || !strings.Contains(err.Error(), "there are no items") {
		t.Errorf("no items: %v", err)
	}
	if err := agent.FetchBlob(ctx, "x", &got); job.CodeOf(err) != job.Invalid {
		t.Errorf("no blob: %v", err)
	}
}

// TestCalls makes each call once: what is set reaches the server, and what it answers
// the caller.
func TestCalls(t *testing.T) {
	s := newServer(t)
	c := s.client(Options{})
	ctx := t.Context()
	check := func(what string, ok bool, err error) {
		t.Helper()
		if err != nil || !ok {
			t.Errorf("%s: %v, %v", what, ok, err)
		}
	}
	check("check", true, c.Check(ctx))
	status, err := c.Status(ctx)
	check("status", status.GetRole() == "leader", err)
	check("a namespace", true, c.CreateNamespace(ctx, "team", job.NamespaceChange{}))
	check("a queue", true, c.CreateQueue(ctx, "team", "night", job.QueueChange{}))
	check("a paused queue", true, c.PauseQueue(ctx, "team", "night", true))
	queues, err := c.Queues(ctx, "team")
	check("queues", len(queues) == 2 && queues[1].GetName() == "night" && queues[1].GetPaused(), err)
	check("a resumed queue", true, c.PauseQueue(ctx, "team", "night", false))
	check("a paused namespace", true, c.PauseNamespace(ctx, "team", true))
	spaces, err := c.Namespaces(ctx)
	check("namespaces", len(spaces) == 2 && spaces[1].GetPaused(), err)
	check("a resumed namespace", true, c.PauseNamespace(ctx, "team", false))
	if queues, err = c.Queues(ctx, "team"); err != nil || queues[1].GetPaused() {
		t.Errorf("the queue goes on being paused: %v, %v", queues, err)
	}
	pool, err := c.UpdatePool(ctx, "night", job.PoolChange{Overcommit: &job.Factors{}}, false)
	check("a pool", pool.GetName() == "night" && PoolPolicy(pool) == (job.PoolPolicy{}), err)
	pools, err := c.Pools(ctx)
	check("pools", len(pools) == 0, err)
	if _, err = c.Pool(ctx, "night"); job.CodeOf(err) != job.NotFound || !strings.Contains(err.Error(), `pool "night" does not exist; there is none`) {
		t.Errorf("a pool of nothing: %v", err)
	}
	if got := PoolPolicy(&Pool{Policy: &reevev1.PoolPolicy{Overcommit: &reevev1.Overcommit{Factors: map[string]string{"cpu": "2"}}}}); got.Overcommit != (job.Factors{CPU: 2000}) {
		t.Errorf("a pool's policy is %+v", got)
	}
	if _, err = c.Reserve(ctx, &Reservation{Name: "repair", Pool: "night", Until: Time(time.Now().Add(time.Hour))}); job.CodeOf(err) != job.Refused || !strings.Contains(err.Error(), "reservation repair needs format 3") {
		t.Errorf("a reservation before its time: %v", err)
	}
	reservations, err := c.Reservations(ctx)
	check("reservations", len(reservations) == 0, err)
	if err = c.Unreserve(ctx, "repair"); job.CodeOf(err) != job.NotFound {
		t.Errorf("no reservation: %v", err)
	}
	made, err := c.Submit(ctx, &SubmitRequest{Namespace: "team", Source: File([]byte("tasks: {a: {array: 0-9, run: x}}\nqueue: night\n"))})
	check("submit", len(made) == 1 && made[0].GetId() == "1", err)
	j, err := c.Get(ctx, "1", true)
	check("get", j.GetQueue() == "night" && j.GetSpec() != nil && !Ended(j), err)
	page, err := c.List(ctx, &ListRequest{Namespace: "team", Queue: "night"})
	check("list", len(page.GetJobs()) == 1, err)
	elements, next, err := c.Elements(ctx, "1", "a", []string{"pending"}, 4, "")
	check("elements", len(elements) == 4 && next != "", err)
	elements, next, err = c.Elements(ctx, "1", "a", []string{"pending"}, 6, next)
	check("more elements", len(elements) == 6 && elements[0].GetIndex() == 4 && next == "", err)
	attempts, err := c.Attempts(ctx, "1.a.3")
	check("attempts", len(attempts) == 0, err)
	check("hold", true, c.Hold(ctx, "1", "a"))
	why, err := c.Explain(ctx, "1")
	check("explain", len(why.GetTasks()) == 1 && why.GetTasks()[0].GetReasons()[0].GetKind() == "hold", err)
	check("release", true, c.Release(ctx, "1", "a"))
	s.join(c, 1)
	workers, err := c.Workers(ctx)
	check("workers", len(workers) == 1 && workers[0].GetName() == "w1", err)
	held, err := c.Drain(ctx, "w1", false)
	check("drain", held >= 0, err)
	check("undrain", true, c.Undrain(ctx, "w1"))
	token, err := c.CreateToken(ctx, &NewToken{Name: "ci", Scopes: []string{"read"}})
	check("a token", strings.HasPrefix(token.GetSecret(), "rv1_"), err)
	tokens, err := c.Tokens(ctx)
	check("tokens", len(tokens) == 1 && tokens[0].GetName() == "ci", err)
	check("a revoked token", true, c.RevokeToken(ctx, "ci"))
	cancelled, err := c.Cancel(ctx, &CancelRequest{Id: "1", Kill: true})
	check("cancel", cancelled.GetCancelled()+cancelled.GetStopping() == 10, err)
	enough := errors.New("enough")
	err = c.Watch(ctx, "", nil, "", func(m *WatchResponse) error {
		if m.GetCursor() == "" {
			t.Error("a message without a cursor")
		}
		return enough
	})
	check("watch", errors.Is(err, enough), nil)
}

// TestAsLateAsTheServerAsks: whoever was refused comes again no sooner than the server says.
func TestAsLateAsTheServerAsks(t *testing.T) {
	c := scripted(t, &script{codes: []connect.Code{connect.CodeResourceExhausted}, busy: true}, Options{Patience: time.Minute})
	began := time.Now()
	if _, err := c.Get(t.Context(), "1", false); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < time.Second {
		t.Errorf("the call was made again within %s of a server that asked for a second", took)
	}
	c = scripted(t, &script{codes: []connect.Code{connect.CodeResourceExhausted}, busy: true}, Options{Patience: 900 * time.Millisecond})
	if _, err := c.Get(t.Context(), "1", false); job.CodeOf(err) != job.Busy {
		t.Errorf("a client without the patience to wait for as long says %v", err)
	}
}
