package session

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/jobfile"
	"github.com/reeve-scheduler/reeve/internal/link"
)

var update = flag.Bool("update", false, "write what the sessions do into the scenarios")

// TestScenarios runs the files in testdata. A file is blocks of commands, each followed
// by ---- and what came of them: the messages and commands of the sessions, and what
// the core, which is the real one, decided on them.
//
//	hello W [inc= slots= prefetch= held=F:PHASE,... protocol= instance=]
//	beat W NUMBER [held=F:PHASE,...] | report W [started=F,...] [ended=F[:fail],...] [returned=F,...]
//	leaving W | close W | silent W 14s
//	submit JOBFILE, its lines parted by semicolons | cancel JOB | deaf W (what the leader has for it is lost) | hears W
//
// F is a fence, PHASE waiting, running or ended.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got := runScenario(t, string(text))
			if *update {
				if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := gocmp.Diff(string(text), got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		})
	}
}

func runScenario(t *testing.T, text string) string {
	t.Helper()
	w := newWorld(t)
	var whole strings.Builder
	for i, block := range strings.Split(strings.TrimRight(text, "\n"), "\n\n") {
		if i > 0 {
			whole.WriteString("\n")
		}
		commands, _, _ := strings.Cut(block, "\n----")
		whole.WriteString(commands + "\n")
		w.out.Reset()
		found := false
		for line := range strings.SplitSeq(commands, "\n") {
			if line != "" && !strings.HasPrefix(line, "#") {
				found = true
				w.run(line)
			}
		}
		if found {
			whole.WriteString("----\n" + w.out.String())
		}
	}
	return whole.String()
}

// world is a leader's core and the sessions of its workers.
type world struct {
	t     *testing.T
	state *core.State
	now   int64
	seq   uint64
	peers map[string]*peer
	ids   map[uint64]*peer
	refs  map[link.Fence]string
	out   strings.Builder
}

// peer is a worker's session.
type peer struct {
	name string
	m    *Machine
	deaf bool
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		t: t, state: core.New(core.Config{Lease: 12_000}), now: 1_000_000,
		peers: map[string]*peer{}, ids: map[uint64]*peer{}, refs: map[link.Fence]string{},
	}
	w.apply(core.Decision{Events: w.state.Begin(w.now, 1, 1)})
	return w
}

func (w *world) say(format string, args ...any) { fmt.Fprintf(&w.out, format+"\n", args...) }

// args is a command's words and key=value pairs.
type args struct {
	words []string
	pairs map[string]string
}

func parse(line string) args {
	a := args{pairs: map[string]string{}}
	for f := range strings.FieldsSeq(line) {
		if k, v, ok := strings.Cut(f, "="); ok {
			a.pairs[k] = v
		} else {
			a.words = append(a.words, f)
		}
	}
	return a
}

func (w *world) number(s string, otherwise int) int {
	if s == "" {
		return otherwise
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

// list reads F:WORD,F:WORD.
func (w *world) list(s string) (out []pair) {
	for part := range strings.SplitSeq(s, ",") {
		if part != "" {
			f, word, _ := strings.Cut(part, ":")
			out = append(out, pair{link.Fence(w.number(f, 0)), word})
		}
	}
	return out
}

type pair struct {
	fence link.Fence
	word  string
}

func (w *world) held(s string) (out []link.Held) {
	phases := map[string]link.Phase{"waiting": link.Waiting, "running": link.Running, "ended": link.Ended}
	for _, p := range w.list(s) {
		out = append(out, link.Held{Fence: p.fence, Phase: phases[p.word]})
	}
	return out
}

func (w *world) run(line string) {
	name, rest, _ := strings.Cut(line, " ")
	a := parse(rest)
	switch name {
	case "submit":
		w.submit(rest)
		return
	case "cancel":
		w.decide(core.Cancel{Job: job.ID(w.number(a.words[0], 0)), Task: core.NoTask, By: "anna"})
		return
	case "hello":
		w.hello(a)
		return
	}
	p := w.peers[a.words[0]]
	switch name {
	case "deaf", "hears":
		p.deaf = name == "deaf"
	case "beat":
		beat := link.Beat{Number: uint64(w.number(a.words[1], 0)), Held: w.held(a.pairs["held"])}
		w.step(p, Event{From: &link.FromWorker{Beat: &beat}})
	case "report":
		w.step(p, Event{From: &link.FromWorker{Report: w.report(a)}})
	case "leaving":
		w.step(p, Event{From: &link.FromWorker{Leaving: true}})
	case "close":
		w.step(p, Event{Closed: true})
	case "silent":
		d, err := job.ParseDuration(a.words[1])
		if err != nil {
			w.t.Fatal(err)
		}
		w.now += d.Milliseconds()
		w.decide(core.WorkerSilent{Worker: p.m.id, For: d.Milliseconds()})
	default:
		w.t.Fatalf("unknown command %q", line)
	}
}

func (w *world) report(a args) *link.Report {
	r := &link.Report{}
	for _, p := range w.list(a.pairs["started"]) {
		r.Started = append(r.Started, link.Started{Fence: p.fence, At: w.now})
	}
	for _, p := range w.list(a.pairs["ended"]) {
		result := link.Result{Fence: p.fence, Started: w.now, Ended: w.now}
		if p.word == "fail" {
			result.Cause = job.Cause{Kind: job.CauseExit, Code: 1}
		}
		r.Ended = append(r.Ended, result)
	}
	for _, p := range w.list(a.pairs["returned"]) {
		r.Returned = append(r.Returned, p.fence)
	}
	return r
}

// hello opens a session; the one before of the same worker hears nothing more.
func (w *world) hello(a args) {
	name := a.words[0]
	p := &peer{name: name, m: NewMachine(12 * time.Second)}
	w.peers[name] = p
	w.step(p, Event{From: &link.FromWorker{Hello: &link.Hello{
		Protocol: uint32(w.number(a.pairs["protocol"], link.Protocol)), Name: name, Instance: cmp.Or(a.pairs["instance"], name),
		Incarnation: uint64(w.number(a.pairs["inc"], 1)), Slots: w.number(a.pairs["slots"], 1), Prefetch: w.number(a.pairs["prefetch"], 0),
		Capacity: job.Resources{CPU: 64_000, Memory: 64 << 30}, Executors: []string{"process"}, Held: w.held(a.pairs["held"]),
	}}})
}

func (w *world) submit(text string) {
	file, err := jobfile.Parse("", []byte(strings.ReplaceAll(text, "; ", "\n")))
	if err != nil {
		w.t.Fatal(err)
	}
	w.decide(core.Submit{
		Namespace: core.DefaultName, Spec: file.Spec, Hash: file.Hash, Canonical: file.Canonical, By: "anna",
		Items: []core.Item{{Params: []byte("{}")}}, ReadSeq: w.state.Seq(),
	})
}

// step lets something happen to a session and carries out what it asks for.
func (w *world) step(p *peer, e Event) {
	for _, a := range p.m.Step(Position{Generation: 1, Seq: w.seq}, e) {
		switch {
		case a.Send != nil:
			w.say("%s < %s", p.name, w.message(a.Send))
		case a.Close != "":
			w.say("%s closed: %s", p.name, a.Close)
		case a.Heard != 0:
		default:
			w.do(p, a.Do)
		}
	}
}

func (w *world) do(p *peer, c core.Command) {
	reply, err := w.decideOnly(c)
	if _, ok := c.(core.WorkerHello); ok && err != nil {
		w.step(p, Event{JoinErr: errors.New(Refused(err))})
		return
	} else if err != nil {
		w.say("refused %T: %v", c, err)
		return
	}
	if joined, ok := reply.reply.(core.Welcomed); ok {
		w.step(p, Event{Joined: &joined})
		w.ids[joined.Worker] = p
	}
	w.mail(reply.sends)
}

func (w *world) decide(c core.Command) {
	d, err := w.decideOnly(c)
	if err != nil {
		w.say("refused %T: %v", c, err)
	}
	w.mail(d.sends)
}

// decision is what a command led to.
type decision struct {
	reply any
	sends []core.Send
}

func (w *world) decideOnly(c core.Command) (decision, error) {
	d, err := w.state.Decide(core.Input{Now: w.now}, c)
	if err != nil {
		return decision{}, err
	}
	return decision{d.Reply, w.apply(d)}, nil
}

// apply makes one durable batch of a decision and all that follows.
func (w *world) apply(d core.Decision) (sends []core.Send) {
	for more := true; more; d, more = w.state.Follow(w.now) {
		for _, e := range d.Events {
			w.note(e)
			w.state.Apply(e)
		}
		sends = append(sends, d.Sends...)
	}
	d = w.state.Place(w.now, 100)
	for _, e := range d.Events {
		w.note(e)
	}
	w.seq++
	w.state.Batch(w.seq)
	return append(sends, d.Sends...)
}

// note says what became of an attempt.
func (w *world) note(e core.Event) {
	switch e := e.(type) {
	case core.AttemptStarted:
		w.say("  %d started", e.Fence)
	case core.AttemptEnded:
		why := ""
		if e.Cause.Kind != job.CauseNone {
			why = " (" + e.Cause.String() + ")"
		}
		w.say("  %d ended%s: %s", e.Fence, why, e.Next)
	case core.AttemptReturned:
		w.say("  %d returned", e.Fence)
	case core.WorkerAway:
		w.say("  worker %d away", e.ID)
	case core.WorkerUnfit:
		w.say("  worker %d unfit: %q", e.ID, e.Why)
	case core.WorkerForgotten:
		w.say("  worker %d forgotten", e.ID)
	}
}

// mail hands messages to the sessions that are there to take them.
func (w *world) mail(sends []core.Send) {
	for _, s := range sends {
		msg := s.Msg
		if s.Assign != nil {
			msg.Assign = &link.Assign{Attempts: w.state.Assignments(s.Assign)}
			for i := range msg.Assign.Attempts {
				h := msg.Assign.Attempts[i].SpecHash
				msg.Assign.Specs = append(msg.Assign.Specs, link.SpecText{Hash: h, Canonical: w.state.Canonical(h)})
			}
		}
		p := w.ids[s.Worker]
		switch {
		case p == nil:
			w.say("nobody < %s", w.message(&msg))
		case p.deaf:
			w.say("%s < %s: lost", p.name, w.message(&msg))
		default:
			w.step(p, Event{Out: []link.ToWorker{msg}})
		}
	}
}

// message spells what a worker is told.
func (w *world) message(m *link.ToWorker) string {
	switch {
	case m.Welcome != nil:
		return fmt.Sprintf("welcome as %d at %d, beat every %s", m.Welcome.WorkerID, m.Welcome.Seq, m.Welcome.Beat)
	case m.Beat != nil:
		return fmt.Sprintf("beat %d answered at %d", m.Beat.Number, m.Beat.Seq)
	case m.Assign != nil:
		var parts []string
		for i := range m.Assign.Attempts {
			a := &m.Assign.Attempts[i]
			text := fmt.Sprintf("%d (job %d, attempt %d)", a.Fence, a.Job, a.Attempt)
			if a.Prefetched {
				text += " ahead"
			}
			parts = append(parts, text)
		}
		return fmt.Sprintf("assign %s with %d specs", strings.Join(parts, ", "), len(m.Assign.Specs))
	case m.Stop != nil && m.Stop.Forget:
		return fmt.Sprintf("forget %d", m.Stop.Fence)
	case m.Stop != nil:
		return fmt.Sprintf("stop %d within %s (%s)", m.Stop.Fence, m.Stop.Grace, m.Stop.Cause)
	case m.Recall != nil:
		return fmt.Sprintf("recall %d", m.Recall)
	case m.Ack != nil:
		return fmt.Sprintf("ack %d", m.Ack)
	}
	return "goodbye: " + m.Goodbye
}
