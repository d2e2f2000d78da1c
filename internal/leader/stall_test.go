package leader

import (
	"errors"
	"testing"
	"time"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/store/faultstore"
)

// TestAFullDiskIsSaid has a journal that takes nothing for a while: who waits and who
// comes later hears why, and what was decided is there once there is room again.
func TestAFullDiskIsSaid(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.run()
		full := errors.New("no space left in the data directory")
		r.faults.SetCue(func(op faultstore.Op, _ int) faultstore.Fault {
			if op == faultstore.Append {
				return faultstore.Fault{Err: full}
			}
			return faultstore.Fault{}
		})
		_, err := r.leader.Do(t.Context(), submit(t, plain, 1))
		wantCode(t, err, job.Unavailable, "outcome is unknown")
		wantCode(t, err, job.Unavailable, "no space left")
		_, err = r.leader.Do(t.Context(), submit(t, plain, 1))
		wantCode(t, err, job.Unavailable, "can't record anything")
		if err := r.leader.View(t.Context(), func(*core.State) {}); !errors.Is(err, full) {
			t.Errorf("a view ends with %v", err)
		}

		r.faults.SetCue(nil)
		after(2 * time.Second) // the stuck batch is tried every second
		r.do(submit(t, plain, 1))
		if n := r.live(); n != 2 {
			t.Errorf("%d jobs live, want the one of unknown outcome and the last", n)
		}
	})
}
