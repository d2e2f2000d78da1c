package memstore

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/reeve-scheduler/reeve/internal/store"
)

// cluster is what servers agree on. Its fields are guarded by the store's mu.
type cluster struct {
	holder     [16]byte
	address    string
	until      time.Time
	generation uint64
	servers    map[[16]byte]seen
	secrets    map[string][]byte
}

type seen struct {
	store.Server
	at time.Time
}

// agreement implements store.Cluster.
type agreement struct{ s *Store }

// Cluster returns what servers that share this store agree on, by the store's clock.
func (s *Store) Cluster() store.Cluster { return agreement{s} }

// lease returns the lease at now. The caller holds mu.
func (c *cluster) lease(now time.Time) store.Lease {
	l := store.Lease{Holder: c.holder, Address: c.address, Generation: c.generation, Now: now.UnixMilli()}
	if c.holder != ([16]byte{}) {
		l.Left = c.until.Sub(now)
	}
	return l
}

// with runs do on what is agreed, at the store's time.
func (a agreement) with(ctx context.Context, do func(c *cluster, now time.Time)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	do(&a.s.cluster, a.s.clock())
	return nil
}

func (a agreement) Claim(ctx context.Context, holder [16]byte, address string, length time.Duration) (l store.Lease, err error) {
	if err := store.CheckClaim(holder, address, length); err != nil {
		return l, err
	}
	err = a.with(ctx, func(c *cluster, now time.Time) {
		if c.holder == holder || !now.Before(c.until) {
			c.holder, c.address, c.until = holder, address, now.Add(length)
		}
		l = c.lease(now)
	})
	return l, err
}

func (a agreement) Yield(ctx context.Context, holder [16]byte) error {
	return a.with(ctx, func(c *cluster, now time.Time) {
		if c.holder == holder && now.Before(c.until) {
			c.until = now
		}
	})
}

func (a agreement) Current(ctx context.Context) (l store.Lease, err error) {
	err = a.with(ctx, func(c *cluster, now time.Time) { l = c.lease(now) })
	return l, err
}

func (a agreement) Raise(ctx context.Context, generation uint64) error {
	return a.with(ctx, func(c *cluster, _ time.Time) { c.generation = max(c.generation, generation) })
}

func (a agreement) Meet(ctx context.Context, self store.Server, within time.Duration) (there []store.Server, err error) {
	if err := self.Check(); err != nil {
		return nil, err
	}
	err = a.with(ctx, func(c *cluster, now time.Time) {
		if c.servers == nil {
			c.servers = make(map[[16]byte]seen)
		}
		c.servers[self.ID] = seen{self, now}
		var list []seen
		for _, s := range c.servers { // sorted below
			if now.Sub(s.at) <= within {
				list = append(list, s)
			}
		}
		slices.SortFunc(list, func(a, b seen) int { return cmp.Or(b.at.Compare(a.at), slices.Compare(a.ID[:], b.ID[:])) })
		for _, s := range list[:min(len(list), store.MaxServers)] {
			s.Ago = now.Sub(s.at)
			there = append(there, s.Server)
		}
	})
	slices.SortFunc(there, func(a, b store.Server) int {
		return cmp.Or(cmp.Compare(a.Address, b.Address), slices.Compare(a.ID[:], b.ID[:]))
	})
	return there, err
}

func (a agreement) Leave(ctx context.Context, id [16]byte) error {
	return a.with(ctx, func(c *cluster, _ time.Time) { delete(c.servers, id) })
}

func (a agreement) Secret(ctx context.Context, name string, proposal []byte) (secret []byte, err error) {
	if err := store.CheckSecret(name, proposal); err != nil {
		return nil, err
	}
	err = a.with(ctx, func(c *cluster, _ time.Time) {
		if c.secrets == nil {
			c.secrets = make(map[string][]byte)
		}
		if _, stands := c.secrets[name]; !stands {
			c.secrets[name] = slices.Clone(proposal)
		}
		secret = slices.Clone(c.secrets[name])
	})
	return secret, err
}
