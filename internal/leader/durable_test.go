package leader

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
	"github.com/reeve-scheduler/reeve/internal/replica"
	"github.com/reeve-scheduler/reeve/internal/store"
	"github.com/reeve-scheduler/reeve/internal/store/faultstore"
)

const plain = `run: "true"`

// TestPastTheLease: a leader that can't tell whether it leads still says nothing of what is so, neither
// to who reads nor to who asks for what it has done already. What it has to append the journal judges.
func TestPastTheLease(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		var holds atomic.Bool
		holds.Store(true)
		r.settings.Holds = holds.Load
		r.run()
		pause := func(paused bool) core.Command {
			return core.PutQueue{Namespace: core.DefaultName, Name: core.DefaultName, Paused: &paused}
		}
		r.do(pause(true))
		r.do(pause(true))
		holds.Store(false)
		if a := <-r.start(pause(true)); job.CodeOf(a.err) != job.Unavailable || a.reply != nil {
			t.Errorf("what is so already is answered with %v, %v", a.reply, a.err)
		}
		if err := <-r.look(func(*core.State) {}); job.CodeOf(err) != job.Unavailable {
			t.Errorf("a read is answered: %v", err)
		}
		r.do(pause(false))
		holds.Store(true)
		r.do(pause(false))
		r.end()
	})
}

// TestNothingLeavesBeforeItIsDurable holds an append back: the answer, a read that saw
// it, the mail and the notices of it must wait, and what is decided meanwhile goes
// into one next batch.
func TestNothingLeavesBeforeItIsDurable(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.run()
		worker := r.join("w1")
		synctest.Wait() // a turn that is under way has asked already who listens
		reader := r.leader.Hub().Read(replica.Cursor{})
		defer reader.Close()
		r.do(submit(t, plain, 1)) // fills the worker's one place
		fence := r.given(worker)[0]
		end, from := r.leader.Hub().End(), r.journal.count()
		mail := len(r.mail.of(worker))

		r.journal.shut()
		first := r.start(ended(worker, fence))
		synctest.Wait()
		var seen int64
		read := r.look(func(s *core.State) { seen = s.Totals().Live })
		synctest.Wait()
		later := []<-chan answer{r.start(submit(t, plain, 2)), r.start(submit(t, plain, 3))}
		refused := r.start(core.Hold{Job: 99, Task: core.NoTask, Held: true})
		synctest.Wait()

		pending(t, "a report", first)
		pending(t, "a read of what is not durable", read)
		pending(t, "a submit of the next batch", later[0])
		pending(t, "a refusal that saw what is not durable", refused)
		if n := len(r.mail.of(worker)); n != mail {
			t.Errorf("%d messages went out before their batch was durable", n-mail)
		}
		if now := r.leader.Hub().End(); now != end {
			t.Errorf("the stream of notices is at %v before %v is durable", now, end)
		}
		if n := r.journal.count() - from; n != 1 {
			t.Fatalf("%d appends are in flight; want one", n)
		}

		r.journal.pass()
		synctest.Wait()
		if a := <-first; a.err != nil {
			t.Errorf("the report was refused: %v", a.err)
		}
		synctest.Wait()
		if len(r.mail.of(worker)) == mail {
			t.Error("the acknowledgement did not go out with its batch")
		}
		pending(t, "a read of the batch in flight", read)
		r.journal.pass()
		if err := <-read; err != nil || seen != 0 {
			t.Errorf("the read saw %d live jobs (%v); want the state after the first batch", seen, err)
		}
		for _, c := range later {
			if a := <-c; a.err != nil {
				t.Errorf("a submit of the second batch: %v", a.err)
			}
		}
		wantCode(t, (<-refused).err, job.NotFound, "99")
		if n := r.journal.count() - from; n != 2 {
			t.Errorf("%d appends for what came while one was in flight; want it in one batch", n-1)
		}
		r.journal.reopen()
		r.end()
	})
}

// TestAGenerationBeginsOnceItIsDurable has a leap decided while the batch before it is on its
// way: that one is still of the generation before, for watchers and for workers.
func TestAGenerationBeginsOnceItIsDurable(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.run()
		synctest.Wait()
		r.journal.shut()
		first := r.start(submit(t, plain, 1))
		synctest.Wait()
		leap := r.start(core.Leap{Generation: 7})
		synctest.Wait()
		r.journal.pass()
		synctest.Wait()
		if a := <-first; a.err != nil {
			t.Fatal(a.err)
		}
		pending(t, "the leap", leap)
		if generation, _, _ := r.leader.Position(); generation != 1 {
			t.Errorf("the server is in generation %d before that is durable", generation)
		}
		r.journal.reopen()
		if a := <-leap; a.err != nil {
			t.Fatal(a.err)
		}
		if generation, _, _ := r.leader.Position(); generation != 7 {
			t.Errorf("the server is in generation %d after the leap; want 7", generation)
		}
		r.end()
	})
}

// TestReadOfDurableStateWaitsForNothing reads while nothing is in flight.
func TestReadOfDurableStateWaitsForNothing(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.run()
		r.do(submit(t, plain, 1))
		before := r.journal.count()
		if n := r.live(); n != 1 {
			t.Errorf("%d jobs are live; want 1", n)
		}
		if n := r.journal.count(); n != before {
			t.Errorf("a read made %d appends", n-before)
		}
		r.end()
	})
}

// TestTheSameBytesAreAppendedAgain loses the answer of one append and refuses
// another: both are repeated as they were until they are known to be durable.
func TestTheSameBytesAreAppendedAgain(t *testing.T) {
	lost := errors.New("the connection was reset")
	for name, fault := range map[string]faultstore.Fault{
		"before it took effect": {Err: lost},
		"after it took effect":  {Err: lost, After: true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				r.run()
				from := r.journal.count()
				r.faults.SetCue(func(op faultstore.Op, n int) faultstore.Fault {
					if op == faultstore.Append && n > from && n <= from+3 {
						return fault
					}
					return faultstore.Fault{}
				})
				reply := r.do(submit(t, plain, 1))
				tries := r.journal.appends(from)
				if len(tries) != 4 {
					t.Fatalf("%d appends; want one and three repeats", len(tries))
				}
				for _, again := range tries[1:] {
					if diff := cmp.Diff(tries[0], again); diff != "" {
						t.Errorf("a repeat differs (-first +again):\n%s", diff)
					}
				}
				r.end()
				if _, ok := r.recovered().Image(reply.([]core.Submitted)[0].ID); !ok {
					t.Error("the acknowledged job is not in the journal")
				}
			})
		})
	}
}

// TestADeposedLeaderStops has another leader begin its term: the old one's next
// append meets the other's epoch record, its clients hear that the outcome is
// unknown, and nothing of it is in the journal.
func TestADeposedLeaderStops(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.run()
		kept := r.do(submit(t, plain, 1)).([]core.Submitted)[0].ID
		worker := r.join("w1")
		r.journal.shut()
		lost := r.start(submit(t, plain, 1))
		synctest.Wait()
		read := r.look(func(*core.State) {})
		behind := r.start(submit(t, plain, 1)) // decided on what will never be
		synctest.Wait()

		rival := newRig(t)
		rival.store, rival.settings = r.store, r.settings
		rival.journal.Journal, rival.tables = r.store.Journal(), r.store.Tables()
		rival.run()
		mail := len(r.mail.of(worker))
		r.journal.reopen()

		if err := <-r.over; !errors.Is(err, store.ErrFenced) {
			t.Errorf("the deposed leader ended with %v; want %v", err, store.ErrFenced)
		}
		wantCode(t, (<-lost).err, job.Unavailable, "outcome is unknown")
		wantCode(t, <-read, job.Unavailable, "try again")
		wantCode(t, (<-behind).err, job.Unavailable, "nothing has changed")
		if _, err := r.leader.Do(t.Context(), submit(t, plain, 1)); job.CodeOf(err) != job.Unavailable {
			t.Errorf("a leader whose term is over answers %v", err)
		}
		if n := len(r.mail.of(worker)); n != mail {
			t.Errorf("%d messages went out after the term was over", n-mail)
		}
		rival.state(func(s *core.State) {
			if _, ok := s.Image(kept); !ok || s.Totals().Live != 1 || s.Epoch() != 2 {
				t.Errorf("the new leader is at epoch %d with %d live jobs; want 2 with the one acknowledged", s.Epoch(), s.Totals().Live)
			}
		})
		rival.end()
	})
}

// TestAFatalWriteEndsTheTerm fails an fsync: it is not tried again.
func TestAFatalWriteEndsTheTerm(t *testing.T) {
	for name, fatal := range map[string]error{"broken": store.ErrBroken, "corrupt": store.ErrCorrupt, "refused": store.ErrRefused} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				r.run()
				from := r.journal.count()
				r.faults.SetCue(faultstore.Once(faultstore.Append, from+1, faultstore.Fault{Err: fatal, After: true}))
				_, err := r.leader.Do(t.Context(), submit(t, plain, 1))
				wantCode(t, err, job.Unavailable, "outcome is unknown")
				if err := <-r.over; !errors.Is(err, fatal) {
					t.Errorf("the leader ended with %v; want %v", err, fatal)
				}
				if n := r.journal.count() - from; n != 1 {
					t.Errorf("%d appends after a write that can't be retried", n)
				}
			})
		})
	}
}

// TestAPanicInADecisionRejectsThatCommand sends a submit that no door would let in.
func TestAPanicInADecisionRejectsThatCommand(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.run()
		good := submit(t, plain, 1)
		bad := good
		bad.Spec = nil
		first := r.start(good)
		_, err := r.leader.Do(t.Context(), bad)
		wantCode(t, err, job.Internal, "changed nothing")
		if a := <-first; a.err != nil {
			t.Errorf("a command of the same batch failed: %v", a.err)
		}
		r.do(good)
		if n := r.live(); n != 2 {
			t.Errorf("%d jobs are live; want the 2 good ones", n)
		}
		r.log.wants(t, "a decision panicked", "core.Submit", "by anna")
		r.end()
	})
}

// TestAPanicInApplyEndsTheTerm submits a spec whose text can't be read: the memory is
// dropped, the log names the command, and nothing of it is durable.
func TestAPanicInApplyEndsTheTerm(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.run()
		r.do(submit(t, plain, 1))
		bad := submit(t, "name: poison\nrun: 'false'", 1)
		bad.Canonical = []byte("{")
		_, err := r.leader.Do(t.Context(), bad)
		wantCode(t, err, job.Unavailable, "nothing has changed")
		err = <-r.over
		for _, part := range []string{"core.SpecAdded", "core.Submit", "poison", "anna"} {
			if !strings.Contains(fmt.Sprint(err), part) {
				t.Errorf("the term's end does not name %q: %v", part, err)
			}
		}
		r.run()
		if n := r.live(); n != 1 {
			t.Errorf("after a restart %d jobs are live; want the one before the panic", n)
		}
		r.end()
	})
}

func TestAPanicInAViewIsItsOwn(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.run()
		err := r.leader.View(t.Context(), func(*core.State) { panic("a bad view") })
		wantCode(t, err, job.Internal, "while reading")
		r.do(submit(t, plain, 1))
		r.log.wants(t, "a view panicked", "a bad view")
		r.end()
	})
}

// TestWaitingEndsWithTheContext gives a request up: the leader goes on.
func TestWaitingEndsWithTheContext(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.run()
		r.journal.shut()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := r.leader.Do(ctx, submit(t, plain, 1))
		wantCode(t, err, job.Unavailable, "outcome is unknown")
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v does not say why", err)
		}
		r.journal.reopen()
		if n := r.live(); n != 1 {
			t.Errorf("%d jobs are live; want the one that was given up, for it was decided", n)
		}
		r.end()
	})
}

// TestRepliesAreWhatIsReadBack submits what later changes under the leader's hands:
// the state must have what the journal has.
func TestRepliesAreWhatIsReadBack(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.run()
		c := submit(t, "params: {day: {}}\nrun: 'true'", 1)
		c.Items[0].Params = []byte(`{"day":"monday"}`)
		id := r.do(c).([]core.Submitted)[0].ID
		copy(c.Items[0].Params, `{"day":"friday"}`)
		clear(c.Canonical)
		r.state(func(s *core.State) {
			m, _ := s.Image(id)
			if string(m.Params) != `{"day":"monday"}` || slices.Contains(s.Canonical(m.Spec), 0) {
				t.Errorf("the state shares memory with the request: %s, %q", m.Params, s.Canonical(m.Spec))
			}
		})
		r.end()
		want, _ := r.recovered().Image(id)
		if string(want.Params) != `{"day":"monday"}` {
			t.Errorf("the journal has %s", want.Params)
		}
	})
}

// TestBeginFails tells why no term begins.
func TestBeginFails(t *testing.T) {
	for name, cue := range map[string]faultstore.Cue{
		"load":   faultstore.Once(faultstore.Load, 1, faultstore.Fault{Err: store.ErrCorrupt}),
		"bounds": faultstore.Once(faultstore.Bounds, 1, faultstore.Fault{Err: store.ErrCorrupt}),
		"append": faultstore.Once(faultstore.Append, 1, faultstore.Fault{Err: store.ErrFenced}),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.faults.SetCue(cue)
			l, err := New(t.Context(), r.settings, r.journal, r.tables, r.mail, discard())
			if l != nil || !errors.Is(err, store.ErrCorrupt) && !errors.Is(err, store.ErrFenced) {
				t.Errorf("New gave %v, %v", l, err)
			}
		})
	}
	bubble(t, func(t *testing.T, r *rig) {
		r.faults.SetCue(func(op faultstore.Op, _ int) faultstore.Fault {
			if op == faultstore.Append {
				return faultstore.Fault{Err: errors.New("no space left")}
			}
			return faultstore.Fault{}
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := New(ctx, r.settings, r.journal, r.tables, r.mail, discard())
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "no space left") {
			t.Errorf("New gave up with %v; want the deadline and the cause", err)
		}
	})
}

// TestLostWork gives an attempt up with its worker, and to another at once.
func TestLostWork(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.run()
		first := r.join("w1")
		r.do(submit(t, "retry: {on_lost: 3, delay: 1ms}\nrun: 'true'", 1))
		second := r.join("w2")
		for range 14 { // seconds, of which w2 beats in each
			after(time.Second)
			r.leader.Heard(second)
		}
		if a, b := r.given(first), r.given(second); len(a) != 1 || len(b) != 1 || a[0] == b[0] {
			t.Errorf("w1 was given %v and w2 %v; want one attempt each", a, b)
		}
		r.state(func(s *core.State) {
			if s.Knows(first) || !s.Knows(second) {
				t.Error("the silent worker must be forgotten, the other not")
			}
		})
		r.end()
	})
}

// TestLostWorkIsNotGiven gives an attempt up while its assignment is on its way to the
// journal. The worker must not get it any more: an answered beat would let it start.
func TestLostWorkIsNotGiven(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.run()
		worker := r.join("w1")
		r.journal.shut()
		done := r.start(submit(t, "retry: {on_lost: 3}\nlost_after: 2s\nrun: 'true'", 1))
		for range 4 {
			after(time.Second)
		}
		pending(t, "a submit that is not durable", done)
		r.journal.reopen()
		synctest.Wait()
		r.state(func(*core.State) {})
		var live []link.Fence
		lost := 0
		for _, b := range r.journal.appends(0) {
			for _, e := range events(t, b) {
				switch e := e.(type) {
				case core.AttemptAssigned:
					live = append(live, e.Fence)
				case core.AttemptEnded:
					lost++
					live = slices.DeleteFunc(live, func(f link.Fence) bool { return f == e.Fence })
				}
			}
		}
		if diff := cmp.Diff(live, r.mail.fences(worker)); diff != "" || lost == 0 {
			t.Errorf("%d attempts were lost; of the others the worker was given (-want +got):\n%s", lost, diff)
		}
		r.end()
	})
}

// TestAWorkerThatNeverBeats joins and breaks before its session begins: what it was
// given is lost like that of any other.
func TestAWorkerThatNeverBeats(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.run()
		r.join("ghost")
		r.do(submit(t, "retry: {on_lost: 0}\nrun: 'true'", 1))
		for range 14 {
			after(time.Second)
		}
		if n := r.live(); n != 0 {
			t.Error("the attempt of a worker that never beat is never lost")
		}
		r.end()
	})
}

// TestNothingStartsTooLate submits jobs whose time has passed, while a worker is idle.
func TestNothingStartsTooLate(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.run()
		w := r.join("w1")
		for _, key := range []string{"start_before", "deadline"} {
			r.do(submit(t, key+": 1999-12-31T00:00:00Z\nrun: 'true'", 1))
			if given := r.given(w); len(given) > 0 {
				t.Errorf("%s has passed, yet the worker was given %v", key, given)
			}
			if n := r.live(); n != 0 {
				t.Errorf("%s has passed, yet %d elements are live", key, n)
			}
		}
		r.do(submit(t, "start_after: 1999-12-31T00:00:00Z\nrun: 'true'", 1))
		if given := r.given(w); len(given) != 1 {
			t.Errorf("start_after has passed, and the worker was given %v", given)
		}
		r.end()
	})
}

// TestAForgottenWorkerIsNotWatched hears from a worker that the state does not know.
func TestAForgottenWorkerIsNotWatched(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.run()
		r.leader.Heard(77)
		after(14 * time.Second)
		r.leader.beats.Lock()
		n := len(r.leader.live.order)
		r.leader.beats.Unlock()
		if n != 0 {
			t.Errorf("%d workers are watched; want none", n)
		}
		r.end()
	})
}
