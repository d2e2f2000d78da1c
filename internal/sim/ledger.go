package sim

import (
	"fmt"
	"time"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// place is an element: what attempts are tries of.
type place struct {
	job      job.ID
	task     uint32
	position int64
}

func (p place) String() string { return fmt.Sprintf("%d.%d.%d", p.job, p.task, p.position) }

// process is one real run, as whoever looks at the machine would see it.
type process struct {
	w       *world
	n       *node
	place   place
	fence   link.Fence
	begun   time.Duration
	ended   time.Duration
	lasts   time.Duration
	limit   time.Duration // timeout and grace, 0 for none
	code    int32         // the exit code; negative for a signal
	ignores bool
	poison  bool
	hungry  bool // it runs out of the memory that it was given
	alive   bool
	way     uint8
	memory  int64
	devices job.Devices
	// orphan is of an attempt that a failover has lost; before began before one.
	orphan, before bool
	output         []byte
}

// ledger is the ground truth: what ran, outside of the system. It judges each start and
// end by what the journal says at that moment.
type ledger struct {
	w       *world
	byFence map[link.Fence][]*process
	alive   map[place]*process
	ran     map[place][]*process
	// running is what runs now, by worker and by array.
	running map[*node]map[*process]bool
	arrays  map[taskAt]int
	// widest is the highest factors by which pools ever gave away what workers have.
	widest job.Factors
}

type taskAt struct {
	job  job.ID
	task uint32
}

func newLedger(w *world) *ledger {
	return &ledger{
		w: w, byFence: map[link.Fence][]*process{}, alive: map[place]*process{}, ran: map[place][]*process{},
		running: map[*node]map[*process]bool{}, arrays: map[taskAt]int{},
	}
}

// begin is a process starting.
func (l *ledger) begin(n *node, r *run) *process {
	w := l.w
	at := place{r.ref.Job, r.task, r.position}
	p := &process{w: w, n: n, place: at, fence: r.fence, begun: w.now, alive: true, devices: r.devices, way: r.way, memory: r.memory}
	p.lasts = w.between(time.Millisecond, r.habits.most)
	if w.rnd.IntN(100) < r.habits.fails {
		p.code = int32(1 + w.rnd.IntN(4))
	}
	p.ignores = w.rnd.IntN(100) < r.habits.ignores
	p.poison = w.rnd.IntN(100) < r.habits.poison
	if t := w.past.task(at); t != nil && r.habits.hunger > t.Asks(p.way, p.memory).Memory {
		p.hungry, p.code = true, -9
		w.count("process runs out of memory")
	}
	if r.timeout > 0 {
		p.limit = r.timeout + r.grace
	}
	p.output = fmt.Appendf(nil, `{"n":"%d"}`, w.rnd.IntN(4))
	w.count("process starts")
	w.trace("%s: attempt %d of %s starts, for %v with %d", n.name, p.fence, at, p.lasts, p.code)
	if other := l.alive[at]; other != nil && !w.past.gap.fences[r.fence] {
		w.fail(NoTwins, "attempt %d of %s starts on %s while attempt %d of it runs on %s", p.fence, at, n.name, other.fence, other.n.name)
	}
	for _, other := range l.byFence[r.fence] {
		if t := w.past.task(at); other.before && !(t.AtMostOnce && w.past.generation > w.past.gap.generation) {
			continue // that it had ended may be lost
		}
		w.fail(Once, "attempt %d of %s is started twice, on %s and on %s", p.fence, at, other.n.name, n.name)
	}
	starts := 1
	for _, other := range l.ran[at] {
		if !other.before {
			starts++
		}
	}
	w.past.mayStart(p, starts)
	if p.orphan {
		return p
	}
	l.ran[at] = append(l.ran[at], p)
	l.byFence[r.fence] = append(l.byFence[r.fence], p)
	l.alive[at] = p
	l.arrays[taskAt{at.job, at.task}]++
	if l.running[n] == nil {
		l.running[n] = map[*process]bool{}
	}
	l.running[n][p] = true
	l.judgeRoom(n, p)
	return p
}

// judgeRoom holds what runs against the worker's capacity and the array's throttle.
func (l *ledger) judgeRoom(n *node, p *process) {
	var used job.Resources
	for other := range l.running[n] {
		if t := l.w.past.task(other.place); t != nil {
			used = used.Plus(t.Asks(other.way, other.memory))
		}
	}
	if most := multiplied(n.hello.Capacity, n.hello.Devices, l.widest); len(l.running[n]) > n.hello.Slots || !used.Fits(most) {
		l.w.fail(Room, "%s runs %d processes with %+v; it has %d slots and gives %+v at most", n.name, len(l.running[n]), used, n.hello.Slots, most)
	}
	for other := range l.running[n] {
		if other != p && other.devices.Clash(p.devices) {
			l.w.fail(Room, "%s runs attempt %d on %q while attempt %d runs on %q", n.name, p.fence, p.devices, other.fence, other.devices)
		}
	}
	if t := l.w.past.task(p.place); t != nil && t.Array != nil && t.Array.Throttle > 0 {
		if k := l.arrays[taskAt{p.place.job, p.place.task}]; int64(k) > t.Array.Throttle {
			l.w.fail(Throttled, "%d elements of %d.%d run at the same time; its throttle is %d", k, p.place.job, p.place.task, t.Array.Throttle)
		}
	}
}

// end is the process ending.
func (p *process) end(code int32) {
	w, l := p.w, p.w.truth
	p.alive, p.ended, p.code = false, w.now, code
	w.trace("%s: attempt %d of %s ends with %d", p.n.name, p.fence, p.place, code)
	l.forget(p)
	if p.orphan {
		return
	}
	slack := 100*time.Millisecond + p.limit/20 // its worker's clock may be slow
	if a := w.past.attempts[p.fence]; a != nil {
		by := a.stopAnyhow
		if w.faults.calm {
			by = a.stopBy
		}
		if by > 0 && w.now > by {
			w.fail(Cancelled, "attempt %d of %s was to have ended %v ago", p.fence, p.place, w.now-by)
		}
	}
	if ran := p.ended - p.begun; p.limit > 0 && ran > p.limit+slack {
		w.fail(TimedOut, "attempt %d of %s ran for %v; its timeout and grace are %v", p.fence, p.place, ran, p.limit)
	}
}

// outputs is what an attempt left in its file of outputs.
func (l *ledger) outputs(f link.Fence) []byte {
	ps := l.byFence[f]
	if len(ps) == 0 || ps[len(ps)-1].code != 0 {
		return nil
	}
	return ps[len(ps)-1].output
}
