package client

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/reeve-scheduler/reeve/internal/wire"
)

const (
	// maxServers bounds the servers that a client knows of.
	maxServers = 16
	// restLeader is how long a leader that could not be reached is not tried first.
	restLeader = 2 * time.Second
)

// direct is the calls that are for the leader, which others only send on: those that stay
// open or carry much.
var direct = map[string]bool{
	"/reeve.v1.WorkerService/Session": true, "/reeve.v1.LogService/Append": true, "/reeve.v1.ArtifactService/Put": true,
}

// servers carries requests to one of several servers: those that the user named, and those
// that these name. It stays with one for as long as that answers.
type servers struct {
	scheme string
	config func(host string) (*tls.Config, error) // nil for the system's roots

	mu         sync.Mutex
	given      []string // hosts, in the order to try
	learned    []string
	current    string
	leader     string // empty when it is not known
	rested     time.Time
	transports map[string]*http.Transport
}

func newServers(bases []string, config func(string) (*tls.Config, error)) *servers {
	s := &servers{config: config, transports: map[string]*http.Transport{}}
	for _, base := range bases {
		scheme, host, _ := strings.Cut(base, "://")
		s.scheme = scheme
		if !slices.Contains(s.given, host) {
			s.given = append(s.given, host)
		}
	}
	s.current = s.given[0]
	return s
}

// several reports whether there is more than one server to try.
func (s *servers) several() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.given)+len(s.learned) > 1
}

// RoundTrip sends a request to one server, or to the next as long as none was reached.
func (s *servers) RoundTrip(req *http.Request) (*http.Response, error) {
	body := &replay{ReadCloser: req.Body}
	if req.Body != nil {
		defer body.done()
	}
	var tried []string
	for {
		host, last := s.pick(tried, direct[req.URL.Path])
		tried = append(tried, host)
		out := req.Clone(req.Context())
		out.URL.Host, out.URL.Scheme, out.Host = host, s.scheme, host
		try := &attempt{replay: body}
		if req.Body != nil {
			out.Body = try
		}
		transport, err := s.transport(host)
		if err != nil {
			return nil, err
		}
		resp, err := transport.RoundTrip(out)
		if err == nil {
			try.handOver()
			s.answered(host, resp)
			return resp, nil
		}
		s.failed(host)
		if last || body.touched.Load() || req.Context().Err() != nil {
			return nil, err
		}
	}
}

// pick returns the server to try after those that were, and whether it is the last.
func (s *servers) pick(tried []string, direct bool) (host string, last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	order := []string{s.current}
	if direct && s.leader != "" && time.Since(s.rested) > restLeader {
		order = []string{s.leader, s.current}
	}
	order = append(append(order, s.given...), s.learned...)
	left := 0
	for i, h := range order {
		if slices.Contains(tried, h) || slices.Contains(order[:i], h) {
			continue
		}
		if left++; left == 1 {
			host = h
		}
	}
	return host, left <= 1
}

func (s *servers) transport(host string) (*http.Transport, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.transports[host]; t != nil {
		return t, nil
	}
	var config *tls.Config
	if s.config != nil && s.scheme == "https" {
		var err error
		if config, err = s.config(host); err != nil {
			return nil, err
		}
	}
	var protocols http.Protocols
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	t := &http.Transport{
		Protocols: &protocols, TLSClientConfig: config, DialContext: (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSHandshakeTimeout: dialTimeout, IdleConnTimeout: 90 * time.Second,
		HTTP2: &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
	}
	s.transports[host] = t
	return t, nil
}

// answered learns from an answer where the servers are and which one leads.
func (s *servers) answered(host string, resp *http.Response) {
	named := resp.Header.Get(wire.ServersHeader)
	leader := resp.Header.Get(wire.LeaderHeader)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = host
	if named != "" {
		s.learned = nil
		for base := range strings.SplitSeq(named, ",") {
			if h := s.hostOf(base); h != "" && !slices.Contains(s.given, h) && !slices.Contains(s.learned, h) && len(s.given)+len(s.learned) < maxServers {
				s.learned = append(s.learned, h)
			}
		}
		s.leader = host
	}
	if leader != "" {
		s.leader = s.hostOf(leader)
	}
	if resp.StatusCode == http.StatusServiceUnavailable {
		s.moveOn(host)
	}
}

// hostOf is the host of another server's URL, empty unless it is spoken to as the given ones
// are: a token never goes out in the clear because a server said so.
func (s *servers) hostOf(base string) string {
	u, err := url.Parse(strings.TrimSpace(base))
	if err != nil || u.Scheme != s.scheme || u.Host == "" || u.User != nil {
		return ""
	}
	return u.Host
}

// failed notes that a server could not be reached.
func (s *servers) failed(host string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if host == s.leader {
		s.rested = time.Now()
	}
	s.moveOn(host)
}

// leave has later calls go to another server than the last one did: what it answers it can't
// help.
func (s *servers) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leader = ""
	s.moveOn(s.current)
}

// moveOn makes another server the current one if host is. The caller holds mu.
func (s *servers) moveOn(host string) {
	if s.current != host {
		return
	}
	all := append(slices.Clone(s.given), s.learned...)
	if len(all) > 0 {
		s.current = all[(slices.Index(all, host)+1)%len(all)]
	}
}

// CloseIdleConnections ends idle connections.
func (s *servers) CloseIdleConnections() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.transports {
		t.CloseIdleConnections()
	}
}

// replay is a request's body that can be sent to another server as long as none of it has
// gone: a transport that fails closes what it was given.
type replay struct {
	io.ReadCloser
	touched atomic.Bool
	handed  atomic.Bool // to a server, whose transport closes it
}

// attempt is the body as one server's transport gets it.
type attempt struct {
	*replay
	answered atomic.Bool
	closed   atomic.Bool
}

// Read notes that some of the body has gone.
func (a *attempt) Read(p []byte) (int, error) {
	a.touched.Store(true)
	return a.ReadCloser.Read(p)
}

// Close closes the body once this server has answered, or part of it has gone.
func (a *attempt) Close() error {
	a.closed.Store(true)
	if a.touched.Load() || a.answered.Load() {
		return a.ReadCloser.Close()
	}
	return nil
}

// handOver leaves the body to the transport of a server that has answered.
func (a *attempt) handOver() {
	a.handed.Store(true)
	if a.answered.Store(true); a.closed.Load() && a.ReadCloser != nil {
		_ = a.ReadCloser.Close() // it was closed before it was handed over
	}
}

// done closes a body that no server got.
func (r *replay) done() {
	if !r.handed.Load() {
		_ = r.ReadCloser.Close() // nobody reads it any more
	}
}
