package api

import (
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/reeve-scheduler/reeve/internal/auth"
	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/guard"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/wire"

	reevev1 "github.com/reeve-scheduler/reeve/gen/reeve/v1"
)

// tokenAdmin answers TokenService.
type tokenAdmin struct{ *server }

const (
	defaultValid = 90 * 24 * time.Hour
	maxValid     = 366 * 24 * time.Hour
)

// Create makes a token; its secret is in the answer and nowhere else.
func (s *tokenAdmin) Create(ctx context.Context, req *connect.Request[reevev1.TokenServiceCreateRequest]) (*connect.Response[reevev1.TokenServiceCreateResponse], error) {
	if err := guard.Allow(ctx, auth.ClusterWide); err != nil {
		return nil, err
	}
	m := req.Msg
	if m.GetJoin() && len(m.GetScopes()) == 0 {
		m.Scopes = []string{"worker"}
	}
	if m.GetJoin() && !slices.Contains(m.GetScopes(), "worker") {
		return nil, invalid("a join token with scopes %s: a worker joins by it, so leave the scopes out or name worker", strings.Join(m.GetScopes(), ", "))
	}
	valid := defaultValid
	if n := m.GetValidSeconds(); n != 0 {
		if n < 0 || n > int64(maxValid/time.Second) {
			return nil, invalid("valid_seconds %d: want 1 to %d, which is %d days", n, int64(maxValid/time.Second), maxValid/(24*time.Hour))
		}
		valid = time.Duration(n) * time.Second
	}
	token, credential, err := NewToken(m.GetName(), strings.Join(m.GetScopes(), ","), m.GetNamespaces(), s.Engine.Now(), valid, guard.Caller(ctx))
	if err != nil {
		return nil, err
	}
	out := &reevev1.TokenServiceCreateResponse{Token: tokenMessage(token), Secret: credential}
	if m.GetJoin() {
		if out.JoinToken, err = s.Join(credential); err != nil {
			return nil, &job.Error{Code: job.Refused, Message: err.Error()}
		}
	}
	if _, err := s.Engine.Do(ctx, core.PutToken{Token: token}); err != nil {
		return nil, err
	}
	s.guard.Forget()
	return connect.NewResponse(out), nil
}

// NewToken makes a token's record and its credential's text. scopes are separated
// by commas; valid 0 means that it does not expire.
func NewToken(name, scopes string, namespaces []string, now int64, valid time.Duration, by string) (core.Token, string, error) {
	set, err := auth.ParseScopes(scopes)
	if err != nil {
		return core.Token{}, "", invalid("%s", err)
	}
	random := make([]byte, auth.IDSize+auth.SecretSize)
	_, _ = rand.Read(random) // never fails: crypto/rand ends the program instead
	c, err := auth.NewCredential(random)
	if err != nil {
		return core.Token{}, "", err
	}
	t := core.Token{
		ID: c.ID, Name: name, Hash: c.Hash(), Scopes: strings.Split(set.String(), ","), Namespaces: namespaces, Created: now, By: by,
	}
	if valid > 0 {
		t.Expires = now + valid.Milliseconds()
	}
	if err := guard.TokenOf(t).Check(); err != nil {
		return core.Token{}, "", invalid("%s", err)
	}
	return t, c.Text(), nil
}

// List returns the tokens without secrets.
func (s *tokenAdmin) List(ctx context.Context, _ *connect.Request[reevev1.TokenServiceListRequest]) (*connect.Response[reevev1.TokenServiceListResponse], error) {
	if err := guard.Allow(ctx, auth.ClusterWide); err != nil {
		return nil, err
	}
	out := &reevev1.TokenServiceListResponse{}
	err := s.Engine.View(ctx, func(state *core.State) {
		for _, t := range state.Tokens() {
			out.Tokens = append(out.Tokens, tokenMessage(t))
		}
	})
	return connect.NewResponse(out), err
}

// Revoke ends a token.
func (s *tokenAdmin) Revoke(ctx context.Context, req *connect.Request[reevev1.TokenServiceRevokeRequest]) (*connect.Response[reevev1.TokenServiceRevokeResponse], error) {
	if err := guard.Allow(ctx, auth.ClusterWide); err != nil {
		return nil, err
	}
	if _, err := s.Engine.Do(ctx, core.RevokeToken{ID: req.Msg.GetId()}); err != nil {
		return nil, err
	}
	s.guard.Forget()
	return connect.NewResponse(&reevev1.TokenServiceRevokeResponse{}), nil
}

func tokenMessage(t core.Token) *reevev1.Token {
	return &reevev1.Token{
		Id: t.ID, Name: t.Name, Scopes: t.Scopes, Namespaces: t.Namespaces, CreatedAt: wire.Time(t.Created),
		ExpiresAt: wire.Time(t.Expires), RevokedAt: wire.Time(t.Revoked), CreatedBy: t.By,
	}
}

// health answers HealthService.
type health struct{ *server }

// Check says that the server lives, and nothing else.
func (s *health) Check(context.Context, *connect.Request[reevev1.CheckRequest]) (*connect.Response[reevev1.CheckResponse], error) {
	return connect.NewResponse(&reevev1.CheckResponse{Status: "ok"}), nil
}

// role is what a server is among those that share its store.
func (s *server) role() string {
	if s.Leads == nil || s.Leads() {
		return "leader"
	}
	return "follower"
}

// Status describes the server.
func (s *health) Status(ctx context.Context, _ *connect.Request[reevev1.StatusRequest]) (*connect.Response[reevev1.StatusResponse], error) {
	var totals core.Totals
	generation, durable, _ := s.Engine.Position() // first: the state is at least as far then
	if err := s.Engine.View(ctx, func(state *core.State) { totals = state.Totals() }); err != nil {
		return nil, err
	}
	return connect.NewResponse(&reevev1.StatusResponse{
		Version: s.Version, Role: s.role(), Generation: generation, Epoch: totals.Epoch, Sequence: durable,
		ProjectedSequence: min(totals.Covered, durable),
		StartedAt:         wire.Time(s.begun.UnixMilli()), JobsInMemory: totals.Jobs, Pending: totals.Live, Running: totals.Attempts,
		Workers: int64(totals.Workers), Now: wire.Time(s.Engine.Now()),
	}), nil
}
