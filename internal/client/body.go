package client

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync"
)

// errTakenBack is read by a transport that has failed, and was slow to stop.
var errTakenBack = errors.New("the message is sent to another server")

// lent is a request's body as one server's transport has it. As long as none of it has gone
// it can be taken back, and lent to another server.
type lent struct {
	body io.ReadCloser // nil when there is none, and nothing reads it

	mu     sync.Mutex
	gone   bool // some of it, or it is known to be the server's
	back   bool // taken
	closed bool
}

// lend returns a copy of a request whose body can be taken back.
func lend(req *http.Request) (*http.Request, *lent) {
	if req.Body == nil || req.Body == http.NoBody {
		l := &lent{} // it has gone with the headers, on whatever connection there was
		return req.Clone(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.gone = true
		}})), l
	}
	l, out := &lent{body: req.Body}, req.Clone(req.Context())
	out.Body = l
	if again := req.GetBody; again != nil {
		out.GetBody = func() (io.ReadCloser, error) { // for a connection that turned out to be closing
			l.mu.Lock()
			defer l.mu.Unlock()
			l.gone = true
			return again()
		}
	}
	return out, l
}

// Read notes that some of the body has gone.
func (l *lent) Read(p []byte) (int, error) {
	l.mu.Lock()
	if l.back {
		l.mu.Unlock()
		return 0, errTakenBack
	}
	l.gone = true
	l.mu.Unlock()
	return l.body.Read(p)
}

// Close closes the body, unless it may yet be taken back.
func (l *lent) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if !l.gone {
		return nil
	}
	return l.body.Close()
}

// takeBack reports whether none of the body has gone, and none will any more.
func (l *lent) takeBack() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.back = !l.gone
	return l.back
}

// handOver leaves the body to the transport of a server that has answered.
func (l *lent) handOver() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed && !l.gone {
		_ = l.body.Close() // the server did not want to read it
	}
	l.gone = true
}
