package replica

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/store"
)

const (
	// pollEvery is how often a follower looks for more when nobody asks.
	pollEvery = 25 * time.Millisecond
	// lookEvery is how often it asks what the tables have.
	lookEvery = time.Second
	// askTimeout bounds one question to the store: a connection that hangs must not keep
	// readers waiting.
	askTimeout = 3 * time.Second
	// maxViews bounds the reads that wait for the journal.
	maxViews = 10_000
)

// FollowerOptions are what a follower needs. All are required.
type FollowerOptions struct {
	Config  core.Config
	Journal store.Journal
	Tables  store.Tables
	// Hub is told what happens.
	Hub *Hub
	Log *slog.Logger
	// Now is the time in Unix milliseconds.
	Now func() int64
}

// Follower keeps a copy at the end of a journal that another server writes, and answers
// reads from it: each read sees what was durable when it was asked for. View and Position
// may be called concurrently.
type Follower struct {
	o    FollowerOptions
	copy Copy
	wake chan struct{} // with room for one
	done chan struct{} // closed when Follow has ended

	mu        sync.Mutex
	views     []*view
	last      store.Mark
	gen       uint64
	projected uint64
	rounds    int
	read      time.Time // when the copy was last known to be at the journal's end
}

// view is a read that waits.
type view struct {
	mu   sync.Mutex
	fn   func(*core.State) // nil once it was given up
	done chan error        // with room for one
}

// ErrEnded says that a follower has stopped following: ask whoever is in its place.
var ErrEnded = errors.New("the server has stopped following")

// NewFollower returns a follower that begins with a copy, which is its own from now on.
func NewFollower(o FollowerOptions, c Copy) *Follower {
	f := &Follower{o: o, copy: c, wake: make(chan struct{}, 1), done: make(chan struct{}), read: time.Now()}
	f.note()
	o.Hub.Publish(Cursor{Generation: c.State.Generation(), Seq: c.Last.Seq}, nil, false)
	return f
}

// note makes the copy's place known.
func (f *Follower) note() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last, f.gen, f.projected, f.rounds = f.copy.Last, f.copy.State.Generation(), f.copy.Projected, f.copy.Rounds
}

// Position is the generation, the last batch that the copy has seen, and the sequence
// that the tables are known to cover.
func (f *Follower) Position() (generation uint64, last store.Mark, projected uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.gen, f.last, f.projected
}

// Rounds is how many rounds of digests the copy has agreed with: see Copy.
func (f *Follower) Rounds() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.rounds
}

// Behind is how long ago the copy was last known to be at the journal's end.
func (f *Follower) Behind() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return time.Since(f.read)
}

// View runs fn on the state as it was at some moment after View was called. fn must be
// quick and must not keep what it is shown. Once View has returned, whyever it did, fn does
// not run any more. It returns ErrEnded when the follower stops meanwhile, and a *job.Error
// when the store can't be reached.
func (f *Follower) View(ctx context.Context, fn func(*core.State)) error {
	v := &view{fn: fn, done: make(chan error, 1)}
	f.mu.Lock()
	full := len(f.views) >= maxViews
	if !full {
		f.views = append(f.views, v)
	}
	f.mu.Unlock()
	if full {
		return &job.Error{Code: job.Busy, Message: fmt.Sprintf("%d reads wait for the database already; try again in a second", maxViews)}
	}
	select {
	case f.wake <- struct{}{}:
	default:
	}
	select {
	case err := <-v.done:
		return err
	case <-ctx.Done():
		v.drop()
		return &job.Error{Code: job.Unavailable, Message: "the read was given up before the database had answered", Cause: ctx.Err()}
	case <-f.done:
		v.drop()
		select {
		case err := <-v.done:
			return err
		default:
			return ErrEnded
		}
	}
}

func (v *view) drop() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.fn = nil
}

// show runs a view; a panic in it is the view's own failure.
func (f *Follower) show(v *view) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.fn == nil {
		return
	}
	defer func() {
		if x := recover(); x != nil {
			f.o.Log.Error("a view panicked", "panic", x)
			v.done <- &job.Error{Code: job.Internal, Message: "internal error while reading; the server's log has it"}
		}
	}()
	v.fn(f.copy.State)
	v.done <- nil
}

// Follow follows until ctx ends, and returns nil and the copy then, or until the copy can't
// be carried on: ErrDiverged, store.ErrTrimmed when it fell too far behind, a *DifferenceError, or
// what can't be read or applied. A store that can't be reached is tried again for ever.
func (f *Follower) Follow(ctx context.Context) (Copy, error) {
	defer close(f.done)
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	var looked, failed time.Time
	for {
		select {
		case <-ctx.Done():
			return f.copy, nil
		case <-f.wake:
		case <-poll.C:
		}
		f.mu.Lock()
		views := f.views
		f.views = nil
		f.mu.Unlock()
		err := f.catchUp(ctx)
		if err == nil && time.Since(looked) >= lookEvery {
			looked = time.Now()
			err = f.letGo(ctx)
		}
		if err != nil && ctx.Err() == nil {
			if _, differs := errors.AsType[*DifferenceError](err); differs || errors.Is(err, ErrDiverged) || errors.Is(err, store.ErrTrimmed) || errors.Is(err, store.ErrCorrupt) || errors.Is(err, errApply) {
				refuse(views, ErrEnded)
				return f.copy, err
			}
			if time.Since(failed) > time.Minute {
				failed = time.Now()
				f.o.Log.Warn("the journal can't be read; trying again", "error", err)
			}
		}
		if err != nil {
			refuse(views, &job.Error{Code: job.Unavailable, Message: "the server can't reach its database at the moment; try again", Cause: err})
			continue
		}
		for _, v := range views {
			f.show(v)
		}
	}
}

func refuse(views []*view, why error) {
	for _, v := range views {
		v.done <- why
	}
}

// catchUp brings the copy to where the journal ends.
func (f *Follower) catchUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	end, err := f.o.Journal.Last(ctx)
	if err != nil {
		return err
	}
	if err := f.copy.Follow(ctx, f.o.Journal, end, f.o.Hub); err != nil {
		return err
	}
	f.note()
	f.mu.Lock()
	f.read = time.Now()
	f.mu.Unlock()
	return nil
}

// letGo drops from memory what the tables have.
func (f *Follower) letGo(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	projected, err := f.o.Tables.Durable(ctx)
	if err != nil {
		return err
	}
	if err := f.copy.Cover(f.o.Now(), projected); err != nil {
		return err
	}
	f.note()
	return nil
}
