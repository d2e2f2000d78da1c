package client

import (
	"context"

	"connectrpc.com/connect"
)

// streams has later calls go to another server when one ends a stream since it can't go on
// with it, or is gone. Of other calls their status tells.
type streams struct{ among *servers }

// WrapUnary leaves unary calls alone.
func (*streams) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc { return next }

// WrapStreamingClient looks at how streams end.
func (s *streams) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return func(ctx context.Context, spec connect.Spec) connect.StreamingClientConn {
		return &streamEnd{StreamingClientConn: next(ctx, spec), ctx: ctx, among: s.among}
	}
}

// WrapStreamingHandler is for servers.
func (*streams) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return next
}

// streamEnd is a stream whose end is looked at.
type streamEnd struct {
	connect.StreamingClientConn

	ctx   context.Context // of the call, which the stream lives in
	among *servers
}

// Receive reads a message.
func (s *streamEnd) Receive(m any) error {
	err := s.StreamingClientConn.Receive(m)
	if err != nil && codeOf(err) == connect.CodeUnavailable && s.ctx.Err() == nil {
		if host := s.ResponseHeader().Get(answeredHeader); host != "" {
			s.among.leave(host)
		}
	}
	return err
}
