package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/jobfile"
	"github.com/reeve-scheduler/reeve/internal/replica"
	"github.com/reeve-scheduler/reeve/internal/store"
	"github.com/reeve-scheduler/reeve/internal/store/memstore"

	reevev1 "github.com/reeve-scheduler/reeve/gen/reeve/v1"
	"github.com/reeve-scheduler/reeve/gen/reeve/v1/reevev1connect"
)

// badEngine answers as its functions say.
type badEngine struct {
	view func() error
	do   func() (any, error)
}

func (e badEngine) Do(context.Context, core.Command) (any, error) { return e.do() }
func (e badEngine) Post(core.Command) error                       { return nil }
func (e badEngine) View(_ context.Context, fn func(*core.State)) error {
	if err := e.view(); err != nil {
		return err
	}
	fn(core.New(core.Config{}))
	return nil
}
func (e badEngine) Heard(uint64) {}
func (e badEngine) Hub() *replica.Hub {
	return replica.NewHub(1, replica.Cursor{Generation: 1, Seq: 1})
}
func (e badEngine) Now() int64                 { return 1 }
func (e badEngine) Lease() time.Duration       { return time.Minute }
func (e badEngine) Holds() bool                { return true }
func (e badEngine) Position() (a, b, c uint64) { return 1, 1, 1 }

// badHistory fails where the tables are read.
type badHistory struct {
	store.History

	err error
}

func (h badHistory) Job(context.Context, uint64) (store.JobRow, uint64, error) {
	return store.JobRow{}, 0, h.err
}

// behind is a client of a door whose engine and history are bad, and its log.
func behind(t *testing.T, e Engine, historyErr error) (*clients, *said) {
	t.Helper()
	log := &said{}
	door, err := New(Options{
		Engine: e, History: badHistory{memstore.New().History(), historyErr}, Open: true, Log: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(door)
	t.Cleanup(s.Close)
	return &clients{
		jobs:   reevev1connect.NewJobServiceClient(http.DefaultClient, s.URL),
		watch:  reevev1connect.NewWatchServiceClient(http.DefaultClient, s.URL),
		health: reevev1connect.NewHealthServiceClient(http.DefaultClient, s.URL),
	}, log
}

func good() error { return nil }

// TestFaultsBehindTheDoor: what goes wrong behind a handler fails that one request,
// in words that give nothing away; the cause is in the log.
func TestFaultsBehindTheDoor(t *testing.T) {
	const inside = "table 7 of /var/lib/reeve is damaged"
	fault := errors.New(inside)
	for _, test := range []struct {
		name    string
		view    func() error
		history error
		code    connect.Code
		says    string
		logged  bool
	}{
		{"the tables fail", good, fault, connect.CodeInternal, "internal error; the server's log has it", true},
		{"the database is away", good, fmt.Errorf("%w: %w", store.ErrUnavailable, fault), connect.CodeUnavailable, "can't reach its database at the moment; try again", true},
		{"the state fails", func() error { return fault }, nil, connect.CodeInternal, "internal error; the server's log has it", true},
		{"a panic", func() error { panic(inside) }, nil, connect.CodeInternal, "internal error; the server's log has it", true},
		{"a cause", func() error { return &job.Error{Code: job.Unavailable, Message: "try again", Cause: fault} }, nil, connect.CodeUnavailable, "try again", true},
		{"no such job", good, store.ErrNotFound, connect.CodeNotFound, "job 7 does not exist", false},
		{"outdated facts", func() error { return &job.Error{Code: job.Stale, Message: "again"} }, nil, connect.CodeUnavailable, "again", false},
		{"a caller who has gone", good, fmt.Errorf("read: %w", context.Canceled), connect.CodeCanceled, "given up", false},
		{"a caller who has waited", good, fmt.Errorf("read: %w", context.DeadlineExceeded), connect.CodeDeadlineExceeded, "given up", false},
		{"an unknown outcome", func() error {
			return &job.Error{Code: job.Unavailable, Message: "its outcome is unknown", Cause: context.DeadlineExceeded}
		}, nil, connect.CodeDeadlineExceeded, "its outcome is unknown", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, log := behind(t, badEngine{view: test.view}, test.history)
			for range 2 { // the server lives on
				_, err := c.jobs.Get(t.Context(), connect.NewRequest(&reevev1.GetRequest{Id: "7"}))
				wantError(t, err, test.code, test.says)
				if strings.Contains(fmt.Sprint(err), "/var/lib") {
					t.Errorf("the caller is told what is inside: %v", err)
				}
				_, err = all(c.watch.Watch(t.Context(), connect.NewRequest(&reevev1.WatchRequest{Jobs: []string{"7"}})))
				wantError(t, err, test.code, test.says)
			}
			if got := strings.Contains(log.String(), inside); got != test.logged {
				t.Errorf("the cause is in the log: %v; want %v\n%s", got, test.logged, log)
			}
			do(t, c.health.Check, &reevev1.CheckRequest{})
		})
	}
}

// TestBusy: an overloaded server says when to come again; one that can't look facts
// up often enough gives up.
func TestBusy(t *testing.T) {
	c, _ := behind(t, badEngine{view: good, do: func() (any, error) {
		return nil, &job.Error{Code: job.Busy, Message: "the server has too much to do at the moment; try again in a second"}
	}}, nil)
	_, err := c.jobs.Submit(t.Context(), connect.NewRequest(file("run: x")))
	wantError(t, err, connect.CodeResourceExhausted, "too much to do")
	e, ok := errors.AsType[*connect.Error](err)
	if !ok || e.Meta().Get("Retry-After") != "1" {
		t.Errorf("a busy server without Retry-After: %v", e.Meta())
	}
	tries := 0
	c, _ = behind(t, badEngine{view: good, do: func() (any, error) {
		tries++
		return nil, &job.Error{Code: job.Stale, Message: "what was read of key \"k\" is outdated; try again"}
	}}, nil)
	_, err = c.jobs.Submit(t.Context(), connect.NewRequest(file("run: x")))
	wantError(t, err, connect.CodeUnavailable, "is outdated; try again")
	if tries < 2 || tries > 10 {
		t.Errorf("outdated facts were looked up %d times", tries)
	}
}

// TestDeadlineOfTheCaller: a call whose time is over ends as that.
func TestDeadlineOfTheCaller(t *testing.T) {
	r := newOpenRig(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := all(r.as("").watch.Watch(ctx, connect.NewRequest(&reevev1.WatchRequest{})))
	if connect.CodeOf(err) != connect.CodeDeadlineExceeded {
		t.Errorf("a watch with a deadline: %v", err)
	}
}

// TestNothingElse: other addresses are answered in words, and other methods of HTTP
// do nothing.
func TestNothingElse(t *testing.T) {
	r := newOpenRig(t)
	for _, test := range []struct {
		method, path string
		status       int
		says         string
	}{
		{"GET", "/", 404, "no such address"}, {"GET", "/metrics", 404, "see docs/api.md"}, {"GET", "/debug/pprof/", 404, "no such address"},
		{"POST", "/reeve.v1.JobService/Nothing", 404, ""}, {"POST", "/reeve.v2.JobService/Get", 404, "no such address"},
		{"GET", "/reeve.v1.JobService/Submit", 405, ""}, {"PUT", "/reeve.v1.JobService/Submit", 405, ""}, {"OPTIONS", "/reeve.v1.JobService/Submit", 405, ""},
		{"POST", "/reeve.v1.jobservice/get", 404, ""},
	} {
		req, err := http.NewRequestWithContext(t.Context(), test.method, r.url+test.path, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := r.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body := make([]byte, 1000)
		n, _ := resp.Body.Read(body)
		resp.Body.Close()
		if resp.StatusCode != test.status || !strings.Contains(string(body[:n]), test.says) {
			t.Errorf("%s %s: %d %s; want %d with %q", test.method, test.path, resp.StatusCode, body[:n], test.status, test.says)
		}
		if allow := resp.Header.Get("Access-Control-Allow-Origin"); allow != "" {
			t.Errorf("%s %s: pages of %s may call", test.method, test.path, allow)
		}
	}
}

// TestFull: a submit that would be refused is refused before anything is done about it.
func TestFull(t *testing.T) {
	full := &job.Error{Code: job.Busy, Message: "the server has its hands full"}
	door, err := New(Options{
		Engine: badEngine{view: good, do: func() (any, error) { return nil, errors.New("it got through") }}, Open: true,
		Full: func() error { return full }, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(door)
	t.Cleanup(s.Close)
	_, err = reevev1connect.NewJobServiceClient(http.DefaultClient, s.URL).Submit(t.Context(), connect.NewRequest(file("this: is: no file")))
	wantError(t, err, connect.CodeResourceExhausted, "hands full")
}

// forgetful is an engine whose memory drops what has ended between a view and a command.
type forgetful struct {
	badEngine

	memory *core.State
	got    *core.Submit
}

func (e forgetful) View(_ context.Context, fn func(*core.State)) error {
	fn(e.memory)
	return nil
}

func (e forgetful) Do(_ context.Context, c core.Command) (any, error) {
	*e.got = c.(core.Submit)
	return []core.Submitted{{ID: 2}}, nil
}

// TestMemoryIsAFact: what memory says of a key and of a job to wait for goes along with
// the submit, since memory may have forgotten it when the submit is decided.
func TestMemoryIsAFact(t *testing.T) {
	s := core.New(core.Config{})
	apply := func(events ...core.Event) {
		for _, e := range events {
			s.Apply(e)
		}
	}
	apply(s.Begin(1, 1, 1)...)
	parsed, err := jobfile.Parse("", []byte("run: x"))
	if err != nil {
		t.Fatal(err)
	}
	d, err := s.Decide(core.Input{Now: 1}, core.Submit{
		Namespace: core.DefaultName, Spec: parsed.Spec, Hash: parsed.Hash, Canonical: parsed.Canonical, Items: []core.Item{{Key: "night", Body: 7}},
	})
	if err != nil {
		t.Fatal(err)
	}
	apply(d.Events...)
	if d, err = s.Decide(core.Input{Now: 2}, core.Cancel{Job: 1, Task: core.NoTask, By: "anna"}); err != nil {
		t.Fatal(err)
	}
	for more := true; more; d, more = s.Follow(2) {
		apply(d.Events...)
	}
	var got core.Submit
	c, _ := behind(t, forgetful{memory: s, got: &got}, nil)
	q := file("run: x\nafter: {1: done}")
	q.Items = []*reevev1.SubmitItem{{IdempotencyKey: "night"}}
	do(t, c.jobs.Submit, q)
	if diff := cmp.Diff([]core.EndedJob{{ID: 1, State: job.JobCancelled}}, got.Ended); diff != "" {
		t.Errorf("what is said of the job to wait for (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(&core.KeyFact{ID: 1, Body: 7}, got.Items[0].Existing); diff != "" {
		t.Errorf("what is said of the key (-want +got):\n%s", diff)
	}
}
