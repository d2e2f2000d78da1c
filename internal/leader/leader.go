package leader

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
	"github.com/reeve-scheduler/reeve/internal/record"
	"github.com/reeve-scheduler/reeve/internal/replica"
	"github.com/reeve-scheduler/reeve/internal/store"
)

// Settings of a leader. Zero fields mean the defaults.
type Settings struct {
	Core core.Config
	// MaxWaiting bounds the submits that wait for the loop, and MaxWaitingBytes what
	// they hold, in bytes; more are refused with job.Busy. The other lanes have
	// MaxWaiting each too, but for what workers report, which is never refused.
	MaxWaiting      int
	MaxWaitingBytes int
	// MaxUnprojected bounds the jobs that the tables lack; while there are more,
	// submits are refused with job.Busy.
	MaxUnprojected int
	// MemoryFull says whether this process keeps as much as it may; while it does, submits
	// are refused with job.Busy. It is asked once a second, and must be quick. It may be nil.
	MemoryFull func() bool
	// FlushEvery is how often the projector starts a flush.
	FlushEvery time.Duration
	// TrimEvery is how often the journal is trimmed, KeepBatches how many batches
	// stay in it beyond what the tables need.
	TrimEvery   time.Duration
	KeepBatches uint64
	// TidyEvery is how often the journal may move what it has just written to where it
	// belongs. The more there is of that, the longer do appends wait for the disk meanwhile.
	TidyEvery time.Duration
	// RetainEvery is how often what is past its retention is dropped.
	RetainEvery time.Duration
	// DigestEvery is how often a part of the state is digested for other servers to compare
	// theirs with, 0 for never.
	DigestEvery time.Duration
	// Gone is told which jobs are about to be dropped, so that what else is kept of
	// them goes too; an error keeps them for now. It may be nil.
	Gone func(ctx context.Context, ids []job.ID) error
	// Logged is told how long the log of an attempt is that has ended, before anybody
	// else hears of that end. It must not block. It may be nil.
	Logged func(ref job.Ref, size int64)
	// Observer is told what the leader does. It may be nil.
	Observer Observer
	// Clock is what the leader goes by, the machine's if nil.
	Clock *Clock
	// Holds says, where several servers share a store, whether this one's lease is certain
	// to last still: while it is not, nobody is shown the state, or told that what is asked for
	// is so already, since another server may lead by now. It must be quick. Nil is a leader that has no rivals.
	Holds func() bool
}

// Defaults of Settings.
const (
	DefaultLease      = 60 * time.Second
	DefaultRetention  = 30 * 24 * time.Hour
	DefaultMaxWaiting = 10_000
	// DefaultMaxWaitingBytes is eight of the largest messages that a server takes.
	DefaultMaxWaitingBytes = 128 << 20
	DefaultMaxUnprojected  = 2_000_000
	DefaultFlushEvery      = 200 * time.Millisecond
	DefaultTrimEvery       = 15 * time.Second
	// DefaultKeepBatches is little: a batch may have megabytes, and who reads the journal
	// is never far behind.
	DefaultKeepBatches = 100
	DefaultTidyEvery   = 3 * time.Second
	DefaultRetainEvery = 10 * time.Minute
)

// Defaults puts the defaults in the place of zero fields.
func (s *Settings) Defaults() {
	if s.Core.Lease == 0 {
		s.Core.Lease = DefaultLease.Milliseconds()
	}
	if s.Core.Retention == 0 {
		s.Core.Retention = DefaultRetention.Milliseconds()
	}
	if s.MaxWaiting == 0 {
		s.MaxWaiting = DefaultMaxWaiting
	}
	if s.MaxWaitingBytes == 0 {
		s.MaxWaitingBytes = DefaultMaxWaitingBytes
	}
	if s.MaxUnprojected == 0 {
		s.MaxUnprojected = DefaultMaxUnprojected
	}
	if s.FlushEvery == 0 {
		s.FlushEvery = DefaultFlushEvery
	}
	if s.TrimEvery == 0 {
		s.TrimEvery = DefaultTrimEvery
	}
	if s.KeepBatches == 0 {
		s.KeepBatches = DefaultKeepBatches
	}
	if s.TidyEvery == 0 {
		s.TidyEvery = DefaultTidyEvery
	}
	if s.RetainEvery == 0 {
		s.RetainEvery = DefaultRetainEvery
	}
	if s.Observer == nil {
		s.Observer = unobserved{}
	}
	if s.Clock == nil {
		s.Clock = NewClock()
	}
}

// Outbox takes messages for workers once they may go out. It must not block: a
// session that can't take more is closed instead.
type Outbox interface {
	// Opened says that a hello was decided: what is delivered to the worker from now on
	// is for the session that begins with it, and nothing before was.
	Opened(worker, session uint64)
	Deliver(worker uint64, msgs []link.ToWorker)
}

// Leader decides. Do, View, Heard and the readers' methods may be called from any
// goroutine once New has returned.
type Leader struct {
	settings Settings
	journal  store.Journal
	tables   store.Tables
	outbox   Outbox
	log      *slog.Logger
	clock    *Clock
	hub      *replica.Hub

	state *core.State // the loop's alone
	last  store.Mark  // of the last batch that was sealed; the loop's alone
	in    inbox
	live  Liveness
	beats sync.Mutex // guards live

	mu        sync.Mutex
	projected uint64 // what the tables cover
	durable   store.Mark

	stall  stall
	gate   gate
	census atomic.Pointer[core.Census]

	done chan struct{} // closed when Run has ended
}

// New recovers the state and begins a term. It returns when the term's epoch record
// is durable: from then on this process alone decides.
func New(ctx context.Context, settings Settings, journal store.Journal, tables store.Tables, outbox Outbox, log *slog.Logger) (*Leader, error) {
	settings.Defaults()
	found, err := replica.Recover(ctx, settings.Core, journal, tables)
	if err != nil {
		return nil, err
	}
	if found.Differs != nil {
		log.Error("what is recovered is not what the last leader had; there is nothing better, so it goes on with that", "error", found.Differs)
	}
	return Take(ctx, settings, Term{Copy: found}, journal, tables, outbox, log)
}

// Term is what a leader's term begins with.
type Term struct {
	// Copy is the state at the journal's end; it is the leader's from now on.
	Copy replica.Copy
	// Hub is what watchers of this process have been on; a new one if nil.
	Hub *replica.Hub
	// Generation is the least that the term begins in.
	Generation uint64
}

// Take begins a term on a state that is at the journal's end. It returns when the term's
// epoch record is durable, or store.ErrFenced when another server has written meanwhile.
func Take(ctx context.Context, settings Settings, term Term, journal store.Journal, tables store.Tables, outbox Outbox, log *slog.Logger) (*Leader, error) {
	settings.Defaults()
	state := term.Copy.State
	l := &Leader{
		settings: settings, journal: journal, tables: tables, outbox: outbox, log: log, clock: settings.Clock,
		state: state, projected: term.Copy.Projected, done: make(chan struct{}), hub: term.Hub,
	}
	l.in.init(settings.MaxWaiting, settings.MaxWaitingBytes, settings.Observer.Refused)
	generation := max(state.Generation(), term.Generation, 1)
	b, err := l.begin(term.Copy.Last, generation)
	if err != nil {
		return nil, fmt.Errorf("begin a term: %w", err)
	}
	if err := appendUntilKnown(ctx, journal, b, &l.stall, log); err != nil {
		return nil, fmt.Errorf("begin a term: %w", err)
	}
	l.last = store.Mark{Seq: b.Seq, ID: b.ID}
	l.durable = l.last
	for _, w := range state.Workers() {
		l.live.Heard(w.ID)
	}
	at := replica.Cursor{Generation: generation, Seq: b.Seq}
	if l.hub == nil {
		l.hub = replica.NewHub(replica.DefaultRing, at)
	} else {
		l.hub.Publish(at, nil, true)
	}
	log.Info("leading", "epoch", state.Epoch(), "generation", generation, "sequence", b.Seq, "jobs", state.Totals().Live)
	return l, nil
}

// begin makes and applies the term's first batch. What the end of the last term left
// to be looked at is looked at in the loop's first turns.
func (l *Leader) begin(last store.Mark, generation uint64) (store.Batch, error) {
	var first batch
	events := l.state.Begin(l.clock.Now(), l.state.Epoch()+1, generation)
	if err := first.enter(&record.Decoder{}, l.state.Format(), events); err != nil {
		return store.Batch{}, err
	}
	for _, e := range events {
		l.state.Apply(e)
	}
	l.state.Batch(last.Seq + 1)
	l.state.Recheck()
	return first.seal(last, l.state.Epoch()), nil
}

// final reports whether trying a write again can't help: this term, and with a
// broken disk this process, is over.
func final(err error) bool {
	return errors.Is(err, store.ErrFenced) || errors.Is(err, store.ErrBroken) || errors.Is(err, store.ErrCorrupt) || errors.Is(err, store.ErrRefused)
}

// appendUntilKnown repeats an append whose outcome is unknown until it is.
func appendUntilKnown(ctx context.Context, journal store.Journal, b store.Batch, s *stall, log *slog.Logger) error {
	wait := 10 * time.Millisecond
	for tries := 0; ; tries++ {
		err := journal.Append(ctx, b)
		if err == nil || final(err) {
			s.over()
			return err
		}
		s.failed(err, time.Now())
		if wait < time.Second || tries%60 == 0 { // at first each time, then once a minute
			log.Warn("the journal did not take a batch; trying again", "sequence", b.Seq, "in", wait, "error", err)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		}
		wait = min(2*wait, time.Second)
	}
}

// Do has a command decided and returns its reply once it is durable. Errors are of
// type *job.Error. If ctx ends first the outcome is unknown.
func (l *Leader) Do(ctx context.Context, c core.Command) (any, error) {
	if err := l.stall.refusal(); err != nil && laneOf(c) != laneResult {
		return nil, err
	}
	r := &request{command: c, done: make(chan answer, 1), weight: weightOf(c)}
	if err := l.in.put(laneOf(c), r); err != nil {
		return nil, err
	}
	return l.wait(ctx, r)
}

// Post has a command decided without waiting for it.
func (l *Leader) Post(c core.Command) error {
	return l.in.put(laneOf(c), &request{command: c, done: make(chan answer, 1), weight: weightOf(c)})
}

// View runs fn on the state, inside the loop, and returns once everything that fn
// saw is durable. fn must be quick and must not keep what it is shown. Once View has
// returned, whyever it did, fn does not run any more.
func (l *Leader) View(ctx context.Context, fn func(*core.State)) error {
	v := &viewOnce{fn: fn}
	r := &request{view: v.run, done: make(chan answer, 1)}
	if err := l.in.put(laneView, r); err != nil {
		return err
	}
	_, err := l.wait(ctx, r)
	v.drop()
	return err
}

// viewOnce is a view that its caller may give up: what it writes to is the caller's.
type viewOnce struct {
	mu sync.Mutex
	fn func(*core.State)
}

func (v *viewOnce) run(s *core.State) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.fn != nil {
		v.fn(s)
	}
}

func (v *viewOnce) drop() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.fn = nil
}

func (l *Leader) wait(ctx context.Context, r *request) (any, error) {
	select {
	case a := <-r.done:
		return a.reply, a.err
	case <-ctx.Done():
		return nil, &job.Error{Code: job.Unavailable, Message: "the request was given up before it was answered; its outcome is unknown", Cause: ctx.Err()}
	case <-l.stall.lasts():
		if err := l.stall.refusal(); err != nil {
			if r.view != nil {
				return nil, err
			}
			return nil, unknown(err)
		}
		return l.wait(ctx, r) // it is over already
	case <-l.done:
		select {
		case a := <-r.done:
			return a.reply, a.err
		default:
			return nil, stopping() // it came as the loop ended, and nobody has looked at it
		}
	}
}

// Heard notes that something came from a worker just now.
func (l *Leader) Heard(worker uint64) {
	l.beats.Lock()
	l.live.Heard(worker)
	l.beats.Unlock()
}

// Hub carries what happens to those who watch.
func (l *Leader) Hub() *replica.Hub { return l.hub }

// Now is the server's clock in Unix milliseconds.
func (l *Leader) Now() int64 { return l.clock.Now() }

// Position is the generation, the last durable sequence and the one that the
// tables cover.
func (l *Leader) Position() (generation, durable, projected uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.hub.End().Generation, l.durable.Seq, l.projected
}

// Durable is the last batch that is known to be durable.
func (l *Leader) Durable() store.Mark {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.durable
}

// Holds says whether this server is certain to lead still: see Settings.
func (l *Leader) Holds() bool { return l.settings.Holds == nil || l.settings.Holds() }

// Lease is the lease of attempts whose task says nothing.
func (l *Leader) Lease() time.Duration {
	return time.Duration(l.settings.Core.Lease) * time.Millisecond
}

func random64() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return binary.LittleEndian.Uint64(b[:])
}
