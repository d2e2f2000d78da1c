// Package client speaks to a server for everybody who does: the command line, the
// SDK and the agent. It retries what may be retried and turns errors into the
// domain's.
package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/trust"

	reevev1 "github.com/reeve-scheduler/reeve/gen/reeve/v1"
	"github.com/reeve-scheduler/reeve/gen/reeve/v1/reevev1connect"
)

// Messages of the API, under the names by which the rest of the program knows them.
type (
	Job            = reevev1.Job
	Task           = reevev1.Task
	Counts         = reevev1.Counts
	Element        = reevev1.Element
	Attempt        = reevev1.Attempt
	Queue          = reevev1.Queue
	Pool           = reevev1.Pool
	Reservation    = reevev1.Reservation
	Namespace      = reevev1.Namespace
	ConcurrencyKey = reevev1.ConcurrencyKey
	KeyUser        = reevev1.KeyUser
	Worker         = reevev1.Worker
	Server         = reevev1.Server
	Servers        = reevev1.ServerServiceListResponse
	Finalized      = reevev1.FinalizeResponse
	Token          = reevev1.Token
	Status         = reevev1.StatusResponse
	Explanation    = reevev1.ExplainResponse
	Reason         = reevev1.Reason
	Change         = reevev1.Change
	Plan           = reevev1.PlanResponse
	PlannedTask    = reevev1.PlannedTask
	WatchEvent     = reevev1.WatchEvent
	WatchResponse  = reevev1.WatchResponse
	LogPiece       = reevev1.LogReadResponse
	SubmitRequest  = reevev1.SubmitRequest
	SubmitItem     = reevev1.SubmitItem
	SubmittedJob   = reevev1.SubmittedJob
	ListRequest    = reevev1.ListRequest
	ListResponse   = reevev1.ListResponse
	CancelRequest  = reevev1.CancelRequest
	CancelResponse = reevev1.CancelResponse
	UpdateRequest  = reevev1.UpdateRequest
	UpdateResponse = reevev1.UpdateResponse
	Artifact       = reevev1.Artifact
	NewToken       = reevev1.TokenServiceCreateRequest
	CreatedToken   = reevev1.TokenServiceCreateResponse
	ElementOutputs = reevev1.ElementOutputs
	// Message is any of them, Timestamp a moment in one: see Time.
	Message   = proto.Message
	Timestamp = timestamppb.Timestamp
)

// Options of a client.
type Options struct {
	// Address is http://host:port for a server without TLS, https://host:port with.
	// A bare host:port means https. Of several servers any number may be named, separated
	// by commas: whichever answers will do, and it names the others.
	Address string
	// Token is the credential, empty for none.
	Token string
	// TLS says how to know the server at host:port; nil means the system's roots.
	TLS func(host string) (*tls.Config, error)
	// Patience is how long unavailable or busy servers are tried again, negative for not
	// at all. 0 is for people at a terminal: DefaultPatience, but a second only while
	// nothing listens at any address.
	Patience time.Duration
	// UserAgent names the program.
	UserAgent string
}

const (
	// DefaultPatience is how long a call tries again.
	DefaultPatience = 15 * time.Second
	// startPatience is how long it does while nothing listens at the address: long
	// enough for a server that was started just before, and not too long for a
	// person who forgot to.
	startPatience = time.Second
)

// Client is a connection to a server. It may be used concurrently.
type Client struct {
	// Address is what was connected to, as URLs separated by commas.
	Address string

	http         *http.Client
	jobs         reevev1connect.JobServiceClient
	queues       reevev1connect.QueueServiceClient
	namespaces   reevev1connect.NamespaceServiceClient
	limits       reevev1connect.LimitServiceClient
	pools        reevev1connect.PoolServiceClient
	reservations reevev1connect.ReservationServiceClient
	workers      reevev1connect.WorkerServiceClient
	servers      reevev1connect.ServerServiceClient
	tokens       reevev1connect.TokenServiceClient
	health       reevev1connect.HealthServiceClient
	watch        reevev1connect.WatchServiceClient
	logs         reevev1connect.LogServiceClient
	artifacts    reevev1connect.ArtifactServiceClient
}

// Timeouts of a connection.
const (
	dialTimeout = 5 * time.Second
	// pingAfter and pingTimeout find connections that are dead without a word
	// (half-open TCP) within 20 s.
	pingAfter   = 10 * time.Second
	pingTimeout = 8 * time.Second
)

// New returns a client. It does not connect yet.
func New(o Options) (*Client, error) {
	bases, err := parseAddresses(o.Address)
	if err != nil {
		return nil, err
	}
	base := bases[0]
	among := newServers(bases, o.TLS)
	for _, host := range among.given { // a file that can't be read is to be told now
		if _, err := among.transport(way{host: host}); err != nil {
			return nil, err
		}
	}
	hc := &http.Client{Transport: among}
	refused := o.Patience
	if o.Patience == 0 {
		o.Patience, refused = DefaultPatience, startPatience
	}
	opts := []connect.ClientOption{connect.WithInterceptors(&header{o.Token, o.UserAgent}, &streams{among}, retry(o.Patience, refused, among.count))}
	// To compress what a session says costs the server more than to decide it.
	plain := connect.WithAcceptCompression("gzip", nil, nil)
	return &Client{
		Address: strings.Join(bases, ","), http: hc,
		jobs:         reevev1connect.NewJobServiceClient(hc, base, opts...),
		queues:       reevev1connect.NewQueueServiceClient(hc, base, opts...),
		namespaces:   reevev1connect.NewNamespaceServiceClient(hc, base, opts...),
		limits:       reevev1connect.NewLimitServiceClient(hc, base, opts...),
		pools:        reevev1connect.NewPoolServiceClient(hc, base, opts...),
		reservations: reevev1connect.NewReservationServiceClient(hc, base, opts...),
		workers:      reevev1connect.NewWorkerServiceClient(hc, base, append(slices.Clip(opts), plain)...),
		servers:      reevev1connect.NewServerServiceClient(hc, base, opts...),
		tokens:       reevev1connect.NewTokenServiceClient(hc, base, opts...),
		health:       reevev1connect.NewHealthServiceClient(hc, base, opts...),
		watch:        reevev1connect.NewWatchServiceClient(hc, base, opts...),
		logs:         reevev1connect.NewLogServiceClient(hc, base, opts...),
		artifacts:    reevev1connect.NewArtifactServiceClient(hc, base, opts...),
	}, nil
}

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

func parseAddress(address string) (string, error) {
	if !strings.Contains(address, "://") {
		address = "https://" + address
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.Path != "" && u.Path != "/" {
		return "", fmt.Errorf("address %q: want http://host:port or https://host:port", address)
	}
	return u.Scheme + "://" + u.Host, nil
}

// parseAddresses returns the base URLs of addresses that are separated by commas: all with
// TLS, or none.
func parseAddresses(addresses string) (bases []string, err error) {
	for address := range strings.SplitSeq(addresses, ",") {
		base, err := parseAddress(strings.TrimSpace(address))
		if err != nil {
			return nil, err
		}
		if len(bases) > 0 && strings.HasPrefix(base, "https:") != strings.HasPrefix(bases[0], "https:") {
			return nil, fmt.Errorf("addresses %q: want all of them with https, or all with http", addresses)
		}
		bases = append(bases, base)
	}
	if len(bases) > maxServers {
		return nil, fmt.Errorf("%d addresses: want at most %d", len(bases), maxServers)
	}
	return bases, nil
}

// header puts the credential and the program's name on every call.
type header struct{ token, agent string }

func (h *header) set(to http.Header) {
	if h.token != "" {
		to.Set("Authorization", "Bearer "+h.token)
	}
	if h.agent != "" {
		to.Set("User-Agent", h.agent)
	}
}

// WrapUnary sets the headers of a unary call.
func (h *header) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
		h.set(req.Header())
		return next(ctx, req)
	}
}

// WrapStreamingClient sets the headers of a stream.
func (h *header) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return func(ctx context.Context, spec connect.Spec) connect.StreamingClientConn {
		conn := next(ctx, spec)
		h.set(conn.RequestHeader())
		return conn
	}
}

// WrapStreamingHandler is for servers.
func (h *header) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return next
}

// repeats reports whether a call whose outcome is unknown may be made again. What
// makes something may not, unless a key tells the server that it is the same.
func repeats(req any) bool {
	switch q := req.(type) {
	case *reevev1.SubmitRequest:
		for _, item := range q.GetItems() {
			if item.GetIdempotencyKey() == "" {
				return false
			}
		}
		return len(q.GetItems()) > 0
	case *reevev1.RetryRequest:
		return q.GetIdempotencyKey() != ""
	case *reevev1.TokenServiceCreateRequest, *reevev1.QueueServiceCreateRequest, *reevev1.NamespaceServiceCreateRequest:
		return false
	}
	return true
}

// unsent reports whether a call has not reached a server at all.
func unsent(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

// busy reports whether a server wants to be asked again later, and how much later.
// Without the header it is a message that is too large, and will be.
func busy(err error) (after time.Duration, ok bool) {
	e, ok := errors.AsType[*connect.Error](err)
	if !ok || e.Code() != connect.CodeResourceExhausted {
		return 0, false
	}
	seconds, err := strconv.ParseUint(e.Meta().Get("Retry-After"), 10, 16)
	return time.Duration(seconds) * time.Second, err == nil
}

// retry repeats unary calls that an unavailable or busy server did not answer, no sooner
// than the server asks for, with jitter, so that those who were refused together do not come
// back together; until patience runs out. refused is the patience while nothing listens at
// any address. A server that hangs may use all of it up: each of those that there are is tried.
func retry(patience, refused time.Duration, servers func() int) connect.UnaryInterceptorFunc {
	return func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
			begin := time.Now()
			tries := 0
			for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
				resp, err := next(ctx, req)
				tries++
				code := codeOf(err)
				// A server that is stopping may cancel what it has not answered.
				after, again := busy(err)
				again = again || (code == connect.CodeUnavailable || code == connect.CodeCanceled && ctx.Err() == nil) &&
					(unsent(err) || repeats(req.Any()))
				limit := patience
				if err != nil && unreachable(err) {
					limit = refused
				}
				if err == nil || !again || errors.Is(err, trust.ErrUntrusted) {
					return resp, err
				}
				hung := after == 0 && patience >= 0 && tries < servers()
				if !hung && time.Since(begin)+max(wait, after) > limit {
					return resp, err
				}
				pause := rand.N(wait) + wait/2
				if after > 0 {
					pause = after + rand.N(max(wait, after))
				}
				select {
				case <-time.After(pause):
				case <-ctx.Done():
					return nil, err
				}
			}
		}
	}
}

// unreachable reports whether nothing listens at the address at all.
func unreachable(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

// broken reports whether the connection broke in the middle of an answer, which
// connect calls an internal or unknown error: by the cause, which HTTP/2 has no value
// for when it closes a connection itself, or by connect's own words.
func broken(err error) bool {
	code := connect.CodeOf(err)
	if code != connect.CodeInternal && code != connect.CodeUnknown || connect.IsWireError(err) {
		return false
	}
	return errors.Is(err, io.ErrUnexpectedEOF) || bodiless(err) || strings.Contains(err.Error(), "incomplete envelope") || strings.Contains(err.Error(), "http2: client connection") ||
		strings.Contains(err.Error(), "stream error: stream ID") // a server in between lost the one behind it
}

// bodiless reports whether an answer said that the call failed, and broke before it said
// why: then connect has nothing to tell but the status.
func bodiless(err error) bool {
	e, ok := errors.AsType[*connect.Error](err)
	if !ok {
		return false
	}
	number, text, _ := strings.Cut(e.Message(), " ")
	status, err := strconv.Atoi(number)
	return err == nil && status >= 400 && text == http.StatusText(status)
}

// codeOf is a call's code: unavailable when its connection broke.
func codeOf(err error) connect.Code {
	if err != nil && broken(err) {
		return connect.CodeUnavailable
	}
	return connect.CodeOf(err)
}

var codes = map[connect.Code]job.Code{
	connect.CodeInvalidArgument: job.Invalid, connect.CodeNotFound: job.NotFound, connect.CodeAlreadyExists: job.Exists,
	connect.CodeFailedPrecondition: job.Refused, connect.CodePermissionDenied: job.Denied, connect.CodeUnauthenticated: job.Unauthenticated,
	connect.CodeResourceExhausted: job.Busy, connect.CodeUnavailable: job.Unavailable, connect.CodeCanceled: job.Unavailable,
	connect.CodeDeadlineExceeded: job.Unavailable,
}

// network says what is wrong between here and the server, and what to do.
func (c *Client) network(e *connect.Error, text string) string {
	address := c.Address
	if u, ok := errors.AsType[*unreached](e); ok {
		if len(u.tries) > 1 {
			return several(e, u)
		}
		address, text = u.scheme+"://"+u.tries[0].host, reason(u.tries[0].err)
	} else if op, ok := errors.AsType[*net.OpError](e); ok {
		text = reason(op)
	}
	switch {
	case e.Code() == connect.CodeUnimplemented:
		return fmt.Sprintf("what answers at %s is no Reeve server, or one of another version: %s; see --addr and REEVE_ADDR", address, text)
	case errors.Is(e, trust.ErrUntrusted):
		return fmt.Sprintf("the server at %s is not called: %s", address, text)
	case e.Code() != connect.CodeUnavailable:
		return text
	case strings.Contains(text, "gave HTTP response to HTTPS client"):
		host := strings.TrimPrefix(address, "https://")
		return fmt.Sprintf("the server at %s speaks no TLS; the address of a development server is http://%s (--addr, REEVE_ADDR)", address, host)
	}
	if strings.Contains(text, "can't be trusted") {
		return fmt.Sprintf("the server at %s is not known: %s (--ca, REEVE_CA)", address, text)
	}
	if host, plain := strings.CutPrefix(address, "http://"); plain && (strings.HasSuffix(text, "EOF") || strings.Contains(text, "connection reset")) {
		return fmt.Sprintf("what answers at %s hung up: %s; if it speaks TLS its address is https://%s (--addr, REEVE_ADDR)", address, text, host)
	}
	return fmt.Sprintf("no server answers at %s: %s; start one (reeve server --dev), or say where it is (--addr, REEVE_ADDR)", address, text)
}

// several says what is wrong with each of several servers.
func several(e *connect.Error, each *unreached) string {
	if errors.Is(e, trust.ErrUntrusted) {
		return fmt.Sprintf("none of the servers is called: %s (--ca, REEVE_CA)", each)
	}
	return fmt.Sprintf("no server answers: %s; start one, or say where they are (--addr, REEVE_ADDR)", each)
}

// fail turns a call's error into the domain's, with a remedy where the network is
// to blame.
func (c *Client) fail(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	var e *connect.Error
	if !errors.As(err, &e) {
		return err
	}
	code, known := codes[codeOf(err)]
	if !known {
		code = job.Internal
	}
	text := e.Message()
	switch local := !connect.IsWireError(err); {
	case e.Code() == connect.CodeDeadlineExceeded:
		err = errors.Join(context.DeadlineExceeded, err)
	case local && e.Code() == connect.CodeInternal && strings.Contains(text, "invalid UTF-8"):
		code, text = job.Invalid, "the request has text that is not UTF-8; ids, names, labels, keys and reasons must be"
	case broken(err):
		text = fmt.Sprintf("the connection to %s broke before the answer was complete: %s; try again", c.Address, text)
	case local:
		text = c.network(e, text)
	}
	return &job.Error{Code: code, Message: text, Cause: err}
}
