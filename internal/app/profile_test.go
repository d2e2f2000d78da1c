package app

import (
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// lines hands each write on, one line of a log at a time.
type lines chan string

func (l lines) Write(b []byte) (int, error) {
	l <- string(b)
	return len(b), nil
}

func TestProfilerListensOnLoopbackOnly(t *testing.T) {
	for _, address := range []string{":0", "0.0.0.0:0", "[::]:0", "192.0.2.1:6060", "example.com:6060", "127.0.0.1", ""} {
		p, err := openProfiler(t.Context(), address, slog.New(slog.DiscardHandler))
		if err == nil {
			t.Errorf("%q: it listens", address)
			_ = p.close()
		}
	}
}

func TestProfilerAnswers(t *testing.T) {
	out := make(lines, 1)
	p, err := openProfiler(t.Context(), "127.0.0.1:0", slog.New(slog.NewTextHandler(out, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.close(); err != nil {
			t.Error(err)
		}
	}()
	at := regexp.MustCompile(`http://\S+/`).FindString(<-out)
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
