package usage

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

const share = 1 << 20

func TestPast(t *testing.T) {
	const hour = 3_600_000
	var p Past
	p = p.Add(0, hour, share, 100*hour)
	if p.Amount < share-2 || p.Amount > share {
		t.Errorf("a share that was always used counts %d, want %d", p.Amount, share)
	}
	for hours, want := range map[int64]int64{1: share / 2, 2: share / 4, 10: share / 1024, 70: 0} {
		if got := p.Left(hours*hour, hour); got < want-2 || got > want {
			t.Errorf("after %d h %d is left, want %d", hours, got, want)
		}
	}
	if late := p.Add(-5*hour, hour, 0, 0); late != p {
		t.Errorf("a clock that is behind makes %+v of %+v", late, p)
	}
}

// TestFade checks the whole numbers against the curve.
func TestFade(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		amount := rapid.Int64Range(0, 1<<30).Draw(t, "amount")
		half := rapid.Int64Range(1000, 1<<40).Draw(t, "half-life")
		length := rapid.Int64Range(0, 40*half).Draw(t, "length")
		want := float64(amount) * math.Exp2(-float64(length)/float64(half))
		got := fade(amount, length, half)
		if off := math.Abs(float64(got) - want); off > 2+want/500 {
			t.Fatalf("%d after %d of %d is %d, want %.1f", amount, length, half, got, want)
		}
		if more := fade(amount, length+1, half); more > got {
			t.Fatalf("it grows from %d to %d", got, more)
		}
	})
}
