package job_test

import (
	"strings"
	"testing"

	"github.com/reeve-scheduler/reeve/internal/job"
)

func TestParsePriority(t *testing.T) {
	for text, want := range map[string]int32{
		"critical": 1000, "high": 500, "normal": 0, "low": -500, "background": -1000, "0": 0, "-1000": -1000, "1000": 1000, "+7": 7,
	} {
		if got, err := job.ParsePriority(text); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "urgent", "High", "1001", "-1001", "5.5", "4294967296", "99999999999999999999", " 1"} {
		if _, err := job.ParsePriority(text); err == nil || !strings.Contains(err.Error(), text) || !strings.Contains(err.Error(), "from -1000 to 1000") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
