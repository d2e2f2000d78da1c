package will

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/reeve-scheduler/reeve/internal/executor"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// world is a server, executors and a disk that do whatever their contracts allow,
// drawn at random, and that notice what the machine must never do.
type world struct {
	t   *rapid.T
	m   *Machine
	now Now

	session                uint64
	dialing, open, welcome bool
	// sending is the message on its way to the server.
	sending *link.FromWorker
	helloAt executor.Deadline
	beats   map[uint64]executor.Deadline
	told    bool
	// renewed is when the last answered hello or beat was sent.
	renewed  executor.Deadline
	answered bool // in this step
	// overtaken: in this step an attempt is told to run whose start a renewal may have overtaken.
	overtaken bool

	next  link.Fence
	known map[link.Fence]*fate
	order []link.Fence
	quit  bool
}

// fate is what is known of one attempt.
type fate struct {
	key                           string
	lease                         time.Duration
	process, once, prefetched     bool
	delivered                     bool
	preparing, recording, keeping bool
	starts                        int
	until                         executor.Deadline
	live, collecting              bool
	following, sealed, logged     bool
	// unwanted: the server told the machine to forget it.
	unwanted, returned, reported, acked bool
	reportedIn                          uint64
	// expired: its lease ran out before it started.
	expired   bool
	forgotten int
}

func newWorld(t *rapid.T) *world {
	w := &world{
		t: t, now: Now{Boot: 1e12, Wall: 1e6}, beats: map[uint64]executor.Deadline{},
		known: map[link.Fence]*fate{}, next: 1,
	}
	w.m = New(Settings{
		Hello: link.Hello{Name: "w1", Slots: rapid.IntRange(1, 3).Draw(t, "slots"), Prefetch: 3, Capacity: job.Resources{CPU: 3000}},
		Seed:  1, KeepAfter: time.Second, LogWait: 20 * time.Second, Reconnect: time.Second, Durable: true,
		LeaveWait: 10 * time.Second, LeaveGrace: 5 * time.Second,
		ReadSpec: func([]byte) (*job.Spec, error) { return testSpec(), nil },
	})
	return w
}

func (w *world) step(events ...Event) {
	for _, a := range w.m.Step(w.now, events...) {
		w.take(a)
	}
}

func (w *world) fail(format string, args ...any) { w.t.Fatalf(format, args...) }

// fate finds the attempt that an action names.
func (w *world) fate(f link.Fence) *fate {
	a := w.known[f]
	if a == nil || !a.delivered {
		w.fail("an action for attempt %d, which was never assigned", f)
	}
	if a.forgotten > 0 {
		w.fail("an action for attempt %d after it was forgotten", f)
	}
	return a
}

func (w *world) byKey(key string) *fate {
	f, ok := FenceOf(key)
	if !ok {
		w.fail("key %q", key)
	}
	return w.fate(f)
}

// take does an action, and checks it.
func (w *world) take(a Action) {
	switch a := a.(type) {
	case Connect:
		if w.dialing || w.open {
			w.fail("a second session beside session %d", w.session)
		}
		w.session, w.dialing, w.told, w.welcome = a.Session, true, false, false
		clear(w.beats)
	case Disconnect:
		w.dialing, w.open, w.welcome, w.sending = false, false, false, nil
	case Send:
		w.sends(a)
	case SetDeadlines:
		w.deadlines(a)
	case Quit:
		w.quit = true
	default:
		w.takeAttempt(a)
	}
}

func (w *world) takeAttempt(a Action) {
	switch a := a.(type) {
	case Prepare:
		w.fate(a.Work.Fence).preparing = true
	case Record:
		w.fate(a.Work.Fence).recording = true
	case Start:
		w.started(a)
	case StopRun:
		w.byKey(a.Key)
	case Collect:
		w.fate(a.Fence).collecting = true
	case KeepResult:
		w.fate(a.Result.Fence).keeping = true
	case FollowLog:
		w.fate(a.Fence).following = true
	case SealLog:
		if f := w.fate(a.Fence); !f.following {
			w.fail("the log of %d is sealed and not followed", a.Fence)
		}
		w.fate(a.Fence).sealed = true
	case DropLog:
		f := w.fate(a.Fence)
		f.following, f.sealed = false, false
	case Forget:
		f := w.fate(a.Fence)
		switch {
		case f.live || f.preparing || f.recording || f.collecting || f.keeping:
			w.fail("attempt %d is forgotten while something works on it: %+v", a.Fence, *f)
		case !f.acked && !f.unwanted && !f.returned && !f.expired:
			w.fail("attempt %d is forgotten before its result is acknowledged", a.Fence)
		case f.starts > 0 && a.Executor == "" && f.logged:
			w.fail("attempt %d is not released", a.Fence)
		}
		f.forgotten++
	}
}

func (w *world) started(a Start) {
	f := w.fate(a.Work.Fence)
	f.starts++
	f.live, f.key, f.until = true, a.Key, a.Deadline
	want := executor.Deadline(0)
	if f.lease > 0 {
		want = w.renewed.Add(f.lease)
	}
	live := 0
	for _, g := range w.known {
		if g.live {
			live++
		}
	}
	switch {
	case f.starts > 1:
		w.fail("attempt %d is started twice", a.Work.Fence)
	case a.Deadline != want:
		w.fail("attempt %d may run until %d, want %d: the last answered beat and its lease", a.Work.Fence, a.Deadline, want)
	case want != 0 && want <= w.now.Boot:
		w.fail("attempt %d is started after its lease", a.Work.Fence)
	case f.expired:
		w.fail("attempt %d is started although the server may have given it to another: its lease ran out", a.Work.Fence)
	case f.unwanted || f.returned || f.acked:
		w.fail("attempt %d is started although it was given up: %+v", a.Work.Fence, *f)
	case f.preparing || f.recording:
		w.fail("attempt %d is started before it is ready", a.Work.Fence)
	case live > w.m.set.Hello.Slots:
		w.fail("%d attempts run in %d slots", live, w.m.set.Hello.Slots)
	}
}

func (w *world) deadlines(a SetDeadlines) {
	if !w.answered && !w.overtaken {
		w.fail("deadlines move without an answered beat")
	}
	for _, k := range a.Keys {
		f := w.byKey(k)
		if a.Deadline != w.renewed.Add(f.lease) || f.lease == 0 {
			w.fail("the deadline of %s is %d", k, a.Deadline)
		}
	}
}

func (w *world) sends(a Send) {
	if !w.open || a.Session != w.session {
		w.fail("a message without a session")
	}
	if w.sending != nil {
		w.fail("two messages on their way")
	}
	w.sending = &a.Message
	switch m := a.Message; {
	case m.Hello != nil:
		w.helloAt = w.now.Boot
		w.heldIsRight(m.Hello.Held)
	case m.Beat != nil:
		w.beats[m.Beat.Number] = w.now.Boot
		w.heldIsRight(m.Beat.Held)
	case m.Report != nil:
		for _, r := range m.Report.Ended {
			f := w.fate(r.Fence)
			if f.live || f.returned || f.unwanted {
				w.fail("attempt %d is reported as ended: %+v", r.Fence, *f)
			}
			f.reported, f.reportedIn = true, w.session
		}
		for _, s := range m.Report.Started {
			if !w.fate(s.Fence).reported && w.fate(s.Fence).starts == 0 {
				w.fail("attempt %d is reported as started", s.Fence)
			}
		}
		for _, r := range m.Report.Returned {
			if f := w.known[r]; f.starts > 0 || f.reported {
				w.fail("attempt %d is given back although it ran", r)
			}
		}
	}
}

// heldIsRight checks that the list has everything the server must know of.
func (w *world) heldIsRight(held []link.Held) {
	for _, f := range w.order {
		a := w.known[f]
		listed := slices.ContainsFunc(held, func(h link.Held) bool { return h.Fence == f })
		live := a.live || a.reported && !a.acked
		if live && !a.unwanted && !listed {
			w.fail("attempt %d is not in what is held: %+v", f, *a)
		}
		back := slices.Contains(w.m.sess.returned, f) // and not said yet
		if back && !listed {
			w.fail("attempt %d is on its way back and not in what is held: it would be sent again", f)
		}
		if (a.acked || a.forgotten > 0) && listed && !back {
			w.fail("attempt %d is over and still held", f)
		}
	}
}

// pick draws one of the attempts of which which is true; nil if there is none.
func (w *world) pick(which func(*fate) bool) (link.Fence, *fate) {
	var list []link.Fence
	for _, f := range w.order {
		if which(w.known[f]) {
			list = append(list, f)
		}
	}
	if len(list) == 0 {
		return 0, nil
	}
	f := rapid.SampledFrom(list).Draw(w.t, "attempt")
	return f, w.known[f]
}

func (w *world) receive(m link.ToWorker) { w.step(Received{Session: w.session, Message: m}) }

// moves is everything that can happen, by name so that failures read well.
func (w *world) moves() []func() {
	moves := []func(){w.wait, w.dial, w.delivered, w.answer, w.assign, w.end, w.prepared, w.recorded, w.collected, w.kept, w.shipped, w.ack, w.stop, w.recall, w.cut, w.refuse}
	return append(moves, w.dial, w.delivered, w.answer, w.end, w.prepared, w.assign, w.ack)
}

func (w *world) wait() {
	d := time.Duration(rapid.SampledFrom([]int{10, 500, 2000, 7000}).Draw(w.t, "ms")) * time.Millisecond
	w.now.Boot, w.now.Wall = w.now.Boot.Add(d), w.now.Wall+d.Milliseconds()
	w.step(Tick{})
}

func (w *world) dial() {
	if !w.dialing {
		return
	}
	w.dialing, w.open = false, true
	w.step(Connected{Session: w.session})
}

func (w *world) delivered() {
	if w.sending == nil {
		return
	}
	w.sending = nil
	w.step(Sent{Session: w.session})
}

func (w *world) answer() {
	switch {
	case !w.open:
		return
	case !w.welcome && w.sending == nil:
		w.welcome = true
		w.expired(w.helloAt)
		w.renewed, w.answered = max(w.renewed, w.helloAt), true
		w.receive(link.ToWorker{Welcome: &link.Welcome{WorkerID: 1, Beat: 2 * time.Second}})
	case w.welcome && len(w.beats) > 0:
		var numbers []uint64
		for n := range w.beats {
			numbers = append(numbers, n)
		}
		slices.Sort(numbers)
		n := rapid.SampledFrom(numbers).Draw(w.t, "beat")
		w.expired(w.beats[n])
		w.answered = w.beats[n] > w.renewed
		w.renewed = max(w.renewed, w.beats[n])
		for _, old := range numbers {
			if old <= n {
				delete(w.beats, old)
			}
		}
		w.receive(link.ToWorker{Beat: &link.BeatAnswer{Number: n}})
	}
	w.answered = false
}

// expired: a renewal comes too late for what has not started and whose lease has run
// out, since the server may have given it to another worker: it is given back.
func (w *world) expired(renewal executor.Deadline) {
	for _, f := range w.known {
		if renewal > w.renewed && f.starts == 0 && f.lease > 0 && w.renewed.Add(f.lease) <= w.now.Boot {
			f.expired = true
		}
	}
}

func (w *world) assign() {
	if !w.welcome {
		return
	}
	as := &link.Assign{}
	if !w.told {
		w.told = true
		as.Specs = []link.SpecText{{Hash: testHash()}}
	}
	task := rapid.IntRange(0, 5).Draw(w.t, "task")
	once := testSpec().Tasks[task].AtMostOnce
	at := link.Assignment{
		Fence: w.next, Job: 10, Task: uint32(task), Index: job.NoIndex, Attempt: 1, SpecHash: testHash(),
		Lease:      time.Duration(rapid.SampledFrom([]int{0, 3, 30}).Draw(w.t, "lease")) * time.Second,
		Prefetched: !once && rapid.Bool().Draw(w.t, "prefetched"),
	}
	if f, a := w.pick(func(a *fate) bool { return !a.acked && !a.unwanted && !a.returned && a.forgotten == 0 }); a != nil && rapid.Bool().Draw(w.t, "again") {
		// The same attempt once more, now perhaps with a place.
		at.Fence, at.Lease, at.Task = f, a.lease, 0
	} else {
		w.known[at.Fence] = &fate{lease: at.Lease, process: task != 0 && task != 3 && task != 4, once: once, prefetched: at.Prefetched, delivered: true}
		if late := at.Lease > 0 && w.renewed.Add(at.Lease) <= w.now.Boot; late || w.m.unfit.why != "" { // it is not taken
			w.known[at.Fence].returned, w.known[at.Fence].forgotten = true, 1
		}
		w.order = append(w.order, at.Fence)
		w.next++
	}
	as.Attempts = []link.Assignment{at}
	w.receive(link.ToWorker{Assign: as})
}

func (w *world) end() {
	f, a := w.pick(func(a *fate) bool { return a.live })
	if a == nil {
		return
	}
	a.live = false
	x := Exit{Started: w.now.Wall - int64(rapid.IntRange(0, 2000).Draw(w.t, "ran")), Ended: w.now.Wall}
	if rapid.Bool().Draw(w.t, "log") {
		x.LogSize, a.logged = 10, true
	}
	w.overtaken = a.lease > 0 && a.until != w.renewed.Add(a.lease)
	w.step(Started{Fence: f, At: x.Started}, Ended{Fence: f, Exit: x})
	w.overtaken = false
}

func (w *world) refuse() {
	if f, a := w.pick(func(a *fate) bool { return a.live }); a != nil {
		a.live = false
		c := job.Cause{Kind: job.CauseRejected, Detail: "no room"}
		if rapid.Bool().Draw(w.t, "lacking") {
			c.Code = job.Lacking
			w.lacks(f, running, Refused{Fence: f, Cause: c})
			return
		}
		w.step(Refused{Fence: f, Cause: c})
	}
}

// lacks steps the machine with word that an attempt in a phase lacks what all need: what
// waits goes back then.
func (w *world) lacks(f link.Fence, in phase, e Event) {
	if a := w.m.attempts[f]; a != nil && (a.phase == in || a.phase == waiting) && w.m.unfit.why == "" {
		for o := w.m.first; o != nil; o = o.next {
			if o.phase == waiting {
				w.known[o.fence].returned = true
			}
		}
	}
	w.step(e)
}

func (w *world) prepared() {
	if f, a := w.pick(func(a *fate) bool { return a.preparing }); a != nil {
		a.preparing = false
		c := job.Cause{}
		switch rapid.IntRange(0, 7).Draw(w.t, "fails") {
		case 0:
			c.Kind = job.CauseExpression
		case 1:
			w.lacks(f, preparing, Prepared{Fence: f, Cause: job.Cause{Kind: job.CauseRejected, Code: job.Lacking, Detail: "no room"}})
			return
		}
		w.step(Prepared{Fence: f, Cause: c})
	}
}

func (w *world) recorded() {
	if f, a := w.pick(func(a *fate) bool { return a.recording }); a != nil {
		a.recording = false
		if err := rapid.SampledFrom([]string{"", "", "disk full"}).Draw(w.t, "err"); err != "" {
			w.lacks(f, recording, Recorded{Fence: f, Err: err})
			return
		}
		w.step(Recorded{Fence: f})
	}
}

func (w *world) collected() {
	if f, a := w.pick(func(a *fate) bool { return a.collecting }); a != nil {
		a.collecting = false
		w.step(Collected{Fence: f})
	}
}

func (w *world) kept() {
	if f, a := w.pick(func(a *fate) bool { return a.keeping }); a != nil {
		a.keeping = false
		w.step(Kept{Fence: f, Err: rapid.SampledFrom([]string{"", "disk full"}).Draw(w.t, "err")})
	}
}

func (w *world) shipped() {
	if f, a := w.pick(func(a *fate) bool { return a.sealed }); a != nil {
		a.sealed, a.following = false, false
		w.step(Shipped{Fence: f})
	}
}

func (w *world) ack() {
	if !w.welcome {
		return
	}
	if f, a := w.pick(func(a *fate) bool { return a.reported && !a.acked && !a.unwanted }); a != nil {
		a.acked = true
		w.receive(link.ToWorker{Ack: []link.Fence{f}})
	}
}

func (w *world) stop() {
	f, a := w.pick(func(a *fate) bool { return a.forgotten == 0 })
	if !w.welcome || a == nil {
		return
	}
	forget := rapid.Bool().Draw(w.t, "forget")
	a.unwanted = a.unwanted || forget && !a.acked
	w.receive(link.ToWorker{Stop: &link.Stop{Fence: f, Grace: time.Second, Forget: forget, Cause: job.Cause{Kind: job.CauseCancelled}}})
}

func (w *world) recall() {
	f, a := w.pick(func(a *fate) bool {
		return a.starts == 0 && !a.acked && !a.unwanted && !a.reported && a.forgotten == 0
	})
	if !w.welcome || a == nil {
		return
	}
	before := w.m.attempts[f]
	a.returned = a.returned || before != nil && before.phase < running
	w.receive(link.ToWorker{Recall: []link.Fence{f}})
}

func (w *world) cut() {
	if rapid.IntRange(0, 2).Draw(w.t, "cut") == 0 && (w.open || w.dialing) {
		w.dialing, w.open, w.welcome, w.sending = false, false, false, nil
		w.step(Disconnected{Session: w.session, Why: "cut"})
	}
}

// settle lets everything come to its good end.
func (w *world) settle() {
	for i := 0; ; i++ {
		if _, held := w.m.Load(); held == 0 {
			return
		}
		if i == 3000 {
			w.fail("attempts never come to an end: %s", w.leftovers())
		}
		w.now.Boot, w.now.Wall = w.now.Boot.Add(200*time.Millisecond), w.now.Wall+200
		w.step(Tick{})
		for _, move := range []func(){w.dial, w.delivered, w.answer, w.prepared, w.recorded, w.end, w.collected, w.kept, w.shipped, w.ack, w.promote} {
			move()
		}
	}
}

// promote is the server's: a prefetched attempt whose place never came gets one.
func (w *world) promote() {
	if !w.welcome {
		return
	}
	for _, f := range w.order {
		if a := w.m.attempts[f]; a != nil && a.phase == waiting && !a.urgent && w.m.running == 0 {
			w.receive(link.ToWorker{Assign: &link.Assign{Attempts: []link.Assignment{{Fence: f, SpecHash: testHash()}}}})
			return
		}
	}
}

func (w *world) leftovers() string {
	s := ""
	for a := w.m.first; a != nil; a = a.next {
		s += fmt.Sprintf("%d phase %d busy %v, known as %+v\n", a.fence, a.phase, a.busy, *w.known[a.fence])
	}
	return s
}

// TestProperties: whatever happens in whatever order, no attempt starts twice or
// after its lease, deadlines move only with answered beats, there are never more
// attempts than slots nor two messages on their way, and each accepted attempt is
// reported until acknowledged, and then forgotten, once.
func TestProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		w.step(Begin{})
		moves := w.moves()
		for range rapid.IntRange(1, 120).Draw(t, "steps") {
			moves[rapid.IntRange(0, len(moves)-1).Draw(t, "move")]()
		}
		w.settle()
		for _, f := range w.order {
			a := w.known[f]
			ok := a.acked || a.unwanted || a.returned || a.expired
			if !ok || a.forgotten != 1 {
				t.Fatalf("attempt %d ended as %+v", f, *a)
			}
		}
		if len(w.m.queues) != 0 || w.m.running != 0 || w.m.used != (job.Resources{}) || w.m.urgent.len() != 0 || w.m.parked.len() != 0 {
			t.Fatalf("places leak: %d queues, %d running, %+v used", len(w.m.queues), w.m.running, w.m.used)
		}
	})
}

// TestLeaveAlwaysEnds: an agent told to leave is gone within bounds, whatever the
// world does.
func TestLeaveAlwaysEnds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		w.step(Begin{})
		moves := w.moves()
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			moves[rapid.IntRange(0, len(moves)-1).Draw(t, "move")]()
		}
		for a := w.m.first; a != nil; a = a.next {
			w.known[a.fence].returned = w.known[a.fence].returned || a.phase < running
		}
		w.step(Leave{})
		limit := w.now.Boot.Add(time.Minute)
		for !w.quit {
			if w.now.Boot > limit {
				t.Fatalf("it has not left after a minute: %s", w.leftovers())
			}
			before := w.next
			moves[rapid.IntRange(0, len(moves)-1).Draw(t, "move")]()
			for f := before; f < w.next; f++ {
				w.known[f].returned = true
			}
			w.now.Boot = w.now.Boot.Add(100 * time.Millisecond)
			w.step(Tick{})
		}
	})
}
