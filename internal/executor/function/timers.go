package function

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/reeve-scheduler/reeve/internal/executor"
	"github.com/reeve-scheduler/reeve/internal/executor/attemptlog"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/logline"
)

// look is how often the boot clock is read while something is due later: timers of
// the runtime stand still while the machine is suspended, that clock does not.
const look = time.Second / 2

// clockFor is how long a reading of the boot clock is carried on by the runtime's
// clock, which is much cheaper to read.
const clockFor = 50 * time.Millisecond

// now is the boot clock, to a suspend within the last clockFor. The caller holds mu.
func (e *Executor) now() executor.Deadline {
	at := time.Now()
	since := at.Sub(e.clockAt)
	if since > clockFor || since < 0 {
		e.clock, e.clockAt, since = executor.Now(), at, 0
	}
	return e.clock.Add(since)
}

// arm makes the timers wait for r's moments, if they are the earliest. Moments that
// are gone by then cost one scan of what runs: cheaper than keeping an order of
// attempts that mostly end within microseconds. The caller holds mu.
func (e *Executor) arm(r *run) {
	if at := r.due(); at != 0 && (e.next == 0 || at < e.next) {
		e.next = at
		select {
		case e.wake <- struct{}{}:
		default:
		}
	}
}

// due is the earliest of r's moments, 0 for none.
func (r *run) due() executor.Deadline {
	switch {
	case r.ended || r.asked:
		return 0
	case r.timeout == 0 || r.deadline != 0 && r.deadline < r.timeout:
		return r.deadline
	}
	return r.timeout
}

// timers ends contexts at their moments, until Close.
func (e *Executor) timers() {
	defer close(e.gone)
	timer := time.NewTimer(look)
	defer timer.Stop()
	for {
		select {
		case <-e.over:
			return
		case <-e.wake:
		case <-timer.C:
		}
		now := executor.Now()
		e.mu.Lock()
		if e.next != 0 && e.next <= now {
			e.next = e.expire(now)
		}
		next := e.next
		e.mu.Unlock()
		if next == 0 {
			timer.Stop()
		} else {
			timer.Reset(min(next.Sub(now), look))
		}
	}
}

// expire ends what is due and returns the next moment. The caller holds mu.
func (e *Executor) expire(now executor.Deadline) executor.Deadline {
	var next executor.Deadline
	for _, r := range e.runs {
		at := r.due()
		switch {
		case at == 0:
		case at > now:
			if next == 0 || at < next {
				next = at
			}
		case at == r.timeout:
			r.ask(job.TimeoutAfter(r.task.Timeout), ErrTimeout)
		default:
			r.ask(leaseLost(), ErrLeaseLost)
		}
	}
	return next
}

// timed is a context that tells when its attempt's timeout is. What ends it is the
// boot clock's business.
type timed struct {
	context.Context
	at time.Time
}

// Deadline is when the timeout passes.
func (t timed) Deadline() (time.Time, bool) { return t.at, true }

// logWriter is Invocation.Log.
type logWriter struct {
	e *Executor
	r *run
}

// Write appends p to the attempt's log as its standard output. After the handler has
// returned it fails with os.ErrClosed.
func (w logWriter) Write(p []byte) (int, error) { return w.e.write(w.r, logline.Stdout, p) }

// write appends p to r's log, which is made when something is written.
func (e *Executor) write(r *run, kind logline.Kind, p []byte) (int, error) {
	e.mu.Lock()
	if r.returned {
		e.mu.Unlock()
		return 0, os.ErrClosed
	}
	if r.log == nil {
		r.log = attemptlog.New(filepath.Join(r.task.Dir, "log"), r.task.LogLimit, &e.pool)
	}
	log := r.log
	e.mu.Unlock()
	log.Write(kind, time.Now(), p)
	e.report(func() { e.events.Wrote(r.task.Key) })
	return len(p), nil
}
