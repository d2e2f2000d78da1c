package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"strings"
)

const (
	joinPrefix   = "rvj1_"
	joinChecksum = 4
	maxAddresses = 8
	maxAddress   = 255
)

// Join is all that a new worker needs, in one word: where the server is, how to
// know it, and the token to show it. Printed or logged it hides the secret.
type Join struct {
	// Addresses are host:port, in the order to try; 1 to 8 of them.
	Addresses []string
	// CA is the SHA-256 hash of the server's CA certificate (DER). All zero means
	// that the server's certificate is checked against the system's roots.
	CA         [sha256.Size]byte
	Credential Credential
}

// Text spells j as rvj1_ and base64url: addresses, hash, token and a checksum
// that finds typing errors. It refuses what ParseJoin would.
func (j Join) Text() (string, error) {
	if err := j.check(); err != nil {
		return "", err
	}
	b := []byte{byte(len(j.Addresses))}
	for _, a := range j.Addresses {
		b = append(b, byte(len(a)))
		b = append(b, a...)
	}
	b = append(b, j.CA[:]...)
	b = append(b, byte(len(j.Credential.ID)))
	b = append(b, j.Credential.ID...)
	b = append(b, j.Credential.secret...)
	sum := sha256.Sum256(b)
	return joinPrefix + b64.EncodeToString(append(b, sum[:joinChecksum]...)), nil
}

func (j Join) check() error {
	if n := len(j.Addresses); n < 1 || n > maxAddresses {
		return fmt.Errorf("join token: %d addresses; want 1 to %d", n, maxAddresses)
	}
	for _, a := range j.Addresses {
		if i := strings.LastIndexByte(a, ':'); len(a) > maxAddress || !printable(a) || i <= 0 || i == len(a)-1 {
			return fmt.Errorf("join token: address %q; want host:port", a)
		}
	}
	if !goodID(j.Credential.ID) || len(j.Credential.secret) != SecretSize {
		return fmt.Errorf("join token: it holds no token")
	}
	return nil
}

// ParseJoin reads what Text writes. Its errors never repeat the secret.
func ParseJoin(text string) (Join, error) {
	fail := func(why string) (Join, error) {
		return Join{}, fmt.Errorf("join token: it %s; want the whole line that reeve tokens create --join printed", why)
	}
	rest, ok := strings.CutPrefix(text, joinPrefix)
	if !ok {
		return fail("does not begin with " + joinPrefix)
	}
	raw, err := b64.DecodeString(rest)
	if err != nil || len(raw) <= joinChecksum || len(text) > maxText || strings.ContainsAny(rest, "\r\n") {
		return fail("is cut short or mistyped")
	}
	body, check := raw[:len(raw)-joinChecksum], raw[len(raw)-joinChecksum:]
	sum := sha256.Sum256(body)
	if subtle.ConstantTimeCompare(sum[:joinChecksum], check) != 1 {
		return fail("is cut short or mistyped")
	}
	j, ok := readJoin(body)
	if !ok {
		return fail("is of a form this version does not know")
	}
	if err := j.check(); err != nil {
		return Join{}, err
	}
	return j, nil
}

// readJoin decodes b, which must hold a join token and nothing more.
func readJoin(b []byte) (j Join, ok bool) {
	ok = true
	take := func(n int) []byte {
		if n > len(b) {
			ok, b = false, nil
			return nil
		}
		part := b[:n]
		b = b[n:]
		return part
	}
	word := func() string {
		n := take(1)
		if !ok {
			return ""
		}
		return string(take(int(n[0])))
	}
	count := take(1)
	if !ok || count[0] > maxAddresses {
		return Join{}, false
	}
	for range int(count[0]) {
		j.Addresses = append(j.Addresses, word())
	}
	copy(j.CA[:], take(len(j.CA)))
	j.Credential.ID = word()
	j.Credential.secret = append([]byte(nil), take(SecretSize)...)
	return j, ok && len(b) == 0
}

// String hides the secret.
func (j Join) String() string {
	return fmt.Sprintf("join %s with %s", strings.Join(j.Addresses, ","), j.Credential)
}

// GoString hides the secret from %#v too.
func (j Join) GoString() string { return j.String() }
