package member

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/leader"
	"github.com/reeve-scheduler/reeve/internal/replica"
	"github.com/reeve-scheduler/reeve/internal/store"
)

// DefaultLease is how long a leader's lease lasts: about how long a cluster waits for a
// leader that was killed.
const DefaultLease = 2 * time.Second

// DefaultDigestEvery is how often a leader digests a part of its state.
const DefaultDigestEvery = time.Second

// Options of a member. All but SeenFile, Led, Deposed and Reach are required.
type Options struct {
	// Settings of the leader, when this server leads; Clock and Holds are the member's.
	Settings leader.Settings
	Journal  store.Journal
	Tables   store.Tables
	Cluster  store.Cluster
	Outbox   leader.Outbox
	// Self is this server as others see it.
	Self store.Server
	// Lease is how long the leader's lease lasts, DefaultLease if 0.
	Lease time.Duration
	// SeenFile is where the server keeps the place in history that it has seen; empty for
	// nowhere.
	SeenFile string
	// Led is called when this server has won the lease, before it begins to lead; an error
	// gives the lease up again. Deposed is called when it leads no more, before it lets
	// another one lead, where it can.
	Led     func(ctx context.Context) error
	Deposed func()
	// Reach dials another server, at its address: see watchReach. Without it a leader that
	// nobody can reach stays.
	Reach func(ctx context.Context, address string) error
	Log   *slog.Logger
}

// Member is one server among several. Its methods may be called concurrently, from New on.
type Member struct {
	o     Options
	clock *leader.Clock
	hub   *replica.Hub
	start time.Time

	until    atomic.Int64 // as Elector.Until
	heard    atomic.Int64 // when something came from a worker, or this server's term began
	wasHeard atomic.Bool  // something came in this term
	asking   sync.Mutex   // held while the cluster is asked, or told that the lease is given up
	resigned chan struct{}
	resign   sync.Once

	mu      sync.Mutex
	elector *Elector
	turned  chan struct{} // closed and replaced when the elector or the lease has changed
	lease   store.Lease
	told    time.Duration // when that was
	servers []store.Server
	role    role
	changed chan struct{} // closed and replaced when role has
	seen    Seen
	saved   Seen
	unfit   error // why this server can't follow
	// doubt is why its copy may not be what the leader has, empty once it has agreed with a round
	// of digests; differed counts the copies that were dropped for that, and inARow those since
	// it has agreed.
	doubt            string
	differed, inARow int
}

// role is what the server is at the moment: one of the two, or none.
type role struct {
	leader   *leader.Leader
	follower *replica.Follower
}

// New returns a member that does nothing until Run.
func New(o Options) (*Member, error) {
	if o.Lease == 0 {
		o.Lease = DefaultLease
	}
	seen, err := readSeen(o.SeenFile)
	if err != nil {
		return nil, err
	}
	m := &Member{
		o: o, clock: leader.NewClock(), hub: replica.NewHub(replica.DefaultRing, replica.Cursor{}), start: time.Now(), seen: seen, saved: seen,
		elector: NewElector(o.Self.ID, o.Lease), turned: make(chan struct{}), changed: make(chan struct{}), resigned: make(chan struct{}),
	}
	m.o.Settings.Clock, m.o.Settings.Holds = m.clock, m.Holds
	if m.o.Settings.DigestEvery == 0 {
		m.o.Settings.DigestEvery = DefaultDigestEvery
	}
	m.o.Settings.Defaults() // copies of the state go by them, too
	return m, nil
}

// now is the server's own clock.
func (m *Member) now() time.Duration { return time.Since(m.start) }

// Run follows and leads until ctx ends. It returns an error when this process can do neither
// any more.
func (m *Member) Run(ctx context.Context) error {
	side, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	wg.Go(func() { m.vote(side) })
	wg.Go(func() { m.meet(side) })
	if m.o.Reach != nil {
		wg.Go(func() { m.watchReach(side) })
	}
	defer func() {
		cancel()
		wg.Wait()
		m.keepSeen()
	}()
	wait := retry{}
	began := false
	for ctx.Err() == nil {
		c, err := m.recover(ctx)
		if err == nil {
			wait, began = retry{}, true
			c, err = m.follow(ctx, c)
		}
		if err == nil && m.leads() {
			err = m.lead(ctx, c)
		}
		if errors.Is(err, store.ErrBroken) || errors.Is(err, replica.ErrNewer) && !began {
			return err
		}
		if err != nil && ctx.Err() == nil {
			m.standDown(ctx, err)
			wait.sleep(ctx, m.pause(err))
		}
	}
	return nil
}

// standDown is for a server that can't go on from its copy. It leaves the lease to one that
// can, and claims none before it has another copy.
func (m *Member) standDown(ctx context.Context, err error) {
	m.mu.Lock()
	known := m.unfit != nil && m.unfit.Error() == err.Error()
	m.unfit = err
	leads := m.elector.Leads()
	m.mu.Unlock()
	if leads {
		m.giveUp(ctx)
	}
	difference, differs := errors.AsType[*replica.DifferenceError](err)
	switch {
	case differs:
		m.differs(difference, "dropped, and built anew")
	case !errors.Is(err, replica.ErrNewer):
		m.o.Log.Warn("this server begins again with what the database holds", "error", err)
	case !known: // once is enough: it is tried again for as long as this server runs
		m.o.Log.Error("this server follows the others no more, and will not lead: a newer version of Reeve has written what this one can't read; "+
			"stop this server and start the version that the others run", "error", err)
	}
}

// retry is a pause that grows.
type retry struct{ d time.Duration }

// pause is the least pause after a failure. What is too new for this program stays so, but for a
// database that goes back in time; and a copy that differs time after time is not built anew all
// the time.
func (m *Member) pause(err error) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, differs := errors.AsType[*replica.DifferenceError](err); errors.Is(err, replica.ErrNewer) || differs && m.inARow > 1 {
		return time.Minute
	}
	return 0
}

func (r *retry) sleep(ctx context.Context, least time.Duration) {
	r.d = max(min(max(2*r.d, 50*time.Millisecond), time.Second), least)
	select {
	case <-time.After(r.d):
	case <-ctx.Done():
	}
}

// recover loads a copy of the state, and notices a history that was lost.
func (m *Member) recover(ctx context.Context) (replica.Copy, error) {
	m.mu.Lock()
	seen := m.seen
	m.mu.Unlock()
	lost, err := seen.Lost(ctx, m.o.Journal)
	if err != nil {
		return replica.Copy{}, fmt.Errorf("look for what this server has seen: %w", err)
	}
	if lost {
		if err := m.raise(ctx, seen); err != nil {
			return replica.Copy{}, err
		}
	}
	c, err := replica.Recover(ctx, m.o.Settings.Core, m.o.Journal, m.o.Tables)
	if err != nil {
		return replica.Copy{}, err
	}
	if c.Differs != nil {
		m.differs(c.Differs, "what the database holds, and there is nothing better")
		c.Differs = nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.unfit = nil
	if lost {
		m.seen = Seen{c.State.Generation(), c.Last}
	}
	return c, nil
}

// differs notes that a copy is not what the leader had.
func (m *Member) differs(d *replica.DifferenceError, becomes string) {
	m.o.Log.Error("this server's copy of the state is not what the leader has; it is "+becomes+". Until it agrees this server leads only if nobody else will: "+
		"please report this, with the logs of all servers", "sequence", d.Seq, "leader", fmt.Sprintf("%x", d.Of.Sum), "own", fmt.Sprintf("%x", d.Own), "error", d)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.doubt = d.Error()
	m.differed++
	m.inARow++
}

// doubts says whether the copy is not known to be the leader's. The caller holds mu.
func (m *Member) doubts() bool {
	if f := m.role.follower; m.doubt != "" && (m.role.leader != nil || f != nil && f.Rounds() > 0) {
		m.doubt, m.inARow = "", 0
	}
	return m.doubt != ""
}

// raise sees to it that a generation follows in which nothing is given out again that the
// lost one may have given out.
func (m *Member) raise(ctx context.Context, seen Seen) error {
	m.o.Log.Error("the database has lost its past: it lacks a batch that this server has seen; was it restored from a backup, or failed over to a standby that lagged? A new generation begins: ids jump, and what only the lost part knew is gone",
		"generation", seen.Generation, "sequence", seen.Seq, "batch", fmt.Sprintf("%x", seen.ID[:4]))
	if err := m.o.Cluster.Raise(ctx, seen.Generation+1); err != nil {
		return fmt.Errorf("begin another generation: %w", err)
	}
	return nil
}

// follow follows until this server has won the lease, or ctx ends.
func (m *Member) follow(ctx context.Context, c replica.Copy) (replica.Copy, error) {
	f := replica.NewFollower(replica.FollowerOptions{
		Config: m.o.Settings.Core, Journal: m.o.Journal, Tables: m.o.Tables, Hub: m.hub, Log: m.o.Log, Now: m.clock.Now,
	}, c)
	following, stop := context.WithCancel(ctx)
	defer stop()
	m.setRole(role{follower: f})
	defer m.setRole(role{})
	won := make(chan struct{})
	go func() {
		defer close(won)
		m.await(following, m.leads)
		stop()
	}()
	c, err := f.Follow(following)
	stop()
	<-won
	generation, last, _ := f.Position()
	m.saw(Seen{generation, last})
	return c, err
}

// lead leads until the term is over: this server resigns, another one leads, or it can't go
// on. c is not to be used afterwards.
func (m *Member) lead(ctx context.Context, c replica.Copy) (err error) {
	defer m.giveUp(ctx)
	if m.o.Led != nil {
		if err := m.o.Led(ctx); err != nil {
			return fmt.Errorf("begin to lead: %w", err)
		}
	}
	l, err := m.take(ctx, c)
	if err != nil {
		return err
	}
	term, end := context.WithCancelCause(context.WithoutCancel(ctx))
	defer end(nil)
	ended := make(chan error, 1)
	go func() { ended <- l.Run(term) }()
	m.heard.Store(int64(m.now()))
	m.wasHeard.Store(false)
	m.setRole(role{leader: l})
	defer m.setRole(role{})
	m.keepLeading(ctx, l, end, ended)
	err = <-ended
	generation, _, _ := l.Position()
	m.saw(Seen{generation, l.Durable()})
	return err
}

// giveUp lets go of the lease: whatever has ended the term, another server may have it now.
func (m *Member) giveUp(ctx context.Context) {
	m.asking.Lock()
	defer m.asking.Unlock()
	m.until.Store(0)
	if m.o.Deposed != nil {
		m.o.Deposed()
	}
	soon, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := m.o.Cluster.Yield(soon, m.o.Self.ID); err != nil {
		m.o.Log.Warn("the lease could not be given up; it runs out by itself", "error", err)
	}
	m.mu.Lock()
	m.elector.Lost(m.now())
	m.turn()
	m.mu.Unlock()
}

// turn wakes those who await. The caller holds mu.
func (m *Member) turn() {
	close(m.turned)
	m.turned = make(chan struct{})
}

// keepLeading watches over a term and ends it when it must end.
func (m *Member) keepLeading(ctx context.Context, l *leader.Leader, end context.CancelCauseFunc, ended chan error) {
	for {
		m.mu.Lock()
		leads, turned, raised := m.elector.Leads(), m.turned, m.lease.Generation
		m.mu.Unlock()
		generation, _, _ := l.Position()
		m.saw(Seen{generation, l.Durable()})
		switch {
		case !leads:
			end(leader.ErrDeposed)
			return
		case raised > generation:
			leading, cancel := m.whileLeading(ctx)
			if _, err := l.Do(leading, core.Leap{Generation: raised}); err != nil {
				m.o.Log.Error("another generation could not be begun", "error", err)
			}
			cancel()
		}
		select {
		case <-turned:
		case err := <-ended:
			ended <- err
			return
		case <-m.resigned:
			end(nil)
			return
		case <-ctx.Done():
			end(nil)
			return
		}
	}
}

// take begins a term at the journal's end. What the last leader has written at the very end
// of its own comes first.
func (m *Member) take(ctx context.Context, c replica.Copy) (*leader.Leader, error) {
	taking, cancel := m.whileLeading(ctx)
	defer cancel()
	last, err := m.o.Journal.Last(taking)
	if err == nil {
		err = c.Follow(taking, m.o.Journal, last, m.hub)
	}
	if err != nil {
		return nil, fmt.Errorf("read the journal to its end: %w", err)
	}
	m.saw(Seen{c.State.Generation(), c.Last})
	m.mu.Lock()
	term := leader.Term{Copy: c, Hub: m.hub, Generation: m.lease.Generation}
	m.mu.Unlock()
	epoch := c.State.Epoch()
	l, err := leader.Take(taking, m.o.Settings, term, m.o.Journal, m.o.Tables, m.o.Outbox, m.o.Log)
	if err != nil {
		return nil, fmt.Errorf("begin a term after epoch %d: %w", epoch, err)
	}
	return l, nil
}

// whileLeading returns a context that ends when the lease is lost.
func (m *Member) whileLeading(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		m.await(ctx, func() bool { return !m.leads() })
		cancel()
	}()
	return ctx, cancel
}

// vote asks for the lease, or how it stands, whenever the elector says so.
func (m *Member) vote(ctx context.Context) {
	for ctx.Err() == nil {
		m.mu.Lock()
		at, _ := m.elector.Next()
		turned := m.turned
		m.mu.Unlock()
		if wait := at - m.now(); wait > 0 {
			select {
			case <-time.After(wait):
			case <-turned:
			case <-ctx.Done():
				return
			}
			continue // it may be something else that is to be asked by now
		}
		m.asking.Lock()
		m.mu.Lock()
		_, what := m.elector.Next()
		m.mu.Unlock()
		m.ask(ctx, what)
		m.asking.Unlock()
	}
}

func (m *Member) ask(ctx context.Context, what Ask) {
	asking, cancel := context.WithTimeout(ctx, m.o.Lease)
	defer cancel()
	sent := m.now()
	var l store.Lease
	var err error
	if what == Claim {
		l, err = m.o.Cluster.Claim(asking, m.o.Self.ID, m.o.Self.Address, m.o.Lease)
	} else {
		l, err = m.o.Cluster.Current(asking)
	}
	m.mu.Lock()
	if err != nil {
		m.elector.Failed(m.now())
		m.mu.Unlock()
		return
	}
	m.lease, m.told = l, sent
	claim := m.elector.Told(sent, m.now(), what, l) && m.unfit == nil && m.role.follower != nil && !m.isResigned()
	claim = claim && (!m.doubts() || -l.Left >= inDoubt*m.o.Lease)
	m.until.Store(int64(m.elector.Until()))
	m.turn()
	m.mu.Unlock()
	m.clock.Keep(l.Now, m.now()-sent)
	if claim {
		m.ask(ctx, Claim)
	}
}

const (
	// inDoubt is for how many leases' length nobody must have led before a server leads whose
	// copy is in doubt: better that than nobody.
	inDoubt   = 5
	meetEvery = time.Second
	// goneAfter is how long a server may be silent before it is no longer named to clients.
	goneAfter = 10 * time.Second
)

// meet keeps this server on the list of servers and learns the others, and saves what was
// seen now and then.
func (m *Member) meet(ctx context.Context) {
	tick := time.NewTicker(meetEvery)
	defer tick.Stop()
	for {
		there, err := m.greet(ctx, goneAfter)
		if err == nil {
			m.mu.Lock()
			m.servers = there
			m.mu.Unlock()
		}
		m.keepSeen()
		select {
		case <-tick.C:
		case <-ctx.Done():
			m.leave(context.WithoutCancel(ctx))
			return
		}
	}
}

// greet says how this server fares, and returns those that were there within a time.
func (m *Member) greet(ctx context.Context, within time.Duration) ([]store.Server, error) {
	ctx, cancel := context.WithTimeout(ctx, goneAfter/2)
	defer cancel()
	self, now := m.o.Self, m.Standing()
	self.Behind, self.Trouble = now.Behind, now.Trouble[:min(len(now.Trouble), store.MaxAddress)]
	return m.o.Cluster.Meet(ctx, self, within)
}

func (m *Member) leave(ctx context.Context) {
	soon, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_ = m.o.Cluster.Leave(soon, m.o.Self.ID) // it is forgotten anyway
}

func (m *Member) keepSeen() {
	m.mu.Lock()
	if f := m.role.follower; f != nil {
		generation, last, _ := f.Position()
		if s := (Seen{generation, last}); m.seen.Less(s) {
			m.seen = s
		}
	}
	seen, old := m.seen, m.saved
	m.saved = seen
	m.mu.Unlock()
	if m.o.SeenFile == "" || seen == old {
		return
	}
	if err := seen.save(m.o.SeenFile); err != nil {
		m.o.Log.Warn("what this server has seen could not be saved", "error", err)
	}
}

// saw notes a place in history that is durable.
func (m *Member) saw(s Seen) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.seen.Less(s) {
		m.seen = s
	}
}

func (m *Member) setRole(r role) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.role = r
	close(m.changed)
	m.changed = make(chan struct{})
	m.turn()
}

func (m *Member) leads() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.elector.Leads()
}

func (m *Member) isResigned() bool {
	select {
	case <-m.resigned:
		return true
	default:
		return false
	}
}

// await waits until ok or until ctx ends; it looks again whenever the elector was told
// something.
func (m *Member) await(ctx context.Context, ok func() bool) {
	for {
		m.mu.Lock()
		turned := m.turned
		m.mu.Unlock()
		if ok() {
			return
		}
		select {
		case <-turned:
		case <-ctx.Done():
			return
		}
	}
}

// Resign gives the lease up in good order if this server has it, and has it never asked for
// again. It returns when that is done or ctx has ended; the server follows from then on.
func (m *Member) Resign(ctx context.Context) {
	m.resign.Do(func() { close(m.resigned) })
	m.await(ctx, func() bool { return !m.leads() })
}

// Holds says whether this server is certain to lead still.
func (m *Member) Holds() bool { return m.now() < time.Duration(m.until.Load()) }

// errNobody is what those get who ask while this server is neither.
func (m *Member) errNobody() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	why := "this server reads the database to begin with"
	if m.unfit != nil {
		why = fmt.Sprintf("this server can't follow the others: %v", m.unfit)
	}
	return &job.Error{Code: job.Unavailable, Message: why + "; try again, or another server"}
}
