// Package store says what persistence must promise: a journal, the ordered and
// fenced log of what was decided, and tables, the rows for queries, history and
// recovery that trail it. The two contracts are apart so that another replicated
// log can carry the journal. Implementations live below this folder; the suite
// in storetest holds each of them to every sentence here.
package store

import (
	"context"
	"errors"
	"math"
	"time"
)

// Errors that a caller acts on; test with errors.Is.
var (
	// ErrFenced: another batch stands at that sequence. Whoever appended is no
	// longer the leader and must drop what it decided.
	ErrFenced = errors.New("store: another leader has written at this sequence")
	// ErrTrimmed: the journal no longer holds the sequence asked for.
	ErrTrimmed = errors.New("store: the journal has been trimmed past this sequence")
	// ErrNotFound: no such row.
	ErrNotFound = errors.New("store: not found")
	// ErrLocked: another process has the data directory open.
	ErrLocked = errors.New("store: the data directory is in use by another process")
	// ErrCorrupt: bytes on disk are not what was written. Never retried.
	ErrCorrupt = errors.New("store: damaged data")
	// ErrBroken: a write may or may not have reached the disk and can't be
	// retried safely in this process (a failed fsync). The process must end.
	ErrBroken = errors.New("store: a write failed in a way that can't be retried")
	// ErrUnavailable: the store can't be reached at the moment. What was asked may or may
	// not have happened.
	ErrUnavailable = errors.New("store: not reachable")
	// ErrRefused: what was passed breaks the contract (a gap, a row out of order,
	// a limit out of range). Nothing was written; the same call fails again.
	ErrRefused = errors.New("store: refused")
)

// Batch is one journal record: the events of one turn of the leader's loop.
type Batch struct {
	// Seq is the record's key. The first batch is 1; there are no gaps. Sequences,
	// ids and epochs are below 1<<63.
	Seq uint64
	// Epoch is the leader's term, rising from leader to leader.
	Epoch uint64
	// ID is random per batch: it tells a repeat of this append from a rival.
	ID [16]byte
	// Prev is the ID of the batch before, zero for the first: it tells one history from
	// another that has batches at the same sequences.
	Prev [16]byte
	// Payload is opaque to the store; at most MaxBatch bytes.
	Payload []byte
}

// Mark is a place in a history: a batch's sequence and its ID. The zero Mark is before
// the first batch.
type Mark struct {
	Seq uint64
	ID  [16]byte
}

// MaxBatch bounds a batch's payload in bytes: the 4 MiB a turn aims at, and the largest
// decision on top of that, such as a submit of the largest job with many payloads.
const MaxBatch = 12 << 20

// Journal is the ordered, fenced, durable log. One goroutine appends; reads may
// run beside it.
type Journal interface {
	// Append makes b durable at b.Seq: when it returns nil the batch survives
	// power loss. Appending the same Seq and ID again returns nil. It returns
	// ErrFenced when another ID stands there or stood there before it was trimmed, or when
	// the batch before is not b.Prev, ErrBroken when the process must end, and ErrRefused for a gap (b.Seq > last+1)
	// and for what Batch.Check refuses. Any other error is an unknown outcome:
	// append the same batch again.
	Append(ctx context.Context, b Batch) error
	// Read returns batches in order from sequence from, stopping before maxBytes
	// of payload but returning at least one if there is one. It returns no batch
	// and no error past the end, and ErrTrimmed when from was trimmed away.
	Read(ctx context.Context, from uint64, maxBytes int) ([]Batch, error)
	// Last returns the last batch's mark: every Append that had returned nil before the call
	// is at or below it.
	Last(ctx context.Context) (Mark, error)
	// Bounds returns the first and last sequence kept; first = last+1 when the
	// journal holds nothing.
	Bounds(ctx context.Context) (first, last uint64, err error)
	// Trim drops batches below sequence below. Callers pass only what the tables
	// durably cover. It keeps at least the last batch. A store takes the occasion to move
	// what it has written to where it belongs, off the path of appends: so call it now and
	// then with what was trimmed already, too.
	Trim(ctx context.Context, below uint64) error
}

// ObjectRow is an entity that is few and small: a namespace, queue, worker,
// token, or the core's own counters. All of them are loaded at recovery.
type ObjectRow struct {
	// Kind and Key name the object; Kind is the core's own numbering.
	Kind uint8
	Key  string
	// Changed is the sequence of the last change.
	Changed uint64
	// Deleted rows are removed by a flush and never returned.
	Deleted bool
	// Blob is the versioned state.
	Blob []byte
}

// JobRow is a job with its tasks: key columns for lists and one state blob. ID,
// Namespace, Submitted, KeyHash, Spec and Payload stay what the job's first row said.
type JobRow struct {
	ID uint64
	// Live means not finished: loaded at recovery, never dropped.
	Live bool
	// Changed is the sequence of the last change.
	Changed   uint64
	Namespace string
	Queue     string
	Name      string
	// State is the job state's number in internal/job.
	State uint8
	// Submitted, Ended and KeepUntil are Unix milliseconds; Ended is 0 while
	// live. Past KeepUntil (KeepUntil < now) a finished job may be dropped and is
	// no longer listed.
	Submitted, Ended, KeepUntil int64
	// KeyHash is a hash of namespace and idempotency key, 0 for no key. Hashes
	// may collide; the blob has the key itself.
	KeyHash uint64
	// Labels are "key=value" pairs, sorted.
	Labels []string
	// Spec is the hash of the job's spec, zero for none.
	Spec [32]byte
	Blob []byte
	// Payload is what only the job's workers read, nil for none. A flush that brings the
	// job again need not bring it again, and nothing but History.Payloads returns it.
	Payload []byte
}

// PartKind tells the pieces of a job apart that have rows of their own.
type PartKind uint8

// The kinds of parts. Their numbers are stored.
const (
	// PartChunk: N is the chunk's number, the blob its packed elements.
	PartChunk PartKind = 1
	// PartAttempt: an attempt that was not its element's last;
	// N = position<<16 | attempt.
	PartAttempt PartKind = 2
	// PartOutput: an array element's outputs; N is the position.
	PartOutput PartKind = 3
)

// PartRow is a piece of a job that is too large or too numerous for its row.
type PartRow struct {
	Job     uint64
	Task    uint32
	Kind    PartKind
	N       uint64
	Changed uint64
	Blob    []byte
}

// SpecRow is a canonical spec, kept with the jobs that use it.
type SpecRow struct {
	// Job is any job of this flush that uses the spec; it says where to keep it.
	Job  uint64
	Hash [32]byte
	Blob []byte
}

// Flush is what one projector transaction writes. It names each row once.
type Flush struct {
	// Seq becomes the projected sequence: the rows cover every batch up to it, and
	// the journal holds that batch.
	// It never falls; a flush at a lower sequence is refused with ErrFenced.
	Seq uint64
	// ID is that batch's. A store that keeps journal and tables in one place refuses a flush
	// with ErrFenced when another batch stands there; zero is not looked at.
	ID [16]byte
	// Since is what the tables must cover already: the rows bring what has changed after it.
	// Tables that went back below it, such as by a failover, refuse the flush with ErrFenced.
	Since   uint64
	Objects []ObjectRow
	// Jobs rise by id. A job seen for the first time has a greater id than every
	// job of earlier flushes.
	Jobs []JobRow
	// Parts belong to jobs of this flush or of earlier ones.
	Parts []PartRow
	// Specs hold the spec of every job that this flush brings for the first time,
	// once per hash, also when an earlier flush brought the same spec.
	Specs []SpecRow
}

// Loader receives what recovery reads, in this order: objects, then for each
// live job in rising id order its spec (once per hash), itself, its chunks and
// outputs. The blobs are the callee's to keep. An error ends the load.
type Loader interface {
	Object(ObjectRow) error
	Spec(SpecRow) error
	Job(JobRow) error
	Part(PartRow) error
}

// Tables is what the projector writes and recovery reads. One goroutine flushes;
// Load and History may run beside it.
type Tables interface {
	// Flush writes all of f or nothing, durably enough that a crash of the
	// process loses nothing and power loss loses at most whole flushes. After an
	// error other than ErrFenced, ErrRefused and ErrBroken flush the same again.
	Flush(ctx context.Context, f *Flush) error
	// Load reads everything live and the projected sequence in one snapshot. Parts
	// of kind PartAttempt are not loaded.
	Load(ctx context.Context, into Loader) (projected uint64, err error)
	// Durable returns a projected sequence that is safely on disk, syncing if it
	// must: the journal may be trimmed below it.
	Durable(ctx context.Context) (projected uint64, err error)
	// Retain drops what nobody needs at now (Unix milliseconds): whole
	// partitions when all of their jobs are past KeepUntil, and it rewrites a
	// partition once half is, if the rest will stay. Live jobs always stay. It returns the ids' count.
	// Before they go, gone is told the ids of those that do, rising, in several calls
	// perhaps; an error of it keeps them. It may be told the same ids again after a
	// crash. It may be nil.
	Retain(ctx context.Context, now time.Time, gone func(ids []uint64) error) (dropped int, err error)
}

// Query selects jobs, newest first. Zero fields do not restrict.
type Query struct {
	Namespace string
	Queue     string
	Name      string
	States    []uint8
	// Labels are "key=value" or bare keys that must all be present.
	Labels []string
	// After and Before bound Submitted, in Unix milliseconds; Before is exclusive.
	After, Before int64
	// Below restricts to ids less than it: the page's cursor. 0 = from the newest.
	Below uint64
	// Now hides jobs whose KeepUntil has passed.
	Now int64
	// Limit is the page size, 1 to MaxPage.
	Limit int
	// WithBlobs asks for JobRow.Blob; without, Blob is nil.
	WithBlobs bool
}

// MaxPage bounds a page of a list.
const MaxPage = 1000

// Latest asks for all that has been flushed.
const Latest = math.MaxUint64

// History answers reads about what the tables hold. All methods may run
// concurrently; each returns the projected sequence of its snapshot where a
// caller needs to know how old the answer is.
type History interface {
	// Job returns one job, or ErrNotFound, and the snapshot's projected sequence.
	Job(ctx context.Context, id uint64) (JobRow, uint64, error)
	// JobsByKey returns the jobs whose KeyHash is one of hashes, by id: rarely more
	// than one of each. All come out of one snapshot, which has at least what was flushed
	// of changes up to seen: a caller that holds all later ones itself gets an answer out
	// of memory where there is one, and one that holds none passes Latest.
	JobsByKey(ctx context.Context, seen uint64, hashes []uint64) ([]JobRow, uint64, error)
	// Jobs returns a page of q and the projected sequence. It scans a bounded
	// number of rows: next is the id to pass as Below for the rest, 0 at the end.
	Jobs(ctx context.Context, q Query) (Page, error)
	// Parts returns up to limit (1 to MaxPage) parts of one task in order of N,
	// from N = from; none when the job has none.
	Parts(ctx context.Context, job uint64, task uint32, kind PartKind, from uint64, limit int) ([]PartRow, error)
	// Payloads returns the payloads of jobs by id. It leaves out those that have none,
	// that are not there, or whose payload is not what was written: who knows that there
	// was one knows then that it is lost.
	Payloads(ctx context.Context, ids []uint64) (map[uint64][]byte, error)
	// Spec returns the spec of a job, or ErrNotFound.
	Spec(ctx context.Context, job uint64, hash [32]byte) ([]byte, error)
}

// Page is one page of a list. Damaged is the ids of jobs that belong on it, as far as can
// be told, whose rows are not what was written: one of them must not hide all the others.
type Page struct {
	Rows      []JobRow
	Damaged   []uint64
	Next      uint64
	Projected uint64
}
