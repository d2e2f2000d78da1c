package metrics

import (
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/reeve-scheduler/reeve/internal/agent/will"
	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/leader"
)

var update = flag.Bool("update", false, "write the tables of docs/metrics.md")

// scrape returns what a collector gets.
func scrape(t *testing.T, h http.Handler) string {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody))
	body, err := io.ReadAll(w.Result().Body)
	if err != nil || w.Code != http.StatusOK {
		t.Fatalf("%d: %s %v", w.Code, body, err)
	}
	return string(body)
}

func want(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(text, "\n"+line+"\n") {
			name, _, _ := strings.Cut(line, " ")
			name, _, _ = strings.Cut(name, "{")
			t.Errorf("want %q; there is\n%s", line, strings.Join(regexp.MustCompile(`(?m)^`+name+`\b.*$`).FindAllString(text, -1), "\n"))
		}
	}
}

func TestServerCounts(t *testing.T) {
	s := NewServer("v1")
	vitals, leads := leader.Vitals{}, false
	h := s.Handler(func() (leader.Vitals, bool) { return vitals, leads }, func() Standing { return Standing{leads, false, 3, time.Second / 2, 2} }, slog.New(slog.DiscardHandler))
	if text := scrape(t, h); strings.Contains(text, "reeve_jobs_unfinished") {
		t.Error("it counts jobs that nobody has loaded yet")
	}
	s.Turned(time.Millisecond)
	s.Appended(3, 900, 2*time.Millisecond)
	s.Flushed(7, time.Millisecond)
	s.Refused("submit")
	for _, e := range []core.Event{
		core.JobSubmitted{}, core.JobSubmitted{}, core.AttemptAssigned{}, core.TaskReady{},
		core.AttemptEnded{}, core.AttemptEnded{Cause: job.Cause{Kind: job.CauseWorkerLost}},
		core.AttemptEnded{Cause: job.Cause{Kind: job.LastCause + 1}}, // of a later version
		core.JobEnded{State: job.JobFailed}, core.JobEnded{State: job.JobPending},
	} {
		s.Applied(e)
	}
	s.Began("reeve.v1.JobService/Get")("not_found")
	s.Began("reeve.v1.WatchService/Watch")
	leads = true
	vitals = leader.Vitals{
		Census: core.Census{
			Totals: core.Totals{Jobs: 5, Live: 4, Attempts: 3, Epoch: 2, UnprojectedCount: 6, UnprojectedBatches: 2},
			Queues: []core.QueueCount{{Namespace: "default", Queue: "night", Jobs: 4}}, OtherJobs: 9,
			Connected: 2, Away: 1, Draining: 1, Slots: 8, Running: 3, Prefetched: 2,
			Capacity: job.Resources{CPU: 4500, Memory: 1 << 30}, Used: job.Resources{CPU: 500, Memory: 1 << 20},
		},
		Waiting: []leader.Waiting{{Lane: "view", N: 11}}, Durable: 20, Stalled: time.Now().Add(-time.Hour),
	}
	text := scrape(t, h)
	want(t, text,
		`reeve_leader_turn_seconds_count 1`, `reeve_journal_append_seconds_bucket{le="0.0016"} 0`, `reeve_journal_append_seconds_bucket{le="0.0032"} 1`,
		`reeve_journal_batch_events_sum 3`, `reeve_journal_batch_bytes_sum 900`, `reeve_tables_rows_total 7`,
		`reeve_leader_refused_total{lane="submit"} 1`, `reeve_jobs_submitted_total 2`, `reeve_attempts_assigned_total 1`,
		`reeve_attempts_ended_total{cause="none"} 1`, `reeve_attempts_ended_total{cause="worker_lost"} 1`, `reeve_attempts_ended_total{cause="exit"} 0`,
		`reeve_jobs_ended_total{state="failed"} 1`, `reeve_jobs_ended_total{state="succeeded"} 0`,
		`reeve_calls_total{code="not_found",method="reeve.v1.JobService/Get"} 1`, `reeve_calls_open{method="reeve.v1.JobService/Get"} 0`,
		`reeve_calls_open{method="reeve.v1.WatchService/Watch"} 1`,
		`reeve_jobs_unfinished 4`, `reeve_jobs_in_memory 5`, `reeve_queue_jobs_unfinished{namespace="default",queue="night"} 4`,
		`reeve_queue_jobs_unfinished{namespace="",queue=""} 9`, `reeve_attempts_held 3`, `reeve_attempts_prefetched 2`,
		`reeve_workers{state="connected"} 2`, `reeve_workers{state="away"} 1`, `reeve_workers{state="draining"} 1`,
		`reeve_slots 8`, `reeve_slots_used 3`, `reeve_cpu_cores 4.5`, `reeve_cpu_cores_used 0.5`, `reeve_memory_bytes 1.073741824e+09`,
		`reeve_server_leads 1`, `reeve_server_able 0`, `reeve_follower_differences_total 2`, `reeve_servers 3`, `reeve_follower_behind_seconds 0.5`,
		`reeve_leader_waiting{lane="view"} 11`, `reeve_leader_epoch 2`, `reeve_journal_sequence 20`, `reeve_tables_lag_batches 2`, `reeve_tables_lag_jobs 6`,
	)
	if strings.Contains(text, `state="pending"`) {
		t.Error("a job can't end as pending")
	}
	if !regexp.MustCompile(`(?m)^reeve_journal_stalled_seconds 36\d\d`).MatchString(text) {
		t.Error("the stall of an hour is not there")
	}
}

func TestWorkerCounts(t *testing.T) {
	w := NewWorker("v1")
	w.Fares(will.Vitals{Held: 3, Running: 2, Connected: true})
	w.Ran(job.CauseNone)
	w.Ran(job.CauseTimeout)
	w.Ran(job.LastCause + 1)
	h := w.Handler(slog.New(slog.DiscardHandler))
	want(t, scrape(t, h),
		`reeve_worker_attempts_held 3`, `reeve_worker_slots_used 2`, `reeve_worker_connected 1`,
		`reeve_worker_attempts_ended_total{cause="none"} 1`, `reeve_worker_attempts_ended_total{cause="timeout"} 1`,
	)
	w.Fares(will.Vitals{})
	want(t, scrape(t, h), `reeve_worker_attempts_held 0`, `reeve_worker_connected 0`)
}

// table is the metrics of a registry, of Reeve's own, as docs/metrics.md lists them.
func table(r *prometheus.Registry) string {
	descs := make(chan *prometheus.Desc)
	go func() {
		r.Describe(descs)
		close(descs)
	}()
	var rows []string
	form := regexp.MustCompile(`fqName: "(reeve_\w+)", help: ("(?:[^"\\]|\\.)*"), .*variableLabels: \{([^}]*)\}`)
	for d := range descs {
		m := form.FindStringSubmatch(d.String())
		if m == nil {
			continue
		}
		help := strings.NewReplacer(`\"`, `"`).Replace(m[2][1 : len(m[2])-1])
		labels := strings.ReplaceAll(m[3], ",", ", ")
		rows = append(rows, fmt.Sprintf("| `%s` | %s | %s |\n", m[1], labels, help))
	}
	slices.Sort(rows)
	return "| metric | labels | what it is |\n|---|---|---|\n" + strings.Join(rows, "")
}

// TestDocument holds docs/metrics.md against what is registered.
func TestDocument(t *testing.T) {
	const file = "../../docs/metrics.md"
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	s := NewServer("v1")
	s.Handler(func() (leader.Vitals, bool) { return leader.Vitals{}, false }, func() Standing { return Standing{} }, slog.New(slog.DiscardHandler))
	all := ""
	for role, r := range map[string]*prometheus.Registry{"server": s.factory.registry, "worker": NewWorker("v1").factory.registry} {
		begin, end := "<!-- begin: "+role+" -->\n", "<!-- end: "+role+" -->"
		before, rest, ok1 := strings.Cut(text, begin)
		_, after, ok2 := strings.Cut(rest, end)
		if !ok1 || !ok2 {
			t.Fatalf("%s has no place for the metrics of a %s", file, role)
		}
		all += table(r)
		text = before + begin + "\n" + table(r) + "\n" + end + after
	}
	if *update {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil { //nolint:gosec // a document
			t.Fatal(err)
		}
	} else if text != string(b) {
		t.Errorf("%s does not list what is registered; go test ./internal/metrics -update writes it", file)
	}
	for _, name := range regexp.MustCompile(`reeve_\w+`).FindAllString(text, -1) {
		base := regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(name, "")
		if !strings.Contains(all, "`"+name+"`") && !strings.Contains(all, "`"+base+"`") {
			t.Errorf("%s speaks of %s, which there is not", file, name)
		}
	}
}
