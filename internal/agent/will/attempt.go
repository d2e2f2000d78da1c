package will

import (
	"strconv"
	"strings"
	"time"

	"github.com/reeve-scheduler/reeve/internal/executor"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// phase is how far an attempt has come. Each comment says what moves it on.
type phase uint8

const (
	// waiting in a queue for a place: another attempt's end moves it, or a promotion. It
	// may be prepared meanwhile, see early.
	waiting phase = iota
	// preparing has a place: Prepared moves it.
	preparing
	// recording has a place and is prepared: Recorded moves it.
	recording
	// parked is ready to start but its lease has run out: a renewal moves it.
	parked
	// running: Start is out; Ended or Refused moves it. A crash leaves it to the
	// executor's keeper, from which the next process adopts it.
	running
	// collecting: Collected moves it. After a crash the executor still holds it as
	// ended, and it is collected again.
	collecting
	// keeping: Kept moves it. After a crash it is collected again, or on disk.
	keeping
	// ended has a result to report: Ack moves it.
	ended
	// over: nobody waits for it any more; it goes once its log is shipped and
	// nothing works on it.
	over
)

// attempt is everything the machine knows of one attempt.
type attempt struct {
	fence link.Fence
	ref   job.Ref
	key   string
	// executor is which kind runs it; held, whether that knows of it, so that its
	// directory is the executor's to remove.
	executor string
	held     bool
	place    place
	// devices are its alone while it is placed.
	devices job.Devices
	lease   time.Duration
	proof   link.Proof
	// work is the assignment until it starts.
	work       *link.Assignment
	atMostOnce bool

	phase phase
	// placed: it counts in the machine's running and used.
	placed bool
	// credit: it has left a place that no waiting attempt has taken, see free.
	credit bool
	// urgent: it waits for any slot, in front of the prefetched.
	urgent bool
	// early: it is prepared, or being prepared, before it has a place.
	early bool
	// busy: a Prepare or Record is on its way.
	busy bool
	// forgotten: the server does not want to hear of it.
	forgotten bool
	// dir: a directory was made; onDisk: there are records on disk.
	dir, onDisk bool

	// until is the deadline that it was started with.
	until executor.Deadline

	result link.Result
	// queued: it is in the queue of results; reported is when that was last sent.
	queued   bool
	reported executor.Deadline

	following, logDone bool
	logUntil           executor.Deadline

	prev, next *attempt
}

// place is what an attempt needs of a worker; equal ones are interchangeable. It is
// the same measure by which the server promotes a prefetched attempt.
type place struct {
	executor, function string
	resources          job.Resources
	where              string
}

func placeOf(w *link.Assignment) place {
	t := &w.Spec.Tasks[w.Task]
	p := place{executor: t.Executor(), function: t.Function, resources: w.Resources()}
	if len(t.Where) > 0 {
		p.where = strings.Join(t.Where, "\n")
	}
	return p
}

func (a *attempt) claim() link.Claim { return link.Claim{Fence: a.fence, Ref: a.ref, Proof: a.proof} }

// Key names an attempt on this worker: the reference and the fence, such as
// 4217.transform.3@2-9f. It is safe as a file name.
func Key(ref job.Ref, fence link.Fence) string {
	b := make([]byte, 0, 48)
	b = append(b, ref.String()...)
	b = append(b, '-')
	return string(strconv.AppendUint(b, uint64(fence), 16))
}

// FenceOf is the fence in a key; false if it is not a key.
func FenceOf(key string) (link.Fence, bool) {
	i := strings.LastIndexByte(key, '-')
	n, err := strconv.ParseUint(key[i+1:], 16, 64)
	return link.Fence(n), i > 0 && err == nil && n != 0
}

// heldPhase is what the server is told; false if it is not told of the attempt.
func (a *attempt) heldPhase() (link.Phase, bool) {
	switch {
	case a.forgotten || a.phase == over:
		return 0, false
	case a.phase <= parked:
		return link.Waiting, true
	case a.phase < ended:
		return link.Running, true
	}
	return link.Ended, true
}

// needsPreparing reports whether an attempt needs more than values to start. Files
// go with processes only.
func needsPreparing(t *job.Task) bool {
	return t.Function == "" || len(t.Fetch) > 0 || t.Array != nil && t.Array.Blob != ""
}

// preparable reports whether an attempt may be prepared before it has a place. With a
// timeout it may not: when that runs out is part of what is prepared.
func preparable(t *job.Task) bool { return needsPreparing(t) && t.Timeout == 0 }

// fifo is a queue that also gives up elements from its middle.
type fifo[T comparable] struct {
	items []T
	head  int
}

func (q *fifo[T]) len() int { return len(q.items) - q.head }

func (q *fifo[T]) push(v T) { q.items = append(q.items, v) }

// first is the oldest; the queue must not be empty.
func (q *fifo[T]) first() T { return q.items[q.head] }

// at is the i-th from the oldest; it must be there.
func (q *fifo[T]) at(i int) T { return q.items[q.head+i] }

// pop returns the oldest; the queue must not be empty.
func (q *fifo[T]) pop() T {
	var zero T
	v := q.items[q.head]
	q.items[q.head] = zero
	q.head++
	if q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
	} else if q.head >= 64 && q.head*2 >= len(q.items) {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	return v
}

// remove takes v out wherever it is.
func (q *fifo[T]) remove(v T) {
	var zero T
	for i := q.head; i < len(q.items); i++ {
		if q.items[i] == v {
			copy(q.items[i:], q.items[i+1:])
			q.items[len(q.items)-1] = zero
			q.items = q.items[:len(q.items)-1]
			return
		}
	}
}

// queue is the prefetched attempts of one kind of place.
type queue struct {
	waiting fifo[*attempt]
	// credits is places left by attempts whose results are not acknowledged, spent
	// how many such were taken since: the server, once it hears of the end, gives
	// the place to a prefetched attempt that may reach us only after that end.
	credits, spent int
}

// FunctionKind is the name of the executor that runs in this program: it is told things at once,
// leaves no directory unless it was given one, and ends with the program.
const FunctionKind = "function"
