package predict

import (
	"testing"

	"pgregory.net/rapid"
)

func ran(ms ...int64) (l learned) {
	for _, run := range ms {
		l.add(Observation{Succeeded: true, Run: run})
	}
	return l
}

func TestEstimate(t *testing.T) {
	minute := int64(60_000)
	for name, test := range map[string]struct {
		runs  []int64
		limit int64
		want  Estimate
		words string
	}{
		"nothing":           {nil, minute, Estimate{}, ""},
		"one run":           {[]int64{7 * minute}, 0, Estimate{Run: 7 * minute, Low: 408_944, High: 408_944, Runs: 1}, "about 7m (of 1 run)"},
		"the last two":      {[]int64{10, 100, 200}, 0, Estimate{Run: 150, Low: 10, High: 199, Runs: 3}, "about 150ms (10ms to 200ms, of 3 runs)"},
		"two odd ones":      {[]int64{4, 7}, 0, Estimate{Run: 6, Low: 4, High: 7, Runs: 2}, "about 6ms (4ms to 7ms, of 2 runs)"},
		"within the limit":  {[]int64{10_000, 30_000}, 15_000, Estimate{Run: 15_000, Low: 9_701, High: 15_000, Runs: 2}, "about 15s (9.7s to 15s, of 2 runs)"},
		"no time":           {[]int64{0, 0}, 0, Estimate{Run: 1, Runs: 2}, "about 1ms (of 2 runs)"},
		"less than no time": {[]int64{-5}, 0, Estimate{Run: 1, Runs: 1}, "about 1ms (of 1 run)"},
	} {
		t.Run(name, func(t *testing.T) {
			l := ran(test.runs...)
			got, ok := l.estimate(test.limit)
			if got != test.want || ok != (test.runs != nil) || got.String() != test.words {
				t.Errorf("%#v, %v, %q; want %#v, %q", got, ok, got.String(), test.want, test.words)
			}
		})
	}
}

func TestOnlySuccessTeachesRunTime(t *testing.T) {
	l := ran(1000, 1000)
	l.add(Observation{Run: 5, Memory: 1 << 20})
	if e, _ := l.estimate(0); e.Run != 1000 || e.Runs != 2 || l.usage().Runs != 1 {
		t.Errorf("an attempt that failed made it %+v and %+v", e, l.usage())
	}
	l.add(Observation{Succeeded: true, Run: 1000})
	if m := l.usage(); m.Runs != 1 {
		t.Errorf("an attempt of unknown use made it %+v", m)
	}
}

func TestExpect(t *testing.T) {
	for _, test := range []struct {
		prediction, limit, elapsed, want int64
		known                            bool
	}{
		{100, 0, 0, 100, true},
		{100, 0, 99, 100, true},
		{100, 0, 100, 100, false}, // it has outlived its prediction
		{100, 500, 50, 100, true},
		{100, 500, 100, 500, true},
		{100, 500, 501, 501, true}, // it is about to be stopped
		{900, 500, 100, 500, true},
		{0, 500, 0, 500, true},
		{0, 0, 7, 7, false},
	} {
		if got, known := Expect(test.prediction, test.limit, test.elapsed); got != test.want || known != test.known {
			t.Errorf("Expect(%d, %d, %d) = %d, %v; want %d, %v", test.prediction, test.limit, test.elapsed, got, known, test.want, test.known)
		}
	}
}

func TestExpectations(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		some := rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(1, 1<<50))
		prediction, limit, elapsed := some.Draw(t, "prediction"), some.Draw(t, "limit"), some.Draw(t, "elapsed")
		got, known := Expect(prediction, limit, elapsed)
		switch {
		case got < elapsed:
			t.Fatalf("%d, and %d have passed", got, elapsed)
		case limit > 0 && (!known || got > max(limit, elapsed)):
			t.Fatalf("%d, known %v, within a limit of %d", got, known, limit)
		case limit == 0 && known != (prediction > elapsed):
			t.Fatalf("known %v: predicted %d, passed %d", known, prediction, elapsed)
		}
		later, _ := Expect(prediction, limit, elapsed+rapid.Int64Range(0, 1000).Draw(t, "more"))
		if later < got {
			t.Fatalf("%d became %d as time passed", got, later)
		}
	})
}
