package element

import (
	"math"
	"time"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// Record is what is known of one element beside its live attempt.
type Record struct {
	State job.ElementState
	// Carried: it succeeded in the job that this one retries.
	Carried bool
	// Way is in which of the ways of its task the attempt was served that ended it: job.Task.Asks.
	Way uint8
	// Attempts is how many there were, the current one included.
	Attempts uint16
	// Cause is why it ended, or why its last attempt did.
	Cause job.Cause
	// Worker is the one of the last attempt, 0 for none.
	Worker uint64
	// Started and Ended are of the last attempt, in Unix milliseconds.
	Started, Ended int64
	// Usage is of the attempt that ended it, as Rounded has it.
	Usage job.Usage
	// Memory is what that attempt asked for, in bytes, if that was more than its task does; else 0.
	Memory int64
}

// Rounded is a usage as tables keep it: whole milliseconds and KiB, each at most what
// 32 bits hold, which is 49 days and 4 TiB.
func Rounded(u job.Usage) job.Usage {
	cpu, memory := packed(u)
	return unpacked(cpu, memory)
}

func packed(u job.Usage) (milliseconds, kib uint32) {
	return uint32(min(max(u.CPU.Milliseconds(), 0), math.MaxUint32)), uint32(min(max(u.Memory>>10, 0), math.MaxUint32))
}

func unpacked(milliseconds, kib uint32) job.Usage {
	return job.Usage{CPU: time.Duration(milliseconds) * time.Millisecond, Memory: int64(kib) << 10}
}

// after is r for an element that may have had attempts before.
func (old Record) after(r Record) Record {
	if old.Attempts > 0 {
		r.Attempts, r.Worker, r.Started = old.Attempts, old.Worker, old.Started
	}
	return r
}

// Table is the records of n elements. Untouched elements are pending and cost
// nothing; a chunk whose elements all ended alike is one record.
type Table struct {
	n      int64
	chunks []*chunk
	counts job.Counts
	causes causes
}

type chunk struct {
	// uniform stands for every element when cols is nil.
	uniform Record
	cols    *columns
	// ways and more, bytes of memory, are columns of what attempts asked for, nil where none asked for
	// anything else than its task does first, as nearly all. They stand apart from the others,
	// which have no pointers to be followed.
	ways *[ChunkSize]uint8
	more *[ChunkSize]int64
}

type columns struct {
	state   [ChunkSize]uint8
	tries   [ChunkSize]uint16
	cause   [ChunkSize]uint16
	worker  [ChunkSize]uint32
	started [ChunkSize]int64
	ended   [ChunkSize]int64
	cpu     [ChunkSize]uint32 // milliseconds
	memory  [ChunkSize]uint32 // KiB
}

// put notes in a column that is there only where something differs from 0.
func put[T uint8 | int64](column **[ChunkSize]T, i int64, v T) {
	if *column == nil {
		if v == 0 {
			return
		}
		*column = new([ChunkSize]T)
	}
	(*column)[i] = v
}

func get[T uint8 | int64](column *[ChunkSize]T, i int64) T {
	if column == nil {
		return 0
	}
	return column[i]
}

const carriedBit = 0x80

// causes interns causes, most of which are alike. Past its bound details are
// dropped, so that a million different messages do not fill the memory.
type causes struct {
	list  []job.Cause
	index map[job.Cause]uint16
}

const maxDetailed = 4096

func (c *causes) intern(cause job.Cause) uint16 {
	if cause.Kind == job.CauseNone {
		return 0
	}
	if len(c.list) >= maxDetailed {
		cause.Detail = ""
	}
	if id, ok := c.index[cause]; ok {
		return id
	}
	if len(c.list) >= 1<<16-2 {
		return 0
	}
	if c.index == nil {
		c.index = map[job.Cause]uint16{}
	}
	c.list = append(c.list, cause)
	id := uint16(len(c.list))
	c.index[cause] = id
	return id
}

func (c *causes) get(id uint16) job.Cause {
	if id == 0 {
		return job.Cause{}
	}
	return c.list[id-1]
}

// NewTable returns a table of n pending elements.
func NewTable(n int64) *Table {
	t := &Table{n: n}
	t.counts[job.Pending] = n
	return t
}

// Len is the number of elements.
func (t *Table) Len() int64 { return t.n }

// Counts is how many elements are in each state.
func (t *Table) Counts() job.Counts { return t.counts }

// State returns the state of the element at p.
func (t *Table) State(p int64) job.ElementState {
	c := t.at(p)
	switch {
	case c == nil:
		return job.Pending
	case c.cols == nil:
		return c.uniform.State
	}
	return job.ElementState(c.cols.state[p%ChunkSize] &^ carriedBit)
}

// Get returns the record of the element at p.
func (t *Table) Get(p int64) Record {
	c := t.at(p)
	switch {
	case c == nil:
		return Record{}
	case c.cols == nil:
		return c.uniform
	}
	i := p % ChunkSize
	return Record{
		State:    job.ElementState(c.cols.state[i] &^ carriedBit),
		Carried:  c.cols.state[i]&carriedBit != 0,
		Attempts: c.cols.tries[i],
		Cause:    t.causes.get(c.cols.cause[i]),
		Worker:   uint64(c.cols.worker[i]),
		Started:  c.cols.started[i],
		Ended:    c.cols.ended[i],
		Usage:    unpacked(c.cols.cpu[i], c.cols.memory[i]),
		Way:      get(c.ways, i),
		Memory:   get(c.more, i),
	}
}

// Set puts the record of the element at p.
func (t *Table) Set(p int64, r Record) {
	t.counts[t.State(p)]--
	t.counts[r.State]++
	t.put(p, r)
}

func (t *Table) put(p int64, r Record) {
	c := t.open(p)
	if c.cols == nil {
		if c.uniform == r {
			return
		}
		t.spread(c)
	}
	i, cols := p%ChunkSize, c.cols
	cols.state[i] = uint8(r.State)
	if r.Carried {
		cols.state[i] |= carriedBit
	}
	cols.tries[i] = r.Attempts
	cols.cause[i] = t.causes.intern(r.Cause)
	cols.worker[i] = uint32(r.Worker)
	cols.started[i], cols.ended[i] = r.Started, r.Ended
	cols.cpu[i], cols.memory[i] = packed(r.Usage)
	put(&c.ways, i, r.Way)
	put(&c.more, i, r.Memory)
}

// SetPending gives every pending element of the span the record r and returns
// how many there were; one that has had attempts keeps their number and the last
// one's worker and start. A chunk that is wholly inside, and untouched or one record,
// becomes one record.
func (t *Table) SetPending(span Span, r Record) int64 {
	var n int64
	for p := span.First; p <= span.Last; {
		first := p / ChunkSize * ChunkSize
		end := min(first+ChunkSize, t.n) - 1
		whole := p == first && span.Last >= end
		if c := t.at(p); whole && (c == nil || c.cols == nil && c.uniform.State == job.Pending) {
			open := t.open(p)
			*open = chunk{uniform: open.uniform.after(r)}
			n += end - first + 1
			p = end + 1
			continue
		} else if c != nil && c.cols == nil && c.uniform.State != job.Pending {
			p = end + 1
			continue
		}
		for ; p <= min(end, span.Last); p++ {
			if old := t.Get(p); old.State == job.Pending {
				t.put(p, old.after(r))
				n++
			}
		}
	}
	t.counts[job.Pending] -= n
	t.counts[r.State] += n
	return n
}

// NextPending returns the least pending position that is p or more, or -1.
func (t *Table) NextPending(p int64) int64 {
	for p < t.n {
		c := t.at(p)
		if c == nil || c.cols == nil && c.uniform.State == job.Pending {
			return p
		}
		end := min((p/ChunkSize+1)*ChunkSize, t.n)
		if c.cols != nil {
			for ; p < end; p++ {
				if c.cols.state[p%ChunkSize] == uint8(job.Pending) {
					return p
				}
			}
		}
		p = end
	}
	return -1
}

// Pending returns the pending elements within span as maximal runs, in order.
func (t *Table) Pending(span Span) []Span {
	var out []Span
	for p := t.NextPending(span.First); p >= 0 && p <= span.Last; p = t.NextPending(p) {
		last := p
		if c := t.at(p); c == nil || c.cols == nil {
			last = min((p/ChunkSize+1)*ChunkSize-1, t.n-1, span.Last)
		}
		if n := len(out); n > 0 && out[n-1].Last == p-1 {
			out[n-1].Last = last
		} else {
			out = append(out, Span{p, last})
		}
		p = last + 1
	}
	return out
}

// Chunks is the number of chunks.
func (t *Table) Chunks() int { return int((t.n + ChunkSize - 1) / ChunkSize) }

// Touched reports whether chunk c differs from untouched.
func (t *Table) Touched(c int) bool { return c < len(t.chunks) && t.chunks[c] != nil }

func (t *Table) at(p int64) *chunk {
	if c := p / ChunkSize; c < int64(len(t.chunks)) {
		return t.chunks[c]
	}
	return nil
}

func (t *Table) open(p int64) *chunk {
	c := int(p / ChunkSize)
	if c >= len(t.chunks) {
		grown := make([]*chunk, min(max(c+1, 2*len(t.chunks)), t.Chunks()))
		copy(grown, t.chunks)
		t.chunks = grown
	}
	if t.chunks[c] == nil {
		t.chunks[c] = new(chunk)
	}
	return t.chunks[c]
}

// spread turns a uniform chunk into columns.
func (t *Table) spread(c *chunk) {
	r := c.uniform
	c.cols = new(columns)
	if r == (Record{}) {
		return
	}
	state := uint8(r.State)
	if r.Carried {
		state |= carriedBit
	}
	cause := t.causes.intern(r.Cause)
	cpu, memory := packed(r.Usage)
	for i := range ChunkSize {
		c.cols.state[i], c.cols.tries[i], c.cols.cause[i] = state, r.Attempts, cause
		c.cols.worker[i], c.cols.started[i], c.cols.ended[i] = uint32(r.Worker), r.Started, r.Ended
		c.cols.cpu[i], c.cols.memory[i] = cpu, memory
		put(&c.ways, int64(i), r.Way)
		put(&c.more, int64(i), r.Memory)
	}
}
