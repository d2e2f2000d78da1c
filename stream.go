package reeve

import (
	"context"
	"errors"
	"io"
	"iter"
	"math/rand/v2"
	"time"

	"github.com/reeve-scheduler/reeve/internal/client"
)

// Kinds of events that this package makes itself.
const (
	// EventOpened is the first event of a watch: who reads something after it misses no
	// change of it.
	EventOpened = "opened"
	// EventResync says that events were missed, because the watch was away for longer
	// than the server remembers: read anew what you follow.
	EventResync = "resync"
)

// Event is one thing that happened.
type Event struct {
	// Kind is EventOpened, EventResync or one of the server's: job_submitted, job_started,
	// job_ended, task_ready, task_ended, elements_ended, attempt_assigned, attempt_started,
	// attempt_ended, cancel_requested, held, released, worker_joined, worker_changed,
	// worker_lost. Later servers may have more.
	Kind string
	Time time.Time
	// Ref is the job, task, element or attempt that it happened to.
	Ref       string
	Namespace string
	State     State
	Cause     string
	Worker    string
	// Cursor is where a later watch goes on after this event.
	Cursor string
}

// WatchOptions choose what Watch yields.
type WatchOptions struct {
	// Namespace is the client's by default; "*" is all.
	Namespace string
	// Jobs restricts the watch to these, at most 1,000.
	Jobs []string
	// Cursor goes on after an event of an earlier watch; empty is from now.
	Cursor string
}

// Waits between two tries to reach a server.
const (
	reconnectFirst = 100 * time.Millisecond
	reconnectMax   = 5 * time.Second
)

// Watch yields what happens, in order, until ctx ends or the reader breaks off. When the
// connection is lost it connects again and goes on where it was, so that nothing is missed
// and nothing comes twice. An error is the last thing that it yields.
func (c *Client) Watch(ctx context.Context, o WatchOptions) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		w := &watcher{c: c, o: o, yield: yield}
		if len(o.Jobs) == 0 {
			w.namespace = c.space(o.Namespace)
		}
		wait := reconnectFirst
		for {
			w.moved = false
			err := c.c.Watch(ctx, w.namespace, o.Jobs, w.o.Cursor, w.take)
			if errors.Is(err, errEnough) {
				return
			}
			if w.moved {
				wait = reconnectFirst
			}
			err = fail(ctx, err)
			if ctx.Err() != nil || !passing(err) {
				yield(Event{}, err)
				return
			}
			select {
			case <-time.After(wait/2 + rand.N(wait)): //nolint:gosec // jitter, not a secret
			case <-ctx.Done():
				yield(Event{}, ctx.Err())
				return
			}
			wait = min(2*wait, reconnectMax)
		}
	}
}

// passing reports whether a stream that ended so may be opened again. One that ended
// without a word was cut.
func passing(err error) bool {
	return errors.Is(err, ErrUnavailable) || errors.Is(err, ErrBusy) || errors.Is(err, io.ErrUnexpectedEOF)
}

// watcher is one Watch over all its connections.
type watcher struct {
	c         *Client
	o         WatchOptions
	namespace string
	yield     func(Event, error) bool
	opened    bool
	moved     bool // this connection has said something
}

func (w *watcher) take(m *client.WatchResponse) error {
	w.moved = true
	if !w.opened {
		w.opened = true
		if !w.yield(Event{Kind: EventOpened, Time: time.Now(), Cursor: m.GetCursor()}, nil) {
			return errEnough
		}
	}
	if m.GetResync() && !w.yield(Event{Kind: EventResync, Time: time.Now(), Cursor: m.GetCursor()}, nil) {
		return errEnough
	}
	for _, e := range m.GetEvents() {
		w.o.Cursor = e.GetCursor()
		if !w.yield(Event{
			Kind: e.GetKind(), Time: when(e.GetTime()), Ref: e.GetRef(), Namespace: e.GetNamespace(), State: State(e.GetState()),
			Cause: e.GetCause(), Worker: e.GetWorker(), Cursor: e.GetCursor(),
		}, nil) {
			return errEnough
		}
	}
	w.o.Cursor = m.GetCursor()
	return nil
}

// LogOptions choose what Logs yields.
type LogOptions struct {
	// Follow goes on as more is written, until what was named has ended.
	Follow bool
	// Tail is only the last lines; 0 for all, negative for none but new ones.
	Tail int
	// Since is only what is newer.
	Since time.Time
	// Streams is "stdout", "stderr", or both if empty.
	Streams []string
	// Offset goes on in one attempt's log: LogPiece.Next of an earlier piece.
	Offset int64
}

// LogPiece is a piece of what an attempt wrote.
type LogPiece struct {
	// Attempt is the reference, such as 4217.transform.3@2.
	Attempt string
	// Stream is stdout, stderr, gap (bytes were dropped: Data is their number) or note (of
	// Reeve's own).
	Stream string
	Time   time.Time
	Data   []byte
	// Next is where the next piece begins.
	Next int64
}

// Logs yields what an attempt wrote, or the newest attempts of a job, task or element. An
// error is the last thing that it yields; when a connection was cut it is ErrUnavailable,
// and LogOptions.Offset goes on.
func (c *Client) Logs(ctx context.Context, ref string, o LogOptions) iter.Seq2[LogPiece, error] {
	return func(yield func(LogPiece, error) bool) {
		err := c.c.Logs(ctx, ref, client.LogOptions{
			Follow: o.Follow, Tail: int64(o.Tail), Since: client.Time(o.Since), Streams: o.Streams, Offset: o.Offset,
		}, func(m *client.LogPiece) error {
			if !yield(LogPiece{Attempt: m.GetRef(), Stream: m.GetStream(), Time: when(m.GetTime()), Data: m.GetData(), Next: m.GetNextOffset()}, nil) {
				return errEnough
			}
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			yield(LogPiece{}, fail(ctx, err))
		}
	}
}
