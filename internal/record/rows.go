package record

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/record/field"
	"github.com/reeve-scheduler/reeve/internal/record/format"
	"github.com/reeve-scheduler/reeve/internal/store"
)

// KeyHash is the KeyHash column of a job with an idempotency key: 0 for no key,
// positive otherwise. It never changes, since it is stored.
func KeyHash(namespace, key string) uint64 {
	if key == "" {
		return 0
	}
	sum := sha256.Sum256([]byte(namespace + "\x00" + key))
	return max(binary.LittleEndian.Uint64(sum[:])>>1, 1)
}

// Rows collects one flush. It is a core.Sink; what it is given is encoded at once.
// It belongs to one goroutine until Flush, and to no flush after the first.
type Rows struct {
	flush   store.Flush
	ended   []job.ID
	specs   map[core.Hash]bool // that the flush has
	size    int
	scratch []byte
	block   []byte
}

var _ core.Sink = (*Rows)(nil)

// blockSize is how much memory is asked for at a time to hold blobs, in bytes:
// they are many, small, and die together.
const blockSize = 64 << 10

// rowSize is what Size counts for a row beside its blob, in bytes.
const rowSize = 128

// NewRows returns the rows of a flush that nothing was written to.
func NewRows() *Rows { return &Rows{} }

// Flush returns what was collected, in the order that a store asks for, as the
// flush at a batch of what has changed after the one at since. The blobs are the caller's to keep, but not to change.
func (r *Rows) Flush(since uint64, at store.Mark) *store.Flush {
	r.flush.Seq, r.flush.ID, r.flush.Since = at.Seq, at.ID, since
	slices.SortFunc(r.flush.Jobs, func(a, b store.JobRow) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(r.flush.Parts, func(a, b store.PartRow) int {
		return cmp.Or(cmp.Compare(a.Job, b.Job), cmp.Compare(a.Task, b.Task), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.N, b.N))
	})
	return &r.flush
}

// Ended lists the jobs of the flush that have ended: what core.State.Flushed asks
// for once the flush is durable.
func (r *Rows) Ended() []job.ID { return r.ended }

// Size is about how many bytes the flush has so far, and Len how many rows.
func (r *Rows) Size() int { return r.size }

// Len is how many rows the flush has so far.
func (r *Rows) Len() int {
	return len(r.flush.Objects) + len(r.flush.Jobs) + len(r.flush.Parts) + len(r.flush.Specs)
}

// keep returns a copy of b that lives as long as the flush.
func (r *Rows) keep(b []byte) []byte {
	r.scratch = b[:0]
	r.size += len(b) + rowSize
	if len(b) > blockSize/4 {
		return slices.Clone(b)
	}
	if cap(r.block)-len(r.block) < len(b) {
		r.block = make([]byte, 0, blockSize)
	}
	at := len(r.block)
	r.block = append(r.block, b...)
	return r.block[at:len(r.block):len(r.block)]
}

func (r *Rows) object(kind uint8, key string, seq uint64, blob []byte) {
	r.flush.Objects = append(r.flush.Objects, store.ObjectRow{Kind: kind, Key: key, Changed: seq, Blob: r.keep(blob)})
}

// gone notes that an object's row is to be deleted.
func (r *Rows) gone(kind uint8, key string, seq uint64) {
	r.size += rowSize
	r.flush.Objects = append(r.flush.Objects, store.ObjectRow{Kind: kind, Key: key, Changed: seq, Deleted: true})
}

// Counters is of core.Sink.
func (r *Rows) Counters(m core.CountersImage, seq uint64) {
	b := r.scratch
	if m.Format == 0 {
		b = putFormat(b)
	} else {
		b = field.Uint(b, formatField, formatRaises)
	}
	b = field.Uint(b, 2, m.Epoch)
	b = field.Uint(b, 3, m.Generation)
	b = field.Uint(b, 4, uint64(m.NextJob))
	b = field.Uint(b, 5, m.NextWorker)
	b = field.Uint(b, 6, uint64(m.NextFence))
	b = field.Uint(b, 7, m.Format)
	r.object(core.KindCounters, "counters", seq, b)
}

// Namespace is of core.Sink.
func (r *Rows) Namespace(m core.NamespaceSet, seq uint64) {
	b, at := field.Begin(field.Uint(r.scratch, formatField, Needs(m)), 2)
	r.object(core.KindNamespace, m.Name, seq, field.End(putNamespace(b, &m), at))
}

// Queue is of core.Sink.
func (r *Rows) Queue(m core.QueueImage, seq uint64) {
	need := Needs(m.QueueSet)
	if m.Paid != 0 {
		need = formatLimits
	}
	b, at := field.Begin(field.Uint(r.scratch, formatField, need), 2)
	b = field.End(putQueue(b, &m.QueueSet), at)
	r.object(core.KindQueue, m.Namespace+"/"+m.Name, seq, field.Int(b, 3, m.Paid))
}

// Pool is of core.Sink.
func (r *Rows) Pool(m core.PoolSet, seq uint64) {
	if m.Policy == (job.PoolPolicy{}) {
		r.gone(core.KindPool, m.Name, seq)
		return
	}
	b, at := field.Begin(field.Uint(r.scratch, formatField, Needs(m)), 2)
	r.object(core.KindPool, m.Name, seq, field.End(putPool(b, &m), at))
}

// Reservation is of core.Sink.
func (r *Rows) Reservation(name string, m *core.ReservationSet, seq uint64) {
	if m == nil {
		r.gone(core.KindReservation, name, seq)
		return
	}
	b, at := field.Begin(field.Uint(r.scratch, formatField, formatReservations), 2)
	r.object(core.KindReservation, name, seq, field.End(putReservation(b, m), at))
}

// Key is of core.Sink.
func (r *Rows) Key(row string, m *core.KeyImage, seq uint64) {
	if m == nil {
		r.gone(core.KindKey, row, seq)
		return
	}
	b := field.String(field.Uint(r.scratch, formatField, formatLimits), 2, m.Namespace)
	r.object(core.KindKey, row, seq, field.Int(field.Bool(field.String(b, 3, m.Key), 4, m.Each), 5, m.Paid))
}

// Token is of core.Sink.
func (r *Rows) Token(t core.Token, seq uint64) {
	r.object(core.KindToken, t.ID, seq, putToken(putFormat(r.scratch), 2, &t))
}

// Worker is of core.Sink.
func (r *Rows) Worker(id uint64, m *core.WorkerImage, seq uint64) {
	key := fmt.Sprintf("%020d", id)
	if m == nil {
		r.gone(core.KindWorker, key, seq)
		return
	}
	b := field.Uint(r.scratch, formatField, format.OfHello(&m.Hello))
	b = field.Uint(b, 2, m.ID)
	b = putHello(b, 3, &m.Hello)
	b = field.Int(b, 4, m.Joined)
	b = field.Bool(b, 5, m.Draining)
	r.object(core.KindWorker, key, seq, field.Bool(b, 6, m.Away))
}

// Learned is of core.Sink.
func (r *Rows) Learned(m core.LearnedImage, seq uint64) {
	b := field.Uint(r.scratch, formatField, formatLearns)
	b = field.Uint(b, 2, uint64(m.Slot))
	b = field.String(b, 3, m.Key.Namespace)
	b = field.String(b, 4, m.Key.Job)
	b = field.String(b, 5, m.Key.Task)
	b = field.String(b, 6, m.Key.User)
	r.object(core.KindLearned, fmt.Sprintf("%020d", m.Slot), seq, field.Bytes(b, 7, m.State))
}

// Use is of core.Sink.
func (r *Rows) Use(row string, m core.UseImage, seq uint64) {
	if m.At == 0 {
		r.gone(core.KindUse, row, seq)
		return
	}
	b := field.Uint(r.scratch, formatField, formatUse)
	b = field.String(b, 2, m.Namespace)
	b = field.String(b, 3, m.Queue)
	b = field.String(b, 4, m.User)
	r.object(core.KindUse, row, seq, field.Int(field.Int(b, 5, m.Amount), 6, m.At))
}

// Spec is of core.Sink. The text is stored as it is: the hash says what it must be.
// A store asks for each once, whichever jobs use it.
func (r *Rows) Spec(of job.ID, h core.Hash, canonical []byte) {
	if r.specs[h] {
		return
	}
	if r.specs == nil {
		r.specs = map[core.Hash]bool{}
	}
	r.specs[h] = true
	r.size += len(canonical) + rowSize
	r.flush.Specs = append(r.flush.Specs, store.SpecRow{Job: uint64(of), Hash: h, Blob: slices.Clone(canonical)})
}

// Job is of core.Sink.
func (r *Rows) Job(m core.JobImage) {
	if m.State.Terminal() {
		r.ended = append(r.ended, m.ID)
	}
	r.size += len(m.Payload)
	r.flush.Jobs = append(r.flush.Jobs, store.JobRow{
		ID: uint64(m.ID), Live: !m.State.Terminal(), Changed: m.Changed, Namespace: m.Namespace, Queue: m.Queue, Name: m.Name,
		State: uint8(m.State), Submitted: m.Submitted, Ended: m.Ended, KeepUntil: m.KeepUntil, KeyHash: KeyHash(m.Namespace, m.Key),
		Labels: pairsOf(m.Labels), Spec: m.Spec, Blob: r.keep(putJob(r.scratch, &m)),
		Payload: m.Payload, // not a copy: it is large, and never changes
	})
}

func pairsOf(labels map[string]string) []string {
	if len(labels) == 0 {
		return nil
	}
	pairs := make([]string, 0, len(labels))
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		pairs = append(pairs, key+"="+labels[key])
	}
	slices.Sort(pairs)
	return pairs
}

func (r *Rows) part(id job.ID, task uint32, kind store.PartKind, n, seq uint64, blob []byte) {
	r.flush.Parts = append(r.flush.Parts, store.PartRow{
		Job: uint64(id), Task: task, Kind: kind, N: n, Changed: seq, Blob: r.keep(blob),
	})
}

// Chunk is of core.Sink.
func (r *Rows) Chunk(m core.ChunkImage, seq uint64) {
	r.part(m.Job, m.Task, store.PartChunk, uint64(m.Chunk), seq, putChunk(r.scratch, &m))
}

// Past is of core.Sink.
func (r *Rows) Past(m core.PastAttempt, seq uint64) {
	r.part(m.Job, m.Task, store.PartAttempt, uint64(m.Position)<<attemptBits|uint64(m.Number), seq, putPast(r.scratch, &m))
}

// Output is of core.Sink.
func (r *Rows) Output(m core.OutputImage, seq uint64) {
	r.part(m.Job, m.Task, store.PartOutput, uint64(m.Position), seq, putOutput(r.scratch, &m))
}
