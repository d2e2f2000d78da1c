package session

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// Leader is what a session asks of the leader.
type Leader interface {
	Do(ctx context.Context, c core.Command) (any, error)
	// Post has a command decided without waiting for it.
	Post(c core.Command) error
	Heard(worker uint64)
	Lease() time.Duration
	// Holds says whether the leader is certain to lead still. While it is not, nothing is
	// said to workers that lengthens their leases.
	Holds() bool
	// Position is the generation, the durable sequence, and the projected one.
	Position() (generation, durable, projected uint64)
}

// Stream is a worker's connection. Send and Receive are each called from one
// goroutine at a time.
type Stream interface {
	Send(link.ToWorker) error
	Receive() (link.FromWorker, error)
}

// maxOutbox is how many messages may wait for a worker. A worker that does not
// take them is disconnected; when it is back both sides compare what they hold.
const maxOutbox = 16_384

// leapRest is how long a worker's word that history was lost is not taken again: each time
// costs a range of ids.
const leapRest = time.Minute

// Hub holds the open sessions, by worker. It is the leader's outbox. All methods
// may be called concurrently.
type Hub struct {
	log      *slog.Logger
	mu       sync.Mutex
	sessions map[uint64]*outbox
	leapt    time.Time
}

// NewHub returns a hub without sessions.
func NewHub(log *slog.Logger) *Hub {
	return &Hub{log: log, sessions: map[uint64]*outbox{}}
}

// outbox is what waits for one session, from the moment at which its hello is decided.
type outbox struct {
	session uint64
	wake    chan struct{} // with room for one

	mu     sync.Mutex
	msgs   []link.ToWorker
	ended  error                   // why the session must end
	cancel context.CancelCauseFunc // nil until its session claims it
}

var (
	errReplaced = errors.New("the worker has opened another session")
	errSlow     = errors.New("the worker takes its messages too slowly")
	errDeposed  = errors.New("this server does not lead any more")
)

// Deliver queues messages for a worker. Without a session they are dropped: the
// next session begins with a comparison.
func (h *Hub) Deliver(worker uint64, msgs []link.ToWorker) {
	h.mu.Lock()
	o := h.sessions[worker]
	h.mu.Unlock()
	if o != nil {
		o.put(msgs)
	}
}

func (o *outbox) put(msgs []link.ToWorker) {
	o.mu.Lock()
	over := len(o.msgs)+len(msgs) > maxOutbox
	if !over {
		o.msgs = append(o.msgs, msgs...)
	}
	o.mu.Unlock()
	if over {
		o.end(errSlow)
		return
	}
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

func (o *outbox) take() []link.ToWorker {
	o.mu.Lock()
	defer o.mu.Unlock()
	msgs := o.msgs
	o.msgs = nil
	return msgs
}

// Connected reports whether a worker has an open session.
func (h *Hub) Connected(worker uint64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sessions[worker] != nil
}

// end has the session of an outbox end.
func (o *outbox) end(why error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended = why; o.cancel != nil {
		o.cancel(why)
	}
}

// Opened puts a session in the place of the one that its worker had before. The session
// itself learns of it a moment later; what is delivered meanwhile waits for it.
func (h *Hub) Opened(worker, session uint64) {
	o := &outbox{session: session, wake: make(chan struct{}, 1)}
	h.mu.Lock()
	old := h.sessions[worker]
	h.sessions[worker] = o
	h.mu.Unlock()
	if old != nil {
		old.end(errReplaced)
	}
}

// CloseAll ends every session: the leader that they belong to leads no more. Workers
// connect again, to whoever leads then.
func (h *Hub) CloseAll() {
	h.mu.Lock()
	all := h.sessions
	h.sessions = map[uint64]*outbox{}
	h.mu.Unlock()
	for _, o := range all {
		o.end(errDeposed)
	}
}

// claim gives a session its outbox. cancel ends the session when another one takes its
// place, or has done so already.
func (h *Hub) claim(w core.Welcomed, cancel context.CancelCauseFunc) (*outbox, error) {
	h.mu.Lock()
	o := h.sessions[w.Worker]
	h.mu.Unlock()
	if o == nil || o.session != w.Session {
		return nil, errReplaced
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.cancel = cancel
	return o, o.ended
}

func (h *Hub) unregister(worker uint64, o *outbox) (last bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sessions[worker] != o {
		return false
	}
	delete(h.sessions, worker)
	return true
}

// Serve runs one session until the stream or ctx ends. It returns nil when the
// worker closed the stream in good order.
func (h *Hub) Serve(ctx context.Context, leader Leader, payloads Payloads, stream Stream) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s := &serving{
		hub: h, leader: leader, payloads: reading{from: payloads}, stream: stream, machine: NewMachine(leader.Lease()), cancel: cancel, box: &outbox{},
	}
	received := make(chan link.FromWorker, 64)
	go receive(ctx, stream, received, cancel)
	err := s.run(ctx, received)
	s.end()
	return err
}

func receive(ctx context.Context, stream Stream, to chan<- link.FromWorker, cancel context.CancelCauseFunc) {
	for {
		msg, err := stream.Receive()
		if err != nil {
			cancel(err)
			return
		}
		select {
		case to <- msg:
		case <-ctx.Done():
			return
		}
	}
}

// serving is one session at work.
type serving struct {
	hub      *Hub
	leader   Leader
	payloads reading
	stream   Stream
	machine  *Machine
	cancel   context.CancelCauseFunc
	box      *outbox // empty until the hello is decided
}

func (s *serving) run(ctx context.Context, received <-chan link.FromWorker) error {
	for {
		var e Event
		select {
		case msg := <-received:
			e.From = &msg
			// An answered beat lets the worker start what it holds, so that it first
			// hears what it should not hold any more.
			if done, err := s.deliver(ctx, s.box.take()); done || err != nil {
				return err
			}
		case <-s.box.wake:
			if done, err := s.deliver(ctx, s.box.take()); done || err != nil {
				return err
			}
			continue
		case <-ctx.Done():
			return s.rest(ctx, received)
		}
		if done, err := s.step(ctx, e); done || err != nil {
			return err
		}
	}
}

// rest takes what had been received before the stream ended, such as the worker's
// goodbye.
func (s *serving) rest(ctx context.Context, received <-chan link.FromWorker) error {
	why := context.Cause(ctx)
	for !errors.Is(why, errReplaced) && !errors.Is(why, errSlow) && !errors.Is(why, errDeposed) {
		select {
		case msg := <-received:
			if done, err := s.step(ctx, Event{From: &msg}); done || err != nil {
				return why
			}
		default:
			return why
		}
	}
	return why
}

func (s *serving) step(ctx context.Context, e Event) (done bool, err error) {
	if e.From != nil && e.From.Beat != nil && !s.leader.Holds() {
		return false, nil // the worker sends another
	}
	generation, durable, _ := s.leader.Position()
	for _, a := range s.machine.Step(Position{generation, durable}, e) {
		switch {
		case a.Send != nil:
			if stop := a.Send.Stop; stop != nil && stop.Forget {
				s.hub.log.Warn("a worker has an attempt that is not known here, and is to end it", "worker", s.machine.Worker(), "fence", stop.Fence)
			}
			err = s.stream.Send(*a.Send)
		case a.Heard != 0:
			s.leader.Heard(a.Heard)
		case a.Do != nil:
			err = s.do(ctx, a.Do)
		case a.Close != "":
			s.hub.log.Warn("a worker's session was closed", "reason", a.Close)
			return true, s.stream.Send(link.ToWorker{Goodbye: a.Close})
		}
		if err != nil {
			return false, err
		}
	}
	return false, nil
}

func (s *serving) do(ctx context.Context, c core.Command) error {
	hello, ok := c.(core.WorkerHello)
	if !ok {
		// What a worker reports it repeats, and what it holds it sends with each beat:
		// nothing is lost by not waiting, nor by letting go of this session on an error.
		return s.leader.Post(c)
	}
	s.checkPast(ctx, &hello.Hello)
	// Once the hello is decided the worker counts as being here, so that a stream that
	// breaks meanwhile must not keep its end from being told.
	reply, err := s.leader.Do(context.WithoutCancel(ctx), c)
	if err != nil {
		if _, sendErr := s.step(ctx, Event{JoinErr: errors.New(Refused(err))}); sendErr != nil {
			return sendErr
		}
		return errRefused
	}
	w := reply.(core.Welcomed)
	if s.box, err = s.hub.claim(w, s.cancel); err != nil {
		return err // a later session of the worker has begun
	}
	_, err = s.step(ctx, Event{Joined: &w}) // the welcome goes out before anything else
	return err
}

// maxAhead bounds how many generations a worker's word can skip.
const maxAhead = 1000

// checkPast notices a database that went back in time: a worker has heard of what this
// server does not have. Ids that were given out in what was lost must not be given out
// again, so another generation begins.
func (s *serving) checkPast(ctx context.Context, h *link.Hello) {
	generation, durable, _ := s.leader.Position()
	if h.Generation < generation || h.Generation == generation && h.Seq <= durable || h.Generation > generation+maxAhead {
		return
	}
	s.hub.log.Error("this server has lost its past: a worker has heard of more than its journal holds; was its database restored from a backup?",
		"worker", h.Name, "heard", h.Seq, "generation", h.Generation, "journal", durable, "ours", generation)
	if !s.hub.mayLeap(time.Now()) {
		return
	}
	if _, err := s.leader.Do(context.WithoutCancel(ctx), core.Leap{Generation: h.Generation + 1}); err != nil {
		s.hub.log.Error("another generation could not be begun", "error", err)
	}
}

func (h *Hub) mayLeap(now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.leapt.IsZero() && now.Sub(h.leapt) < leapRest {
		return false
	}
	h.leapt = now
	return true
}

var errRefused = errors.New("the worker's hello was refused")

// end tells the leader that the session is over, unless another one of the same
// worker has taken its place.
func (s *serving) end() {
	id := s.machine.Worker()
	if id == 0 || !s.hub.unregister(id, s.box) {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, a := range s.machine.Step(Position{}, Event{Closed: true}) {
		if a.Do != nil {
			// Where nobody decides any more, whoever leads next hears of the worker or misses it.
			if _, err := s.leader.Do(ctx, a.Do); err != nil && job.CodeOf(err) != job.Unavailable {
				s.hub.log.Warn("the end of a worker's session could not be recorded", "worker", id, "error", err)
			}
		}
	}
}
