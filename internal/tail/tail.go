// Package tail reads the logs of many attempts at once, as they are written: of a
// job, a task or an element, until all of it has ended.
package tail

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/logstore"
	"github.com/reeve-scheduler/reeve/internal/replica"
)

// Engine is what following asks of the server's copy of the core.
type Engine interface {
	// View runs fn on the state once all that it shows is durable.
	View(ctx context.Context, fn func(*core.State)) error
	Hub() *replica.Hub
}

// Source is where logs are read from.
type Source struct {
	Engine Engine
	Logs   *logstore.Store
}

// maxFollowed bounds the attempts whose logs one follower reads at the same time;
// further ones wait for their turn.
const maxFollowed = 256

// follower sends the logs of all attempts below a reference as they are written,
// those of attempts that run side by side side by side. It watches the notices of
// the job for attempts that begin and end.
type follower struct {
	Source
	spec *job.Spec
	o    logstore.ReadOptions
	ref  job.Ref
	// task and position are of what ref names, if it does.
	task     uint32
	position int64
	pieces   chan piece

	// The rest belongs to the goroutine of watch.
	known   map[job.Ref]*followed // nil once it is read to its end
	queue   []*followed
	reading int
	read    chan job.Ref // attempts that were read to their end
}

// followed is the log of one attempt.
type followed struct {
	ref   job.Ref
	o     logstore.ReadOptions
	ended chan struct{}
	over  bool // ended is closed
}

// MaxAttempts bounds the attempts that one call of Follow goes through.
const MaxAttempts = 100_000

// watchBatch is how many notices are taken at a time.
const watchBatch = 500

// piece is a frame of an attempt's log, with bytes of its own.
type piece struct {
	ref   job.Ref
	entry logstore.Entry
}

// Over reports whether all that ref names has ended, as far as memory knows: a job
// that is not in memory has.
func (s Source) Over(ctx context.Context, spec *job.Spec, ref job.Ref) (bool, error) {
	f, err := s.follower(spec, ref)
	if err != nil {
		return false, err
	}
	return f.over(ctx)
}

// Follow calls send for the frames of all attempts below ref, a job, task, element
// or attempt of spec, until all has ended and its logs are complete. It begins with
// the newest attempt of each element, as o says, and goes on with all that come.
// Frames have an order within an attempt alone. send is called from one goroutine
// at a time; its error ends the call, and so do the end of ctx,
// logstore.ErrDropped, and more than MaxAttempts attempts.
func (s Source) Follow(ctx context.Context, spec *job.Spec, ref job.Ref, o logstore.ReadOptions, send func(job.Ref, logstore.Entry) error) error {
	f, err := s.follower(spec, ref)
	if err != nil {
		return err
	}
	f.o = o
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	all.Go(func() {
		if err := f.watch(ctx, cancel, &all); err != nil {
			cancel(err)
			return
		}
		close(f.pieces)
	})
	defer all.Wait()
	defer cancel(nil) // before the wait
	for {
		select {
		case p, more := <-f.pieces:
			if !more {
				return nil
			}
			if err := send(p.ref, p.entry); err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (s Source) follower(spec *job.Spec, ref job.Ref) (*follower, error) {
	f := &follower{
		Source: s, spec: spec, ref: ref, pieces: make(chan piece, 64), known: map[job.Ref]*followed{}, read: make(chan job.Ref),
	}
	if ref.Task == "" {
		return f, nil
	}
	ti, ok := f.taskOf(ref.Task)
	if !ok {
		return nil, fmt.Errorf("follow %s: the job has no such task", ref)
	}
	f.task = ti
	f.position, _ = spec.Tasks[ti].Array.Position(ref.Index)
	return f, nil
}

func (f *follower) taskOf(name string) (uint32, bool) {
	i := slices.IndexFunc(f.spec.Tasks, func(t job.Task) bool { return t.Name == name })
	return uint32(max(i, 0)), i >= 0
}

// watch begins a reader for each attempt there is and will be, until all have been
// read to their end.
func (f *follower) watch(ctx context.Context, cancel context.CancelCauseFunc, all *sync.WaitGroup) error {
	reader := f.Engine.Hub().Read(replica.Cursor{})
	news := make(chan noticed)
	all.Go(func() {
		defer reader.Close()
		for {
			notices, resync, err := reader.Next(ctx, watchBatch)
			if err != nil {
				return // ctx has ended
			}
			select {
			case news <- noticed{notices, resync}:
			case <-ctx.Done():
				return
			}
		}
	})
	over, err := f.look(ctx, f.o, true)
	if err != nil {
		return err
	}
	last := false // everything was over at the last look
	for {
		for len(f.queue) > 0 && f.reading < maxFollowed {
			next := f.queue[0]
			f.queue = f.queue[1:]
			f.reading++
			all.Go(func() {
				if err := f.one(ctx, next); err != nil {
					cancel(err)
				}
			})
		}
		if over && f.reading == 0 {
			if last {
				return nil
			}
			last = true // what has ended without being noticed so far
			if _, err := f.look(ctx, logstore.ReadOptions{}, false); err != nil {
				return err
			}
			continue
		}
		select {
		case n := <-news:
			if over, err = f.note(ctx, n, over); err != nil {
				return err
			}
		case ref := <-f.read:
			f.known[ref] = nil
			f.reading--
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// noticed is news from the hub.
type noticed struct {
	notices []replica.Notice
	resync  bool
}

// note takes news in and reports whether everything below the reference is over.
func (f *follower) note(ctx context.Context, n noticed, over bool) (bool, error) {
	if n.resync {
		return f.look(ctx, logstore.ReadOptions{}, false)
	}
	ask := false
	for i := range n.notices {
		ref := n.notices[i].Ref
		if ref.Job != f.ref.Job {
			continue
		}
		switch n.notices[i].Kind {
		case "attempt_started":
			if err := f.begin(ref, logstore.ReadOptions{}, false); err != nil {
				return over, err
			}
		case "attempt_ended":
			if err := f.begin(ref, logstore.ReadOptions{}, true); err != nil {
				return over, err
			}
			ask = true
		case "job_ended", "elements_ended":
			ask = true
		}
	}
	if !ask || over {
		return over, nil
	}
	return f.over(ctx)
}

// begin takes up an attempt, and notes that it has ended.
func (f *follower) begin(ref job.Ref, o logstore.ReadOptions, ended bool) error {
	u := f.ref
	if u.Task != "" && (ref.Task != u.Task || u.Index != job.NoIndex && ref.Index != u.Index || u.Attempt > 0 && ref.Attempt != u.Attempt) {
		return nil
	}
	a, seen := f.known[ref]
	if !seen {
		if err := f.skip(ref); err != nil {
			return err
		}
		o.Follow = true
		a = &followed{ref: ref, o: o, ended: make(chan struct{})}
		a.o.Ended = a.ended
		f.known[ref] = a
		f.queue = append(f.queue, a)
	}
	if ended && a != nil && !a.over {
		a.over = true
		close(a.ended)
	}
	return nil
}

// skip remembers an attempt as one that needs no reading any more.
func (f *follower) skip(ref job.Ref) error {
	if len(f.known) >= MaxAttempts {
		return &job.Error{Code: job.Busy, Message: fmt.Sprintf("this follows %d attempts already; follow one task or element", MaxAttempts)}
	}
	f.known[ref] = nil
	return nil
}

// look takes up what there is already: the newest attempt of each element that has
// a log, and those that run. A later look takes up all attempts that are not known.
func (f *follower) look(ctx context.Context, o logstore.ReadOptions, first bool) (over bool, err error) {
	if over, err = f.over(ctx); err != nil {
		return false, err
	}
	if !over {
		if err := f.takeRunning(ctx, o); err != nil {
			return false, err
		}
	}
	if err := f.takeWritten(ctx, o, first); err != nil {
		return false, err
	}
	return over, f.settle(ctx)
}

// takeWritten takes up attempts that have logs.
func (f *follower) takeWritten(ctx context.Context, o logstore.ReadOptions, first bool) error {
	var last job.Ref // goes in if the next one is of another element
	flush := func(next job.Ref) error {
		newest := last.Job != 0 && (next.Task != last.Task || next.Index != last.Index)
		switch {
		case last.Job == 0:
			return nil
		case newest || !first:
			return f.begin(last, o, false)
		}
		return f.skip(last)
	}
	for after := (job.Ref{}); ; {
		page, err := f.Logs.List(ctx, f.ref, after, logstore.MaxList)
		if err != nil {
			return err
		}
		for _, info := range page {
			if err := flush(info.Ref); err != nil {
				return err
			}
			last, after = info.Ref, info.Ref
		}
		if len(page) < logstore.MaxList {
			return flush(job.Ref{})
		}
	}
}

// takeRunning takes up attempts that have been given to a worker.
func (f *follower) takeRunning(ctx context.Context, o logstore.ReadOptions) error {
	for ti := range f.spec.Tasks {
		spec := &f.spec.Tasks[ti]
		if f.ref.Task != "" && f.ref.Task != spec.Name {
			continue
		}
		for from := int64(0); from >= 0; { // a bounded number of elements at a time
			var views []core.ElementView
			if err := f.Engine.View(ctx, func(state *core.State) {
				views, from = state.Elements(f.ref.Job, uint32(ti), from, []job.ElementState{job.Assigned, job.Running}, maxFollowed)
			}); err != nil {
				return err
			}
			for i := range views {
				v := &views[i]
				if err := f.begin(job.Ref{Job: f.ref.Job, Task: spec.Name, Index: v.Index, Attempt: int(v.Record.Attempts)}, o, false); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// settle notes which attempts have ended without a notice that told so.
func (f *follower) settle(ctx context.Context) error {
	return f.Engine.View(ctx, func(state *core.State) {
		for ref, a := range f.known {
			if a == nil || a.over {
				continue
			}
			ti, ok := f.taskOf(ref.Task)
			if !ok {
				continue // it never had such a task
			}
			p, _ := f.spec.Tasks[ti].Array.Position(ref.Index)
			if views, _ := state.Elements(ref.Job, ti, p, nil, 1); len(views) == 0 || past(&views[0], ref.Attempt) {
				a.over = true
				close(a.ended)
			}
		}
	})
}

// over reports whether all that the reference names has ended.
func (f *follower) over(ctx context.Context) (over bool, err error) {
	err = f.Engine.View(ctx, func(state *core.State) {
		image, ok := state.Image(f.ref.Job)
		if !ok || image.State.Terminal() {
			over = true
			return
		}
		if f.ref.Task == "" {
			return
		}
		if f.ref.Index == job.NoIndex && f.ref.Attempt == 0 {
			over = image.Tasks[f.task].Ended > 0
			return
		}
		views, _ := state.Elements(f.ref.Job, f.task, f.position, nil, 1)
		over = len(views) == 0 || views[0].Record.State.Terminal() || f.ref.Attempt > 0 && past(&views[0], f.ref.Attempt)
	})
	return over, err
}

// past reports whether an element's attempt with a number is over, or never was.
func past(v *core.ElementView, number int) bool {
	return v.Record.State.Terminal() || v.Record.State == job.Pending || int(v.Record.Attempts) != number
}

// one reads one attempt's log to its end.
func (f *follower) one(ctx context.Context, a *followed) error {
	for e, err := range f.Logs.Read(ctx, a.ref, a.o) {
		if err != nil {
			return fmt.Errorf("read the log of %s: %w", a.ref, err)
		}
		e.Data = bytes.Clone(e.Data)
		select {
		case f.pieces <- piece{a.ref, e}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	select {
	case f.read <- a.ref:
	case <-ctx.Done():
	}
	return nil
}
