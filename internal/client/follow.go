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
		begun := time.Now()
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
		if time.Since(begun) > reconnectMax {
			wait = lookEvery // it has worked for a while
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		wait = min(2*wait, reconnectMax)
	}
}

// FollowLogs calls fn for each piece of what ref names, as Logs does, and goes on as
// more is written until all of it has ended. It lives through restarts of the
// server, as Follow does: what was read before is not read again, and nothing is
// left out unless o.Tail is negative.
func (c *Client) FollowLogs(ctx context.Context, ref string, o LogOptions, fn func(*LogPiece) error) error {
	f := &logFollower{c: c, seen: map[string]int64{}, fn: fn}
	o.Follow = true
	wait := lookEvery
	for {
		before := f.pieces
		err := f.once(ctx, ref, o)
		switch {
		case f.refused != nil:
			return f.refused
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		}
		if code := job.CodeOf(err); code != job.Unavailable && code != job.Busy {
			return err
		}
		if f.pieces > before {
			wait = lookEvery
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
		wait = min(2*wait, reconnectMax)
	}
}

// logFollower is one FollowLogs over all its connections.
type logFollower struct {
	c    *Client
	fn   func(*LogPiece) error
	last string // the attempt that the newest piece is of
	// seen is how far each attempt was read.
	seen    map[string]int64
	pieces  int
	refused error // what fn returned
}

// once follows over one connection. One after the first begins with the rest of the
// attempt that was being read: it may not be its element's newest any more.
func (f *logFollower) once(ctx context.Context, ref string, o LogOptions) error {
	if f.last != "" {
		o.Tail = min(o.Tail, 0)
		rest := o
		rest.Tail, rest.Offset, rest.Follow = 0, f.seen[f.last], f.last == ref
		if err := f.c.Logs(ctx, f.last, rest, f.take); err != nil || rest.Follow {
			return err
		}
		o.Offset = 0
	}
	return f.c.Logs(ctx, ref, o, f.take)
}

func (f *logFollower) take(p *LogPiece) error {
	if p.GetNextOffset() <= f.seen[p.GetRef()] {
		return nil
	}
	f.seen[p.GetRef()], f.last = p.GetNextOffset(), p.GetRef()
	f.pieces++
	f.refused = f.fn(p)
	return f.refused
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
