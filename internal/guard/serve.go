package guard

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// Limits of connections.
const (
	// headerTimeout is how long a TLS handshake, and the headers of a request, may
	// take; idleTimeout how long a connection may stay without one.
	headerTimeout = 10 * time.Second
	idleTimeout   = 2 * time.Minute
	// maxStreams bounds the calls and streams of one HTTP/2 connection, each of which
	// has goroutines of its own.
	maxStreams = 1000
	// maxHeader bounds the headers of a request in bytes.
	maxHeader = 64 << 10
	// pingAfter and pingTimeout find peers that are gone without a word (half-open
	// TCP) within 20 s.
	pingAfter   = 10 * time.Second
	pingTimeout = 8 * time.Second
)

// ErrStopping is the cause to end the base context of a server with: what open
// streams are told. Callers may try again.
var ErrStopping error = &job.Error{Code: job.Unavailable, Message: "the server is stopping; try again"}

// NewHTTPServer returns an HTTP server for the door's handler, HTTP/1.1 and HTTP/2,
// that is bounded in what one peer can take from it. plain allows HTTP/2 without
// TLS. Calls live in base: they end when it does.
func NewHTTPServer(base context.Context, handler http.Handler, plain bool, log *slog.Logger) *http.Server {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(plain)
	return &http.Server{
		Handler: handler, Protocols: &protocols, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		HTTP2:       &http.HTTP2Config{MaxConcurrentStreams: maxStreams, SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
		BaseContext: func(net.Listener) context.Context { return base },
		ErrorLog:    slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}
