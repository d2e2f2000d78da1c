package trust_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/trust"
)

var start = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// clock is a clock that a test sets.
type clock struct{ ms atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.ms.Store(start.UnixMilli())
	return c
}

func (c *clock) now() time.Time          { return time.UnixMilli(c.ms.Load()) }
func (c *clock) advance(d time.Duration) { c.ms.Add(d.Milliseconds()) }

func openServer(t *testing.T, o trust.ServerOptions) *trust.Server {
	t.Helper()
	s, err := trust.OpenServer(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// serve answers each connection on loopback with one byte; it returns the address.
func serve(t *testing.T, cfg *tls.Config) string {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", cfg)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(10 * time.Second))
				c.Write([]byte("x"))
			})
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return l.Addr().String()
}

// dial connects to addr as name and returns what the server showed.
func dial(t *testing.T, addr, name string, o trust.ClientOptions) (tls.ConnectionState, error) {
	t.Helper()
	cfg, err := trust.ClientConfig(net.JoinHostPort(name, "1"), o)
	if err != nil {
		t.Fatal(err)
	}
	d := &net.Dialer{Timeout: 10 * time.Second}
	c, err := tls.DialWithDialer(d, "tcp", addr, cfg)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer c.Close()
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		return tls.ConnectionState{}, err
	}
	return c.ConnectionState(), nil
}

func TestOwnCertificateIsTrustedByItsPin(t *testing.T) {
	c := newClock()
	s := openServer(t, trust.ServerOptions{Dir: t.TempDir(), Names: []string{"localhost", "127.0.0.1", "::1", "reeve.example"}, Now: c.now})
	addr := serve(t, s.Config())
	for _, name := range []string{"127.0.0.1", "localhost", "::1", "reeve.example"} {
		cs, err := dial(t, addr, name, trust.ClientOptions{Pin: s.Fingerprint(), Now: c.now})
		if err != nil {
			t.Fatalf("as %s: %v", name, err)
		}
		if cs.Version != tls.VersionTLS13 {
			t.Errorf("TLS version %x, want 1.3", cs.Version)
		}
		if got := sha256.Sum256(cs.PeerCertificates[1].Raw); got != s.Fingerprint() {
			t.Error("the fingerprint is not that of the CA the server shows")
		}
	}
}

func TestUntrustedServersAreRefusedInOneLine(t *testing.T) {
	c := newClock()
	dir := t.TempDir()
	s := openServer(t, trust.ServerOptions{Dir: dir, Names: []string{"127.0.0.1", "h.example"}, Now: c.now})
	other := openServer(t, trust.ServerOptions{Dir: t.TempDir(), Names: []string{"127.0.0.1"}, Now: c.now})
	addr := serve(t, s.Config())
	at := func(d time.Duration) func() time.Time { return func() time.Time { return start.Add(d) } }
	otherCA := filepath.Join(t.TempDir(), "other.crt")
	otherAddr := serve(t, other.Config())
	cs, err := dial(t, otherAddr, "127.0.0.1", trust.ClientOptions{Pin: other.Fingerprint(), Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, otherCA, cs.PeerCertificates[1])
	leafPin := sha256.Sum256(cs.PeerCertificates[0].Raw)

	tests := []struct {
		name, addr, as string
		o              trust.ClientOptions
		want           string
	}{
		{"another CA's pin", addr, "127.0.0.1", trust.ClientOptions{Pin: other.Fingerprint(), Now: c.now}, "get a new join token"},
		{"the pin of a leaf", otherAddr, "127.0.0.1", trust.ClientOptions{Pin: leafPin, Now: c.now}, "get a new join token"},
		{"the system's roots", addr, "127.0.0.1", trust.ClientOptions{Now: c.now}, "no CA known to this machine has signed"},
		{"another CA file", addr, "127.0.0.1", trust.ClientOptions{CAFile: otherCA, Now: c.now}, "none of the CAs in " + otherCA},
		{"another name", addr, "evil.example", trust.ClientOptions{Pin: s.Fingerprint(), Now: c.now}, "it is for h.example, 127.0.0.1, not for evil.example"},
		{"another address", addr, "127.0.0.2", trust.ClientOptions{Pin: s.Fingerprint(), Now: c.now}, "not for 127.0.0.2"},
		{"a late clock", addr, "127.0.0.1", trust.ClientOptions{Pin: s.Fingerprint(), Now: at(400 * 24 * time.Hour)}, "expired on 2027-11-20, and it is 2027-12-25 here"},
		{"an early clock", addr, "127.0.0.1", trust.ClientOptions{Pin: s.Fingerprint(), Now: at(-48 * time.Hour)}, "valid from 2026-11-20, and it is 2026-11-18 here"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := dial(t, tt.addr, tt.as, tt.o)
			if !errors.Is(err, trust.ErrUntrusted) || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("dial = %v, want one line with %q", err, tt.want)
			}
		})
	}
	if _, err := dial(t, addr, "127.0.0.1", trust.ClientOptions{CAFile: filepath.Join(dir, trust.CAFile), Now: c.now}); err != nil {
		t.Errorf("with the right CA file: %v", err)
	}
}

func writePEM(t *testing.T, file string, c *x509.Certificate) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// An attacker who holds a certificate of the pinned CA for something else must
// not pass by sending that CA along, and neither may one who sends only the CA.
func TestPinnedCAMustHaveSignedTheLeaf(t *testing.T) {
	c := newClock()
	dir := t.TempDir()
	victim := openServer(t, trust.ServerOptions{Dir: dir, Names: []string{"127.0.0.1"}, Now: c.now})
	attacker := openServer(t, trust.ServerOptions{Dir: t.TempDir(), Names: []string{"127.0.0.1"}, Now: c.now})
	cert, err := attacker.Config().GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(readFile(t, filepath.Join(dir, trust.CAFile)))
	forged := tls.Certificate{Certificate: [][]byte{cert.Certificate[0], block.Bytes}, PrivateKey: cert.PrivateKey}
	addr := serve(t, &tls.Config{Certificates: []tls.Certificate{forged}})
	if _, err := dial(t, addr, "127.0.0.1", trust.ClientOptions{Pin: victim.Fingerprint(), Now: c.now}); !errors.Is(err, trust.ErrUntrusted) {
		t.Errorf("dial = %v, want ErrUntrusted", err)
	}
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestOlderTLSIsRefused(t *testing.T) {
	s := openServer(t, trust.ServerOptions{Dir: t.TempDir(), Names: []string{"127.0.0.1"}})
	addr := serve(t, s.Config())
	c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12})
	if err == nil {
		c.Close()
		t.Error("TLS 1.2 was accepted")
	}
}

func TestFilesAreKeptAndClosed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tls")
	c := newClock()
	o := trust.ServerOptions{Dir: dir, Names: []string{"localhost"}, Now: c.now}
	s := openServer(t, o)
	want := map[string]string{}
	for _, name := range []string{"ca.pem", "ca.crt", "server.pem"} {
		want[name] = string(readFile(t, filepath.Join(dir, name)))
	}
	if strings.Contains(want["ca.crt"], "PRIVATE") || !strings.Contains(want["ca.pem"], "PRIVATE") {
		t.Error("ca.crt must not hold the key, ca.pem must")
	}
	again := openServer(t, o)
	if again.Fingerprint() != s.Fingerprint() || s.Fingerprint() == (trust.Fingerprint{}) {
		t.Error("the CA changed over a restart, or has no fingerprint")
	}
	got := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v; want 0600", e.Name(), info.Mode(), err)
		}
		got[e.Name()] = string(readFile(t, filepath.Join(dir, e.Name())))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("a restart changed the files:\n%s", diff)
	}
}

func TestTwoInstallationsShareNothing(t *testing.T) {
	a := openServer(t, trust.ServerOptions{Dir: t.TempDir()})
	b := openServer(t, trust.ServerOptions{Dir: t.TempDir()})
	if a.Fingerprint() == b.Fingerprint() {
		t.Error("two installations have the same CA")
	}
}

func TestCertificateFollowsItsNames(t *testing.T) {
	dir := t.TempDir()
	c := newClock()
	leaf := func(names ...string) []string {
		s := openServer(t, trust.ServerOptions{Dir: dir, Names: names, Now: c.now})
		cert, err := s.Config().GetCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		return append(cert.Leaf.DNSNames, cert.Leaf.SerialNumber.String())
	}
	first := leaf("a", "b")
	if diff := cmp.Diff(first, leaf("b")); diff != "" {
		t.Errorf("fewer names made a new certificate:\n%s", diff)
	}
	grown := leaf("b", "c")
	if grown[len(grown)-1] == first[len(first)-1] || !slices.Contains(grown, "c") {
		t.Errorf("a new name made no new certificate: %q", grown)
	}
}

func TestOwnCertificateRenewsItself(t *testing.T) {
	c := newClock()
	var log bytes.Buffer
	s := openServer(t, trust.ServerOptions{Dir: t.TempDir(), Names: []string{"127.0.0.1"}, Now: c.now, Log: slog.New(slog.NewTextHandler(&log, nil))})
	addr := serve(t, s.Config())
	first := s.Expires()
	if life := first.Sub(start); life != 365*24*time.Hour {
		t.Errorf("the certificate lives %v, want a year", life)
	}
	look := func() time.Time {
		t.Helper()
		cs, err := dial(t, addr, "127.0.0.1", trust.ClientOptions{Pin: s.Fingerprint(), Now: c.now})
		if err != nil {
			t.Fatal(err)
		}
		return cs.PeerCertificates[0].NotAfter
	}
	c.advance(240 * 24 * time.Hour)
	if got := look(); !got.Equal(first) {
		t.Errorf("with more than a third left it was renewed: %v", got)
	}
	c.advance(5 * 24 * time.Hour)
	if got := look(); !got.After(first) || !got.Equal(s.Expires()) {
		t.Errorf("with less than a third left it is still the one until %v", got)
	}
	if !strings.Contains(log.String(), "TLS certificate replaced") {
		t.Errorf("log: %s", log.String())
	}
	for range 40 { // ten years of renewals end with the CA
		c.advance(90 * 24 * time.Hour)
		if c.now().Before(start.AddDate(10, 0, -1)) {
			look()
		}
	}
}

func TestFailedRenewalKeepsTheOldOne(t *testing.T) {
	dir := t.TempDir()
	c := newClock()
	var log bytes.Buffer
	s := openServer(t, trust.ServerOptions{Dir: dir, Names: []string{"127.0.0.1"}, Now: c.now, Log: slog.New(slog.NewTextHandler(&log, nil))})
	first := s.Expires()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		c.advance(time.Second)
		if _, err := s.Config().GetCertificate(nil); err != nil {
			t.Fatal(err)
		}
	}
	if !s.Expires().Equal(first) {
		t.Error("the certificate changed")
	}
	if n := strings.Count(log.String(), "can't load"); n < 1 || n > 3 {
		t.Errorf("%d warnings in 100 s, want one a minute", n)
	}
}

func TestGivenCertificateReloads(t *testing.T) {
	c := newClock()
	madeDir := [2]string{t.TempDir(), t.TempDir()}
	var made [2]*trust.Server
	for i := range made {
		made[i] = openServer(t, trust.ServerOptions{Dir: madeDir[i], Names: []string{"127.0.0.1"}, Now: c.now})
	}
	file := filepath.Join(t.TempDir(), "mine.pem")
	install := func(content []byte) {
		t.Helper()
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		c.advance(2 * time.Minute)
		// The file system's clock may be too coarse to tell two writes apart.
		if err := os.Chtimes(file, c.now(), c.now()); err != nil {
			t.Fatal(err)
		}
	}
	install(readFile(t, filepath.Join(madeDir[0], "server.pem")))
	s := openServer(t, trust.ServerOptions{CertFile: file, KeyFile: file, Now: c.now})
	if s.Fingerprint() != (trust.Fingerprint{}) {
		t.Error("a given certificate has a CA fingerprint")
	}
	addr := serve(t, s.Config())
	shown := func() int {
		t.Helper()
		for i := range made {
			if _, err := dial(t, addr, "127.0.0.1", trust.ClientOptions{Pin: made[i].Fingerprint(), Now: c.now}); err == nil {
				return i
			}
		}
		return -1
	}
	if got := shown(); got != 0 {
		t.Fatalf("at first certificate %d is shown, want 0", got)
	}
	install([]byte("half a fi"))
	if got := shown(); got != 0 {
		t.Errorf("after a broken write certificate %d is shown, want 0", got)
	}
	install(readFile(t, filepath.Join(madeDir[1], "server.pem")))
	if got := shown(); got != 1 {
		t.Errorf("after the change certificate %d is shown, want 1", got)
	}
}

func TestOpenServerErrors(t *testing.T) {
	c := newClock()
	good := t.TempDir()
	openServer(t, trust.ServerOptions{Dir: good, Names: []string{"localhost"}, Now: c.now})
	pem := filepath.Join(good, "server.pem")
	broken := func(change func(dir string)) string {
		dir := t.TempDir()
		openServer(t, trust.ServerOptions{Dir: dir, Now: c.now})
		change(dir)
		return dir
	}
	write := func(file, content string) func(string) {
		return func(dir string) {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	tests := []struct {
		name string
		o    trust.ServerOptions
		want string
	}{
		{"no key", trust.ServerOptions{CertFile: pem}, "go together"},
		{"no certificate", trust.ServerOptions{KeyFile: pem}, "go together"},
		{"missing", trust.ServerOptions{CertFile: "/none.crt", KeyFile: "/none.key"}, "/none.crt"},
		{"mismatch", trust.ServerOptions{CertFile: pem, KeyFile: filepath.Join(good, "ca.pem")}, "private key does not match"},
		{"expired", trust.ServerOptions{CertFile: pem, KeyFile: pem, Now: func() time.Time { return start.AddDate(2, 0, 0) }}, "expired on 2027-11-20"},
		{"damaged CA", trust.ServerOptions{Dir: broken(write("ca.pem", "junk"))}, "restore the file"},
		{"empty CA", trust.ServerOptions{Dir: broken(write("ca.pem", ""))}, "restore the file"},
		{"no CA's certificate", trust.ServerOptions{Dir: broken(write("ca.pem", string(readFile(t, pem))))}, "is not a CA's"},
		{"expired CA", trust.ServerOptions{Dir: good, Now: func() time.Time { return start.AddDate(11, 0, 0) }}, "expired on 2036-11-20"},
		{"open CA", trust.ServerOptions{Dir: broken(func(dir string) { os.Chmod(filepath.Join(dir, "ca.pem"), 0o644) })}, "other users may read it (mode 0644)"},
		{"open key", trust.ServerOptions{Dir: broken(func(dir string) { os.Chmod(filepath.Join(dir, "server.pem"), 0o640) })}, "other users may read it (mode 0640)"},
		{"no directory", trust.ServerOptions{Dir: pem}, "TLS directory"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.o.Now == nil {
				tt.o.Now = c.now
			}
			_, err := trust.OpenServer(tt.o)
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "PRIVATE") {
				t.Errorf("OpenServer = %v, want one line with %q", err, tt.want)
			}
		})
	}
}

// A damaged own certificate, or one of an older CA, is no loss: it is made again.
func TestDamagedLeafIsMadeAgain(t *testing.T) {
	c := newClock()
	foreign := t.TempDir()
	openServer(t, trust.ServerOptions{Dir: foreign, Names: []string{"127.0.0.1"}, Now: c.now})
	for name, content := range map[string][]byte{"junk": []byte("junk"), "foreign": readFile(t, filepath.Join(foreign, "server.pem"))} {
		dir := t.TempDir()
		o := trust.ServerOptions{Dir: dir, Names: []string{"127.0.0.1"}, Now: c.now}
		openServer(t, o)
		if err := os.WriteFile(filepath.Join(dir, "server.pem"), content, 0o600); err != nil {
			t.Fatal(err)
		}
		s := openServer(t, o)
		if _, err := dial(t, serve(t, s.Config()), "127.0.0.1", trust.ClientOptions{Pin: s.Fingerprint(), Now: c.now}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestClientConfigErrors(t *testing.T) {
	junk := filepath.Join(t.TempDir(), "junk")
	if err := os.WriteFile(junk, []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{junk: "no certificate in PEM form", junk + "2": "CA file"} {
		if _, err := trust.ClientConfig("h:1", trust.ClientOptions{CAFile: file}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ClientConfig = %v, want %q", err, want)
		}
	}
}

func TestClientConfigNeedsAHost(t *testing.T) {
	for _, bad := range []string{"", ":7000", "[]:1"} {
		if _, err := trust.ClientConfig(bad, trust.ClientOptions{}); err == nil || !strings.Contains(err.Error(), "names no host") {
			t.Errorf("ClientConfig(%q) = %v", bad, err)
		}
	}
	for address, want := range map[string]string{"h": "h", "h:1": "h", "::1": "::1", "[::1]:1": "::1", "10.0.0.1:1": "10.0.0.1"} {
		cfg, err := trust.ClientConfig(address, trust.ClientOptions{})
		if err != nil || cfg.ServerName != want {
			t.Errorf("ClientConfig(%q) checks against %v, %v; want %q", address, cfg, err, want)
		}
	}
}

func TestNames(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Skip("this machine has no name")
	}
	got := trust.Names([]string{"10.1.2.3:7000", "[2001:db8::1]:7000", "node.example:7000", "localhost:1"}, []string{"x.example", "10.1.2.3"})
	want := []string{"x.example", "10.1.2.3", "2001:db8::1", "node.example", "localhost"}
	if host != "localhost" {
		want = append(want, host)
	}
	want = append(want, "127.0.0.1", "::1")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, all := range []string{":7000", "0.0.0.0:7000", "[::]:7000"} {
		got := trust.Names([]string{all}, nil)
		if !slices.Contains(got, "127.0.0.1") || slices.Contains(got, "0.0.0.0") || slices.Contains(got, "::") || slices.Contains(got, "") {
			t.Errorf("Names(%s) = %q", all, got)
		}
	}
}

func TestHTTP2WorksOverBothEnds(t *testing.T) {
	s := openServer(t, trust.ServerOptions{Dir: t.TempDir(), Names: []string{"127.0.0.1"}})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{TLSConfig: s.Config(), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Proto)
	})}
	done := make(chan error, 1)
	go func() { done <- srv.ServeTLS(l, "", "") }()
	t.Cleanup(func() { srv.Close(); <-done })
	cfg, err := trust.ClientConfig(l.Addr().String(), trust.ClientOptions{Pin: s.Fingerprint()})
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{TLSClientConfig: cfg, ForceAttemptHTTP2: true}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr, Timeout: 10 * time.Second}).Get("https://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "HTTP/2.0" {
		t.Errorf("spoken: %q, %v", b, err)
	}
}

func TestHandshakesBesideRenewals(t *testing.T) {
	c := newClock()
	s := openServer(t, trust.ServerOptions{Dir: t.TempDir(), Names: []string{"127.0.0.1"}, Now: c.now})
	addr := serve(t, s.Config())
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 8 {
				c.advance(60 * 24 * time.Hour / 4)
				if _, err := dial(t, addr, "127.0.0.1", trust.ClientOptions{Pin: s.Fingerprint(), Now: s.Expires().Add(-time.Hour).UTC}); err != nil && !strings.Contains(err.Error(), "clock") {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
