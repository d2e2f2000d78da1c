package core

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/element"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/jobfile"
	"github.com/reeve-scheduler/reeve/internal/link"
)

func testLab(t *testing.T) *lab {
	t.Helper()
	l := newLab(func(format string, args ...any) {
		t.Helper()
		t.Fatalf(format, args...)
	})
	l.judge.deep = true
	return l
}

// mustTurn carries out a command that must not be refused.
func mustTurn(t *testing.T, l *lab, c Command) {
	t.Helper()
	if _, err := l.turn(c); err != nil {
		t.Fatal(err)
	}
}

func mustSubmit(t *testing.T, l *lab, text string) job.ID {
	t.Helper()
	jobs, err := l.submit(text, nil)
	if err != nil {
		t.Fatal(err)
	}
	return jobs[0].ID
}

func mustJoin(t *testing.T, l *lab, h link.Hello) {
	t.Helper()
	if err := l.join(h); err != nil {
		t.Fatal(err)
	}
}

func goodHello(name string) link.Hello {
	return link.Hello{
		Protocol: link.Protocol, Name: name, Instance: "of " + name, Incarnation: 1, Slots: 1,
		Capacity: job.Resources{CPU: 1000, Memory: 1 << 30}, Executors: []string{"process"},
	}
}

// TestRefusals: what a command can't do is refused with a code to act on and a
// line that says what to do, and changes nothing (the lab checks that).
func TestRefusals(t *testing.T) {
	l := testLab(t)
	mustJoin(t, l, goodHello("w1"))
	mustSubmit(t, l, "run: \"true\"\n")
	mustTurn(t, l, PutToken{Token{ID: "t1", Name: "ci"}})
	spec, err := jobfile.Parse("", []byte("run: \"true\"\nqueue: night\n"))
	if err != nil {
		t.Fatal(err)
	}
	submit := Submit{Namespace: DefaultName, Spec: spec.Spec, Hash: spec.Hash, Canonical: spec.Canonical, Items: []Item{{}}}
	unknownSpace, noItems, manyItems := submit, submit, submit
	unknownSpace.Namespace = "team"
	noItems.Items, noItems.Spec = nil, &job.Spec{Tasks: spec.Spec.Tasks}
	manyItems.Items, manyItems.Spec = make([]Item, MaxItems+1), noItems.Spec
	manyTasks := submit
	manyTasks.Items, manyTasks.Spec = make([]Item, 1000), &job.Spec{Tasks: make([]job.Task, 1001)}
	hello := func(change func(*link.Hello)) Command {
		h := goodHello("w2")
		change(&h)
		return WorkerHello{h}
	}
	tests := []struct {
		name    string
		command Command
		code    job.Code
		says    string
	}{
		{"unknown namespace", unknownSpace, job.NotFound, `namespace "team" does not exist; known: default`},
		{"unknown queue", submit, job.NotFound, `queue "night" does not exist in namespace default; known: default`},
		{"no items", noItems, job.Invalid, "a submit of 0 items; want 1 to 10000"},
		{"too many items", manyItems, job.Invalid, "10001 items"},
		{"too many tasks", manyTasks, job.Invalid, "1000 jobs with 1001 tasks each; at most 1000000 tasks in all"},
		{"cancel of no job", Cancel{Job: 9, Task: NoTask}, job.NotFound, "job 9 does not exist, or has ended"},
		{"cancel of no task", Cancel{Job: 1, Task: 7}, job.NotFound, "job 1 has no task number 7"},
		{"cancel past the end", Cancel{Job: 1, Task: 0, Spans: []element.Span{{First: 0, Last: 3}}}, job.Invalid, "positions 0 to 3"},
		{"hold of no job", Hold{Job: 9, Task: NoTask, Held: true}, job.NotFound, "job 9"},
		{"namespace name", PutNamespace{Name: "A", Create: true}, job.Invalid, `namespace: name "A"`},
		{"namespace twice", PutNamespace{Name: DefaultName, Create: true}, job.Exists, `namespace "default" exists already`},
		{"namespace of none", PutNamespace{Name: "team", Paused: new(true)}, job.NotFound, `namespace "team" does not exist`},
		{"queue name", PutQueue{Namespace: DefaultName, Name: "", Create: true}, job.Invalid, "queue: a name is empty"},
		{"queue twice", PutQueue{Namespace: DefaultName, Name: DefaultName, Create: true}, job.Exists, `queue "default" exists already`},
		{"queue of no namespace", PutQueue{Namespace: "team", Name: "q", Create: true}, job.NotFound, `namespace "team"`},
		{"queue of a bad policy", PutQueue{Namespace: DefaultName, Name: "q", Create: true, Change: job.QueueChange{Weight: new(int64(-1))}}, job.Invalid, "queue q: weight -1"},
		{"queue of a policy before its time", PutQueue{Namespace: DefaultName, Name: DefaultName, Change: job.QueueChange{Order: new(job.ByAge)}}, job.Refused,
			"the policy of queue default needs format 3, and the cluster's is 1: reeve upgrade --finalize raises it"},
		{"namespace of a bad policy", PutNamespace{Name: DefaultName, Change: job.NamespaceChange{Pending: new(int64(-1))}}, job.Invalid, "namespace default: pending -1"},
		{"namespace of a policy before its time", PutNamespace{Name: "team", Create: true, Change: job.NamespaceChange{Pending: new(int64(1))}}, job.Refused,
			"the policy of namespace team needs format 3"},
		{"queue of none", PutQueue{Namespace: DefaultName, Name: "q"}, job.NotFound, `queue "q" does not exist`},
		{"pool name", PutPool{Name: "A"}, job.Invalid, `pool: name "A"`},
		{"pool of a bad policy", PutPool{Name: "night", Change: job.PoolChange{Overcommit: &job.Factors{CPU: 50}}}, job.Invalid, "pool night: overcommit: cpu=0.05: want a number from 0.1 to 100"},
		{"pool of a policy before its time", PutPool{Name: "night", Change: job.PoolChange{Overcommit: &job.Factors{CPU: 2000}}}, job.Refused, "the policy of pool night needs format 3"},
		{"pool of none", PutPool{Name: "night", Known: true}, job.NotFound, `pool "night" has no worker and no setting; known: default`},
		{"reservation name", PutReservation{ReservationSet{Name: "A"}}, job.Invalid, `reservation: name "A"`},
		{"reservation of nothing", PutReservation{ReservationSet{Name: "night"}}, job.Invalid, "reservation night: say which workers by a pool, by their names, or by labels"},
		{"reservation of too much", PutReservation{ReservationSet{Name: "night", Pool: "p", Workers: []string{"w1"}}}, job.Invalid, "by one of these"},
		{"reservation of no worker", PutReservation{ReservationSet{Name: "night", Workers: []string{"w9"}}}, job.NotFound, `reservation night: worker "w9" does not exist`},
		{"reservation of no pool name", PutReservation{ReservationSet{Name: "night", Pool: "P"}}, job.Invalid, `reservation night: pool: name "P"`},
		{"reservation of no label", PutReservation{ReservationSet{Name: "night", Where: []string{"=x"}}}, job.Invalid, `reservation night: where "=x": want key=value`},
		{"reservation backwards", reserve(func(e *ReservationSet) { e.Until = e.From }), job.Invalid, "until must come after from"},
		{"reservation of the past", reserve(func(e *ReservationSet) { e.From, e.Until = began-3600_000, began-1 }), job.Invalid, "which has passed"},
		{"reservation from the past", reserve(func(e *ReservationSet) { e.From = began - 61_000 }), job.Invalid, "which has passed; the earliest is now"},
		{"reservation for ever", reserve(func(e *ReservationSet) { e.Until = e.From + 367*24*3600_000 }), job.Invalid, "it lasts 367 days; 366 are the most"},
		{"reservation some day", reserve(func(e *ReservationSet) { e.From, e.Until = began+maxWindow+10_000, began+maxWindow+20_000 }), job.Invalid, "366 days from now at most"},
		{"reservation of a bad lead", reserve(func(e *ReservationSet) { e.Lead = -1 }), job.Invalid, "lead: want a duration from 0 to 366 days"},
		{"reservation for no namespace", reserve(func(e *ReservationSet) { e.Namespace = "team" }), job.NotFound, `namespace "team"`},
		{"reservation for no queue", reserve(func(e *ReservationSet) { e.Namespace, e.Queue = DefaultName, "q" }), job.NotFound, `queue "q"`},
		{"reservation for a queue of nowhere", reserve(func(e *ReservationSet) { e.Queue = "q" }), job.Invalid, "queue q: name its namespace too"},
		{"reservation before its time", reserve(func(*ReservationSet) {}), job.Refused, "reservation night needs format 3"},
		{"unreserve of none", RemoveReservation{"night"}, job.NotFound, `reservation "night" does not exist; there is none`},
		{"token name", PutToken{Token{ID: "t2", Name: "-"}}, job.Invalid, "token: name"},
		{"token twice", PutToken{Token{ID: "t2", Name: "ci"}}, job.Exists, `token "ci" exists already; revoke it first`},
		{"token id twice", PutToken{Token{ID: "t1", Name: "other"}}, job.Exists, `token "ci" exists already`},
		{"token of no namespace", PutToken{Token{ID: "t2", Name: "cd", Namespaces: []string{"team"}}}, job.NotFound, `namespace "team"`},
		{"revoke of none", RevokeToken{"t9"}, job.NotFound, `token "t9" does not exist or is revoked`},
		{"format that is", RaiseFormat{To: 1}, job.Refused, "the cluster's format is 1 already"},
		{"drain of none", Drain{Worker: "w9", Draining: true}, job.NotFound, `worker "w9" does not exist`},
		{"old protocol", hello(func(h *link.Hello) { h.Protocol = 99 }), job.Refused, "speaks protocol 99, this server 1; install the same version"},
		{"worker name", hello(func(h *link.Hello) { h.Name = "last" }), job.Invalid, `worker: name "last" is reserved`},
		{"no instance", hello(func(h *link.Hello) { h.Instance = "" }), job.Invalid, "lacks an identity"},
		{"no incarnation", hello(func(h *link.Hello) { h.Incarnation = 0 }), job.Invalid, "lacks an identity"},
		{"no slots", hello(func(h *link.Hello) { h.Slots = 0 }), job.Invalid, "a slot"},
		{"less than nothing", hello(func(h *link.Hello) { h.Capacity.Memory = -1 }), job.Invalid, "a capacity"},
		{"more than it can be", hello(func(h *link.Hello) { h.Slots = 1 << 30 }), job.Invalid, "worker w2: it says 1073741824 slots; at most 100000 are allowed"},
		{"a later generation", hello(func(h *link.Hello) { h.Generation = 5 }), job.Refused, "has seen generation 5, this server is at 1"},
		{"a name in use", hello(func(h *link.Hello) { h.Name = "w1" }), job.Exists, "a worker named w1 exists already"},
		{"held by nobody", WorkerHeld{Worker: 77, Session: 1}, job.NotFound, "worker 77 is not known"},
		{"held in another session", WorkerHeld{Worker: 1, Session: 9}, job.NotFound, "in this session"},
		{"no rule", strange{}, job.Internal, "internal error: command core.strange has no rule"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before := l.s.dump()
			reply, err := l.turn(test.command)
			if err == nil || job.CodeOf(err) != test.code || !strings.Contains(err.Error(), test.says) || reply != nil {
				t.Errorf("%v, %v; want code %v that says %q", reply, err, test.code, test.says)
			}
			if strings.Contains(fmt.Sprint(err), "\n") {
				t.Errorf("the error is more than a line: %v", err)
			}
			if diff := cmp.Diff(before, l.s.dump(), byValue()); diff != "" {
				t.Errorf("a refused command changed something:\n%s", diff)
			}
		})
	}
}

type strange struct{ Command }

// TestAfterStaysInItsNamespace: a job of another namespace does not exist for
// after, as it does not for anything else.
func TestAfterStaysInItsNamespace(t *testing.T) {
	l := testLab(t)
	mustTurn(t, l, PutNamespace{Name: "team", Create: true})
	id := mustSubmit(t, l, "run: \"true\"\n")
	spec, err := jobfile.Parse("", []byte("run: \"true\"\nafter: "+id.String()+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	submit := Submit{Namespace: "team", Spec: spec.Spec, Hash: spec.Hash, Canonical: spec.Canonical, Items: []Item{{}}, ReadSeq: 1 << 60}
	if _, err := l.turn(submit); job.CodeOf(err) != job.NotFound || !strings.Contains(fmt.Sprint(err), "after: job 1 does not exist") {
		t.Errorf("after a job of another namespace: %v; want that it does not exist", err)
	}
	submit.Namespace = DefaultName
	if _, err := l.turn(submit); err != nil {
		t.Errorf("after a job of the same namespace: %v", err)
	}
}

func TestManyNamesAreCutShort(t *testing.T) {
	l := testLab(t)
	for i := range 25 {
		mustTurn(t, l, PutNamespace{Name: fmt.Sprintf("n%02d", i), Create: true})
	}
	_, err := l.turn(PutQueue{Namespace: "none", Name: "q", Create: true})
	if err == nil || !strings.HasSuffix(err.Error(), "n18 and 6 more") {
		t.Errorf("%v", err)
	}
}

func TestTokens(t *testing.T) {
	l := testLab(t)
	first := Token{ID: "t1", Name: "ci", Hash: [32]byte{1}, Scopes: []string{"submit"}, Namespaces: []string{DefaultName}, Created: 5, Expires: 9, By: "anna"}
	mustTurn(t, l, PutToken{first})
	mustTurn(t, l, RevokeToken{"ci"})
	second := Token{ID: "t2", Name: "ci"}
	mustTurn(t, l, PutToken{second})
	mustTurn(t, l, RevokeToken{"t2"})
	first.Revoked, second.Revoked = l.now, l.now
	l.flush(10)
	for name, s := range map[string]*State{"leader": l.s, "recovered": l.recovered()} {
		if diff := cmp.Diff([]Token{first, second}, s.Tokens()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestWorkGoesWhereItFits: labels, functions and amounts decide: work goes where it can run.
func TestWorkGoesWhereItFits(t *testing.T) {
	l := testLab(t)
	zoned, functions, small := goodHello("zoned"), goodHello("functions"), goodHello("small")
	zoned.Labels = map[string]string{"zone": "b", "arch": "arm64"}
	functions.Executors, functions.Functions = []string{"function"}, []string{"resize"}
	small.Capacity = job.Resources{CPU: 500, Memory: 1 << 20}
	for _, h := range []link.Hello{zoned, functions, small} {
		mustJoin(t, l, h)
	}
	tests := []struct{ file, want string }{
		{"run: \"true\"\nwhere: {zone: b}\n", "zoned"},
		{"run: \"true\"\nwhere: [arch]\n", "zoned"},
		{"run: \"true\"\nwhere: {zone: c}\n", ""},
		{"function: resize\n", "functions"},
		{"function: rotate\n", ""},
		{"run: \"true\"\nresources: {cpu: 500m}\n", "small zoned"},
		{"run: \"true\"\nresources: {memory: 2Gi}\n", ""},
	}
	for _, test := range tests {
		id := mustSubmit(t, l, test.file)
		elements, _ := l.s.Elements(id, 0, 0, nil, 1)
		if got := elements[0].Worker; got != test.want && !strings.Contains(test.want, got) || (got == "") != (test.want == "") {
			t.Errorf("%q went to %q, want %q", test.file, got, test.want)
		}
		if test.want == "" {
			if why := l.s.Explain(id, "", l.now); len(why) != 1 || len(why[0].Reasons) == 0 {
				t.Errorf("%q waits for %v; want a reason", test.file, why)
			}
		}
		for _, name := range l.names {
			w := l.workers[name]
			for len(w.held) > 0 {
				l.finish(w, w.held[0], link.Result{})
			}
		}
	}
}

func TestShortestLease(t *testing.T) {
	l := testLab(t)
	h := goodHello("w1")
	h.Slots, h.Capacity.CPU = 5, 9000
	mustJoin(t, l, h)
	if got := l.s.ShortestLease(1); got != l.config.Lease {
		t.Errorf("of nothing held: %d", got)
	}
	for _, after := range []string{"never", "90s", "7s"} {
		mustSubmit(t, l, "run: \"true\"\nlost_after: "+after+"\n")
	}
	if got := l.s.ShortestLease(1); got != 7000 {
		t.Errorf("ShortestLease = %d, want 7000", got)
	}
	if got := l.s.ShortestLease(99); got != l.config.Lease {
		t.Errorf("of nobody: %d", got)
	}
}

// TestItemsAreBounded: one list is the items of many arrays, each of which has them for
// itself. The tasks for which there is no room fail, and say why.
func TestItemsAreBounded(t *testing.T) {
	const tasks, items = 15, 80_000
	var b strings.Builder
	b.WriteString("params: {l: {type: list}}\ntasks:\n")
	for i := range tasks {
		fmt.Fprintf(&b, "  t%d: {array: {each: '${{ params.l }}'}, run: 'true'}\n", i)
	}
	file, err := jobfile.Parse("", []byte(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	state := testLab(t).s // without its judge, who asks every element for its state
	d, err := state.Decide(Input{Now: 1}, Submit{
		Namespace: DefaultName, Spec: file.Spec, Hash: file.Hash, Canonical: file.Canonical,
		Items: []Item{{Params: []byte(`{"l": [` + strings.Repeat(`"",`, items-1) + `""]}`)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for more := true; more; d, more = state.Follow(1) {
		for _, e := range d.Events {
			state.Apply(e)
		}
	}
	m, _ := state.Image(1)
	ready, failed := 0, 0
	for i := range m.Tasks {
		switch k := &m.Tasks[i]; {
		case k.Ready:
			ready++
		case k.Counts[job.Failed] == 1 && strings.Contains(k.Record.Cause.String(), "take more than 16Mi"):
			failed++
		}
	}
	if want := MaxArrayItems / (items * 16); ready != want || failed != tasks-want {
		t.Errorf("%d tasks are ready and %d failed; want %d and %d", ready, failed, want, tasks-want)
	}
}
