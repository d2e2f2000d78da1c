package jobfile

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/jobfile/canon"
	"github.com/reeve-scheduler/reeve/internal/jobfile/expr"
	"github.com/reeve-scheduler/reeve/internal/jobfile/foreign"
	"github.com/reeve-scheduler/reeve/internal/match"
)

// drawSpec makes any spec that a job file can say.
func drawSpec(t *rapid.T) *job.Spec {
	s := &job.Spec{
		Name:           rapid.OneOf(rapid.Just(""), drawName()).Draw(t, "name"),
		Queue:          rapid.OneOf(rapid.Just(""), drawName()).Draw(t, "queue"),
		Labels:         orNil(rapid.MapOfN(rapid.StringMatching(`[a-z]([a-z0-9._/-]{0,5}[a-z0-9])?`), rapid.StringMatching(`[ -#%-~é😀]{0,10}`), 0, 3).Draw(t, "labels")),
		Priority:       rapid.Int32Range(-1000, 1000).Draw(t, "priority"),
		Params:         drawParams(t),
		Env:            drawEnv(t),
		Files:          drawFiles(t),
		Deadline:       drawMoment(t, "deadline"),
		StartAfter:     nil,
		Retention:      job.Duration(drawDuration(0).Draw(t, "retention")),
		Concurrency:    drawConcurrency(t, true),
		IdempotencyKey: rapid.StringMatching(`([a-z"\\<>&]{1,10})?`).Draw(t, "key"),
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "after") {
		s.After = append(s.After, job.After{Job: job.ID(1000 + i), Condition: drawCondition(t)})
	}
	for i := range rapid.IntRange(1, 5).Draw(t, "tasks") {
		s.Tasks = append(s.Tasks, drawTask(t, s, fmt.Sprintf("task-%d", i)))
	}
	// Needs may point forwards in the file as well.
	if rapid.Bool().Draw(t, "reversed") {
		slices.Reverse(s.Tasks)
	}
	return s
}

func drawName() *rapid.Generator[string] {
	return rapid.StringMatching(`[a-z]([a-z0-9-]{0,20}[a-z0-9])?`).Filter(func(s string) bool { return s != "all" && s != "last" })
}

func drawText() *rapid.Generator[string] {
	return rapid.StringOfN(rapid.RuneFrom([]rune("ab \n\t\"\\'{}:#&*!|>%@`,[]?-$é😀\u2028\u0085\u007f0159.~")), 0, 20, -1).
		Filter(func(s string) bool {
			segments, err := expr.Parse(s)
			return err == nil && len(segments) == 1 && !segments[0].IsPath
		})
}

func drawDuration(low int64) *rapid.Generator[time.Duration] {
	return rapid.Custom(func(t *rapid.T) time.Duration {
		return time.Duration(rapid.Int64Range(low, 100_000_000).Draw(t, "ms")) * time.Millisecond
	})
}

func drawCondition(t *rapid.T) job.Condition {
	return rapid.SampledFrom(job.Conditions()).Draw(t, "condition")
}

func drawMoment(t *rapid.T, label string) *job.Moment {
	switch rapid.IntRange(0, 2).Draw(t, label) {
	case 1:
		return &job.Moment{In: job.Duration(drawDuration(1).Draw(t, label))}
	case 2:
		return &job.Moment{At: time.UnixMilli(rapid.Int64Range(0, 253402300799999).Draw(t, label)).UTC()}
	}
	return nil
}

func drawEnv(t *rapid.T) map[string]string {
	return orNil(rapid.MapOfN(rapid.StringMatching(`[A-QS-Z_][A-Z0-9_]{0,5}`), drawText(), 0, 3).Draw(t, "env"))
}

func drawFiles(t *rapid.T) map[string]job.File {
	file := rapid.Custom(func(t *rapid.T) job.File {
		f := job.File{Mode: rapid.Uint32Range(1, 0o777).Draw(t, "mode")}
		if rapid.Bool().Draw(t, "binary") {
			f.Base64 = rapid.SliceOfN(rapid.Byte(), 1, 10).Draw(t, "bytes")
		} else {
			f.Content = drawText().Draw(t, "content") + rapid.SampledFrom([]string{"", "\x00", "${{ x"}).Draw(t, "odd")
		}
		return f
	})
	return orNil(rapid.MapOfN(rapid.StringMatching(`[a-z]{1,3}\.[a-z]{1,3}`), file, 0, 2).Draw(t, "files"))
}

func drawParams(t *rapid.T) map[string]job.Param {
	param := rapid.Custom(func(t *rapid.T) job.Param {
		p := job.Param{Type: rapid.SampledFrom(paramTypes[:]).Draw(t, "type"), Description: drawText().Draw(t, "description")}
		defaults := map[string][]string{"string": {`""`, `"x\ny"`, `"010"`, `"null"`}, "int": {"0", "-5", "9223372036854775807"},
			"number": {"1.50", "2e3", "-0.1"}, "bool": {"true", "false"}, "list": {"[]", `["a","true","1"]`}}
		if rapid.Bool().Draw(t, "has default") {
			p.Default = json.RawMessage(rapid.SampledFrom(defaults[p.Type]).Draw(t, "default"))
		} else if p.Type == "string" {
			p.Enum = rapid.SampledFrom([][]string{nil, {"a", "b"}}).Draw(t, "enum")
		}
		return p
	})
	return orNil(rapid.MapOfN(rapid.StringMatching(`[a-z_][a-z0-9_]{0,5}`), param, 0, 3).Draw(t, "params"))
}

// drawTask makes a task that needs some of the tasks before it.
func drawTask(t *rapid.T, s *job.Spec, name string) job.Task {
	task := job.Task{
		Name:       name,
		Where:      rapid.SampledFrom([][]string{nil, {"gpu"}, {"gpu", "zone=b c"}, {"gpu", `labels.zone in ["a", "b"]`}}).Draw(t, "where"),
		Prefer:     rapid.SampledFrom([][]job.Preference{nil, {{When: match.Cheapest, Weight: 1}}, {{When: "gpu", Weight: -3}, {When: "int(labels.gen)", Weight: 1000}}}).Draw(t, "prefer"),
		Env:        drawEnv(t),
		Resources:  drawResources(t),
		Timeout:    job.Duration(drawDuration(0).Draw(t, "timeout")),
		Grace:      job.Duration(rapid.Int64Range(0, 86_400).Draw(t, "grace")) * job.Duration(time.Second),
		LostAfter:  rapid.SampledFrom([]*job.Lost{nil, {Never: true}, {After: job.Duration(time.Minute)}}).Draw(t, "lost"),
		AtMostOnce: rapid.Bool().Draw(t, "once"),
		LogLimit:   rapid.Int64Range(minLogLimit, maxLogLimit).Draw(t, "log"),

		Concurrency: drawConcurrency(t, false),
	}
	task.Retry = drawRetry(t, task.AtMostOnce)
	switch rapid.IntRange(0, 2).Draw(t, "action") {
	case 0:
		task.Run, task.Stdin = "x"+drawText().Draw(t, "run"), drawText().Draw(t, "stdin")
		task.Shell = rapid.SampledFrom([][]string{{"/bin/sh", "-e"}, {"bash"}, {"/a b/sh", "-x"}}).Draw(t, "shell")
	case 1:
		task.Command = append([]string{"prog"}, rapid.SliceOfN(drawText(), 0, 3).Draw(t, "args")...)
		task.Workdir = rapid.SampledFrom([]string{"", "/", "/a b"}).Draw(t, "workdir")
	case 2:
		task.Function = "fn"
		task.Input = rapid.SampledFrom([]json.RawMessage{nil, json.RawMessage("null"), json.RawMessage(`{"a":[1,2.0,"x",null,true,{"b":""}],"é":"010"}`)}).Draw(t, "input")
	}
	if rapid.Bool().Draw(t, "array") {
		task.Array = drawArray(t)
		task.MaxFails = rapid.SampledFrom([]*job.MaxFails{nil, {Count: 0, Running: "finish", Pending: "skip"}, {Percent: 7, Running: "cancel", Pending: "run"}}).Draw(t, "max fails")
	}
	for _, before := range s.Tasks {
		if !rapid.Bool().Draw(t, "needs") {
			continue
		}
		need := job.Need{Task: before.Name, Condition: drawCondition(t)}
		need.Each = task.Array != nil && before.Array != nil && sameIndexes(task.Array, before.Array)
		task.Needs = append(task.Needs, need)
		if rapid.Bool().Draw(t, "fetch") {
			task.Fetch = append(task.Fetch, before.Name)
		}
	}
	return task
}

func drawResources(t *rapid.T) job.Resources {
	r := job.Resources{CPU: rapid.Int64Range(0, job.MaxCPU).Draw(t, "cpu"), Memory: rapid.Int64Range(0, maxMemory).Draw(t, "memory")}
	names := rapid.OneOf(rapid.SampledFrom([]string{job.Disk, job.Bandwidth, job.GPU}), drawName().Filter(func(s string) bool {
		return job.CheckResource(s) == nil && foreign.Resource(s) == ""
	}))
	r.Other = job.AmountsOf(rapid.MapOfN(names, rapid.Int64Range(0, job.MaxCount), 0, job.MaxResources).Draw(t, "others"))
	return r
}

func drawConcurrency(t *rapid.T, whole bool) *job.Concurrency {
	if rapid.Bool().Draw(t, "no key") {
		return nil
	}
	c := &job.Concurrency{Key: rapid.StringMatching(`[a-zé"\\<>& -]{1,20}`).Draw(t, "key"), Limit: rapid.Int64Range(1, job.MaxSlots).Draw(t, "limit")}
	if whole {
		c.Conflict = rapid.SampledFrom([]job.Conflict{job.ConflictQueue, job.ConflictCancel, job.ConflictRefuse}).Draw(t, "conflict")
	}
	if rapid.Bool().Draw(t, "rate") {
		c.Rate = &job.Rate{
			Count: rapid.Int64Range(1, 1000).Draw(t, "count"), Per: job.Duration(time.Duration(rapid.Int64Range(1, 100_000).Draw(t, "per")) * time.Millisecond),
			Burst: rapid.Int64Range(1, 1000).Draw(t, "burst"),
		}
		if c.Conflict == job.ConflictQueue && rapid.Bool().Draw(t, "no limit") {
			c.Limit = 0
		}
	}
	return c
}

func drawRetry(t *rapid.T, once bool) job.Retry {
	delay := drawDuration(0).Draw(t, "delay")
	r := job.Retry{MaxAttempts: 1, Delay: job.Duration(delay), MaxDelay: job.Duration(delay + drawDuration(0).Draw(t, "more delay")),
		Factor: rapid.Int64Range(100, 10_000).Draw(t, "factor")}
	r.OnLost = rapid.IntRange(0, 9).Draw(t, "lost")
	if !once {
		r.MaxAttempts = rapid.IntRange(1, job.MaxAttemptsLimit).Draw(t, "attempts")
		if rapid.Bool().Draw(t, "has on_timeout") {
			n := rapid.IntRange(0, 9).Draw(t, "on_timeout")
			r.OnTimeout = &n
		}
	}
	r.ExitCodes = rapid.SampledFrom([][]int{nil, {1}, {75, 255}}).Draw(t, "codes")
	r.NotExitCodes = rapid.SampledFrom([][]int{nil, {2, 3}}).Draw(t, "not codes")
	return r
}

func drawArray(t *rapid.T) *job.Array {
	a := &job.Array{Throttle: rapid.Int64Range(0, 9).Draw(t, "throttle")}
	switch rapid.IntRange(0, 2).Draw(t, "kind of array") {
	case 0:
		texts := []string{"0-31", "7", "1-7:2", "1,3,5-9:2", "0-9999999", "0,2147483647"}
		ranges, _, err := job.ParseRanges(rapid.SampledFrom(texts).Draw(t, "indexes"))
		if err != nil {
			t.Fatal(err)
		}
		a.Ranges = ranges
	case 1:
		a.Items = rapid.SliceOfN(drawText(), 1, 3).Draw(t, "items")
	case 2:
		a.Blob, a.Count = "ab/cd", rapid.Int64Range(1, job.MaxElements).Draw(t, "count")
	}
	return a
}

// TestCanonicalIsAJobFile: any spec, written canonically and read as a job file,
// is the same spec with the same bytes.
func TestCanonicalIsAJobFile(t *testing.T) {
	schema := compiledSchema(t)
	rapid.Check(t, func(t *rapid.T) {
		spec := drawSpec(t)
		text, hash, err := canon.Write(spec)
		if err != nil {
			t.Fatal(err)
		}
		result, err := Parse("canonical.json", text)
		if err != nil {
			t.Fatalf("refused: %v\n%s", err, text)
		}
		if diff := cmp.Diff(spec, result.Spec); diff != "" {
			t.Fatalf("read as another spec (-written +read):\n%s\n%s", diff, text)
		}
		if result.Hash != hash || string(result.Canonical) != string(text) {
			t.Fatalf("written differently:\n%s\n%s", text, result.Canonical)
		}
		recorded, err := canon.Read(text)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(spec, recorded); diff != "" {
			t.Fatalf("recorded as another spec (-written +read):\n%s", diff)
		}
		var value any
		if err := json.Unmarshal(text, &value); err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(value); err != nil {
			t.Fatalf("the schema refuses it: %v\n%s", err, text)
		}
		checkMarshal(t, spec, value)
	})
}

// checkMarshal sees that encoding/json writes a spec as the job file spells it.
func checkMarshal(t *rapid.T, spec *job.Spec, canonical any) {
	b, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	var value any
	if err := json.Unmarshal(b, &value); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(canonical, value); diff != "" {
		t.Fatalf("json.Marshal differs (-canonical +marshalled):\n%s", diff)
	}
}

func TestReadCanonicalRefuses(t *testing.T) {
	for _, text := range []string{"", "{", `{"tasks":[]} x`, `{"future":1,"tasks":[]}`, `{"tasks":[{"name":"a","resources":{"cpu":"x"},"retry":{}}]}`} {
		if _, err := canon.Read([]byte(text)); err == nil {
			t.Errorf("%s is accepted", text)
		}
	}
}
