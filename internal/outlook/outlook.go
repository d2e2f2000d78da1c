// Package outlook makes forecasts of a server's own copy of the state, as often as that may be,
// for whoever asks. It takes little of the leader's loop: the copy is made in slices, at most
// once a second, and everything else is worked out beside it, one thing at a time.
package outlook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/forecast"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// Engine is the state as forecasts need it.
type Engine interface {
	// View runs fn on the state; fn must be quick.
	View(ctx context.Context, fn func(*core.State)) error
	// Now is in Unix milliseconds.
	Now() int64
}

// Options of an outlook.
type Options struct {
	Engine Engine
	Log    *slog.Logger
	// Leads says whether this server decides: the one that does looks ahead by itself where jobs
	// have deadlines. It may be nil, for one that does not look ahead.
	Leads func() bool
	// Made is told of each forecast: how many jobs are expected to miss their deadline, and how
	// long it took. It may be nil.
	Made func(late int, took time.Duration)
}

const (
	// slice is about how many things one look at the state copies.
	slice = 1000
	// rest is the least time from one forecast to the next, and share what part of a processor
	// they take at most.
	rest  = time.Second
	share = 10
	// mostWork is how long one may take, beside the copying.
	mostWork = 5 * time.Second
	// ahead is how often the leader looks ahead by itself.
	ahead = 30 * time.Second
	// moment is how long who only likes to know waits for one.
	moment = 200 * time.Millisecond
	// stale is when a forecast is of no use any more.
	stale = time.Minute
)

// Outlook has the last forecast. All methods may be called concurrently, also of nil, which has
// none.
type Outlook struct {
	options Options
	asked   chan struct{}
	// busy is held by whoever works something out.
	busy chan struct{}

	mu sync.Mutex
	// begun and done count forecasts, of which changed tells.
	begun, done uint64
	changed     chan struct{}
	last        *Forecast
	err         error
	over        bool
}

// Forecast is a copy of the state and what is expected of it.
type Forecast struct {
	Cluster *forecast.Cluster
	Course  *forecast.Course
	// Late is the jobs that are expected to miss their deadline, by id.
	Late map[job.ID]*forecast.Late

	made   time.Time // when the copy was begun
	took   time.Duration
	moment *forecast.Moment // once it was asked for; whoever is busy may use it
}

// Warning says that a job is expected to miss its deadline, in words; empty if it is not.
func (f *Forecast) Warning(id job.ID) string {
	if l := f.Late[id]; l != nil {
		return l.String(f.Course.Now)
	}
	return ""
}

// New returns an outlook that makes nothing until it runs.
func New(o Options) *Outlook {
	return &Outlook{options: o, asked: make(chan struct{}, 1), busy: make(chan struct{}, 1), changed: make(chan struct{})}
}

// Run makes forecasts as they are asked for until ctx ends.
func (o *Outlook) Run(ctx context.Context) {
	defer o.end()
	tick := time.NewTicker(ahead)
	defer tick.Stop()
	var told []job.ID
	for next := time.Now(); ; {
		looks := false
		select {
		case <-ctx.Done():
			return
		case <-o.asked:
		case <-tick.C:
			if looks = o.looksAhead(ctx); !looks {
				o.report(0, 0)
				continue
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(next)):
		}
		began := time.Now()
		f := o.make(ctx)
		took := time.Since(began)
		next = began.Add(max(rest, share*took))
		if f == nil {
			continue
		}
		o.report(len(f.Late), took)
		if looks {
			told = o.warn(f, told)
		}
	}
}

// end lets nobody wait any more.
func (o *Outlook) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.over = true
	close(o.changed)
}

// looksAhead reports whether there is something to look ahead for.
func (o *Outlook) looksAhead(ctx context.Context) bool {
	if o.options.Leads == nil || !o.options.Leads() {
		return false
	}
	n := int64(0)
	err := o.options.Engine.View(ctx, func(s *core.State) { n = s.Deadlines() })
	return err == nil && n > 0
}

func (o *Outlook) report(late int, took time.Duration) {
	if o.options.Made != nil {
		o.options.Made(late, took)
	}
}

// warn says which jobs are expected to miss their deadline that were not at the last look.
func (o *Outlook) warn(f *Forecast, told []job.ID) []job.ID {
	const most = 20
	now := make([]job.ID, 0, len(f.Course.Late))
	said := 0
	for i := range f.Course.Late {
		l := &f.Course.Late[i]
		now = append(now, l.Job)
		if slices.Contains(told, l.Job) || said == most {
			continue
		}
		said++
		o.options.Log.Warn("a job is expected to miss its deadline", "job", l.Job, "why", l.String(f.Course.Now))
	}
	return now
}

// make makes a forecast, nil if it can't.
func (o *Outlook) make(ctx context.Context) *Forecast {
	select {
	case <-o.asked: // it is for whoever has asked up to now
	default:
	}
	o.mu.Lock()
	o.begun++
	o.mu.Unlock()
	f, err := o.look(ctx)
	if f != nil {
		f.took = time.Since(f.made)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.done, o.err = o.begun, err
	if err == nil {
		o.last = f
	}
	close(o.changed)
	o.changed = make(chan struct{})
	return f
}

// look copies the state and follows it.
func (o *Outlook) look(ctx context.Context) (f *Forecast, err error) {
	f = &Forecast{made: time.Now()}
	v := core.NewSurvey(o.options.Engine.Now())
	for done := false; !done; {
		if err := o.options.Engine.View(ctx, func(s *core.State) { done = s.Look(v, slice) }); err != nil {
			return nil, err
		}
	}
	f.Cluster = v.Whole()
	err = o.think(ctx, func(stop func() bool) {
		f.Course = f.Cluster.Forecast(stop)
		f.Late = make(map[job.ID]*forecast.Late, len(f.Course.Late))
		for i := range f.Course.Late {
			f.Late[f.Course.Late[i].Job] = &f.Course.Late[i]
		}
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

// errFailed is a fault of ours, of which the log has more.
var errFailed = errors.New("the forecast failed")

// think works something out, when nobody else does. stop says when that has taken too long. A
// panic is an error: nothing that is decided depends on forecasts.
func (o *Outlook) think(ctx context.Context, fn func(stop func() bool)) (err error) {
	select {
	case o.busy <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() {
		<-o.busy
		if p := recover(); p != nil {
			o.options.Log.Error("a forecast panicked", "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("%w: %v", errFailed, p)
		}
	}()
	began := time.Now()
	fn(func() bool { return time.Since(began) > mostWork || ctx.Err() != nil })
	return nil
}

// Last is a forecast of the last second or, where making one takes longer than a moment, of the
// last minute; nil if there is none.
func (o *Outlook) Last(ctx context.Context) *Forecast {
	if o == nil {
		return nil
	}
	f := o.kept()
	if f != nil && time.Since(f.made) < rest {
		return f
	}
	if f != nil && f.took > moment {
		o.ask()
		return f
	}
	soon, cancel := context.WithTimeout(ctx, moment)
	defer cancel()
	f, _ = o.Fresh(soon) // none is an answer too
	return f
}

// kept is the last forecast, if it is of any use.
func (o *Outlook) kept() *Forecast {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.last == nil || time.Since(o.last.made) > stale {
		return nil
	}
	return o.last
}

func (o *Outlook) ask() {
	select {
	case o.asked <- struct{}{}:
	default:
	}
}

// Fresh waits for a forecast of a copy that was begun after the call. If that fails, or ctx ends
// before, it is the last one, if that is of the last minute, or an error.
func (o *Outlook) Fresh(ctx context.Context) (*Forecast, error) {
	if o == nil {
		return nil, errNone
	}
	o.mu.Lock()
	want := o.begun + 1
	o.mu.Unlock()
	o.ask()
	for {
		o.mu.Lock()
		done, err, over, changed := o.done, o.err, o.over, o.changed
		o.mu.Unlock()
		switch {
		case done >= want:
		case over:
			err = &job.Error{Code: job.Unavailable, Message: "this server is stopping; try again"}
		default:
			select {
			case <-changed:
				continue
			case <-ctx.Done():
				err = ctx.Err()
			}
		}
		if f := o.kept(); f != nil {
			return f, nil
		}
		return nil, err
	}
}

var errNone = errors.New("this server makes no forecasts")

// Moment runs fn on what there is at the moment of a forecast, when nobody else works something
// out. stop is as for forecasts.
func (o *Outlook) Moment(ctx context.Context, f *Forecast, fn func(m *forecast.Moment)) error {
	return o.think(ctx, func(func() bool) {
		if f.moment == nil {
			f.moment = f.Cluster.Moment()
		}
		fn(f.moment)
	})
}

// WhatIf says what would happen if a job were submitted.
func (o *Outlook) WhatIf(ctx context.Context, f *Forecast, j *forecast.Job) (effect *forecast.Effect, err error) {
	err = o.think(ctx, func(stop func() bool) { effect = f.Cluster.WhatIf(j, f.Course, stop) })
	return effect, err
}
