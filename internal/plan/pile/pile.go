// Package pile is what waits, by name and by number: a million groups without a pointer.
package pile

import "github.com/reeve-scheduler/reeve/internal/job"

// Pile is groups. Numbers are used again.
type Pile struct {
	table   table
	records records
}

// Get is the group of a number; it stays where it is.
func (p *Pile) Get(id uint32) *Record { return p.records.get(id) }

// Len is how many groups there are.
func (p *Pile) Len() int { return p.table.n }

// Find is the number of a group.
func (p *Pile) Find(of job.ID, part uint32, alone bool) (id uint32, ok bool) {
	return p.table.get(keyOf(of, part, alone))
}

// Add adds a group that is not there.
func (p *Pile) Add(r Record, alone bool) uint32 {
	id := p.records.add(r)
	p.table.add(keyOf(r.Job, r.Part, alone), id)
	return id
}

// Drop removes a group that is there.
func (p *Pile) Drop(id uint32, alone bool) {
	r := p.records.get(id)
	p.table.drop(keyOf(r.Job, r.Part, alone))
	p.records.drop(id)
	if p.records.live == 0 && p.records.next > 64*blockLen {
		// A map and a block list never shrink by themselves.
		*p = Pile{}
	}
}

// Last is a number that no group has, and from which on none has any.
func (p *Pile) Last() uint32 { return p.records.next }

// key is a group's name without holes, which a map hashes faster.
type key struct{ job, task uint64 }

func keyOf(of job.ID, part uint32, alone bool) key {
	k := key{uint64(of), uint64(part) << 1}
	if alone {
		k.task |= 1
	}
	return k
}

// Record is one group. There may be a million, so it has no pointers and what
// groups share is in their class.
type Record struct {
	Job   job.ID
	Ready int64
	Score int64
	// Part is which of the job's elements these are.
	Part uint32
	// Length is the expected run time in tenths of a second, 0 for unknown.
	Length uint32
	Class  uint32
	// At is the place in the class's heap; in a free record, the next free one.
	At int32
}

// records keeps groups in blocks that never move, so that growing costs the same
// at the millionth group as at the first.
type records struct {
	blocks []*[blockLen]Record
	next   uint32
	// vacant is one more than the first record of the free list.
	vacant int32
	live   int
}

const blockLen = 1024

func (r *records) get(id uint32) *Record { return &r.blocks[id/blockLen][id%blockLen] }

func (r *records) add(v Record) uint32 {
	r.live++
	if r.vacant != 0 {
		id := uint32(r.vacant - 1)
		r.vacant = r.get(id).At
		*r.get(id) = v
		return id
	}
	id := r.next
	r.next++
	if int(id/blockLen) == len(r.blocks) {
		r.blocks = append(r.blocks, new([blockLen]Record))
	}
	*r.get(id) = v
	return id
}

func (r *records) drop(id uint32) {
	r.live--
	*r.get(id) = Record{At: r.vacant}
	r.vacant = int32(id + 1)
}

// Before is the order within a class: the higher score, the older job, the lower part.
func (r *Record) Before(o *Record) bool {
	if r.Score != o.Score {
		return r.Score > o.Score
	}
	if r.Job != o.Job {
		return r.Job < o.Job
	}
	return r.Part < o.Part
}

// tenth is the unit of a record's length, in milliseconds.
const tenth = 100

// Length is milliseconds as a record keeps them: what is known and short is not unknown,
// and what lasts for centuries is.
func Length(ms int64) uint32 {
	n := (ms + tenth - 1) / tenth
	if ms <= 0 || n >= 1<<32 {
		return 0
	}
	return uint32(n)
}

// Lasts is the length in milliseconds, 0 for unknown.
func (r *Record) Lasts() int64 { return int64(r.Length) * tenth }

// Shortest is the least length, in milliseconds, that has so many binary digits in a record.
func Shortest(digits uint8) int64 { return int64(1) << digits / 2 * tenth }
