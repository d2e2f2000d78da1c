package app

import "testing"

func TestHeapPercent(t *testing.T) {
	for _, test := range []struct {
		live uint64
		want int
	}{
		{0, 1600}, {16 << 20, 400}, {32 << 20, 200},
		{64 << 20, 100}, {96 << 20, 100}, // Go's own rule
		{128 << 20, 70}, {192 << 20, 50},
		{300 << 20, 30}, {4 << 30, 30},
	} {
		if got := heapPercent(test.live); got != test.want {
			t.Errorf("%d MiB live: %d %%, want %d %%", test.live>>20, got, test.want)
		}
	}
}
