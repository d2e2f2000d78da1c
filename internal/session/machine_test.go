package session

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// TestNowAndThenEverythingIsCompared: an assignment that never came to the session is
// missed by the leader alone, so that it must be asked even if nothing looks wrong.
func TestNowAndThenEverythingIsCompared(t *testing.T) {
	m := NewMachine(time.Minute)
	m.Step(Position{}, Event{From: &link.FromWorker{Hello: &link.Hello{Name: "w1", Incarnation: 5}}})
	m.Step(Position{}, Event{Joined: &core.Welcomed{Worker: 7, Session: 1}})
	held := []link.Held{{Fence: 3, Phase: link.Waiting}}
	m.Step(Position{}, Event{Out: []link.ToWorker{{Assign: &link.Assign{Attempts: []link.Assignment{{Fence: 3}}}}}})
	var asked []core.Command
	for n := range uint64(2 * compareEvery) {
		for _, a := range m.Step(Position{}, Event{From: &link.FromWorker{Beat: &link.Beat{Number: n + 1, Held: held}}}) {
			if a.Do != nil {
				asked = append(asked, a.Do)
			}
		}
	}
	c := core.WorkerHeld{Worker: 7, Incarnation: 5, Held: held}
	if diff := cmp.Diff([]core.Command{c, c}, asked); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
