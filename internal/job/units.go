package job

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// ParseDuration reads 90s, 1h30m, 2d, 1w2d, 250ms. Units run from large to small,
// each at most once; there is no sign and no fraction.
func ParseDuration(s string) (time.Duration, error) {
	units := []struct {
		name string
		size time.Duration
	}{{"w", 7 * 24 * time.Hour}, {"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}, {"ms", time.Millisecond}}
	fail := func() (time.Duration, error) {
		return 0, fmt.Errorf("duration %q: want numbers with units w, d, h, m, s, ms, such as 90s, 1h30m or 2d", s)
	}
	var total time.Duration
	rest, at := s, 0
	if rest == "0" {
		return 0, nil
	}
	for rest != "" {
		digits := 0
		for digits < len(rest) && '0' <= rest[digits] && rest[digits] <= '9' {
			digits++
		}
		n, err := strconv.ParseInt(rest[:digits], 10, 64)
		if err != nil {
			return fail()
		}
		rest = rest[digits:]
		letters := 0
		for letters < len(rest) && (rest[letters] < '0' || rest[letters] > '9') {
			letters++
		}
		found := false
		for ; at < len(units) && !found; at++ {
			if units[at].name == rest[:letters] {
				if n > int64((math.MaxInt64-total)/units[at].size) {
					return 0, fmt.Errorf("duration %q is longer than 292 years", s)
				}
				total += time.Duration(n) * units[at].size
				found = true
			}
		}
		if !found {
			return fail()
		}
		rest = rest[letters:]
	}
	if s == "" {
		return fail()
	}
	return total, nil
}

// FormatDuration writes d as ParseDuration reads it, cut to milliseconds: 1h30m,
// 90s becomes 1m30s. Negative durations are written as 0s.
func FormatDuration(d time.Duration) string {
	d = d.Truncate(time.Millisecond)
	if d <= 0 {
		return "0s"
	}
	var b strings.Builder
	for _, u := range []struct {
		name string
		size time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}, {"ms", time.Millisecond}} {
		if n := d / u.size; n > 0 {
			b.WriteString(strconv.FormatInt(int64(n), 10))
			b.WriteString(u.name)
			d -= n * u.size //nolint:durationcheck // n is a count
		}
	}
	return b.String()
}

// ParseSize reads bytes: 1024, 512Mi, 4G (4·10⁹), 1.5Gi. Units are k, M, G, T, P
// in powers of 1000 and Ki, Mi, Gi, Ti, Pi in powers of 1024; a trailing B is
// allowed. Fractions of a byte are dropped.
func ParseSize(s string) (int64, error) {
	fail := func() (int64, error) {
		return 0, fmt.Errorf("size %q: want a number of bytes with an optional unit, such as 512Mi or 4G", s)
	}
	digits := 0
	for digits < len(s) && ('0' <= s[digits] && s[digits] <= '9' || s[digits] == '.') {
		digits++
	}
	unit := strings.TrimSuffix(s[digits:], "B")
	var size int64
	switch unit {
	case "":
		size = 1
	case "k", "K":
		size = 1e3
	case "M":
		size = 1e6
	case "G":
		size = 1e9
	case "T":
		size = 1e12
	case "P":
		size = 1e15
	case "Ki":
		size = 1 << 10
	case "Mi":
		size = 1 << 20
	case "Gi":
		size = 1 << 30
	case "Ti":
		size = 1 << 40
	case "Pi":
		size = 1 << 50
	default:
		return fail()
	}
	n, err := scaled(s[:digits], size)
	if err != nil {
		return fail()
	}
	return n, nil
}

// sizeUnits are what FormatSize writes, the first of equals first.
var sizeUnits = []struct {
	name string
	size int64
}{
	{"Pi", 1 << 50}, {"Ti", 1 << 40}, {"Gi", 1 << 30}, {"Mi", 1 << 20}, {"Ki", 1 << 10},
	{"P", 1e15}, {"T", 1e12}, {"G", 1e9}, {"M", 1e6}, {"k", 1e3},
}

// FormatSize writes n in the unit in which it is shortest, a binary one if either will do,
// as ParseSize reads it.
func FormatSize(n int64) string {
	best := strconv.FormatInt(n, 10)
	for _, u := range sizeUnits {
		if n < u.size || n%u.size != 0 {
			continue
		}
		if text := strconv.FormatInt(n/u.size, 10) + u.name; len(text) < len(best) {
			best = text
		}
	}
	return best
}

// ParseCPU reads processors as thousandths: 2, 0.5 and 500m. Nothing finer than a
// thousandth is understood.
func ParseCPU(s string) (int64, error) {
	var n int64
	var err error
	_, frac, _ := strings.Cut(s, ".")
	if m, ok := strings.CutSuffix(s, "m"); ok {
		var milli uint64
		milli, err = strconv.ParseUint(m, 10, 63)
		n = int64(milli)
	} else {
		n, err = scaled(s, 1000)
	}
	if err != nil || len(strings.TrimRight(frac, "0")) > 3 || n > MaxCPU {
		return 0, fmt.Errorf("cpu %q: want processors such as 2, 0.5 or 500m, at most %d", s, MaxCPU/1000)
	}
	return n, nil
}

// MaxCPU bounds a request for processors, in thousandths.
const MaxCPU = 1_000_000_000

// FormatCPU writes thousandths of a processor as ParseCPU reads them: 2, 0.5.
func FormatCPU(milli int64) string {
	s := strconv.FormatInt(milli/1000, 10)
	if frac := milli % 1000; frac != 0 {
		s += "." + strings.TrimRight(fmt.Sprintf("%03d", frac), "0")
	}
	return s
}

// scaled reads a decimal number such as 1.5 times unit, rounded down, without
// floating point. Overflow is an error.
func scaled(s string, unit int64) (int64, error) {
	whole, frac, hasFrac := strings.Cut(s, ".")
	if whole == "" || hasFrac && (frac == "" || len(frac) > 9) {
		return 0, strconv.ErrSyntax
	}
	count, err := strconv.ParseUint(whole, 10, 63)
	if err != nil || int64(count) > math.MaxInt64/unit {
		return 0, strconv.ErrRange
	}
	n := int64(count) * unit
	if !hasFrac {
		return n, nil
	}
	f, err := strconv.ParseUint(frac, 10, 64)
	if err != nil {
		return 0, err
	}
	pow := int64(1)
	for range frac {
		pow *= 10
	}
	// unit ≤ 2⁵⁰ and f < 10⁹ can overflow together; split unit by pow first.
	add := (unit/pow)*int64(f) + (unit%pow)*int64(f)/pow
	if n > math.MaxInt64-add {
		return 0, strconv.ErrRange
	}
	return n + add, nil
}
