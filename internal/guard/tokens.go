package guard

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/reeve-scheduler/reeve/internal/auth"
	"github.com/reeve-scheduler/reeve/internal/core"
)

// tokens is the door's copy of the tokens: looked up in the state when one is not
// known, when one has changed, and anew every second.
type tokens struct {
	engine Engine
	// reading lets one call at a time read them.
	reading chan struct{}

	mu      sync.Mutex
	byID    map[string]auth.Token
	read    time.Time
	epoch   int           // of what was read, which forget ends
	changed chan struct{} // closed and replaced by forget
}

func newTokens(engine Engine) *tokens {
	return &tokens{engine: engine, reading: make(chan struct{}, 1), changed: make(chan struct{})}
}

const (
	tokensFresh = time.Second
	// tokensUnknown is how long an id that is not there stays unknown: guessing must
	// not cost a read each time.
	tokensUnknown = 50 * time.Millisecond
)

// known looks into the copy; ok says that it is new enough to answer.
func (t *tokens) known(id string, fresh bool) (token auth.Token, exists, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	token, exists = t.byID[id]
	age := time.Since(t.read)
	return token, exists, exists && age < tokensFresh || !exists && age < tokensUnknown || exists && !fresh && age < 2*tokensFresh
}

// find returns a token by id; fresh asks for one read less than a second ago. One
// that was revoked before the call is never returned as it was before.
func (t *tokens) find(ctx context.Context, id string, fresh bool) (auth.Token, bool, error) {
	if token, exists, ok := t.known(id, fresh); ok {
		return token, exists, nil
	}
	select {
	case t.reading <- struct{}{}:
		defer func() { <-t.reading }()
	case <-ctx.Done():
		return auth.Token{}, false, ctx.Err()
	}
	for {
		if token, exists, ok := t.known(id, fresh); ok {
			return token, exists, nil
		}
		if err := t.readAll(ctx); err != nil {
			return auth.Token{}, false, err
		}
	}
}

// readAll reads the tokens, unless they change meanwhile.
func (t *tokens) readAll(ctx context.Context) error {
	t.mu.Lock()
	epoch := t.epoch
	t.mu.Unlock()
	all := map[string]auth.Token{}
	if err := t.engine.View(ctx, func(s *core.State) {
		for _, k := range s.Tokens() {
			all[k.ID] = TokenOf(k)
		}
	}); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.epoch == epoch {
		t.byID, t.read = all, time.Now()
	}
	return nil
}

// forget makes the next check read the tokens anew, and those who wait for changes
// look.
func (t *tokens) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.read = time.Time{}
	t.epoch++
	close(t.changed)
	t.changed = make(chan struct{})
}

// changes returns a channel that is closed when a token has changed.
func (t *tokens) changes() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.changed
}

// check verifies an Authorization header.
func (t *tokens) check(ctx context.Context, header string, now int64) (auth.Token, error) {
	scheme, text, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return auth.Token{}, fmt.Errorf("%w: this call needs a token: set REEVE_TOKEN, or send the header Authorization: Bearer TOKEN", auth.ErrUnauthenticated)
	}
	c, err := auth.ParseCredential(strings.TrimSpace(text))
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

// TokenOf is a token of the state as package auth knows it.
func TokenOf(k core.Token) auth.Token {
	scopes, _ := auth.ParseScopes(strings.Join(k.Scopes, ",")) // they were checked when it was made
	return auth.Token{
		ID: k.ID, Name: k.Name, Scopes: scopes, Namespaces: k.Namespaces, Hash: k.Hash,
		Created: k.Created, Expires: k.Expires, Revoked: k.Revoked, CreatedBy: k.By,
	}
}
