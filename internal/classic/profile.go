package classic

import (
	"math"
	"slices"
	"sort"
)

// profile is how many processors are free from when on, as steps. They stand in blocks
// that know their least and their most, so that a search passes over whole blocks, and a
// change of many steps is noted at blocks.
type profile struct{ blocks []block }

type block struct {
	// at is the moments of the steps, free how many processors are free from each until the
	// next, less what is in more.
	at, free []int64
	more     int64
	// low and high are the least and the most that is free in the block.
	low, high int64
}

// blockSteps is how many steps a block has at most: a search looks at as many blocks as
// steps if there are some ten thousand.
const blockSteps = 64

// forever is after all moments of a workload.
const forever = math.MaxInt64 / 4

func newProfile(now, free int64) profile {
	return profile{[]block{{at: []int64{now}, free: []int64{free}, low: free, high: free}}}
}

// measure works out what a block knows of its steps.
func (b *block) measure() { b.low, b.high = slices.Min(b.free)+b.more, slices.Max(b.free)+b.more }

// step is a place in a profile: a block, and a step in it.
type step struct{ block, at int }

// find is the step that a moment lies in. It is not before the first.
func (p *profile) find(at int64) step {
	b := sort.Search(len(p.blocks), func(b int) bool { return p.blocks[b].at[0] > at }) - 1
	k, ok := slices.BinarySearch(p.blocks[b].at, at)
	if !ok {
		k--
	}
	return step{b, k}
}

// from is when a step begins, forever after the last.
func (p *profile) from(s step) int64 {
	if s.block == len(p.blocks) {
		return forever
	}
	return p.blocks[s.block].at[s.at]
}

// fits is the first step from one on in which a number of processors is free.
func (p *profile) fits(s step, procs int64) step {
	for ; s.block < len(p.blocks); s = (step{s.block + 1, 0}) {
		b := &p.blocks[s.block]
		if b.high < procs {
			continue
		}
		for ; s.at < len(b.at); s.at++ {
			if b.free[s.at]+b.more >= procs {
				return s
			}
		}
	}
	return s
}

// blocked is the first step from one on in which fewer are free than a number.
func (p *profile) blocked(s step, procs int64) step {
	for ; s.block < len(p.blocks); s = (step{s.block + 1, 0}) {
		b := &p.blocks[s.block]
		if b.low >= procs {
			continue
		}
		for ; s.at < len(b.at); s.at++ {
			if b.free[s.at]+b.more < procs {
				return s
			}
		}
	}
	return s
}

// most is the most that is free in a span.
func (p *profile) most(from, to int64) int64 {
	s := p.find(from)
	most := int64(math.MinInt64)
	for b, k := s.block, s.at; b < len(p.blocks) && p.blocks[b].at[0] < to; b, k = b+1, 0 {
		c := &p.blocks[b]
		if c.high <= most {
			continue
		}
		for ; k < len(c.at) && c.at[k] < to; k++ {
			most = max(most, c.free[k]+c.more)
		}
	}
	return most
}

// earliest is the first moment from one on, and before a limit, at which a number of
// processors is free for long enough: until it has been that long, or until a moment from
// which on the processors are known to be there. It is the limit if there is none.
func (p *profile) earliest(from, limit, length, known, procs int64) int64 {
	for s := p.find(from); ; {
		s = p.fits(s, procs)
		at := max(p.from(s), from)
		if at >= limit {
			return limit
		}
		if s = p.blocked(s, procs); p.from(s) >= min(at+length, known) {
			return at
		}
	}
}

// add gives processors back, or takes them where procs is below 0, in a span of time.
func (p *profile) add(from, to, procs int64) {
	if from >= to {
		return
	}
	p.split(from)
	p.split(to)
	s := p.find(from)
	for b, k := s.block, s.at; b < len(p.blocks) && p.blocks[b].at[0] < to; b, k = b+1, 0 {
		c := &p.blocks[b]
		if n := len(c.at); k == 0 && c.at[n-1] < to {
			c.more, c.low, c.high = c.more+procs, c.low+procs, c.high+procs
			continue
		}
		for ; k < len(c.at) && c.at[k] < to; k++ {
			c.free[k] += procs
		}
		c.measure()
	}
	p.join(from)
	p.join(to)
}

// split makes a step begin at a moment.
func (p *profile) split(at int64) {
	s := p.find(at)
	b, k := s.block, s.at
	c := &p.blocks[b]
	if c.at[k] == at {
		return
	}
	c.at, c.free = slices.Insert(c.at, k+1, at), slices.Insert(c.free, k+1, c.free[k])
	if n := len(c.at); n > blockSteps {
		half := block{at: slices.Clone(c.at[n/2:]), free: slices.Clone(c.free[n/2:]), more: c.more}
		c.at, c.free = c.at[:n/2], c.free[:n/2]
		c.measure()
		half.measure()
		p.blocks = slices.Insert(p.blocks, b+1, half)
	}
}

// join drops the step at a moment if it changes nothing.
func (p *profile) join(at int64) {
	s := p.find(at)
	b, k := s.block, s.at
	c := &p.blocks[b]
	var before int64
	switch {
	case k > 0:
		before = c.free[k-1] + c.more
	case b > 0:
		d := &p.blocks[b-1]
		before = d.free[len(d.free)-1] + d.more
	default:
		return
	}
	if c.at[k] != at || c.free[k]+c.more != before {
		return
	}
	if len(c.at) == 1 {
		p.blocks = slices.Delete(p.blocks, b, b+1)
		return
	}
	c.at, c.free = slices.Delete(c.at, k, k+1), slices.Delete(c.free, k, k+1)
	c.measure()
}

// forget drops what is over.
func (p *profile) forget(now int64) {
	s := p.find(now)
	b, k := s.block, s.at
	p.blocks = slices.Delete(p.blocks, 0, b)
	if c := &p.blocks[0]; k > 0 {
		c.at, c.free = slices.Delete(c.at, 0, k), slices.Delete(c.free, 0, k)
		c.measure()
	}
	p.blocks[0].at[0] = now
}
