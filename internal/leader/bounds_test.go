package leader

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/element"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
	"github.com/reeve-scheduler/reeve/internal/store"
	"github.com/reeve-scheduler/reeve/internal/store/faultstore"
)

// post queues a command of a leader that does not run yet.
func (r *rig) post(commands ...core.Command) {
	r.t.Helper()
	for _, c := range commands {
		if err := r.leader.Post(c); err != nil {
			r.t.Fatalf("%s: %v", spell(c), err)
		}
	}
}

// turnAlone makes one turn of a leader that does not run.
func (r *rig) turnAlone(p *loop) []store.Batch {
	r.t.Helper()
	from := len(p.appends)
	if _, err := p.turn(); err != nil {
		r.t.Fatal(err)
	}
	var out []store.Batch
	for range len(p.appends) - from {
		b := <-p.appends
		out = append(out, b)
		if err := p.landed(r.store.Journal().Append(r.t.Context(), b)); err != nil {
			r.t.Fatal(err)
		}
	}
	return out
}

// TestLanes queues commands of every kind, the least urgent first, while a worker is
// silent: results come first, then expiries, then cancels, then submits.
func TestLanes(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.run()
		busy := r.join("w1")
		r.do(submit(t, plain, 1))
		silent := r.join("w2")
		waiting := r.do(submit(t, plain, 2)).([]core.Submitted)[1].ID
		fence := r.given(busy)[0]
		r.end()
		after(12 * time.Second) // no attempt is silent for longer than it is given

		l := r.open()
		p := newLoop(l)
		r.turnAlone(p) // what the last term left
		l.live = Liveness{}
		l.Heard(busy)
		l.Heard(silent)
		for at := range 8 { // by small steps, since the clock does not believe in large ones
			l.live.Step(time.Duration(at)*stallAfter, 0)
		}
		l.Heard(busy)
		l.live.last = time.Since(p.began)
		p.anchored = p.anchored.Add(-time.Second)
		r.post(
			submit(t, plain, 1), core.Cancel{Job: waiting, Task: core.NoTask, By: "anna"},
			core.PutQueue{Namespace: core.DefaultName, Name: "night", Create: true}, ended(busy, fence),
		)
		var order []string
		for _, kind := range kinds(t, r.turnAlone(p)) {
			switch kind {
			case "AttemptEnded", "WorkerForgotten", "CancelRequested", "QueueSet", "JobSubmitted":
				order = append(order, kind)
			}
		}
		want := []string{"AttemptEnded", "AttemptEnded", "WorkerForgotten", "CancelRequested", "QueueSet", "JobSubmitted"}
		if diff := cmp.Diff(want, order); diff != "" {
			t.Errorf("the turn decided in another order (-want +got):\n%s", diff)
		}
	})
}

// TestSubmitsLeaveRoomForWork lets more submits wait than fit into a turn, and then into a
// batch: a turn begins what can begin, and what a worker reports meanwhile is in the very
// next batch, for which submits wait.
func TestSubmitsLeaveRoomForWork(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		l := r.open()
		p := newLoop(l)
		h := hello("w1")
		h.Hello.Slots, h.Hello.Capacity.CPU = 10, 1e9
		r.post(h)
		for range 20 {
			r.post(submit(t, plain, 1000))
		}
		first := kinds(t, r.turnAlone(p))
		count := func(kinds []string, kind string) (n int) {
			for _, k := range kinds {
				if k == kind {
					n++
				}
			}
			return n
		}
		if n := count(first, "AttemptAssigned"); n != 10 {
			t.Errorf("a turn full of submits gave out %d attempts; want 10", n)
		}
		if n := count(first, "JobSubmitted"); n == 0 || n > turnSubmits+1000 {
			t.Errorf("a turn took %d jobs; want some, at most %d", n, turnSubmits+1000)
		}
		p.flying = &batch{} // the journal is slow
		for range 20 {
			if _, err := p.turn(); err != nil {
				t.Fatal(err)
			}
		}
		if p.in.lanes[laneSubmit].len() == 0 || p.in.waiting(p.served()) {
			t.Errorf("%d submits wait; want some, of which no turn takes notice", p.in.lanes[laneSubmit].len())
		}
		var fence link.Fence
		for _, f := range allFences(10) {
			if _, live := p.state.AttemptAt(uint64(f)); live {
				fence = f
			}
		}
		r.post(ended(1, fence))
		p.flying = nil
		if n := count(kinds(t, r.turnAlone(p)), "AttemptEnded"); n != 1 {
			t.Errorf("the next batch has %d ends; want the 1 that was reported while it filled", n)
		}
	})
}

// TestViewsComeBeforeSubmits reads after a cancel and before a submit of the same turn.
func TestViewsComeBeforeSubmits(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		l := r.open()
		p := newLoop(l)
		r.post(submit(t, plain, 1))
		var live int64 = -1
		read := r.look(func(s *core.State) { live = s.Totals().Live })
		synctest.Wait()
		r.turnAlone(p)
		if err := <-read; err != nil || live != 0 {
			t.Errorf("a read that waited with a submit saw %d jobs (%v); want it first", live, err)
		}
	})
}

// TestViewThatWasGivenUp: what the caller of a view wanted is its own again once the call
// has ended.
func TestViewThatWasGivenUp(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		l := r.open()
		p := newLoop(l)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		ran := false
		if err := l.View(ctx, func(*core.State) { ran = true }); job.CodeOf(err) != job.Unavailable {
			t.Errorf("View with an ended context: %v", err)
		}
		r.turnAlone(p)
		if ran {
			t.Error("the view ran after its caller had gone")
		}
	})
}

// TestBatchesAreBounded submits more at once than fits into a batch, by bytes and by
// events.
func TestBatchesAreBounded(t *testing.T) {
	large := submit(t, plain, 3)
	for i := range large.Items {
		large.Items[i].Payload = bytes.Repeat([]byte{byte('a' + i)}, job.MaxPayload)
	}
	largest := submit(t, plain, 30)
	for i := range largest.Items {
		largest.Items[i].Payload = make([]byte, job.MaxPayload)
	}
	long := submit(t, plain, 1500)
	for i := range long.Items {
		long.Items[i].Payload = bytes.Repeat([]byte("x"), 1000)
	}
	for name, test := range map[string]struct {
		c     core.Submit
		times int
	}{
		"bytes":       {large, 20},
		"their limit": {largest, 3},
		"events":      {submit(t, plain, 3000), 10},
		"both":        {long, 8},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				r.run()
				from := r.journal.count()
				r.journal.shut() // so that they wait together
				var answers []<-chan answer
				for range test.times {
					answers = append(answers, r.start(test.c))
				}
				synctest.Wait()
				r.journal.reopen()
				for _, c := range answers {
					if a := <-c; a.err != nil {
						t.Errorf("a submit failed: %v", a.err)
					}
				}
				one := 2*len(test.c.Items) + 1
				for _, b := range r.journal.appends(from) {
					if n := len(events(t, b)); n > maxEvents+one {
						t.Errorf("batch %d has %d events; want at most %d and one submit", b.Seq, n, maxEvents)
					}
					if len(b.Payload) > store.MaxBatch {
						t.Errorf("batch %d has %d bytes; a journal takes %d", b.Seq, len(b.Payload), store.MaxBatch)
					}
				}
				if n := r.live(); n != int64(test.times*len(test.c.Items)) {
					t.Errorf("%d jobs are live; want %d", n, test.times*len(test.c.Items))
				}
				r.end()
			})
		})
	}
}

// TestTheLargestJobIsTaken with as many payloads as a client sends at once.
func TestTheLargestJobIsTaken(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.run()
		script := strings.Repeat("x", job.MaxSpec/4-1000)
		c := submit(t, fmt.Sprintf(`{"tasks": {"a": {"run": %q}, "b": {"run": %q}, "c": {"run": %q}, "d": {"run": %q}}}`, script, script, script, script), 8)
		for i := range c.Items {
			c.Items[i].Payload = make([]byte, job.MaxPayload)
		}
		if _, err := r.leader.Do(t.Context(), c); err != nil {
			t.Error(err)
		}
		r.end()
		if n := r.recovered().Totals().Live; n != 8 {
			t.Errorf("%d jobs are recovered; want 8", n)
		}
	})
}

// TestADecisionThatFitsNoBatch is refused, and only it.
func TestADecisionThatFitsNoBatch(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.run()
		c := submit(t, plain, 40)
		for i := range c.Items {
			c.Items[i].Payload = make([]byte, job.MaxPayload)
		}
		other := r.start(submit(t, plain, 1))
		_, err := r.leader.Do(t.Context(), c)
		wantCode(t, err, job.Invalid, "8 MiB")
		if a := <-other; a.err != nil {
			t.Errorf("a command of the same batch failed: %v", a.err)
		}
		if n := r.live(); n != 1 {
			t.Errorf("%d jobs are live; want the 1 of the other submit", n)
		}
		r.end()
		if n := r.recovered().Totals().Live; n != 1 {
			t.Errorf("%d jobs are recovered; want 1", n)
		}
	})
}

// TestConsequencesAreSpread ends a job that many wait for: what that entails goes into
// several batches, nothing is decided or read in between, and a server that finds
// the journal cut between any two of them gets to the same end.
func TestConsequencesAreSpread(t *testing.T) {
	t.Run("it succeeded", func(t *testing.T) {
		testSpread(t, job.Cause{}, func(m *core.JobImage) bool { return len(m.Waits) == 0 && m.Tasks[0].Ready && m.Tasks[2].Ready })
	})
	t.Run("it failed", func(t *testing.T) {
		testSpread(t, job.Cause{Kind: job.CauseExit, Code: 1}, func(m *core.JobImage) bool { return m.State == job.JobCancelled })
	})
}

func testSpread(t *testing.T, cause job.Cause, told func(*core.JobImage) bool) {
	t.Helper()
	const many = 6000
	bubble(t, func(t *testing.T, r *rig) {
		r.settings.FlushEvery = time.Hour // the journal has it all
		r.run()
		worker := r.join("w1")
		on := r.do(submit(t, plain, 1)).([]core.Submitted)[0].ID
		after := submit(t, fmt.Sprintf("after: {%d: succeeded}\ntasks:\n  a: {run: 'true'}\n  b: {run: 'true'}\n  c: {run: 'true'}", on), many)
		r.do(after)
		r.do(core.PutQueue{Namespace: core.DefaultName, Name: core.DefaultName, Paused: new(true)})
		from := r.journal.count()
		r.journal.shut()
		result := ended(worker, r.given(worker)[0])
		result.Report.Ended[0].Cause = cause
		end := r.start(result)
		synctest.Wait()
		var waiting int
		read := r.look(func(s *core.State) {
			for id := on + 1; id <= on+many; id++ {
				if m, _ := s.Image(id); !told(&m) {
					waiting++
				}
			}
		})
		r.journal.reopen()
		if a := <-end; a.err != nil {
			t.Fatal(a.err)
		}
		if err := <-read; err != nil || waiting > 0 {
			t.Errorf("a read saw %d jobs still waiting for one that has ended (%v)", waiting, err)
		}
		batches := r.journal.appends(from)
		if len(batches) < 2 {
			t.Fatalf("the end of a job that %d wait for went into %d batches; want several", many, len(batches))
		}
		for _, b := range batches {
			if n := len(events(t, b)); n > maxEvents+8*many/1000*1000 || len(b.Payload) > store.MaxBatch {
				t.Errorf("batch %d has %d events and %d bytes", b.Seq, n, len(b.Payload))
			}
		}
		r.stop() // the tables are not needed
		<-r.over
		whole := r.journal.appends(0)
		for cut := from; cut < len(whole); cut++ {
			again := newRig(t)
			for _, b := range whole[:cut+1] {
				if err := again.store.Journal().Append(t.Context(), b); err != nil {
					t.Fatal(err)
				}
			}
			again.run()
			again.state(func(s *core.State) {
				for id := on + 1; id <= on+many; id++ {
					if m, _ := s.Image(id); !told(&m) {
						t.Fatalf("cut after %d of %d batches, job %d is %s and waits for %v", cut+1, len(whole), id, m.State, m.Waits)
					}
				}
			})
			again.end()
		}
	})
}

// TestNothingEntailsTooMuch cancels or ends what entails more than a record of the journal
// takes. A leader that can't write that down ends, and so does every one after it.
func TestNothingEntailsTooMuch(t *testing.T) {
	tasks := func(n int, text string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "\n  t%d: {%s, run: 'true'}", i, text)
		}
		return "tasks:\n  gate: {run: 'true', array: 0-9}" + b.String()
	}
	list := `{"l": [` + strings.Repeat(fmt.Sprintf("%q, ", strings.Repeat("x", 25_000)), 9) + `"y"]}`
	const (
		before = iota // the first job is cancelled, before the submit or after it
		after
		gate // the first task of the jobs is cancelled
	)
	for name, test := range map[string]struct {
		text, params string
		times        int
		what         int
	}{
		"many jobs of many tasks wait for one":  {"after: {1: succeeded}\n" + tasks(999, "needs: gate"), "{}", 300, after},
		"many jobs of many tasks came too late": {"after: {1: succeeded}\n" + tasks(999, "needs: gate"), "{}", 300, before},
		"many tasks have the items of one": {
			"params: {l: {type: list}}\n" + tasks(60, "needs: {gate: any}, array: {each: '${{ params.l }}'}"), list, 1, gate,
		},
		"many tasks need the elements of one": {tasks(3000, "needs: {gate: {each: succeeded}}, array: 0-9"), "{}", 1, gate},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				r.settings.FlushEvery = time.Hour
				r.run()
				cancel := core.Cancel{Job: r.do(submit(t, plain, 1)).([]core.Submitted)[0].ID, Task: core.NoTask, By: "anna"}
				c := submit(t, test.text, test.times)
				for i := range c.Items {
					c.Items[i].Params = []byte(test.params)
				}
				from := r.journal.count()
				if test.what == before {
					r.do(cancel)
				}
				made := r.do(c).([]core.Submitted)
				if test.what == gate {
					cancel.Job, cancel.Task = made[0].ID, 0
				}
				r.do(cancel) // for the second time it changes nothing
				r.state(func(s *core.State) {
					for _, j := range made {
						m, _ := s.Image(j.ID)
						for i := range m.Tasks {
							if k := &m.Tasks[i]; !k.Ready && k.Counts.Ended() == 0 || k.Record.Cause.Kind == job.CauseExpression {
								t.Fatalf("task %d of job %d has neither become ready nor ended well: %s", i, j.ID, k.Record.Cause)
							}
						}
					}
				})
				for _, b := range r.journal.appends(from) {
					if len(b.Payload) > store.MaxBatch {
						t.Errorf("batch %d has %d bytes", b.Seq, len(b.Payload))
					}
				}
				r.end()
			})
		})
	}
}

// TestAlternatingElements opens a large array whose elements' needs ended now so, now
// so: the most that one event can entail.
func TestAlternatingElements(t *testing.T) {
	const n = 20_000
	bubble(t, func(t *testing.T, r *rig) {
		r.run()
		worker := r.do(func() core.WorkerHello {
			h := hello("w1")
			h.Hello.Slots = 100_000
			h.Hello.Capacity.CPU = 1e9
			return h
		}()).(core.Welcomed).Worker
		id := r.do(submit(t, fmt.Sprintf(`tasks:
  gate: {run: "true"}
  a: {array: 0-%d, run: "true", resources: {cpu: 1m, memory: 0}}
  b: {array: 0-%d, needs: {a: {each: succeeded}, gate: succeeded}, run: "true", resources: {cpu: 1m, memory: 0}}`, n-1, n-1), 1)).([]core.Submitted)[0].ID
		synctest.Wait() // until all is given out
		var gate link.Fence
		var report link.Report
		r.state(func(s *core.State) {
			for _, msg := range s.Assignments(allFences(n + 1)) {
				if msg.Task == 0 {
					gate = msg.Fence
					continue
				}
				result := link.Result{Fence: msg.Fence, Started: 1, Ended: 2}
				if msg.Position%2 == 1 {
					result.Cause = job.Cause{Kind: job.CauseExit, Code: 1}
				}
				report.Ended = append(report.Ended, result)
			}
		})
		if gate == 0 || len(report.Ended) != n {
			t.Fatalf("gate %d and %d elements were given", gate, len(report.Ended))
		}
		for chunk := range slices.Chunk(report.Ended, 5000) {
			r.do(core.WorkerReport{Worker: worker, Report: link.Report{Ended: chunk}})
		}
		from := r.journal.count()
		r.do(ended(worker, gate))
		var c job.Counts
		r.state(func(s *core.State) { m, _ := s.Image(id); c = m.Tasks[2].Counts })
		if c[job.Skipped] != n/2 {
			t.Errorf("%d of %d elements were skipped; want half", c[job.Skipped], n)
		}
		if r.journal.count()-from < 2 {
			t.Errorf("what one end entails for %d elements went into %d batches", n, r.journal.count()-from)
		}
		for _, b := range r.journal.appends(from) {
			if k := len(events(t, b)); k > 2*maxEvents || len(b.Payload) > store.MaxBatch {
				t.Errorf("batch %d has %d events and %d bytes", b.Seq, k, len(b.Payload))
			}
		}
		r.end()
	})
}

func allFences(n int) []link.Fence {
	out := make([]link.Fence, n)
	for i := range out {
		out[i] = link.Fence(i + 1)
	}
	return out
}

// TestInboxIsBounded fills each lane of a leader that does not run.
func TestInboxIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.settings.MaxWaiting = 3
		l := r.open()
		cancel := core.Cancel{Job: 1, Task: core.NoTask}
		var reads []<-chan error
		for range 3 {
			r.post(submit(t, plain, 1), cancel)
			reads = append(reads, r.look(func(*core.State) {}))
		}
		synctest.Wait()
		wantCode(t, l.Post(submit(t, plain, 1)), job.Busy, "try again")
		wantCode(t, l.Post(cancel), job.Busy, "try again")
		wantCode(t, l.View(t.Context(), func(*core.State) {}), job.Busy, "try again")
		for range 1000 {
			r.post(ended(1, 1), core.WorkerHeld{}, core.WorkerClosed{}, hello("w1"))
		}
		l.in.close()
		wantCode(t, l.Post(ended(1, 1)), job.Unavailable, "try again")
		newLoop(l).dismiss(nil)
		for _, c := range reads {
			wantCode(t, <-c, job.Unavailable, "try again")
		}
	})
}

// TestInboxIsBoundedInBytes lets few but large submits wait.
func TestInboxIsBoundedInBytes(t *testing.T) {
	r := newRig(t)
	r.settings.MaxWaitingBytes = 1 << 20
	l := r.open()
	large := submit(t, plain, 1)
	large.Items[0].Payload = make([]byte, 700<<10)
	small := submit(t, plain, 1)
	r.post(large)
	wantCode(t, l.Post(large), job.Busy, "try again")
	r.post(small)
	for l.in.next(laneSubmit) != nil {
	}
	large.Items[0].Payload = make([]byte, 2<<20)
	r.post(large) // alone it may be larger than the bound
	wantCode(t, l.Post(small), job.Busy, "try again")
}

// TestSubmitsAreRefusedWhileTheTablesLag stops the tables: submits are refused,
// results are not; when the tables are back, so are submits.
func TestSubmitsAreRefusedWhileTheTablesLag(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.settings.MaxUnprojected = 2
		r.faults.SetCue(func(op faultstore.Op, _ int) faultstore.Fault {
			if op == faultstore.Flush {
				return faultstore.Fault{Err: errors.New("the disk is full")}
			}
			return faultstore.Fault{}
		})
		r.run()
		worker := r.join("w1")
		r.do(submit(t, plain, 3))
		_, err := r.leader.Do(t.Context(), submit(t, plain, 1))
		wantCode(t, err, job.Busy, "try again")
		r.do(ended(worker, r.given(worker)[0]))
		r.do(core.Cancel{Job: 2, Task: core.NoTask, By: "anna"})
		after(time.Minute)
		if _, durable, projected := r.leader.Position(); projected >= durable {
			t.Fatalf("the tables cover %d of %d without a flush", projected, durable)
		}
		r.log.wants(t, "the tables did not take a flush; trying again", "the disk is full")
		r.faults.SetCue(nil)
		after(time.Minute)
		if _, durable, projected := r.leader.Position(); projected != durable {
			t.Errorf("the tables cover %d of %d a minute after they are back", projected, durable)
		}
		r.do(submit(t, plain, 1))
		r.end()
	})
}

// TestCancelOfElements keeps the loop's own command path honest for spans.
func TestCancelOfElements(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.run()
		id := r.do(submit(t, "array: 0-9\nrun: 'true'", 1)).([]core.Submitted)[0].ID
		spans := []element.Span{{First: 2, Last: 4}}
		got := r.do(core.Cancel{Job: id, Task: 0, Spans: spans, By: "anna"}).(core.Cancelled)
		if got.Cancelled != 3 {
			t.Errorf("%d elements were cancelled; want 3", got.Cancelled)
		}
		r.end()
	})
}
