package api

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/reeve-scheduler/reeve/internal/forward"
	"github.com/reeve-scheduler/reeve/internal/guard"
	"github.com/reeve-scheduler/reeve/internal/logstore"
	"github.com/reeve-scheduler/reeve/internal/session"

	reevev1 "github.com/reeve-scheduler/reeve/gen/reeve/v1"
)

// another is a second server before a rig's leader, and how many calls of it the leader has
// got.
type another struct {
	*rig

	sent atomic.Int32
}

// besides starts a server that follows the leader of r.
func besides(t *testing.T, r *rig) *another {
	t.Helper()
	a := &another{rig: &rig{t: t, http: r.http, leader: r.leader, admin: r.admin}}
	doorOfLeader := *r.door.Load()
	counting := http.Handler(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.Header.Get("Reeve-Forwarded") != "" {
			a.sent.Add(1)
		}
		doorOfLeader.ServeHTTP(w, q)
	}))
	r.door.Store(&counting)
	door, err := New(Options{
		Engine: r.leader, Leader: r.leader, History: r.store.History(), Sessions: session.NewHub(r.logger()), Logs: func() *logstore.Store { return r.logs }, Blobs: r.blobs, Log: r.logger(),
		Join:    func(string) (string, error) { return "", nil },
		Version: "another", Started: time.Now(), Config: r.settings.Core,
		Forward: func(inner http.Handler, fail func(http.ResponseWriter, *http.Request, error)) http.Handler {
			return forward.New(forward.Options{
				Inner: inner, Fail: fail, Transport: r.http.Transport, Anywhere: guard.Anywhere(), Log: r.logger(),
				Standing: func() forward.Standing { return forward.Standing{Able: true, Leader: r.url} },
				Changed:  func() <-chan struct{} { return nil },
			})
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a.url = "http://" + listener.Addr().String()
	base, stop := context.WithCancelCause(context.Background())
	hs := guard.NewHTTPServer(base, door, true, r.logger())
	served := make(chan error, 1)
	go func() { served <- hs.Serve(listener) }()
	t.Cleanup(func() {
		stop(guard.ErrStopping)
		hs.Close()
		<-served
	})
	return a
}

// TestForwarded makes calls at a server that does not lead, over each protocol: it answers
// what it can, and what the leader answers arrives as if it were its own.
func TestForwarded(t *testing.T) {
	r := newRig(t)
	a := besides(t, r)
	for name, opts := range map[string][]connect.ClientOption{
		"connect": {}, "connect JSON": {connect.WithProtoJSON()}, "grpc": {connect.WithGRPC()}, "grpc-web": {connect.WithGRPCWeb()},
		"compressed": {connect.WithSendGzip()},
	} {
		t.Run(name, func(t *testing.T) {
			before := a.sent.Load()
			c := a.as(r.admin, opts...)
			id := do(t, c.jobs.Submit, file("run: \"true\"\n")).GetJobs()[0].GetId()
			if sent := a.sent.Load() - before; sent != 1 {
				t.Errorf("a submit was sent on %d times", sent)
			}
			if j := do(t, c.jobs.Get, &reevev1.GetRequest{Id: id}).GetJob(); j.GetSubmittedBy() != "admin" {
				t.Errorf("the job: %v", j)
			}
			if sent := a.sent.Load() - before; sent != 1 {
				t.Error("a read was sent on")
			}
			refused(t, c.jobs.Cancel, &reevev1.CancelRequest{Id: "x"}, connect.CodeInvalidArgument, `job id "x"`)
			pieces, err := all(c.logs.Read(t.Context(), connect.NewRequest(&reevev1.LogReadRequest{Ref: "99"})))
			wantError(t, err, connect.CodeNotFound, "99")
			if len(pieces) > 0 {
				t.Errorf("a log of no job: %v", pieces)
			}
			stream := c.artifacts.PutItems(t.Context())
			line := []byte("\"" + strings.Repeat("x", 1000) + "\"\n")
			for i := range 500 {
				if err := stream.Send(&reevev1.PutItemsRequest{Data: line, Last: i == 499}); err != nil {
					t.Fatal(err)
				}
			}
			if m, err := stream.CloseAndReceive(); err != nil || m.Msg.GetCount() != 500 {
				t.Errorf("items that were sent in pieces: %v, %v", m, err)
			}
		})
	}
}

// TestForwardedSession lets a worker work through a server that does not lead.
func TestForwardedSession(t *testing.T) {
	for name, opts := range map[string][]connect.ClientOption{"connect": {}, "grpc": {connect.WithGRPC()}} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			a := besides(t, r)
			c := a.as(r.token("w", 0, "worker"), opts...)
			w := a.join(c, "w1", 1)
			id := r.submit(r.as(r.admin), "run: x\n")
			at := w.take()
			w.started(at)
			w.report(ended(at, 0, ""))
			stream, err := a.as(r.admin).watch.Watch(t.Context(), connect.NewRequest(&reevev1.WatchRequest{Jobs: []string{id}}))
			if err != nil {
				t.Fatal(err)
			}
			defer stream.Close()
			for do(t, a.as(r.admin).jobs.Get, &reevev1.GetRequest{Id: id}).GetJob().GetState() != "succeeded" {
				if !stream.Receive() {
					t.Fatal(stream.Err())
				}
			}
			do(t, r.as(r.admin).tokens.Revoke, &reevev1.TokenServiceRevokeRequest{Id: "w"})
			wantError(t, <-w.over, connect.CodeUnauthenticated, "has expired or was revoked")
		})
	}
}

// TestNotForwarded keeps from the leader what the guard refuses: who has no token, or not the
// scope, and pages of other sites.
func TestNotForwarded(t *testing.T) {
	r := newRig(t)
	a := besides(t, r)
	refused(t, a.as("").jobs.Submit, file("run: x\n"), connect.CodeUnauthenticated, "not authenticated")
	refused(t, a.as("rv1_x_y").jobs.Submit, file("run: x\n"), connect.CodeUnauthenticated, "not authenticated")
	refused(t, a.as(r.token("reader", 0, "read")).jobs.Submit, file("run: x\n"), connect.CodePermissionDenied, "submit")
	q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, a.url+"/reeve.v1.JobService/Submit", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	q.Header = http.Header{"Authorization": {"Bearer " + r.admin}, "Content-Type": {"application/json"}, "Origin": {"https://elsewhere.example"}}
	resp, err := r.http.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("a page of another site: %s", resp.Status)
	}
	if a.sent.Load() != 0 {
		t.Errorf("%d of these calls reached the leader", a.sent.Load())
	}
	refused(t, a.as(r.admin).jobs.Submit, file("run: "+strings.Repeat("x", MaxMessage)), connect.CodeResourceExhausted, "")
}
