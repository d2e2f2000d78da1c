package blackbox

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// simulated is what the tests read of reeve simulate -o json.
type simulated struct {
	Jobs       int      `json:"jobs"`
	Processors float64  `json:"processors"`
	Decisions  []string `json:"decisions"`
	Results    []struct {
		Policy    string `json:"policy"`
		Jobs      int    `json:"jobs"`
		Unstarted int    `json:"unstarted"`
		Wait      struct {
			Mean float64 `json:"mean"`
		} `json:"wait"`
		Slowdown struct {
			Mean float64 `json:"mean"`
		} `json:"bounded_slowdown"`
	} `json:"results"`
}

// TestSimulateTheClustersHistory: what the cluster ran is run again, on its own worker
// and on another fleet.
func TestSimulateTheClustersHistory(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.worker("w1", "--cpu", "4", "--slots", "4", "--memory", "1Gi", "--label", "disk=ssd")
	graph := c.submit(`
name: etl
tasks:
  extract: {run: "true", array: 0-4, resources: {cpu: 500m, memory: 16Mi}, timeout: 1m}
  load: {run: "true", needs: {extract: succeeded}, where: [disk=ssd]}
`)
	c.ends(graph, "succeeded")
	stays := c.submit("run: 'true'\nresources: {cpu: 64}\n")
	got := decode[simulated](t, c.ok("simulate", "--history", "--since", "1h", "-p", "recorded", "-p", "reeve", "-p", "easy", "-o", "json"))
	if got.Jobs != 6 || got.Processors != 4 || fmt.Sprint(got.Decisions) != "[1 job dropped: they never started 1 job taken with the time they ran: they have no timeout]" {
		t.Errorf("job %s ran and job %s did not; simulated were %+v", graph, stays, got)
	}
	for i, policy := range []string{"recorded", "reeve", "easy"} {
		if r := got.Results[i]; r.Policy != policy || r.Jobs != 6 || r.Unstarted != 0 {
			t.Errorf("by %s: %+v", policy, r)
		}
	}
	got = decode[simulated](t, c.ok("simulate", "--history", "--workers", "n=2,cpu=1,memory=8Mi", "-o", "json"))
	if got.Processors != 2 || got.Results[0].Unstarted != 6 {
		t.Errorf("on workers without memory, disk and room: %+v", got)
	}
	c.refused([]string{"simulate", "--history", "--queue", "nowhere"}, "nowhere")
}

// TestSimulateALog: a log is repeated to the digit, and no server is asked.
func TestSimulateALog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var log strings.Builder
	log.WriteString("; MaxProcs: 16\n")
	for i := range 200 {
		fmt.Fprintf(&log, "%d %d -1 %d %d -1 -1 -1 -1 -1 1 %d -1 -1 -1 -1 -1 -1\n", i+1, i*20, 10+i*37%400, 1+i*7%16, i%5)
	}
	file := mustWrite(t, filepath.Join(dir, "log.swf"), log.String())
	r := run(t, dir, cleanEnv("REEVE_ADDR=http://127.0.0.1:1"), "", "simulate", file, "-p", "reeve", "-p", "fcfs", "-p", "easy", "-p", "easy++", "-p", "aged", "-p", "conservative")
	if r.code != 0 || !strings.Contains(r.err, "200 jobs taken with the time they ran: what they asked for is unknown") {
		t.Fatalf("exit %d, err %q", r.code, r.err)
	}
	golden(t, "simulate", r.out)
}

// TestSimulatePage: what docs/simulate.md shows is what its commands print.
func TestSimulatePage(t *testing.T) {
	t.Parallel()
	const path, begin, end = "../../docs/simulate.md", "```console\n$ reeve ", "```\n"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(string(text), begin)
	if len(parts) < 3 {
		t.Fatalf("%s has %d examples", path, len(parts)-1)
	}
	for i := range parts[1:] {
		shown, after, _ := strings.Cut(parts[i+1], end)
		command, _, _ := strings.Cut(shown, "\n")
		r := run(t, t.TempDir(), cleanEnv("REEVE_ADDR=http://127.0.0.1:1"), "", strings.Fields(command)...)
		now := command + "\n" + r.err + r.out
		if r.code != 0 || now != shown && !*update {
			t.Errorf("reeve %s: exit %d; the page shows (-update rewrites it)\n%s\nnow it is\n%s", command, r.code, shown, now)
		}
		parts[i+1] = now + end + after
	}
	if *update {
		if err := os.WriteFile(path, []byte(strings.Join(parts, begin)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
