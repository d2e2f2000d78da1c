package agent

import (
	"context"

	"github.com/reeve-scheduler/reeve/internal/agent/workspace"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// Server is what an agent asks of a server. Every method may be called
// concurrently; ctx ends a call, and of streams the whole stream.
type Server interface {
	workspace.Store
	// Session opens the worker's one stream. It does not wait for the welcome.
	Session(ctx context.Context) (Session, error)
	// AppendLogs opens a stream for logs.
	AppendLogs(ctx context.Context) (LogStream, error)
}

// Session is one conversation with a server.
type Session interface {
	// Send is called by one goroutine at a time.
	Send(m link.FromWorker) error
	// Receive blocks for the next message. It is called by one goroutine, and ends
	// with an error when the session ends.
	Receive() (link.ToWorker, error)
	// Close ends the session; a blocked Send or Receive returns. What was sent before
	// reaches the server if it takes it soon. It may be called more than once.
	Close() error
}

// LogStream carries frames of many attempts' logs.
type LogStream interface {
	// Send is called by one goroutine at a time. It does not keep the pieces.
	Send(pieces []LogPiece) error
	// Receive blocks for the next answers. It is called by one goroutine, and ends
	// with an error when the stream ends.
	Receive() ([]LogAnswer, error)
	// Close ends the stream; a blocked Send or Receive returns.
	Close() error
}

// LogPiece is whole frames of an attempt's log.
type LogPiece struct {
	link.Claim
	Offset int64
	Frames []byte
	// Seal: nothing follows; the log's size is Offset and these frames.
	Seal bool
}

// LogAnswer says how far a log is kept. Each piece is answered, also one that was
// not wanted.
type LogAnswer struct {
	Fence link.Fence
	// Next is the offset to send from.
	Next int64
	// Done: nothing more is wanted of this attempt.
	Done bool
}
