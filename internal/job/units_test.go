package job

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "90s": 90 * time.Second, "1h30m": 90 * time.Minute, "2d": 48 * time.Hour, "1w2d": 9 * 24 * time.Hour,
		"250ms": 250 * time.Millisecond, "1m5ms": time.Minute + 5*time.Millisecond, "007s": 7 * time.Second,
		"106751d23h47m16s854ms": 106751*24*time.Hour + 23*time.Hour + 47*time.Minute + 16*time.Second + 854*time.Millisecond,
	} {
		if got, err := ParseDuration(text); err != nil || got != want {
			t.Errorf("ParseDuration(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", " ", "90", "s", "1", "-1s", "+1s", "1.5h", "1h 30m", "30m1h", "1h1h", "1ms1s", "1y", "1H", "1us", "1s ", "99999999999999999999s", "106752d", "300000d", "1w99999999999d"} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("ParseDuration(%q) = %v, want an error", text, got)
		} else if strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "duration") {
			t.Errorf("ParseDuration(%q) fails with %q", text, err)
		}
	}
}

func TestFormatDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", -time.Second: "0s", 90 * time.Second: "1m30s", 48 * time.Hour: "2d", time.Millisecond: "1ms", time.Microsecond: "0s",
		1500 * time.Millisecond: "1s500ms", 25*time.Hour + time.Minute: "1d1h1m",
	} {
		if got := FormatDuration(d); got != want {
			t.Errorf("FormatDuration(%d) = %q, want %q", d, got, want)
		}
	}
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "1024": 1024, "512Mi": 512 << 20, "4G": 4e9, "1.5Gi": 3 << 29, "1k": 1000, "1K": 1000, "1KiB": 1024, "10B": 10, "1MB": 1e6,
		"0.5Ki": 512, "1.1Ki": 1126, "1.5": 1, "8191Pi": 8191 << 50, "9P": 9e15, "0.000000001P": 1e6,
	} {
		if got, err := ParseSize(text); err != nil || got != want {
			t.Errorf("ParseSize(%q) = %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "M", "-1", "+1", "1.", ".5", "1.5.5", "1 M", "1m", "1E", "1.0000000001G", "8192Pi", "9223372036854775808", "1MiBB", "NaN", "1e3"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("ParseSize(%q) = %d, want an error", text, got)
		}
	}
}

func TestParseCPU(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "2": 2000, "0.5": 500, "500m": 500, "1.25": 1250, "0.001": 1, "1.500": 1500, "1000000": MaxCPU, "0m": 0} {
		if got, err := ParseCPU(text); err != nil || got != want {
			t.Errorf("ParseCPU(%q) = %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "m", "-1", "+1", "+5m", "-5m", "0.0005", "1.", ".5", "two", "1.5m", "1000001", "9223372036854775807", "99999999999999999999m"} {
		if got, err := ParseCPU(text); err == nil {
			t.Errorf("ParseCPU(%q) = %d, want an error", text, got)
		}
	}
}

func TestParseFactorAndMode(t *testing.T) {
	for text, want := range map[string]int64{"1": 100, "2": 200, "1.5": 150, "1.25": 125, "1.50": 150, "1.500": 150, "100": 10_000} {
		if got, err := ParseFactor(text); err != nil || got != want {
			t.Errorf("ParseFactor(%q) = %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "0.5", "100.01", "1.255", "-2", "two", "1e2"} {
		if got, err := ParseFactor(text); err == nil {
			t.Errorf("ParseFactor(%q) = %d, want an error", text, got)
		}
	}
	for text, want := range map[string]uint32{"0644": 0o644, "755": 0o755, "1": 1} {
		if got, err := ParseMode(text); err != nil || got != want {
			t.Errorf("ParseMode(%q) = %o, %v, want %o", text, got, err, want)
		}
	}
	for _, text := range []string{"", "0", "8", "1000", "0o644", "-1", "rw"} {
		if got, err := ParseMode(text); err == nil {
			t.Errorf("ParseMode(%q) = %o, want an error", text, got)
		}
	}
}

func TestFormatSize(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0", 1: "1", 999: "999", 1000: "1k", 1024: "1Ki", 1 << 29: "512Mi", 500e9: "500G", 1500: "1500", 1e15: "1P", 3 << 50: "3Pi", 1024e3: "1024k",
	} {
		if got := FormatSize(n); got != want {
			t.Errorf("FormatSize(%d) = %q, want %q", n, got, want)
		}
	}
}

// TestUnitsRoundTrip: what is formatted is parsed to the same value.
func TestUnitsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(0, 1<<63-1).Draw(t, "duration")).Truncate(time.Millisecond)
		if got, err := ParseDuration(FormatDuration(d)); err != nil || got != d {
			t.Fatalf("%d is formatted as %q, parsed as %d, %v", d, FormatDuration(d), got, err)
		}
		n := rapid.Int64Range(0, 1<<63-1).Draw(t, "size") << rapid.IntRange(0, 60).Draw(t, "shift")
		if n = max(n, 0); n >= 0 {
			if got, err := ParseSize(FormatSize(n)); err != nil || got != n {
				t.Fatalf("%d is formatted as %q, parsed as %d, %v", n, FormatSize(n), got, err)
			}
		}
		cpu := rapid.Int64Range(0, MaxCPU).Draw(t, "cpu")
		if got, err := ParseCPU(FormatCPU(cpu)); err != nil || got != cpu {
			t.Fatalf("%d is formatted as %q, parsed as %d, %v", cpu, FormatCPU(cpu), got, err)
		}
		factor := rapid.Int64Range(100, 10_000).Draw(t, "factor")
		if got, err := ParseFactor(FormatFactor(factor)); err != nil || got != factor {
			t.Fatalf("%d is formatted as %q, parsed as %d, %v", factor, FormatFactor(factor), got, err)
		}
	})
}

// FuzzUnits: no text panics, no result is negative, and what is understood keeps
// its value when it is formatted and read again.
func FuzzUnits(f *testing.F) {
	for _, text := range []string{"", "90s", "1h30m", "2d", "512Mi", "1.5Gi", "500m", "0.5", "1w2d3h4m5s6ms", "9223372036854775807", "0.000000001P", "8191.999999999Pi"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if d, err := ParseDuration(text); err == nil {
			if again, err := ParseDuration(FormatDuration(d)); d < 0 || err != nil || again != d {
				t.Errorf("duration %q is %d, then %d, %v", text, d, again, err)
			}
		}
		if n, err := ParseSize(text); err == nil {
			if again, err := ParseSize(FormatSize(n)); n < 0 || err != nil || again != n {
				t.Errorf("size %q is %d, then %d, %v", text, n, again, err)
			}
		}
		if n, err := ParseCPU(text); err == nil {
			if again, err := ParseCPU(FormatCPU(n)); n < 0 || err != nil || again != n {
				t.Errorf("cpu %q is %d, then %d, %v", text, n, again, err)
			}
		}
		if n, err := ParseFactor(text); err == nil {
			if again, err := ParseFactor(FormatFactor(n)); n < 100 || err != nil || again != n {
				t.Errorf("factor %q is %d, then %d, %v", text, n, again, err)
			}
		}
	})
}
