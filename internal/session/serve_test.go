package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
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
	mu     sync.Mutex
	told   []core.Command
	heard  int
	decide func(core.WorkerHello) (core.Welcomed, error)
	post   error
}

func (l *chief) Do(_ context.Context, c core.Command) (any, error) {
	l.mu.Lock()
	l.told = append(l.told, c)
	l.mu.Unlock()
	if h, ok := c.(core.WorkerHello); ok {
		return l.decide(h)
	}
	return nil, nil
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
	t     *testing.T
	hub   *Hub
	chief *chief
}

func serve(t *testing.T, test func(*testing.T, *service)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &service{t: t, hub: NewHub(slog.New(slog.DiscardHandler)), chief: &chief{}}
		s.chief.decide = func(h core.WorkerHello) (core.Welcomed, error) {
			return core.Welcomed{Worker: h.Hello.Incarnation, Session: 1}, nil
		}
		test(t, s)
	})
}

// open starts a session and returns its end.
func (s *service) open(w *wire) <-chan error {
	over := make(chan error, 1)
	go func() { over <- s.hub.Serve(s.t.Context(), s.chief, w) }()
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

// TestWhatComesWhileAHelloIsDecided is for the session about to open, when it is of its
// worker and came after the hello; what came before was for the last session, and may
// be done with: an assignment that is carried out twice would be a second run.
func TestWhatComesWhileAHelloIsDecided(t *testing.T) {
	serve(t, func(t *testing.T, s *service) {
		gates := map[uint64]chan struct{}{7: make(chan struct{}), 8: make(chan struct{}), 9: make(chan struct{})}
		s.chief.decide = func(h core.WorkerHello) (core.Welcomed, error) {
			id := h.Hello.Incarnation
			<-gates[id]
			if id == 9 {
				return core.Welcomed{}, &job.Error{Code: job.Refused, Message: "no"}
			}
			return core.Welcomed{Worker: id, Session: 1}, nil
		}
		wires := map[uint64]*wire{}
		begin := func(id uint64) {
			wires[id] = newWire()
			s.open(wires[id])
			s.greet(wires[id], id)
		}
		begin(9) // it is decided the longest
		s.hub.Deliver(7, ack(1))
		s.hub.Deliver(8, ack(2))
		begin(7)
		s.hub.Deliver(7, ack(3))
		s.hub.Deliver(8, ack(4))
		begin(8)
		s.hub.Deliver(8, ack(5))
		s.hub.Deliver(7, ack(6))
		close(gates[8])
		synctest.Wait()
		s.hub.Deliver(8, ack(7))
		close(gates[7])
		synctest.Wait()
		if got := wires[7].acks(); !slices.Equal(got, []link.Fence{3, 6}) {
			t.Errorf("worker 7 was told %v; want what came after its hello: 3 and 6", got)
		}
		if got := wires[8].acks(); !slices.Equal(got, []link.Fence{5, 7}) {
			t.Errorf("worker 8 was told %v; want 5 and 7", got)
		}
		if len(s.hub.early) == 0 {
			t.Error("nothing is kept while a hello is decided")
		}
		close(gates[9])
		synctest.Wait()
		if len(s.hub.early)+len(s.hub.joins) != 0 {
			t.Errorf("%d letters and %d hellos are kept with none under way", len(s.hub.early), len(s.hub.joins))
		}
		for _, w := range wires {
			w.end(io.EOF)
		}
	})
}

// TestLettersAreBounded has one hello decided for ever while much is delivered.
func TestLettersAreBounded(t *testing.T) {
	h := NewHub(slog.New(slog.DiscardHandler))
	first := h.join()
	for range maxEarly + 10 {
		h.Deliver(7, ack(1))
	}
	if len(h.early) != maxEarly {
		t.Errorf("%d letters are kept; want %d", len(h.early), maxEarly)
	}
	second := h.join()
	h.joined(first, 0, nil)
	if len(h.early) != 0 {
		t.Errorf("%d letters are kept that are older than every hello", len(h.early))
	}
	box := &outbox{wake: make(chan struct{}, 1)}
	h.Deliver(7, ack(2))
	h.joined(second, 7, box)
	if got := box.take(); len(got) != 1 || got[0].Ack[0] != 2 {
		t.Errorf("the session got %+v", got)
	}
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
