package session

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// opened is a machine whose worker 7 has been welcomed.
func opened(t *testing.T, held ...link.Held) *Machine {
	t.Helper()
	m := NewMachine(time.Minute)
	m.Step(Position{}, Event{From: &link.FromWorker{Hello: &link.Hello{Name: "w1", Incarnation: 1, Held: held}}})
	m.Step(Position{}, Event{Joined: &core.Welcomed{Worker: 7, Session: 3}})
	return m
}

func TestBreachesOfTheProtocol(t *testing.T) {
	hello := link.FromWorker{Hello: &link.Hello{Name: "w1"}}
	beat := link.FromWorker{Beat: &link.Beat{Number: 1}}
	for name, test := range map[string]struct {
		m    *Machine
		from link.FromWorker
		says string
	}{
		"a beat before the hello":   {NewMachine(time.Minute), beat, "begins with one hello"},
		"nothing before the hello":  {NewMachine(time.Minute), link.FromWorker{}, "begins with one hello"},
		"a second hello":            {opened(t), hello, "second hello"},
		"a message of no kind":      {opened(t), link.FromWorker{}, "second hello"},
		"leaving before the hello":  {NewMachine(time.Minute), link.FromWorker{Leaving: true}, "begins with one hello"},
		"a report before the hello": {NewMachine(time.Minute), link.FromWorker{Report: &link.Report{}}, "begins with one hello"},
	} {
		got := test.m.Step(Position{}, Event{From: &test.from})
		if len(got) != 1 || !strings.Contains(got[0].Close, test.says) {
			t.Errorf("%s: %+v; want it closed with %q", name, got, test.says)
		}
	}
}

// TestBeforeTheWelcome says nothing to whom the leader has not let in.
func TestBeforeTheWelcome(t *testing.T) {
	m := NewMachine(time.Minute)
	hello := link.Hello{Name: "w1", Incarnation: 4}
	got := m.Step(Position{}, Event{From: &link.FromWorker{Hello: &hello}})
	if diff := cmp.Diff([]Action{{Do: core.WorkerHello{Hello: hello}}}, got); diff != "" {
		t.Errorf("a hello (-want +got):\n%s", diff)
	}
	if got := m.Step(Position{}, Event{Out: []link.ToWorker{{Ack: []link.Fence{1}}}}); got != nil || m.Worker() != 0 {
		t.Errorf("before the welcome worker %d is told %+v", m.Worker(), got)
	}
	if got := m.Step(Position{}, Event{Closed: true}); got != nil {
		t.Errorf("the end of a session that never began is told: %+v", got)
	}
	got = m.Step(Position{}, Event{JoinErr: errors.New("no more workers are allowed")})
	if len(got) != 1 || got[0].Close != "no more workers are allowed" {
		t.Errorf("a refusal: %+v", got)
	}
	if got := m.Step(Position{}, Event{}); got != nil {
		t.Errorf("nothing happened, and %+v", got)
	}
}

func TestWelcome(t *testing.T) {
	m := NewMachine(30 * time.Second)
	m.Step(Position{}, Event{From: &link.FromWorker{Hello: &link.Hello{Name: "w1"}}})
	got := m.Step(Position{Generation: 2, Seq: 9}, Event{Joined: &core.Welcomed{Worker: 7, Session: 3}})
	want := []Action{{Heard: 7}, {Send: &link.ToWorker{Welcome: &link.Welcome{
		WorkerID: 7, Generation: 2, Seq: 9, Beat: 5 * time.Second, Lease: 30 * time.Second,
	}}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	m.Step(Position{}, Event{From: &link.FromWorker{Leaving: true}})
	got = m.Step(Position{}, Event{Closed: true})
	if diff := cmp.Diff([]Action{{Do: core.WorkerClosed{Worker: 7, Session: 3, Left: true}}}, got); diff != "" {
		t.Errorf("the end (-want +got):\n%s", diff)
	}
	if got := m.Step(Position{}, Event{Closed: true}); got != nil {
		t.Errorf("a second end: %+v", got)
	}
}

// reports is what the leader is asked to decide, without the heartbeat before it.
func reports(t *testing.T, got []Action) (out []link.Report) {
	t.Helper()
	if len(got) == 0 || got[0].Heard != 7 {
		t.Fatalf("a report renews no lease: %+v", got)
	}
	for _, a := range got[1:] {
		out = append(out, a.Do.(core.WorkerReport).Report)
	}
	return out
}

// TestLargeReportsAreCut passes many or large results on in pieces, whole and in order.
func TestLargeReportsAreCut(t *testing.T) {
	for name, test := range map[string]struct {
		results, bytes, pieces int
	}{
		"nothing":            {0, 0, 1},
		"one large":          {1, 3 << 20, 1},
		"a few large":        {4, maxResultBytes / 2, 2},
		"each over":          {3, maxResultBytes + 1, 3},
		"many small":         {maxResults*2 + 1, 10, 3},
		"exactly one piece":  {maxResults, 10, 1},
		"exactly two pieces": {maxResults * 2, 0, 2},
	} {
		t.Run(name, func(t *testing.T) {
			r := link.Report{Started: []link.Started{{Fence: 1}}, Returned: []link.Fence{999_999}}
			for i := range test.results {
				r.Ended = append(r.Ended, link.Result{Fence: link.Fence(i + 1), Outputs: make([]byte, test.bytes), Cause: job.Cause{}})
			}
			got := reports(t, opened(t).Step(Position{}, Event{From: &link.FromWorker{Report: &r}}))
			if len(got) != test.pieces {
				t.Errorf("%d pieces; want %d", len(got), test.pieces)
			}
			var whole link.Report
			for _, piece := range got {
				size := 0
				for i := range piece.Ended {
					size += len(piece.Ended[i].Outputs)
				}
				if len(piece.Ended) > maxResults || len(piece.Ended) > 1 && size > maxResultBytes {
					t.Errorf("a piece of %d results and %d bytes", len(piece.Ended), size)
				}
				whole.Started = append(whole.Started, piece.Started...)
				whole.Ended = append(whole.Ended, piece.Ended...)
				whole.Returned = append(whole.Returned, piece.Returned...)
			}
			same := func(a, b link.Result) bool { return a.Fence == b.Fence && len(a.Outputs) == len(b.Outputs) }
			if !slices.EqualFunc(r.Ended, whole.Ended, same) || len(whole.Started) != 1 || len(whole.Returned) != 1 {
				t.Errorf("%d results in, %d out, of which %d started and %d returned", len(r.Ended), len(whole.Ended), len(whole.Started), len(whole.Returned))
			}
		})
	}
}

// TestSpecsAreCarriedOnce forgets what it has carried when that becomes too much, and
// then carries it again: the worker may have been told so much that it forgot too.
func TestSpecsAreCarriedOnce(t *testing.T) {
	m := opened(t)
	carried := func(n int) int {
		spec := link.SpecText{Hash: [32]byte{byte(n), byte(n >> 8)}}
		a := link.Assign{Specs: []link.SpecText{spec, spec}, Attempts: []link.Assignment{{Fence: link.Fence(n + 1)}}}
		got := m.Step(Position{}, Event{Out: []link.ToWorker{{Assign: &a}}})
		return len(got[0].Send.Assign.Specs)
	}
	for n := range maxSpecs {
		if first, again := carried(n), carried(n); first != 1 || again != 0 {
			t.Fatalf("spec %d was carried %d times, and again %d times", n, first, again)
		}
	}
	if carried(maxSpecs) != 1 || carried(0) != 1 || carried(0) != 0 {
		t.Error("past the bound a spec must be carried again, once")
	}
}

func TestRefusedHidesWhatIsInternal(t *testing.T) {
	for _, test := range []struct {
		err  error
		says string
	}{
		{&job.Error{Code: job.Refused, Message: "worker w1 speaks protocol 9"}, "worker w1 speaks protocol 9"},
		{errors.New("sql: secret path"), "internal error; the server's log has it"},
	} {
		if got := Refused(test.err); got != test.says {
			t.Errorf("%v is told as %q; want %q", test.err, got, test.says)
		}
	}
}

// TestNowAndThenEverythingIsCompared: an assignment that never came to the session is
// missed by the leader alone, so that it must be asked even if nothing looks wrong.
func TestNowAndThenEverythingIsCompared(t *testing.T) {
	m := NewMachine(time.Minute)
	m.Step(Position{}, Event{From: &link.FromWorker{Hello: &link.Hello{Name: "w1", Incarnation: 5}}})
	m.Step(Position{}, Event{Joined: &core.Welcomed{Worker: 7, Session: 1}})
	held := []link.Held{{Fence: 3, Phase: link.Waiting}}
	m.Step(Position{}, Event{Out: []link.ToWorker{{Assign: &link.Assign{Attempts: []link.Assignment{{Fence: 3}}}}}})
	var asked []core.Command
	for n := range uint64(2 * compareEvery) {
		for _, a := range m.Step(Position{}, Event{From: &link.FromWorker{Beat: &link.Beat{Number: n + 1, Held: held}}}) {
			if a.Do != nil {
				asked = append(asked, a.Do)
			}
		}
	}
	c := core.WorkerHeld{Worker: 7, Session: 1, Held: held}
	if diff := cmp.Diff([]core.Command{c, c}, asked); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
