package cloudblob

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// answerWait is how long the service may take to begin its answer to one request.
	answerWait = 30 * time.Second
	// maxConnections is how many requests are under way at once.
	maxConnections = 64
	// maxRefusal is how much of an answer is read that says no.
	maxRefusal = 64 << 10
)

// transport sends requests. An answer may come before all of the request was sent, as one of a
// busy service does, and then net/http goes on reading the content beside a caller that has its
// answer, and sends the same content again or puts another into its place. So once the answer is
// there nothing is read from the content any more.
type transport struct{ http.Transport }

// newTransport bounds what a request may wait for. The content of an answer may take any time, as
// long as its reader wants it.
func newTransport() *transport {
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}
	return &transport{http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext, TLSHandshakeTimeout: 10 * time.Second,
		ResponseHeaderTimeout: answerWait, MaxConnsPerHost: maxConnections, MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute,
		DisableCompression: true, ForceAttemptHTTP2: true,
	}}
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body == nil || req.Body == http.NoBody {
		return t.Transport.RoundTrip(req)
	}
	c := &content{ReadCloser: req.Body}
	defer c.release()
	sent := req.WithContext(req.Context())
	sent.Body, sent.GetBody = c, nil
	resp, err := t.Transport.RoundTrip(sent)
	if err != nil || resp.StatusCode < http.StatusMultipleChoices {
		return resp, err
	}
	// The connection goes with the content that was not sent, and what it says must be read before.
	refusal, err := io.ReadAll(io.LimitReader(resp.Body, maxRefusal))
	resp.Body.Close()
	if err != nil && len(refusal) == 0 {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(refusal))
	return resp, nil
}

// content is what is sent with a request.
type content struct {
	io.ReadCloser

	mu       sync.Mutex
	released bool
}

var errReleased = errors.New("the answer has come before all was sent")

func (c *content) Read(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.released {
		return 0, errReleased
	}
	return c.ReadCloser.Read(b)
}

func (c *content) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.released = true
}
