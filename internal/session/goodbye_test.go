package session

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// TestGoodbyeEndsTheSession: once the leader has given a worker up, the rest of its
// session would reach nobody, so that it is closed and the worker greets again.
func TestGoodbyeEndsTheSession(t *testing.T) {
	m := NewMachine(time.Minute)
	m.Step(Position{}, Event{From: &link.FromWorker{Hello: &link.Hello{Name: "w1", Incarnation: 1}}})
	m.Step(Position{}, Event{Joined: &core.Welcomed{Worker: 7}})
	ack := link.ToWorker{Ack: []link.Fence{3}}
	got := m.Step(Position{}, Event{Out: []link.ToWorker{ack, {Goodbye: "silent for 66s"}, {Ack: []link.Fence{4}}}})
	want := []Action{{Send: &ack}, {Close: "silent for 66s"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
