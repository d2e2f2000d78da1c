package several

import (
	"context"
	"errors"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/reeve-scheduler/reeve"
	"github.com/reeve-scheduler/reeve/bench/internal/peer"
	"github.com/reeve-scheduler/reeve/bench/internal/proc"
)

const (
	// writeEvery is the pause of a client between an acknowledged write and the next.
	writeEvery = 5 * time.Millisecond
)

// Failover is how long a change of leader took, from what ended the old one.
type Failover struct {
	// Led is when the next leader said so; Write when a client that writes all the time had its next
	// write acknowledged, after the longest pause that it had; Dispatch when the first attempt began
	// after that.
	Led, Write, Dispatch time.Duration
	// Refused is how many writes failed for good.
	Refused int
}

// Fill submits n jobs that sleep, and returns when all are acknowledged.
func (c *Cluster) Fill(n int) error {
	_, err := c.users.SubmitMany(c.Context, reeve.Function("nap", nil), slices.Values(make([]reeve.Item, n)))
	return err
}

// Fail ends the leader, by SIGKILL or in good order, and measures. Then it starts that server
// again, and returns when all is as it was.
func (c *Cluster) Fail(by syscall.Signal) (f Failover, err error) {
	old, err := c.leader()
	if err != nil || old == nil {
		return f, errors.Join(errors.New("no server leads"), err)
	}
	writes := c.write()
	if err := writes.until(c.Context, time.Time{}); err != nil {
		return f, errors.Join(err, writes.end())
	}
	at := time.Now()
	ended := make(chan error, 1)
	go func() { ended <- end(old.process, by) }()
	led, err := c.next(old, at)
	var dispatched time.Time
	if err == nil {
		dispatched, err = c.dispatched(led)
	}
	if err == nil {
		err = writes.until(c.Context, led)
	}
	f.Led, f.Dispatch = led.Sub(at), dispatched.Sub(at)
	err = errors.Join(err, <-ended, writes.end())
	f.Write, f.Refused = writes.after(at)
	if err != nil {
		return f, err
	}
	return f, errors.Join(c.begin(old), c.settled())
}

func end(p *proc.Process, by syscall.Signal) error {
	if by == syscall.SIGKILL {
		_ = p.Kill() // it did not end in good order, as it should not
		return nil
	}
	return p.StopBy(by)
}

// next waits for another server to lead, and returns when it began to.
func (c *Cluster) next(old *server, after time.Time) (led time.Time, err error) {
	ctx, cancel := context.WithTimeout(c.Context, proc.Patience)
	defer cancel()
	err = proc.Await(ctx, pollEvery, func() (bool, error) {
		for _, s := range c.servers {
			at, later, err := s.leads(after)
			if s != old && later || err != nil {
				led = at
				return true, err
			}
		}
		return false, nil
	})
	return led, err
}

// dispatched is when the first attempt began after a moment: workers hold nothing ready, so that
// somebody gave it out.
func (c *Cluster) dispatched(after time.Time) (at time.Time, err error) {
	ctx, cancel := context.WithTimeout(c.Context, proc.Patience)
	defer cancel()
	err = proc.Await(ctx, pollEvery, func() (found bool, err error) {
		at, found, err = c.firstStart(after)
		return found, err
	})
	return at, err
}

// writes are those of a client that writes one job after the other.
type writes struct {
	stop context.CancelFunc
	done sync.WaitGroup

	mu sync.Mutex
	// acknowledged is when each of them was.
	acknowledged []time.Time
	refused      int
}

// write begins to write.
func (c *Cluster) write() *writes {
	ctx, cancel := context.WithCancel(c.Context)
	w := &writes{stop: cancel}
	w.done.Go(func() {
		for ctx.Err() == nil {
			_, err := c.users.Enqueue(ctx, "nap", nil)
			w.note(ctx, err)
			select {
			case <-time.After(writeEvery):
			case <-ctx.Done():
			}
		}
	})
	return w
}

func (w *writes) note(ctx context.Context, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case err == nil:
		w.acknowledged = append(w.acknowledged, time.Now())
	case ctx.Err() == nil:
		w.refused++
	}
}

// until waits for a write that is acknowledged after a moment.
func (w *writes) until(ctx context.Context, after time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, proc.Patience)
	defer cancel()
	return proc.Await(ctx, pollEvery, func() (bool, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		n := len(w.acknowledged)
		return n > 0 && w.acknowledged[n-1].After(after), nil
	})
}

// end returns when it writes no more.
func (w *writes) end() error {
	w.stop()
	w.done.Wait()
	if len(w.acknowledged) == 0 {
		return errors.New("no write was acknowledged")
	}
	return nil
}

// after is when the longest pause between two acknowledged writes ended that was not over at a
// moment: what the old leader still took then does not count.
func (w *writes) after(at time.Time) (took time.Duration, refused int) {
	var longest time.Duration
	for i, one := range w.acknowledged {
		if i == 0 || one.Before(at) {
			continue
		}
		if pause := one.Sub(w.acknowledged[i-1]); pause > longest {
			longest, took = pause, one.Sub(at)
		}
	}
	return took, w.refused
}

// Reads asks a server that follows for n jobs, one after the other, while jobs that do nothing
// come at a rate a second, and returns how long each took. Each is a job that was taken a moment
// before.
func (c *Cluster) Reads(n int, rate float64) (took []time.Duration, err error) {
	follower, err := c.follower()
	if err != nil {
		return nil, err
	}
	id, err := c.users.Enqueue(c.Context, "noop", nil)
	if err != nil {
		return nil, err
	}
	l := c.load(rate, id)
	for range n {
		began := time.Now()
		if _, err := follower.only.Get(c.Context, l.recent(), false); err != nil {
			return nil, errors.Join(err, l.end())
		}
		took = append(took, time.Since(began))
		select {
		case <-time.After(writeEvery):
		case <-c.Context.Done():
			return nil, errors.Join(c.Context.Err(), l.end())
		}
	}
	return took, errors.Join(l.end(), c.idle())
}

// idle returns when no job is left that has not ended.
func (c *Cluster) idle() error {
	ctx, cancel := context.WithTimeout(c.Context, proc.Patience)
	defer cancel()
	return proc.Await(ctx, pollEvery, func() (bool, error) {
		leader, err := c.leader()
		if leader == nil || err != nil {
			return false, err
		}
		left, err := leader.metric(ctx, "reeve_jobs_unfinished")
		return left == 0, err
	})
}

// load is jobs that come by the clock.
type load struct {
	stop context.CancelFunc
	done sync.WaitGroup

	mu     sync.Mutex
	latest string
	err    error
}

// load begins; a rate of 0 is none.
func (c *Cluster) load(rate float64, first string) *load {
	ctx, cancel := context.WithCancel(c.Context)
	l := &load{stop: cancel, latest: first}
	if rate == 0 {
		return l
	}
	const batch = peer.Batch / 10
	for i := range peer.Submitters {
		l.done.Go(func() {
			gap := time.Duration(batch * peer.Submitters / rate * float64(time.Second))
			for due := time.Now().Add(gap * time.Duration(i) / peer.Submitters); ctx.Err() == nil; due = due.Add(gap) {
				select {
				case <-time.After(time.Until(due)):
				case <-ctx.Done():
					return
				}
				made, err := c.users.SubmitMany(ctx, reeve.Function("noop", nil), slices.Values(make([]reeve.Item, batch)))
				l.note(ctx, made, err)
			}
		})
	}
	return l
}

func (l *load) note(ctx context.Context, made []reeve.Submitted, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil:
		l.latest = made[len(made)-1].ID
	case ctx.Err() == nil && l.err == nil:
		l.err = err
	}
}

// recent is the job that was taken last.
func (l *load) recent() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.latest
}

func (l *load) end() error {
	l.stop()
	l.done.Wait()
	return l.err
}
