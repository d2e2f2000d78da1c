package reeve

import (
	"context"
	"errors"
	"io"
	"iter"
	"math"
	"math/rand/v2"
	"time"

	"github.com/reeve-scheduler/reeve/internal/client"
)

// EventKind is what happened. Later servers may have more kinds.
type EventKind string

// The kinds of events.
const (
	// EventOpened is the first event of a watch: who reads something after it misses no
	// change of it.
	EventOpened EventKind = "opened"
	// EventResync says that events may have been missed, since the server does not
	// remember that far back: read anew what you follow.
	EventResync EventKind = "resync"

	// EventJobSubmitted is of a job that is on disk, EventJobEnded of one that has ended
	// with Event.State for good.
	EventJobSubmitted EventKind = "job_submitted"
	EventJobEnded     EventKind = "job_ended"
	// EventTaskReady: what a task needs has ended.
	EventTaskReady EventKind = "task_ready"
	// EventElementsEnded: elements have ended without an attempt of their own, such as
	// skipped ones.
	EventElementsEnded EventKind = "elements_ended"
	// EventAttemptAssigned, EventAttemptStarted and EventAttemptEnded are of an attempt; one
	// that has ended may be followed by another.
	EventAttemptAssigned EventKind = "attempt_assigned"
	EventAttemptStarted  EventKind = "attempt_started"
	EventAttemptEnded    EventKind = "attempt_ended"
	// EventCancelRequested, EventHeld and EventReleased are of a job or a task, and EventJobChanged
	// (see Client.Update) of a job: somebody asked for it.
	EventCancelRequested EventKind = "cancel_requested"
	EventHeld            EventKind = "held"
	EventReleased        EventKind = "released"
	EventJobChanged      EventKind = "job_changed"
	// EventWorkerJoined and those below are of a worker, whose name is Event.Worker. Away
	// is without a connection, for now; changed is drained, or let work again; a worker that
	// left did so in good order, and the lease of one that was lost has run out.
	EventWorkerJoined  EventKind = "worker_joined"
	EventWorkerAway    EventKind = "worker_away"
	EventWorkerChanged EventKind = "worker_changed"
	EventWorkerLeft    EventKind = "worker_left"
	EventWorkerLost    EventKind = "worker_lost"
)

// Event is one thing that happened.
type Event struct {
	Kind EventKind
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

// forever is the patience of what follows.
const forever time.Duration = math.MaxInt64

// errEnough ends a stream whose reader has broken off.
var errEnough = errors.New("reeve: enough was read")

// stream is something that is read over several connections, if need be.
type stream struct {
	c *Client
	// patience is how long it may go without moving.
	patience time.Duration
	// moved: this connection has brought something.
	moved bool
}

// run calls once, which reads over one connection from where the last one ended, until
// that ends well, fails for good, or patience or ctx end. A reader that has had enough
// is a good end.
func (s *stream) run(ctx context.Context, once func() error) error {
	wait, since := reconnectFirst, time.Now()
	for {
		s.moved = false
		err := once()
		if errors.Is(err, errEnough) {
			return nil
		}
		if s.moved {
			wait, since = reconnectFirst, time.Now()
		}
		err = fail(ctx, err)
		if err == nil || ctx.Err() != nil || !passing(err) || time.Since(since) >= s.patience {
			return err
		}
		select {
		case <-time.After(wait/2 + rand.N(wait)): //nolint:gosec // jitter, not a secret
		case <-ctx.Done():
			return ctx.Err()
		}
		wait = min(2*wait, reconnectMax)
	}
}

// passing reports whether a stream that ended so may be opened again. One that ended
// without a word was cut.
func passing(err error) bool {
	return errors.Is(err, ErrUnavailable) || errors.Is(err, ErrBusy) || errors.Is(err, io.ErrUnexpectedEOF)
}

// Watch yields what happens, in order, until ctx ends or the reader breaks off. When the
// connection is lost it connects again and goes on where it was: nothing comes twice, and
// nothing is missed unless EventResync says so, as it may after a restart of the server. An
// error is the last thing that it yields.
func (c *Client) Watch(ctx context.Context, o WatchOptions) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		w := &watcher{stream: stream{c: c, patience: forever}, o: o, yield: yield}
		namespace := ""
		if len(o.Jobs) == 0 {
			namespace = c.space(o.Namespace)
		}
		if err := w.run(ctx, func() error { return c.c.Watch(ctx, namespace, o.Jobs, w.o.Cursor, w.take) }); err != nil {
			yield(Event{}, err)
		}
	}
}

// watcher is one Watch over all its connections.
type watcher struct {
	stream

	o      WatchOptions
	yield  func(Event, error) bool
	opened bool
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
			Kind: EventKind(e.GetKind()), Time: when(e.GetTime()), Ref: e.GetRef(), Namespace: e.GetNamespace(), State: State(e.GetState()),
			Cause: e.GetCause(), Worker: e.GetWorker(), Cursor: e.GetCursor(),
		}, nil) {
			return errEnough
		}
	}
	w.o.Cursor = m.GetCursor()
	return nil
}
