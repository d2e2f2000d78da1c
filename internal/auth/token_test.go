package auth_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/auth"
)

// credential makes a credential of one repeated byte.
func credential(t *testing.T, b byte) auth.Credential {
	t.Helper()
	c, err := auth.NewCredential(bytes.Repeat([]byte{b}, auth.IDSize+auth.SecretSize))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCredentialText(t *testing.T) {
	c := credential(t, 0xfb)
	const text = "rv1_vvvvvvvvvv_-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_s"
	if c.Text() != text {
		t.Errorf("Text = %s, want %s", c.Text(), text)
	}
	got, err := auth.ParseCredential(text)
	if err != nil || got.Text() != text || got.ID != "vvvvvvvvvv" || got.Hash() != c.Hash() {
		t.Errorf("ParseCredential = %v, %v", got, err)
	}
}

func TestParseCredentialRefuses(t *testing.T) {
	good := credential(t, 7).Text()
	secret := good[strings.LastIndexByte(good, '_')+1:]
	for _, bad := range []string{
		"", "rv1_", "rv1__" + secret, "rv2" + good[3:], good[4:], good[:len(good)-1], good + "A", good + "=",
		" " + good, good + "\n", "rv1_ID_" + secret, "rv1_a-b_" + secret, "rv1_" + secret,
		"rv1_" + strings.Repeat("a", 33) + "_" + secret, "rv1_a_" + secret[:20] + "\n" + secret[20:],
		good[:len(good)-1] + "d", // bits that no byte has: a second spelling
		"rvj1_" + secret, "Bearer " + good,
	} {
		c, err := auth.ParseCredential(bad)
		if !errors.Is(err, auth.ErrUnauthenticated) {
			t.Errorf("ParseCredential(%q) = %v, %v; want ErrUnauthenticated", bad, c, err)
		} else if strings.Contains(err.Error(), secret[:20]) || strings.Contains(err.Error(), "\n") {
			t.Errorf("the error tells the secret or has two lines: %v", err)
		}
	}
}

func TestNewCredentialTakesEnoughRandomness(t *testing.T) {
	for _, n := range []int{0, auth.SecretSize, auth.IDSize + auth.SecretSize - 1, auth.IDSize + auth.SecretSize + 1} {
		if _, err := auth.NewCredential(make([]byte, n)); err == nil {
			t.Errorf("%d bytes made a credential", n)
		}
	}
	random := make([]byte, auth.IDSize+auth.SecretSize)
	c, err := auth.NewCredential(random)
	if err != nil {
		t.Fatal(err)
	}
	before := c.Text()
	random[auth.IDSize] = 1
	if c.Text() != before {
		t.Error("the credential aliases the bytes it was made from")
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	c := credential(t, 3)
	j := auth.Join{Addresses: []string{"h:1"}, Credential: c}
	secret := c.Text()[len("rv1_")+auth.IDSize+1:]
	var out bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("x", "c", c, "j", j, "p", &c, "s", []any{c, &j})
	}
	fmt.Fprintf(&out, "%v %+v %#v %s %v %+v %#v", c, c, c, c, j, j, j)
	if s := out.String(); strings.Contains(s, secret) || strings.Contains(s, "[3 3 3") || !strings.Contains(s, c.ID) {
		t.Errorf("printed: %s", s)
	}
}

func TestVerify(t *testing.T) {
	const now = 1_800_000_000_000
	c := credential(t, 1)
	base := auth.Token{ID: c.ID, Name: "ci", Scopes: auth.Read, Hash: c.Hash(), Created: now - 1000}
	with := func(f func(*auth.Token)) auth.Token { tok := base; f(&tok); return tok }
	otherSecret, err := auth.ParseCredential("rv1_" + c.ID + "_" + credential(t, 2).Text()[len("rv1_")+auth.IDSize+1:])
	if err != nil {
		t.Fatal(err)
	}
	otherID, err := auth.ParseCredential("rv1_zz" + c.Text()[len("rv1_")+auth.IDSize:])
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		tok  auth.Token
		c    auth.Credential
		want string
	}{
		{"good", base, c, ""},
		{"expires later", with(func(t *auth.Token) { t.Expires = now + 1 }), c, ""},
		{"expires now", with(func(t *auth.Token) { t.Expires = now }), c, "token ci expired at 2027-01-15T08:00:00Z"},
		{"revoked", with(func(t *auth.Token) { t.Revoked = now - 1 }), c, "token ci was revoked at 2027-01-15T07:59:59Z"},
		{"revoked, wrong secret", with(func(t *auth.Token) { t.Revoked = now }), otherSecret, "no such token"},
		{"wrong secret", base, otherSecret, "no such token"},
		{"wrong id", base, otherID, "no such token"},
		{"zero credential", base, auth.Credential{}, "no such token"},
		{"zero token and credential", auth.Token{Hash: auth.Credential{}.Hash()}, auth.Credential{}, "no such token"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.tok.Verify(tt.c, now)
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if !errors.Is(err, auth.ErrUnauthenticated) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Verify = %v, want %q", err, tt.want)
			}
		})
	}
}

func TestTokenCheck(t *testing.T) {
	good := auth.Token{ID: "a1", Name: "ci", Scopes: auth.Read, Created: 5}
	with := func(f func(*auth.Token)) auth.Token { tok := good; f(&tok); return tok }
	tests := []struct {
		tok  auth.Token
		want string
	}{
		{good, ""},
		{with(func(t *auth.Token) { t.Expires = 6 }), ""},
		{with(func(t *auth.Token) { t.Namespaces = []string{"a"} }), ""},
		{with(func(t *auth.Token) { t.ID = "A" }), "token id"},
		{with(func(t *auth.Token) { t.ID = "" }), "token id"},
		{with(func(t *auth.Token) { t.Name = "" }), "token name"},
		{with(func(t *auth.Token) { t.Name = "a b" }), "token name"},
		{with(func(t *auth.Token) { t.Name = strings.Repeat("n", 64) }), "token name"},
		{with(func(t *auth.Token) { t.Scopes = 0 }), "no scope"},
		{with(func(t *auth.Token) { t.Scopes = 1 << 7 }), "no scope"},
		{with(func(t *auth.Token) { t.Expires = 5 }), "expire before"},
		{with(func(t *auth.Token) { t.Namespaces = []string{""} }), "a namespace is empty"},
		{with(func(t *auth.Token) { t.Namespaces, t.Scopes = []string{"a"}, auth.Worker }), "serves all namespaces"},
	}
	for _, tt := range tests {
		err := tt.tok.Check()
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("Check(%+v) = %v, want %q", tt.tok, err, tt.want)
		}
	}
}

func TestTokenSubject(t *testing.T) {
	tok := auth.Token{ID: "a", Name: "ci", Scopes: auth.Submit, Namespaces: []string{"x"}}
	want := auth.Subject{ID: "a", Name: "ci", Scopes: auth.Submit, Namespaces: []string{"x"}}
	if diff := cmp.Diff(want, tok.Subject()); diff != "" {
		t.Error(diff)
	}
}

func TestJoinRoundTrip(t *testing.T) {
	tests := []auth.Join{
		{Addresses: []string{"10.0.0.1:7383"}, CA: [32]byte{1, 2, 3}, Credential: credential(t, 9)},
		{Addresses: []string{"[::1]:1", "reeve.example.com:443"}, Credential: credential(t, 0)},
		{Addresses: strings.Split(strings.Repeat(strings.Repeat("h", 250)+":1 ", 8)[:253*8-1], " "), Credential: credential(t, 255)},
	}
	for _, want := range tests {
		text, err := want.Text()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" {
			t.Errorf("%q is not one URL-safe word", text)
		}
		got, err := auth.ParseJoin(text)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b auth.Credential) bool { return a.Text() == b.Text() })); diff != "" {
			t.Error(diff)
		}
	}
}

func TestJoinFindsEveryTypingError(t *testing.T) {
	text, err := auth.Join{Addresses: []string{"h:1"}, Credential: credential(t, 9)}.Text()
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(text) {
		for _, bad := range []string{text[:i], text[:i] + text[i+1:], text[:i] + "~" + text[i+1:], text[:i] + flip(text[i]) + text[i+1:]} {
			j, err := auth.ParseJoin(bad)
			if err == nil {
				t.Errorf("ParseJoin(%q) = %v", bad, j)
			} else if strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), text[30:60]) {
				t.Errorf("the error tells the secret or has two lines: %v", err)
			}
		}
	}
	for _, bad := range []string{text + "\n", " " + text, text + "A", credential(t, 9).Text(), "rvj1_" + strings.Repeat("A", 100)} {
		if _, err := auth.ParseJoin(bad); err == nil {
			t.Errorf("ParseJoin(%q) was taken", bad)
		}
	}
}

func flip(c byte) string {
	if c == 'A' {
		return "B"
	}
	return "A"
}

func TestJoinRefusesBadParts(t *testing.T) {
	c := credential(t, 1)
	for _, j := range []auth.Join{
		{Credential: c},
		{Addresses: make([]string, 9), Credential: c},
		{Addresses: []string{""}, Credential: c},
		{Addresses: []string{"host"}, Credential: c},
		{Addresses: []string{":1"}, Credential: c},
		{Addresses: []string{"host:"}, Credential: c},
		{Addresses: []string{"a b:1"}, Credential: c},
		{Addresses: []string{strings.Repeat("h", 255) + ":1"}, Credential: c},
		{Addresses: []string{"h:1"}},
	} {
		if text, err := j.Text(); err == nil {
			t.Errorf("%v became %s", j, text)
		}
	}
}

func TestCredentialOfAJoinTokenIsRefusedInWords(t *testing.T) {
	text, err := auth.Join{Addresses: []string{"h:1"}, Credential: credential(t, 9)}.Text()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := auth.ParseCredential(text); err == nil || !strings.Contains(err.Error(), "join token") {
		t.Errorf("ParseCredential = %v", err)
	}
}

func FuzzParse(f *testing.F) {
	c, _ := auth.NewCredential(make([]byte, auth.IDSize+auth.SecretSize))
	j, _ := auth.Join{Addresses: []string{"h:1"}, Credential: c}.Text()
	for _, s := range []string{c.Text(), j, "rv1_a_", "rvj1_AAAA"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if c, err := auth.ParseCredential(s); err == nil && c.Text() != s {
			t.Errorf("%q reads as %q", s, c.Text())
		}
		if j, err := auth.ParseJoin(s); err == nil {
			if text, err := j.Text(); err != nil || text != s {
				t.Errorf("%q reads as %q, %v", s, text, err)
			}
		}
	})
}
