package core

import (
	"math"
	"slices"

	"github.com/reeve-scheduler/reeve/internal/element"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/limit"
	"github.com/reeve-scheduler/reeve/internal/link"
	"github.com/reeve-scheduler/reeve/internal/plan"
)

// judge knows the past and holds each step against it.
type judge struct {
	elements map[elementKey]remembered
	ended    map[job.ID]job.State
	fence    link.Fence
	// deep makes settled look at everything, by brute force.
	deep bool
	// begun is the jobs of which something was assigned.
	begun  map[job.ID]bool
	starts starts
	// grown is the memory that elements of a task ask for that ran out of it.
	grown map[taskKey]int64
	// ran is where an element of a task succeeded last.
	ran map[taskKey]uint64
}

type elementKey struct {
	job      job.ID
	task     uint32
	position int64
}

type remembered struct {
	state job.ElementState
	tries uint16
}

// applied looks at what an event has changed.
func (g *judge) applied(l *lab, e Event) {
	switch e := e.(type) {
	case AttemptAssigned:
		if e.Fence <= g.fence {
			l.fail("fence %d was issued after %d", e.Fence, g.fence)
		}
		g.fence = e.Fence
		k := elementKey{e.Job, e.Task, e.Position}
		old := g.elements[k]
		if e.Position > 0 && l.s.attempts[e.Fence].gang() { // it was applied with the first rank
			old.tries--
		}
		if e.Attempt != old.tries+1 {
			l.fail("%v: attempt %d follows attempt %d", k, e.Attempt, old.tries)
		}
		g.given(l, e)
		g.waited(l, e)
		g.limits(l, e)
	case QueueSet:
		delete(g.starts, "queue "+e.Name) // its rate may be another now
	case JobEnded:
		if old, ok := g.ended[e.Job]; ok {
			l.fail("job %d ended as %s and again as %s", e.Job, old, e.State)
		}
		if g.ended == nil {
			g.ended = map[job.ID]job.State{}
		}
		g.ended[e.Job] = e.State
	}
	for j := range l.s.jobs.all {
		g.steps(l, j, e)
	}
}

// given holds what an attempt was given against what its worker had left.
func (g *judge) given(l *lab, e AttemptAssigned) {
	w, asks := l.s.workers[e.Worker], l.s.attempts[e.Fence].needs()
	g.lonesome(l, e)
	has := l.gives(w)
	g.reserved(l, w, e)
	if e.Prefetched {
		if e.Devices != "" || mayHaveIDs(asks) {
			l.fail("%d asks for %+v and is sent ahead, with the devices %q", e.Fence, asks, e.Devices)
		}
		return
	}
	fits := w.used.Fits(has)
	for name, n := range asks.Other.All {
		ids, got := w.hello.Devices.Get(name), e.Devices.Get(name)
		if ids != nil && int64(len(got)) != n || ids == nil && got != nil {
			l.fail("%d asks for %d of %s, and worker %s, which has %q, gives it %q", e.Fence, n, name, w.hello.Name, ids, got)
		}
		for _, id := range got {
			fits = fits && slices.Contains(ids, id)
		}
	}
	if !fits {
		l.fail("%d asks for %+v and is given %q by worker %s, which has %+v and %q: then %+v are in use", e.Fence, asks, e.Devices, w.hello.Name, has, w.hello.Devices, w.used)
	}
}

// gives is what a worker has to give away, as the documents say: its amounts by the factors of its
// pool, rounded down, and its devices.
func (l *lab) gives(w *worker) job.Resources { return gives(w, l.s.pools[w.pool()].Overcommit) }

func gives(w *worker, over job.Factors) job.Resources {
	has := w.hello.Capacity
	out := job.Resources{CPU: has.CPU * over.Get("cpu") / 1000, Memory: has.Memory * over.Get("memory") / 1000}
	for name, n := range has.Other.All {
		if w.hello.Devices.Get(name) == nil {
			n = n * over.Get(name) / 1000
		}
		out.Other = out.Other.Set(name, n)
	}
	return out
}

// steps holds the elements of a job against what they were.
func (g *judge) steps(l *lab, j *jobState, e Event) {
	if g.elements == nil {
		g.elements = map[elementKey]remembered{}
	}
	if state, ok := g.ended[j.id]; ok && state != j.state {
		l.fail("job %d ended as %s and is %s after %T", j.id, state, j.state, e)
	}
	for i := range j.tasks {
		t := &j.tasks[i]
		for p := range max(t.n, 1) {
			if t.n == 0 {
				break
			}
			k, r := elementKey{j.id, uint32(i), p}, t.record(p)
			old, known := g.elements[k]
			carried := !known && r.Carried && r.State == job.Succeeded
			if old.state != r.State && !job.CanMove(old.state, r.State) && !carried {
				l.fail("%v went from %s to %s by %T %+v", k, old.state, r.State, e, e)
			}
			if _, returned := e.(AttemptReturned); r.Attempts < old.tries && !returned {
				l.fail("%v had %d attempts and has %d after %T", k, old.tries, r.Attempts, e)
			}
			g.succeeded(j, uint32(i), p, old.state, r)
			g.elements[k] = remembered{r.State, r.Attempts}
		}
	}
}

// settled looks at the state at the end of a turn.
func (g *judge) settled(l *lab) {
	s := l.s
	if _, more := s.Follow(l.now); more {
		l.fail("something was left to follow")
	}
	if !g.deep {
		return
	}
	s.takeBack()
	s.Rank(math.MaxInt)
	g.ranked(l)
	if err := s.plan.Check(); err != nil {
		l.fail("%v", err)
	}
	g.counts(l)
	rooms := g.rooms(l)
	if w, x := len(s.workers), len(s.workerIDs); w != x {
		l.fail("%d workers, %d in order", w, x)
	}
	for _, id := range s.workerIDs {
		g.worker(l, s.workers[id])
	}
	var live, attempts, deadlines int64
	for j := range s.jobs.all {
		attempts += g.job(l, j, rooms)
		if !j.state.Terminal() {
			live++
			if j.deadline > 0 {
				deadlines++
			}
		}
	}
	if deadlines != s.Deadlines() {
		l.fail("%d jobs have a deadline, the state counts %d", deadlines, s.Deadlines())
	}
	if p := &s.plain; p.job.says() || p.job.own || p.task.own || p.task.stop != (job.Cause{}) || p.task.items != nil || p.task.outputs != nil || p.one != (single{}) {
		l.fail("what plain jobs share was written to: %+v", *p)
	}
	if live != s.live || attempts != int64(len(s.attempts)) {
		l.fail("%d jobs live and %d attempts, the state counts %d and %d", live, attempts, s.live, len(s.attempts))
	}
	g.queues(l)
}

// ranked holds where the plan has what waits, and whose it has what runs, against where the jobs
// stand.
func (g *judge) ranked(l *lab) {
	s := l.s
	var all []plan.Ready
	for class := range s.plan.Classes() {
		all, _ = s.plan.Waiting(all, class, 1<<30)
	}
	for _, r := range all {
		j := s.jobs.get(r.Group.ID.Job)
		want, got := s.groupOf(j, r.Group.ID), r.Group
		if j.queue.policy.Order == job.ByLength && j.front == 0 {
			want.Score = got.Score // it was reckoned with what was known then
		}
		if got.Namespace != want.Namespace || got.Queue != want.Queue || got.User != want.User || got.Background != want.Background ||
			got.Tier != want.Tier || got.Score != want.Score || got.Near != g.near(j, r.Group.ID.Task) {
			l.fail("the plan has %+v, want %+v", got, want)
		}
	}
	for _, id := range s.workerIDs {
		for a := s.workers[id].first; a != nil; a = a.next {
			got := a.run.Attempt()
			if q := a.job.queue; got.Namespace != q.space.name || got.Queue != q.name || got.User != a.job.turn() || got.Tier != a.job.tier() {
				l.fail("the plan has attempt %d as %+v, of job %d in queue %s, for %q, tier %d", a.fence, got, a.job.id, q.name, a.job.turn(), a.job.tier())
			}
		}
	}
}

func (g *judge) queues(l *lab) {
	for _, name := range l.s.spaceNames {
		n := l.s.spaces[name]
		var sum int64
		for _, q := range n.queues {
			var count int64
			for j := range l.s.jobs.all {
				if j.queue == q && !j.state.Terminal() {
					count++
				}
			}
			if count != q.jobs {
				l.fail("queue %s/%s has %d jobs and counts %d", name, q.name, count, q.jobs)
			}
			sum += count
		}
		if sum != n.jobs {
			l.fail("namespace %s has %d jobs and counts %d", name, sum, n.jobs)
		}
	}
}

// worker holds what a worker has against what it may have.
func (g *judge) worker(l *lab, w *worker) {
	var used job.Resources
	var taken job.Devices
	running, prefetched, alone, held := 0, 0, 0, 0
	for a := w.first; a != nil; a = a.next {
		held++
		if a.ended != nil {
			l.fail("worker %s holds %d, which has ended", w.hello.Name, a.fence)
		}
		if a.devices.Clash(taken) {
			l.fail("two attempts on worker %s have a device of %q", w.hello.Name, a.devices)
		}
		for name, ids := range a.devices.All {
			taken = taken.Set(name, append(taken.Get(name), ids...))
		}
		if l.s.attempts[a.fence] != a || a.worker != w {
			l.fail("worker %s holds %d, which is not its", w.hello.Name, a.fence)
		}
		if a.next != nil && a.next.fence < a.fence {
			l.fail("worker %s holds %d before %d", w.hello.Name, a.fence, a.next.fence)
		}
		if a.prefetched {
			prefetched++
			continue
		}
		running++
		used = used.Plus(g.needs(l, a))
		if a.alone {
			alone++
		}
	}
	awaits := 0
	for _, a := range l.s.attempts {
		if a.worker == w && a.ended != nil {
			awaits++
		}
	}
	if awaits != w.awaits {
		l.fail("on worker %s %d attempts await their gang, counted %d", w.hello.Name, awaits, w.awaits)
	}
	planUsed, planRunning, planPrefetched := l.s.plan.Usage(w.id)
	if planUsed != used || w.used != used || planRunning != running || planPrefetched != prefetched || held != w.held {
		l.fail("worker %s has %v in %d places and %d ahead, the plan says %v, %d and %d", w.hello.Name, used, running, prefetched, planUsed, planRunning, planPrefetched)
	}
	if l.shrunk[w.hello.Name] {
		return // it has come back with less than what runs there takes
	}
	if !used.Fits(l.gives(w)) || running > w.hello.Slots || prefetched > w.hello.Prefetch {
		l.fail("worker %s has %v in %d places and %d ahead: more than it offers", w.hello.Name, used, running, prefetched)
	}
	if alone > 1 || alone == 1 && running > 1 {
		l.fail("worker %s has an attempt that must be alone among %d", w.hello.Name, running)
	}
}

// job holds a job against its tasks and returns how many attempts it has.
func (g *judge) job(l *lab, j *jobState, rooms map[limit.Group]int64) (attempts int64) {
	over, started := true, false
	for i := range j.tasks {
		attempts += g.task(l, j, uint32(i), rooms)
		over = over && j.tasks[i].over()
		started = started || j.tasks[i].one.started > 0
	}
	switch {
	case over != j.state.Terminal():
		l.fail("job %d is %s; all of its tasks have ended: %v", j.id, j.state, over)
	case j.state.Terminal() && attempts > 0:
		l.fail("job %d has ended and has %d attempts", j.id, attempts)
	case !j.state.Terminal() && started != (j.state == job.JobRunning):
		l.fail("job %d is %s; a task of it has started: %v", j.id, j.state, started)
	case j.state.Terminal() != (j.ended > 0):
		l.fail("job %d is %s and ended at %d", j.id, j.state, j.ended)
	}
	for _, w := range j.waits {
		if on := l.s.jobs.get(w.Job); on == nil || on.state.Terminal() {
			l.fail("job %d waits for job %d, which has ended", j.id, w.Job)
		}
	}
	return attempts
}

// task holds a task's counters and caches against its elements, and the plan
// against both.
func (g *judge) task(l *lab, j *jobState, ti uint32, rooms map[limit.Group]int64) (attempts int64) {
	t := &j.tasks[ti]
	var counts job.Counts
	for p := range max(t.n, 1) {
		if t.n == 0 {
			break
		}
		r, a, again := t.record(p), t.attempt(p), t.retryOf(p)
		counts[r.State]++
		if (a != nil) != r.State.Live() {
			l.fail("job %d task %d element %d is %s and has an attempt: %v", j.id, ti, p, r.State, a != nil)
		}
		if a != nil {
			attempts++
			if a.worker.id != r.Worker || a.number != r.Attempts || a.position != p {
				l.fail("job %d task %d element %d: attempt %+v, record %+v", j.id, ti, p, a, r)
			}
		}
		if again.at > 0 && r.State != job.Pending {
			l.fail("job %d task %d element %d is %s and backs off", j.id, ti, p, r.State)
		}
	}
	if counts != t.counts() {
		l.fail("job %d task %d has %v and counts %v", j.id, ti, counts, t.counts())
	}
	if j.spec.spec.Tasks[ti].Nodes > 0 {
		g.gang(l, j, ti, counts)
	}
	_, backoff := g.pendingOf(l, j, ti)
	g.caches(l, j, ti, backoff)
	g.offer(l, j, ti, rooms)
	return attempts
}

// gang wants the elements of a gang to be all in one state, or all out on workers of their own, and
// those that go on to be asked to end once one ended badly.
func (g *judge) gang(l *lab, j *jobState, ti uint32, counts job.Counts) {
	t := &j.tasks[ti]
	live := counts[job.Assigned] + counts[job.Running]
	if live != 0 && live != t.n || live == 0 && !slices.Contains(counts[:], t.n) {
		l.fail("job %d task %d is a gang of %d, of which %v", j.id, ti, t.n, counts)
	}
	workers, goOn, bad := map[uint64]bool{}, []*attempt(nil), false
	for p := range t.n {
		a, r := t.attempt(p), t.record(p)
		if first := t.record(0); r.Attempts != first.Attempts || t.retryOf(p) != t.retryOf(0) {
			l.fail("job %d task %d: rank %d is %+v and %+v, the first %+v and %+v", j.id, ti, p, r, t.retryOf(p), first, t.retryOf(0))
		}
		switch {
		case a == nil:
			continue
		case a.ended == nil:
			goOn = append(goOn, a)
		case a.ended.Cause.Kind != job.CauseNone:
			bad = true
		}
		if workers[a.worker.id] {
			l.fail("job %d task %d has two ranks on worker %s", j.id, ti, a.worker.hello.Name)
		}
		workers[a.worker.id] = true
	}
	if live > 0 && len(goOn) == 0 {
		l.fail("job %d task %d: all have ended, and nothing follows", j.id, ti)
	}
	for _, a := range goOn {
		if bad && a.stop.Kind == job.CauseNone {
			l.fail("job %d task %d: a rank ended badly, and rank %d goes on", j.id, ti, a.position)
		}
	}
}

// pendingOf counts the elements of a task that wait: those that could start, those that could
// alone, and those that back off.
func (g *judge) pendingOf(l *lab, j *jobState, ti uint32) (n startable, backoff int64) {
	t := &j.tasks[ti]
	for p := range max(t.n, 1) {
		if t.n == 0 {
			break
		}
		r, again := t.record(p), t.retryOf(p)
		if again.at > 0 {
			backoff++
		}
		if r.State != job.Pending || again.at > 0 {
			continue
		}
		isolated := again.spent.LostRunning >= job.IsolateAfter
		larger := again.spent.Memory > 0 && t.arr != nil && j.spec.spec.Tasks[ti].Nodes == 0
		switch {
		case isolated:
			n.alone++
		case larger:
			n.larger++
		case t.arr == nil || !t.arr.gated || t.arr.open.Has(p):
			n.plain++
		}
		if t.arr != nil && !isolated && !larger && !t.arr.gated && p < t.arr.cursor && !t.arr.open.Has(p) {
			l.fail("job %d task %d: nothing finds element %d, below the cursor at %d", j.id, ti, p, t.arr.cursor)
		}
	}
	return n, backoff
}

func (g *judge) caches(l *lab, j *jobState, ti uint32, backoff int64) {
	t := &j.tasks[ti]
	if t.arr == nil {
		return
	}
	if t.arr.backoff != backoff || int64(len(t.arr.live)) != t.arr.running.Len() {
		l.fail("job %d task %d: %d back off, counted %d; %d live, %d in order", j.id, ti, backoff, t.arr.backoff, len(t.arr.live), t.arr.running.Len())
	}
	if n := j.spec.spec.Tasks[ti].Array.Throttle; n > 0 && int64(len(t.arr.live)) > n {
		l.fail("job %d task %d: %d elements at a time, its throttle is %d", j.id, ti, len(t.arr.live), n)
	}
	for _, set := range []*element.Set{&t.arr.open, &t.arr.alone, &t.arr.larger} {
		for p := set.Next(0); p >= 0; p = set.Next(p + 1) {
			if t.state(p) != job.Pending || t.retryOf(p).at > 0 {
				l.fail("job %d task %d element %d is %s but among those to start", j.id, ti, p, t.state(p))
			}
		}
	}
}

// offer holds the plan's idea of what may start against what may.
func (g *judge) offer(l *lab, j *jobState, ti uint32, rooms map[limit.Group]int64) {
	n := g.startable(l, j, ti).within(rooms[limit.Group{Job: j.id, Task: ti}])
	for way := range plan.Ways {
		want, got := n, startable{}
		if way >= max(len(j.spec.spec.Tasks[ti].Either), 1) {
			want = got
		}
		ready := func(id plan.GroupID) int64 {
			id.Job, id.Task, id.Way = j.id, ti, uint8(way)
			return l.s.plan.Explain(id, l.now).Ready
		}
		got = startable{ready(plan.GroupID{}), ready(plan.GroupID{Larger: true}), ready(plan.GroupID{Alone: true})}
		if got != want {
			l.fail("job %d task %d way %d: %+v may start, the plan has %+v", j.id, ti, way, want, got)
		}
	}
}

// needs is what an attempt takes of its worker, by the spec and by what is remembered of others of
// its task that ran out of memory.
func (g *judge) needs(l *lab, a *attempt) job.Resources {
	spec := &a.job.spec.spec.Tasks[a.task]
	r := spec.Resources
	if spec.Either != nil {
		r = spec.Either[a.way]
	}
	grown := g.grown[taskKey{a.job.id, a.task}]
	spent := a.job.tasks[a.task].retryOf(a.position).spent
	switch {
	case a.memory > grown:
		l.fail("%d asks for %d bytes of memory, and %d was the most that anything was to ask for", a.fence, a.memory, grown)
	case a.memory > 0 && spent.Memory == 0 && spent.LostRunning < job.IsolateAfter:
		l.fail("%d asks for %d bytes of memory, and its element has never run out of any", a.fence, a.memory)
	case a.memory == 0 && spent.Memory > 0 && grown > 0:
		l.fail("%d asks for no more memory, and its element has run out of it %d times", a.fence, spent.Memory)
	}
	r.Memory = max(r.Memory, a.memory)
	return r
}

// succeeded notes where an element ran that succeeds, of a gang the first; one that is carried over
// did so in the job that is retried.
func (g *judge) succeeded(j *jobState, ti uint32, p int64, was job.ElementState, r element.Record) {
	if g.ran == nil {
		g.ran = map[taskKey]uint64{}
	}
	switch at := (taskKey{j.id, ti}); {
	case r.State != job.Succeeded || was == job.Succeeded:
	case r.Carried:
		if _, known := g.ran[at]; !known {
			g.ran[at] = g.ran[taskKey{j.retry, ti}]
		}
	case p == 0 || j.spec.spec.Tasks[ti].Nodes == 0:
		g.ran[at] = r.Worker
	}
}

// near is the workers that a task is near, by what has happened.
func (g *judge) near(j *jobState, ti uint32) string {
	var out []uint64
	for _, name := range j.spec.spec.Tasks[ti].Near {
		at := slices.IndexFunc(j.spec.spec.Tasks, func(t job.Task) bool { return t.Name == name })
		if w := g.ran[taskKey{j.id, uint32(at)}]; w != 0 {
			out = append(out, w)
		}
	}
	return plan.NearOf(out...)
}

// lonesome wants no other live attempt where the elements of a task, or of a key, are to be apart.
func (g *judge) lonesome(l *lab, e AttemptAssigned) {
	j, w := l.s.jobs.get(e.Job), l.s.workers[e.Worker]
	share := j.spec.spec.Tasks[e.Task].Apart
	by := share.By
	for _, a := range l.s.attempts {
		mine := a.job == j && a.task == e.Task
		if share.Key != "" {
			mine = a.job.queue.space == j.queue.space && a.job.spec.spec.Tasks[a.task].Apart == share
		}
		if by == "" || !mine || a.fence == e.Fence {
			continue
		}
		if a.worker == w || by != job.AtWorker && a.worker.hello.Labels[by] == w.hello.Labels[by] {
			l.fail("%d is given to worker %s, and %d of its task to worker %s, which are not apart by %s", e.Fence, w.hello.Name, a.fence, a.worker.hello.Name, by)
		}
	}
}

// waited wants what prefers the cheapest worker, and has until its deadline less a quarter more than its time
// limit and ten seconds, on none but the cheapest that could run it, if any has a price.
func (g *judge) waited(l *lab, e AttemptAssigned) {
	j := l.s.jobs.get(e.Job)
	spec := &j.spec.spec.Tasks[e.Task]
	if len(j.tasks) > 1 || j.deadline == 0 || spec.Timeout == 0 || j.spec.spec.Name != "" || spec.Array != nil || e.Alone || len(spec.Prefer) != 1 || spec.Prefer[0] != (job.Preference{When: "cheapest", Weight: 1}) {
		return
	}
	latest := j.deadline - millis(spec.Timeout)*5/4 - 10_000
	if j.startBefore > 0 {
		latest = min(latest, j.startBefore-10_000)
	}
	best := ""
	for _, w := range l.s.workers {
		price := w.hello.Labels["price"]
		if w.accepts() && w.hello.Slots > 0 && spec.Resources.Fits(l.gives(w)) && price != "" && (best == "" || price < best) {
			best = price
		}
	}
	if on := l.s.workers[e.Worker]; e.At < latest && best != "" && (e.Prefetched || on.hello.Labels["price"] != best) {
		l.fail("%d is given to worker %s at %d, sent ahead: %v, and could wait for one of price %s until %d", e.Fence, on.hello.Name, e.At, e.Prefetched, best, latest)
	}
}

// about looks at an event before it is applied: it holds what a task is to ask for against what it
// asked for, and remembers it.
func (g *judge) about(l *lab, event Event) {
	e, ok := event.(AttemptEnded)
	if !ok || e.Memory == 0 {
		return
	}
	a := l.s.attempts[e.Fence]
	spec := &a.job.spec.spec.Tasks[a.task]
	had, most := a.needs().Memory, spec.Retry.MaxMemory
	if most == 0 {
		most = 4 * spec.Takes(a.way).Memory
	}
	if e.Next != job.Pending || e.Memory < had || most > 0 && e.Memory > max(most, had) {
		l.fail("%d ran out of %d bytes of memory, is %s, and is to ask for %d, of at most %d", e.Fence, had, e.Next, e.Memory, most)
	}
	if g.grown == nil {
		g.grown = map[taskKey]int64{}
	}
	k := taskKey{a.job.id, a.task}
	g.grown[k] = max(g.grown[k], e.Memory)
}
