package blackbox

import (
	"encoding/json"
	"regexp"
	"testing"
)

// TestForecast: what the runs of a job have taught is shown of the next one of its name.
func TestForecast(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.worker("w1", "--cpu", "4", "--memory", "8Gi")
	if r := run(t, c.dir, c.env, "", "upgrade", "--finalize"); r.code != 0 {
		t.Fatalf("upgrade: exit %d, %s", r.code, r.err)
	}
	// Half of the elements take four times as long as the others, so that there is a range
	// to show however evenly the machine runs them.
	const file = "name: hourly\ntasks: {load: {array: 0-19, run: 'sleep 0.$((REEVE_ARRAY_INDEX % 2 * 3 + 1))', resources: {memory: 4Gi, cpu: 0.1}}, report: {needs: load, run: exit 1}}\n"
	if r := run(t, c.dir, c.env, file, "submit", "--wait", "-"); r.code != 1 {
		t.Fatalf("submit: exit %d, %s", r.code, r.err)
	}
	c.submit(file, "--hold")
	const want = `(?s)\nTASK +STATE +DONE +TOOK +EXPECTED +WORKER +CAUSE +RESOURCES\n` +
		`load +pending +0/20 +- +about [0-9.]+m?s \([0-9.]+m?s to [0-9.]+m?s, of 20 runs\) +- +- +cpu 0.1, memory 4Gi\n` +
		`report +pending +0/1 +- +- +- +- +cpu 1\n\nload: requested 4 GiB, p99 of 20 runs [0-9.]+ MiB; [0-9]+ MiB would do\n$`
	r := run(t, c.dir, c.env, "", "show", "last")
	if !regexp.MustCompile(want).MatchString(r.out) {
		t.Errorf("show (exit %d, %s):\n%s\nwant %s", r.code, r.err, r.out, want)
	}
	var j struct {
		Tasks []struct {
			Forecast *struct {
				Runs         int64  `json:"runs"`
				RunMs        int64  `json:"run_ms"`
				MemoryRuns   int64  `json:"memory_runs"`
				MemoryAdvice string `json:"memory_advice"`
			} `json:"forecast"`
		} `json:"tasks"`
	}
	if err := json.Unmarshal([]byte(run(t, c.dir, c.env, "", "show", "last", "-o", "json").out), &j); err != nil {
		t.Fatal(err)
	}
	load, report := j.Tasks[0].Forecast, j.Tasks[1].Forecast
	if load == nil || load.Runs != 20 || load.RunMs < 100 || load.MemoryRuns != 20 || load.MemoryAdvice == "" {
		t.Errorf("the forecast of load: %+v", load)
	}
	if report == nil || report.Runs != 0 || report.RunMs != 0 || report.MemoryRuns != 1 {
		t.Errorf("the forecast of report, which failed: %+v", report)
	}
}
