package member

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/store"
)

// recent is how long a server that has not said goodbye is a peer: it may come back.
const recent = 10 * time.Minute

// Peer is one of the servers that share a store. Its Format is one at least.
type Peer struct {
	store.Server
	// Leads says that it has the lease, for all that is known here.
	Leads bool
}

// Peers is the servers that are there, and those that were not long ago.
type Peers []Peer

// Peers lists the servers, this one among them.
func (m *Member) Peers(ctx context.Context) (Peers, error) {
	all, err := m.greet(ctx, recent)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	holder, held := m.lease.Holder, m.lease.Left-(m.now()-m.told) > 0
	m.mu.Unlock()
	out := make(Peers, 0, len(all))
	for _, s := range all {
		s.Format = max(s.Format, core.FirstFormat) // there was only one when servers did not say it
		out = append(out, Peer{Server: s, Leads: held && s.ID == holder})
	}
	return out, nil
}

// Role is leader, follower, unable, which leads only if nobody else will, if at all, or away.
func (p *Peer) Role() string {
	switch {
	case p.Leads:
		return "leader"
	case p.Ago > goneAfter:
		return "away"
	case p.Trouble != "":
		return "unable"
	}
	return "follower"
}

// Common is the newest format that all servers know, and never less than the cluster's.
func (p Peers) Common(format uint64) uint64 {
	if len(p) == 0 {
		return format
	}
	least := p[0].Format
	for i := range p {
		least = min(least, p[i].Format)
	}
	return max(least, format)
}

// HeldBack names the servers that know no newer format than the cluster's while others do.
func (p Peers) HeldBack(format uint64) string {
	var old []string
	for i := range p {
		if o := &p[i]; o.Format <= format {
			old = append(old, fmt.Sprintf("the server at %s (version %s, seen %s ago) knows no newer one", o.Address, o.Version, o.Ago.Truncate(time.Second)))
		}
	}
	if len(old) == len(p) {
		return ""
	}
	return strings.Join(old, ", ")
}
