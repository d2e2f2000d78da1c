// Package logstore keeps the logs of attempts on a server: it takes their framed
// streams (see logline) as workers ship them, serves them live and afterwards,
// packs many small ones together, and forgets them when their jobs are forgotten.
//
// An offset is a byte offset into the framed stream of one attempt. DESIGN.md
// beside this file says how things lie on disk and what a crash leaves.
//
// Logs are outside the promise that nothing accepted is lost: an append is not
// synced. A killed process loses nothing; power loss may lose the last seconds,
// which workers are then asked for again.
package logstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/reeve-scheduler/reeve/internal/blob"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// MaxAppend bounds the frames of one Append, in bytes.
const MaxAppend = 4 << 20

// Errors that a caller acts on; test with errors.Is, GapError with errors.As.
var (
	// ErrSealed: the log is complete, and these bytes would change it.
	ErrSealed = errors.New("log is sealed")
	// ErrFrames: the bytes are not whole frames, or do not begin at a frame's edge.
	ErrFrames = errors.New("log bytes are not whole frames")
	// ErrDropped: the log was dropped while it was read or written.
	ErrDropped = errors.New("log was dropped by retention")
	// ErrClosed: the store is closed.
	ErrClosed = errors.New("log store is closed")
)

// GapError refuses an append that would leave out bytes.
type GapError struct {
	Ref job.Ref
	// Want is the offset to go on from. A worker that has lost the bytes there
	// calls Skip.
	Want int64
	// Got is the offset that was sent.
	Got int64
}

func (e *GapError) Error() string {
	return fmt.Sprintf("log of %s: bytes from offset %d are missing before offset %d; send from %d", e.Ref, e.Want, e.Got, e.Want)
}

// Options set limits. Zero values take the defaults.
type Options struct {
	// SegmentBytes is when a segment is full and gets packed; 64 MiB.
	SegmentBytes int64
	// MaxPending is how many full segments may wait to be packed before logs are
	// cut: what a slow blob store may cost on local disk; 8.
	MaxPending int
	// MaxBytes is the budget for all logs, segments and packs; past it new log
	// bytes are cut with a mark. 0 is no budget.
	MaxBytes int64
	// MaxAttempt bounds the stream of one attempt, so that no worker can fill the
	// store with one; 0 is no bound.
	MaxAttempt int64
	// MinFree is how much of the segments' disk is kept free for the journal and
	// the tables; below it new log bytes are cut with a mark. 512 MiB.
	MinFree int64
	// Free returns the free bytes of the disk; nil asks the file system.
	Free func() (int64, error)
	// Prefix of the packs' blob keys; "logs".
	Prefix string
	// Term is above that of all stores before that wrote to the same blobs, where servers lead by
	// turns: numbers of segments and versions of packs begin with it, so that no two stores
	// give out the same. The store takes over what those left whose directories stand beside its
	// own. At most one store writes at a time; what one that was overtaken still writes is not
	// looked at. 0 is a store that is the only one.
	Term uint64
	// Staged keeps what is not packed yet in blobs, too, for the next store to take over from
	// there: for a directory that no other server sees. What stands beside it is removed.
	Staged bool
	// StageEvery is how often what was appended is put there; 1 s.
	StageEvery time.Duration
	// Now is the clock; nil is time.Now. Log may be nil.
	Now func() time.Time
	Log *slog.Logger
}

func (o Options) withDefaults(dir string) Options {
	if o.SegmentBytes <= 0 {
		o.SegmentBytes = 64 << 20
	}
	o.SegmentBytes = min(o.SegmentBytes, 1<<30)
	if o.MaxPending <= 0 {
		o.MaxPending = 8
	}
	if o.MinFree <= 0 {
		o.MinFree = 512 << 20
	}
	if o.StageEvery <= 0 {
		o.StageEvery = time.Second
	}
	if o.Free == nil {
		o.Free = func() (int64, error) { return diskFree(dir) }
	}
	if o.Prefix == "" {
		o.Prefix = "logs"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Store keeps logs. All methods may run concurrently; writers never wait for
// readers. One process at a time may have the directory open, which the caller
// sees to.
type Store struct {
	dir   string
	blobs blob.Store
	o     Options

	// Locks are taken in this order: packing, writing, staging, mu.

	// packing is held while packs are made, rewritten or dropped.
	packing sync.Mutex
	// drops are the keys of what was dropped from packs, where that is staged, and dropped counts
	// those of this store; under packing.
	drops   []string
	dropped uint64
	stage   stage
	// writing serializes what writes to the current segment.
	writing sync.Mutex
	cur     *segment // is written to; the last of segments
	buf     []byte   // an encoded record
	limit   limiter

	// mu guards what readers see; it is never held during I/O.
	mu       sync.Mutex
	live     map[job.Ref]*attempt
	segments []*segment // oldest first
	packs    []*pack    // oldest first; replaced, never changed in place
	gen      uint64     // counts replacements of packs
	cutBytes int64
	closed   bool
	expected expected

	pages   pageCache
	encoder *zstd.Encoder // under packing
	zstd    *zstd.Decoder

	wake chan struct{} // a segment waits to be packed
	stop context.CancelFunc
	done chan struct{} // packer and stager have ended
}

// Open opens or makes the log store whose segments are in dir and whose packs are
// in blobs, and repairs what a crash left. It reads the tail of every pack.
func Open(ctx context.Context, dir string, blobs blob.Store, o Options) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("log directory: %w", err)
	}
	run, stop := context.WithCancel(context.Background())
	s := &Store{
		dir: dir, blobs: blobs, o: o.withDefaults(dir),
		live:    map[job.Ref]*attempt{},
		encoder: newEncoder(), zstd: newDecoder(),
		wake: make(chan struct{}, 1), stop: stop, done: make(chan struct{}),
		stage: stage{wake: make(chan struct{}, 1), turned: make(chan struct{})},
	}
	if err := s.recover(ctx); err != nil {
		stop()
		for _, seg := range s.segments {
			seg.f.Close()
		}
		return nil, fmt.Errorf("log store in %s: %w", dir, err)
	}
	go func() {
		defer close(s.done)
		var loops sync.WaitGroup
		defer loops.Wait()
		if s.o.Staged {
			loops.Go(func() { s.stageLoop(run) })
		}
		s.packLoop(run)
	}()
	return s, nil
}

// Closed returns a store that answers everything with ErrClosed.
func Closed() *Store { return &Store{closed: true} }

// Close ends packing, syncs what was appended, and ends followers with ErrClosed.
func (s *Store) Close() error {
	s.writing.Lock()
	s.mu.Lock()
	already := s.closed
	s.closed = true
	for _, a := range s.live {
		a.notify()
	}
	s.mu.Unlock()
	s.writing.Unlock()
	if already {
		return nil
	}
	s.stop()
	<-s.done
	s.packing.Lock()
	defer s.packing.Unlock()
	var errs []error
	if s.o.Staged {
		errs = append(errs, s.lastStage())
	}
	s.mu.Lock()
	segments := slices.Clone(s.segments)
	s.mu.Unlock()
	for _, seg := range segments {
		if seg.size > seg.kept {
			errs = append(errs, seg.f.Sync())
		}
		s.release(seg) // the store's own hold
	}
	return errors.Join(errs...)
}

// Stats counts what the store holds.
type Stats struct {
	// Segments and SegmentBytes are what is not packed yet, Packs and PackBytes
	// what is.
	Segments     int
	SegmentBytes int64
	Packs        int
	PackBytes    int64
	// Live is the number of attempts with an index in memory.
	Live int
	// CutBytes is how many stream bytes were cut for want of room since Open.
	CutBytes int64
}

// Stats returns the counts of this moment.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Stats{Segments: len(s.segments), Packs: len(s.packs), Live: len(s.live), CutBytes: s.cutBytes}
	for _, seg := range s.segments {
		st.SegmentBytes += seg.size
	}
	for _, p := range s.packs {
		st.PackBytes += p.size
	}
	return st
}

// signal wakes the packer.
func (s *Store) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
