package predict

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

const mib, gib = int64(1 << 20), int64(1 << 30)

func TestAdvise(t *testing.T) {
	used := Memory{P99: 610 * mib, Max: 700 * mib, Runs: 212}
	for name, test := range map[string]struct {
		used      Memory
		requested int64
		want      string
	}{
		"far too much":      {used, 4 * gib, "requested 4 GiB, p99 of 212 runs 610 MiB; 768 MiB would do"},
		"far too little":    {used, 512 * mib, "requested 512 MiB, p99 of 212 runs 610 MiB; 768 MiB would be safe"},
		"about right":       {used, 800 * mib, ""},
		"not worth a word":  {used, 768*2*mib - 1, ""},
		"twice the need":    {used, 768 * 2 * mib, "requested 1.5 GiB, p99 of 212 runs 610 MiB; 768 MiB would do"},
		"few runs":          {Memory{P99: 610 * mib, Runs: enoughRuns - 1}, 4 * gib, ""},
		"enough runs":       {Memory{P99: 610 * mib, Runs: enoughRuns}, 4 * gib, "requested 4 GiB, p99 of 20 runs 610 MiB; 768 MiB would do"},
		"nothing requested": {used, 0, ""},
		"little to gain":    {Memory{P99: 3 * mib, Runs: 50}, 64 * mib, ""},
		"a small task":      {Memory{P99: 3 * mib, Runs: 50}, 128 * mib, "requested 128 MiB, p99 of 50 runs 3 MiB; 16 MiB would do"},
		"a sketch's error":  {Memory{P99: 610 * mib, Runs: 50}, 600 * mib, ""},
		"others":            {Memory{P99: 610 * mib, Runs: 50, Others: true}, 4 * gib, "requested 4 GiB, p99 of 50 runs by others 610 MiB; 768 MiB would do"},
		"nothing known":     {Memory{}, 4 * gib, ""},
		"all there is":      {Memory{P99: math.MaxInt64, Runs: 50}, gib, "requested 1 GiB, p99 of 50 runs 8 EiB; 1.3 EiB would be safe"},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			if a, ok := test.used.Advise(test.requested); ok {
				got = a.String()
			}
			if got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

func TestGrow(t *testing.T) {
	known := Memory{P99: 3 * gib, Runs: 1}
	for _, test := range []struct {
		used            Memory
		had, most, want int64
	}{
		{Memory{}, gib, 0, 2 * gib},
		{Memory{}, gib, gib + 1, gib + 1},
		{Memory{}, gib, gib - 1, gib},
		{Memory{}, 0, gib, 0},
		{known, gib, 0, 3*gib + 3*gib/4},
		{known, gib, 2 * gib, 2 * gib},
		{known, 4 * gib, 0, 8 * gib},
		{known, 0, 0, 3*gib + 3*gib/4},
		{known, math.MaxInt64, 0, math.MaxInt64},
	} {
		if got := test.used.Grow(test.had, test.most); got != test.want {
			t.Errorf("%+v.Grow(%d, %d) = %d, want %d", test.used, test.had, test.most, got, test.want)
		}
	}
}

// TestGrowing: retries come to what a task needs, or to the bound, in few steps.
func TestGrowing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		need := rapid.Int64Range(1, 1<<45).Draw(t, "need")
		had := rapid.Int64Range(1, 1<<45).Draw(t, "had")
		most := rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(1, 1<<45)).Draw(t, "most")
		m := Memory{P99: rapid.Int64Range(1, 1<<45).Draw(t, "p99"), Runs: rapid.Int64Range(0, 1).Draw(t, "runs")}
		for step := 0; had < need && (most == 0 || had < most); step++ {
			next := m.Grow(had, most)
			if next <= had || most > 0 && next > most {
				t.Fatalf("%d, at most %d, grows to %d", had, most, next)
			}
			if had = next; step > 46 {
				t.Fatalf("it never comes to %d", need)
			}
		}
	})
}

// TestHeadroom: what is suggested is more than the p99, but not by far.
func TestHeadroom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := Memory{P99: rapid.Int64Range(leastMemory, 1<<50).Draw(t, "p99")}
		if got := m.headroom(); got < m.P99/5*6 || got/3 > m.P99/2 {
			t.Fatalf("of %d, %d is suggested", m.P99, got)
		}
	})
}

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 1023: "1023 B", 1024: "1 KiB", 1536: "1.5 KiB", 10 * 1024: "10 KiB", 10*1024 + 600: "11 KiB",
		610 * mib: "610 MiB", 4 * gib: "4 GiB", gib + gib/10: "1.1 GiB", 2*gib - 1: "2 GiB", math.MaxInt64: "8 EiB",
	} {
		if got := size(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}
