package job

import (
	"math"
	"testing"
	"time"
)

func TestFormatAbout(t *testing.T) {
	for ms, want := range map[int64]string{
		0: "0ms", 1: "1ms", 99: "99ms", 104: "100ms", 995: "1s", 1449: "1.4s", 2000: "2s", 9949: "9.9s", 9990: "10s", 14_500: "15s", 119_400: "1m59s",
		130_000: "2m10s", 599_000: "10m", 724_000: "12m", 3_600_000: "1h", 7_260_000: "2h", 8_000_000: "2h10m", 40_000_000: "11h",
		86_400_000 * 3 / 2: "1d12h", 86_400_000 * 30: "30d", math.MaxInt64: "36500d",
	} {
		if got := FormatAbout(ms); got != want {
			t.Errorf("%d ms is %q, want %q", ms, got, want)
		}
	}
}

func TestFormatClock(t *testing.T) {
	now := time.Date(2026, 12, 30, 23, 50, 0, 0, time.UTC)
	for after, want := range map[time.Duration]string{
		5 * time.Minute: "23:55 UTC", 0: "23:50 UTC", 10 * time.Minute: "31 Dec 00:00 UTC", 48 * time.Hour: "1 Jan 2027 23:50 UTC",
	} {
		if got := FormatClock(now.Add(after).UnixMilli(), now.UnixMilli()); got != want {
			t.Errorf("after %s it is %q, want %q", after, got, want)
		}
	}
}
