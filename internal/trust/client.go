package trust

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// ErrUntrusted: the server's certificate is not one to trust.
var ErrUntrusted = errors.New("the server's certificate can't be trusted")

// ClientOptions say whom a client trusts: the CA with the fingerprint Pin if it is
// not zero, else the CAs in CAFile if given, else the system's.
type ClientOptions struct {
	Pin    Fingerprint
	CAFile string
	// Now is the clock, time.Now if nil.
	Now func() time.Time
}

// ClientConfig is the TLS configuration for connections to one server, at address
// (host:port or host): TLS 1.3, the certificate must be for that host, and errors
// say in one line what is wrong and what to do.
func ClientConfig(address string, o ClientOptions) (*tls.Config, error) {
	host := address
	if h, _, err := net.SplitHostPort(address); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	if host == "" {
		return nil, fmt.Errorf("server address %q: it names no host to check the certificate against", address)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	v := verifier{o: o, host: host}
	if o.CAFile != "" && o.Pin == (Fingerprint{}) {
		content, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("CA file: %w", err)
		}
		v.roots = x509.NewCertPool()
		if !v.roots.AppendCertsFromPEM(content) {
			return nil, fmt.Errorf("CA file %s: it holds no certificate in PEM form", o.CAFile)
		}
	}
	return &tls.Config{
		ServerName: host,
		MinVersion: tls.VersionTLS13,
		// VerifyConnection does the whole check instead, on every connection,
		// resumed ones too: the standard one can't pin a CA that the server sends. It
		// takes the host from here because a connection's state has no IP address.
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection checks more
		VerifyConnection:   v.verify,
	}, nil
}

type verifier struct {
	o     ClientOptions
	host  string
	roots *x509.CertPool // nil: the system's
}

func (v verifier) verify(cs tls.ConnectionState) error {
	if len(cs.PeerCertificates) == 0 {
		return fmt.Errorf("%w: it sent none", ErrUntrusted)
	}
	leaf, rest := cs.PeerCertificates[0], cs.PeerCertificates[1:]
	opts := x509.VerifyOptions{
		Roots:         v.roots,
		Intermediates: x509.NewCertPool(),
		CurrentTime:   v.o.Now(),
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if v.o.Pin != (Fingerprint{}) {
		pinned := findPinned(rest, v.o.Pin)
		if pinned == nil {
			return fmt.Errorf("%w: %s does not belong to the CA of the join token; it is another server, or its CA was replaced: get a new join token from it",
				ErrUntrusted, describe(leaf))
		}
		opts.Roots = x509.NewCertPool()
		opts.Roots.AddCert(pinned)
	}
	for _, c := range rest {
		opts.Intermediates.AddCert(c)
	}
	if _, err := leaf.Verify(opts); err != nil {
		return v.explain(leaf, err)
	}
	if err := leaf.VerifyHostname(bracketed(v.host)); err != nil {
		return fmt.Errorf("%w: it is for %s, not for %s; use one of those, or name it when starting the server",
			ErrUntrusted, strings.Join(namesOf(leaf), ", "), v.host)
	}
	return nil
}

// findPinned returns the CA certificate with that fingerprint.
func findPinned(certs []*x509.Certificate, pin Fingerprint) *x509.Certificate {
	for _, c := range certs {
		sum := sha256.Sum256(c.Raw)
		if c.IsCA && subtle.ConstantTimeCompare(sum[:], pin[:]) == 1 {
			return c
		}
	}
	return nil
}

func (v verifier) explain(leaf *x509.Certificate, err error) error {
	now := v.o.Now()
	var unknown x509.UnknownAuthorityError
	switch {
	case now.After(leaf.NotAfter):
		return fmt.Errorf("%w: it expired on %s, and it is %s here; renew it, or set this machine's clock", ErrUntrusted, day(leaf.NotAfter), day(now))
	case now.Before(leaf.NotBefore):
		return fmt.Errorf("%w: it is valid from %s, and it is %s here; set this machine's clock", ErrUntrusted, day(leaf.NotBefore), day(now))
	case errors.As(err, &unknown) && v.roots != nil:
		return fmt.Errorf("%w: none of the CAs in %s has signed %s", ErrUntrusted, v.o.CAFile, describe(leaf))
	case errors.As(err, &unknown):
		return fmt.Errorf("%w: no CA known to this machine has signed %s; give the server's CA file, or join with a join token", ErrUntrusted, describe(leaf))
	}
	return fmt.Errorf("%w: %s", ErrUntrusted, strings.TrimPrefix(err.Error(), "x509: "))
}

func describe(c *x509.Certificate) string {
	return fmt.Sprintf("the certificate %q for %s", c.Subject.CommonName, strings.Join(namesOf(c), ", "))
}

// namesOf lists at most a handful of what c is for: the server chooses how many
// there are, and they end in an error's one line.
func namesOf(c *x509.Certificate) []string {
	names := append([]string(nil), c.DNSNames...)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return []string{"no name"}
	}
	if len(names) > 8 {
		names = append(names[:8:8], fmt.Sprintf("%d more", len(names)-8))
	}
	for i, n := range names {
		names[i] = strings.Map(func(r rune) rune {
			if r < ' ' || r >= 0x7f {
				return '?'
			}
			return r
		}, n)
	}
	return names
}
