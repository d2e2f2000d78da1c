package api

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/reflect/protoreflect"

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
			"JobService/Get", "JobService/List", "JobService/ListElements", "JobService/ListAttempts", "JobService/Explain", "JobService/Outputs",
			"QueueService/List", "WatchService/Watch", "WorkerService/List", "LogService/Read", "ArtifactService/Get", "ArtifactService/List",
			"ArtifactService/GetItems",
		},
		auth.SubmitJobs: {
			"JobService/Submit", "JobService/Cancel", "JobService/Hold", "JobService/Release", "JobService/Retry", "ArtifactService/PutItems",
		},
		auth.Work: {"WorkerService/Session", "LogService/Append", "ArtifactService/Put"},
		auth.Administer: {
			"QueueService/Create", "QueueService/Pause", "QueueService/Resume",
			"NamespaceService/Create", "NamespaceService/Pause", "NamespaceService/Resume",
			"TokenService/Create", "TokenService/List", "TokenService/Revoke", "WorkerService/Drain", "WorkerService/Undrain",
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

// Methods lists every method of the API by full name, from the descriptors.
func Methods() []string {
	var out []string
	for _, file := range []protoreflect.FileDescriptor{reevev1.File_reeve_v1_job_proto, reevev1.File_reeve_v1_cluster_proto, reevev1.File_reeve_v1_worker_proto} {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for k := range service.Methods().Len() {
				out = append(out, string(service.FullName())+"/"+string(service.Methods().Get(k).Name()))
			}
		}
	}
	return out
}

// guard lets a call through only with a live token of the scope that its method
// needs, unary and stream alike, and ends streams whose token has died.
type guard struct {
	s      *server
	policy *auth.Policy
}

func newGuard(s *server) (*guard, error) {
	p, err := auth.NewPolicy(policy())
	if err != nil {
		return nil, err
	}
	return &guard{s, p}, p.Check(Methods())
}

type callKey struct{}

// call is who makes a call, and what the method needs.
type call struct {
	subject auth.Subject
	needs   auth.Permission
}

// admit checks the credential and the scope; the namespace is the handler's to
// check.
func (g *guard) admit(ctx context.Context, method, header string) (context.Context, string, error) {
	c := call{subject: auth.Local(), needs: g.policy.Needs(method)}
	id := ""
	if c.needs != auth.Open && !g.s.Open {
		token, err := g.s.tokens.check(ctx, header, g.s.Engine.Now())
		if err != nil {
			return ctx, "", denied(err)
		}
		c.subject, id = token.Subject(), token.ID
	}
	wide := c.subject
	wide.Namespaces = nil
	// A worker also reads what its attempts need: artifacts, outputs and items.
	if c.needs == auth.ReadJobs && workersRead[method] && wide.Scopes&auth.Worker != 0 {
		return context.WithValue(ctx, callKey{}, c), id, nil
	}
	if err := auth.Allow(wide, c.needs, auth.ClusterWide); err != nil {
		return ctx, "", denied(err)
	}
	return context.WithValue(ctx, callKey{}, c), id, nil
}

// workersRead is the reads that fetch what an attempt needs.
var workersRead = map[string]bool{
	"/reeve.v1.ArtifactService/Get": true, "/reeve.v1.ArtifactService/List": true,
	"/reeve.v1.ArtifactService/GetItems": true, "/reeve.v1.JobService/Outputs": true,
}

// WrapUnary guards unary handlers.
func (g *guard) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
		ctx, _, err := g.admit(ctx, req.Spec().Procedure, req.Header().Get("Authorization"))
		if err != nil {
			return nil, g.s.fail(err)
		}
		resp, err := next(ctx, req)
		if err != nil {
			return nil, g.s.fail(err)
		}
		return resp, nil
	}
}

// WrapStreamingClient is for clients; a server has none.
func (g *guard) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// WrapStreamingHandler guards streams, and ends them when the token dies.
func (g *guard) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		ctx, id, err := g.admit(ctx, conn.Spec().Procedure, conn.RequestHeader().Get("Authorization"))
		if err != nil {
			return g.s.fail(err)
		}
		if id != "" {
			var cancel context.CancelCauseFunc
			ctx, cancel = context.WithCancelCause(ctx)
			defer cancel(nil)
			go g.watchToken(ctx, id, cancel)
		}
		if err := next(ctx, conn); err != nil {
			if cause := context.Cause(ctx); errors.Is(cause, errTokenDied) {
				err = denied(cause)
			}
			return g.s.fail(err)
		}
		return nil
	}
}

var errTokenDied = errors.New("the token has expired or was revoked")

func (g *guard) watchToken(ctx context.Context, id string, cancel context.CancelCauseFunc) {
	tick := time.NewTicker(streamCheck)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if token, ok, err := g.s.tokens.find(ctx, id, true); err == nil && (!ok || token.Alive(g.s.Engine.Now()) != nil) {
			cancel(errTokenDied)
			return
		}
	}
}

// allow checks that the caller may do what it called in a namespace, or cluster-wide
// for auth.ClusterWide. Zero values deny: a context without a call may do nothing.
func allow(ctx context.Context, namespace string) error {
	c, _ := ctx.Value(callKey{}).(call)
	if c.subject.Scopes&auth.Worker != 0 && c.needs == auth.ReadJobs && len(c.subject.Namespaces) == 0 {
		return nil
	}
	if err := auth.Allow(c.subject, c.needs, namespace); err != nil {
		return denied(err)
	}
	return nil
}

// caller names who calls, for records.
func caller(ctx context.Context) string {
	c, _ := ctx.Value(callKey{}).(call)
	return c.subject.Name
}

// reaches reports whether the caller may see a namespace at all.
func reaches(ctx context.Context, namespace string) bool {
	c, _ := ctx.Value(callKey{}).(call)
	return c.subject.Reaches(namespace)
}

func denied(err error) error {
	if errors.Is(err, auth.ErrDenied) {
		return &job.Error{Code: job.Denied, Message: err.Error()}
	}
	if job.CodeOf(err) != job.Internal {
		return err
	}
	return &job.Error{Code: job.Unauthenticated, Message: err.Error()}
}

// tokens is the door's copy of the tokens: looked up in the state when one is not
// known, and anew every second.
type tokens struct {
	engine Engine
	mu     sync.Mutex
	byID   map[string]auth.Token
	read   time.Time
}

func newTokens(engine Engine) *tokens { return &tokens{engine: engine} }

const tokensFresh = time.Second

// find returns a token by id; fresh asks for one read less than a second ago.
func (t *tokens) find(ctx context.Context, id string, fresh bool) (auth.Token, bool, error) {
	t.mu.Lock()
	token, ok := t.byID[id]
	age := time.Since(t.read)
	t.mu.Unlock()
	if age < tokensFresh && (ok || age < 50*time.Millisecond) || ok && !fresh && age < 2*tokensFresh {
		return token, ok, nil
	}
	all := map[string]auth.Token{}
	at := time.Now()
	if err := t.engine.View(ctx, func(s *core.State) {
		for _, k := range s.Tokens() {
			all[k.ID] = tokenOf(k)
		}
	}); err != nil {
		return auth.Token{}, false, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if at.After(t.read) {
		t.byID, t.read = all, at
	}
	token, ok = t.byID[id]
	return token, ok, nil
}

// forget makes the next check read the tokens anew.
func (t *tokens) forget() {
	t.mu.Lock()
	t.read = time.Time{}
	t.mu.Unlock()
}

// check verifies an Authorization header.
func (t *tokens) check(ctx context.Context, header string, now int64) (auth.Token, error) {
	text, ok := strings.CutPrefix(header, "Bearer ")
	if !ok {
		return auth.Token{}, errors.New("this call needs a token: set REEVE_TOKEN, or send the header Authorization: Bearer TOKEN")
	}
	c, err := auth.ParseCredential(text)
	if err != nil {
		return auth.Token{}, err
	}
	token, ok, err := t.find(ctx, c.ID, false)
	if err != nil {
		return auth.Token{}, err
	}
	if !ok {
		return auth.Token{}, auth.ErrUnknownToken
	}
	return token, token.Verify(c, now)
}

func tokenOf(k core.Token) auth.Token {
	scopes, _ := auth.ParseScopes(strings.Join(k.Scopes, ",")) // they were checked when it was made
	return auth.Token{
		ID: k.ID, Name: k.Name, Scopes: scopes, Namespaces: k.Namespaces, Hash: k.Hash,
		Created: k.Created, Expires: k.Expires, Revoked: k.Revoked, CreatedBy: k.By,
	}
}
