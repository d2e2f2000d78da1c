package reeve_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve"
	"github.com/reeve-scheduler/reeve/internal/app"
	"github.com/reeve-scheduler/reeve/internal/jobfile"
)

// full is a job that says everything.
func full() reeve.Job {
	return reeve.Job{
		Name: "full", Queue: "default", Namespace: "default", Labels: map[string]string{"team": "a"}, Priority: -5,
		Params: map[string]reeve.Param{
			"day":  {Default: "monday", Enum: []string{"monday", "friday"}, Description: "which"},
			"n":    {Type: "int", Default: 3},
			"list": {Type: "list", Default: []string{"x"}},
		},
		Env: map[string]string{"A": "1"}, Files: map[string]reeve.File{"a.txt": {Content: []byte("text")}, "b.bin": {Content: []byte{0xff, 0}, Mode: 0o600}},
		StartAfter: reeve.In(time.Millisecond), StartBefore: reeve.In(time.Hour), Deadline: reeve.At(time.Date(2100, 1, 2, 3, 4, 5, 0, time.UTC)),
		Retention: 90 * time.Minute,
		Tasks: []reeve.Task{
			{
				Name: "script", Run: "echo hi", Shell: []string{"/bin/sh"}, Env: map[string]string{"B": "2"}, Stdin: "in", Workdir: "/data",
				Files: map[string]reeve.File{"c": {Content: []byte("c")}}, Where: map[string]string{"disk": "ssd", "gpu": "", "int(labels.gen) >= 3": ""}, Pool: "fast", Prefer: []reeve.Preference{{When: "cheapest"}, {When: "spot=true", Weight: -2}},
				Resources: reeve.Resources{CPU: 0.25, Memory: 1 << 20, Disk: 1 << 30, GPU: 1, Other: map[string]int64{"licence": 2, "bandwidth": 1e8, "none": 0}}, Timeout: time.Minute, Grace: 1500 * time.Millisecond, LostAfter: -1,
				AtMostOnce: true, LogLimit: 1 << 20,
			},
			{
				Name: "argv", Command: []string{"true", "${{ params.day }}"}, Needs: []reeve.Need{{Task: "script", On: reeve.OnAny}}, LostAfter: time.Minute,
				Retry: reeve.Retry{MaxAttempts: 3, OnTimeout: -1, OnLost: 5, ExitCodes: []int{1}, Delay: time.Second, MaxDelay: time.Minute, Factor: 1.5},
			},
			{
				Name: "array", Function: "f", Input: map[string]any{"k": []int{1}}, Needs: reeve.Needs("script"), Array: &reeve.Array{Indexes: "0-9:3", Throttle: 2},
				MaxFails: &reeve.MaxFails{Percent: 10, CancelRunning: true, RunPending: true}, Retry: reeve.Retry{NotExitCodes: []int{2}},
			},
			{Name: "each", Function: "f", Needs: []reeve.Need{{Task: "array", Each: true}}, Fetch: []string{"array"}, Array: &reeve.Array{Indexes: "0-9:3"}, MaxFails: &reeve.MaxFails{Count: 1}},
			{Name: "list", Function: "f", Array: &reeve.Array{Items: []string{"a", "b"}}},
			{Name: "from", Function: "f", Array: &reeve.Array{From: "${{ params.list }}"}},
			{Name: "gang", Function: "f", Nodes: 4},
		},
	}
}

// TestJobIsAJobFile: everything that a Job can say is said as a job file says it.
func TestJobIsAJobFile(t *testing.T) {
	text := must[[]byte](t)(full().MarshalJSON())
	const want = `{"deadline":"2100-01-02T03:04:05Z","env":{"A":"1"},"files":{"a.txt":{"content":"text"},"b.bin":{"base64":"/wA=","mode":"0600"}},` +
		`"labels":{"team":"a"},"name":"full","namespace":"default","params":{"day":{"default":"monday","description":"which","enum":["monday","friday"],` +
		`"type":"string"},"list":{"default":["x"],"type":"list"},"n":{"default":3,"type":"int"}},"priority":-5,"queue":"default","retention":"1h30m",` +
		`"start_after":"1ms","start_before":"1h","tasks":[` +
		`{"at_most_once":true,"env":{"B":"2"},"files":{"c":{"content":"c"}},"grace":"1s500ms","log_limit":1048576,"lost_after":"never","name":"script","pool":"fast",` +
		`"prefer":[{"when":"cheapest"},{"weight":-2,"when":"spot=true"}],` +
		`"resources":{"bandwidth":100000000,"cpu":"250m","disk":1073741824,"gpu":1,"licence":2,"memory":1048576},"run":"echo hi","shell":["/bin/sh"],"stdin":"in","timeout":"1m","where":["disk=ssd","gpu","int(labels.gen) \u003e= 3"],"workdir":"/data"},` +
		`{"command":["true","${{ params.day }}"],"lost_after":"1m","name":"argv","needs":[{"condition":"any","task":"script"}],` +
		`"retry":{"delay":"1s","exit_codes":[1],"factor":1.5,"max_attempts":3,"max_delay":"1m","on_lost":5,"on_timeout":0}},` +
		`{"array":{"indexes":"0-9:3","throttle":2},"function":"f","input":{"k":[1]},"max_fails":{"pending":"run","percent":10,"running":"cancel"},` +
		`"name":"array","needs":[{"task":"script"}],"retry":{"not_exit_codes":[2]}},` +
		`{"array":{"indexes":"0-9:3"},"fetch":["array"],"function":"f","max_fails":{"count":1,"pending":"skip","running":"finish"},"name":"each","needs":[{"each":true,"task":"array"}]},` +
		`{"array":{"each":["a","b"]},"function":"f","name":"list"},{"array":{"each":"${{ params.list }}"},"function":"f","name":"from"},{"function":"f","name":"gang","nodes":4}]}`
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("job file (-want +got):\n%s", diff)
	}
	if _, err := jobfile.Parse("job", text); err != nil {
		t.Error(err)
	}
	ctx := withPatience(t)
	client := connect(t, addr)
	id := must[string](t)(client.SubmitFile(ctx, text, reeve.WithParams(map[string]any{"day": "friday", "n": 1 << 53, "list": []string{"y"}}), reeve.WithHold()))
	j := must[*reeve.JobInfo](t)(client.Get(ctx, id))
	if j.Name != "full" || !j.Held || j.Priority != -5 || j.Labels["team"] != "a" || len(j.Tasks) != 7 || !j.Task("array").Array || j.Task("argv").Needs[0] != "script" ||
		j.Task("none") != nil || !maps.Equal(j.Task("script").Resources, map[string]string{
		"bandwidth": "100M", "cpu": "0.25", "disk": "1Gi", "gpu": "1", "licence": "2", "memory": "1Mi",
	}) || j.KeepUntil != (time.Time{}) || j.Submitted.IsZero() {
		t.Errorf("job: %+v", j)
	}
	must[reeve.Stopped](t)(client.Cancel(ctx, id, "enough"))
}

// TestResourcesOnce: what has a field of its own stands there alone.
func TestResourcesOnce(t *testing.T) {
	for _, name := range []string{"cpu", "memory", "gpu"} {
		j := reeve.Job{Tasks: []reeve.Task{{Run: "x", Resources: reeve.Resources{GPU: 1, Other: map[string]int64{name: 2}}}}}
		if text, err := j.MarshalJSON(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s twice is %s, %v", name, text, err)
		}
	}
}

// TestGraph: outputs flow along a graph of functions.
func TestGraph(t *testing.T) {
	client := connect(t, addr)
	work(t, client, reeve.WorkerConfig{Name: "graph"}, func(w *reeve.Worker) {
		reeve.Handle(w, "graph-square", func(_ context.Context, _ *reeve.Attempt, n int) (int, error) { return n * n, nil })
		w.Handle("graph-sum", func(_ context.Context, a *reeve.Attempt) error {
			a.SetOutput("result", a.Env("LEFT")+"+"+a.Env("RIGHT"))
			return nil
		})
		w.Handle("graph-fail", func(context.Context, *reeve.Attempt) error { return errors.New("no") })
		w.Handle("graph-quiet", func(context.Context, *reeve.Attempt) error { return nil })
	})
	ctx := withPatience(t)
	id := must[string](t)(client.Submit(ctx, reeve.Job{Tasks: []reeve.Task{
		{Name: "left", Function: "graph-square", Input: 3},
		{Name: "right", Function: "graph-square", Input: 4},
		{Name: "sum", Function: "graph-sum", Needs: reeve.Needs("left", "right"), Env: map[string]string{
			"LEFT": "${{ tasks.left.outputs.result }}", "RIGHT": "${{ tasks.right.outputs.result }}",
		}},
		{Name: "fail", Function: "graph-fail", Needs: reeve.Needs("sum")},
		{Name: "after", Function: "graph-quiet", Needs: reeve.Needs("fail")},
		{Name: "handler", Function: "graph-quiet", Needs: []reeve.Need{{Task: "fail", On: reeve.OnFailed}}},
	}}))
	j, err := client.Wait(ctx, id)
	if j == nil {
		t.Fatal(err)
	}
	got := map[string]reeve.State{}
	for _, task := range j.Tasks {
		got[task.Name] = task.State
	}
	want := map[string]reeve.State{
		"left": reeve.Succeeded, "right": reeve.Succeeded, "sum": reeve.Succeeded, "fail": reeve.Failed, "after": reeve.Skipped, "handler": reeve.Succeeded,
	}
	if diff := cmp.Diff(want, got); diff != "" || j.Task("sum").Outputs["result"] != "9+16" {
		t.Errorf("outputs %v, states (-want +got):\n%s", j.Task("sum").Outputs, diff)
	}
	if err := j.Result(new(int)); !errors.Is(err, reeve.ErrInvalid) {
		t.Errorf("the result of a job of many tasks: %v", err)
	}
	if err := j.Task("left").Result(new(int)); err != nil {
		t.Error(err)
	}
	next := must[string](t)(client.Submit(ctx, reeve.Job{
		After: map[string]reeve.Condition{id: reeve.OnDone}, Tasks: []reeve.Task{{Function: "graph-quiet"}},
	}))
	if _, err := client.Wait(ctx, next); err != nil {
		t.Error(err)
	}
}

// TestSubmitMany: ten thousand items of which every second one repeats a key, twice over.
func TestSubmitMany(t *testing.T) {
	s := newServer(t, app.ServerConfig{})
	client := connect(t, s.addr)
	ctx := withPatience(t)
	const n = 10_000
	var items iter.Seq[reeve.Item] = func(yield func(reeve.Item) bool) {
		for i := range n {
			if !yield(reeve.Item{Key: fmt.Sprint("key-", i/2), Payload: i / 2}) {
				return
			}
		}
	}
	first := must[[]reeve.Submitted](t)(client.SubmitMany(ctx, reeve.Function("nothing", nil), items, reeve.WithHold()))
	second := must[[]reeve.Submitted](t)(client.SubmitMany(ctx, reeve.Function("nothing", nil), items, reeve.WithHold()))
	if len(first) != n || len(second) != n {
		t.Fatalf("%d and %d jobs, want %d each", len(first), len(second), n)
	}
	ids := map[string]bool{}
	for i := range n {
		ids[first[i].ID] = true
		if first[i].ID != first[i/2*2].ID || first[i].Existed != (i%2 == 1) || second[i].ID != first[i].ID || !second[i].Existed {
			t.Fatalf("item %d: %+v, repeated %+v", i, first[i], second[i])
		}
	}
	if len(ids) != n/2 {
		t.Errorf("%d jobs, want %d", len(ids), n/2)
	}
	count := 0
	for j, err := range client.List(ctx, reeve.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		if !ids[j.ID] || !j.Held || j.Counts.Total != 1 {
			t.Fatalf("listed: %+v", j)
		}
		count++
	}
	if count != n/2 {
		t.Errorf("%d jobs are listed, want %d", count, n/2)
	}
}

func TestSubmitManyTellsWhichItem(t *testing.T) {
	client := connect(t, addr)
	ctx := withPatience(t)
	items := slices.Repeat([]reeve.Item{{Payload: "x"}}, 1500)
	items[1200].Payload = make(chan int)
	made, err := client.SubmitMany(ctx, reeve.Function("nothing", nil), slices.Values(items))
	if len(made) != 1000 || !errors.Is(err, reeve.ErrInvalid) || !strings.Contains(err.Error(), "item 1200: payload: json: unsupported type") {
		t.Errorf("%d jobs and %v, want the first batch and which item was wrong", len(made), err)
	}
	items[1200] = reeve.Item{Params: map[string]any{"none": 1}}
	made, err = client.SubmitMany(ctx, reeve.Function("nothing", nil), slices.Values(items))
	if len(made) != 1000 || !errors.Is(err, reeve.ErrInvalid) || !strings.Contains(err.Error(), "of the items from 1000 on: item 200: ") {
		t.Errorf("%d jobs and %v, want the first batch and which item was wrong", len(made), err)
	}
	if _, err := client.SubmitMany(ctx, reeve.Function("nothing", nil), slices.Values(items), reeve.WithKey("k")); !errors.Is(err, reeve.ErrInvalid) {
		t.Errorf("WithKey: %v", err)
	}
	if made, err := client.SubmitMany(ctx, reeve.Function("nothing", nil), slices.Values([]reeve.Item{})); err != nil || len(made) != 0 {
		t.Errorf("no items: %v, %v", made, err)
	}
}

func TestKeys(t *testing.T) {
	client := connect(t, newServer(t, app.ServerConfig{}).addr)
	ctx := withPatience(t)
	first := must[string](t)(client.Enqueue(ctx, "nothing", 1, reeve.WithKey("keys-a")))
	if again := must[string](t)(client.Enqueue(ctx, "nothing", 1, reeve.WithKey("keys-a"))); again != first {
		t.Errorf("the same key and body made jobs %s and %s", first, again)
	}
	if _, err := client.Enqueue(ctx, "nothing", 2, reeve.WithKey("keys-a")); !errors.Is(err, reeve.ErrExists) {
		t.Errorf("another body under the same key: %v, want ErrExists", err)
	}
	if other := must[string](t)(client.Enqueue(ctx, "nothing", 1)); other == first {
		t.Error("two submits without a key are one job")
	}
}

// TestRefusedSubmits: what can't be right is refused with words that say what to do, and
// what JSON or the wire would change is not sent.
func TestRefusedSubmits(t *testing.T) {
	client := connect(t, addr)
	ctx := withPatience(t)
	with := func(change func(*reeve.Job)) func() error {
		return func() error {
			_, err := client.Enqueue(ctx, "nothing", nil, reeve.WithJob(change))
			return err
		}
	}
	payload := func(v any) func() error {
		return func() error {
			_, err := client.Enqueue(ctx, "nothing", v)
			return err
		}
	}
	timeout := func(d time.Duration) func() error {
		return func() error {
			_, err := client.Enqueue(ctx, "nothing", nil, reeve.WithTimeout(d))
			return err
		}
	}
	file := func(text string, opts ...reeve.Option) func() error {
		return func() error {
			_, err := client.SubmitFile(ctx, []byte(text), opts...)
			return err
		}
	}
	for name, c := range map[string]struct {
		do   func() error
		code error
		want string
	}{
		"queue":         {with(func(j *reeve.Job) { j.Queue = "none" }), reeve.ErrNotFound, "default"},
		"name":          {with(func(j *reeve.Job) { j.Name = "No" }), reeve.ErrInvalid, `"No"`},
		"no task":       {with(func(j *reeve.Job) { j.Tasks = nil }), reeve.ErrInvalid, "task"},
		"cycle":         {with(func(j *reeve.Job) { j.Tasks[0].Needs = reeve.Needs("main") }), reeve.ErrInvalid, "main"},
		"short time":    {timeout(time.Microsecond), reeve.ErrInvalid, "milliseconds"},
		"negative":      {timeout(-time.Second), reeve.ErrInvalid, "more than 0"},
		"env bytes":     {with(func(j *reeve.Job) { j.Env = map[string]string{"A": "\xff"} }), reeve.ErrInvalid, "UTF-8"},
		"label bytes":   {with(func(j *reeve.Job) { j.Labels = map[string]string{"a": "\xff"} }), reeve.ErrInvalid, "UTF-8"},
		"payload bytes": {payload("a\xffb"), reeve.ErrInvalid, "UTF-8"},
		"raw bytes":     {payload(json.RawMessage("\"\xff\"")), reeve.ErrInvalid, "UTF-8"},
		"raw wrong":     {payload(json.RawMessage("{")), reeve.ErrInvalid, "payload"},
		"payload size":  {payload(strings.Repeat("x", reeve.MaxPayload)), reeve.ErrInvalid, "262146 bytes"},
		"payload type":  {payload(func() {}), reeve.ErrInvalid, "unsupported type"},
		"key":           {func() error { _, err := client.Enqueue(ctx, "f", nil, reeve.WithKey("\xff")); return err }, reeve.ErrInvalid, "UTF-8"},
		"long key": {func() error {
			_, err := client.Enqueue(ctx, "f", nil, reeve.WithKey(strings.Repeat("k", 257)))
			return err
		}, reeve.ErrInvalid, "256"},
		"param":           {file("function: f\nparams: {a: {}}", reeve.WithParams(map[string]any{"a": "\xff"})), reeve.ErrInvalid, "UTF-8"},
		"param missing":   {file("function: f\nparams: {a: {}}"), reeve.ErrInvalid, "a"},
		"param type":      {file("function: f\nparams: {a: {}}", reeve.WithParams(map[string]any{"a": map[string]int{}})), reeve.ErrInvalid, "parameter a"},
		"file":            {file("function: f\nwhat: 1"), reeve.ErrInvalid, "job file:2:1"},
		"file bytes":      {file("function: \xff"), reeve.ErrInvalid, "UTF-8"},
		"file and shape":  {file("function: f", reeve.WithTimeout(time.Second)), reeve.ErrInvalid, "WithTimeout"},
		"no items":        {func() error { _, err := client.StoreItems(ctx, slices.Values([]string{})); return err }, reeve.ErrInvalid, "no items"},
		"item bytes":      {func() error { _, err := client.StoreItems(ctx, slices.Values([]string{"a", "\xff"})); return err }, reeve.ErrInvalid, "item 1"},
		"other namespace": {with(func(j *reeve.Job) { j.Namespace = "none" }), reeve.ErrNotFound, "none"},
	} {
		err := c.do()
		if !errors.Is(err, c.code) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %v with %q", name, err, c.code, c.want)
		}
	}
	// What is text, however odd, is not changed on the way.
	odd := "\u0000\ufffd \\ufffd \u2028<&>\U0001f600"
	work(t, client, reeve.WorkerConfig{Name: "odd"}, func(w *reeve.Worker) {
		reeve.Handle(w, "odd", func(_ context.Context, _ *reeve.Attempt, in string) (string, error) { return in, nil })
	})
	for _, v := range []any{odd, json.RawMessage(`"\u0000\ufffd \\ufffd \u2028<&>😀"`)} {
		var got string
		j := must[*reeve.JobInfo](t)(client.Wait(ctx, must[string](t)(client.Enqueue(ctx, "odd", v))))
		if err := j.Result(&got); err != nil || got != odd {
			t.Errorf("%q came back as %q, %v", odd, got, err)
		}
	}
	blob := bytes.Repeat([]byte{0xff}, 100)
	var back []byte
	j := must[*reeve.JobInfo](t)(client.Wait(ctx, must[string](t)(client.Enqueue(ctx, "odd", blob))))
	if err := j.Result(&back); err != nil || !bytes.Equal(back, blob) {
		t.Errorf("bytes came back as %q, %v", back, err)
	}
}
