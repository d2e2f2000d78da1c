package leader

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/record"
	"github.com/reeve-scheduler/reeve/internal/replica"
	"github.com/reeve-scheduler/reeve/internal/store"
	"github.com/reeve-scheduler/reeve/internal/store/faultstore"
)

// TestDigests: a leader digests its state in rounds while something happens, once the cluster's
// format allows, and whoever replays the journal agrees.
func TestDigests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.settings.DigestEvery = time.Second
		r.run()
		digests := func() (n int) {
			for _, kind := range kinds(t, r.journal.appends(0)) {
				if kind == "StateDigested" {
					n++
				}
			}
			return n
		}
		r.do(core.PutNamespace{Name: "first", Create: true})
		<-time.After(10 * time.Second)
		if n := digests(); n != 0 {
			t.Errorf("%d digests in the first format", n)
		}
		r.do(core.RaiseFormat{To: record.Newest})
		<-time.After(10 * time.Second)
		if n := digests(); n != 1 {
			t.Errorf("%d digests after one change of a small state", n)
		}
		for i := range 4 {
			r.do(core.PutNamespace{Name: "n" + string(rune('a'+i)), Create: true})
			<-time.After(time.Second)
		}
		<-time.After(10 * time.Second)
		if n := digests(); n < 3 || n > 6 {
			t.Errorf("%d digests after four more changes", n)
		}
		r.end()
		found, err := replica.Recover(t.Context(), r.settings.Core, r.store.Journal(), r.store.Tables())
		if err != nil || found.Differs != nil {
			t.Errorf("who recovers differs: %v, %v", found.Differs, err)
		}
	})
}

// TestDigestsAreNoLag: what the tables lack is counted in batches that change them.
func TestDigestsAreNoLag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.settings.DigestEvery = time.Second
		r.run()
		r.do(core.RaiseFormat{To: record.Newest})
		lag := func(what string, want, behind uint64) {
			t.Helper()
			<-time.After(2 * time.Second) // vitals are of the last second
			v := r.leader.Vitals()
			if v.Census.UnprojectedBatches != want || v.Durable-v.Census.Covered != behind {
				t.Errorf("%s: the tables lack %d batches and cover %d of %d; want %d, and %d behind",
					what, v.Census.UnprojectedBatches, v.Census.Covered, v.Durable, want, behind)
			}
		}
		r.do(submit(t, plain, 1))
		<-time.After(10 * time.Second)
		_, durable, projected := r.leader.Position()
		if projected == durable {
			t.Error("no digest follows the last flush")
		}
		lag("after a digest", 0, 0)
		r.faults.SetCue(func(op faultstore.Op, _ int) faultstore.Fault {
			if op == faultstore.Flush {
				return faultstore.Fault{Err: store.ErrUnavailable}
			}
			return faultstore.Fault{}
		})
		r.do(submit(t, plain, 1))
		<-time.After(10 * time.Second)
		r.do(submit(t, plain, 1))
		lag("while the tables take nothing", 2, 4) // and a digest of each
		r.faults.SetCue(nil)
		<-time.After(10 * time.Second)
		lag("when they do again", 0, 0)
		r.end()
	})
}
