package job

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestJSON: values are spelled as the job file spells them, and read back.
func TestJSON(t *testing.T) {
	five := 5
	for _, c := range []struct {
		value any
		want  string
		fresh func() any
	}{
		{Resources{CPU: 500, Memory: 512 << 20}, `{"cpu":"0.5","memory":"512Mi"}`, func() any { return &Resources{} }},
		{Resources{}, `{"cpu":"0"}`, func() any { return &Resources{} }},
		{Lost{Never: true}, `"never"`, func() any { return &Lost{} }},
		{Lost{After: Duration(time.Minute)}, `"1m"`, func() any { return &Lost{} }},
		{Moment{In: Duration(90 * time.Minute)}, `"1h30m"`, func() any { return &Moment{} }},
		{Moment{At: time.Date(2026, 12, 1, 4, 0, 0, 123e6, time.UTC)}, `"2026-12-01T04:00:00.123Z"`, func() any { return &Moment{} }},
		{MaxFails{Count: 0, Running: "finish", Pending: "skip"}, `{"count":0,"pending":"skip","running":"finish"}`, func() any { return &MaxFails{} }},
		{MaxFails{Percent: 5, Running: "cancel", Pending: "run"}, `{"pending":"run","percent":5,"running":"cancel"}`, func() any { return &MaxFails{} }},
		{Retry{MaxAttempts: 3, Factor: 150}, `{"delay":"0s","factor":1.5,"max_attempts":3,"max_delay":"0s","on_lost":0}`, func() any { return &Retry{} }},
		{Retry{MaxAttempts: 1, OnTimeout: &five, OnLost: 3, ExitCodes: []int{75}, NotExitCodes: []int{2}, Delay: Duration(time.Second), Factor: 200, MaxDelay: Duration(time.Minute)},
			`{"delay":"1s","exit_codes":[75],"factor":2,"max_attempts":1,"max_delay":"1m","not_exit_codes":[2],"on_lost":3,"on_timeout":5}`, func() any { return &Retry{} }},
		{Array{Ranges: []Range{{1, 7, 2}}, Throttle: 4}, `{"indexes":"1-7:2","throttle":4}`, func() any { return &Array{} }},
		{Array{Items: []string{"a", ""}}, `{"each":["a",""]}`, func() any { return &Array{} }},
		{Array{From: "${{ params.n }}"}, `{"each":"${{ params.n }}"}`, func() any { return &Array{} }},
		{Array{Blob: "ab/c", Count: 7}, `{"blob":"ab/c","count":7}`, func() any { return &Array{} }},
		{File{Content: "", Mode: 0o644}, `{"content":"","mode":"0644"}`, func() any { return &File{} }},
		{File{Base64: []byte{0, 1}, Mode: 0o755}, `{"base64":"AAE=","mode":"0755"}`, func() any { return &File{} }},
		{After{Job: 4217, Condition: OnDone}, `{"job":"4217","condition":"done"}`, func() any { return &After{} }},
	} {
		got, err := json.Marshal(c.value)
		if err != nil || string(got) != c.want {
			t.Errorf("%+v is written as %s, %v, want %s", c.value, got, err, c.want)
			continue
		}
		back := c.fresh()
		if err := json.Unmarshal(got, back); err != nil {
			t.Errorf("%s is refused: %v", got, err)
			continue
		}
		again, err := json.Marshal(back)
		if diff := cmp.Diff(c.want, string(again)); err != nil || diff != "" {
			t.Errorf("%s is written differently once read: %v\n%s", c.want, err, diff)
		}
	}
}

func TestJSONRefuses(t *testing.T) {
	for text, into := range map[string]any{
		`{"cpu":"x"}`: &Resources{}, `{"cpu":"1","memory":"x"}`: &Resources{}, `5`: &Resources{}, `"soon"`: &Lost{}, `"tomorrow"`: &Moment{},
		`"1969-01-01T00:00:00Z"`: &Moment{}, `"2026-01-01T00:00:00"`: &Moment{}, `{"factor":0.5}`: &Retry{}, `{"delay":"x"}`: &Retry{}, `{}`: &Array{},
		`{"indexes":"x"}`: &Array{}, `{"each":[1]}`: &Array{}, `{"mode":"9"}`: &File{}, `[1]`: &MaxFails{}, `"ok"`: new(Condition), `"1y"`: new(Duration),
	} {
		if err := json.Unmarshal([]byte(text), into); err == nil {
			t.Errorf("%s is accepted as %T", text, into)
		}
	}
}

func TestMomentResolve(t *testing.T) {
	const submitted = 1_000_000
	at := time.UnixMilli(5_000)
	for _, c := range []struct {
		moment *Moment
		want   int64
	}{{nil, 0}, {&Moment{}, submitted}, {&Moment{In: Duration(time.Second)}, submitted + 1000}, {&Moment{At: at}, 5_000}} {
		if got := c.moment.Resolve(submitted); got != c.want {
			t.Errorf("%+v resolves to %d, want %d", c.moment, got, c.want)
		}
	}
}

func TestMaxFailsReached(t *testing.T) {
	for _, c := range []struct {
		rule          *MaxFails
		failed, total int64
		want          bool
	}{
		{nil, 100, 100, false},
		{&MaxFails{}, 0, 10, false},
		{&MaxFails{}, 1, 10, true},
		{&MaxFails{Count: 3}, 3, 10, false},
		{&MaxFails{Count: 3}, 4, 10, true},
		{&MaxFails{Percent: 5}, 5, 100, false},
		{&MaxFails{Percent: 5}, 6, 100, true},
		{&MaxFails{Percent: 100}, 10, 10, false},
	} {
		if got := c.rule.Reached(c.failed, c.total); got != c.want {
			t.Errorf("%+v with %d of %d failed: %v, want %v", c.rule, c.failed, c.total, got, c.want)
		}
	}
}

func TestCleanUp(t *testing.T) {
	for _, c := range []struct {
		needs []Need
		want  bool
	}{{nil, false}, {[]Need{{Condition: OnAny}}, true}, {[]Need{{Condition: OnAny}, {Condition: OnDone}}, false}} {
		task := Task{Needs: c.needs}
		if got := task.CleanUp(); got != c.want {
			t.Errorf("needs %v make a clean-up task: %v, want %v", c.needs, got, c.want)
		}
	}
}
