package cli

import (
	"testing"
	"time"

	"github.com/reeve-scheduler/reeve/internal/client"
)

// TestTokenState tells a token that may still be used from one that may not.
func TestTokenState(t *testing.T) {
	now := time.Unix(1000, 0)
	for _, c := range []struct {
		name             string
		expires, revoked *client.Timestamp
		want             string
	}{
		{"for ever", nil, nil, "valid"},
		{"a second left", &client.Timestamp{Seconds: 1001}, nil, "valid"},
		{"at its end", &client.Timestamp{Seconds: 1000}, nil, "expired"},
		{"revoked", &client.Timestamp{Seconds: 1001}, &client.Timestamp{Seconds: 999}, "revoked"},
		{"revoked and past its end", &client.Timestamp{Seconds: 999}, &client.Timestamp{Seconds: 998}, "revoked"},
	} {
		if got := tokenState(&client.Token{ExpiresAt: c.expires, RevokedAt: c.revoked}, now); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}
