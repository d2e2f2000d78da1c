package will

import (
	"errors"
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

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
)

var rewrite = flag.Bool("rewrite", false, "write what the machine does into the scenarios")

// TestScenarios runs the files in testdata. A file is blocks of commands, each
// followed by ---- and the actions that came out.
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
			if *rewrite {
				if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(text), got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		})
	}
}

func runScenario(t *testing.T, text string) string {
	t.Helper()
	w := newScenario(t)
	var out strings.Builder
	for i, block := range strings.Split(strings.TrimRight(text, "\n"), "\n\n") {
		if i > 0 {
			out.WriteString("\n")
		}
		commands, _, _ := strings.Cut(block, "\n----")
		out.WriteString(commands + "\n")
		var events []Event
		found := false
		for line := range strings.SplitSeq(commands, "\n") {
			line = strings.TrimSpace(line)
			if line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			found = true
			if e := w.command(line); e != nil {
				events = append(events, e)
			}
		}
		if !found {
			continue
		}
		out.WriteString("----\n")
		for _, a := range w.step(events...) {
			out.WriteString(w.spell(a) + "\n")
		}
	}
	return out.String()
}

// scenario is a machine and what the text need not repeat: sessions, specs, time.
type scenario struct {
	t       *testing.T
	m       *Machine
	set     Settings
	now     Now
	session uint64
	told    map[uint64]bool
	refs    map[link.Fence]string
}

// testSpec has one task of each kind that the machine tells apart.
func testSpec() *job.Spec {
	return &job.Spec{Name: "test", Tasks: []job.Task{
		{Name: "func", Function: "f", Resources: job.Resources{CPU: 1000}},
		{Name: "proc", Command: []string{"true"}, Resources: job.Resources{CPU: 1000}},
		{Name: "once", Command: []string{"true"}, Resources: job.Resources{CPU: 1000}, AtMostOnce: true},
		{Name: "large", Function: "f", Resources: job.Resources{CPU: 2000}},
		{Name: "fetching", Function: "f", Resources: job.Resources{CPU: 1000}, Fetch: []string{"func"}},
		{Name: "timed", Command: []string{"true"}, Resources: job.Resources{CPU: 1000}, Timeout: job.Duration(time.Minute)},
		{Name: "picky", Command: []string{"true"}, Resources: job.Resources{CPU: 1000}, Where: []string{"gpu"}},
		{Name: "device", Command: []string{"true"}, Resources: job.Resources{CPU: 100, Other: "gpu=1"}},
	}}
}

func testHash() [32]byte { return [32]byte{1} }

func newScenario(t *testing.T) *scenario {
	return &scenario{
		t: t, now: Now{Boot: 1e9 * 1000, Wall: 1_000_000}, refs: map[link.Fence]string{}, told: map[uint64]bool{},
		set: Settings{
			Hello: link.Hello{Protocol: link.Protocol, Name: "w1", Slots: 2, Prefetch: 2, Capacity: job.Resources{CPU: 2000, Memory: 1 << 30, Other: "gpu=2"}, Devices: "gpu=a,b"},
			Seed:  1, KeepAfter: 30 * time.Second, LogWait: time.Minute, Reconnect: 5 * time.Second,
			LeaveWait: 20 * time.Second, LeaveGrace: 10 * time.Second, Durable: true,
			ReadSpec: func(b []byte) (*job.Spec, error) {
				if string(b) == "bad" {
					return nil, errors.New("it is from the future")
				}
				return testSpec(), nil
			},
		},
	}
}

func (w *scenario) step(events ...Event) []Action {
	if w.m == nil {
		w.m = New(w.set)
	}
	out := w.m.Step(w.now, events...)
	for _, a := range out {
		if c, ok := a.(Connect); ok {
			w.session = c.Session
		}
	}
	return out
}

// args is a command's words and key=value pairs.
type args struct {
	words []string
	pairs map[string]string
}

func parseArgs(line string) args {
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

func (a args) has(word string) bool {
	return slices.Contains(a.words[1:], word)
}

func (w *scenario) duration(s string) time.Duration {
	if s == "" {
		return 0
	}
	d, err := job.ParseDuration(s)
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

func (w *scenario) number(s string) int64 {
	if s == "" {
		return 0
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

func (a args) fences() []link.Fence {
	var list []link.Fence
	for _, s := range a.words[1:] {
		if n, err := strconv.ParseUint(s, 10, 64); err == nil {
			list = append(list, link.Fence(n))
		}
	}
	return list
}

func (w *scenario) fence(a args) link.Fence {
	list := a.fences()
	if len(list) == 0 {
		w.t.Fatalf("%v: no fence", a.words)
	}
	return list[0]
}

func (w *scenario) received(m link.ToWorker) Event {
	return Received{Session: w.session, Message: m}
}

// cause reads kind[:detail], with _ for blanks.
func (w *scenario) cause(s string) job.Cause {
	kind, detail, _ := strings.Cut(s, ":")
	kinds := map[string]job.Cause{
		"": {}, "exit": {Kind: job.CauseExit, Code: 3}, "cancelled": {Kind: job.CauseCancelled},
		"expression": {Kind: job.CauseExpression}, "output": {Kind: job.CauseOutput},
		"rejected": {Kind: job.CauseRejected}, "lacking": {Kind: job.CauseRejected, Code: job.Lacking}, "lost": {Kind: job.CauseWorkerLost},
	}
	c, ok := kinds[kind]
	if !ok {
		w.t.Fatalf("cause %q", s)
	}
	c.Detail = strings.ReplaceAll(detail, "_", " ")
	return c
}

func (w *scenario) command(line string) Event {
	a := parseArgs(line)
	switch a.words[0] {
	case "settings":
		w.settings(a)
		return nil
	case "begin":
		return Begin{}
	case "adopt":
		return w.adopted(a)
	case "after":
		d := w.duration(a.words[1])
		w.now.Boot, w.now.Wall = w.now.Boot.Add(d), w.now.Wall+d.Milliseconds()
		return Tick{}
	case "connected":
		return Connected{Session: w.session}
	case "disconnected":
		return Disconnected{Session: w.session, Why: "reset"}
	case "sent":
		return Sent{Session: w.session}
	case "leave":
		return Leave{}
	case "started":
		return Started{Fence: w.fence(a), At: w.now.Wall}
	case "ended":
		x := Exit{Cause: w.cause(a.pairs["cause"]), Started: w.now.Wall, Ended: w.now.Wall, LogSize: w.number(a.pairs["log"])}
		x.Started -= w.duration(a.pairs["ran"]).Milliseconds()
		return Ended{Fence: w.fence(a), Exit: x}
	case "prepared":
		return Prepared{Fence: w.fence(a), Cause: w.cause(a.pairs["cause"])}
	case "recorded":
		return Recorded{Fence: w.fence(a), Err: a.pairs["err"]}
	case "refused":
		return Refused{Fence: w.fence(a), Cause: w.cause(a.pairs["cause"])}
	case "wrote":
		return Wrote{Fence: w.fence(a)}
	case "collected":
		e := Collected{Fence: w.fence(a), Cause: w.cause(a.pairs["cause"])}
		if o := a.pairs["outputs"]; o != "" {
			e.Outputs = []byte(o)
		}
		return e
	case "kept":
		return Kept{Fence: w.fence(a), Err: a.pairs["err"]}
	case "shipped":
		return Shipped{Fence: w.fence(a), Err: a.pairs["err"]}
	}
	return w.fromServer(a)
}

func (w *scenario) fromServer(a args) Event {
	switch a.words[0] {
	case "welcome":
		return w.received(link.ToWorker{Welcome: &link.Welcome{
			WorkerID: 7, Beat: w.duration(a.pairs["beat"]), Note: strings.ReplaceAll(a.pairs["note"], "_", " "), Generation: uint64(w.number(a.pairs["gen"])), Seq: uint64(w.number(a.pairs["seq"])),
		}})
	case "answer":
		return w.received(link.ToWorker{Beat: &link.BeatAnswer{
			Number: uint64(w.number(a.words[1])), Generation: uint64(w.number(a.pairs["gen"])), Seq: uint64(w.number(a.pairs["seq"])),
		}})
	case "assign":
		return w.received(link.ToWorker{Assign: w.assign(a)})
	case "stop":
		return w.received(link.ToWorker{Stop: &link.Stop{
			Fence: w.fence(a), Grace: w.duration(a.pairs["grace"]), Cause: w.cause(a.pairs["cause"]), Forget: a.has("forget"),
		}})
	case "recall":
		return w.received(link.ToWorker{Recall: a.fences()})
	case "ack":
		return w.received(link.ToWorker{Ack: a.fences()})
	case "goodbye":
		return w.received(link.ToWorker{Goodbye: "upgrade"})
	}
	w.t.Fatalf("unknown command %q", a.words)
	return nil
}

func (w *scenario) settings(a args) {
	if n := w.number(a.pairs["slots"]); n > 0 {
		w.set.Hello.Slots = int(n)
		w.set.Hello.Capacity.CPU = 1000 * n
	}
	if n := w.number(a.pairs["cpu"]); n > 0 {
		w.set.Hello.Capacity.CPU = 1000 * n
	}
	if n := w.number(a.pairs["prefetch"]); n > 0 {
		w.set.Hello.Prefetch = int(n)
	}
	w.set.LeaveRunning = a.has("leave-running")
	if a.has("memory") {
		w.set.Durable = false
	}
}

func (w *scenario) assign(a args) *link.Assign {
	spec := testSpec()
	as := &link.Assign{}
	if !w.told[w.session] && !a.has("specless") {
		text := "good"
		if a.has("badspec") {
			text = "bad"
		}
		w.told[w.session] = true
		as.Specs = []link.SpecText{{Hash: testHash(), Canonical: []byte(text)}}
	}
	for _, f := range a.fences() {
		at := link.Assignment{
			Fence: f, Job: 10, Index: job.NoIndex, Attempt: 1, SpecHash: testHash(),
			Lease: w.duration(a.pairs["lease"]), Prefetched: a.has("prefetched"), Devices: a.gpu(),
		}
		if n := w.number(a.pairs["offers"]); n > 0 {
			at.Offers = job.Resources{CPU: 1000 * n, Memory: 1 << 30, Other: "gpu=2"}
		}
		for i := range spec.Tasks {
			if a.has(spec.Tasks[i].Name) {
				at.Task = uint32(i)
			}
		}
		if a.has("nosuch") {
			at.Task = 99
		}
		as.Attempts = append(as.Attempts, at)
	}
	return as
}

func (a args) gpu() (d job.Devices) {
	if id := a.pairs["gpu"]; id != "" {
		d = d.Set("gpu", []string{id})
	}
	return d
}

func (w *scenario) adopted(a args) Event {
	o := Adopted{
		Fence: w.fence(a), Ref: job.Ref{Job: 10, Task: "proc", Index: job.NoIndex, Attempt: 1}, Executor: "process",
		Lease: w.duration(a.pairs["lease"]), Resources: job.Resources{CPU: 1000}, Started: w.now.Wall - 5000,
		Foreign: a.has("foreign"), AtMostOnce: a.has("once"),
	}
	if o.Devices = a.gpu(); o.Devices != "" {
		o.Resources = job.Resources{CPU: 100, Other: "gpu=1"}
	}
	o.Key = Key(o.Ref, o.Fence)
	if a.has("gone") {
		o.Executor = ""
	}
	if a.has("ended") {
		o.Exit = &Exit{Started: o.Started, Ended: w.now.Wall, LogSize: w.number(a.pairs["log"])}
	}
	if a.has("result") {
		o.Result = &link.Result{Fence: o.Fence, Started: o.Started, Ended: w.now.Wall}
	}
	return Begin{Adopted: []Adopted{o}}
}

// since spells a moment as the time from the scenario's beginning.
func (w *scenario) spell(a Action) string {
	moment := func(d int64) string {
		if d == 0 {
			return "never"
		}
		return time.Duration(d - 1e9*1000).Round(time.Millisecond).String()
	}
	switch a := a.(type) {
	case Connect:
		return fmt.Sprintf("connect session %d", a.Session)
	case Disconnect:
		return fmt.Sprintf("disconnect session %d", a.Session)
	case Send:
		return "send " + spellMessage(a.Message)
	case Prepare:
		return "prepare " + a.Key
	case Unprepare:
		return fmt.Sprintf("unprepare %d", a.Fence)
	case Record:
		return "record " + a.Key
	case Start:
		return fmt.Sprintf("start %s until %s", a.Key, moment(int64(a.Deadline)))
	case SetDeadlines:
		return fmt.Sprintf("deadlines %s %s until %s", a.Executor, strings.Join(a.Keys, " "), moment(int64(a.Deadline)))
	case StopRun:
		return fmt.Sprintf("stop %s %s grace %v because %s", a.Executor, a.Key, a.Grace, a.Cause)
	case Collect:
		return "collect " + a.Key
	case KeepResult:
		return fmt.Sprintf("keep result of %s", a.Ref)
	case FollowLog:
		return "follow log of " + a.Key
	case SealLog:
		return fmt.Sprintf("seal log of %d at %d", a.Fence, a.Size)
	case DropLog:
		return fmt.Sprintf("drop log of %d", a.Fence)
	case Forget:
		return fmt.Sprintf("forget %s executor=%q dir=%v disk=%v", a.Key, a.Executor, a.Dir, a.OnDisk)
	case SetTimer:
		return "timer " + moment(int64(a.At))
	case Say:
		return "say " + a.Text
	case Quit:
		return "quit"
	}
	return fmt.Sprintf("unknown action %T", a)
}

func spellMessage(m link.FromWorker) string {
	held := func(list []link.Held) string {
		words := []string{"held"}
		for _, h := range list {
			words = append(words, fmt.Sprintf("%d:%s", h.Fence, [...]string{"?", "waiting", "running", "ended"}[h.Phase]))
		}
		return strings.Join(words, " ")
	}
	switch {
	case m.Hello != nil:
		text := fmt.Sprintf("hello at %d,%d %s", m.Hello.Generation, m.Hello.Seq, held(m.Hello.Held))
		if m.Hello.Unfit != "" {
			text += fmt.Sprintf(" unfit: %s", m.Hello.Unfit)
		}
		return text
	case m.Beat != nil:
		return fmt.Sprintf("beat %d %s", m.Beat.Number, held(m.Beat.Held))
	case m.Leaving:
		return "leaving"
	}
	var words []string
	for _, r := range m.Report.Ended {
		cause := r.Cause.String()
		if cause == "" {
			cause = "well"
		}
		out := strconv.Quote(string(r.Outputs))
		words = append(words, fmt.Sprintf("ended %d %s outputs=%s log=%d", r.Fence, cause, out, r.LogSize))
	}
	for _, s := range m.Report.Started {
		words = append(words, fmt.Sprintf("started %d", s.Fence))
	}
	for _, f := range m.Report.Returned {
		words = append(words, fmt.Sprintf("returned %d", f))
	}
	if u := m.Report.Unfit; u != nil {
		words = append(words, fmt.Sprintf("unfit %q", *u))
	}
	return "report " + strings.Join(words, ", ")
}
