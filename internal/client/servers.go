package client

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/reeve-scheduler/reeve/internal/wire"

	"github.com/reeve-scheduler/reeve/gen/reeve/v1/reevev1connect"
)

const (
	// maxServers bounds the servers that a client knows of.
	maxServers = 16
	// restLeader is how long a leader that could not be reached is not tried first; each time
	// it can't be, again, twice as long, up to restLeaderMax: it may be out of this client's
	// reach for good, and other servers send on.
	restLeader    = 2 * time.Second
	restLeaderMax = time.Minute
	// answeredHeader is where an answer came from. It is put on answers here, and means
	// nothing on the wire.
	answeredHeader = "Reeve-Answered-By"
)

// anywhere is the calls that every server answers by itself. With all others the client goes
// to the leader if it can: others only send them on.
var anywhere = map[string]bool{
	reevev1connect.HealthServiceCheckProcedure: true, reevev1connect.HealthServiceStatusProcedure: true,
	reevev1connect.NamespaceServiceListProcedure: true, reevev1connect.QueueServiceListProcedure: true, reevev1connect.LimitServiceListProcedure: true,
	reevev1connect.TokenServiceListProcedure: true, reevev1connect.WorkerServiceListProcedure: true, reevev1connect.PoolServiceListProcedure: true, reevev1connect.ReservationServiceListProcedure: true, reevev1connect.WatchServiceWatchProcedure: true,
	reevev1connect.JobServiceGetProcedure: true, reevev1connect.JobServiceListProcedure: true, reevev1connect.JobServiceListElementsProcedure: true,
	reevev1connect.JobServiceListAttemptsProcedure: true, reevev1connect.JobServiceExplainProcedure: true, reevev1connect.JobServicePlanProcedure: true,
	reevev1connect.JobServiceOutputsProcedure: true,
	reevev1connect.ServerServiceListProcedure: true,
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
	leader     string        // empty when it is not known
	rested     time.Time     // when the leader could not be reached last
	rest       time.Duration // and for how long it is not tried first
	transports map[way]*http.Transport
}

// way is a connection of one kind to a server. What is bulky has its own: on a thin line a log
// that floods would stand before what keeps leases.
type way struct {
	host  string
	bulky bool
}

// bulky reports whether a call carries logs or artifacts.
func bulky(path string) bool {
	service, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return service == reevev1connect.LogServiceName || service == reevev1connect.ArtifactServiceName
}

func newServers(bases []string, config func(string) (*tls.Config, error)) *servers {
	s := &servers{config: config, transports: map[way]*http.Transport{}}
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
func (s *servers) several() bool { return s.count() > 1 }

// count is how many servers there are to try.
func (s *servers) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.given) + len(s.learned)
}

// RoundTrip sends a request to one server, or to the next as long as none has got anything of
// it. When there are several the error is of type *unreached.
func (s *servers) RoundTrip(req *http.Request) (*http.Response, error) {
	var tries []try
	for {
		host, last := s.pick(tries, !anywhere[req.URL.Path])
		resp, untouched, err := s.send(req, host)
		if err == nil {
			s.answered(host, resp)
			return resp, nil
		}
		ended := req.Context().Err()
		if !errors.Is(ended, context.Canceled) { // the caller's change of mind is no fault of the server's
			s.failed(host)
		}
		tries = append(tries, try{host, err})
		if untouched && !last && ended == nil {
			continue
		}
		if req.Body != nil {
			_ = req.Body.Close() // as a transport must; nobody reads it any more
		}
		if ended != nil || !s.several() {
			return nil, err
		}
		return nil, &unreached{s.scheme, tries}
	}
}

// send sends a request to one server. When that fails untouched says that the server can't have
// got anything of it.
func (s *servers) send(req *http.Request, host string) (resp *http.Response, untouched bool, err error) {
	transport, err := s.transport(way{host, bulky(req.URL.Path)})
	if err != nil {
		return nil, true, err
	}
	out, body := lend(req)
	out.URL.Host, out.URL.Scheme, out.Host = host, s.scheme, host
	if resp, err = transport.RoundTrip(out); err != nil {
		return nil, body.takeBack(), err
	}
	body.handOver()
	return resp, false, nil
}

// pick returns the server to try after those that were, and whether it is the last.
func (s *servers) pick(tried []try, direct bool) (host string, last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	order := []string{s.current}
	if direct && s.leader != "" && time.Since(s.rested) >= s.rest {
		order = []string{s.leader, s.current}
	}
	order = append(append(order, s.given...), s.learned...)
	left := 0
	for i, h := range order {
		if slices.ContainsFunc(tried, func(t try) bool { return t.host == h }) || slices.Contains(order[:i], h) {
			continue
		}
		if left++; left == 1 {
			host = h
		}
	}
	if host == "" { // what was left is not named any more
		host = s.current
	}
	return host, left <= 1
}

func (s *servers) transport(to way) (*http.Transport, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.transports[to]; t != nil {
		return t, nil
	}
	var config *tls.Config
	if s.config != nil && s.scheme == "https" {
		var err error
		if config, err = s.config(to.host); err != nil {
			return nil, err
		}
	}
	var protocols http.Protocols
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	t := &http.Transport{
		Protocols: &protocols, TLSClientConfig: config, DialContext: (&net.Dialer{Timeout: dialTimeout, Control: holdLittle}).DialContext,
		TLSHandshakeTimeout: dialTimeout, IdleConnTimeout: 90 * time.Second,
		HTTP2: &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
	}
	s.transports[to] = t
	return t, nil
}

// answered learns from an answer where the servers are and which one leads, and notes on it
// whose it is.
func (s *servers) answered(host string, resp *http.Response) {
	named, leader := resp.Header.Get(wire.ServersHeader), resp.Header.Get(wire.LeaderHeader)
	resp.Header.Set(answeredHeader, host)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = host
	before := s.leader
	switch {
	case leader != "":
		s.leader = s.hostOf(leader)
	case named != "": // who names others, and no leader, is it
		s.leader = host
	}
	if s.leader != before || s.leader == host {
		s.rest = 0
	}
	if named != "" {
		s.learn(named)
	}
	if resp.StatusCode == http.StatusServiceUnavailable {
		s.moveOn(host)
	}
}

// learn takes over the servers that one has named; what was learned before may be gone. The
// caller holds mu.
func (s *servers) learn(named string) {
	s.learned = nil
	for base := range strings.SplitSeq(named, ",") {
		if len(s.given)+len(s.learned) >= maxServers {
			break
		}
		if h := s.hostOf(base); h != "" && !slices.Contains(s.given, h) && !slices.Contains(s.learned, h) {
			s.learned = append(s.learned, h)
		}
	}
	for to, t := range s.transports {
		h := to.host
		if !slices.Contains(s.given, h) && !slices.Contains(s.learned, h) && h != s.current && h != s.leader {
			delete(s.transports, to) // what goes on over it ends as it would have
			t.CloseIdleConnections()
		}
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
	leader := s.leader
	s.moveOn(host)
	if host == leader {
		s.leader = leader // as far as the others know
		s.rested, s.rest = time.Now(), min(max(2*s.rest, restLeader), restLeaderMax)
	}
}

// leave has later calls go to another server than one that can't help at the moment.
func (s *servers) leave(host string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.moveOn(host)
}

// moveOn makes another server the current one if host is, and takes host for the leader no
// more. The caller holds mu.
func (s *servers) moveOn(host string) {
	if s.leader == host {
		s.leader = ""
	}
	if s.current == host {
		all := append(slices.Clone(s.given), s.learned...)
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
