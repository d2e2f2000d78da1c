package predict

import (
	"math"
	"math/bits"
	"slices"
)

// Sketch is the distribution of numbers that were added to it, 0 to the largest int64, with
// a relative error of at most 1/17, which is less than 6 %. Old numbers fade, so that it
// follows a task that changes: once it holds maxWeight numbers, half of them go before the
// next, evenly over the distribution. The zero value is empty.
//
// It is a log-linear histogram, as HdrHistogram has them (Tene, 2012): each power of two is
// cut into eight buckets of one width. It keeps only those that are not empty. No library does
// this: those for DDSketch and t-digest compute logarithms and weights in floating point, which
// may differ between processors, and none of them fades.
type Sketch struct {
	buckets []bucket // by rising at
	total   uint32
}

type bucket struct{ at, n uint16 }

const (
	// maxWeight bounds how many numbers count: enough for a p99 that is not the maximum, and
	// few enough that half of them are of the last 128 attempts or so.
	maxWeight = 256

	subBits    = 3 // eight buckets for each power of two
	subBuckets = 1 << subBits
	// lastBucket is where the largest int64 is.
	lastBucket = (63-subBits)*subBuckets + subBuckets - 1
)

// bucketOf is the bucket of a number that is not negative. Those below 8 have one each.
func bucketOf(v int64) uint16 {
	if v < subBuckets {
		return uint16(v)
	}
	shift := bits.Len64(uint64(v)) - 1 - subBits
	return uint16(shift*subBuckets) + uint16(v>>shift)
}

// valueOf is the number that stands for a bucket: of its bounds a and b the harmonic mean
// 2ab/(a+b), which is as far from either in proportion.
func valueOf(at uint16) int64 {
	if at < 2*subBuckets {
		return int64(at) // buckets of one number
	}
	shift, lead := at/subBuckets-1, int64(at%subBuckets+subBuckets)
	width := int64(1) << shift
	return lead*width + width*lead/(2*lead+1)
}

// Add adds a number. Negative ones count as 0.
func (s *Sketch) Add(v int64) {
	for s.total >= maxWeight {
		s.fade()
	}
	at := bucketOf(max(v, 0))
	i, found := slices.BinarySearchFunc(s.buckets, at, func(b bucket, at uint16) int { return int(b.at) - int(at) })
	if !found {
		s.buckets = slices.Insert(s.buckets, i, bucket{at: at})
	}
	s.buckets[i].n++
	s.total++
}

// fade forgets half of the numbers: every other one, from the largest down, which goes.
func (s *Sketch) fade() {
	seen, kept := uint32(0), uint32(0)
	for i := len(s.buckets) - 1; i >= 0; i-- {
		b := &s.buckets[i]
		seen += uint32(b.n)
		b.n = uint16(seen/2 - kept)
		kept = seen / 2
	}
	s.buckets = slices.DeleteFunc(s.buckets, func(b bucket) bool { return b.n == 0 })
	s.total = kept
}

// Merge adds all that o has. The sum may have more than a sketch that is added to, up to
// 65,535 numbers; from there on it fades.
func (s *Sketch) Merge(o *Sketch) {
	theirs := Sketch{buckets: slices.Clone(o.buckets), total: o.total}
	for s.total+theirs.total > math.MaxUint16 { // what a bucket can count
		s.fade()
		theirs.fade()
	}
	sum := make([]bucket, 0, len(s.buckets)+len(theirs.buckets))
	for _, b := range s.buckets {
		for len(theirs.buckets) > 0 && theirs.buckets[0].at < b.at {
			sum, theirs.buckets = append(sum, theirs.buckets[0]), theirs.buckets[1:]
		}
		if len(theirs.buckets) > 0 && theirs.buckets[0].at == b.at {
			b.n += theirs.buckets[0].n
			theirs.buckets = theirs.buckets[1:]
		}
		sum = append(sum, b)
	}
	sum = append(sum, theirs.buckets...)
	s.buckets, s.total = sum, s.total+theirs.total
}

// Count is how many numbers it holds.
func (s *Sketch) Count() int64 { return int64(s.total) }

// Quantile is a number that so many thousandths of all are at most, as good as: 500 is the
// median, 990 the p99, 1000 the maximum. It is 0 if there are none.
func (s *Sketch) Quantile(thousandths int64) int64 {
	rank := (int64(s.total)*thousandths + 999) / 1000
	for _, b := range s.buckets {
		if rank -= int64(b.n); rank <= 0 {
			return valueOf(b.at)
		}
	}
	return 0
}
