package leader

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/store"
	"github.com/reeve-scheduler/reeve/internal/store/faultstore"
)

// TestFlushCoversOnlyWhatIsDurable holds an append back over many flush intervals: the
// tables must not see its changes before the journal has them.
func TestFlushCoversOnlyWhatIsDurable(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.run()
		r.do(submit(t, plain, 1))
		after(time.Second)
		r.journal.shut()
		held := r.start(submit(t, plain, 2))
		after(10 * time.Second)
		_, durable, projected := r.leader.Position()
		if projected > durable {
			t.Errorf("the tables cover %d, the journal %d", projected, durable)
		}
		if _, _, err := r.store.History().Job(t.Context(), 2); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("job 2, which is not durable, is in the tables: %v", err)
		}
		r.journal.reopen()
		if a := <-held; a.err != nil {
			t.Fatal(a.err)
		}
		after(10 * time.Second)
		if _, _, err := r.store.History().Job(t.Context(), 3); err != nil {
			t.Errorf("job 3 is durable and not in the tables: %v", err)
		}
		r.end()
	})
}

// TestAFlushThatCanNeverSucceedEndsTheTerm meets tables that are ahead.
func TestAFlushThatCanNeverSucceedEndsTheTerm(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.run()
		r.faults.SetCue(faultstore.Once(faultstore.Flush, r.faults.Calls(faultstore.Flush)+1, faultstore.Fault{Err: store.ErrFenced}))
		r.start(submit(t, plain, 1))
		if err := <-r.over; !errors.Is(err, store.ErrFenced) {
			t.Errorf("the leader ended with %v; want %v", err, store.ErrFenced)
		}
	})
}

// TestTablesThatLostAFlush has the store fail over to a standby that has the whole journal and
// not the last flush. The next one brings what has changed since that: on tables without it
// jobs would be gone, so that the term ends, and who begins anew has them all.
func TestTablesThatLostAFlush(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.run()
		r.do(submit(t, plain, 3))
		after(time.Second)
		_, durable, projected := r.leader.Position()
		if projected != durable {
			t.Fatalf("the tables cover %d, the journal %d", projected, durable)
		}
		r.store.GoBack(durable, 0)
		r.do(submit(t, plain, 1))
		after(10 * time.Second)
		select {
		case err := <-r.over:
			if !errors.Is(err, store.ErrFenced) {
				t.Errorf("the leader ended with %v; want %v", err, store.ErrFenced)
			}
		default:
			t.Error("the leader goes on with tables that lack a flush")
		}
		if n := r.recovered().Totals().Live; n != 4 {
			t.Errorf("%d jobs are there; want 4", n)
		}
	})
}

// lazyTables have on disk only what the test says.
type lazyTables struct {
	store.Tables
	safe func() (uint64, error)
}

func (t lazyTables) Durable(context.Context) (uint64, error) { return t.safe() }

// TestTrimStaysBelowWhatIsSafe has tables that have flushed much and have little of it
// safely on disk.
func TestTrimStaysBelowWhatIsSafe(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.settings.TrimEvery, r.settings.KeepBatches = time.Second, 2
		var safe guarded[uint64]
		var trouble guarded[error]
		r.tables = lazyTables{r.tables, func() (uint64, error) { return safe.get(), trouble.get() }}
		r.run()
		for range 10 {
			r.do(submit(t, plain, 1))
		}
		bounds := func(want uint64) {
			t.Helper()
			after(5 * time.Second)
			first, last, err := r.store.Journal().Bounds(t.Context())
			if err != nil || first != want || last < 10 {
				t.Errorf("the journal holds %d to %d (%v); want it from %d, with %d safe", first, last, err, want, safe.get())
			}
		}
		bounds(1)
		safe.set(2)
		bounds(1)
		safe.set(7)
		bounds(5)
		trouble.set(errors.New("the disk is slow")) // first: a trim may be at work right now
		safe.set(9)
		bounds(5)
		r.log.wants(t, "the journal could not be trimmed; trying again later", "the disk is slow")
		trouble.set(nil)
		bounds(7)
		r.end()
		if below := r.journal.trimmed; !slices.IsSorted(below) || len(below) == 0 || below[len(below)-1] != 7 {
			t.Errorf("trimmed below %v", below)
		}
		r.settings.TrimEvery = time.Hour
		r.run() // what is left is enough
		if n := r.live(); n != 10 {
			t.Errorf("%d jobs are live after a restart; want 10", n)
		}
		r.end()
	})
}

// TestJournalIsTidied long before anything of it can go.
func TestJournalIsTidied(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.settings.TrimEvery, r.settings.TidyEvery = time.Hour, time.Second
		r.run()
		r.do(submit(t, plain, 1))
		after(10 * time.Second)
		r.end()
		if below := r.journal.trimmed; len(below) < 9 || slices.Max(below) != 0 {
			t.Errorf("in ten seconds the journal was tidied below %v", below)
		}
	})
}

// TestRetention drops finished jobs, with what else is kept of them.
func TestRetention(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		var gone guarded[[]job.ID]
		var trouble guarded[error]
		trouble.set(errors.New("the logs are busy"))
		r.settings.Gone = func(_ context.Context, ids []job.ID) error {
			if trouble.get() == nil {
				gone.set(append(gone.get(), ids...))
			}
			return trouble.get()
		}
		r.run()
		done := r.do(submit(t, "retention: 1m\nrun: 'true'", 2)).([]core.Submitted)
		r.do(submit(t, plain, 1))
		for _, s := range done {
			r.do(core.Cancel{Job: s.ID, Task: core.NoTask, By: "anna"})
		}
		after(30 * time.Minute)
		if _, _, err := r.store.History().Job(t.Context(), uint64(done[0].ID)); err != nil {
			t.Errorf("the job went although its logs could not: %v", err)
		}
		r.log.wants(t, "could not be dropped; trying again later", "the logs are busy")
		trouble.set(nil)
		after(30 * time.Minute)
		if !slices.Equal(gone.get(), []job.ID{done[0].ID, done[1].ID}) {
			t.Errorf("%v were dropped; want %v", gone.get(), done)
		}
		if _, _, err := r.store.History().Job(t.Context(), uint64(done[0].ID)); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("the job past its retention: %v", err)
		}
		if n := r.live(); n != 1 {
			t.Errorf("%d jobs are live; want the one that has not ended", n)
		}
		r.end()
	})
}

// TestWindDown stops a leader with a batch in flight and one forming: both are made
// durable and projected, and whoever waits is answered.
func TestWindDown(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.settings.FlushEvery = time.Hour
		r.run()
		r.journal.shut()
		first := r.start(submit(t, plain, 1))
		synctest.Wait()
		second := r.start(submit(t, plain, 5000))
		synctest.Wait()
		r.stop()
		synctest.Wait()
		late := r.start(submit(t, plain, 1))
		wantCode(t, (<-late).err, job.Unavailable, "did not take")
		r.journal.reopen()
		if err := <-r.over; err != nil {
			t.Fatal(err)
		}
		for _, c := range []<-chan answer{first, second} {
			if a := <-c; a.err != nil {
				t.Errorf("what was decided before the stop was refused: %v", a.err)
			}
		}
		_, last, _ := r.store.Journal().Bounds(t.Context())
		generation, durable, projected := r.leader.Position()
		if durable != last || projected != last || generation != 1 {
			t.Errorf("stopped at %d durable, %d projected of %d", durable, projected, last)
		}
		if n := r.recovered().Totals().Live; n != 5001 {
			t.Errorf("%d jobs are recovered; want 5001", n)
		}
	})
}

// TestWindDownOfABrokenJournal gives up after a while, and says that it did.
func TestWindDownOfABrokenJournal(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.run()
		r.faults.SetCue(func(op faultstore.Op, _ int) faultstore.Fault {
			if op == faultstore.Append {
				return faultstore.Fault{Err: errors.New("no space left")}
			}
			return faultstore.Fault{}
		})
		held := r.start(submit(t, plain, 1))
		after(time.Second)
		r.stop()
		from := time.Now()
		if err := <-r.over; err == nil {
			t.Error("the leader says that it stopped in good order")
		}
		if d := time.Since(from); d != windDownTime {
			t.Errorf("it gave up after %s; want %s", d, windDownTime)
		}
		wantCode(t, (<-held).err, job.Unavailable, "outcome is unknown")
	})
}

// TestWindDownOfLaggingTables leaves them to recovery.
func TestWindDownOfLaggingTables(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.run()
		r.faults.SetCue(func(op faultstore.Op, _ int) faultstore.Fault {
			if op == faultstore.Flush {
				return faultstore.Fault{Err: errors.New("no space left")}
			}
			return faultstore.Fault{}
		})
		r.do(submit(t, plain, 1))
		r.end()
		r.log.wants(t, "the tables lag behind the journal; recovery will replay the rest")
		if n := r.recovered().Totals().Live; n != 1 {
			t.Errorf("%d jobs are recovered; want 1", n)
		}
	})
}

// TestFlushesUnderLoad keeps batches coming: flushes happen between them, and what is
// recovered at any moment is what the leader has.
func TestFlushesUnderLoad(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.settings.FlushEvery = time.Millisecond
		r.run()
		worker := r.join("w1")
		for range 200 {
			r.do(submit(t, plain, 3))
			for _, f := range r.given(worker)[max(len(r.given(worker))-1, 0):] {
				r.do(ended(worker, f))
			}
			after(time.Millisecond)
			live, recovered := r.live(), r.recovered().Totals().Live
			if live != recovered {
				t.Fatalf("%d jobs are live, %d would be recovered", live, recovered)
			}
		}
		if _, _, projected := r.leader.Position(); projected < 100 {
			t.Errorf("the tables cover %d batches under load", projected)
		}
		r.end()
	})
}

// TestPositionAfterARestart knows what the tables cover before the first flush.
func TestPositionAfterARestart(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.run()
		r.do(submit(t, plain, 1))
		r.end()
		_, stopped, _ := r.leader.Position()
		l, err := New(t.Context(), r.settings, r.journal, r.tables, r.mail, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if _, durable, projected := l.Position(); durable != stopped+1 || projected != stopped {
			t.Errorf("a new term stands at %d, projected %d; want %d and %d", durable, projected, stopped+1, stopped)
		}
	})
}

// TestNextFlush: a flush that took long is followed by a rest as long, within bounds.
func TestNextFlush(t *testing.T) {
	const every = 200 * time.Millisecond
	began := time.Unix(1000, 0)
	for _, c := range []struct{ took, want time.Duration }{
		{0, every},
		{50 * time.Millisecond, every},
		{every / 2, every},
		{150 * time.Millisecond, 300 * time.Millisecond},
		{time.Second, 2 * time.Second},
		{maxRest, 2 * maxRest},
		{time.Minute, time.Minute + maxRest},
	} {
		if got := nextFlush(began, began.Add(c.took), every).Sub(began); got != c.want {
			t.Errorf("after a flush of %s the next one starts at %s, want %s", c.took, got, c.want)
		}
	}
}
