package predict

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// exact is what a sketch is held against: the numbers themselves, from the largest down.
type exact []int64

func (x *exact) add(v int64) {
	if len(*x) >= maxWeight {
		x.fade()
	}
	i, _ := slices.BinarySearchFunc(*x, v, func(a, b int64) int { return int(min(max(b-a, -1), 1)) })
	*x = slices.Insert(*x, i, v)
}

// fade forgets the first, the third and so on.
func (x *exact) fade() {
	var kept exact
	for i, v := range *x {
		if i%2 == 1 {
			kept = append(kept, v)
		}
	}
	*x = kept
}

func (x exact) quantile(thousandths int64) int64 {
	n := int64(len(x))
	if n == 0 {
		return 0
	}
	for i := n - 1; i >= 0; i-- { // from the smallest up
		if below := n - i; below*1000 >= n*thousandths {
			return x[i]
		}
	}
	panic("no quantile")
}

// near reports whether got is want, as far as a sketch may tell.
func near(got, want int64) bool {
	gap := got - want
	if gap < 0 {
		gap = -gap
	}
	return gap <= want/17+1 && (want >= 16 || gap == 0)
}

func checkQuantiles(t *rapid.T, s *Sketch, x exact) {
	if s.Count() != int64(len(x)) {
		t.Fatalf("it counts %d, want %d", s.Count(), len(x))
	}
	for _, q := range []int64{0, 1, 100, 250, 500, 900, 990, 999, 1000} {
		if got, want := s.Quantile(q), x.quantile(max(q, 1)); !near(got, want) {
			t.Fatalf("of %d numbers, %d of 1000 are at most %d, want %d", len(x), q, got, want)
		}
	}
}

func numbers() *rapid.Generator[int64] {
	return rapid.OneOf(rapid.Int64Range(0, 40), rapid.Int64Range(0, 1_000_000), rapid.Int64Range(0, math.MaxInt64))
}

func TestSketchIsNearTheNumbers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s Sketch
		var x exact
		for range rapid.IntRange(0, 3).Draw(t, "parts") {
			from := numbers()
			if rapid.Bool().Draw(t, "alike") {
				v := from.Draw(t, "around")
				from = rapid.Int64Range(v/2, v)
			}
			for _, v := range rapid.SliceOfN(from, 0, 600).Draw(t, "numbers") {
				s.Add(v)
				x.add(v)
			}
			checkQuantiles(t, &s, x)
		}
	})
}

// TestSketchFollows: what was before a change has no say after a while.
func TestSketchFollows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s Sketch
		for _, v := range rapid.SliceOfN(numbers(), 0, 1000).Draw(t, "before") {
			s.Add(v)
		}
		low := rapid.Int64Range(16, 1<<40).Draw(t, "low")
		now := rapid.SliceOfN(rapid.Int64Range(low, 2*low), 8*maxWeight, 8*maxWeight).Draw(t, "now")
		for i, v := range now {
			s.Add(v)
			if got := s.Quantile(500); i == 3*maxWeight/2 && (got < low-low/17-1 || got > 2*low+2*low/17+1) {
				t.Fatalf("the median is %d after %d numbers of %d to %d", got, i+1, low, 2*low)
			}
		}
		for _, q := range []int64{10, 100, 500, 900, 990} {
			if got := s.Quantile(q); got < low-low/17-1 || got > 2*low+2*low/17+1 {
				t.Fatalf("%d of 1000 are at most %d, and all of late were %d to %d", q, got, low, 2*low)
			}
		}
	})
}

func TestSketchesMerge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var sum Sketch
		var all exact
		for range rapid.IntRange(0, 5).Draw(t, "sketches") {
			var s Sketch
			for _, v := range rapid.SliceOfN(numbers(), 0, maxWeight).Draw(t, "numbers") {
				s.Add(v)
				all = append(all, v)
			}
			before := slices.Clone(s.buckets)
			sum.Merge(&s)
			sum.Merge(&Sketch{})
			if !slices.Equal(before, s.buckets) {
				t.Fatal("what was merged has changed")
			}
		}
		slices.Sort(all)
		slices.Reverse(all)
		checkQuantiles(t, &sum, all)
		checkSketch(t, &sum)
	})
}

// TestMergingIsBounded: a bucket never counts more than it can.
func TestMergingIsBounded(t *testing.T) {
	var one, sum Sketch
	for range maxWeight {
		one.Add(1000)
	}
	for range 600 {
		sum.Merge(&one)
		if sum.Count() > math.MaxUint16 || sum.Count() != int64(sum.buckets[0].n) {
			t.Fatalf("it counts %d, its bucket %d", sum.Count(), sum.buckets[0].n)
		}
	}
	if !near(sum.Quantile(500), 1000) || sum.Count() < math.MaxUint16/2 {
		t.Errorf("%d numbers around %d", sum.Count(), sum.Quantile(500))
	}
	sum.Add(1000) // and what was merged can be added to
	if sum.Count() > maxWeight {
		t.Errorf("it counts %d after one more", sum.Count())
	}
}

type failer interface{ Fatalf(string, ...any) }

// checkSketch holds a sketch against its own rules.
func checkSketch(t failer, s *Sketch) {
	total, last := 0, -1
	for _, b := range s.buckets {
		if int(b.at) <= last || b.at > lastBucket || b.n == 0 {
			t.Fatalf("bucket %d with %d follows bucket %d", b.at, b.n, last)
		}
		last = int(b.at)
		total += int(b.n)
	}
	if total != int(s.total) {
		t.Fatalf("buckets of %d numbers, counted %d", total, s.total)
	}
}

// TestBuckets: every number is in a bucket whose value is near it, and buckets rise.
func TestBuckets(t *testing.T) {
	last := uint16(0)
	for v := int64(0); v >= 0 && v < math.MaxInt64/33*32; v += max(v/33, 1) {
		at := bucketOf(v)
		if at != last && at != last+1 {
			t.Fatalf("%d is in bucket %d, after bucket %d", v, at, last)
		}
		last = at
		if !near(valueOf(at), v) {
			t.Fatalf("%d is in bucket %d, of about %d", v, at, valueOf(at))
		}
	}
	if at := bucketOf(math.MaxInt64); at != lastBucket || !near(valueOf(at), math.MaxInt64) {
		t.Errorf("the largest is in bucket %d, of about %d; want %d", at, valueOf(at), lastBucket)
	}
	var s Sketch
	s.Add(-5)
	if s.Quantile(500) != 0 || s.Count() != 1 {
		t.Errorf("a negative number counts as %d", s.Quantile(500))
	}
}
