package app

import "testing"

func TestHeapPercent(t *testing.T) {
	for _, test := range []struct {
		live uint64
		want int
	}{
		{0, 100}, {1 << 20, 100}, {96 << 20, 100}, // Go's own rule while little lives
		{128 << 20, 80}, {192 << 20, 50},
		{300 << 20, 30}, {4 << 30, 30},
	} {
		if got := heapPercent(test.live); got != test.want {
			t.Errorf("%d MiB live: %d %%, want %d %%", test.live>>20, got, test.want)
		}
	}
}
