package leader

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/record"
	"github.com/reeve-scheduler/reeve/internal/replica"
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
