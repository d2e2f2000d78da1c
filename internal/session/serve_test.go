package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// chief is a leader that answers hellos when it is let, and keeps what it is told.
type chief struct {
	hub    *Hub
	mu     sync.Mutex
	told   []core.Command
	heard  int
	decide func(core.WorkerHello) (core.Welcomed, error)
	hellos uint64
	// left is waited for between an answer and whoever asked for it; nil for no wait.
	left chan struct{}
	post error
}

func (l *chief) Do(_ context.Context, c core.Command) (any, error) {
	l.mu.Lock()
	l.told = append(l.told, c)
	l.mu.Unlock()
	h, ok := c.(core.WorkerHello)
	if !ok {
		return nil, nil
	}
	w, err := l.decide(h)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	l.hellos++
	w.Session = l.hellos
	l.mu.Unlock()
	l.hub.Opened(w.Worker, w.Session)
	if l.left != nil {
		<-l.left
	}
	return w, nil
}

func (l *chief) Post(c core.Command) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told = append(l.told, c)
	return l.post
}

func (l *chief) Heard(uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard++
}

func (*chief) Lease() time.Duration                              { return time.Minute }
func (*chief) Holds() bool                                       { return true }
func (*chief) Position() (generation, durable, projected uint64) { return 1, 5, 5 }

// kinds names what the leader was told.
func (l *chief) kinds() (out []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.told {
		out = append(out, fmt.Sprintf("%T", c)[len("core."):])
	}
	return out
}

// wire is a worker's connection in memory.
type wire struct {
	up   chan link.FromWorker
	down chan link.ToWorker
	shut chan struct{}
	why  error
}

func newWire() *wire {
	return &wire{up: make(chan link.FromWorker), down: make(chan link.ToWorker, 100_000), shut: make(chan struct{})}
}

func (w *wire) Receive() (link.FromWorker, error) {
	select {
	case msg := <-w.up:
		return msg, nil
	case <-w.shut:
		return link.FromWorker{}, w.why
	}
}

func (w *wire) Send(msg link.ToWorker) error {
	select {
	case w.down <- msg:
		return nil
	case <-w.shut:
		return w.why
	}
}

func (w *wire) end(why error) {
	w.why = why
	close(w.shut)
}

// acks is the fences that were acknowledged on a wire so far.
func (w *wire) acks() (out []link.Fence) {
	for {
		select {
		case msg := <-w.down:
			out = append(out, msg.Ack...)
		default:
			return out
		}
	}
}

// service is a hub with a leader, on virtual time.
type service struct {
	t        *testing.T
	hub      *Hub
	chief    *chief
	payloads Payloads // may be nil
}

func serve(t *testing.T, test func(*testing.T, *service)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &service{t: t, hub: NewHub(slog.New(slog.DiscardHandler)), chief: &chief{}}
		s.chief.hub = s.hub
		s.chief.decide = func(h core.WorkerHello) (core.Welcomed, error) {
			return core.Welcomed{Worker: h.Hello.Incarnation}, nil
		}
		test(t, s)
	})
}

// open starts a session and returns its end.
func (s *service) open(w *wire) <-chan error {
	over := make(chan error, 1)
	go func() { over <- s.hub.Serve(s.t.Context(), s.chief, s.payloads, w) }()
	return over
}

// greet sends a hello of the worker whose id will be id.
func (s *service) greet(w *wire, id uint64) {
	w.up <- link.FromWorker{Hello: &link.Hello{Name: fmt.Sprint("w", id), Incarnation: id}}
	synctest.Wait()
}

func ack(f link.Fence) []link.ToWorker { return []link.ToWorker{{Ack: []link.Fence{f}}} }

// TestServe goes through a session in good order.
func TestServe(t *testing.T) {
	serve(t, func(t *testing.T, s *service) {
		w := newWire()
		over := s.open(w)
		s.hub.Deliver(7, ack(1)) // nobody is there
		s.greet(w, 7)
		if msg := <-w.down; msg.Welcome == nil || msg.Welcome.WorkerID != 7 || msg.Welcome.Seq != 5 || !s.hub.Connected(7) {
			t.Errorf("the first message is %+v", msg)
		}
		s.hub.Deliver(7, ack(2))
		s.hub.Deliver(8, ack(3))
		synctest.Wait()
		if got := w.acks(); !slices.Equal(got, []link.Fence{2}) {
			t.Errorf("acknowledged %v; want 2", got)
		}
		w.up <- link.FromWorker{Beat: &link.Beat{Number: 1}}
		w.up <- link.FromWorker{Report: &link.Report{}}
		w.up <- link.FromWorker{Leaving: true}
		synctest.Wait()
		w.end(io.EOF)
		if err := <-over; !errors.Is(err, io.EOF) {
			t.Errorf("the session ended with %v", err)
		}
		if got := s.chief.kinds(); !slices.Equal(got, []string{"WorkerHello", "WorkerReport", "WorkerLeaving", "WorkerClosed"}) {
			t.Errorf("the leader was told %v", got)
		}
		if s.chief.heard != 4 || s.hub.Connected(7) {
			t.Errorf("heard %d times, connected %v", s.chief.heard, s.hub.Connected(7))
		}
	})
}

// TestAnotherSessionTakesThePlace of one that its worker has left: the old one ends, and
// its end is not told.
func TestAnotherSessionTakesThePlace(t *testing.T) {
	serve(t, func(t *testing.T, s *service) {
		first, second := newWire(), newWire()
		over := s.open(first)
		s.greet(first, 7)
		s.open(second)
		s.greet(second, 7)
		if err := <-over; !errors.Is(err, errReplaced) {
			t.Errorf("the first session ended with %v", err)
		}
		s.hub.Deliver(7, ack(1))
		synctest.Wait()
		if a, b := first.acks(), second.acks(); len(a) != 0 || len(b) != 1 || !s.hub.Connected(7) {
			t.Errorf("the first was told %v, the second %v", a, b)
		}
		if got := s.chief.kinds(); slices.Contains(got, "WorkerClosed") {
			t.Errorf("the leader was told %v", got)
		}
		first.end(io.EOF)
		second.end(io.EOF)
	})
}

// TestRefusal tells the worker why, and the leader nothing.
func TestRefusal(t *testing.T) {
	serve(t, func(t *testing.T, s *service) {
		s.chief.decide = func(core.WorkerHello) (core.Welcomed, error) {
			return core.Welcomed{}, &job.Error{Code: job.Exists, Message: "a worker named w7 exists already"}
		}
		w := newWire()
		over := s.open(w)
		s.greet(w, 7)
		if err := <-over; !errors.Is(err, errRefused) {
			t.Errorf("the session ended with %v", err)
		}
		if msg := <-w.down; msg.Goodbye != "a worker named w7 exists already" {
			t.Errorf("the worker was told %+v", msg)
		}
		if got := s.chief.kinds(); len(got) != 1 || s.hub.Connected(7) {
			t.Errorf("the leader was told %v", got)
		}
		w.end(io.EOF)
	})
}

// TestASlowWorker does not take its messages: it is disconnected, nobody waits for it.
func TestASlowWorker(t *testing.T) {
	serve(t, func(t *testing.T, s *service) {
		slow := newWire()
		slow.down = make(chan link.ToWorker, 1) // takes the welcome, and no more
		over := s.open(slow)
		s.greet(slow, 7)
		quick := newWire()
		s.open(quick)
		s.greet(quick, 8)
		for range maxOutbox + 2 {
			s.hub.Deliver(7, ack(1))
		}
		s.hub.Deliver(8, ack(2))
		synctest.Wait()
		if got := quick.acks(); len(got) != 1 {
			t.Errorf("the quick worker was told %v", got)
		}
		<-slow.down // the session hears of its end when it can send again
		for range 2 {
			<-slow.down
		}
		slow.end(errors.New("reset"))
		if err := <-over; !errors.Is(err, errSlow) && err.Error() != "reset" {
			t.Errorf("the slow session ended with %v", err)
		}
		quick.end(io.EOF)
	})
}

// TestWhatComesWhileAHelloIsDecided is for the session before, and may be of what the
// hello loses or has done with: carried out by the new session it would be a second run.
// From the moment at which the answer leaves it is for the new one, which hears of that
// a while later.
func TestWhatComesWhileAHelloIsDecided(t *testing.T) {
	serve(t, func(t *testing.T, s *service) {
		gate := make(chan struct{})
		s.chief.decide = func(h core.WorkerHello) (core.Welcomed, error) {
			<-gate
			return core.Welcomed{Worker: h.Hello.Incarnation}, nil
		}
		s.chief.left = make(chan struct{})
		w := newWire()
		s.open(w)
		s.greet(w, 7)
		s.hub.Deliver(7, ack(1))
		close(gate)
		synctest.Wait()
		s.hub.Deliver(7, ack(2))
		s.hub.Deliver(8, ack(3))
		synctest.Wait()
		if got := w.acks(); len(got) != 0 {
			t.Errorf("the worker was told %v before its welcome", got)
		}
		close(s.chief.left)
		synctest.Wait()
		if got := w.acks(); !slices.Equal(got, []link.Fence{2}) {
			t.Errorf("the worker was told %v; want what came after the answer to its hello: 2", got)
		}
		w.end(io.EOF)
	})
}

// TestTwoHellosAtOnce of one worker: the one that was decided last has the worker, in
// whatever order the sessions hear of it.
func TestTwoHellosAtOnce(t *testing.T) {
	serve(t, func(t *testing.T, s *service) {
		s.chief.left = make(chan struct{})
		first, second := newWire(), newWire()
		over := s.open(first)
		s.greet(first, 7)
		synctest.Wait()
		s.open(second)
		s.greet(second, 7)
		synctest.Wait()
		s.hub.Deliver(7, ack(1))
		close(s.chief.left)
		if err := <-over; !errors.Is(err, errReplaced) {
			t.Errorf("the first session ended with %v", err)
		}
		synctest.Wait()
		if a, b := first.acks(), second.acks(); len(a) != 0 || len(b) != 1 || !s.hub.Connected(7) {
			t.Errorf("the first session was told %v and the second %v, connected %v", a, b, s.hub.Connected(7))
		}
		first.end(io.EOF)
		second.end(io.EOF)
	})
}

// TestALeaderThatStops ends the session: the worker greets the next one.
func TestALeaderThatStops(t *testing.T) {
	serve(t, func(t *testing.T, s *service) {
		w := newWire()
		over := s.open(w)
		s.greet(w, 7)
		s.chief.mu.Lock()
		s.chief.post = &job.Error{Code: job.Unavailable, Message: "the server is stopping"}
		s.chief.mu.Unlock()
		w.up <- link.FromWorker{Report: &link.Report{}}
		if err := <-over; job.CodeOf(err) != job.Unavailable {
			t.Errorf("the session ended with %v", err)
		}
		w.end(io.EOF)
	})
}

// TestAServerThatLostItsPast hears of it from a worker, and says so.
func TestAServerThatLostItsPast(t *testing.T) {
	for _, test := range []struct {
		generation, seq uint64
		lost            bool
	}{
		{0, 0, false}, {1, 4, false}, {1, 5, false}, {1, 6, true}, {0, 99, false},
	} {
		serve(t, func(t *testing.T, s *service) {
			var log strings.Builder
			s.hub.log = slog.New(slog.NewTextHandler(&log, nil))
			w := newWire()
			s.open(w)
			w.up <- link.FromWorker{Hello: &link.Hello{Name: "w7", Incarnation: 7, Generation: test.generation, Seq: test.seq}}
			synctest.Wait()
			w.end(io.EOF)
			synctest.Wait()
			if got := strings.Contains(log.String(), "lost its past"); got != test.lost {
				t.Errorf("a worker that has heard of %d-%d: the log says %q", test.generation, test.seq, log.String())
			}
		})
	}
}

// TestGoodbyeIsSaid closes a session with its reason.
func TestGoodbyeIsSaid(t *testing.T) {
	serve(t, func(t *testing.T, s *service) {
		w := newWire()
		over := s.open(w)
		s.greet(w, 7)
		<-w.down
		s.hub.Deliver(7, []link.ToWorker{{Goodbye: "nothing was heard for 66s"}})
		if err := <-over; err != nil {
			t.Errorf("the session ended with %v", err)
		}
		if msg := <-w.down; msg.Goodbye != "nothing was heard for 66s" {
			t.Errorf("the worker was told %+v", msg)
		}
		w.end(io.EOF)
	})
}
