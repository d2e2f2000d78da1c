package wire

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"pgregory.net/rapid"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"

	reevev1 "github.com/reeve-scheduler/reeve/gen/reeve/v1"
)

// anyOf draws a value of a type with every field drawn, so that a field that is
// forgotten on the way shows.
func anyOf[T any](t *rapid.T, label string) T { return rapid.Make[T]().Draw(t, label) }

func drawHeld(t *rapid.T) []link.Held {
	held := anyOf[[]link.Held](t, "held")
	for i := range held {
		held[i].Phase = rapid.SampledFrom([]link.Phase{link.Waiting, link.Running, link.Ended}).Draw(t, "phase")
	}
	return held
}

func drawCause(t *rapid.T) job.Cause {
	c := anyOf[job.Cause](t, "cause")
	c.Kind = job.CauseKind(rapid.IntRange(0, int(job.LastCause)).Draw(t, "kind"))
	return c
}

// drawSpan is a duration that the wire, which has milliseconds, can carry.
func drawSpan(t *rapid.T, label string) time.Duration {
	return time.Duration(rapid.Int64Range(0, math.MaxInt64/int64(time.Millisecond)).Draw(t, label)) * time.Millisecond
}

func drawSmall(t *rapid.T, label string) int { return rapid.IntRange(0, math.MaxInt32).Draw(t, label) }

func drawAmounts(t *rapid.T) job.Amounts {
	return job.AmountsOf(rapid.MapOfN(rapid.StringMatching("[a-c]x?"), rapid.Int64(), 0, 3).Draw(t, "amounts"))
}

func drawDevices(t *rapid.T) (d job.Devices) {
	for _, name := range []string{"fpga", "gpu"} {
		d = d.Set(name, rapid.SliceOfNDistinct(rapid.StringMatching("[a-z0-9/:._-]{1,8}"), 0, 3, rapid.ID).Draw(t, "ids"))
	}
	return d
}

func drawFromWorker(t *rapid.T) link.FromWorker {
	switch rapid.IntRange(0, 3).Draw(t, "message") {
	case 0:
		h := anyOf[link.Hello](t, "hello")
		h.Slots, h.Prefetch, h.Held = drawSmall(t, "slots"), drawSmall(t, "prefetch"), drawHeld(t)
		h.Capacity.Other, h.Devices = drawAmounts(t), drawDevices(t)
		return link.FromWorker{Hello: &h}
	case 1:
		return link.FromWorker{Beat: &link.Beat{Number: anyOf[uint64](t, "number"), Held: drawHeld(t)}}
	case 2:
		r := anyOf[link.Report](t, "report")
		for i := range r.Ended {
			r.Ended[i].Cause, r.Ended[i].Usage.CPU = drawCause(t), drawSpan(t, "cpu")
		}
		return link.FromWorker{Report: &r}
	}
	return link.FromWorker{Leaving: true}
}

func drawToWorker(t *rapid.T) link.ToWorker {
	switch rapid.IntRange(0, 6).Draw(t, "message") {
	case 0:
		w := anyOf[link.Welcome](t, "welcome")
		w.Beat, w.Lease = drawSpan(t, "beat"), drawSpan(t, "lease")
		return link.ToWorker{Welcome: &w}
	case 1:
		b := anyOf[link.BeatAnswer](t, "answer")
		return link.ToWorker{Beat: &b}
	case 2:
		a := &link.Assign{Specs: anyOf[[]link.SpecText](t, "specs")}
		for range rapid.IntRange(0, 3).Draw(t, "attempts") {
			a.Attempts = append(a.Attempts, drawAssignment(t))
		}
		return link.ToWorker{Assign: a}
	case 3:
		s := anyOf[link.Stop](t, "stop")
		s.Grace, s.Cause = drawSpan(t, "grace"), drawCause(t)
		return link.ToWorker{Stop: &s}
	case 4:
		return link.ToWorker{Recall: rapid.SliceOfN(rapid.Make[link.Fence](), 1, 5).Draw(t, "recall")}
	case 5:
		return link.ToWorker{Ack: rapid.SliceOfN(rapid.Make[link.Fence](), 1, 5).Draw(t, "ack")}
	}
	return link.ToWorker{Goodbye: rapid.StringN(1, 40, -1).Draw(t, "goodbye")}
}

func drawAssignment(t *rapid.T) link.Assignment {
	return link.Assignment{
		Fence: anyOf[link.Fence](t, "fence"), Job: anyOf[job.ID](t, "job"), JobUID: anyOf[string](t, "uid"), Namespace: anyOf[string](t, "namespace"),
		Task: anyOf[uint32](t, "task"), Position: anyOf[int64](t, "position"), Index: anyOf[int64](t, "index"),
		Attempt: drawSmall(t, "attempt"), SpecHash: anyOf[[32]byte](t, "hash"), Params: anyOf[[]byte](t, "params"), Payload: anyOf[[]byte](t, "payload"),
		Item: anyOf[string](t, "item"), HasItem: anyOf[bool](t, "has item"), Count: anyOf[int64](t, "count"), First: anyOf[int64](t, "first"), Last: anyOf[int64](t, "last"),
		Outputs: anyOf[[]link.TaskOutputs](t, "outputs"), Lease: drawSpan(t, "lease"), JobDeadline: anyOf[int64](t, "deadline"), Prefetched: anyOf[bool](t, "prefetched"),
		Devices: drawDevices(t), Hosts: anyOf[[]string](t, "hosts"), Offers: drawResources(t), Way: rapid.Uint8Range(0, job.MaxEither-1).Draw(t, "way"), Memory: rapid.Int64Range(0, 1<<50).Draw(t, "memory"),
	}
}

// overTheWire encodes a message and decodes it again.
func overTheWire[M proto.Message](t *rapid.T, m, into M) M {
	t.Helper()
	text, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if err := proto.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
	return into
}

// TestSessionRoundTrip: what one end of a session says the other hears, field for
// field.
func TestSessionRoundTrip(t *testing.T) {
	t.Run("from worker", rapid.MakeCheck(func(t *rapid.T) {
		m := drawFromWorker(t)
		got, err := FromWorker(overTheWire(t, FromWorkerMessage(m), &reevev1.SessionRequest{}))
		if diff := cmp.Diff(m, got, cmpopts.EquateEmpty()); diff != "" || err != nil {
			t.Errorf("%v (-said +heard)\n%s", err, diff)
		}
	}))
	t.Run("to worker", rapid.MakeCheck(func(t *rapid.T) {
		m := drawToWorker(t)
		got, err := ToWorker(overTheWire(t, ToWorkerMessage(m), &reevev1.SessionResponse{}))
		if diff := cmp.Diff(m, got, cmpopts.EquateEmpty()); diff != "" || err != nil {
			t.Errorf("%v (-said +heard)\n%s", err, diff)
		}
	}))
}

// TestSessionTakesAnything: no message, however odd, does more than be refused: what
// is taken is of values that the domain knows.
func TestSessionTakesAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ended := &reevev1.Ended{Cause: anyOf[uint32](t, "cause"), CpuMs: anyOf[int64](t, "cpu")}
		held := &reevev1.Held{Phase: reevev1.HeldPhase(anyOf[int32](t, "phase"))}
		for _, m := range []*reevev1.SessionRequest{
			{}, {Message: &reevev1.SessionRequest_Report{Report: &reevev1.Report{Ended: []*reevev1.Ended{ended}}}},
			{Message: &reevev1.SessionRequest_Beat{Beat: &reevev1.Beat{Held: []*reevev1.Held{held}}}},
			{Message: &reevev1.SessionRequest_Hello{Hello: &reevev1.Hello{Held: []*reevev1.Held{held}, Slots: anyOf[int32](t, "slots")}}},
			{Message: &reevev1.SessionRequest_Hello{}}, {Message: &reevev1.SessionRequest_Beat{}}, {Message: &reevev1.SessionRequest_Report{}},
		} {
			got, err := FromWorker(m)
			if err != nil {
				continue
			}
			var all []link.Held
			if got.Beat != nil {
				all = got.Beat.Held
			}
			if got.Hello != nil {
				all = got.Hello.Held
			}
			for _, h := range all {
				if h.Phase != link.Waiting && h.Phase != link.Running && h.Phase != link.Ended {
					t.Errorf("phase %d was taken", h.Phase)
				}
			}
			if got.Report != nil {
				for _, e := range got.Report.Ended {
					if uint32(e.Cause.Kind) != ended.GetCause() || e.Cause.Kind > job.LastCause || (e.Usage.CPU < 0) != (ended.GetCpuMs() < 0) {
						t.Errorf("%v was taken as %+v", ended, e)
					}
				}
			}
		}
		stop := &reevev1.Stop{Cause: anyOf[uint32](t, "cause"), GraceMs: anyOf[int64](t, "grace")}
		if got, err := ToWorker(&reevev1.SessionResponse{Message: &reevev1.SessionResponse_Stop{Stop: stop}}); err == nil && uint32(got.Stop.Cause.Kind) != stop.GetCause() {
			t.Errorf("%v was taken as %+v", stop, got.Stop)
		}
	})
	for name, m := range map[string]*reevev1.SessionResponse{
		"nothing":                {},
		"an assignment's hash":   {Message: &reevev1.SessionResponse_Assign{Assign: &reevev1.Assign{Attempts: []*reevev1.Assignment{{SpecHash: []byte("short")}}}}},
		"a spec's hash":          {Message: &reevev1.SessionResponse_Assign{Assign: &reevev1.Assign{Specs: []*reevev1.SpecText{{}}}}},
		"a cause of the future":  {Message: &reevev1.SessionResponse_Stop{Stop: &reevev1.Stop{Cause: uint32(job.LastCause) + 1}}},
		"a device of no name":    {Message: &reevev1.SessionResponse_Assign{Assign: &reevev1.Assign{Attempts: []*reevev1.Assignment{{SpecHash: make([]byte, 32), Devices: map[string]string{"gpu": "a b"}}}}}},
		"a cause past its limit": {Message: &reevev1.SessionResponse_Stop{Stop: &reevev1.Stop{Cause: 1 << 8}}},
	} {
		if got, err := ToWorker(m); err == nil {
			t.Errorf("%s was taken: %+v", name, got)
		}
	}
}

// TestEnums: each value of the wire's enumerations has its value in the domain, and
// the other way round.
func TestEnums(t *testing.T) {
	values := reevev1.HeldPhase(0).Descriptor().Values()
	for i := range values.Len() {
		n := values.Get(i).Number()
		got, err := held([]*reevev1.Held{{Phase: reevev1.HeldPhase(n)}})
		if n == 0 {
			if err == nil {
				t.Error("an unspecified phase was taken")
			}
			continue
		}
		if err != nil || heldMessages(got)[0].GetPhase() != reevev1.HeldPhase(n) {
			t.Errorf("%s: %v, %v", values.Get(i).Name(), got, err)
		}
	}
	if int(link.Ended) != values.Len()-1 {
		t.Errorf("the domain has %d phases, the wire %d", link.Ended, values.Len()-1)
	}
	for k := range job.LastCause + 1 {
		if got, err := cause(uint32(k), 1, "x"); err != nil || got.Kind != k {
			t.Errorf("cause %d: %v, %v", k, got, err)
		}
		if words := (job.Cause{Kind: k, Code: 1, Detail: "x"}).String(); (words == "") != (k == job.CauseNone) || strings.Contains(words, "unknown") {
			t.Errorf("cause %d reads %q", k, words)
		}
	}
	var enums []string
	for _, f := range []protoreflect.FileDescriptor{reevev1.File_reeve_v1_job_proto, reevev1.File_reeve_v1_cluster_proto, reevev1.File_reeve_v1_worker_proto} {
		for i := range f.Enums().Len() {
			enums = append(enums, string(f.Enums().Get(i).Name()))
		}
	}
	if diff := cmp.Diff([]string{"HeldPhase"}, enums); diff != "" {
		t.Errorf("an enumeration that this test does not know (-known +there):\n%s", diff)
	}
}

// TestHelloResources: amounts and ids that could not be kept are refused with a word on why.
func TestHelloResources(t *testing.T) {
	many := map[string]int64{}
	for i := range job.MaxResources + 1 {
		many[fmt.Sprint("r", i)] = 1
	}
	for says, h := range map[string]*reevev1.Hello{
		"small letters":                 {Resources: map[string]int64{"GPU\n": 1}},
		"has a place of its own":        {Resources: map[string]int64{"cpu": 1}},
		"a worker has 17 resources":     {Resources: many},
		`gpu "a b": want a device's id`: {Devices: map[string]string{"gpu": "0,a b"}},
		`gpu "": want a device's id`:    {Devices: map[string]string{"gpu": ""}},
		`"0" is named twice`:            {Devices: map[string]string{"gpu": "0,0"}},
	} {
		if got, err := FromWorker(&reevev1.SessionRequest{Message: &reevev1.SessionRequest_Hello{Hello: h}}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v is taken as %+v, %v; want an error that says %s", h, got.Hello, err, says)
		}
	}
}
