package member

import (
	"context"
	"time"
)

const (
	// reachEvery is how often a leader of which nobody is heard looks whether it can be reached,
	// and reachWait how long it waits for the other servers then.
	reachEvery = 2 * time.Second
	reachWait  = time.Second
	// unreached is how often in a row it must find that it can't be.
	unreached = 2
)

// watchReach has a leader that nobody can reach, though it reaches the database, make room for
// another one: workers that it knows are silent, and no other server can be dialled. A lease in a
// database only says who can reach that.
func (m *Member) watchReach(ctx context.Context) {
	tick := time.NewTicker(reachEvery)
	defer tick.Stop()
	for alone := 0; ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if !m.isAlone(ctx) {
			alone = 0
			continue
		}
		if alone++; alone < unreached {
			continue
		}
		m.o.Log.Error("this server leads, and neither workers nor other servers can reach it: it makes room for one that they can reach", "rest", maxRest)
		m.standBack()
		alone = 0
	}
}

// isAlone reports whether this server leads and hears nobody. One that knows no workers, and has
// heard none in its term, can't tell, nor can one that has no other server beside it.
func (m *Member) isAlone(ctx context.Context) bool {
	m.mu.Lock()
	l, servers, heard := m.role.leader, m.servers, m.heard.Load()
	m.mu.Unlock()
	// A worker is heard a few times in the length of a lease.
	if l == nil || m.now()-time.Duration(heard) < max(m.Lease()/3, 2*reachEvery) {
		return false
	}
	if c := l.Vitals().Census; !m.wasHeard.Load() && c.Connected+c.Away == 0 {
		return false
	}
	dialling, cancel := context.WithTimeout(ctx, reachWait)
	defer cancel()
	asked, answers := 0, make(chan error, len(servers))
	for _, s := range servers {
		if s.ID != m.o.Self.ID {
			asked++
			go func() { answers <- m.o.Reach(dialling, s.Address) }()
		}
	}
	reached := asked == 0
	for range asked {
		reached = <-answers == nil || reached
	}
	return !reached && ctx.Err() == nil
}

// standBack ends this server's term, and has it claim none for a while.
func (m *Member) standBack() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.elector.StandBack(m.now())
	m.until.Store(0)
	m.turn()
}
