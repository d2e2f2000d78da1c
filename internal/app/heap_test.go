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

// TestLull gives back once after each wave, if that is worth it.
func TestLull(t *testing.T) {
	const live = 300 << 20
	full, little := uint64(live+leastRoom), uint64(live+leastRoom/3)
	for _, test := range []struct {
		what         string
		held         uint64
		cycles       func(look int) uint64
		looks, wants int
	}{
		{"a wave and then nothing", full, func(int) uint64 { return 7 }, 5 * quietLooks, 1},
		{"two waves", full, func(look int) uint64 { return uint64(7 + look/(2*quietLooks)) }, 4 * quietLooks, 2},
		{"busy", full, func(look int) uint64 { return uint64(look / (quietLooks - 1)) }, 20 * quietLooks, 0},
		{"never much", little, func(int) uint64 { return 7 }, 5 * quietLooks, 0},
	} {
		var l lull
		given, own := 0, uint64(0)
		for look := range test.looks {
			if l.over(test.cycles(look)+own, live, test.held) {
				given++
				own++ // to give back collects
			}
		}
		if given != test.wants {
			t.Errorf("%s: given back %d times, want %d", test.what, given, test.wants)
		}
	}
}
