package client

import (
	"context"
	"slices"
	"time"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// Bounds of following a job.
const (
	// lookEvery is the shortest time between two looks at a job that changes fast.
	lookEvery = 100 * time.Millisecond
	// reconnectMax is the longest wait between two tries to reach the server.
	reconnectMax = 2 * time.Second
)

// Ended reports whether a job has ended.
func Ended(j *Job) bool {
	s, err := job.ParseState(j.GetState())
	return err == nil && s.Terminal()
}

// Follow calls fn with a job as it is now and after each change, until it has ended,
// and returns it then. It lives through restarts of the server: only ctx, a job
// that does not exist, and a refusal end it early. fn may be nil.
func (c *Client) Follow(ctx context.Context, id string, fn func(*Job)) (*Job, error) {
	wait := lookEvery
	for {
		j, err := c.followOnce(ctx, id, fn)
		switch {
		case err == nil:
			return j, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		}
		if code := job.CodeOf(err); code != job.Unavailable && code != job.Busy && code != job.Internal {
			return nil, err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		wait = min(2*wait, reconnectMax)
	}
}

// kindEnded is the kind of the event with which a job ends.
const kindEnded = "job_ended"

// followOnce follows over one stream.
func (c *Client) followOnce(ctx context.Context, id string, fn func(*Job)) (*Job, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	changes := make(chan struct{}, 1)
	changes <- struct{}{} // the first look is for what was before the stream began
	failed := make(chan error, 1)
	opened, over := make(chan struct{}), make(chan struct{})
	first, last := true, false
	go func() {
		failed <- c.Watch(ctx, "", []string{id}, "", func(m *WatchResponse) error {
			if first {
				first = false
				close(opened)
			}
			if !last && slices.ContainsFunc(m.GetEvents(), func(e *WatchEvent) bool { return e.GetKind() == kindEnded }) {
				last = true
				close(over)
			}
			if fn == nil && !last && !m.GetResync() {
				return nil // only the end is waited for
			}
			select {
			case changes <- struct{}{}:
			default:
			}
			return nil
		})
	}()
	select {
	case <-opened:
	case err := <-failed:
		return nil, err
	}
	for {
		select {
		case <-changes:
		case err := <-failed:
			return nil, err
		}
		j, err := c.Get(ctx, id, false)
		if err != nil {
			return nil, err
		}
		if fn != nil {
			fn(j)
		}
		if Ended(j) {
			return j, nil
		}
		select {
		case <-time.After(lookEvery):
		case <-over: // what comes now is the last that there is to see
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
