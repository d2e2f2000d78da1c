// Package forward sends on to the leader what a server that does not lead can't answer, with
// the caller's own headers, and holds calls for a moment while nobody leads. Its callers do
// not see which server it was.
//
// It stands behind the guard of the server that was called, which has refused whatever has no
// token, not the scope, or comes from a page of another site, and bounds what a connection may
// take. The leader's guard looks at the call once more, by its token: to the leader a server
// is one peer among others, so that whatever is counted there is to be counted by token, never
// by address.
package forward

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/wire"
)

// Headers that servers say to each other.
const (
	// hopHeader marks a call that was sent on already: it is not sent on again.
	hopHeader = "Reeve-Forwarded"
	// astrayHeader marks the refusal of such a call. It was not looked at.
	astrayHeader = "Reeve-Astray"
)

// Limits, unless Options say otherwise.
const (
	// DefaultHold is how long a call waits for a leader.
	DefaultHold = 5 * time.Second
	// DefaultMaxHeld bounds the calls that wait.
	DefaultMaxHeld = 1024
	// maxKept is the largest message, in bytes, that is kept to be sent a second time when
	// the first server turned out not to lead.
	maxKept = 64 << 10
	// maxServers bounds the servers that answers name.
	maxServers = 16
)

// Standing is what a server knows of itself and the others.
type Standing struct {
	// Leads says that this server decides, Able that it answers reads.
	Leads, Able bool
	// Leader is the leader's URL, empty while none is known, and Servers everybody's.
	Leader  string
	Servers []string
}

// Options of a forwarding handler. All but Hold and MaxHeld are required.
type Options struct {
	// Inner answers what this server can answer.
	Inner http.Handler
	// Standing tells how things stand, at once; Changed is closed when that may have changed.
	Standing func() Standing
	Changed  func() <-chan struct{}
	// Anywhere says whether any server that is able answers calls of a path.
	Anywhere func(path string) bool
	// Fail answers a call with an error, in its own protocol.
	Fail func(w http.ResponseWriter, r *http.Request, err error)
	// Transport reaches the other servers.
	Transport http.RoundTripper
	Hold      time.Duration
	MaxHeld   int
	Log       *slog.Logger
}

// Handler is safe for concurrent use.
type Handler struct {
	o    Options
	held atomic.Int64
}

// New returns a handler.
func New(o Options) *Handler {
	if o.Hold == 0 {
		o.Hold = DefaultHold
	}
	if o.MaxHeld == 0 {
		o.MaxHeld = DefaultMaxHeld
	}
	return &Handler{o: o}
}

// NewTransport returns what reaches other servers: HTTP/2 alone, so that streams go both
// ways. config is nil for servers without TLS.
func NewTransport(config *tls.Config) *http.Transport {
	var protocols http.Protocols
	protocols.SetHTTP2(config != nil)
	protocols.SetUnencryptedHTTP2(config == nil)
	return &http.Transport{
		Protocols: &protocols, TLSClientConfig: config, TLSHandshakeTimeout: 2 * time.Second, DisableCompression: true,
		DialContext: (&net.Dialer{Timeout: 2 * time.Second}).DialContext, IdleConnTimeout: time.Minute,
		HTTP2: &http.HTTP2Config{SendPingTimeout: 2 * time.Second, PingTimeout: 3 * time.Second},
	}
}

// ServeHTTP answers, or sends on.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s := h.o.Standing()
	announce(w.Header(), &s)
	switch {
	case s.Leads, s.Able && h.o.Anywhere(r.URL.Path):
		h.o.Inner.ServeHTTP(w, r)
	case r.Header.Get(hopHeader) != "":
		w.Header().Set(astrayHeader, "1")
		h.o.Fail(w, r, unavailable("this server does not lead, and another one believed that it does; try again"))
	default:
		h.send(w, r)
	}
}

// announce names the servers and, elsewhere than at the leader, the leader.
func announce(to http.Header, s *Standing) {
	if len(s.Servers) > 1 {
		to.Set(wire.ServersHeader, strings.Join(s.Servers[:min(len(s.Servers), maxServers)], ","))
	}
	if !s.Leads && s.Leader != "" {
		to.Set(wire.LeaderHeader, s.Leader)
	}
}

func unavailable(message string) error {
	return &job.Error{Code: job.Unavailable, Message: message}
}

// send sends a call to the leader, whoever that is by then.
func (h *Handler) send(w http.ResponseWriter, r *http.Request) {
	m, err := keep(r)
	if err != nil {
		h.o.Fail(w, r, unavailable("the message did not arrive whole"))
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), h.o.Hold)
	defer cancel()
	var failed string // the leader that could not be reached
	var rests time.Time
	refusal := unavailable("no server leads at the moment; try again")
	for {
		changed := h.o.Changed()
		s := h.o.Standing()
		switch {
		case s.Leads:
			h.o.Inner.ServeHTTP(w, m.again(r))
			return
		case s.Leader != "" && (s.Leader != failed || !time.Now().Before(rests)):
			again, err := h.try(w, m.again(r), s.Leader)
			if err == nil {
				return
			}
			if !m.takeBack() || !again {
				h.o.Fail(w, r, &job.Error{Code: job.Unavailable, Cause: err,
					Message: "the server that leads went away before it answered; the outcome is unknown: try again"})
				return
			}
			failed, rests = s.Leader, time.Now().Add(retryLeader)
			if !errors.Is(err, errAstray) {
				refusal = &job.Error{Code: job.Unavailable, Cause: err, Message: "this server can't reach the one that leads, " + s.Leader + "; try again"}
			}
			continue
		}
		if !h.wait(ctx, changed, rests) {
			h.o.Fail(w, r, refusal)
			return
		}
	}
}

// retryLeader is how long a leader that could not be reached, or does not lead yet, is left
// alone.
const retryLeader = 50 * time.Millisecond

// wait waits until things may stand otherwise, or until rests, if that is to come. It reports
// false when it takes too long, or too many wait already.
func (h *Handler) wait(ctx context.Context, changed <-chan struct{}, rests time.Time) bool {
	defer h.held.Add(-1)
	if h.held.Add(1) > int64(h.o.MaxHeld) {
		return false
	}
	var again <-chan time.Time
	if rest := time.Until(rests); rest > 0 {
		t := time.NewTimer(rest)
		defer t.Stop()
		again = t.C
	}
	select {
	case <-changed:
	case <-again:
	case <-ctx.Done():
		return false
	}
	return true
}

// message is a request's body. A small one can be sent twice; of another one it is known
// whether any of it has gone.
type message struct {
	kept []byte
	all  bool // kept is all of it
	body io.ReadCloser
	lent *lent // what the server that is tried has of a body that is not kept
}

func keep(r *http.Request) (*message, error) {
	m := &message{body: r.Body}
	if r.ContentLength < 0 || r.ContentLength > maxKept {
		return m, nil
	}
	var err error
	m.all = true
	m.kept, err = io.ReadAll(io.LimitReader(r.Body, maxKept+1))
	if err == nil && int64(len(m.kept)) != r.ContentLength {
		err = io.ErrUnexpectedEOF
	}
	return m, err
}

// again returns the request with its message from the beginning.
func (m *message) again(r *http.Request) *http.Request {
	q := r.Clone(r.Context())
	if m.all {
		q.Body = io.NopCloser(bytes.NewReader(m.kept))
		return q
	}
	m.lent = &lent{body: m.body}
	q.Body = m.lent
	return q
}

// takeBack says whether the message can be sent as if for the first time.
func (m *message) takeBack() bool { return m.all || m.lent.takeBack() }

// lent is a body as one server gets it.
type lent struct {
	body io.ReadCloser
	mu   sync.Mutex
	gone bool // some of it
	back bool // taken, before any had gone
}

// Read notes that some of the body has gone. A transport that has failed, and is slow to
// stop, gets nothing of what another server is sent by then.
func (l *lent) Read(p []byte) (int, error) {
	l.mu.Lock()
	if l.back {
		l.mu.Unlock()
		return 0, errAstray
	}
	l.gone = true
	l.mu.Unlock()
	return l.body.Read(p)
}

// Close ends a body of which some has gone, and with it a Read that waits for more. Of
// another one nobody has seen anything: it may be sent once more.
func (l *lent) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gone {
		return l.body.Close()
	}
	return nil
}

func (l *lent) takeBack() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.back = !l.gone
	return l.back
}

var errAstray = errors.New("it does not lead")

// try sends a call to one server. With an error nothing was answered, and again says whether
// that server has certainly not looked at it.
func (h *Handler) try(w http.ResponseWriter, r *http.Request, leader string) (again bool, err error) {
	to, err := url.Parse(leader)
	if err != nil {
		return true, err
	}
	// How long the message may take is the leader's to say.
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	proxy := httputil.ReverseProxy{
		Transport: h.o.Transport, FlushInterval: -1, ErrorLog: slog.NewLogLogger(h.o.Log.Handler(), slog.LevelDebug),
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host, p.Out.Host = to.Scheme, to.Host, to.Host
			p.Out.Header.Set(hopHeader, "1")
			if p.Out.Body != nil {
				// The proxy would keep the transport from closing it, which then waits for the
				// caller's next word after the leader has said its last.
				p.Out.Body = p.In.Body
			}
			// This server has looked at where the page is from; to the leader it is another host's.
			for _, name := range []string{"Origin", "Sec-Fetch-Site"} {
				p.Out.Header.Del(name)
			}
			if trailers, ok := p.In.Header["Te"]; ok { // gRPC asks for them
				p.Out.Header["Te"] = trailers
			}
		},
		ModifyResponse: func(resp *http.Response) error {
			if resp.Header.Get(astrayHeader) != "" {
				return errAstray
			}
			for _, name := range []string{wire.LeaderHeader, wire.ServersHeader} {
				resp.Header.Del(name)
			}
			return nil
		},
		ErrorHandler: func(_ http.ResponseWriter, _ *http.Request, failure error) { err = failure },
	}
	proxy.ServeHTTP(w, r)
	var op *net.OpError
	dialed := errors.As(err, &op) && op.Op == "dial"
	return dialed || errors.Is(err, errAstray), err
}
