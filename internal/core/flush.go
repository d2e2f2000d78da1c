package core

import (
	"fmt"
	"slices"
	"strings"

	"github.com/reeve-scheduler/reeve/internal/element"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/limit"
	"github.com/reeve-scheduler/reeve/internal/predict"
)

// Sink receives the images of what has changed since the last flush. What it is
// given holds only during the call.
type Sink interface {
	Counters(CountersImage, uint64)
	Namespace(NamespaceSet, uint64)
	Queue(QueueImage, uint64)
	// Pool is given a pool without anything in its policy when nothing is said of it any more.
	Pool(PoolSet, uint64)
	// Reservation is given nil for one that is gone.
	Reservation(name string, m *ReservationSet, seq uint64)
	Token(Token, uint64)
	// Worker is given nil for a worker that is gone.
	Worker(id uint64, image *WorkerImage, seq uint64)
	Learned(LearnedImage, uint64)
	// Key is given nil for a key that is forgotten.
	Key(row string, image *KeyImage, seq uint64)
	// Use is given what is forgotten, too.
	Use(row string, image UseImage, seq uint64)
	Spec(of job.ID, h Hash, canonical []byte)
	Job(JobImage)
	Chunk(ChunkImage, uint64)
	Past(PastAttempt, uint64)
	Output(OutputImage, uint64)
}

type objectKey struct {
	kind uint8
	key  string
}

func workerKey(id uint64) objectKey { return objectKey{KindWorker, fmt.Sprintf("%020d", id)} }

// flush knows what the tables lack. While a flush is under way it covers exactly
// the state at the batch where it began: a job that is about to change is encoded
// first (copy on write), so that encoding can be spread over many turns.
type flush struct {
	objects map[objectKey]struct{}
	order   []objectKey
	dirty   []*jobState
	past    []PastAttempt
	pastAt  []uint64 // the sequences at which those ended
	fresh   int      // bytes of payloads of jobs in dirty that no flush has had
	taught  []*predict.Entry
	// changed: something that the tables have has changed since the last batch ended. lacking is the
	// batches that have changed what the tables lack.
	changed bool
	lacking []batches

	sink    Sink
	seq     uint64
	pending []*jobState
	at      int
	sent    map[specOf]struct{} // specs that this flush has, by day of submission
	// learning is of what was learned what pending is of the jobs, learnedAt what at is.
	learning  []*predict.Entry
	learnedAt int
	// What the sink has been given and the tables have not yet confirmed.
	pastSent []PastAttempt
	outputs  []sentOutput
	payloads []*jobState
}

type sentOutput struct {
	arr      *array
	position int64
}

type specOf struct {
	hash Hash
	day  int64
}

// batches is some that follow one another.
type batches struct{ first, last uint64 }

// ended notes that the batch at seq is over. Those that change nothing, as digests, are not among
// what the tables lack, however many follow.
func (f *flush) ended(seq uint64) {
	n := len(f.lacking)
	switch {
	case !f.changed:
	case n > 0 && f.lacking[n-1].last+1 == seq:
		f.lacking[n-1].last = seq
	default:
		f.lacking = append(f.lacking, batches{seq, seq})
	}
	f.changed = false
}

// covered notes that the tables hold everything up to seq.
func (f *flush) covered(seq uint64) {
	over := 0
	for over < len(f.lacking) && f.lacking[over].last <= seq {
		over++
	}
	f.lacking = slices.Delete(f.lacking, 0, over)
	if len(f.lacking) > 0 && f.lacking[0].first <= seq {
		f.lacking[0].first = seq + 1
	}
}

// lag is how many batches have changed what the tables lack.
func (f *flush) lag() (n uint64) {
	for _, r := range f.lacking {
		n += r.last - r.first + 1
	}
	return n
}

func (f *flush) object(k objectKey) {
	f.changed = true
	if _, ok := f.objects[k]; ok {
		return
	}
	if f.objects == nil {
		f.objects = map[objectKey]struct{}{}
	}
	f.objects[k] = struct{}{}
	f.order = append(f.order, k)
}

func (f *flush) attempt(seq uint64, j *jobState, a *attempt, e AttemptEnded, r element.Record) {
	f.pastAt = append(f.pastAt, seq)
	f.past = append(f.past, PastAttempt{
		Job: j.id, Task: a.task, Position: a.position, Number: a.number, Worker: a.worker.hello.Name,
		Cause: e.Cause, Usage: e.Usage, Assigned: a.assigned, Started: r.Started, Ended: r.Ended, Way: a.way, Memory: a.memory,
	})
}

// touch is called before a job changes.
func (s *State) touch(j *jobState) {
	if j.frozen {
		s.encode(j)
	}
	if !j.dirty {
		j.dirty = true
		s.flush.dirty = append(s.flush.dirty, j)
	}
	j.changed, s.flush.changed = s.seq+1, true
}

// Dirty is how many jobs the tables lack or have in an older form.
func (s *State) Dirty() int { return len(s.flush.dirty) + len(s.flush.pending) }

// Fresh is how many bytes of payloads have come since the last flush began: the next one
// lets memory have them back.
func (s *State) Fresh() int { return s.flush.fresh }

// Changed reports whether there is anything to flush.
func (s *State) Changed() bool {
	return len(s.flush.dirty)+len(s.flush.order)+len(s.flush.past)+len(s.flush.taught) > 0 || s.plan.Touched()
}

// BeginFlush starts a flush that covers the state as it is now, at a batch's end.
// Objects and past attempts are written at once, jobs and what was learned by Encode.
// The one before must have been Flushed.
func (s *State) BeginFlush(sink Sink) (seq uint64) {
	f := &s.flush
	f.sink, f.seq = sink, s.seq
	f.pending, f.dirty, f.fresh, f.at, f.sent = f.dirty, nil, 0, 0, map[specOf]struct{}{}
	for _, j := range f.pending {
		j.frozen, j.dirty = true, false
	}
	f.freezeLearned()
	sink.Counters(s.countersImage(), s.seq)
	for _, k := range f.order {
		s.encodeObject(k)
	}
	s.encodeUse()
	for i := range f.past {
		sink.Past(f.past[i], s.seq)
	}
	f.objects, f.order = nil, f.order[:0]
	f.past, f.pastAt, f.pastSent = nil, nil, f.past
	return s.seq
}

// Encode writes up to most more jobs of the flush to its sink, then keys that something was
// learned of, and reports whether that was the last.
func (s *State) Encode(most int) (done bool) {
	f := &s.flush
	for ; most > 0 && f.at < len(f.pending); f.at++ {
		if j := f.pending[f.at]; j.frozen {
			s.encode(j)
			most--
		}
	}
	return f.at >= len(f.pending) && s.encodeSomeLearned(most)
}

func (s *State) encode(j *jobState) {
	j.frozen = false
	f := &s.flush
	day := j.submitted / (24 * 3600 * 1000)
	k := specOf{j.spec.hash, day}
	if _, ok := f.sent[k]; !ok {
		f.sent[k] = struct{}{}
		f.sink.Spec(j.id, j.spec.hash, j.spec.canonical)
	}
	f.sink.Job(s.jobImage(j))
	if j.sheds() {
		f.payloads = append(f.payloads, j)
	}
	for i := range j.tasks {
		a := j.tasks[i].arr
		if a == nil {
			continue
		}
		for c := a.touched.Next(0); c >= 0; c = a.touched.Next(c + 1) {
			f.sink.Chunk(s.chunkImage(j, uint32(i), int(c)), j.changed)
			for p := c * element.ChunkSize; len(a.outputs) > 0 && p < (c+1)*element.ChunkSize; p++ {
				if out, ok := a.outputs[p]; ok {
					f.sink.Output(OutputImage{Job: j.id, Task: uint32(i), Position: p, Outputs: out}, j.changed)
					f.outputs = append(f.outputs, sentOutput{a, p})
				}
			}
		}
		a.touched = element.Set{}
	}
}

// Export writes the image of everything that has not ended to a sink, as a flush of all
// of it at this moment would: two copies of one state agree on it to the last byte. It
// changes nothing and may be called between flushes only by who does not mind a long turn.
func (s *State) Export(sink Sink) {
	sink.Counters(s.countersImage(), s.seq)
	for _, name := range s.spaceNames {
		s.exportSpace(sink, s.spaces[name])
	}
	for _, name := range s.poolNames {
		sink.Pool(PoolSet{Name: name, Policy: s.pools[name]}, s.seq)
	}
	for _, name := range s.reservationNames {
		sink.Reservation(name, s.reservations[name], s.seq)
	}
	for _, id := range s.tokenIDs {
		sink.Token(*s.tokens[id], s.seq)
	}
	for _, id := range s.workerIDs {
		s.exportWorker(sink, s.workers[id])
	}
	for _, p := range s.learned.Entries() {
		exportLearned(sink, p)
	}
	for _, k := range s.limits.Owing() {
		sink.Key(keyRow(k.Name()), imageOfKey(k), s.seq)
	}
	for j := range s.jobs.all {
		if j.state.Terminal() {
			continue
		}
		sink.Spec(j.id, j.spec.hash, j.spec.canonical)
		sink.Job(s.jobImage(j))
		for i := range j.tasks {
			if a := j.tasks[i].arr; a != nil {
				for c := range a.table.Chunks() {
					sink.Chunk(s.chunkImage(j, uint32(i), c), j.changed)
				}
			}
		}
	}
}

func (s *State) encodeObject(k objectKey) {
	f := &s.flush
	switch k.kind {
	case KindNamespace:
		n := s.spaces[k.key]
		f.sink.Namespace(n.image(), f.seq)
	case KindQueue:
		f.sink.Queue(s.queueAt(k.key).image(), f.seq)
	case KindKey:
		f.sink.Key(k.key, s.keyImage(keyName(k.key)), f.seq)
	case KindPool:
		f.sink.Pool(PoolSet{Name: k.key, Policy: s.pools[k.key]}, f.seq)
	case KindReservation:
		f.sink.Reservation(k.key, s.reservations[k.key], f.seq)
	case KindToken:
		f.sink.Token(*s.tokens[k.key], f.seq)
	case KindWorker:
		var id uint64
		for _, c := range []byte(k.key) {
			id = id*10 + uint64(c-'0')
		}
		w := s.workers[id]
		if w == nil {
			f.sink.Worker(id, nil, f.seq)
			return
		}
		f.sink.Worker(id, &WorkerImage{ID: id, Hello: w.hello, Joined: w.joined, Draining: w.draining, Away: w.away}, f.seq)
	}
}

// keyImage is the image of a concurrency key, nil if nothing is owed for it.
func (s *State) keyImage(n limit.Name) *KeyImage {
	if k := s.limits.Find(n); k != nil && k.Meter() != 0 {
		return imageOfKey(k)
	}
	return nil
}

func imageOfKey(k *limit.Key) *KeyImage {
	n := k.Name()
	return &KeyImage{Namespace: n.Namespace, Key: n.Key, Each: n.Each, Paid: int64(k.Meter())}
}

// queueAt finds a queue by its object key, namespace/queue.
func (s *State) queueAt(key string) *queue {
	space, name, _ := strings.Cut(key, "/")
	return s.spaces[space].queues[name]
}

// eviction is a finished job that the tables have, to be dropped from memory at a
// time (Unix milliseconds).
type eviction struct {
	at  int64
	job *jobState
}

const (
	// linger is how long a finished job stays in memory after it was projected, in
	// milliseconds: time for facts that were read from the tables to be used.
	linger = 60_000
	// crowd is how many such jobs stay for so long. While there are more, the oldest
	// leave after leastLinger already (milliseconds): how much memory jobs that are over
	// take must not grow with the rate at which jobs end.
	crowd       = 50_000
	leastLinger = 5_000
)

// Flushed says that the tables hold the flush that Encode finished. Payloads of it leave
// memory now, the jobs of it that had ended a while later.
func (s *State) Flushed(now int64, ended []job.ID) {
	f := &s.flush
	f.covered(f.seq)
	for _, o := range f.outputs {
		delete(o.arr.outputs, o.position)
	}
	for _, j := range f.payloads {
		j.shed()
	}
	f.pending, f.at, f.sink, f.pastSent, f.outputs, f.payloads = nil, 0, nil, nil, nil, nil
	for _, id := range ended {
		if j := s.jobs.get(id); j != nil {
			s.evict = append(s.evict, eviction{now + linger, j})
		}
	}
}

// Projected says that the tables hold everything up to seq, by the hand of another
// server: for copies that only apply. Between BeginFlush and Flushed it must not be called.
func (s *State) Projected(now int64, seq uint64) {
	f := &s.flush
	f.covered(seq)
	kept := f.dirty[:0]
	for _, j := range f.dirty {
		if j.changed > seq {
			kept = append(kept, j)
			continue
		}
		j.dirty = false
		for i := range j.tasks {
			if a := j.tasks[i].arr; a != nil {
				a.touched = element.Set{}
				clear(a.outputs)
			}
		}
		if j.sheds() {
			f.fresh -= len(j.payload)
			j.shed()
		}
		if j.state.Terminal() {
			s.evict = append(s.evict, eviction{now + linger, j})
		}
	}
	clear(f.dirty[len(kept):])
	f.dirty = kept
	n := 0
	for n < len(f.pastAt) && f.pastAt[n] <= seq {
		n++
	}
	f.past, f.pastAt = slices.Delete(f.past, 0, n), slices.Delete(f.pastAt, 0, n)
	f.projectedLearned(seq)
	s.plan.Settle(seq, nil)
	s.pastTimers(now)
}

// pastTimers drops timers that are over and mean nothing any more, as Tick does at a leader.
func (s *State) pastTimers(now int64) {
	const most = 10_000
	var kept []timer
	for n := 0; n < most && s.timers.due(now); n++ {
		t := s.timers.pop()
		var d Decision
		if s.fire(&d, t, Input{Now: now}); len(d.Events) > 0 {
			kept = append(kept, t) // the leader is about to decide it
		}
	}
	for _, t := range kept {
		s.timers.push(t)
	}
	s.expirePatience(now)
}

// Evict drops finished jobs whose time in memory is over, at most a thousand. It keeps
// up with jobs that end if it is called as often as a thousand of them do.
func (s *State) Evict(now int64) {
	const most = 1000
	n := 0
	for ; n < len(s.evict) && n < most; n++ {
		at := s.evict[n].at
		if len(s.evict)-n > crowd {
			at -= linger - leastLinger
		}
		if at > now {
			break
		}
		s.forget(s.evict[n].job)
		s.evict[n].job = nil
	}
	s.evict = s.evict[n:]
}

func (s *State) forget(j *jobState) {
	if j.key != "" {
		s.dropKey(j)
	}
	s.jobs.drop(j.id)
	s.horizon = max(s.horizon, j.changed)
	if j.spec.refs--; j.spec.refs == 0 {
		delete(s.specs, j.spec.hash)
	}
}
