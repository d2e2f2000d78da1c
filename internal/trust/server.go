package trust

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// checkEvery is how often a handshake looks at the files again, retryEvery how
// long after a failure.
const (
	checkEvery = time.Second
	retryEvery = time.Minute
)

// ServerOptions say where a server's certificate comes from.
type ServerOptions struct {
	// Dir holds the own CA and certificate, made on first use. Not used when
	// CertFile is set.
	Dir string
	// Names are the host names and addresses the own certificate is for; Names
	// makes the usual list.
	Names []string
	// CertFile and KeyFile are the user's own certificate (with its chain) and
	// key, PEM. They may be the same file.
	CertFile, KeyFile string
	// Share, if not nil, is given the own CA with its key, PEM, and returns the one that all
	// servers of a cluster use, which takes its place.
	Share func(ca []byte) ([]byte, error)
	// Now is the clock, time.Now if nil; Log takes what happens later, such as a
	// renewal, and may be nil.
	Now func() time.Time
	Log *slog.Logger
}

// Server is a server's certificate. It renews an own one and reloads the user's
// when the files change, on the next handshake, without a restart. Its methods
// may run concurrently.
type Server struct {
	o  ServerOptions
	ca pair // empty with the user's own certificate

	mu      sync.Mutex
	current *pair     // replaced, never changed: handshakes still use the old one
	next    time.Time // when to look again
	stamps  [2]stamp
}

// stamp tells a changed file.
type stamp struct {
	mod  time.Time
	size int64
}

// OpenServer loads the server's certificate, or makes CA and certificate when o
// names no files and there are none.
func OpenServer(o ServerOptions) (*Server, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{o: o}
	if (o.CertFile == "") != (o.KeyFile == "") {
		return nil, errors.New("TLS: a certificate and its key go together; give both files or neither")
	}
	if o.CertFile == "" {
		if err := os.MkdirAll(o.Dir, 0o700); err != nil {
			return nil, fmt.Errorf("TLS directory: %w", err)
		}
		ca, err := ensureCA(o.Dir, o.Now())
		if err == nil && o.Share != nil {
			ca, err = shareCA(o.Dir, o.Share, o.Now())
		}
		if err != nil {
			return nil, err
		}
		s.ca = ca
		if left := ca.leaf.NotAfter.Sub(o.Now()); left < leafLife {
			o.Log.Warn("the CA ends soon: after that every worker has to join again", "expires", day(ca.leaf.NotAfter))
		}
	}
	s.next = o.Now().Add(checkEvery)
	if err := s.load(); err != nil {
		return nil, err
	}
	return s, nil
}

// load reads or makes the certificate. s.mu is held, or s is not shared yet.
func (s *Server) load() error {
	stamps := s.readStamps()
	var p pair
	var err error
	if s.own() {
		p, err = ensureLeaf(s.o.Dir, s.ca, s.o.Names, s.o.Now())
		stamps = s.readStamps()
	} else {
		p, err = s.loadGiven()
	}
	s.stamps = stamps
	if err != nil {
		return err
	}
	s.current = &p
	return nil
}

func (s *Server) own() bool { return s.o.CertFile == "" }

func (s *Server) loadGiven() (pair, error) {
	p, err := loadPair(s.o.CertFile, s.o.KeyFile)
	if err != nil {
		return pair{}, fmt.Errorf("TLS certificate %s with key %s: %w", s.o.CertFile, s.o.KeyFile, err)
	}
	if now := s.o.Now(); now.After(p.leaf.NotAfter) {
		return pair{}, fmt.Errorf("TLS certificate %s: it expired on %s; replace it", s.o.CertFile, day(p.leaf.NotAfter))
	}
	return p, nil
}

func (s *Server) readStamps() (stamps [2]stamp) {
	files := [2]string{s.o.CertFile, s.o.KeyFile}
	if s.own() {
		files[0] = filepath.Join(s.o.Dir, serverPEM)
		files[1] = files[0]
	}
	for i, f := range files {
		if info, err := os.Stat(f); err == nil {
			stamps[i] = stamp{info.ModTime(), info.Size()}
		}
	}
	return stamps
}

// Fingerprint is that of the own CA, for join tokens. It is all zero with the
// user's own certificate, which clients check against their system's roots or a
// CA file.
func (s *Server) Fingerprint() Fingerprint {
	if !s.own() {
		return Fingerprint{}
	}
	return sha256.Sum256(s.ca.leaf.Raw)
}

// Peers is the TLS configuration for connections to other servers of the cluster: those with
// a certificate of the same CA or, with the user's own certificate, of the system's or of
// those in the certificate's file.
func (s *Server) Peers() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{"h2"}}
	if s.own() {
		c.RootCAs = x509.NewCertPool()
		c.RootCAs.AddCert(s.ca.leaf)
		return c, nil
	}
	content, err := os.ReadFile(s.o.CertFile)
	if err != nil {
		return nil, fmt.Errorf("TLS certificate: %w", err)
	}
	if c.RootCAs, err = x509.SystemCertPool(); err != nil {
		c.RootCAs = x509.NewCertPool()
	}
	c.RootCAs.AppendCertsFromPEM(content)
	return c, nil
}

// Expires is when the certificate in use ends.
func (s *Server) Expires() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current.leaf.NotAfter
}

// Config is the server's TLS configuration: TLS 1.3, HTTP/2 and HTTP/1.1.
func (s *Server) Config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS13,
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.certificate(), nil },
	}
}

// certificate is the one to show now. When a new one can't be had, the old one
// goes on: a broken renewal must not take the server off the air.
func (s *Server) certificate() *tls.Certificate {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.o.Now()
	if wait := s.next.Sub(now); wait > 0 && wait <= retryEvery { // else the clock was set back
		return &s.current.cert
	}
	s.next = now.Add(checkEvery)
	stale := s.own() && !fresh(s.current.leaf, now)
	if !stale && s.readStamps() == s.stamps {
		return &s.current.cert
	}
	before := s.current.leaf
	switch err := s.load(); {
	case err != nil:
		s.next = now.Add(retryEvery)
		s.o.Log.Warn("can't load the TLS certificate; the one in use stays", "expires", day(before.NotAfter), "error", err)
	case !before.Equal(s.current.leaf):
		s.o.Log.Info("TLS certificate replaced", "expires", day(s.current.leaf.NotAfter))
	}
	return &s.current.cert
}

// Names lists what a server's certificate should be for: the hosts of the listen
// addresses (every address of this machine for one that listens on all), this
// machine's name, localhost and the loopback addresses, and extra names.
func Names(listen []string, extra []string) []string {
	var names []string
	add := func(n string) {
		if slices.Contains(names, n) {
			return
		}
		if n != "" {
			names = append(names, n)
		}
	}
	for _, n := range extra {
		add(n)
	}
	for _, l := range listen {
		host, _, err := net.SplitHostPort(l)
		if err != nil {
			host = l
		}
		if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
			for _, a := range machineAddresses() {
				add(a)
			}
			continue
		}
		add(host)
	}
	if h, err := os.Hostname(); err == nil {
		add(h)
	}
	add("localhost")
	add("127.0.0.1")
	add("::1")
	return names
}

func machineAddresses() []string {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var out []string
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLinkLocalUnicast() {
			out = append(out, n.IP.String())
		}
	}
	return out
}
