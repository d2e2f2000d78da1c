package job

import (
	"fmt"
	"time"
)

// FormatAbout writes milliseconds as people say them, to two digits or so: 1.4s, 12m, 2h10m.
func FormatAbout(ms int64) string {
	const (
		second = 1000
		minute = 60 * second
		hour   = 60 * minute
		day    = 24 * hour
		most   = 100 * 365 * day // far, and less than a time.Duration can hold
	)
	step := int64(1)
	for _, s := range []struct{ from, step int64 }{
		{100, 10}, {second, 100}, {10 * second, second}, {2 * minute, 10 * second}, {10 * minute, minute}, {2 * hour, 10 * minute},
		{10 * hour, hour}, {10 * day, day},
	} {
		if ms >= s.from {
			step = s.step
		}
	}
	ms = (min(ms, most) + step/2) / step * step
	if tenths := ms % second / 100; ms >= second && ms < 10*second && tenths > 0 {
		return fmt.Sprintf("%d.%ds", ms/second, tenths)
	}
	if ms == 0 {
		return "0ms"
	}
	return FormatDuration(time.Duration(ms) * time.Millisecond)
}

// FormatClock writes a moment as people say it at another, both in Unix milliseconds: 14:03 UTC,
// or 2 Jan 14:03 UTC on another day.
func FormatClock(at, now int64) string { return formatClock(at, now, "15:04 UTC") }

// FormatSecond is FormatClock to the second: 14:03:05 UTC.
func FormatSecond(at, now int64) string { return formatClock(at, now, "15:04:05 UTC") }

func formatClock(at, now int64, layout string) string {
	t, n := time.UnixMilli(at).UTC(), time.UnixMilli(now).UTC()
	switch {
	case t.Year() != n.Year():
		layout = "2 Jan 2006 " + layout
	case t.YearDay() != n.YearDay():
		layout = "2 Jan " + layout
	}
	return t.Format(layout)
}
