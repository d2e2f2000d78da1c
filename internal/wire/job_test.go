package wire

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/element"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/jobfile"
	"github.com/reeve-scheduler/reeve/internal/link"
	"github.com/reeve-scheduler/reeve/internal/plan"
	"github.com/reeve-scheduler/reeve/internal/predict"

	reevev1 "github.com/reeve-scheduler/reeve/gen/reeve/v1"
)

// unset names the fields of a message that are not set, but for those excepted.
func unset(m proto.Message, except ...string) []string {
	var out []string
	fields := m.ProtoReflect().Descriptor().Fields()
	skip := map[string]bool{}
	for _, e := range except {
		skip[e] = true
	}
	for i := range fields.Len() {
		if f := fields.Get(i); !m.ProtoReflect().Has(f) && !skip[string(f.Name())] {
			out = append(out, string(f.Name()))
		}
	}
	return out
}

// TestNothingIsForgotten writes images in which everything is set: each field of the
// messages is then set too.
func TestNothingIsForgotten(t *testing.T) {
	parsed, err := jobfile.Parse("", []byte("tasks: {a: {run: x}, b: {needs: a, run: x, either: [{gpu: 1}, {cpu: 4}]}}"))
	if err != nil {
		t.Fatal(err)
	}
	cause := job.Cause{Kind: job.CauseExit, Code: 3}
	record := element.Record{State: job.Failed, Attempts: 2, Cause: cause, Worker: 7, Started: 1, Ended: 2, Carried: true,
		Usage: job.Usage{CPU: time.Second, Memory: 1024}}
	image := &core.JobImage{
		ID: 4217, Namespace: "team", Queue: "night", Name: "etl", State: job.JobFailed, Cause: cause, Labels: map[string]string{"k": "v"},
		Priority: 1, Submitted: 1, Started: 2, Ended: 3, Deadline: 4, StartAfter: 5, StartBefore: 6, KeepUntil: 7, Held: true, By: "anna", Code: 3, Front: 8,
		RetryOf: 17, Waits: []core.Wait{{Job: 9}}, Tasks: []core.TaskImage{
			{Counts: job.Counts{0, 0, 0, 0, 1}, Started: 1, Ended: 2, Held: true, Record: record, Outputs: []byte(`{"k":"v"}`)},
			{Counts: job.Counts{0, 0, 0, 0, 1}, Started: 1, Ended: 2, Record: record},
		},
	}
	out := Job(image)
	if err := Tasks(out, image, parsed.Spec, func(id uint64) string { return fmt.Sprint("w", id) }); err != nil {
		t.Fatal(err)
	}
	// Those are the handlers' to set; cancel_requested is of jobs that have not ended.
	if missing := unset(out, "params", "spec", "counts", "cancel_requested", "expected_start", "expected_end", "expected_at_least", "deadline_warning"); missing != nil {
		t.Errorf("a job lacks %v", missing)
	}
	if missing := unset(out.GetTasks()[1], "array", "nodes", "outputs", "held", "forecast", "expected_start", "expected_worker"); missing != nil {
		t.Errorf("a task lacks %v", missing)
	}
	if first := out.GetTasks()[0]; !first.GetHeld() || first.GetOutputs()["k"] != "v" {
		t.Errorf("the first task: %v", first)
	}
	known := core.Prediction{
		Run: predict.Estimate{Run: 720_000, Low: 540_000, High: 1_200_000, Runs: 212, Others: true}, Memory: predict.Memory{P99: 1, Max: 2, Runs: 3, Others: true},
		Advice: predict.Advice{Requested: 4 << 30, Suggested: 1 << 30}, Advised: true,
	}
	if f := Forecast(known); unset(f) != nil || f.GetRun() != "about 12m (9m to 20m, of 212 runs by others)" {
		t.Errorf("a forecast: %v; it lacks %v", f, unset(f))
	}
	known.Advised = false
	if f := Forecast(known); f.GetMemoryAdvice() != "" || f.GetMemorySuggestedBytes() != 0 {
		t.Errorf("no advice: %v", f)
	}
	if f := Forecast(core.Prediction{Advice: known.Advice}); f != nil {
		t.Errorf("a forecast of nothing: %v", f)
	}
	view := &core.ElementView{Index: 3, Record: record, RetryAt: 5, Stopping: true, Worker: "w7", Assigned: 1, Devices: "gpu=0,1", Given: &job.Resources{CPU: 1}}
	if missing := unset(Element(4217, "a", view, 17)); missing != nil {
		t.Errorf("an element lacks %v", missing)
	}
	if e := Element(4217, "a", view, 17); e.GetId() != "4217.a.3" || e.GetCarriedFrom() != "17.a.3" || e.GetExitCode() != 3 {
		t.Errorf("an element: %v", e)
	}
	task := &job.Task{Either: []job.Resources{{CPU: 1000, Other: "gpu=1"}, {CPU: 4000, Memory: 1 << 20}}}
	past := &core.PastAttempt{Way: 1, Memory: 1 << 30, Number: 1, Cause: cause, Worker: "w1", Assigned: 1, Started: 2, Ended: 3, Usage: job.Usage{CPU: time.Second, Memory: 1}}
	ref := job.Ref{Job: 4217, Task: "a", Index: 3}
	if missing := unset(Past(past, ref, task), "devices"); missing != nil {
		t.Errorf("an earlier attempt lacks %v", missing)
	}
	if got := Past(past, ref, task).GetResources(); len(got) != 2 || got["cpu"] != "4" || got["memory"] != "1Gi" {
		t.Errorf("an earlier attempt was given %v", got)
	}
	if missing := unset(Last(view, ref)); missing != nil {
		t.Errorf("the last attempt lacks %v", missing)
	}
	worker := &core.WorkerView{
		WorkerImage: core.WorkerImage{ID: 7, Joined: 1, Hello: link.Hello{
			Name: "w7", Labels: map[string]string{"k": "v"}, Capacity: job.Resources{CPU: 1, Memory: 1, Other: "gpu=2"}, Devices: "gpu=0,1", Slots: 1, Executors: []string{"process"},
			Functions: []string{"f"}, Version: "v", Host: "h", About: []string{"a"}, Unfit: "no room",
		}},
		Used: job.Resources{CPU: 1, Memory: 1, Other: "gpu=1"}, Taken: "gpu=0", Running: 1, Prefetched: 1,
		Offers: job.Resources{CPU: 2, Memory: 1, Other: "gpu=2\nlicence=3"}, Overcommit: job.Factors{CPU: 2500, Other: "licence=1500"},
		Reserved: []plan.Window{{Name: "night", From: 5000, Until: 6000, Namespace: "default", Queue: "night"}},
	}
	if missing := unset(Worker(worker, true), "seen_at"); missing != nil { // nobody keeps it yet
		t.Errorf("a worker lacks %v", missing)
	}
	if w := Worker(worker, true); w.GetResources()["gpu"] != 2 || w.GetResourcesUsed()["gpu"] != 1 || w.GetDevices()["gpu"] != "0,1" ||
		w.GetDevicesUsed()["gpu"] != "0" || w.GetPool() != core.DefaultName {
		t.Errorf("a worker with devices: %v", w)
	}
	if w := Worker(worker, true); w.GetCpuMilliOffered() != 2 || w.GetResourcesOffered()["licence"] != 3 || w.GetOvercommit()["cpu"] != "2.5" || len(w.GetOvercommit()) != 2 {
		t.Errorf("a worker that is over-committed: %v", w)
	}
	if r := Worker(worker, true).GetReserved()[0]; r.GetName() != "night" || r.GetQueue() != "night" || r.GetUntil().AsTime().Unix() != 6 {
		t.Errorf("a worker that is reserved: %v", r)
	}
	if w := Worker(worker, true); w.GetState() != "unfit" {
		t.Errorf("a worker that is not fit is %s", w.GetState())
	}
	worker.Hello.Unfit = ""
	for state, want := range map[string][2]bool{"ready": {false, false}, "draining": {true, false}, "away": {true, true}} {
		worker.Draining, worker.Away = want[0], want[1]
		if got := Worker(worker, false).GetState(); got != state {
			t.Errorf("a worker is %s; want %s", got, state)
		}
	}
}

// TestRunningJob: a job that has not ended has no exit code, and says that it was
// asked to end.
func TestRunningJob(t *testing.T) {
	m := Job(&core.JobImage{ID: 1, State: job.JobRunning, Code: 3, Stop: job.Cause{Kind: job.CauseCancelled}})
	if m.GetExitCode() != 0 || !m.GetCancelRequested() || m.GetEndedAt() != nil || m.GetRetryOf() != "" {
		t.Errorf("a running job: %v", m)
	}
	if got := Past(&core.PastAttempt{Number: 1, Cause: job.Cause{Kind: job.CauseTimeout}}, job.Ref{Job: 1, Task: "a", Index: job.NoIndex}, &job.Task{}); got.GetState() != "timed_out" || got.GetId() != "1.a@1" {
		t.Errorf("an attempt that timed out: %v", got)
	}
}

// TestGangTask: a task that asks for several workers says for how many.
func TestGangTask(t *testing.T) {
	parsed, err := jobfile.Parse("", []byte("nodes: 3\nrun: x"))
	if err != nil {
		t.Fatal(err)
	}
	var out reevev1.Job
	image := &core.JobImage{ID: 1, Tasks: []core.TaskImage{{N: 3, Counts: job.Counts{3}}}}
	if err := Tasks(&out, image, parsed.Spec, func(uint64) string { return "" }); err != nil || out.GetTasks()[0].GetNodes() != 3 {
		t.Errorf("a gang of three: %v, %v", &out, err)
	}
}

// TestBadOutputs: outputs that can't be read are an error, not nothing.
func TestBadOutputs(t *testing.T) {
	spec := &job.Spec{Tasks: []job.Task{{Name: "a"}}}
	image := &core.JobImage{ID: 1, Tasks: []core.TaskImage{{Outputs: []byte("{")}}}
	if err := Tasks(&reevev1.Job{}, image, spec, func(uint64) string { return "" }); err == nil || !strings.Contains(err.Error(), "outputs of job 1 task a") {
		t.Errorf("broken outputs: %v", err)
	}
}

// TestCounts: each state has its number, and their sum is the total.
func TestCounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c job.Counts
		for i := range c {
			c[i] = rapid.Int64Range(0, 1<<40).Draw(t, "count")
		}
		m := Counts(c).ProtoReflect()
		fields := m.Descriptor().Fields()
		for state := range c {
			f := fields.ByName(protoreflect.Name(job.ElementState(state).String()))
			if f == nil || m.Get(f).Int() != c[state] {
				t.Fatalf("%s: %v; want %d", job.ElementState(state), m, c[state])
			}
		}
		if m.Get(fields.ByName("total")).Int() != c.Total() {
			t.Fatalf("the total of %v", m)
		}
	})
}

// TestTimes: a time comes back as it was, to the millisecond, and none is none.
func TestTimes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ms := rapid.Int64Range(-62_135_596_800_000, 253_402_300_799_999).Draw(t, "ms")
		if got := Millis(Time(ms)); got != ms {
			t.Fatalf("%d came back as %d", ms, got)
		}
		if m := Time(ms); m != nil && m.CheckValid() != nil {
			t.Fatalf("%d is not valid: %v", ms, m.CheckValid())
		}
	})
	if Time(0) != nil || Millis(nil) != 0 {
		t.Error("no time is one")
	}
	if got := Millis(timestamppb.New(time.UnixMilli(5).Add(999 * time.Microsecond))); got != 5 {
		t.Errorf("5.999 ms are %d", got)
	}
}

// TestValues: parameters come back as they were; a number that may have lost digits
// is refused, and one that would is written as a text.
func TestValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		given := map[string]any{
			"text": rapid.String().Draw(t, "text"), "yes": rapid.Bool().Draw(t, "yes"),
			"number": float64(rapid.Int64Range(-exact+1, exact-1).Draw(t, "number")), "part": rapid.Float64Range(-1e300, 1e300).Filter(func(f float64) bool { return f != math.Trunc(f) }).Draw(t, "part"),
			"list": []any{rapid.String().Draw(t, "item")},
		}
		raw, err := json.Marshal(given)
		if err != nil {
			t.Fatal(err)
		}
		object, err := Object(raw)
		if err != nil {
			t.Fatal(err)
		}
		values, err := Values(object)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]any{}
		for name, v := range values {
			var one any
			if err := json.Unmarshal(v, &one); err != nil {
				t.Fatal(err)
			}
			got[name] = one
		}
		if diff := cmp.Diff(given, got); diff != "" {
			t.Fatalf("(-given +got)\n%s", diff)
		}
	})
	for text, want := range map[string]string{
		`{"n":9007199254740993}`: "9007199254740993", `{"n":-9223372036854775808}`: "-9223372036854775808", `{"n":{"m":[9007199254740993]}}`: "9007199254740993",
	} {
		object, err := Object([]byte(text))
		if err != nil || !strings.Contains(fmt.Sprint(object.AsMap()), want) {
			t.Errorf("%s became %v, %v", text, object, err)
		}
	}
	for _, n := range []float64{exact, -exact, 1e300} {
		_, err := Values(&structpb.Struct{Fields: map[string]*structpb.Value{"n": structpb.NewNumberValue(n)}})
		if err == nil || !strings.Contains(err.Error(), "parameter n:") || !strings.Contains(err.Error(), "send it as a text") {
			t.Errorf("%g: %v", n, err)
		}
	}
	if s, err := Object(nil); s != nil || err != nil {
		t.Errorf("no object became %v, %v", s, err)
	}
	if _, err := Object([]byte("[]")); err == nil {
		t.Error("a list became an object")
	}
	if _, err := Values(&structpb.Struct{Fields: map[string]*structpb.Value{"n": structpb.NewNumberValue(math.NaN())}}); err == nil {
		t.Error("not a number became one")
	}
}

// TestJSONCodecs: fields are spelled as in job files, both spellings are read, and
// what nobody knows is an error that names it.
func TestJSONCodecs(t *testing.T) {
	for i, c := range JSONCodecs() {
		if want := []string{"json", "json; charset=utf-8"}[i]; c.Name() != want {
			t.Errorf("codec %d is called %q; want %q", i, c.Name(), want)
		}
		text, err := c.Marshal(&reevev1.Job{SubmittedBy: "anna", ExitCode: 3})
		var fields map[string]any
		if err != nil || json.Unmarshal(text, &fields) != nil || fields["submitted_by"] != "anna" || fields["exit_code"] != 3.0 {
			t.Errorf("%s, %v", text, err)
		}
		for _, spelled := range []string{`{"submitted_by":"anna"}`, `{"submittedBy":"anna"}`} {
			m := &reevev1.Job{}
			if err := c.Unmarshal([]byte(spelled), m); err != nil || m.GetSubmittedBy() != "anna" {
				t.Errorf("%s became %v, %v", spelled, m, err)
			}
		}
		if err := c.Unmarshal(nil, &reevev1.Job{}); err != nil {
			t.Errorf("an empty body: %v", err)
		}
		if err := c.Unmarshal([]byte(`{"nonsense":1}`), &reevev1.Job{}); err == nil || !strings.Contains(err.Error(), "nonsense") {
			t.Errorf("an unknown field: %v", err)
		}
		if _, err := c.Marshal("text"); err == nil {
			t.Error("a text was marshalled as a message")
		}
		if err := c.Unmarshal(nil, "text"); err == nil {
			t.Error("a text was unmarshalled as a message")
		}
	}
}
