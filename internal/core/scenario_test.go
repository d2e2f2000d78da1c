package core

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/element"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
)

var update = flag.Bool("update", false, "write the scenarios' output anew")

// TestScenarios runs each file of testdata. A file is blocks of commands, a line
// of dashes, and what they made happen: the form is that of etcd-io/raft's
// interaction tests. The first line of a block holds commands, parted by
// semicolons; what follows up to the dashes is the text of a job file.
//
//	submit [key= body= existing=JOB ended=JOB read=SEQ] [held] [retry=JOB] [n=COUNT]
//	worker NAME [slots= cpu= memory= prefetch= labels=a=b,c functions=f]
//	restart NAME | reconnect NAME | away NAME | leave NAME | silent NAME 70s
//	start REF... | end REF RESULT [outputs=JSON] | return REF
//	tick 10s | cancel REF [elements=0-3] [reason=WHY] | kill REF | hold REF | release REF
//	drain NAME [stop|off] | pause QUEUE | resume QUEUE | namespace NAME
//	format | queue NAME [limit=running/2+cpu/3] [rate=2/10s] [burst=3] [order=fair] [ageing=1h] | space NAME [limit=] [pending=] | let-go KEY REF
//	update JOB [priority=N] [queue=NAME] [front=yes|no]
//	reserve NAME workers=w1,w2|pool=P|where=LABEL [from=10s] [for=1h] [lead=1h] [queue=NAME] | unreserve NAME
//	limits | show JOB... | explain JOB | explain ELEMENT | outlook JOB | plan | workers | flush | fail-over
//
// Indented lines are messages that a worker hears. After each command what a
// server would recover from the tables and the journal is held against the state.
func TestScenarios(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got := runScenario(t, path, string(text))
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if diff := cmp.Diff(string(text), got); diff != "" {
				t.Errorf("%s (-file +now):\n%s", path, diff)
			}
		})
	}
}

type scenario struct {
	*lab
	out strings.Builder
}

func runScenario(t *testing.T, path, text string) string {
	t.Helper()
	line := 0
	var whole strings.Builder
	sc := &scenario{}
	sc.lab = newLab(func(format string, args ...any) {
		t.Helper()
		t.Fatalf("%s\n%s\n%s:%d: %s", whole.String(), sc.out.String(), path, line+1, fmt.Sprintf(format, args...))
	})
	sc.judge.deep = true
	sc.lab.note = func(x any) {
		switch x := x.(type) {
		case Event:
			fmt.Fprintln(&sc.out, sc.describe(x))
		case toHand:
			fmt.Fprintln(&sc.out, sc.tell(x))
		}
	}
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for line < len(lines) {
		if head := lines[line]; head == "" || strings.HasPrefix(head, "#") {
			whole.WriteString(head + "\n")
			line++
			continue
		}
		end := line + slices.Index(lines[line:], "----")
		if end < line {
			t.Fatalf("%s:%d: a block without a line of dashes", path, line+1)
		}
		input := lines[line:end]
		sc.out.Reset()
		for command := range strings.SplitSeq(input[0], ";") {
			sc.run(strings.Fields(command), strings.Join(input[1:], "\n"))
			sc.checkRecovery()
		}
		whole.WriteString(strings.Join(input, "\n") + "\n----\n" + sc.out.String())
		for line = end + 1; line < len(lines) && lines[line] != ""; line++ {
		}
	}
	return whole.String()
}

func (sc *scenario) checkRecovery() {
	if diff := cmp.Diff(sc.s.dumpAt(sc.now), sc.recovered().dumpAt(sc.now), byValue()); diff != "" {
		sc.fail("what would be recovered differs (-state +recovered):\n%s", diff)
	}
}

// byValue is how dumps are compared.
func byValue() cmp.Option { return cmp.AllowUnexported(timer{}) }

// run executes a command and prints what became of it.
func (sc *scenario) run(words []string, body string) {
	name, args := words[0], words[1:]
	opts := map[string]string{}
	var rest []string
	for _, w := range args {
		if key, value, ok := strings.Cut(w, "="); ok {
			opts[key] = value
		} else {
			rest = append(rest, w)
		}
	}
	var reply any
	var err error
	switch name {
	case "submit":
		reply, err = sc.submitFile(body, opts, rest)
	case "worker", "restart", "reconnect", "away", "leaving", "late", "leave", "silent", "start", "end", "return", "late-return", "outdated", "drain", "unfit", "fit", "late-unfit":
		reply, err = sc.runWorker(name, rest, opts)
	case "cancel", "kill", "hold", "release":
		reply, err = sc.runChange(name, rest[0], opts)
	case "reserve", "unreserve":
		reply, err = sc.runReserve(name, rest[0], opts)
	case "pause", "resume":
		_, err = sc.turn(PutQueue{Namespace: DefaultName, Name: rest[0], Paused: new(name == "pause")})
	case "namespace":
		_, err = sc.turn(PutNamespace{Name: rest[0], Create: true})
	case "format":
		_, err = sc.turn(RaiseFormat{To: FormatLimits})
	case "queue", "space":
		err = sc.runPolicy(name, rest[0], opts)
	case "update":
		reply, err = sc.turn(sc.update(rest[0], opts))
	case "let-go":
		var ref job.Ref
		if ref, err = job.ParseRef(rest[1]); err == nil {
			_, err = sc.turn(ReleaseSlot{Namespace: DefaultName, Key: rest[0], Holder: ref, By: "anna"})
		}
	case "tick":
		sc.advance(sc.duration(rest[0]))
	case "plan":
		sc.plan(body)
	default:
		sc.runLook(name, rest)
	}
	switch {
	case err != nil:
		fmt.Fprintf(&sc.out, "error: %v\n", err)
	case reply != nil:
		fmt.Fprintf(&sc.out, "= %+v\n", reply)
	}
}

// runPolicy makes a queue, unless there is one, or changes a namespace.
func (sc *scenario) runPolicy(kind, name string, opts map[string]string) error {
	must := func(err error) {
		if err != nil {
			sc.fail("%v", err)
		}
	}
	var most *job.Limit
	if text := opts["limit"]; text != "" {
		l, err := job.ParseLimit(strings.NewReplacer("/", "=", "+", ",").Replace(text))
		must(err)
		most = &l
	}
	if kind == "space" {
		c := PutNamespace{Name: name, Change: job.NamespaceChange{Limit: most}}
		if text := opts["pending"]; text != "" {
			n, err := strconv.ParseInt(text, 10, 64)
			must(err)
			c.Change.Pending = &n
		}
		_, err := sc.turn(c)
		return err
	}
	c := PutQueue{Namespace: DefaultName, Name: name, Create: sc.s.CheckQueue(DefaultName, name) != nil, Change: job.QueueChange{Limit: most}}
	if text := opts["rate"]; text != "" {
		r, err := job.ParseRate(text)
		must(err)
		if burst := opts["burst"]; burst != "" {
			r.Burst, err = strconv.ParseInt(burst, 10, 64)
			must(err)
		}
		c.Change.Rate = &r
	}
	if text := opts["order"]; text != "" {
		o, err := job.ParseOrder(text)
		must(err)
		c.Change.Order = &o
	}
	if text := opts["backfill"]; text != "" {
		b, err := job.ParseBackfill(text)
		must(err)
		c.Change.Backfill = &b
	}
	if text := opts["ageing"]; text != "" {
		c.Change.Ageing = new(job.Duration(sc.duration(text)) * job.Duration(time.Millisecond))
	}
	_, err := sc.turn(c)
	return err
}

// update reads what is to be changed of a job.
func (sc *scenario) update(id string, opts map[string]string) Update {
	c := Update{Job: sc.id(id), By: "anna"}
	if text, ok := opts["priority"]; ok {
		c.Priority = new(int32(sc.number(text)))
	}
	if name, ok := opts["queue"]; ok {
		c.Queue = &name
	}
	if text, ok := opts["front"]; ok {
		c.Front = new(text == "yes")
	}
	return c
}

// keys prints the keys of the default namespace.
func (sc *scenario) keys() {
	all, err := sc.s.Keys(DefaultName, "", "", 100)
	if err != nil {
		sc.fail("%v", err)
	}
	for _, k := range all {
		fmt.Fprintf(&sc.out, "%s%s: %d of %d held, %d wait, %d name it%s\n", when(k.Each, "each "), k.Key, k.Held, k.Limit, k.Waiting, k.Jobs,
			when(k.Opens > 0, ", closed until "+sc.clock(k.Opens)))
		for _, u := range k.Holders {
			fmt.Fprintf(&sc.out, "  %s since %s\n", u.Ref, sc.clock(u.Since))
		}
		for _, u := range k.Waiters {
			fmt.Fprintf(&sc.out, "  %s waits, submitted at %s\n", u.Ref, sc.clock(u.Since))
		}
	}
}

// element is where an element is: its job, and the places of its task there and its own.
func (sc *scenario) element(text string) (id job.ID, ti uint32, p int64) {
	ref, err := job.ParseRef(text)
	if err != nil {
		sc.fail("%v", err)
	}
	spec := sc.s.SpecOf(ref.Job)
	i := slices.IndexFunc(spec.Tasks, func(t job.Task) bool { return t.Name == ref.Task })
	p, _ = spec.Tasks[i].Array.Position(ref.Index)
	return ref.Job, uint32(i), p
}

// given says what an element's attempts were given, from memory and from the tables.
func (sc *scenario) given(text string) {
	id, ti, p := sc.element(text)
	spec := &sc.s.SpecOf(id).Tasks[ti]
	for _, a := range append(slices.Clone(sc.tables.past), sc.s.Past(id, ti, p)...) {
		if a.Job == id && a.Task == ti && a.Position == p {
			fmt.Fprintf(&sc.out, "%s@%d was given %s\n", text, a.Number, job.FormatResources(spec.Asks(a.Way, a.Memory)))
		}
	}
	if views, _ := sc.s.Elements(id, ti, p, nil, 1); views[0].Given != nil {
		fmt.Fprintf(&sc.out, "%s@%d was given %s\n", text, views[0].Record.Attempts, job.FormatResources(*views[0].Given))
	}
}

func (sc *scenario) explainElement(text string) {
	id, ti, p := sc.element(text)
	x, _ := sc.s.ExplainElement(id, ti, p, sc.now)
	for _, r := range x.Reasons {
		fmt.Fprintf(&sc.out, "%s: %s: %s: %s\n", text, x.State, r.Kind, r.Text)
	}
}

func (sc *scenario) runLook(name string, rest []string) {
	switch name {
	case "show":
		for _, id := range rest {
			sc.out.WriteString(sc.show(sc.id(id)))
		}
	case "explain":
		if strings.Contains(rest[0], ".") {
			sc.explainElement(rest[0])
			return
		}
		for _, x := range sc.s.Explain(sc.id(rest[0]), "", sc.now) {
			for _, r := range x.Reasons {
				fmt.Fprintf(&sc.out, "%s: %s: %s\n", x.Task, r.Kind, r.Text)
			}
		}
	case "given":
		for _, ref := range rest {
			sc.given(ref)
		}
	case "limits":
		sc.keys()
	case "outlook":
		sc.outlook(sc.id(rest[0]))
	case "workers":
		for _, w := range sc.s.Workers() {
			fmt.Fprintf(&sc.out, "%s runs %d with %d cpu, %d ahead%s%s\n", w.Hello.Name, w.Running, w.Used.CPU/1000, w.Prefetched,
				when(w.Away, ", away"), when(w.Draining, ", draining")+when(w.Hello.Unfit != "", ", unfit: "+w.Hello.Unfit))
		}
	case "flush":
		sc.flush(1 << 30)
		fmt.Fprintf(&sc.out, "%d jobs, %d past attempts, %d outputs\n", len(sc.tables.jobs), len(sc.tables.past), len(sc.tables.outputs))
	case "evict":
		sc.s.Evict(sc.now)
		fmt.Fprintf(&sc.out, "%d jobs in memory\n", sc.s.jobs.len())
	case "fail-over":
		sc.failOver()
	default:
		sc.fail("unknown command %q", name)
	}
}

func (sc *scenario) submitFile(body string, opts map[string]string, rest []string) (any, error) {
	replies, err := sc.submit(body, func(c *Submit) {
		c.Held = slices.Contains(rest, "held")
		if n, ok := opts["n"]; ok {
			for range sc.number(n) - 1 {
				c.Items = append(c.Items, c.Items[0])
			}
		}
		if seq, ok := opts["read"]; ok {
			c.ReadSeq = uint64(sc.number(seq))
		}
		if id, ok := opts["ended"]; ok {
			c.Ended = []EndedJob{{ID: sc.id(id), State: job.JobSucceeded}}
		}
		for i := range c.Items {
			if id, ok := opts["existing"]; ok {
				c.Items[i].Existing = &KeyFact{ID: sc.id(id), Body: 1}
			}
			c.Items[i].Key = opts["key"]
			if body, ok := opts["body"]; ok {
				c.Items[i].Body = uint64(sc.number(body))
			}
			if of, ok := opts["retry"]; ok {
				c.Items[i].RetryOf = sc.id(of)
				c.Items[i].Carry = sc.s.CarryOver(sc.id(of))
			}
		}
	})
	if err != nil || !slices.ContainsFunc(replies, func(r Submitted) bool { return r.Existed }) {
		return nil, err
	}
	return replies, nil
}

func (sc *scenario) runChange(name, what string, opts map[string]string) (any, error) {
	ref, err := job.ParseRef(what)
	if err != nil {
		sc.fail("%v", err)
	}
	ti := NoTask
	if ref.Task != "" {
		ti = sc.taskNumber(ref)
	}
	if name == "hold" || name == "release" {
		return sc.turn(Hold{Job: ref.Job, Task: ti, Held: name == "hold"})
	}
	c := Cancel{Job: ref.Job, Task: ti, Kill: name == "kill", By: "anna", Reason: opts["reason"]}
	if text, ok := opts["elements"]; ok {
		for part := range strings.SplitSeq(text, ",") {
			first, last, ok := strings.Cut(part, "-")
			if !ok {
				last = first
			}
			c.Spans = append(c.Spans, element.Span{First: sc.number(first), Last: sc.number(last)})
		}
	}
	return sc.turn(c)
}

func (sc *scenario) taskNumber(ref job.Ref) uint32 {
	if spec := sc.s.SpecOf(ref.Job); spec != nil {
		for i := range spec.Tasks {
			if spec.Tasks[i].Name == ref.Task {
				return uint32(i)
			}
		}
	}
	return 999
}

func (sc *scenario) runWorker(name string, rest []string, opts map[string]string) (any, error) {
	switch name {
	case "worker":
		h := sc.hello(rest[0], opts)
		if w := sc.workers[rest[0]]; w != nil {
			h.Incarnation = w.hello.Incarnation
		}
		return nil, sc.join(h)
	case "outdated": // the hello of the process before comes last, or of the session before
		h := sc.workers[rest[0]].hello
		if slices.Contains(rest, "session") {
			h.Greeting--
		} else {
			h.Incarnation--
		}
		return sc.turn(WorkerHello{Hello: h})
	case "restart", "reconnect":
		w := sc.workers[rest[0]]
		h := w.hello
		if name == "restart" {
			h.Incarnation++
			w.held = nil
		}
		if ref := opts["without"]; ref != "" { // the message with it never came
			holder, g := sc.find(ref)
			holder.drop(g.fence)
		}
		return nil, sc.join(h)
	case "away", "leave":
		w := sc.workers[rest[0]]
		w.up = false
		return sc.turn(WorkerClosed{Worker: w.id, Session: w.session, Left: name == "leave"})
	case "leaving":
		w := sc.workers[rest[0]]
		return sc.turn(WorkerLeaving{Worker: w.id, Session: w.session})
	case "late": // the end of the session before this one becomes known
		w := sc.workers[rest[0]]
		return sc.turn(WorkerClosed{Worker: w.id, Session: w.session - 1})
	case "silent":
		w := sc.workers[rest[0]]
		w.up = false
		sc.advance(sc.duration(rest[1]))
		return sc.turn(WorkerSilent{Worker: w.id, For: sc.duration(rest[1])})
	case "drain":
		draining := !slices.Contains(rest, "off")
		return sc.turn(Drain{Worker: rest[0], Draining: draining, Stop: slices.Contains(rest, "stop"), By: "anna"})
	case "start":
		for _, ref := range rest {
			w, g := sc.find(ref)
			sc.begin(w, g)
		}
	case "end":
		w, g := sc.find(rest[0])
		r := link.Result{Cause: sc.cause(rest[1:], opts), Outputs: []byte(opts["outputs"])}
		if !json.Valid(r.Outputs) {
			r.Outputs = nil
		}
		sc.finish(w, g, r)
	case "unfit", "fit", "late-unfit": // why it can take nothing, and what it gives back with that
		w := sc.workers[rest[0]]
		why := strings.ReplaceAll(opts["why"], "_", " ")
		if name == "late-unfit" { // said in the session before
			return sc.turn(WorkerReport{Worker: w.id, Session: w.session - 1, Report: link.Report{Unfit: &why}})
		}
		r := link.Report{Unfit: &why}
		w.hello.Unfit = why
		for _, ref := range rest[1:] {
			_, g := sc.find(ref)
			w.drop(g.fence)
			r.Returned = append(r.Returned, g.fence)
		}
		sc.report(w, r)
	case "late-return": // what was said in the session before
		w, g := sc.find(rest[0])
		return sc.turn(WorkerReport{Worker: w.id, Session: w.session - 1, Report: link.Report{Returned: []link.Fence{g.fence}}})
	case "return": // some, perhaps in the message that says that another has started
		var r link.Report
		if ref := opts["start"]; ref != "" {
			_, g := sc.find(ref)
			g.phase = link.Running
			r.Started = []link.Started{{Fence: g.fence, At: sc.now}}
		}
		w, _ := sc.find(rest[0])
		for _, ref := range rest {
			_, g := sc.find(ref)
			w.drop(g.fence)
			r.Returned = append(r.Returned, g.fence)
		}
		sc.report(w, r)
	}
	return nil, nil
}

func (sc *scenario) hello(name string, opts map[string]string) link.Hello {
	h := link.Hello{
		Protocol: link.Protocol, Name: name, Instance: "instance of " + name, Incarnation: 1, Slots: 1,
		Capacity: job.Resources{CPU: 64_000, Memory: 64 << 30}, Executors: []string{"process"},
	}
	if v, ok := opts["slots"]; ok {
		h.Slots = int(sc.number(v))
	}
	if v, ok := opts["cpu"]; ok {
		h.Capacity.CPU = sc.number(v) * 1000
	}
	if v, ok := opts["memory"]; ok {
		h.Capacity.Memory = sc.number(v) << 30
	}
	if v, ok := opts["gpu"]; ok {
		h.Capacity.Other = h.Capacity.Other.Set(job.GPU, sc.number(v))
	}
	if v, ok := opts["prefetch"]; ok {
		h.Prefetch = int(sc.number(v))
	}
	if v, ok := opts["functions"]; ok {
		h.Executors, h.Functions = append(h.Executors, "function"), strings.Split(v, ",")
	}
	if v, ok := opts["labels"]; ok {
		h.Labels = map[string]string{}
		for pair := range strings.SplitSeq(v, ",") {
			key, value, _ := strings.Cut(pair, "=")
			h.Labels[key] = value
		}
	}
	return h
}

// cause reads how an attempt ended.
func (sc *scenario) cause(rest []string, opts map[string]string) job.Cause {
	if v, ok := opts["exit"]; ok {
		return job.Cause{Kind: job.CauseExit, Code: int32(sc.number(v))}
	}
	if v, ok := opts["signal"]; ok {
		return job.Cause{Kind: job.CauseSignal, Code: int32(sc.number(v))}
	}
	switch rest[0] {
	case "ok":
		return job.Cause{}
	case "timeout":
		return job.Cause{Kind: job.CauseTimeout, Code: 10}
	case "rejected":
		return job.Cause{Kind: job.CauseRejected, Detail: "disk full"}
	case "memory":
		return job.Cause{Kind: job.CauseMemory, Code: 64}
	case "hungry":
		return job.Cause{Kind: job.CauseMemory}
	case "preempted":
		return job.Cause{Kind: job.CausePreempted, Detail: "for a job"}
	case "unstartable":
		return job.Cause{Kind: job.CauseStart, Detail: "no such file"}
	}
	sc.fail("unknown end %q", rest[0])
	return job.Cause{}
}

// find returns the attempt of an element that a worker holds. A reference without
// an attempt's number names the live one.
func (sc *scenario) find(what string) (*hand, *grip) {
	for _, name := range sc.names {
		for _, g := range sc.workers[name].held {
			ref := sc.refs[g.fence]
			if ref.String() == what || strings.HasPrefix(ref.String(), what+"@") && sc.s.attempts[g.fence] != nil {
				return sc.workers[name], g
			}
		}
	}
	sc.fail("no worker holds %s", what)
	return nil, nil
}

func (sc *scenario) duration(text string) int64 {
	d, err := job.ParseDuration(text)
	if err != nil {
		sc.fail("%v", err)
	}
	return d.Milliseconds()
}

func (sc *scenario) number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		sc.fail("%v", err)
	}
	return n
}

func (sc *scenario) id(text string) job.ID { return job.ID(sc.number(text)) }
