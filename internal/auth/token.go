package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	// SecretSize is the length of a token's secret in random bytes. With so much
	// entropy a plain hash at rest is enough; a slow one would only invite
	// overload by wrong tokens.
	SecretSize = 32
	// IDSize is the length of a token's id in random bytes.
	IDSize = 10

	tokenPrefix = "rv1_"
	maxID       = 32
	maxName     = 63
	maxText     = 4096
)

// b64 is strict, so that one credential has one spelling.
var b64 = base64.RawURLEncoding.Strict()

// Token is what the server keeps about a token: never its secret.
type Token struct {
	ID   string
	Name string
	// Scopes and Namespaces are as in Subject.
	Scopes     Scopes
	Namespaces []string
	// Hash is the SHA-256 hash of the secret.
	Hash [sha256.Size]byte
	// Created, Expires and Revoked are Unix milliseconds; 0 in the last two is never.
	Created, Expires, Revoked int64
	// CreatedBy is the id of the token that made it, or "local".
	CreatedBy string
}

// Subject is who the token speaks for.
func (t Token) Subject() Subject {
	return Subject{ID: t.ID, Name: t.Name, Scopes: t.Scopes, Namespaces: t.Namespaces}
}

// Check reports why a new token's record is not one to keep.
func (t Token) Check() error {
	switch {
	case !goodID(t.ID):
		return fmt.Errorf("token id %q: want 1 to %d small letters and digits", t.ID, maxID)
	case t.Name == "" || len(t.Name) > maxName || !printable(t.Name):
		return fmt.Errorf("token name %q: want 1 to %d letters, digits or signs without blanks", t.Name, maxName)
	case t.Scopes == 0 || t.Scopes&^allScopes != 0:
		return fmt.Errorf("token %s has no scope; give one or more of %s", t.Name, strings.Join(scopeNames[:], ", "))
	case t.Expires != 0 && t.Expires <= t.Created:
		return fmt.Errorf("token %s would expire before it exists; give a time in the future", t.Name)
	case t.Scopes&Worker != 0 && len(t.Namespaces) > 0:
		return fmt.Errorf("token %s: a worker serves all namespaces; leave out the namespaces or scope worker", t.Name)
	}
	if slices.Contains(t.Namespaces, ClusterWide) {
		return fmt.Errorf("token %s: a namespace is empty; leave out the list for all namespaces", t.Name)
	}
	return nil
}

// Alive returns an ErrUnauthenticated with the reason when t has expired or was
// revoked at now (Unix milliseconds). Streams ask it again while they are open.
func (t Token) Alive(now int64) error {
	switch {
	case t.Revoked != 0:
		return fmt.Errorf("%w: token %s was revoked at %s; ask an administrator for a new one", ErrUnauthenticated, t.Name, stamp(t.Revoked))
	case t.Expires != 0 && now >= t.Expires:
		return fmt.Errorf("%w: token %s expired at %s; ask an administrator for a new one", ErrUnauthenticated, t.Name, stamp(t.Expires))
	}
	return nil
}

// Verify returns nil if c is the credential of t and t is alive at now (Unix
// milliseconds), else an ErrUnauthenticated. A wrong secret takes as long as a
// right one and learns nothing about the token.
func (t Token) Verify(c Credential, now int64) error {
	hash := c.Hash()
	same := subtle.ConstantTimeCompare(hash[:], t.Hash[:])
	if c.ID != t.ID || len(c.secret) != SecretSize || same != 1 {
		return ErrUnknownToken
	}
	return t.Alive(now)
}

// ErrUnknownToken is the one answer to a token whose id is unknown and to one
// whose secret is wrong.
var ErrUnknownToken = fmt.Errorf("%w: no such token; check REEVE_TOKEN or ask an administrator for one", ErrUnauthenticated)

func stamp(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339) }

// Credential is a token as its bearer holds it. Printed or logged it shows only
// its id; Text reveals it.
type Credential struct {
	ID     string
	secret []byte
}

// NewCredential makes a credential from random bytes: IDSize of them for the id
// and SecretSize for the secret.
func NewCredential(random []byte) (Credential, error) {
	if len(random) != IDSize+SecretSize {
		return Credential{}, fmt.Errorf("auth: a credential takes %d random bytes, not %d", IDSize+SecretSize, len(random))
	}
	const letters = "0123456789abcdefghjkmnpqrstvwxyz"
	id := make([]byte, IDSize)
	for i, b := range random[:IDSize] {
		id[i] = letters[b%32]
	}
	return Credential{ID: string(id), secret: append([]byte(nil), random[IDSize:]...)}, nil
}

// ParseCredential reads what Text writes. Its errors never repeat the secret.
func ParseCredential(text string) (Credential, error) {
	fail := func(why string) (Credential, error) {
		return Credential{}, fmt.Errorf("%w: the token %s; want rv1_ID_SECRET as it was printed", ErrUnauthenticated, why)
	}
	rest, ok := strings.CutPrefix(text, tokenPrefix)
	if !ok {
		if strings.HasPrefix(text, joinPrefix) {
			return fail("is a join token, which only reeve worker --join takes")
		}
		return fail("does not begin with " + tokenPrefix)
	}
	id, secret, ok := strings.Cut(rest, "_")
	if !ok || !goodID(id) {
		return fail("has no id")
	}
	raw, err := b64.DecodeString(secret)
	if err != nil || len(raw) != SecretSize || strings.ContainsAny(secret, "\r\n") {
		return fail("is cut short or mistyped")
	}
	return Credential{ID: id, secret: raw}, nil
}

// Text is the whole credential as one word, rv1_<id>_<secret>: show it once.
func (c Credential) Text() string { return tokenPrefix + c.ID + "_" + b64.EncodeToString(c.secret) }

// Hash is what the server keeps of the secret.
func (c Credential) Hash() [sha256.Size]byte { return sha256.Sum256(c.secret) }

// String hides the secret.
func (c Credential) String() string { return tokenPrefix + c.ID + "_…" }

// GoString hides the secret from %#v too.
func (c Credential) GoString() string { return c.String() }

func goodID(id string) bool {
	for i := range len(id) {
		if c := id[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return id != "" && len(id) <= maxID
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}
