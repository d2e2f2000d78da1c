package core

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/reeve-scheduler/reeve/internal/element"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/limit"
	"github.com/reeve-scheduler/reeve/internal/link"
	"github.com/reeve-scheduler/reeve/internal/plan"
	"github.com/reeve-scheduler/reeve/internal/plan/why"
	"github.com/reeve-scheduler/reeve/internal/predict"
)

// tables keeps images as a store keeps rows. It is the sink of a flush, and what
// finished flushes are merged into.
type tables struct {
	seq      uint64
	counters *CountersImage
	spaces   map[string]NamespaceSet
	queues   map[string]QueueImage
	keys     map[string]*KeyImage
	pools    map[string]PoolSet
	reserved map[string]*ReservationSet
	tokens   map[string]Token
	workers  map[uint64]*WorkerImage
	learned  map[int]LearnedImage
	use      map[string]UseImage
	specs    map[Hash][]byte
	jobs     map[job.ID]JobImage
	chunks   map[chunkKey]ChunkImage
	past     []PastAttempt
	outputs  map[outputKey][]byte
	twice    string // a row that one flush named twice
}

type chunkKey struct {
	job   job.ID
	task  uint32
	chunk int
}

type outputKey struct {
	job      job.ID
	task     uint32
	position int64
}

func put[K comparable, V any](t *tables, m *map[K]V, k K, v V) {
	if *m == nil {
		*m = map[K]V{}
	}
	if _, ok := (*m)[k]; ok {
		t.twice = fmt.Sprintf("%T %v", v, k)
	}
	(*m)[k] = v
}

func (t *tables) Counters(m CountersImage, _ uint64)                   { t.counters = &m }
func (t *tables) Namespace(m NamespaceSet, _ uint64)                   { put(t, &t.spaces, m.Name, m) }
func (t *tables) Queue(m QueueImage, _ uint64)                         { put(t, &t.queues, m.Namespace+"/"+m.Name, m) }
func (t *tables) Pool(m PoolSet, _ uint64)                             { put(t, &t.pools, m.Name, m) }
func (t *tables) Reservation(name string, m *ReservationSet, _ uint64) { put(t, &t.reserved, name, m) }
func (t *tables) Token(m Token, _ uint64)                              { put(t, &t.tokens, m.ID, m) }
func (t *tables) Learned(m LearnedImage, _ uint64)                     { put(t, &t.learned, m.Slot, m) }
func (t *tables) Use(row string, m UseImage, _ uint64) {
	put(t, &t.use, row, m)
}
func (t *tables) Past(m PastAttempt, _ uint64) { t.past = append(t.past, m) }
func (t *tables) Chunk(m ChunkImage, _ uint64) {
	put(t, &t.chunks, chunkKey{m.Job, m.Task, m.Chunk}, m)
}
func (t *tables) Output(m OutputImage, _ uint64) {
	put(t, &t.outputs, outputKey{m.Job, m.Task, m.Position}, m.Outputs)
}
func (t *tables) Spec(_ job.ID, h Hash, text []byte) { put(&tables{}, &t.specs, h, text) }
func (t *tables) Worker(id uint64, m *WorkerImage, _ uint64) {
	if m != nil {
		image := *m
		m = &image
	}
	put(t, &t.workers, id, m)
}

func (t *tables) Key(row string, m *KeyImage, _ uint64) {
	if m != nil && m.Row() != row {
		t.twice = row + " is " + m.Row()
	}
	put(t, &t.keys, row, m)
}

func (t *tables) Job(m JobImage) {
	m.Waits = slices.Clone(m.Waits)
	put(t, &t.jobs, m.ID, m)
}

// take merges a finished flush and returns the jobs of it that have ended.
func (t *tables) take(f *tables) (ended []job.ID) {
	t.seq, t.counters = f.seq, f.counters
	merge(&t.spaces, f.spaces)
	merge(&t.queues, f.queues)
	merge(&t.keys, f.keys)
	merge(&t.use, f.use)
	merge(&t.pools, f.pools)
	merge(&t.reserved, f.reserved)
	merge(&t.tokens, f.tokens)
	merge(&t.workers, f.workers)
	merge(&t.learned, f.learned)
	merge(&t.specs, f.specs)
	for id, m := range f.jobs { // a row's payload stays as it was at first
		if old, ok := t.jobs[id]; ok {
			m.Payload = old.Payload
			f.jobs[id] = m
		}
	}
	merge(&t.jobs, f.jobs)
	merge(&t.chunks, f.chunks)
	merge(&t.outputs, f.outputs)
	t.past = append(t.past, f.past...)
	t.twice = cmp.Or(t.twice, f.twice)
	for _, id := range slices.Sorted(maps.Keys(f.jobs)) {
		if f.jobs[id].State.Terminal() {
			ended = append(ended, id)
		}
	}
	return ended
}

func merge[K comparable, V any](into *map[K]V, from map[K]V) {
	if *into == nil {
		*into = map[K]V{}
	}
	maps.Copy(*into, from)
}

// load rebuilds a state, as recovery does from a store.
func (t *tables) load(config Config) (*State, error) {
	l := Load(config)
	l.s.learned = predict.New(labKeys)
	if t.counters == nil {
		return l.Finish(0), nil
	}
	l.Counters(*t.counters)
	for _, name := range slices.Sorted(maps.Keys(t.spaces)) {
		l.Namespace(t.spaces[name])
	}
	for _, name := range slices.Sorted(maps.Keys(t.queues)) {
		if err := l.Queue(t.queues[name]); err != nil {
			return nil, err
		}
	}
	for _, row := range slices.Sorted(maps.Keys(t.keys)) {
		if k := t.keys[row]; k != nil {
			l.Key(*k)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(t.tokens)) {
		l.Token(t.tokens[id])
	}
	for _, id := range slices.Sorted(maps.Keys(t.workers)) {
		if w := t.workers[id]; w != nil {
			l.Worker(*w)
		}
	}
	for _, slot := range slices.Sorted(maps.Keys(t.learned)) {
		if err := l.Learned(t.learned[slot]); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.pools)) {
		if p := t.pools[name]; p.Policy != (job.PoolPolicy{}) {
			l.Pool(p)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.reserved)) {
		if m := t.reserved[name]; m != nil {
			l.Reservation(*m)
		}
	}
	for _, row := range slices.Sorted(maps.Keys(t.use)) {
		if m := t.use[row]; m.At != 0 {
			if err := l.Use(m); err != nil {
				return nil, err
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(t.jobs)) {
		if err := t.loadJob(l, t.jobs[id]); err != nil {
			return nil, err
		}
	}
	return l.Finish(t.seq), nil
}

func (t *tables) loadJob(l *Loaded, m JobImage) error {
	if m.State.Terminal() {
		return nil
	}
	if err := l.Spec(m.Spec, t.specs[m.Spec]); err != nil {
		return err
	}
	m.Waits = slices.Clone(m.Waits)
	m.Away, m.Payload = m.Away || m.Payload != nil, nil
	if err := l.Job(m); err != nil {
		return err
	}
	byPlace := func(a, b chunkKey) int { return cmp.Or(cmp.Compare(a.task, b.task), cmp.Compare(a.chunk, b.chunk)) }
	for _, k := range slices.SortedFunc(maps.Keys(t.chunks), byPlace) {
		if k.job != m.ID {
			continue
		}
		if err := l.Chunk(t.chunks[k]); err != nil {
			return err
		}
	}
	return nil
}

// dumped is a whole state, without what is allowed to differ between a leader and
// a server that has loaded and replayed: finished jobs, caches, stale timers.
type dumped struct {
	Counters CountersImage
	Seq      uint64
	Live     int64
	Spaces   []NamespaceView
	Queues   []QueueView
	Pools    []PoolView
	Reserved []ReservationView
	Paid     map[string]int64 // by queue or key
	Loads    map[string]dumpedLoad
	Tokens   []Token
	Workers  []dumpedWorker
	Learned  []LearnedImage
	Use      map[string]UseImage
	Jobs     []dumpedJob
	Timers   []timer
	Keys     map[string]job.ID
	Waiters  map[job.ID][]job.ID
	Specs    map[Hash]int
	Held     map[string][]string
	Next     plan.Placement
	More     bool
	Plan     []why.Why
}

type dumpedLoad struct {
	Pending, Running int64
	Used             job.Resources
}

func dumpLoad(l *load) dumpedLoad { return dumpedLoad{l.pending, l.running, l.used} }

// dumpHeld lists who holds which key, and how many wait for it.
func (s *State) dumpHeld() map[string][]string {
	out := map[string][]string{}
	for _, n := range s.spaceNames {
		for _, k := range s.limits.List(n, limit.Name{}, 1000) {
			row := []string{fmt.Sprintf("%d wait, %d name it", k.Waiting(), k.Uses())}
			for _, o := range k.Owners(1000) {
				row = append(row, fmt.Sprintf("%d/%d", o.Job, o.Fence))
			}
			out[keyRow(k.Name())] = row
		}
	}
	return out
}

type dumpedWorker struct {
	WorkerView
	Held []link.Fence
}

type dumpedJob struct {
	Image  JobImage
	Chunks []ChunkImage
	Alone  [][]element.Span
	Gated  []bool
}

func (s *State) dump() dumped { return s.dumpAt(0) }

// dumpAt is dump with what the plan would propose at a moment.
func (s *State) dumpAt(now int64) dumped {
	s.Reconsider()
	s.plan.Age(far, math.MaxInt) // when which copy was last looked at makes no difference then
	d := dumped{
		Counters: s.countersImage(), Seq: s.seq, Live: s.live,
		Spaces: s.Namespaces(), Pools: s.Pools(), Reserved: s.Reservations(), Tokens: s.Tokens(), Keys: map[string]job.ID{}, Waiters: map[job.ID][]job.ID{}, Specs: map[Hash]int{},
		Timers: s.dumpTimers(), Learned: s.dumpLearned(), Paid: map[string]int64{}, Loads: map[string]dumpedLoad{}, Use: map[string]UseImage{},
	}
	for _, n := range s.spaceNames {
		s.plan.Pasts(n, func(m UseImage) { d.Use[useRow(m)] = m })
		queues, _ := s.Queues(n)
		d.Queues = append(d.Queues, queues...)
		d.Loads[n] = dumpLoad(&s.spaces[n].load)
		for _, q := range s.spaces[n].queues {
			d.Paid[n+"/"+q.name] = int64(q.meter)
			d.Loads[n+"/"+q.name] = dumpLoad(&q.load)
		}
	}
	for _, k := range s.limits.Owing() {
		d.Paid[keyRow(k.Name())] = int64(k.Meter())
	}
	d.Held = s.dumpHeld()
	for _, w := range s.Workers() {
		held := dumpedWorker{WorkerView: w}
		for a := s.workers[w.ID].first; a != nil; a = a.next {
			held.Held = append(held.Held, a.fence)
		}
		d.Workers = append(d.Workers, held)
	}
	for j := range s.jobs.all {
		if !j.state.Terminal() {
			d.Jobs = append(d.Jobs, s.dumpJob(j))
			if j.key != "" {
				d.Keys[j.queue.space.name+"/"+j.key] = s.keyed(keyOf(j)).id
			}
			for _, w := range j.waits {
				d.Waiters[w.Job] = append(d.Waiters[w.Job], j.id)
			}
			d.Specs[j.spec.hash] = j.spec.live
			for ti := range j.tasks {
				for way := range j.spec.spec.Tasks[ti].Ways() {
					for _, id := range []plan.GroupID{{}, {Larger: true}, {Alone: true}} {
						id.Job, id.Task, id.Way = j.id, uint32(ti), uint8(way)
						d.Plan = append(d.Plan, s.plan.Explain(id, now))
					}
				}
			}
		}
	}
	d.Next, d.More = s.plan.Next(now)
	if d.Next.Team != nil { // which of the workers that are as good it takes depends on who came when
		d.Next.Worker, d.Next.Team = 0, make([]uint64, len(d.Next.Team))
	}
	return d
}

func (s *State) dumpJob(j *jobState) dumpedJob {
	d := dumpedJob{Image: s.jobImage(j)}
	d.Image.Waits = slices.Clone(j.waits)
	d.Image.Away, d.Image.Payload = j.away || j.payload != nil, nil // see checkPayloads
	for i := range j.tasks {
		a := j.tasks[i].arr
		d.Gated = append(d.Gated, a != nil && a.gated)
		if a == nil {
			continue
		}
		d.Alone = append(d.Alone, a.alone.Spans(), a.larger.Spans())
		for c := range a.table.Chunks() {
			d.Chunks = append(d.Chunks, s.chunkImage(j, uint32(i), c))
		}
	}
	return d
}

func (s *State) dumpLearned() (out []LearnedImage) {
	for _, p := range s.learned.Entries() {
		out = append(out, LearnedImage{Slot: p.Slot, Key: p.Key, State: p.AppendTo(nil)})
	}
	return out
}

// dumpTimers lists the timers that still mean something.
func (s *State) dumpTimers() []timer {
	var out []timer
	for _, t := range s.timers {
		j := s.jobs.get(t.job)
		if j == nil || j.state.Terminal() {
			continue
		}
		means := false
		switch t.kind {
		case timerWake:
			means = !j.woken
		case timerWindow:
			means = !j.begun && !j.out() && j.stop.Kind == job.CauseNone
		case timerDeadline:
			means = j.stop.Kind == job.CauseNone
		case timerBackoff:
			means = j.tasks[t.task].retryOf(t.position).at == t.at
		}
		if means {
			out = append(out, t)
		}
	}
	slices.SortFunc(out, func(a, b timer) int {
		if a.less(b) {
			return -1
		}
		return 1
	})
	return slices.Compact(out)
}

// fingerprint is cheap and changes with nearly everything that Apply does.
func (s *State) fingerprint() string {
	n := 0
	for j := range s.jobs.all {
		for i := range j.tasks {
			c := j.tasks[i].counts()
			n = n*31 + int(c[job.Pending]+7*c[job.Assigned]+49*c[job.Running]+343*c.Ended())
		}
		n = n*31 + int(j.state) + len(j.waits)
	}
	return fmt.Sprint(s.seq, s.live, s.jobs.len(), len(s.attempts), len(s.workers), len(s.specs), s.nextJob, s.nextFence, len(s.flush.dirty), n)
}
