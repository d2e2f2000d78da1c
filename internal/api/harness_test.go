package api

import (
	"bytes"
	"context"
	"crypto/tls"
	"flag"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/reeve-scheduler/reeve/internal/auth"
	"github.com/reeve-scheduler/reeve/internal/blob/dirblob"
	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/guard"
	"github.com/reeve-scheduler/reeve/internal/leader"
	"github.com/reeve-scheduler/reeve/internal/logstore"
	"github.com/reeve-scheduler/reeve/internal/member"
	"github.com/reeve-scheduler/reeve/internal/outlook"
	"github.com/reeve-scheduler/reeve/internal/record"
	"github.com/reeve-scheduler/reeve/internal/session"
	"github.com/reeve-scheduler/reeve/internal/store"
	"github.com/reeve-scheduler/reeve/internal/store/memstore"
	"github.com/reeve-scheduler/reeve/internal/trust"

	reevev1 "github.com/reeve-scheduler/reeve/gen/reeve/v1"
	"github.com/reeve-scheduler/reeve/gen/reeve/v1/reevev1connect"
)

var update = flag.Bool("update", false, "rewrite docs/permissions.md")

// patience bounds waits for what must happen; a test that fails is all that it slows.
const patience = 30 * time.Second

// rig is a real server on loopback: leader, sessions, log store and door, behind
// TLS and tokens unless it is open. Only its disk is memory.
type rig struct {
	t        testing.TB
	store    *memstore.Store
	blobs    *dirblob.Store
	logs     *logstore.Store
	log      *said
	open     bool
	url      string
	http     *http.Client
	door     atomic.Pointer[http.Handler]
	leader   *leader.Leader
	stop     func()
	admin    string
	settings leader.Settings
	peers    func() (member.Peers, error) // nil for one that is alone
	// stopCalls ends what the server has under way.
	stopCalls context.CancelCauseFunc
}

// said is a log that can be read while it is written.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *said) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(b)
}

func (r *said) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// newRig starts a server with TLS and tokens.
func newRig(t testing.TB) *rig {
	t.Helper()
	return startRig(t, &rig{t: t})
}

// newOpenRig starts a server without either, as reeve server --dev does.
func newOpenRig(t testing.TB) *rig {
	t.Helper()
	return startRig(t, &rig{t: t, open: true})
}

func startRig(t testing.TB, r *rig) *rig {
	t.Helper()
	dir := t.TempDir()
	r.store, r.log = memstore.New(), &said{}
	var err error
	if r.blobs, err = dirblob.Open(dir + "/blobs"); err != nil {
		t.Fatal(err)
	}
	if r.logs, err = logstore.Open(t.Context(), dir+"/logs", r.blobs, logstore.Options{Log: r.logger()}); err != nil {
		t.Fatal(err)
	}
	r.lead()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	r.url = "http://" + address
	var protocols http.Protocols
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: &protocols}
	if !r.open {
		own, err := trust.OpenServer(trust.ServerOptions{Dir: dir + "/tls", Names: trust.Names([]string{address}, nil)})
		if err != nil {
			t.Fatal(err)
		}
		if transport.TLSClientConfig, err = trust.ClientConfig(address, trust.ClientOptions{Pin: own.Fingerprint()}); err != nil {
			t.Fatal(err)
		}
		r.url = "https://" + address
		listener = tls.NewListener(listener, own.Config())
	}
	r.http = &http.Client{Transport: transport}
	base, stopCalls := context.WithCancelCause(context.Background())
	hs := guard.NewHTTPServer(base, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { (*r.door.Load()).ServeHTTP(w, q) }), r.open, r.logger())
	r.stopCalls = stopCalls
	served := make(chan error, 1)
	go func() { served <- hs.Serve(listener) }()
	t.Cleanup(func() {
		stopCalls(guard.ErrStopping)
		transport.CloseIdleConnections()
		quiet, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := hs.Shutdown(quiet); err != nil {
			t.Errorf("calls did not end with the server: %v", err)
		}
		<-served
		r.stop()
		r.logs.Close()
		r.blobs.Close()
	})
	return r
}

func (r *rig) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// lead begins a term on what the store holds, and puts a door before it.
func (r *rig) lead() {
	t := r.t
	t.Helper()
	sessions := session.NewHub(r.logger())
	r.settings = leader.Settings{FlushEvery: time.Millisecond, Logged: r.logs.Expect}
	l, err := leader.New(t.Context(), r.settings, r.store.Journal(), r.store.Tables(), sessions, r.logger())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	ahead := outlook.New(outlook.Options{Engine: l, Log: r.logger()})
	looked := make(chan struct{})
	go func() { ahead.Run(ctx); close(looked) }()
	r.stop = func() {
		cancel()
		<-looked
		if err := <-ended; err != nil {
			t.Errorf("the leader ended: %v", err)
		}
	}
	door, err := New(Options{
		Engine: l, Leader: l, History: r.store.History(), Sessions: sessions, Logs: func() *logstore.Store { return r.logs }, Blobs: r.blobs, Log: r.logger(), Open: r.open,
		Join:    func(credential string) (string, error) { return "rvj1_" + credential, nil },
		Servers: func(context.Context) (member.Peers, error) { return r.servers() },
		Version: "test", Started: time.Now(), Config: r.settings.Core, Outlook: ahead,
	})
	if err != nil {
		t.Fatal(err)
	}
	r.leader = l
	r.door.Store(&door)
	if r.admin == "" && !r.open {
		r.admin = r.token("admin", 0, "admin")
	}
}

func (r *rig) servers() (member.Peers, error) {
	if r.peers != nil {
		return r.peers()
	}
	return member.Peers{{Server: store.Server{Address: r.url, Format: record.Newest}, Leads: true}}, nil
}

// restart ends the term and begins another: what has ended is in the tables alone
// afterwards.
func (r *rig) restart() {
	r.t.Helper()
	r.stop()
	r.lead()
}

// token makes a token in the state; its age is how long ago it expired, 0 for one
// that lives.
func (r *rig) token(name string, age time.Duration, scopes string, namespaces ...string) string {
	r.t.Helper()
	if r.admin != "" && age == 0 {
		m := do(r.t, r.as(r.admin).tokens.Create, &reevev1.TokenServiceCreateRequest{
			Name: name, Scopes: strings.Split(scopes, ","), Namespaces: namespaces,
		})
		return m.GetSecret()
	}
	token, text, err := NewToken(name, scopes, namespaces, r.leader.Now(), time.Hour, "test")
	if err != nil {
		r.t.Fatal(err)
	}
	if age > 0 {
		token.Created, token.Expires = token.Created-2*age.Milliseconds(), token.Created-age.Milliseconds()
	}
	if _, err := r.leader.Do(r.t.Context(), core.PutToken{Token: token}); err != nil {
		r.t.Fatal(err)
	}
	return text
}

// idOf is the id of a token's text.
func idOf(t testing.TB, text string) string {
	t.Helper()
	c, err := auth.ParseCredential(text)
	if err != nil {
		t.Fatal(err)
	}
	return c.ID
}

// clients speaks to a server with one token.
type clients struct {
	jobs         reevev1connect.JobServiceClient
	queues       reevev1connect.QueueServiceClient
	namespaces   reevev1connect.NamespaceServiceClient
	limits       reevev1connect.LimitServiceClient
	pools        reevev1connect.PoolServiceClient
	reservations reevev1connect.ReservationServiceClient
	tokens       reevev1connect.TokenServiceClient
	health       reevev1connect.HealthServiceClient
	watch        reevev1connect.WatchServiceClient
	workers      reevev1connect.WorkerServiceClient
	servers      reevev1connect.ServerServiceClient
	logs         reevev1connect.LogServiceClient
	artifacts    reevev1connect.ArtifactServiceClient
}

func (r *rig) as(token string, opts ...connect.ClientOption) *clients {
	opts = append(opts, connect.WithInterceptors(bearer(token)))
	return &clients{
		jobs:         reevev1connect.NewJobServiceClient(r.http, r.url, opts...),
		queues:       reevev1connect.NewQueueServiceClient(r.http, r.url, opts...),
		namespaces:   reevev1connect.NewNamespaceServiceClient(r.http, r.url, opts...),
		limits:       reevev1connect.NewLimitServiceClient(r.http, r.url, opts...),
		pools:        reevev1connect.NewPoolServiceClient(r.http, r.url, opts...),
		reservations: reevev1connect.NewReservationServiceClient(r.http, r.url, opts...),
		tokens:       reevev1connect.NewTokenServiceClient(r.http, r.url, opts...),
		health:       reevev1connect.NewHealthServiceClient(r.http, r.url, opts...),
		watch:        reevev1connect.NewWatchServiceClient(r.http, r.url, opts...),
		workers:      reevev1connect.NewWorkerServiceClient(r.http, r.url, opts...),
		servers:      reevev1connect.NewServerServiceClient(r.http, r.url, opts...),
		logs:         reevev1connect.NewLogServiceClient(r.http, r.url, opts...),
		artifacts:    reevev1connect.NewArtifactServiceClient(r.http, r.url, opts...),
	}
}

// bearer puts a token on every call.
type bearer string

func (b bearer) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
		req.Header().Set("Authorization", "Bearer "+string(b))
		return next(ctx, req)
	}
}

func (b bearer) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return func(ctx context.Context, spec connect.Spec) connect.StreamingClientConn {
		conn := next(ctx, spec)
		conn.RequestHeader().Set("Authorization", "Bearer "+string(b))
		return conn
	}
}

func (b bearer) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return next
}

// do makes a unary call that must succeed.
func do[Q, A any](t testing.TB, fn func(context.Context, *connect.Request[Q]) (*connect.Response[A], error), q *Q) *A {
	t.Helper()
	resp, err := fn(t.Context(), connect.NewRequest(q))
	if err != nil {
		t.Fatalf("%T: %v", q, err)
	}
	return resp.Msg
}

// refused makes a unary call that must fail with a code, and in words.
func refused[Q, A any](t testing.TB, fn func(context.Context, *connect.Request[Q]) (*connect.Response[A], error), q *Q, code connect.Code, says string) {
	t.Helper()
	_, err := fn(t.Context(), connect.NewRequest(q))
	wantError(t, err, code, says)
}

// wantError checks an error: its code, that it holds a text, and that it is one line.
func wantError(t testing.TB, err error, code connect.Code, says string) {
	t.Helper()
	if err == nil || connect.CodeOf(err) != code || !strings.Contains(err.Error(), says) {
		t.Errorf("got %v; want code %s that says %q", err, code, says)
	} else if strings.Contains(err.Error(), "\n") && code != connect.CodeInvalidArgument {
		t.Errorf("the error is more than a line: %v", err)
	}
}

// all reads a stream to its end.
func all[A any](stream *connect.ServerStreamForClient[A], err error) ([]*A, error) {
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	var out []*A
	for stream.Receive() {
		out = append(out, stream.Msg())
	}
	return out, stream.Err()
}

// submit submits a job file and returns the job's id.
func (r *rig) submit(c *clients, file string) string {
	r.t.Helper()
	m := do(r.t, c.jobs.Submit, &reevev1.SubmitRequest{Source: &reevev1.SubmitRequest_File{File: file}})
	return m.GetJobs()[0].GetId()
}

// worker is a worker whose every step the test takes. It beats by itself.
type worker struct {
	r        *rig
	stream   *connect.BidiStreamForClient[reevev1.SessionRequest, reevev1.SessionResponse]
	mu       sync.Mutex // guards sending
	assigned chan *reevev1.Assignment
	over     chan error // why the session ended
}

// join connects a worker with room for all that the tests start.
func (r *rig) join(c *clients, name string, slots int32) *worker {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w := &worker{r: r, stream: c.workers.Session(ctx), assigned: make(chan *reevev1.Assignment, 10_000), over: make(chan error, 1)}
	w.send(&reevev1.SessionRequest{Message: &reevev1.SessionRequest_Hello{Hello: &reevev1.Hello{
		Protocol: 1, Name: name, Instance: "of " + name, Incarnation: 1, Slots: slots, CpuMilli: 1000 * int64(slots),
		MemoryBytes: 1 << 40, Executors: []string{"process"},
	}}})
	welcomed := make(chan error, 2)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			m, err := w.stream.Receive()
			if err != nil {
				welcomed <- err
				w.over <- err
				return
			}
			switch m := m.GetMessage().(type) {
			case *reevev1.SessionResponse_Welcome:
				welcomed <- nil
			case *reevev1.SessionResponse_Assign:
				for _, a := range m.Assign.GetAttempts() {
					w.assigned <- a
				}
			}
		}
	}()
	r.t.Cleanup(func() {
		cancel()
		w.mu.Lock()
		defer w.mu.Unlock()
		w.stream.CloseRequest() // the transport looks at the context only when it has something to send
		<-ended
	})
	if err := <-welcomed; err != nil {
		r.t.Fatal(err)
	}
	return w
}

func (w *worker) send(m *reevev1.SessionRequest) {
	w.r.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.stream.Send(m); err != nil {
		w.r.t.Fatal(err)
	}
}

// take waits for an assignment.
func (w *worker) take() *reevev1.Assignment {
	w.r.t.Helper()
	select {
	case a := <-w.assigned:
		return a
	case <-time.After(patience):
		w.r.t.Fatal("no attempt was assigned")
		return nil
	}
}

// report tells that attempts have ended.
func (w *worker) report(ended ...*reevev1.Ended) {
	w.r.t.Helper()
	w.send(&reevev1.SessionRequest{Message: &reevev1.SessionRequest_Report{Report: &reevev1.Report{Ended: ended}}})
}

// started tells that an attempt runs.
func (w *worker) started(a *reevev1.Assignment) {
	w.r.t.Helper()
	w.send(&reevev1.SessionRequest{Message: &reevev1.SessionRequest_Report{Report: &reevev1.Report{
		Started: []*reevev1.Started{{Fence: a.GetFence(), AtMs: w.r.leader.Now()}},
	}}})
}

// ended is how an attempt ended: with an exit code, and with outputs.
func ended(a *reevev1.Assignment, code int32, outputs string) *reevev1.Ended {
	e := &reevev1.Ended{
		Fence: a.GetFence(), StartedMs: 1_700_000_000_000, EndedMs: 1_700_000_001_000, CpuMs: 1500, MemoryBytes: 8 << 20,
		Code: code, Outputs: []byte(outputs),
	}
	if code != 0 {
		e.Cause = 1
	}
	if outputs == "" {
		e.Outputs = nil
	}
	return e
}

// until watches a job until it is as wanted.
func (r *rig) until(c *clients, id string, want func(*reevev1.Job) bool) *reevev1.Job {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	stream, err := c.watch.Watch(ctx, connect.NewRequest(&reevev1.WatchRequest{Jobs: []string{id}}))
	if err != nil {
		r.t.Fatal(err)
	}
	defer stream.Close()
	var last *reevev1.Job
	for stream.Receive() {
		if last = do(r.t, c.jobs.Get, &reevev1.GetRequest{Id: id}).GetJob(); want(last) {
			return last
		}
	}
	r.t.Fatalf("job %s did not come to be as wanted: %v; it is %v", id, stream.Err(), last)
	return nil
}

// ends waits for a job's end in a state.
func (r *rig) ends(c *clients, id, state string) *reevev1.Job {
	r.t.Helper()
	j := r.until(c, id, func(j *reevev1.Job) bool { return j.GetEndedAt() != nil })
	if j.GetState() != state {
		r.t.Fatalf("job %s is %s (%s); want %s", id, j.GetState(), j.GetCause(), state)
	}
	return j
}
