package agent

import (
	"context"
	"io"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// Server is what the agent asks of a server. Every method may be called
// concurrently; ctx ends a call, and for streams the whole stream. Errors mean
// "try again", except those that trying again can't mend: whose job.CodeOf is
// job.Invalid, job.NotFound, job.Refused or job.Denied.
type Server interface {
	// Session opens the worker's one stream. It does not wait for the welcome.
	Session(ctx context.Context) (Session, error)
	// AppendLogs opens a stream for logs.
	AppendLogs(ctx context.Context) (LogStream, error)
	// PutArtifact stores one file that an attempt leaves, under a slash-separated
	// relative path. Storing it again replaces it.
	PutArtifact(ctx context.Context, fence link.Fence, ref job.Ref, path string, from io.Reader) error
	// ListArtifacts returns the files of a task or element, in any order.
	ListArtifacts(ctx context.Context, ref job.Ref) ([]Artifact, error)
	// GetArtifact writes one file to a writer.
	GetArtifact(ctx context.Context, ref job.Ref, path string, to io.Writer) error
	// Outputs writes what the elements of a task wrote to REEVE_OUTPUT as JSON
	// lines, by index: {"index":3,"outputs":{"rows":"17"}}; a task that is not an
	// array is one line without index.
	Outputs(ctx context.Context, ref job.Ref, to io.Writer) error
	// FetchBlob writes a blob.
	FetchBlob(ctx context.Context, key string, to io.Writer) error
}

// Session is one conversation with a server.
type Session interface {
	// Send is called by one goroutine at a time.
	Send(m link.FromWorker) error
	// Receive blocks for the next message. It is called by one goroutine, and ends
	// with an error when the session ends.
	Receive() (link.ToWorker, error)
	// Close ends the session; a blocked Send or Receive returns.
	Close() error
}

// LogStream carries frames of many attempts' logs.
type LogStream interface {
	// Send is called by one goroutine at a time. It does not keep the pieces.
	Send(pieces []LogPiece) error
	// Receive blocks for the next answers. It is called by one goroutine.
	Receive() ([]LogAnswer, error)
	// Close ends the stream; a blocked Send or Receive returns.
	Close() error
}

// LogPiece is whole frames of an attempt's log.
type LogPiece struct {
	Fence  link.Fence
	Ref    job.Ref
	Offset int64
	Frames []byte
	// Seal: nothing follows; the log's size is Offset and these frames.
	Seal bool
}

// LogAnswer says how far a log is kept.
type LogAnswer struct {
	Fence link.Fence
	// Next is the offset to send from.
	Next int64
	// Done: nothing more is wanted of this attempt.
	Done bool
}

// Artifact is a file that an attempt left.
type Artifact struct {
	// Ref is the element that left it.
	Ref  job.Ref
	Path string
	Size int64
}
