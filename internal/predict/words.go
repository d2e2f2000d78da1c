package predict

import (
	"fmt"
	"strings"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// String is an estimate in words: about 12m (9m to 20m, of 212 runs). It is empty if nothing
// is known.
func (e Estimate) String() string {
	if e.Run == 0 {
		return ""
	}
	of := runs(e.Runs, e.Others)
	if low, high := job.FormatAbout(e.Low), job.FormatAbout(e.High); low != high {
		of = low + " to " + high + ", " + of
	}
	return "about " + job.FormatAbout(e.Run) + " (" + of + ")"
}

// String is advice in words: requested 4 GiB, p99 of 212 runs 610 MiB; 768 MiB would do.
func (a Advice) String() string {
	what := "would do"
	if a.Suggested > a.Requested {
		what = "would be safe"
	}
	return fmt.Sprintf("requested %s, p99 %s %s; %s %s", size(a.Requested), runs(a.Used.Runs, a.Used.Others), size(a.Used.P99), size(a.Suggested), what)
}

func runs(n int64, others bool) string {
	text := fmt.Sprintf("of %d runs", n)
	if n == 1 {
		text = "of 1 run"
	}
	if others {
		text += " by others"
	}
	return text
}

// size is bytes as people say them: 610 MiB, 4 GiB, 1.5 GiB.
func size(n int64) string {
	const unit = 1 << 10
	names := []string{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	u := 0
	for ; n >= unit*unit; u++ {
		n /= unit
	}
	tenths := (n*10 + unit/2) / unit
	text := fmt.Sprint((tenths + 5) / 10)
	if tenths < 100 {
		text = strings.TrimSuffix(fmt.Sprintf("%d.%d", tenths/10, tenths%10), ".0")
	}
	return text + " " + names[u]
}
