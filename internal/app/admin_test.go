package app

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/reeve-scheduler/reeve/internal/client"
)

// lines hands each write on, one line of a log at a time.
type lines chan string

func (l lines) Write(b []byte) (int, error) {
	l <- string(b)
	return len(b), nil
}

func TestAdminListensOnLoopbackOnly(t *testing.T) {
	for _, address := range []string{":0", "0.0.0.0:0", "[::]:0", "192.0.2.1:6060", "example.com:6060", "127.0.0.1", ""} {
		a, err := openAdmin(t.Context(), address, http.NotFoundHandler(), slog.New(slog.DiscardHandler))
		if err == nil {
			t.Errorf("%q: it listens", address)
			_ = a.close()
		}
	}
}

func TestProfiles(t *testing.T) {
	out := make(lines, 1)
	a, err := openAdmin(t.Context(), "127.0.0.1:0", http.NotFoundHandler(), slog.New(slog.NewTextHandler(out, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := a.close(); err != nil {
			t.Error(err)
		}
	}()
	at := regexp.MustCompile(`http://\S+/pprof/`).FindString(<-out)
	for _, c := range []struct {
		path string
		code int
		says string
	}{
		{"heap?gc=1&debug=1", 200, "# HeapAlloc = "},
		{"goroutine", 200, "\x1f\x8b"}, // gzip, as the tool takes it
		{"profile?seconds=0.01", 200, "\x1f\x8b"},
		{"profile?seconds=1e9", 400, "want a number up to 600"},
		{"cmdline", 404, "want profile, heap"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at+c.path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != c.code || !strings.Contains(string(body), c.says) {
			t.Errorf("%s: %d %.80q %v, want %d with %q", c.path, resp.StatusCode, body, err, c.code, c.says)
		}
	}
}

// get fetches a page of the admin address.
func get(t *testing.T, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %s %v", url, resp.StatusCode, body, err)
	}
	return string(body)
}

// TestMetrics asks a running server, and a worker that has no server to talk to.
func TestMetrics(t *testing.T) {
	r := start(t, ServerConfig{Dir: t.TempDir(), Admin: "127.0.0.1:0"})
	defer r.end()
	cl := r.admin()
	id := r.submit(cl, "run: echo")
	r.submit(cl, "run: echo")
	if _, err := cl.Cancel(t.Context(), &client.CancelRequest{Id: id}); err != nil {
		t.Fatal(err)
	}
	if _, err := cl.Get(t.Context(), "4711", false); err == nil {
		t.Fatal("there is a job 4711")
	}
	stranger, err := Dial(Connection{Address: r.url, CAFile: filepath.Join(r.dir, CAFile)}, "test")
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	if _, err := stranger.Get(t.Context(), id, false); err == nil {
		t.Fatal("a stranger may read")
	}
	at := regexp.MustCompile(`http://\S+/metrics`).FindString(r.log.String())
	text := get(t, at)
	for _, line := range []string{
		`reeve_build_info{go="` + runtime.Version() + `",role="server",version="test"} 1`,
		`reeve_jobs_submitted_total 2`, `reeve_jobs_ended_total{state="cancelled"} 1`, `reeve_workers{state="connected"} 0`, `reeve_leader_epoch 1`,
		`reeve_calls_total{code="ok",method="reeve.v1.JobService/Submit"} 2`, `reeve_calls_total{code="not_found",method="reeve.v1.JobService/Get"} 1`,
		`reeve_calls_total{code="unauthenticated",method="reeve.v1.JobService/Get"} 1`, `reeve_journal_stalled_seconds 0`,
	} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("want %s in\n%s", line, strings.Join(regexp.MustCompile(`(?m)^reeve.*$`).FindAllString(text, -1), "\n"))
		}
	}
	if regexp.MustCompile(`(?m)^reeve_journal_append_seconds_count 0$`).MatchString(text) {
		t.Error("nothing was appended")
	}

	out := make(lines, 16)
	ctx, stop := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() {
		over <- RunWorker(ctx, WorkerConfig{
			Dir: filepath.Join(t.TempDir(), "state"), Name: "w1", Admin: "127.0.0.1:0", Connection: Connection{Address: "http://127.0.0.1:1"}, LeaveWait: -1,
			Log: slog.New(slog.NewTextHandler(out, nil)),
		})
	}()
	at = regexp.MustCompile(`http://\S+/metrics`).FindString(<-out)
	if text := get(t, at); !strings.Contains(text, "\nreeve_worker_connected 0\n") {
		t.Errorf("the worker says\n%s", text)
	}
	stop()
	for done := false; !done; {
		select {
		case <-out: // what else it has to say
		case err := <-over:
			if done = true; err != nil {
				t.Error(err)
			}
		}
	}
}
