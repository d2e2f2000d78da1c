package executor_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/reeve-scheduler/reeve/internal/executor"
)

func TestNowGoesOn(t *testing.T) {
	last := executor.Now()
	if last <= 0 {
		t.Fatalf("the boot clock says %d", last)
	}
	for range 1000 {
		now := executor.Now()
		if now < last {
			t.Fatalf("the boot clock went from %d back to %d", last, now)
		}
		last = now
	}
}

// TestNowCountsRealTime compares it with the runtime's clock.
func TestNowCountsRealTime(t *testing.T) {
	from, wall := executor.Now(), time.Now()
	for time.Since(wall) < 20*time.Millisecond {
		runtime.Gosched()
	}
	boot, run := executor.Now().Sub(from), time.Since(wall)
	if diff := run - boot; boot < 19*time.Millisecond || diff < -time.Second || diff > time.Second {
		t.Errorf("%v by the boot clock, %v by the runtime's", boot, run)
	}
}

func TestAddAndSub(t *testing.T) {
	d := executor.Deadline(5)
	if got := d.Add(time.Second).Sub(d); got != time.Second {
		t.Errorf("a second later is %v later", got)
	}
}
