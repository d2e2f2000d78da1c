package core

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/jobfile"
	"github.com/reeve-scheduler/reeve/internal/link"
	"github.com/reeve-scheduler/reeve/internal/predict"
)

// lab is a leader, its journal, its tables and its workers in one value: what the
// tests of this package drive. Each event is checked as it is applied.
type lab struct {
	s        *State
	config   Config
	now      int64
	seed     uint64
	fail     func(format string, args ...any)
	forming  []Event
	journal  [][]Event // by sequence - 1
	tables   tables
	copied   *State  // what a server that only follows has
	flushing *tables // what the flush under way has written so far
	workers  map[string]*hand
	names    []string
	// shrunk is the workers that may have come back with less than what runs there takes.
	shrunk map[string]bool
	refs   map[link.Fence]job.Ref
	judge  judge
	// script repeats what was done since the beginning, up to the first fail-over;
	// recorded is how many batches that made.
	script    []func(*lab)
	recording bool
	recorded  int
	// note hears of each event before it is applied, and of each message.
	note func(any)
}

// began is the lab's clock at the beginning, in Unix milliseconds.
const began = 1_000_000

// labKeys is how many keys a lab's states learn of: few, so that they forget.
const labKeys = 3

func newState(config Config) *State {
	s := New(config)
	s.learned = predict.New(labKeys)
	return s
}

func newLab(fail func(string, ...any)) *lab {
	config := Config{Lease: 60_000, Retention: 3600_000}
	l := &lab{
		s: newState(config), config: config, now: began, fail: fail,
		workers: map[string]*hand{}, shrunk: map[string]bool{}, refs: map[link.Fence]job.Ref{}, note: func(any) {},
	}
	l.carryOut(Decision{Events: l.s.Begin(l.now, 1, 1)})
	l.close()
	return l
}

// hand is a worker as it sees itself.
type hand struct {
	id uint64
	// session is what the leader calls its last one.
	session uint64
	hello   link.Hello
	up      bool
	held    []*grip
}

// grip is an attempt that a worker holds.
type grip struct {
	fence      link.Fence
	phase      link.Phase
	prefetched bool
	recalled   bool
	stop       *link.Stop
	started    int64
	result     link.Result
}

func (h *hand) grip(f link.Fence) *grip {
	for _, g := range h.held {
		if g.fence == f {
			return g
		}
	}
	return nil
}

func (h *hand) drop(f link.Fence) {
	h.held = slices.DeleteFunc(h.held, func(g *grip) bool { return g.fence == f })
}

func (h *hand) list() (out []link.Held) {
	for _, g := range h.held {
		out = append(out, link.Held{Fence: g.fence, Phase: g.phase})
	}
	return out
}

// record adds to the script.
func (l *lab) record(step func(*lab)) {
	if now, seed := l.now, l.seed; l.recording {
		l.script = append(l.script, func(again *lab) {
			again.now, again.seed = now, seed
			step(again)
		})
	}
}

// do decides a command and carries it out, as a leader's turn does.
func (l *lab) do(c Command) (any, error) {
	l.record(func(again *lab) { _, _ = again.do(c) })
	before := l.s.fingerprint()
	d, err := l.s.Decide(Input{Now: l.now, Seed: l.seed}, c)
	l.seed++
	if after := l.s.fingerprint(); before != after {
		l.fail("Decide(%T) changed the state:\n%s\n%s", c, before, after)
	}
	if err != nil {
		if len(d.Events)+len(d.Sends) > 0 {
			l.fail("Decide(%T) both failed and decided: %v", c, err)
		}
		return nil, err
	}
	l.carryOut(d)
	return d.Reply, nil
}

func (l *lab) carryOut(d Decision) {
	for more := true; more; d, more = l.s.Follow(l.now) {
		for _, e := range d.Events {
			l.note(e)
			l.judge.about(l, e)
			l.s.Apply(e)
			l.judge.applied(l, e)
			l.forming = append(l.forming, e)
		}
		l.deliver(d.Sends)
	}
}

// place gives out what fits.
func (l *lab) place() {
	l.record((*lab).place)
	for {
		d := l.s.Place(l.now, 1) // one by one, to judge each
		for _, e := range d.Events {
			if a, ok := e.(AttemptAssigned); ok {
				l.refs[a.Fence] = l.s.refOf(l.s.attempts[a.Fence])
			}
			l.note(e)
			l.judge.applied(l, e)
			l.forming = append(l.forming, e)
		}
		l.deliver(d.Sends)
		if l.s.Unsettled() {
			l.carryOut(Decision{})
		}
		if len(d.Events) == 0 {
			return
		}
	}
}

// close ends the batch, and with it the turn.
func (l *lab) close() {
	l.record((*lab).close)
	if len(l.forming) > 0 {
		l.journal = append(l.journal, l.forming)
		l.forming = nil
		l.s.Batch(uint64(len(l.journal)))
	}
	if l.recording {
		l.recorded = len(l.journal)
	}
	l.judge.settled(l)
}

// turn is do, place and close.
func (l *lab) turn(c Command) (any, error) {
	reply, err := l.do(c)
	l.place()
	l.close()
	return reply, err
}

// deliver hands messages to the workers that are there to hear them.
func (l *lab) deliver(sends []Send) {
	for _, s := range sends {
		msg := s.Msg
		if s.Assign != nil {
			msg.Assign = &link.Assign{Attempts: l.s.Assignments(s.Assign)}
		}
		w := l.workerByID(s.Worker)
		if w == nil || !w.up {
			continue
		}
		l.note(toHand{w, msg})
		w.hear(msg)
	}
}

// toHand is a message for a worker that hears it.
type toHand struct {
	hand *hand
	msg  link.ToWorker
}

func (l *lab) workerByID(id uint64) *hand {
	for _, name := range l.names {
		if w := l.workers[name]; w.id == id {
			return w
		}
	}
	return nil
}

func (h *hand) hear(msg link.ToWorker) {
	if msg.Assign != nil {
		for _, a := range msg.Assign.Attempts {
			if h.grip(a.Fence) == nil {
				h.held = append(h.held, &grip{fence: a.Fence, phase: link.Waiting, prefetched: a.Prefetched})
			}
		}
	}
	if msg.Stop != nil {
		if g := h.grip(msg.Stop.Fence); g != nil {
			g.stop = msg.Stop
		}
		if msg.Stop.Forget {
			h.drop(msg.Stop.Fence)
		}
	}
	for _, f := range msg.Recall {
		if g := h.grip(f); g != nil {
			g.recalled = true
		}
	}
	for _, f := range msg.Ack {
		h.drop(f)
	}
}

// join makes a worker known, or begins another session of it.
func (l *lab) join(h link.Hello) error {
	w := l.workers[h.Name]
	if w == nil {
		w = &hand{}
		l.workers[h.Name] = w
		l.names = append(l.names, h.Name)
	}
	h.Greeting = w.hello.Greeting + 1
	w.hello, w.up = h, true
	h.Held = w.list()
	reply, err := l.do(WorkerHello{Hello: h})
	if err != nil {
		w.up = false
		return err
	}
	w.id, w.session = reply.(Welcomed).Worker, reply.(Welcomed).Session
	// The leader compares what is held once more, with the hello applied: messages
	// that went out before the worker's id was known are sent again.
	if _, err = l.do(WorkerHeld{Worker: w.id, Session: w.session, Held: w.list()}); err != nil {
		return err
	}
	l.place()
	l.close()
	for _, g := range slices.Clone(w.held) {
		if g.phase == link.Ended { // results are repeated until they are acknowledged
			l.report(w, link.Report{Ended: []link.Result{g.result}})
		}
	}
	return nil
}

func (l *lab) begin(w *hand, g *grip) {
	g.phase, g.started = link.Running, l.now
	l.report(w, link.Report{Started: []link.Started{{Fence: g.fence, At: l.now}}})
}

func (l *lab) finish(w *hand, g *grip, r link.Result) {
	r.Fence, r.Ended = g.fence, l.now
	if g.phase == link.Running {
		r.Started = cmp.Or(g.started, l.now-1)
	}
	g.phase, g.result = link.Ended, r
	l.report(w, link.Report{Ended: []link.Result{r}})
}

func (l *lab) report(w *hand, r link.Report) {
	if !w.up {
		return
	}
	if _, err := l.turn(WorkerReport{Worker: w.id, Session: w.session, Report: r}); err != nil {
		l.fail("a report was refused: %v", err)
	}
}

// submit submits a job file, one job per item.
func (l *lab) submit(text string, change func(*Submit)) ([]Submitted, error) {
	c, err := l.asks(text, change)
	if err != nil {
		return nil, err
	}
	reply, err := l.turn(c)
	if err != nil {
		return nil, err
	}
	return reply.([]Submitted), nil
}

// asks is the command that submits a job file, one job per item.
func (l *lab) asks(text string, change func(*Submit)) (Submit, error) {
	file, err := jobfile.Parse("", []byte(text))
	if err != nil {
		return Submit{}, err
	}
	params, err := jobfile.BindParams(file.Spec, nil)
	if err != nil {
		return Submit{}, err
	}
	c := Submit{
		Namespace: cmp.Or(file.Namespace, DefaultName), Spec: file.Spec, Hash: file.Hash, Canonical: file.Canonical, By: "anna",
		Items: []Item{{Params: params, Body: uint64(file.Hash[0])<<8 | uint64(file.Hash[1])}}, ReadSeq: l.s.Seq(),
	}
	if change != nil {
		change(&c)
	}
	for i := range c.Items {
		copy(c.Items[i].UID[:], fmt.Sprintf("%d.%d", l.seed, i))
		c.Items[i].Payload = payloadOf(c.Items[i].UID)
	}
	return c, nil
}

// payloadOf is the payload that a job is given: none, an empty one, one like others' or its own.
func payloadOf(uid UID) []byte {
	switch uid[0] % 8 {
	case 0:
		return nil
	case 1:
		return []byte{}
	case 2, 3:
		return []byte("the same")
	}
	return []byte("payload of " + uid.String())
}

// checkPayloads wants a state to know each job's payload, or that the tables have it.
func (l *lab) checkPayloads(s *State) {
	for j := range s.jobs.all {
		got, want := j.payload, payloadOf(j.uid)
		if j.away {
			if row, ok := l.tables.jobs[j.id]; !ok || got != nil {
				l.fail("the payload of job %d is away and %q; in the tables: %v", j.id, got, ok)
			} else {
				got = row.Payload
			}
		}
		if (got == nil) != (want == nil) || !bytes.Equal(got, want) {
			l.fail("job %d, away %v, has the payload %q, want %q", j.id, j.away, got, want)
		}
	}
}

// advance lets time pass and decides what has come due.
func (l *lab) advance(ms int64) {
	until := l.now + ms
	for {
		l.place() // what a rate holds back says when it may start
		l.close()
		at := l.s.NextTimer()
		if at == 0 || at > until {
			break
		}
		l.now = max(l.now, at)
		if _, err := l.turn(Tick{}); err != nil {
			l.fail("a tick was refused: %v", err)
		}
	}
	l.now = until
}

// flush writes what has changed into the tables: some of it, or all.
func (l *lab) flush(most int) {
	l.record(func(again *lab) { again.flush(most) })
	if l.flushing == nil {
		l.flushing = &tables{}
		l.flushing.seq = l.s.BeginFlush(l.flushing)
	}
	if l.s.Encode(most) {
		ended := l.tables.take(l.flushing)
		l.flushing = nil
		l.s.Flushed(l.now, ended)
		l.follow().Projected(l.now, l.tables.seq)
	}
}

func (l *lab) evict() {
	l.record((*lab).evict)
	l.s.Evict(l.now)
}

// follow brings the copy of a server that follows up to the journal's end.
func (l *lab) follow() *State {
	if l.copied == nil {
		l.copied = newState(l.config)
	}
	for seq := l.copied.Seq(); seq < uint64(len(l.journal)); seq++ {
		for _, e := range l.journal[seq] {
			l.copied.Apply(e)
		}
		l.copied.Batch(seq + 1)
		l.copied.Forget()
	}
	return l.copied
}

// recovered is what a server that starts now would have.
func (l *lab) recovered() *State {
	s, err := l.tables.load(l.config)
	if err != nil {
		l.fail("the tables can't be loaded: %v", err)
	}
	for seq := l.tables.seq; seq < uint64(len(l.journal)); seq++ {
		for _, e := range l.journal[seq] {
			s.Apply(e)
		}
		s.Batch(seq + 1)
		s.Forget()
	}
	return s
}

// cutOff carries a command out up to a number of its consequences; then the batch
// ends and another server takes over.
func (l *lab) cutOff(c Command, steps int) {
	d, err := l.s.Decide(Input{Now: l.now, Seed: l.seed}, c)
	l.seed++
	if err != nil {
		return
	}
	for more := true; more; steps-- {
		for _, e := range d.Events {
			l.note(e)
			l.judge.about(l, e)
			l.s.Apply(e)
			l.judge.applied(l, e)
			l.forming = append(l.forming, e)
		}
		l.deliver(d.Sends)
		if steps == 0 {
			break
		}
		d, more = l.s.Follow(l.now)
	}
	if len(l.forming) > 0 {
		l.journal = append(l.journal, l.forming)
		l.forming = nil
	}
	l.failOver()
}

// failOver puts a recovered state in the place of the leader's, or by turns that of a
// server which has followed: another server takes over, and the workers come back to it.
func (l *lab) failOver() {
	l.recording = false
	recovered, hot := l.recovered(), l.follow()
	if diff := gocmp.Diff(recovered.dumpAt(l.now), hot.dumpAt(l.now), byValue()); diff != "" {
		l.fail("a server that followed differs from one that starts now:\n%s", diff)
	}
	l.checkPayloads(hot)
	hot.Projected(l.now, l.tables.seq)
	hot.Evict(l.now)
	if l.s = recovered; l.s.Epoch()%2 == 1 {
		l.s, l.copied = hot, nil
	}
	l.flushing = nil
	l.carryOut(Decision{Events: l.s.Begin(l.now, l.s.Epoch()+1, l.s.Generation())})
	l.s.Recheck()
	l.carryOut(Decision{})
	l.place()
	l.close()
}
