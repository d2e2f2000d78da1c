package leader

import (
	"testing"
	"time"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/record"
)

// TestRatesKeepTime: a rate that is finer than a tick is given in full, without anything
// else that happens.
func TestRatesKeepTime(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.run()
		r.do(core.RaiseFormat{To: record.Newest})
		h := hello("w1")
		h.Hello.Slots, h.Hello.Capacity = 1000, job.Resources{CPU: 1_000_000, Memory: 1 << 40}
		worker := r.do(h).(core.Welcomed).Worker
		rate := job.Rate{Count: 100, Per: job.Duration(time.Second), Burst: 1}
		r.do(core.PutQueue{Namespace: core.DefaultName, Name: core.DefaultName, Change: job.QueueChange{Rate: &rate}})
		r.do(submit(t, "run: x\n", 500))
		after(3 * time.Second)
		if n := len(r.given(worker)); n < 290 || n > 301 {
			t.Errorf("%d attempts in 3 s, by a rate of 100 in a second", n)
		}
		r.end()
		if n := r.recovered().Totals().Attempts; n > 301+10 {
			t.Errorf("%d attempts are held by a worker", n)
		}
	})
}
