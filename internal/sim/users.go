package sim

import (
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/element"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/record"
)

// users is everybody who asks the server for something, and what they were told.
type users struct {
	w     *world
	meant map[core.Hash]*job.Spec
	open  int // calls without an answer
	// keys is what each idempotency key stands for: its file, and the job once told.
	keys   map[string]*keyed
	order  []string
	acked  []job.ID
	told   map[job.ID]core.JobImage
	toldAt map[job.ID]uint64 // the last batch by then
	// era counts how often history was lost.
	era     int
	sent    map[core.UID]bool // the items of all submits
	drained map[string]bool
	// probes are jobs, one for each worker, that show that it is of use after all.
	probing bool
	probes  int
}

type keyed struct {
	text string
	id   job.ID
}

// call is one request of a user.
type call struct {
	what    string
	lane    int
	command func(*server) core.Command
	view    func(*server, *core.State)
	// era is the users' when it was asked.
	era   int
	asked uint64 // the last batch by then
	// leaves judges the answer at the moment at which it leaves the server.
	leaves func(reply any, err error)
	heard  func(reply any, err error)
	over   bool
}

var errLost = errors.New("no answer came")

// patience is how long a user waits for an answer.
const patience = 10 * time.Second

func newUsers(w *world) *users {
	return &users{w: w, meant: map[core.Hash]*job.Spec{}, keys: map[string]*keyed{}, told: map[job.ID]core.JobImage{}, toldAt: map[job.ID]uint64{}, sent: map[core.UID]bool{}, drained: map[string]bool{}}
}

// String says what users still wait for.
func (u *users) String() string {
	return fmt.Sprintf("users: %d calls open, probing %v", u.open, u.probing)
}

// original is a spec as its user meant it.
func (u *users) original(h core.Hash, canonical []byte) *job.Spec {
	if s := u.meant[h]; s != nil {
		return s
	}
	s, err := u.w.readSpec(canonical)
	if err != nil {
		u.w.fail(Codec, "spec %x: %v", h, err)
	}
	return s
}

// ask makes a call: its request may not arrive, and its answer may get lost.
func (u *users) ask(c *call) {
	w := u.w
	u.open++
	c.era, c.asked = u.era, w.past.batches
	settle := func(reply any, err error) {
		if !c.over {
			c.over = true
			u.open--
			c.heard(reply, err)
		}
	}
	var call func(s *server)
	call = func(s *server) {
		at := s.reach(c.view != nil)
		switch {
		case at != nil:
			u.carry(c, at, settle)
		case w.several() && s.up && s.stalled <= w.now && !c.over: // it is held until somebody leads
			s.proc(100*time.Millisecond, func() { call(s) })
		}
	}
	w.after(w.latency(), func() { call(w.some()) })
	w.after(patience, func() { settle(nil, errLost) })
}

// carry has a server decide or show what is asked.
func (u *users) carry(c *call, s *server, settle func(any, error)) {
	w := u.w
	w.trace("%s is asked: %s", s.name, c.what)
	done := func(reply any, err error) {
		if u.era != c.era || s.ready && s.life == s.astray { // it speaks of what is lost by now
			return
		}
		if c.leaves != nil {
			w.past.asked = c.asked
			c.leaves(reply, err)
		}
		if w.chance(w.faults.forgetful) {
			w.count("answer gets lost")
			return
		}
		w.after(w.latency(), func() {
			if u.era == c.era {
				settle(reply, err)
			}
		})
	}
	if c.view != nil {
		u.show(c, s, done)
		return
	}
	put := func(x core.Command) { s.put(c.lane, &request{command: x, done: done}) }
	s.after(w.between(0, 20*time.Millisecond), func() {
		x := c.command(s)
		submit, ok := x.(core.Submit)
		if !ok {
			put(x)
			return
		}
		s.facts(submit, func(x core.Command) {
			if submit, ok := x.(core.Submit); ok {
				s.dawdle(submit, put)
				return
			}
			put(nil)
		})
	})
}

// show has a server show its state, which follows or leads.
func (u *users) show(c *call, s *server, done func(any, error)) {
	d := u.w.between(0, 20*time.Millisecond)
	if s.part.follows {
		s.proc(d, func() {
			if s.part.follows && (u.w.opt.Bug == BugNoReadIndex || s.catchUp()) {
				u.w.count("follower is read")
				c.view(s, s.part.copy.State)
				done(nil, nil)
			}
		})
		return
	}
	s.after(d, func() {
		s.put(c.lane, &request{view: func(state *core.State) { c.view(s, state) }, done: done})
	})
}

// begin makes what must be there, and has users do things until the world is healed.
func (u *users) begin() {
	u.until("raise the format", laneControl, func(*server) core.Command { return core.RaiseFormat{To: core.FormatLimits, By: "anna"} })
	u.until("make a queue", laneControl, func(*server) core.Command {
		return core.PutQueue{Namespace: core.DefaultName, Name: "night", Create: true}
	})
	u.until("raise the format", laneControl, func(*server) core.Command { return core.RaiseFormat{To: record.Newest, By: "anna"} })
	clients := 1 + u.w.rnd.IntN(4)
	for range clients {
		var act func()
		act = func() {
			if u.w.healed {
				return
			}
			u.act()
			u.w.after(u.w.between(10*time.Millisecond, time.Duration(3+clients)*time.Second), act)
		}
		u.w.after(2*time.Second, act)
	}
	for range 2 {
		u.w.watch()
	}
}

// until repeats a command until it is done, or refused for good.
func (u *users) until(what string, lane int, command func(*server) core.Command) {
	u.ask(&call{what: what, lane: lane, command: command, heard: func(_ any, err error) {
		if errors.Is(err, errLost) {
			u.until(what, lane, command)
		}
	}})
}

func (u *users) act() {
	w := u.w
	switch k := w.rnd.IntN(20); {
	case k < 10 || len(u.acked) == 0:
		u.submitSome()
	case k < 12:
		u.cancelSome()
	case k < 14:
		u.holdSome()
	case k == 14:
		u.retrySome()
	case k == 15:
		u.pauseSome()
	case k == 16:
		u.drainSome()
	case k == 17:
		u.explainAll()
	case k == 18 && w.oneIn(2):
		u.overcommitSome()
	case k == 18 && w.oneIn(4):
		u.reserveSome()
	case k == 18 && w.oneIn(3):
		u.limitSome()
	case k == 18:
		u.updateSome()
	default:
		u.lookAt(u.some())
	}
}

func (u *users) some() job.ID { return u.acked[u.w.rnd.IntN(len(u.acked))] }

func (u *users) submitSome() {
	w := u.w
	var after []job.ID
	if len(u.acked) > 0 && w.oneIn(4) {
		after = append(after, u.some())
	}
	text := w.makeFile(after)
	key := ""
	switch w.rnd.IntN(6) {
	case 0, 1:
		key = fmt.Sprintf("key-%d", len(u.order))
		u.order = append(u.order, key)
		u.keys[key] = &keyed{text: text}
	case 2:
		if len(u.order) > 0 { // the same again, or something else under an old key
			key = u.order[w.rnd.IntN(len(u.order))]
			if !w.oneIn(4) {
				text = u.keys[key].text
			}
			w.count("submit is repeated")
		}
	}
	u.submit(text, key, w.oneIn(8))
}

// submit asks for a job; with a key it is asked for until an answer comes.
func (u *users) submit(text, key string, held bool) {
	w := u.w
	s := u.parse(text)
	s.held, s.item.Key = held, key
	if w.opt.Bug == BugForgetKeys {
		s.item.Key = ""
	}
	if key == "" {
		s.times = pick(w, 1, 1, 1, 3)
	}
	var ask func()
	ask = func() {
		u.ask(&call{
			what: "submit", lane: laneSubmit, command: s.command,
			leaves: func(reply any, err error) { u.submittedTo(reply, err, key, text) },
			heard: func(reply any, err error) {
				switch {
				case err == nil:
					u.accepted(reply)
				case job.CodeOf(err) == job.Stale, (errors.Is(err, errLost) || job.CodeOf(err) == job.Unavailable) && key != "":
					w.count("submit is repeated")
					w.after(w.between(0, time.Second), ask)
				}
			},
		})
	}
	ask()
}

// accepted notes jobs whose acknowledgement was heard.
func (u *users) accepted(reply any) {
	for _, r := range reply.([]core.Submitted) {
		u.acked = append(u.acked, r.ID)
	}
}

// command is the submit, of items that nobody has sent before.
func (s *submission) command(srv *server) core.Command {
	c := core.Submit{Namespace: core.DefaultName, Spec: s.spec, Hash: s.hash, Canonical: s.canonical, By: "anna", Held: s.held}
	item := s.item
	item.Params, item.Body = []byte("{}"), bodyOf(s.canonical)
	for range s.times {
		for i := range item.UID {
			item.UID[i] = byte(srv.w.rnd.Uint32())
		}
		srv.w.users.sent[item.UID] = true
		item.Payload = payloadOf(item.UID)
		c.Items = append(c.Items, item)
	}
	return c
}

// payloadOf is the payload of a job, by its uid: most have one.
func payloadOf(uid core.UID) []byte {
	if uid[0]%4 == 0 {
		return nil
	}
	return fmt.Appendf(nil, "payload of %s", uid)
}

func bodyOf(canonical []byte) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(canonical)
	return h.Sum64()
}

// submittedTo judges the answer to a submit.
func (u *users) submittedTo(reply any, err error, key, text string) {
	w := u.w
	if err != nil && u.refusedBy(err) {
		return
	}
	if err != nil {
		k := u.keys[key]
		switch job.CodeOf(err) {
		case job.Exists:
			if k == nil || k.id != 0 && k.text == text {
				w.fail(OneJob, "key %q is refused for the body that it stands for: %v", key, err)
			}
		case job.Stale:
			w.count("facts are too old")
		case job.NotFound, job.Unavailable:
		case job.Refused: // it has a key, and the cluster's format has no place for that yet
			if !strings.Contains(err.Error(), "format") || !strings.Contains(text, "concurrency") {
				w.fail(NoPanic, "submit: %v\n%s", err, text)
			}
		default:
			w.fail(NoPanic, "submit: %v\n%s", err, text)
		}
		return
	}
	for _, r := range reply.([]core.Submitted) {
		w.trace("submitted job %d, key %q", r.ID, key)
		if w.past.jobs[r.ID] == nil {
			w.fail(Durable, "job %d is acknowledged and not durable", r.ID)
		}
	}
	k := u.keys[key]
	if k == nil {
		return
	}
	id := reply.([]core.Submitted)[0].ID
	if k.text != text && k.id != 0 || k.id != 0 && k.id != id {
		w.fail(OneJob, "key %q stands for job %d and for job %d", key, k.id, id)
	}
	k.id, k.text = id, text
}

// submitted hears from the journal of a job, whether or not anybody was told.
func (u *users) submitted(e core.JobSubmitted) {
	if e.Key == "" {
		return
	}
	for _, j := range slices.Sorted(maps.Keys(u.w.past.jobs)) {
		if j != e.ID && u.w.past.jobs[j].key == e.Key {
			u.w.fail(OneJob, "key %q stands for job %d and for job %d", e.Key, j, e.ID)
		}
	}
}

func (u *users) cancelSome() {
	w := u.w
	id := u.some()
	c := core.Cancel{Job: id, Task: core.NoTask, Kill: w.oneIn(3), By: "anna"}
	if j := w.past.jobs[id]; w.oneIn(2) {
		c.Task = uint32(w.rnd.IntN(len(j.tasks)))
		if n := j.tasks[c.Task].n; n > 1 && w.oneIn(2) {
			first := w.rnd.Int64N(n)
			c.Spans = []element.Span{{First: first, Last: first + w.rnd.Int64N(n-first)}}
		}
	}
	u.ask(&call{
		what: "cancel", lane: laneControl, command: func(*server) core.Command { return c }, heard: func(any, error) {},
		leaves: func(_ any, err error) {
			if err == nil {
				w.past.judgeCancel(c)
			}
		},
	})
}

func (u *users) holdSome() {
	w := u.w
	h := core.Hold{Job: u.some(), Task: core.NoTask, Held: w.oneIn(2)}
	if w.oneIn(2) {
		h.Task = uint32(w.rnd.IntN(len(w.past.jobs[h.Job].tasks)))
	}
	u.ask(&call{
		what: "hold", lane: laneControl, command: func(*server) core.Command { return h }, heard: func(any, error) {},
		leaves: func(_ any, err error) {
			if err == nil {
				w.past.judgeHold(h)
			}
		},
	})
}

func (u *users) pauseSome() {
	paused := u.w.oneIn(2)
	name := pick(u.w, "night", core.DefaultName)
	c, at := core.Command(core.PutQueue{Namespace: core.DefaultName, Name: name, Paused: new(paused)}), core.DefaultName+"/"+name
	if u.w.oneIn(3) {
		c, at = core.PutNamespace{Name: core.DefaultName, Paused: new(paused)}, core.DefaultName
	}
	u.ask(&call{
		what: "pause", lane: laneControl, command: func(*server) core.Command { return c }, heard: func(any, error) {},
		leaves: func(_ any, err error) {
			if err == nil && paused {
				u.w.past.judgePause(at)
			}
		},
	})
}

func (u *users) drainSome() {
	n := u.w.nodes[u.w.rnd.IntN(len(u.w.nodes))].name
	draining := u.w.oneIn(2)
	if draining {
		u.drained[n] = true
	}
	d := core.Drain{Worker: n, Draining: draining, Stop: draining && u.w.oneIn(2), By: "anna"}
	u.ask(&call{what: "drain", lane: laneControl, command: func(*server) core.Command { return d }, heard: func(any, error) {}})
}
