package session

import (
	"context"
	"errors"
	"fmt"
	"io"
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

// tables has the payload "of N" of each job N but the lost ones.
type tables struct {
	mu    sync.Mutex
	fails int // so many more reads fail; -1 for all
	// hangs is waited for, nil for not; deaf not even the context ends that.
	hangs chan struct{}
	deaf  bool
	lost  []uint64
	reads [][]uint64
}

func (p *tables) Payloads(ctx context.Context, jobs []uint64) (map[uint64][]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reads = append(p.reads, jobs)
	if p.hangs != nil {
		if p.deaf {
			ctx = context.WithoutCancel(ctx)
		}
		p.mu.Unlock()
		defer p.mu.Lock()
		select {
		case <-p.hangs:
		case <-ctx.Done():
		}
		return nil, errors.New("it took too long")
	}
	if p.fails != 0 {
		p.fails--
		return nil, errors.New("input/output error")
	}
	found := map[uint64][]byte{}
	for _, id := range jobs {
		if !slices.Contains(p.lost, id) {
			found[id] = fmt.Appendf(nil, "of %d", id)
		}
	}
	return found, nil
}

// work is attempts, one of each job, whose payloads are in the tables alone.
func work(jobs ...job.ID) []link.ToWorker {
	a := &link.Assign{Specs: []link.SpecText{{Hash: [32]byte{1}}}}
	for _, id := range jobs {
		a.Attempts = append(a.Attempts, link.Assignment{Fence: link.Fence(100 + id), Job: id, Away: true})
	}
	return []link.ToWorker{{Assign: a}}
}

// inbox spells what has come to the worker.
func (w *wire) inbox() (out []string) {
	for {
		select {
		case msg := <-w.down:
			switch {
			case msg.Assign != nil:
				text := fmt.Sprintf("assign, %d specs:", len(msg.Assign.Specs))
				for _, a := range msg.Assign.Attempts {
					text += fmt.Sprintf(" %d %q", a.Fence, a.Payload)
					if a.Away {
						text += " away"
					}
				}
				out = append(out, text)
			case msg.Stop != nil:
				out = append(out, fmt.Sprint("stop ", msg.Stop.Fence))
			case msg.Ack != nil:
				out = append(out, fmt.Sprint("ack ", msg.Ack))
			case msg.Beat != nil:
				out = append(out, fmt.Sprint("answer ", msg.Beat.Number))
			}
		default:
			return out
		}
	}
}

// withPayloads runs a test with an open session of worker 7.
func withPayloads(t *testing.T, test func(*testing.T, *service, *wire, *tables)) {
	t.Helper()
	serve(t, func(t *testing.T, s *service) {
		p := &tables{}
		s.payloads = p
		w := newWire()
		over := s.open(w)
		s.greet(w, 7)
		w.inbox()
		test(t, s, w, p)
		w.end(io.EOF)
		if err := <-over; !errors.Is(err, io.EOF) {
			t.Errorf("the session ended with %v", err)
		}
	})
}

func same(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s %q; want %q", what, got, want)
	}
}

// TestPayloadsAreReadOnTheWay in as few reads as there can be, and in the order in which
// the messages came.
func TestPayloadsAreReadOnTheWay(t *testing.T) {
	withPayloads(t, func(t *testing.T, s *service, w *wire, p *tables) {
		kept := link.Assignment{Fence: 50, Job: 9, Payload: []byte("kept")}
		msgs := work(1, 2)
		msgs[0].Assign.Attempts = append(msgs[0].Assign.Attempts, kept)
		msgs = append(msgs, link.ToWorker{Stop: &link.Stop{Fence: 101}})
		msgs = append(msgs, work(2, 3)...)
		s.hub.Deliver(7, append(msgs, ack(5)...))
		synctest.Wait()
		same(t, "the worker got", w.inbox(),
			`assign, 1 specs: 101 "of 1" 102 "of 2" 50 "kept"`, "stop 101", `assign, 0 specs: 102 "of 2" 103 "of 3"`, "ack [5]")
		if len(p.reads) != 1 || !slices.Equal(p.reads[0], []uint64{1, 2, 3}) {
			t.Errorf("read %d; want each of the jobs once, at once", p.reads)
		}
		s.hub.Deliver(7, []link.ToWorker{{Assign: &link.Assign{Attempts: []link.Assignment{kept}}}})
		synctest.Wait()
		if same(t, "then", w.inbox(), `assign, 0 specs: 50 "kept"`); len(p.reads) != 1 {
			t.Error("what lacks nothing is read for")
		}
	})
}

// TestManyPayloadsAreReadInParts, or a worker that takes much would have the server hold it
// all at once.
func TestManyPayloadsAreReadInParts(t *testing.T) {
	withPayloads(t, func(t *testing.T, s *service, w *wire, p *tables) {
		const messages, each = 12, 100
		var msgs []link.ToWorker
		for n := range messages {
			var jobs []job.ID
			for i := range each {
				jobs = append(jobs, job.ID(n*each+i+1))
			}
			msgs = append(msgs, work(jobs...)...)
		}
		s.hub.Deliver(7, msgs)
		synctest.Wait()
		next := link.Fence(101)
		for range messages {
			msg := <-w.down
			for _, a := range msg.Assign.Attempts {
				if want := fmt.Sprintf("of %d", a.Job); a.Fence != next || a.Away || string(a.Payload) != want {
					t.Fatalf("attempt %d, away %v, has %q; want %d with %q", a.Fence, a.Away, a.Payload, next, want)
				}
				next++
			}
		}
		if len(p.reads) != messages/3 {
			t.Errorf("%d reads", len(p.reads))
		}
		for _, r := range p.reads {
			if len(r) > maxFill+each {
				t.Errorf("%d payloads are read at once", len(r))
			}
		}
	})
}

// TestAReadThatFailsIsTriedAgain while the worker can wait for the answers to its beats.
func TestAReadThatFailsIsTriedAgain(t *testing.T) {
	withPayloads(t, func(t *testing.T, s *service, w *wire, p *tables) {
		p.fails = 2
		s.hub.Deliver(7, append(work(1), ack(5)...))
		synctest.Wait()
		same(t, "before it could be read the worker got", w.inbox())
		<-time.After(fillPatience)
		synctest.Wait()
		same(t, "the worker got", w.inbox(), `assign, 1 specs: 101 "of 1"`, "ack [5]")
	})
}

// TestNothingGoesWithoutItsPayload: what can't be read is left out, the rest goes on, and
// the worker's beats make it come again.
func TestNothingGoesWithoutItsPayload(t *testing.T) {
	for name, spoil := range map[string]func(*tables){
		"a store that fails":        func(p *tables) { p.fails = -1 },
		"a store that hangs":        func(p *tables) { p.hangs = make(chan struct{}) },
		"one that can't be stopped": func(p *tables) { p.hangs, p.deaf = make(chan struct{}), true },
	} {
		t.Run(name, func(t *testing.T) {
			withPayloads(t, func(t *testing.T, s *service, w *wire, p *tables) {
				spoil(p)
				msgs := work(1, 2)
				msgs[0].Assign.Attempts = append(msgs[0].Assign.Attempts, link.Assignment{Fence: 50, Job: 9})
				s.hub.Deliver(7, append(append(msgs, work(3)...), ack(5)...))
				w.up <- link.FromWorker{Beat: &link.Beat{Number: 1}}
				<-time.After(fillPatience)
				synctest.Wait()
				same(t, "the worker got", w.inbox(), `assign, 1 specs: 50 ""`, "ack [5]", "answer 1")
				for n := range uint64(patience) {
					w.up <- link.FromWorker{Beat: &link.Beat{Number: n + 2, Held: []link.Held{{Fence: 50}}}}
				}
				synctest.Wait()
				s.chief.mu.Lock()
				last, _ := s.chief.told[len(s.chief.told)-1].(core.WorkerHeld)
				s.chief.mu.Unlock()
				if len(last.Held) != 1 || last.Held[0].Fence != 50 {
					t.Fatalf("the leader was told %+v last; want what the worker holds, for it to compare", last)
				}
				w.inbox()
				p.mu.Lock()
				if p.hangs != nil {
					close(p.hangs)
				}
				if reads := len(p.reads); p.deaf && reads != 1 {
					t.Errorf("%d reads have begun while the first hangs", reads)
				}
				p.fails, p.hangs = 0, nil
				p.mu.Unlock()
				s.hub.Deliver(7, work(1, 2, 3)) // as the leader does then
				synctest.Wait()
				same(t, "then the worker got", w.inbox(), `assign, 0 specs: 101 "of 1" 102 "of 2" 103 "of 3"`)
			})
		})
	}
}

// TestLostPayloadsEndTheirAttempts, which nobody could ever run.
func TestLostPayloadsEndTheirAttempts(t *testing.T) {
	withPayloads(t, func(t *testing.T, s *service, w *wire, p *tables) {
		p.lost = []uint64{2}
		s.hub.Deliver(7, work(1, 2, 3))
		synctest.Wait()
		same(t, "the worker got", w.inbox(), `assign, 1 specs: 101 "of 1" 103 "of 3"`)
		report, _ := s.chief.told[len(s.chief.told)-1].(core.WorkerReport)
		if report.Worker != 7 || report.Session != 1 || len(report.Report.Ended) != 1 {
			t.Fatalf("the leader was told %+v last; want the end of an attempt", report)
		}
		if r := report.Report.Ended[0]; r.Fence != 102 || r.Cause.Kind != job.CauseQuarantined || r.Cause.Detail == "" || r.Started != 0 {
			t.Errorf("the leader was told %+v", r)
		}
	})
}

// TestAReadEndsWithItsSession.
func TestAReadEndsWithItsSession(t *testing.T) {
	withPayloads(t, func(_ *testing.T, s *service, _ *wire, p *tables) {
		p.hangs = make(chan struct{})
		s.hub.Deliver(7, work(1))
		synctest.Wait() // and the stream breaks
	})
}

// TestPayloadOf one job: memory's, the tables', or that it is lost.
func TestPayloadOf(t *testing.T) {
	p := &tables{lost: []uint64{3}}
	for _, test := range []struct {
		job  core.JobImage
		want string
		says string
	}{
		{core.JobImage{ID: 1, Payload: []byte("kept")}, "kept", ""},
		{core.JobImage{ID: 2, Away: true}, "of 2", ""},
		{core.JobImage{ID: 3, Away: true}, "", "the payload of job 3"},
		{core.JobImage{ID: 4}, "", ""},
	} {
		got, err := PayloadOf(t.Context(), p, &test.job)
		if string(got) != test.want || (err != nil) != (test.says != "") || err != nil && !strings.Contains(err.Error(), test.says) {
			t.Errorf("job %d: %q, %v", test.job.ID, got, err)
		}
	}
	p.fails = 1
	if _, err := PayloadOf(t.Context(), p, &core.JobImage{ID: 2, Away: true}); err == nil {
		t.Error("a read that fails is no error")
	}
}
