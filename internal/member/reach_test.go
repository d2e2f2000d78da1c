package member

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/link"
	"github.com/reeve-scheduler/reeve/internal/store/memstore"
)

// TestTheLeaderIsOutOfReach has a leader that reaches the database and that nobody reaches: it
// makes room, and claims nothing for a while. One that another server or a worker reaches stays.
func TestTheLeaderIsOutOfReach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New()
		var gone atomic.Bool
		reach := func(context.Context, string) error {
			if gone.Load() {
				return errors.New("no answer")
			}
			return nil
		}
		nodes := []*node{
			start(t, s, 1, func(o *Options) { o.Reach = reach }),
			start(t, s, 2, func(o *Options) { o.Reach = func(context.Context, string) error { return nil } }),
		}
		defer end(t, nodes...)
		one := leading(t, nodes...)
		if one != nodes[0] {
			one.standBack() // the test is of the other
			one = leading(t, nodes[0])
		}
		until(t, "the servers know of each other", func() bool { return len(one.Standing().Servers) == 2 })
		gone.Store(true)
		wait := func(d time.Duration) { <-time.After(d) }
		wait(time.Minute)
		if !one.Standing().Leads {
			t.Fatal("a leader without workers has made room")
		}
		if _, err := one.Do(t.Context(), core.WorkerHello{Hello: link.Hello{Protocol: link.Protocol, Name: "w", Incarnation: 1, Instance: "1", Slots: 1}}); err != nil {
			t.Fatal(err)
		}
		beats := time.NewTicker(time.Second)
		for range 60 {
			<-beats.C
			one.Heard(1)
		}
		if !one.Standing().Leads {
			t.Fatal("a leader that hears a worker has made room")
		}
		gone.Store(false)
		wait(time.Minute)
		if !one.Standing().Leads {
			t.Fatal("a leader that another server reaches has made room")
		}
		gone.Store(true)
		took := until(t, "another server leads", func() bool { return nodes[1].Standing().Leads })
		if most := (unreached+1)*reachEvery + DefaultLease; took > most {
			t.Errorf("the leader made room after %s, want %s at most", took, most)
		}
		if !one.log.has("neither workers nor other servers can reach it") {
			t.Error("it does not say why")
		}
		until(t, "it follows", func() bool { return one.Standing().Able })
		began := time.Now()
		nodes[1].stop()
		until(t, "it leads again", func() bool { return one.Standing().Leads })
		if rested := time.Since(began); rested < maxRest/2 {
			t.Errorf("it claimed the lease again after %s", rested)
		}
	})
}
