// Package api is the server's door: it translates, and looks up the facts that a
// command needs; the leader decides. Package guard stands before it and knows who
// calls; every handler asks it about the namespace that it acts in.
package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"connectrpc.com/connect"

	"github.com/reeve-scheduler/reeve/internal/api/jsonlines"
	"github.com/reeve-scheduler/reeve/internal/api/spaces"
	"github.com/reeve-scheduler/reeve/internal/auth"
	"github.com/reeve-scheduler/reeve/internal/blob"
	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/guard"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/logstore"
	"github.com/reeve-scheduler/reeve/internal/member"
	"github.com/reeve-scheduler/reeve/internal/outlook"
	"github.com/reeve-scheduler/reeve/internal/replica"
	"github.com/reeve-scheduler/reeve/internal/session"
	"github.com/reeve-scheduler/reeve/internal/store"
	"github.com/reeve-scheduler/reeve/internal/wire"

	"github.com/reeve-scheduler/reeve/gen/reeve/v1/reevev1connect"
)

// Engine is the leader as the door needs it.
type Engine interface {
	// Do has a command decided, durably.
	Do(ctx context.Context, c core.Command) (any, error)
	// View runs fn on the state; what fn saw is durable when View returns.
	View(ctx context.Context, fn func(*core.State)) error
	Hub() *replica.Hub
	Now() int64
	Position() (generation, durable, projected uint64)
}

// Options of the door.
type Options struct {
	Engine Engine
	// Leader is the same as sessions of workers need it.
	Leader   session.Leader
	History  store.History
	Sessions *session.Hub
	// Logs is the log store of the moment.
	Logs  func() *logstore.Store
	Blobs blob.Store
	Log   *slog.Logger
	// Open lets everybody in as administrator: only for loopback.
	Open bool
	// Join makes a join token around a worker's credential, or says why this server
	// can't.
	Join func(credential string) (string, error)
	// Full is the refusal that submits get while there is too much to do, nil otherwise: it
	// is asked before any work is done on one. It may be nil.
	Full func() error
	// ProofKey is what proves to this server, and to those that take its place, which
	// worker was given an attempt.
	ProofKey auth.ProofKey
	// Calls is told of each call. It may be nil.
	Calls guard.Calls
	// Forward, if not nil, stands between the guard and the services: it may send on to
	// another server what inner would answer. fail answers with an error.
	Forward func(inner http.Handler, fail func(http.ResponseWriter, *http.Request, error)) http.Handler
	// Servers lists those that share the store, this one among them.
	Servers func(ctx context.Context) (member.Peers, error)
	// Leads says whether this server decides; nil is one that is alone.
	Leads func() bool
	// Outlook is what the server expects of what waits; nil for one that makes no forecasts.
	Outlook *outlook.Outlook
	// Version is what the server says it is.
	Version string
	// Started is when the process began.
	Started time.Time
	// Config is the core's, to read history with.
	Config core.Config
}

// Limits of the wire.
const (
	// MaxMessage bounds one message in bytes.
	MaxMessage = 16 << 20
	// compressFrom is the size, in bytes, from which an answer is compressed: for the
	// small messages of a session that costs more than all the rest.
	compressFrom = 16 << 10
)

// server holds what the services share.
type server struct {
	Options
	guard *guard.Guard
	begun time.Time
}

// New returns the door's handler. It fails if a method has no policy.
func New(o Options) (http.Handler, error) {
	s := &server{Options: o, begun: o.Started}
	opts := []connect.HandlerOption{
		connect.WithReadMaxBytes(MaxMessage), connect.WithRecover(s.recovered), connect.WithCompressMinBytes(compressFrom),
		connect.WithCompression("gzip", newInflater, newDeflater),
	}
	for _, c := range wire.JSONCodecs() {
		opts = append(opts, connect.WithCodec(c))
	}
	var err error
	if s.guard, err = guard.New(guard.Options{Engine: o.Engine, Open: o.Open, Log: o.Log, Fail: s.fail, Calls: o.Calls}, guard.Files(), opts...); err != nil {
		return nil, err
	}
	opts = append(opts, connect.WithInterceptors(s.guard))
	mux := http.NewServeMux()
	for _, mount := range []func() (string, http.Handler){
		func() (string, http.Handler) { return reevev1connect.NewJobServiceHandler(&jobs{s}, opts...) },
		func() (string, http.Handler) {
			return reevev1connect.NewQueueServiceHandler(spaces.Queues{Engine: o.Engine}, opts...)
		},
		func() (string, http.Handler) {
			return reevev1connect.NewNamespaceServiceHandler(spaces.Namespaces{Engine: o.Engine}, opts...)
		},
		func() (string, http.Handler) {
			return reevev1connect.NewLimitServiceHandler(spaces.Limits{Engine: o.Engine}, opts...)
		},
		func() (string, http.Handler) {
			return reevev1connect.NewPoolServiceHandler(spaces.Pools{Engine: o.Engine}, opts...)
		},
		func() (string, http.Handler) {
			return reevev1connect.NewReservationServiceHandler(spaces.Reservations{Engine: o.Engine}, opts...)
		},
		func() (string, http.Handler) { return reevev1connect.NewTokenServiceHandler(&tokenAdmin{s}, opts...) },
		func() (string, http.Handler) { return reevev1connect.NewServerServiceHandler(&servers{s}, opts...) },
		func() (string, http.Handler) { return reevev1connect.NewHealthServiceHandler(&health{s}, opts...) },
		func() (string, http.Handler) { return reevev1connect.NewWatchServiceHandler(&watch{s}, opts...) },
		func() (string, http.Handler) { return reevev1connect.NewWorkerServiceHandler(&workers{s}, opts...) },
		func() (string, http.Handler) { return reevev1connect.NewLogServiceHandler(&logs{s}, opts...) },
		func() (string, http.Handler) { return reevev1connect.NewArtifactServiceHandler(&artifacts{s}, opts...) },
	} {
		path, h := mount()
		mux.Handle(path, h)
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, fmt.Sprintf("no such address: %.200q; this is a Reeve server's API, see docs/api.md", r.URL.Path), http.StatusNotFound)
	})
	errs := connect.NewErrorWriter(opts...)
	services := jsonlines.Handler(mux, errs, guard.Streams(), MaxMessage)
	if o.Forward != nil {
		services = o.Forward(services, func(w http.ResponseWriter, r *http.Request, err error) {
			_ = errs.Write(w, r, s.fail(err)) // nobody is left to tell
		})
	}
	return s.guard.Before(services), nil
}

// recovered turns a handler's panic into one failed request.
func (s *server) recovered(_ context.Context, spec connect.Spec, _ http.Header, p any) error {
	s.Log.Error("a handler panicked", "method", spec.Procedure, "panic", p, "stack", string(debug.Stack()))
	return connect.NewError(connect.CodeInternal, errors.New("internal error; the server's log has it"))
}

// codes translates the domain's codes, once.
var codes = map[job.Code]connect.Code{
	job.Internal: connect.CodeInternal, job.Invalid: connect.CodeInvalidArgument, job.NotFound: connect.CodeNotFound,
	job.Exists: connect.CodeAlreadyExists, job.Refused: connect.CodeFailedPrecondition, job.Denied: connect.CodePermissionDenied,
	job.Unauthenticated: connect.CodeUnauthenticated, job.Busy: connect.CodeResourceExhausted,
	job.Unavailable: connect.CodeUnavailable, job.Stale: connect.CodeUnavailable,
}

// fail turns an error into what the caller is told; causes go to the log.
func (s *server) fail(err error) error {
	if known, ok := errors.AsType[*connect.Error](err); ok {
		return known
	}
	var e *job.Error
	known := errors.As(err, &e)
	var givenUp connect.Code
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		givenUp = connect.CodeDeadlineExceeded
	case errors.Is(err, context.Canceled):
		givenUp = connect.CodeCanceled
	case errors.Is(err, logstore.ErrClosed):
		return connect.NewError(connect.CodeUnavailable, errors.New("this server does not lead any more, or is stopping; try again"))
	}
	switch {
	case givenUp != 0 && known:
		return connect.NewError(givenUp, errors.New(e.Message)) // which may say more of the outcome
	case givenUp != 0:
		return connect.NewError(givenUp, errors.New("the request was given up before it was answered"))
	case !known && errors.Is(err, store.ErrUnavailable):
		s.Log.Warn("a request failed", "error", err)
		return connect.NewError(connect.CodeUnavailable, errors.New("the server can't reach its database at the moment; try again"))
	case !known:
		s.Log.Error("a request failed", "error", err)
		return connect.NewError(connect.CodeInternal, errors.New("internal error; the server's log has it"))
	}
	if e.Cause != nil {
		s.Log.Warn("a request failed", "error", e.Message, "cause", e.Cause)
	}
	out := connect.NewError(codes[e.Code], errors.New(e.Message))
	if e.Code == job.Busy {
		out.Meta().Set("Retry-After", strconv.Itoa(int(max(e.After/time.Second, 1))))
	}
	return out
}

func invalid(format string, args ...any) error {
	return &job.Error{Code: job.Invalid, Message: fmt.Sprintf(format, args...)}
}

func notFound(format string, args ...any) error {
	return &job.Error{Code: job.NotFound, Message: fmt.Sprintf(format, args...)}
}
