package client

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"sync"
	"time"

	"connectrpc.com/connect"

	"github.com/reeve-scheduler/reeve/internal/agent"
	"github.com/reeve-scheduler/reeve/internal/agent/workspace"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
	"github.com/reeve-scheduler/reeve/internal/wire"

	reevev1 "github.com/reeve-scheduler/reeve/gen/reeve/v1"
)

// chunkBytes is how much of a file one message carries.
const chunkBytes = 256 << 10

// ForAgent is the client as the agent needs it.
type ForAgent struct{ c *Client }

var _ agent.Server = ForAgent{}

// Agent returns the client as the agent needs it.
func (c *Client) Agent() ForAgent { return ForAgent{c} }

type session struct {
	c      *Client
	stream *connect.BidiStreamForClient[reevev1.SessionRequest, reevev1.SessionResponse]
	cancel context.CancelFunc
	// ended is closed once Receive has failed.
	ended chan struct{}
	end   sync.Once
}

// closeWait is how long a stream that is closed is given to bring what was sent to
// the server, which then ends it.
const closeWait = time.Second

// Session opens the worker's stream.
func (a ForAgent) Session(ctx context.Context) (agent.Session, error) {
	ctx, cancel := context.WithCancel(ctx)
	return &session{c: a.c, stream: a.c.workers.Session(ctx), cancel: cancel, ended: make(chan struct{})}, nil
}

// Send sends a message. When the stream has ended, Receive has the reason.
func (s *session) Send(m link.FromWorker) error {
	return s.c.fail(s.stream.Send(wire.FromWorkerMessage(m)))
}

// Receive waits for a message.
func (s *session) Receive() (link.ToWorker, error) {
	m, err := s.stream.Receive()
	if err != nil {
		s.end.Do(func() { close(s.ended) })
		return link.ToWorker{}, s.c.fail(err)
	}
	return wire.ToWorker(m)
}

// Close ends the stream. What was sent before still reaches the server, if that
// takes less than a second and somebody receives meanwhile.
func (s *session) Close() error {
	err := s.stream.CloseRequest()
	select {
	case <-s.ended:
	case <-time.After(closeWait):
	}
	s.cancel()
	return errors.Join(err, s.stream.CloseResponse())
}

type logStream struct {
	c      *Client
	stream *connect.BidiStreamForClient[reevev1.LogAppendRequest, reevev1.LogAppendResponse]
	cancel context.CancelFunc
}

// AppendLogs opens a stream for logs.
func (a ForAgent) AppendLogs(ctx context.Context) (agent.LogStream, error) {
	ctx, cancel := context.WithCancel(ctx)
	return &logStream{a.c, a.c.logs.Append(ctx), cancel}, nil
}

// Send sends pieces.
func (s *logStream) Send(pieces []agent.LogPiece) error {
	for i := range pieces {
		p := &pieces[i]
		if err := s.stream.Send(&reevev1.LogAppendRequest{
			Fence: uint64(p.Fence), Ref: p.Ref.String(), Offset: p.Offset, Frames: p.Frames, Seal: p.Seal, Proof: p.Proof[:],
		}); err != nil {
			return s.c.fail(err)
		}
	}
	return nil
}

// Receive waits for an answer.
func (s *logStream) Receive() ([]agent.LogAnswer, error) {
	m, err := s.stream.Receive()
	if err != nil {
		return nil, s.c.fail(err)
	}
	return []agent.LogAnswer{{Fence: link.Fence(m.GetFence()), Next: m.GetNext(), Done: m.GetDone()}}, nil
}

// Close ends the stream.
func (s *logStream) Close() error {
	err := s.stream.CloseRequest()
	s.cancel()
	return errors.Join(err, s.stream.CloseResponse())
}

// PutArtifact stores a file that an attempt leaves.
func (a ForAgent) PutArtifact(ctx context.Context, of link.Claim, path string, from io.Reader) error {
	stream := a.c.artifacts.Put(ctx)
	buf := make([]byte, chunkBytes)
	first := &reevev1.ArtifactPutRequest{Ref: of.Ref.String(), Fence: uint64(of.Fence), Path: path, Proof: of.Proof[:]}
	for {
		n, err := io.ReadFull(from, buf)
		over := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !over {
			_, _ = stream.CloseAndReceive() // without the last message nothing is kept
			return err
		}
		first.Data, first.Last = buf[:n], over
		sendErr := stream.Send(first)
		first = &reevev1.ArtifactPutRequest{}
		if err != nil || sendErr != nil {
			break // the answer has the reason
		}
	}
	_, err := stream.CloseAndReceive()
	return a.c.fail(err)
}

// ListArtifacts returns the files of a task or element.
func (a ForAgent) ListArtifacts(ctx context.Context, ref job.Ref) ([]workspace.Artifact, error) {
	files, err := a.c.Artifacts(ctx, ref.String())
	if err != nil {
		return nil, err
	}
	out := make([]workspace.Artifact, 0, len(files))
	for _, f := range files {
		of, err := job.ParseRef(f.GetRef())
		if err != nil {
			return nil, err
		}
		out = append(out, workspace.Artifact{Ref: of, Path: f.GetPath(), Size: f.GetSize()})
	}
	return out, nil
}

// Artifacts returns the files of a job, task or element.
func (c *Client) Artifacts(ctx context.Context, ref string) ([]*Artifact, error) {
	m, err := call(ctx, c, c.artifacts.List, &reevev1.ArtifactListRequest{Ref: ref})
	return m.GetArtifacts(), err
}

// GetArtifact writes a file to a writer.
func (a ForAgent) GetArtifact(ctx context.Context, ref job.Ref, path string, to io.Writer) error {
	return a.c.Artifact(ctx, ref.String(), path, to)
}

// Artifact writes a file that a task or element left to a writer.
func (c *Client) Artifact(ctx context.Context, ref, path string, to io.Writer) error {
	stream, err := c.artifacts.Get(ctx, connect.NewRequest(&reevev1.ArtifactGetRequest{Ref: ref, Path: path}))
	if err != nil {
		return c.fail(err)
	}
	defer func() { _ = stream.Close() }() // Err has told
	for stream.Receive() {
		if _, err := to.Write(stream.Msg().GetData()); err != nil {
			return err
		}
	}
	return c.fail(stream.Err())
}

// Outputs writes the outputs of a task's elements as JSON lines.
func (a ForAgent) Outputs(ctx context.Context, ref job.Ref, to io.Writer) error {
	enc := json.NewEncoder(to)
	return a.c.ElementOutputs(ctx, ref.Job.String(), ref.Task, func(e *ElementOutputs) error {
		line := struct {
			Index   *int64            `json:"index,omitempty"`
			Outputs map[string]string `json:"outputs"`
		}{Outputs: e.GetOutputs()}
		if line.Outputs == nil {
			line.Outputs = map[string]string{}
		}
		if i := e.GetIndex(); i != job.NoIndex {
			line.Index = &i
		}
		return enc.Encode(line)
	})
}

// FetchBlob writes the items of a large array to a writer.
func (a ForAgent) FetchBlob(ctx context.Context, key string, to io.Writer) error {
	stream, err := a.c.artifacts.GetItems(ctx, connect.NewRequest(&reevev1.GetItemsRequest{Blob: key}))
	if err != nil {
		return a.c.fail(err)
	}
	defer func() { _ = stream.Close() }() // Err has told
	for stream.Receive() {
		if _, err := to.Write(stream.Msg().GetData()); err != nil {
			return err
		}
	}
	return a.c.fail(stream.Err())
}
