package app

import "testing"

func TestHeapPercent(t *testing.T) {
	for _, test := range []struct {
		live uint64
		want int
	}{
		{0, 3200}, {16 << 20, 800}, {64 << 20, 200},
		{128 << 20, 100}, // Go's own rule
		{192 << 20, 60}, {384 << 20, 30}, {4 << 30, 30},
	} {
		if got := heapPercent(test.live); got != test.want {
			t.Errorf("%d MiB live: %d %%, want %d %%", test.live>>20, got, test.want)
		}
	}
}
