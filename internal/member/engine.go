package member

import (
	"context"
	"errors"
	"time"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/leader"
	"github.com/reeve-scheduler/reeve/internal/replica"
	"github.com/reeve-scheduler/reeve/internal/store"
)

// roleWait bounds how long a read waits for a server that is neither leader nor follower,
// such as between the two.
const roleWait = 3 * time.Second

// errFollows refuses what only a leader can decide.
func errFollows() error {
	return &job.Error{Code: job.Unavailable, Message: "this server does not lead; ask the one that does"}
}

func (m *Member) current() (role, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.role, m.changed
}

// Do has a command decided if this server leads.
func (m *Member) Do(ctx context.Context, c core.Command) (any, error) {
	if r, _ := m.current(); r.leader != nil {
		return r.leader.Do(ctx, c)
	}
	return nil, errFollows()
}

// Post has a command decided without waiting for it, if this server leads.
func (m *Member) Post(c core.Command) error {
	if r, _ := m.current(); r.leader != nil {
		return r.leader.Post(c)
	}
	return errFollows()
}

// View runs fn on the state as everything durable at the time of the call has made it, at
// whichever server that is. Once it has returned fn does not run any more.
func (m *Member) View(ctx context.Context, fn func(*core.State)) error {
	waiting, cancel := context.WithTimeout(ctx, roleWait)
	defer cancel()
	for {
		r, changed := m.current()
		var err error
		switch {
		case r.leader != nil:
			// A term that ends meanwhile gives way to a follower.
			if err = r.leader.View(ctx, fn); err == nil || job.CodeOf(err) != job.Unavailable || ctx.Err() != nil {
				return err
			}
		case r.follower != nil:
			if err = r.follower.View(ctx, fn); !errors.Is(err, replica.ErrEnded) {
				return err
			}
		}
		select {
		case <-changed:
		case <-waiting.Done():
			if err == nil || errors.Is(err, replica.ErrEnded) {
				err = m.errNobody()
			}
			return err
		}
	}
}

// Heard notes that something came from a worker just now.
func (m *Member) Heard(worker uint64) {
	m.heard.Store(int64(m.now()))
	m.wasHeard.Store(true)
	if r, _ := m.current(); r.leader != nil {
		r.leader.Heard(worker)
	}
}

// Hub carries what happens, whoever decides it.
func (m *Member) Hub() *replica.Hub { return m.hub }

// Now is the time that the servers share, in Unix milliseconds.
func (m *Member) Now() int64 { return m.clock.Now() }

// Lease is the lease of attempts whose task says nothing.
func (m *Member) Lease() time.Duration {
	return time.Duration(m.o.Settings.Core.Lease) * time.Millisecond
}

// Position is the generation, the last sequence that this server knows to be durable, and
// the one that the tables cover.
func (m *Member) Position() (generation, durable, projected uint64) {
	r, _ := m.current()
	switch {
	case r.leader != nil:
		return r.leader.Position()
	case r.follower != nil:
		generation, last, projected := r.follower.Position()
		return generation, last.Seq, projected
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.seen.Generation, m.seen.Seq, 0
}

// Full is the refusal that submits get while there is too much to do.
func (m *Member) Full() error {
	if r, _ := m.current(); r.leader != nil {
		return r.leader.Full()
	}
	return nil
}

// Standing is how a server stands among the others.
type Standing struct {
	// Leads says that this server decides, and is certain of that.
	Leads bool
	// Able says that it answers reads.
	Able bool
	// Leader is where the leader is, empty while nobody is known to lead.
	Leader string
	// Servers are those that are there.
	Servers []store.Server
	// Trouble is why it does not, or why its copy is in doubt, where something is wrong.
	Trouble string
	// Differed is how many copies were not what the leader had.
	Differed int
	// Behind is how long ago a follower was last known to have seen everything.
	Behind time.Duration
}

// Standing never waits.
func (m *Member) Standing() Standing {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := Standing{Leads: m.role.leader != nil && m.Holds(), Servers: m.servers}
	s.Able = s.Leads || m.role.follower != nil
	s.Differed = m.differed
	switch {
	case m.unfit != nil:
		s.Trouble = m.unfit.Error()
	case m.doubts():
		s.Trouble = m.doubt
	}
	if left := m.lease.Left - (m.now() - m.told); left > 0 && (m.lease.Holder != m.o.Self.ID || s.Leads) {
		s.Leader = m.lease.Address
	}
	if f := m.role.follower; f != nil {
		s.Behind = f.Behind()
	}
	return s
}

// Changed is closed when how this server stands, or what it knows of the lease, has changed.
func (m *Member) Changed() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.turned
}

// Vitals is the leader's, and false while this server does not lead.
func (m *Member) Vitals() (leader.Vitals, bool) {
	if r, _ := m.current(); r.leader != nil {
		return r.leader.Vitals(), true
	}
	return leader.Vitals{}, false
}
