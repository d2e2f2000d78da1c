// Package guard stands before every call of the API: it says who calls, lets
// through only what their token allows, keeps out pages of other sites, bounds what
// one peer can take, and ends open streams whose token has died. Handlers ask it
// about namespaces.
package guard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/reeve-scheduler/reeve/internal/auth"
	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"

	reevev1 "github.com/reeve-scheduler/reeve/gen/reeve/v1"
)

// policy is what each method needs.
func policy() []auth.Entry {
	needs := map[auth.Permission][]string{
		auth.Open:          {"HealthService/Check"},
		auth.Authenticated: {"HealthService/Status", "NamespaceService/List"},
		auth.ReadJobs: {
			"JobService/Get", "JobService/List", "JobService/ListElements", "JobService/ListAttempts", "JobService/Explain", "JobService/Plan", "JobService/Outputs",
			"QueueService/List", "LimitService/List", "WatchService/Watch", "WorkerService/List", "PoolService/List", "ReservationService/List", "ServerService/List", "LogService/Read", "ArtifactService/Get", "ArtifactService/List",
			"ArtifactService/GetItems",
		},
		auth.SubmitJobs: {
			"JobService/Submit", "JobService/Cancel", "JobService/Hold", "JobService/Release", "JobService/Update", "JobService/Retry", "ArtifactService/PutItems",
		},
		auth.Work: {"WorkerService/Session", "LogService/Append", "ArtifactService/Put"},
		auth.Administer: {
			"QueueService/Create", "QueueService/Update", "QueueService/Pause", "QueueService/Resume",
			"NamespaceService/Create", "NamespaceService/Update", "NamespaceService/Pause", "NamespaceService/Resume",
			"LimitService/Release", "TokenService/Create", "TokenService/List", "TokenService/Revoke", "WorkerService/Drain", "WorkerService/Undrain",
			"PoolService/Update", "ReservationService/Set", "ReservationService/Remove", "ServerService/Finalize",
		},
	}
	var entries []auth.Entry
	for p := auth.Open; p <= auth.Administer; p++ {
		for _, m := range needs[p] {
			entries = append(entries, auth.Entry{Method: "reeve.v1." + m, Needs: p})
		}
	}
	return entries
}

// leaders is what only the leader answers, though it is read: logs are with it alone.
var leaders = map[string]bool{
	"reeve.v1.LogService/Read": true, "reeve.v1.ArtifactService/Get": true, "reeve.v1.ArtifactService/List": true,
	"reeve.v1.ArtifactService/GetItems": true,
}

// Anywhere returns whether any of several servers answers calls of a path: what reads, and
// changes nothing.
func Anywhere() func(path string) bool {
	anywhere := map[string]bool{"/reeve.v1.TokenService/List": true}
	for _, e := range policy() {
		if e.Needs <= auth.ReadJobs && !leaders[e.Method] {
			anywhere["/"+e.Method] = true
		}
	}
	return func(path string) bool { return anywhere[path] }
}

// Files is every file of the API's descriptors, also one that nobody has thought of
// here.
func Files() []protoreflect.FileDescriptor {
	var files []protoreflect.FileDescriptor
	protoregistry.GlobalFiles.RangeFilesByPackage(reevev1.File_reeve_v1_job_proto.Package(), func(f protoreflect.FileDescriptor) bool {
		files = append(files, f)
		return true
	})
	return files
}

// Streams is the paths of the methods that answer one message with a stream.
func Streams() map[string]bool {
	out := map[string]bool{}
	for _, file := range Files() {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for k := range service.Methods().Len() {
				if m := service.Methods().Get(k); m.IsStreamingServer() && !m.IsStreamingClient() {
					out["/"+string(service.FullName())+"/"+string(m.Name())] = true
				}
			}
		}
	}
	return out
}

func methodsOf(files []protoreflect.FileDescriptor) []string {
	var out []string
	for _, file := range files {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for k := range service.Methods().Len() {
				out = append(out, string(service.FullName())+"/"+string(service.Methods().Get(k).Name()))
			}
		}
	}
	slices.Sort(out)
	return out
}

// Engine is the state as the guard needs it.
type Engine interface {
	// View runs fn on the state.
	View(ctx context.Context, fn func(*core.State)) error
	// Now is the server's clock in Unix milliseconds.
	Now() int64
}

// Options of a guard.
type Options struct {
	Engine Engine
	// Open lets everybody in as administrator: only for loopback.
	Open bool
	Log  *slog.Logger
	// Fail turns an error into what the caller is told.
	Fail func(error) error
	// Calls is told of each call to a method of the API. It may be nil.
	Calls Calls
}

// Calls counts calls. Its methods may be called concurrently.
type Calls interface {
	// Began is told the method, such as "reeve.v1.JobService/Get", when a call begins.
	// What it returns is called once, with the code of the answer: "ok", or connect's
	// word for the error.
	Began(method string) (ended func(code string))
}

// uncounted is Calls that nobody counts.
type uncounted struct{}

func (uncounted) Began(string) func(string) { return func(string) {} }

const (
	// streamCheck is how often an open stream's token is looked at again, should
	// nobody say that it has changed: tokens also expire.
	streamCheck = 2 * time.Second
	// messageTimeout is how long the message of a call, or the first one of a
	// stream, may take to arrive.
	messageTimeout = 2 * time.Minute
	// maxOpen bounds, in bytes, what somebody without a token may send in one call.
	maxOpen = 64 << 10
	// lastWords is how long the end of a stream may take to reach a peer that does
	// not read.
	lastWords = time.Second
)

// Guard lets a call through only with a live token of the scope that its method
// needs, unary and stream alike, and ends streams whose token has died.
// It is a connect.Interceptor, behind Before.
type Guard struct {
	o      Options
	tokens *tokens
	policy *auth.Policy
	errors *connect.ErrorWriter
	origin *http.CrossOriginProtection
}

// New returns a guard for the services of files, whose handlers have the options
// opts. It fails if one of their methods has no policy, or a policy no method.
func New(o Options, files []protoreflect.FileDescriptor, opts ...connect.HandlerOption) (*Guard, error) {
	p, err := auth.NewPolicy(policy())
	if err != nil {
		return nil, err
	}
	if o.Calls == nil {
		o.Calls = uncounted{}
	}
	return &Guard{o, newTokens(o.Engine), p, connect.NewErrorWriter(opts...), http.NewCrossOriginProtection()}, p.Check(methodsOf(files))
}

// Forget makes the next call read the tokens anew, and looks at those of open
// streams. Call it when one has changed.
func (g *Guard) Forget() { g.tokens.forget() }

type callKey struct{}

// call is who makes a call, and what the method needs.
type call struct {
	subject auth.Subject
	needs   auth.Permission
	method  string
	token   string // its id, empty without one
	// body bounds how long reads of the request and writes of the answer may take.
	body *http.ResponseController
}

// admit checks the credential and the scope; the namespace is the handler's to
// check.
func (g *Guard) admit(ctx context.Context, method, header string) (call, error) {
	c := call{needs: g.policy.Needs(method), method: method}
	switch {
	case g.o.Open:
		c.subject = auth.Local()
	case c.needs != auth.Open:
		token, err := g.tokens.check(ctx, header, g.o.Engine.Now())
		if err != nil {
			return call{}, denied(err)
		}
		c.subject, c.token = token.Subject(), token.ID
	}
	wide := c.subject
	wide.Namespaces = nil
	// A worker also reads what its attempts need: artifacts, outputs and items.
	if c.needs == auth.ReadJobs && workersRead[method] && wide.Scopes&auth.Worker != 0 {
		return c, nil
	}
	if err := auth.Allow(wide, c.needs, auth.ClusterWide); err != nil {
		return call{}, denied(err)
	}
	return c, nil
}

// workersRead is the reads that fetch what an attempt needs.
var workersRead = map[string]bool{
	"/reeve.v1.ArtifactService/Get": true, "/reeve.v1.ArtifactService/List": true,
	"/reeve.v1.ArtifactService/GetItems": true, "/reeve.v1.JobService/Outputs": true,
}

// Before is the guard as the first of all handlers: who may not call is told so
// before a byte of the message is read.
func (g *Guard) Before(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := http.NewResponseController(w)
		// Not every writer can; a connection that can't bound its reads has other bounds.
		_ = body.SetReadDeadline(time.Now().Add(messageTimeout))
		if err := g.checkPage(r); err != nil {
			_ = g.refuse(w, r, err)
			return
		}
		if g.policy.Needs(r.URL.Path) == 0 {
			next.ServeHTTP(w, r) // no such method, which the next one says
			return
		}
		c, err := g.admit(r.Context(), r.URL.Path, r.Header.Get("Authorization"))
		if err != nil {
			g.counted(r.URL.Path)(g.refuse(w, r, err))
			return
		}
		c.body = body
		if c.needs == auth.Open {
			r.Body = http.MaxBytesReader(w, r.Body, maxOpen)
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callKey{}, c)))
	})
}

// checkPage refuses what a page of another site makes a browser send. Without
// tokens the address is all that keeps such a page out: a name of its own that
// resolves to loopback (DNS rebinding) is refused too.
func (g *Guard) checkPage(r *http.Request) error {
	if g.o.Open && !loopbackHost(r.Host) {
		return &job.Error{Code: job.Denied, Message: fmt.Sprintf(
			"host %.80q: a server without tokens answers to localhost and loopback addresses only; use http://127.0.0.1:PORT", r.Host)}
	}
	if g.origin.Check(r) != nil {
		return &job.Error{Code: job.Denied, Message: fmt.Sprintf(
			"origin %.80q: pages of other sites may not call this server; call it from a program, or from its own page", r.Header.Get("Origin"))}
	}
	return nil
}

// loopbackHost reports whether a Host header names this machine by what no other
// site can claim.
func loopbackHost(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	if strings.EqualFold(name, "localhost") {
		return true
	}
	ip := net.ParseIP(strings.TrimSuffix(strings.TrimPrefix(name, "["), "]"))
	return ip != nil && ip.IsLoopback()
}

// refuse answers without reading the message: in the caller's protocol if it is
// one of the API's.
func (g *Guard) refuse(w http.ResponseWriter, r *http.Request, err error) error {
	failure := g.o.Fail(err)
	if connect.CodeOf(failure) == connect.CodeUnauthenticated {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	if err := g.errors.Write(w, r, failure); err != nil {
		g.o.Log.Debug("a refusal did not reach its caller", "error", err)
	}
	return failure
}

// counted begins to count a call; what it returns ends that.
func (g *Guard) counted(path string) func(error) {
	ended := g.o.Calls.Began(strings.TrimPrefix(path, "/"))
	return func(err error) {
		if err == nil {
			ended("ok")
			return
		}
		ended(connect.CodeOf(err).String())
	}
}

// WrapUnary guards unary handlers.
func (g *Guard) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (_ connect.AnyResponse, err error) {
		ended := g.counted(req.Spec().Procedure)
		defer func() { ended(err) }()
		c, err := admitted(ctx, req.Spec().Procedure)
		if err != nil {
			return nil, g.o.Fail(err)
		}
		_ = c.body.SetReadDeadline(time.Time{}) // the message is here
		resp, err := next(ctx, req)
		if err != nil {
			return nil, g.o.Fail(err)
		}
		return resp, nil
	}
}

// admitted returns the call that Before let through. One that came another way is
// refused.
func admitted(ctx context.Context, method string) (call, error) {
	c, ok := ctx.Value(callKey{}).(call)
	if !ok || c.method != method {
		return call{}, &job.Error{Code: job.Denied, Message: "this call has not been admitted"}
	}
	return c, nil
}

// WrapStreamingClient is for clients; a server has none.
func (g *Guard) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// WrapStreamingHandler guards streams, and ends them when the token dies or the
// server stops, also those that wait for their peer.
func (g *Guard) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) (err error) {
		ended := g.counted(conn.Spec().Procedure)
		defer func() { ended(err) }()
		c, err := admitted(ctx, conn.Spec().Procedure)
		if err != nil {
			return g.o.Fail(err)
		}
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		if c.token != "" {
			go g.watchToken(ctx, c.token, cancel)
		}
		guarded := &guardedStream{StreamingHandlerConn: conn, ctx: ctx, body: c.body}
		stop := guarded.unblockAtEnd()
		defer stop()
		if err := next(ctx, guarded); err != nil {
			if ctx.Err() != nil {
				err = context.Cause(ctx) // why it failed, rather than how
			}
			return g.o.Fail(denied(err))
		}
		return nil
	}
}

// guardedStream is a stream that ends with its context, whatever its peer does.
type guardedStream struct {
	connect.StreamingHandlerConn
	ctx  context.Context // of the call, which the stream lives in
	body *http.ResponseController
	once sync.Once
}

// unblockAtEnd makes reads and writes that wait fail once the stream's context has
// ended. The function that it returns must be called before the handler returns.
func (s *guardedStream) unblockAtEnd() (stop func()) {
	done := make(chan struct{})
	unhook := context.AfterFunc(s.ctx, func() {
		defer close(done)
		_ = s.body.SetReadDeadline(time.Unix(1, 0))
		_ = s.body.SetWriteDeadline(time.Now().Add(lastWords))
	})
	return func() {
		if !unhook() {
			<-done
		}
	}
}

// Receive reads a message. A stream whose first message has come has all the time
// in the world for the others.
func (s *guardedStream) Receive(m any) error {
	err := s.StreamingHandlerConn.Receive(m)
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	if err == nil {
		s.once.Do(func() { _ = s.body.SetReadDeadline(time.Time{}) })
	}
	return err
}

// Send writes a message.
func (s *guardedStream) Send(m any) error {
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	return s.StreamingHandlerConn.Send(m)
}

var errTokenDied = fmt.Errorf("%w: the token has expired or was revoked", auth.ErrUnauthenticated)

func (g *Guard) watchToken(ctx context.Context, id string, cancel context.CancelCauseFunc) {
	tick := time.NewTicker(streamCheck)
	defer tick.Stop()
	for {
		changed := g.tokens.changes()
		if token, ok, err := g.tokens.find(ctx, id, true); err == nil && (!ok || token.Alive(g.o.Engine.Now()) != nil) {
			cancel(errTokenDied)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-tick.C:
		}
	}
}

// Allow checks that the caller may do what it called in a namespace, or cluster-wide
// for auth.ClusterWide. Zero values deny: a context without a call may do nothing.
func Allow(ctx context.Context, namespace string) error {
	c, _ := ctx.Value(callKey{}).(call)
	if c.subject.Scopes&auth.Worker != 0 && c.needs == auth.ReadJobs && len(c.subject.Namespaces) == 0 {
		return nil
	}
	if err := auth.Allow(c.subject, c.needs, namespace); err != nil {
		return denied(err)
	}
	return nil
}

// Caller names who calls, for records.
func Caller(ctx context.Context) string {
	c, _ := ctx.Value(callKey{}).(call)
	return c.subject.Name
}

// Reaches reports whether the caller may see a namespace at all.
func Reaches(ctx context.Context, namespace string) bool {
	c, _ := ctx.Value(callKey{}).(call)
	return c.subject.Reaches(namespace)
}

func denied(err error) error {
	switch {
	case errors.Is(err, auth.ErrDenied):
		return &job.Error{Code: job.Denied, Message: err.Error()}
	case errors.Is(err, auth.ErrUnauthenticated):
		return &job.Error{Code: job.Unauthenticated, Message: err.Error()}
	}
	return err
}
