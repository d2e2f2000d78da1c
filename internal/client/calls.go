package client

import (
	"context"
	"errors"
	"io"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	reevev1 "github.com/reeve-scheduler/reeve/gen/reeve/v1"
)

// call makes a unary call and unwraps its answer.
func call[Q, A any](ctx context.Context, c *Client, fn func(context.Context, *connect.Request[Q]) (*connect.Response[A], error), q *Q) (*A, error) {
	resp, err := fn(ctx, connect.NewRequest(q))
	if err != nil {
		return nil, c.fail(err)
	}
	return resp.Msg, nil
}

// Submit submits a spec and its items. Give items keys, so that a repeated call
// can't make jobs twice.
func (c *Client) Submit(ctx context.Context, q *SubmitRequest) ([]*SubmittedJob, error) {
	a, err := call(ctx, c, c.jobs.Submit, q)
	return a.GetJobs(), err
}

// Get returns a job with its tasks, and its spec if asked for.
func (c *Client) Get(ctx context.Context, id string, spec bool) (*Job, error) {
	a, err := call(ctx, c, c.jobs.Get, &reevev1.GetRequest{Id: id, Spec: spec})
	return a.GetJob(), err
}

// List returns a page of jobs, newest first.
func (c *Client) List(ctx context.Context, q *ListRequest) (*ListResponse, error) {
	return call(ctx, c, c.jobs.List, q)
}

// Elements returns a page of a task's elements and the next page's token.
func (c *Client) Elements(ctx context.Context, id, task string, states []string, page int32, token string) ([]*Element, string, error) {
	a, err := call(ctx, c, c.jobs.ListElements, &reevev1.ListElementsRequest{Id: id, Task: task, States: states, PageSize: page, PageToken: token})
	return a.GetElements(), a.GetNextPageToken(), err
}

// Attempts returns the attempts of an element, oldest first.
func (c *Client) Attempts(ctx context.Context, ref string) ([]*Attempt, error) {
	a, err := call(ctx, c, c.jobs.ListAttempts, &reevev1.ListAttemptsRequest{Ref: ref})
	return a.GetAttempts(), err
}

// Cancel stops a job, a task or elements.
func (c *Client) Cancel(ctx context.Context, q *CancelRequest) (*CancelResponse, error) {
	return call(ctx, c, c.jobs.Cancel, q)
}

// Hold keeps what has not started of a job, or of a task of it, from starting.
func (c *Client) Hold(ctx context.Context, id, task string) error {
	_, err := call(ctx, c, c.jobs.Hold, &reevev1.HoldRequest{Id: id, Task: task})
	return err
}

// Release ends a hold.
func (c *Client) Release(ctx context.Context, id, task string) error {
	_, err := call(ctx, c, c.jobs.Release, &reevev1.ReleaseRequest{Id: id, Task: task})
	return err
}

// Update changes a job's priority or queue, or puts it to the front.
func (c *Client) Update(ctx context.Context, q *UpdateRequest) (*UpdateResponse, error) {
	return call(ctx, c, c.jobs.Update, q)
}

// Retry submits a finished job again and returns the new job's id.
func (c *Client) Retry(ctx context.Context, id string, all bool, key string) (string, error) {
	a, err := call(ctx, c, c.jobs.Retry, &reevev1.RetryRequest{Id: id, All: all, IdempotencyKey: key})
	return a.GetId(), err
}

// Plan says what would happen if a job were submitted now, and submits nothing.
func (c *Client) Plan(ctx context.Context, q *SubmitRequest) (*Plan, error) {
	return call(ctx, c, c.jobs.Plan, &reevev1.PlanRequest{Submit: q})
}

// Explain says why a job, task or element waits.
func (c *Client) Explain(ctx context.Context, ref string) (*Explanation, error) {
	return call(ctx, c, c.jobs.Explain, &reevev1.ExplainRequest{Ref: ref})
}

// ElementOutputs calls fn for the outputs of each of a task's elements, by index.
func (c *Client) ElementOutputs(ctx context.Context, id, task string, fn func(*ElementOutputs) error) error {
	stream, err := c.jobs.Outputs(ctx, connect.NewRequest(&reevev1.OutputsRequest{Id: id, Task: task}))
	if err != nil {
		return c.fail(err)
	}
	defer func() { _ = stream.Close() }() // Err has told
	for stream.Receive() {
		for _, e := range stream.Msg().GetElements() {
			if err := fn(e); err != nil {
				return err
			}
		}
	}
	return c.fail(stream.Err())
}

// Workers returns the workers.
func (c *Client) Workers(ctx context.Context) ([]*Worker, error) {
	a, err := call(ctx, c, c.workers.List, &reevev1.WorkerServiceListRequest{})
	return a.GetWorkers(), err
}

// Drain keeps new work from a worker and returns how many attempts it still holds.
func (c *Client) Drain(ctx context.Context, worker string, stop bool) (int, error) {
	a, err := call(ctx, c, c.workers.Drain, &reevev1.DrainRequest{Worker: worker, Stop: stop})
	return int(a.GetRunning()), err
}

// Undrain ends a drain.
func (c *Client) Undrain(ctx context.Context, worker string) error {
	_, err := call(ctx, c, c.workers.Undrain, &reevev1.UndrainRequest{Worker: worker})
	return err
}

// CreateToken makes a token; its secret is in the answer and nowhere else.
func (c *Client) CreateToken(ctx context.Context, q *NewToken) (*CreatedToken, error) {
	return call(ctx, c, c.tokens.Create, q)
}

// Tokens returns the tokens, without secrets.
func (c *Client) Tokens(ctx context.Context) ([]*Token, error) {
	a, err := call(ctx, c, c.tokens.List, &reevev1.TokenServiceListRequest{})
	return a.GetTokens(), err
}

// RevokeToken ends a token, by id or name.
func (c *Client) RevokeToken(ctx context.Context, id string) error {
	_, err := call(ctx, c, c.tokens.Revoke, &reevev1.TokenServiceRevokeRequest{Id: id})
	return err
}

// Servers returns the servers that share the store, and their format.
func (c *Client) Servers(ctx context.Context) (*Servers, error) {
	return call(ctx, c, c.servers.List, &reevev1.ServerServiceListRequest{})
}

// Finalize raises the format that the servers write, and says from what to what.
func (c *Client) Finalize(ctx context.Context) (*Finalized, error) {
	return call(ctx, c, c.servers.Finalize, &reevev1.FinalizeRequest{})
}

// Status describes the server.
func (c *Client) Status(ctx context.Context) (*Status, error) {
	return call(ctx, c, c.health.Status, &reevev1.StatusRequest{})
}

// Check reports whether the server lives.
func (c *Client) Check(ctx context.Context) error {
	_, err := call(ctx, c, c.health.Check, &reevev1.CheckRequest{})
	return err
}

// Watch calls fn for each message of a watch until fn or the stream fails. jobs
// restricts it to those, cursor resumes an earlier one.
func (c *Client) Watch(ctx context.Context, namespace string, jobs []string, cursor string, fn func(*WatchResponse) error) error {
	stream, err := c.watch.Watch(ctx, connect.NewRequest(&reevev1.WatchRequest{Namespace: namespace, Jobs: jobs, Cursor: cursor}))
	if err != nil {
		return c.fail(err)
	}
	defer func() { _ = stream.Close() }() // Err has told
	for stream.Receive() {
		if err := fn(stream.Msg()); err != nil {
			return err
		}
	}
	if err := stream.Err(); err != nil {
		return c.fail(err)
	}
	return io.ErrUnexpectedEOF
}

// LogOptions choose what Logs yields.
type LogOptions struct {
	Follow  bool
	Tail    int64
	Since   *timestamppb.Timestamp
	Streams []string
	Offset  int64
}

// Logs calls fn for each piece of what ref names: an attempt's log, or those of the
// newest attempts of a job, task or element.
func (c *Client) Logs(ctx context.Context, ref string, o LogOptions, fn func(*LogPiece) error) error {
	stream, err := c.logs.Read(ctx, connect.NewRequest(&reevev1.LogReadRequest{
		Ref: ref, Follow: o.Follow, Tail: o.Tail, Since: o.Since, Streams: o.Streams, Offset: o.Offset,
	}))
	if err != nil {
		return c.fail(err)
	}
	defer func() { _ = stream.Close() }() // Err has told
	for stream.Receive() {
		if err := fn(stream.Msg()); err != nil {
			return err
		}
	}
	return c.fail(stream.Err())
}

// PutItems stores the items of a large array, JSON strings one a line, and returns
// the blob's key and their number for the job file.
func (c *Client) PutItems(ctx context.Context, from io.Reader) (string, int64, error) {
	stream := c.artifacts.PutItems(ctx)
	buf := make([]byte, chunkBytes)
	for over := false; !over; {
		n, err := io.ReadFull(from, buf)
		over = errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !over {
			_, _ = stream.CloseAndReceive() // without the last message nothing is kept
			return "", 0, err
		}
		if err := stream.Send(&reevev1.PutItemsRequest{Data: buf[:n], Last: over}); err != nil {
			break // the answer has the reason
		}
	}
	resp, err := stream.CloseAndReceive()
	if err != nil {
		return "", 0, c.fail(err)
	}
	return resp.Msg.GetBlob(), resp.Msg.GetCount(), nil
}

// File is a job file's text as the source of a SubmitRequest.
func File(text []byte) *reevev1.SubmitRequest_File {
	return &reevev1.SubmitRequest_File{File: string(text)}
}
