package api

import (
	"testing"

	"connectrpc.com/connect"

	"github.com/reeve-scheduler/reeve/internal/core"

	reevev1 "github.com/reeve-scheduler/reeve/gen/reeve/v1"
)

// TestUpdate changes where a job stands: it is answered, shown and listed so, once more changes nothing,
// and a restart neither.
func TestUpdate(t *testing.T) {
	r := newRig(t)
	c := r.as(r.admin)
	id := r.submit(c, "name: first\npriority: low\nrun: x\n")
	refused(t, c.jobs.Update, &reevev1.UpdateRequest{Id: id, Front: new(true)}, connect.CodeFailedPrecondition, "a change of job 1 needs format 3")
	if _, err := r.leader.Do(t.Context(), core.RaiseFormat{To: core.FormatChanges, By: "admin"}); err != nil {
		t.Fatal(err)
	}
	do(t, c.queues.Create, &reevev1.QueueServiceCreateRequest{Name: "night"})

	got := do(t, c.jobs.Update, &reevev1.UpdateRequest{Id: id, Priority: new(int32(7)), Queue: new("night"), Front: new(true)})
	if got.GetQueue() != "night" || got.GetPriority() != 7 || got.GetFrontAt() == nil {
		t.Errorf("the answer: %v", got)
	}
	at := got.GetFrontAt().AsTime()
	if again := do(t, c.jobs.Update, &reevev1.UpdateRequest{Id: id, Queue: new("night"), Front: new(true)}); !again.GetFrontAt().AsTime().Equal(at) {
		t.Errorf("once more: %v, and it was %v", again, got)
	}
	listed := func(queue string) (ids string) {
		for _, j := range do(t, c.jobs.List, &reevev1.ListRequest{Queue: queue}).GetJobs() {
			ids += j.GetId()
		}
		return ids
	}
	stands := func(when string) {
		t.Helper()
		j := do(t, c.jobs.Get, &reevev1.GetRequest{Id: id}).GetJob()
		if j.GetQueue() != "night" || j.GetPriority() != 7 || !j.GetFrontAt().AsTime().Equal(at) {
			t.Errorf("%s: %v", when, j)
		}
		want(t, when+", of the queue that it left", listed("default"), "")
		want(t, when+", of the one that it is in", listed("night"), id)
	}
	stands("at once")
	r.restart()
	stands("after a restart")

	if got := do(t, c.jobs.Update, &reevev1.UpdateRequest{Id: id, Front: new(false)}); got.GetFrontAt() != nil || got.GetPriority() != 7 {
		t.Errorf("taken from the front: %v", got)
	}
	do(t, c.jobs.Cancel, &reevev1.CancelRequest{Id: id})
	const ended = "job 1 has ended; only what has not can be changed"
	refused(t, c.jobs.Update, &reevev1.UpdateRequest{Id: id, Front: new(true)}, connect.CodeFailedPrecondition, ended)
	r.restart()
	refused(t, c.jobs.Update, &reevev1.UpdateRequest{Id: id, Front: new(true)}, connect.CodeFailedPrecondition, ended)
	want(t, "what has ended, of the queue that it was in last", listed("night"), id)
}

// TestWhoMayUpdate: a job moves within its namespace, by whoever may submit there.
func TestWhoMayUpdate(t *testing.T) {
	r := newRig(t)
	admin := r.as(r.admin)
	if _, err := r.leader.Do(t.Context(), core.RaiseFormat{To: core.FormatChanges, By: "admin"}); err != nil {
		t.Fatal(err)
	}
	do(t, admin.namespaces.Create, &reevev1.NamespaceServiceCreateRequest{Name: "team"})
	do(t, admin.queues.Create, &reevev1.QueueServiceCreateRequest{Namespace: "team", Name: "side"})
	id := r.submit(admin, "run: x\n")
	for name, c := range map[string]struct {
		scopes, namespace string
		code              connect.Code
		says              string
	}{
		"reader":   {"read", "default", connect.CodePermissionDenied, "submit"},
		"stranger": {"submit,read", "team", connect.CodeNotFound, "job 1 does not exist"},
	} {
		refused(t, r.as(r.token(name, 0, c.scopes, c.namespace)).jobs.Update, &reevev1.UpdateRequest{Id: id, Priority: new(int32(9))}, c.code, c.says)
	}
	own := r.as(r.token("own", 0, "submit", "default"))
	refused(t, own.jobs.Update, &reevev1.UpdateRequest{Id: id, Queue: new("side")}, connect.CodeNotFound, `queue "side" does not exist in namespace default; known: default`)
	if got := do(t, own.jobs.Update, &reevev1.UpdateRequest{Id: id, Priority: new(int32(9))}); got.GetPriority() != 9 {
		t.Errorf("by who may submit: %v", got)
	}
}
