package core

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// deviceLab is a lab of the newest format, with a worker of two GPUs and three licences.
func deviceLab(t *testing.T) (*lab, link.Hello) {
	t.Helper()
	l := testLab(t)
	mustTurn(t, l, RaiseFormat{To: FormatResources})
	h := goodHello("w1")
	h.Slots, h.Prefetch, h.Capacity.CPU = 4, 4, 4000
	h.Capacity.Other, h.Devices = "gpu=2\nlicence=3", "gpu=a,b"
	mustJoin(t, l, h)
	return l, h
}

const onGPU = "run: \"true\"\nresources: {gpu: 1, licence: 1}\n"

// given is the devices that live attempts have, by job.
func (l *lab) given() map[job.ID]string {
	out := map[job.ID]string{}
	for j := range l.s.jobs.all {
		for i := range j.tasks {
			for a := j.tasks[i].nextLive(0); a != nil; a = j.tasks[i].nextLive(a.position + 1) {
				out[j.id] += strings.Join(a.devices.Get(job.GPU), ",")
			}
		}
	}
	return out
}

// want checks who has which devices, in the leader's state and in one that is recovered.
func (l *lab) want(want map[job.ID]string) {
	if diff := cmp.Diff(want, l.given()); diff != "" {
		l.fail("devices of jobs (-want +got):\n%s", diff)
	}
	leading := l.s
	l.s = l.recovered()
	again := l.given()
	l.s = leading
	if diff := cmp.Diff(want, again); diff != "" {
		l.fail("devices of jobs after recovery (-want +got):\n%s", diff)
	}
}

// TestDevices: each attempt has devices of its own, in the worker's order, until it has
// ended, and is told of them.
func TestDevices(t *testing.T) {
	l, _ := deviceLab(t)
	told := map[link.Fence]job.Devices{}
	l.note = func(n any) {
		if m, ok := n.(toHand); ok && m.msg.Assign != nil {
			for _, a := range m.msg.Assign.Attempts {
				told[a.Fence] = a.Devices
			}
		}
	}
	for range 2 {
		mustSubmit(t, l, onGPU)
	}
	l.want(map[job.ID]string{1: "a", 2: "b"})
	w := l.workers["w1"]
	if told[w.held[0].fence] != "gpu=a" || told[w.held[1].fence] != "gpu=b" {
		t.Errorf("the worker is told of %v", told)
	}
	views := l.s.Workers()
	if v := views[0]; v.Used != (job.Resources{CPU: 2000, Other: "gpu=2\nlicence=2"}) || v.Taken != "gpu=a,b" {
		t.Errorf("in use are %+v and %q", v.Used, v.Taken)
	}
	l.flush(1000)
	l.finish(w, w.held[0], link.Result{})
	l.want(map[job.ID]string{2: "b"})
	mustSubmit(t, l, onGPU)
	l.want(map[job.ID]string{2: "b", 3: "a"})
	l.failOver()
	mustJoin(t, l, w.hello)
	l.want(map[job.ID]string{2: "b", 3: "a"})
	for len(w.held) > 0 {
		l.finish(w, w.held[0], link.Result{Cause: job.Cause{Kind: job.CauseExit, Code: 1}})
	}
	l.want(map[job.ID]string{})
	if v := l.s.Workers()[0]; v.Used != (job.Resources{}) || v.Taken != "" {
		t.Errorf("in use are still %+v and %q", v.Used, v.Taken)
	}
}

// TestDevicesAreGivenBack whichever way an attempt leaves its worker.
func TestDevicesAreGivenBack(t *testing.T) {
	for name, leave := range map[string]func(l *lab, w *hand){
		"returned": func(l *lab, w *hand) {
			f := w.held[0].fence
			w.drop(f)
			if _, err := l.turn(Hold{Job: 1, Task: NoTask, Held: true}); err != nil {
				t.Fatal(err)
			}
			l.report(w, link.Report{Returned: []link.Fence{f}})
		},
		"cancelled": func(l *lab, w *hand) {
			mustTurn(t, l, Cancel{Job: 1, Task: NoTask, By: "anna"})
			l.finish(w, w.held[0], link.Result{Cause: job.Cause{Kind: job.CauseCancelled}})
		},
		"lost": func(l *lab, w *hand) {
			mustTurn(t, l, Hold{Job: 1, Task: NoTask, Held: true})
			l.now += 70_000 // the lease and a tenth more
			mustTurn(t, l, WorkerSilent{Worker: w.id, For: 70_000})
			w.held, w.hello.Incarnation = nil, 2
			mustJoin(t, l, w.hello)
		},
		"lost by a restart": func(l *lab, w *hand) {
			mustTurn(t, l, Hold{Job: 1, Task: NoTask, Held: true})
			w.held, w.hello.Incarnation = nil, 2
			mustJoin(t, l, w.hello)
		},
	} {
		t.Run(name, func(t *testing.T) {
			l, _ := deviceLab(t)
			mustSubmit(t, l, onGPU)
			w := l.workers["w1"]
			leave(l, w)
			l.want(map[job.ID]string{})
			mustSubmit(t, l, "run: \"true\"\nresources: {gpu: 2}\n")
			l.want(map[job.ID]string{2: "a,b"})
		})
	}
}

// TestFewerDevices: a worker that comes back with fewer devices gives out none that an attempt
// has, and none that it has no more.
func TestFewerDevices(t *testing.T) {
	l, h := deviceLab(t)
	for range 2 {
		mustSubmit(t, l, onGPU)
	}
	h.Capacity.Other, h.Devices = "gpu=2\nlicence=3", "gpu=b,c" // it is the same process
	mustJoin(t, l, h)
	w := l.workers["w1"]
	l.want(map[job.ID]string{1: "a", 2: "b"})
	if v := l.s.Workers()[0]; v.Taken != "gpu=a,b" {
		t.Errorf("taken are %q", v.Taken)
	}
	l.finish(w, w.held[0], link.Result{})
	mustSubmit(t, l, onGPU)
	l.want(map[job.ID]string{2: "b", 3: "c"})
}

// TestNotAhead: what may get devices is not sent ahead of its place, what is only counted is
// no more than others.
func TestNotAhead(t *testing.T) {
	for text, ahead := range map[string]bool{"{gpu: 1}": false, "{licence: 1}": false, "{disk: 1}": true, "{cpu: 1}": true} {
		l := testLab(t)
		mustTurn(t, l, RaiseFormat{To: FormatResources})
		h := goodHello("w1")
		h.Prefetch, h.Capacity.Other = 2, "disk=9\ngpu=9\nlicence=9"
		mustJoin(t, l, h)
		for range 3 {
			mustSubmit(t, l, "run: \"true\"\nresources: "+text)
		}
		_, running, prefetched := l.s.plan.Usage(l.workers["w1"].id)
		if running != 1 || (prefetched == 2) != ahead {
			t.Errorf("%s: %d run, %d are sent ahead; want that: %v", text, running, prefetched, ahead)
		}
	}
}

// TestAPlaceIsGivenOnce: a worker says that it has started what was sent ahead before it says
// what had ended for that, as one does that comes back. The place of that is not given to another,
// which still waits and can be recalled.
func TestAPlaceIsGivenOnce(t *testing.T) {
	l := testLab(t)
	h := goodHello("w1")
	h.Prefetch = 2
	mustJoin(t, l, h)
	for range 3 {
		mustSubmit(t, l, "run: \"true\"")
	}
	w := l.workers["w1"]
	first, second, third := w.held[0].fence, w.held[1].fence, w.held[2].fence
	counts := func(when string, running, prefetched int) {
		t.Helper()
		if _, r, p := l.s.plan.Usage(w.id); r != running || p != prefetched {
			t.Errorf("%s %d have places and %d wait; want %d and %d", when, r, p, running, prefetched)
		}
	}
	report := func(r link.Report) { // past the lab, whose workers report in order
		d, err := l.s.Decide(Input{Now: l.now}, WorkerReport{Worker: w.id, Session: w.session, Report: r})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range d.Events {
			l.s.Apply(e)
		}
	}
	counts("at first", 1, 2)
	report(link.Report{Started: []link.Started{{Fence: first, At: l.now}, {Fence: second, At: l.now}}})
	counts("with two that have started", 2, 1)
	report(link.Report{Ended: []link.Result{{Fence: first, Started: l.now, Ended: l.now}}})
	counts("once the first has ended", 1, 1)
	report(link.Report{Ended: []link.Result{{Fence: second, Started: l.now, Ended: l.now}}})
	counts("once the second has", 1, 0)
	if a := l.s.attempts[third]; a.prefetched {
		t.Error("the third waits still")
	}
}

// TestReducedHello: in a cluster of an older format a worker is let in with what that has a
// place for, and told; once the format is raised it is asked to say all again.
func TestReducedHello(t *testing.T) {
	l := testLab(t)
	plain := goodHello("w2")
	plain.Pool = DefaultName
	mustJoin(t, l, plain)
	h := goodHello("w1")
	h.Capacity.Other, h.Devices, h.Pool = "gpu=2\nlicence=3", "gpu=a,b", "night"
	reply, err := l.turn(WorkerHello{Hello: h})
	if err != nil {
		t.Fatal(err)
	}
	w := reply.(Welcomed)
	const note = "of this worker gpu, licence, pool night can't be used so far: that needs format 3, and the cluster's is 1: reeve upgrade --finalize raises it"
	if !strings.Contains(w.Note, note) {
		t.Errorf("it is told %q, want %s", w.Note, note)
	}
	known := l.s.workers[w.Worker].hello
	if known.Capacity.Other != "" || known.Devices != "" || known.Pool != "" || known.Capacity.CPU != h.Capacity.CPU {
		t.Errorf("known of it is %+v", known)
	}
	d, err := l.s.Decide(Input{Now: l.now}, RaiseFormat{To: 2})
	if err != nil || len(d.Sends) != 0 {
		t.Errorf("format 2 tells workers %v, %v", d.Sends, err)
	}
	if d, err = l.s.Decide(Input{Now: l.now}, RaiseFormat{To: FormatResources}); err != nil || len(d.Sends) != 2 || !strings.Contains(d.Sends[1].Msg.Goodbye, "say again") {
		t.Fatalf("the raise tells workers %v, %v", d.Sends, err)
	}
	mustTurn(t, l, RaiseFormat{To: FormatResources})
	h.Greeting = 1
	if reply, err = l.turn(WorkerHello{Hello: h}); err != nil || reply.(Welcomed).Note != "" {
		t.Fatalf("it is told %v, %v", reply, err)
	}
	if known = l.s.workers[w.Worker].hello; known.Capacity.Other != h.Capacity.Other || known.Devices != h.Devices || known.Pool != "night" {
		t.Errorf("known of it is %+v", known)
	}
	if v := l.s.workers[l.workers["w2"].id]; v.hello.Pool != "" || v.pool() != DefaultName {
		t.Errorf("a worker of the default pool is of %q", v.hello.Pool)
	}
}

// TestPoolLabel: a worker's pool is a label of it, also of a worker that does not say so.
func TestPoolLabel(t *testing.T) {
	l, _ := deviceLab(t)
	night, old := goodHello("w2"), goodHello("w3")
	night.Pool, night.Labels = "night", map[string]string{"pool": "night", "a": "b"}
	mustJoin(t, l, night)
	mustJoin(t, l, old)
	for name, want := range map[string]string{"w1": "pool=default", "w2": "a=b pool=night", "w3": "pool=default"} {
		if got := strings.Join(l.s.workers[l.workers[name].id].labels(), " "); got != want {
			t.Errorf("%s has the labels %s, want %s", name, got, want)
		}
	}
	mustSubmit(t, l, "run: \"true\"\nwhere: [pool=night]\n")
	if len(l.workers["w2"].held) != 1 {
		t.Error("what asks for a pool is not given to its worker")
	}
}

// TestPick chooses the first devices that nobody has.
func TestPick(t *testing.T) {
	sp := &spec{spec: &job.Spec{Tasks: []job.Task{{}}}}
	for i, c := range []struct {
		has, taken job.Devices
		ask        job.Amounts
		want       job.Devices
		enough     bool
	}{
		{"", "", "gpu=1", "", true}, // only counted
		{"gpu=a,b", "", "gpu=1", "gpu=a", true},
		{"gpu=a,b", "gpu=a", "gpu=1", "gpu=b", true},
		{"gpu=a,b", "gpu=a", "gpu=2", "", false},
		{"gpu=a,b", "gpu=x", "gpu=2", "gpu=a,b", true},
		{"fpga=x,y\ngpu=a,b,c", "fpga=x\ngpu=b", "fpga=1\ngpu=2\nlicence=7", "fpga=y\ngpu=a,c", true},
		{"fpga=x\ngpu=a", "fpga=x", "fpga=1\ngpu=1", "", false},
		{"gpu=a", "", "disk=5", "", true},
	} {
		w := &worker{hello: link.Hello{Devices: c.has}}
		for _, ids := range []job.Devices{c.taken, ""} {
			w.link(&attempt{job: &jobState{spec: sp}, devices: ids})
		}
		if got, enough := w.pick(job.Resources{Other: c.ask}); got != c.want || enough != c.enough {
			t.Errorf("%d: %q, %v; want %q, %v", i, got, enough, c.want, c.enough)
		}
	}
	w := &worker{hello: link.Hello{Devices: "gpu=a,b,c"}}
	for i := range 2 {
		w.link(&attempt{job: &jobState{spec: sp}, devices: job.Devices(fmt.Sprintf("gpu=%c", 'a'+i))})
	}
	if d, enough := w.pick(job.Resources{Other: "gpu=1"}); d != "gpu=c" || !enough {
		t.Errorf("the third of three is %q, %v", d, enough)
	}
}
