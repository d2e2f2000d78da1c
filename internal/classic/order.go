package classic

import (
	"math"

	"github.com/reeve-scheduler/reeve/internal/workload"
)

// Order is who goes first. Who came earlier decides between equals.
type Order uint8

const (
	// FCFS is first come, first served.
	FCFS Order = iota
	// SJF is the shortest first, by the estimate of its run time.
	SJF
	// SAF is the smallest area first: processors times estimate (Carastan-Santos et al.,
	// 2019).
	SAF
	// Narrow is the fewest processors first.
	Narrow
	// F1 weighs the estimate, the processors and the submit time as a regression found
	// best (Carastan-Santos and de Camargo, 2017).
	F1
	// WFP3 is the largest (wait / estimate)³ × processors first (Tang et al., 2009).
	WFP3
	// UNICEF is the largest wait / (log₂ processors × estimate) first (Tang et al., 2009).
	UNICEF
	// LXF is the largest expansion first: (wait + estimate) / estimate (Chiang and Vernon,
	// 2001).
	LXF
	// Aged is not of the literature but Reeve's own: twice the work (processors times
	// estimate) counts like having come a day later. The order is fixed as a job
	// comes, and nobody is overtaken for ever: a job with a thousand times the work of those
	// that come waits ten days longer at most.
	Aged
	// PublishedWFP3 is WFP3 as the program of RLScheduler computes it: of a job that waits,
	// it takes the wait as −1 s − its submit time.
	PublishedWFP3
	// PublishedUNICEF is UNICEF with the same wait.
	PublishedUNICEF
	orders
)

func orderNames() words {
	return words{"fcfs", "sjf", "saf", "narrow", "f1", "wfp3", "unicef", "lxf", "aged", "published-wfp3", "published-unicef"}
}

// String is the order's name.
func (o Order) String() string { return orderNames().of(uint8(o)) }

// moves reports whether who goes first depends on the time.
func (o Order) moves() bool { return o == WFP3 || o == UNICEF || o == LXF }

func stayingOrders() (out []string) {
	for o := range orders {
		if !o.moves() {
			out = append(out, o.String())
		}
	}
	return out
}

// score is a number that is least for who goes first. Times are seconds here, as in the
// papers' formulas.
func (o Order) score(j *workload.Job, estimate, now int64) float64 {
	r, n, s := float64(estimate)/1000, float64(j.Procs), float64(j.Submit)/1000
	wait := float64(now-j.Submit) / 1000
	switch o {
	case FCFS:
		return 0
	case SJF:
		return r
	case SAF:
		return r * n
	case Narrow:
		return n
	case F1:
		return log10(r)*n + 870*log10(s)
	case WFP3:
		return wfp3(wait, r, n)
	case UNICEF:
		return unicef(wait, r, n)
	case LXF:
		return -(wait + r) / r
	case Aged:
		return s + day*math.Log2(max(r, 1)*n)
	case PublishedWFP3:
		return wfp3(-1-s, r, n)
	case PublishedUNICEF:
		return unicef(-1-s, r, n)
	}
	return 0
}

// day is in seconds.
const day = 24 * 3600

func wfp3(wait, r, n float64) float64 {
	x := wait / r
	return -(x * x * x) * n
}

// unicef has next to nothing in the place of 0, as in the published program: the
// logarithm of one processor is none.
func unicef(wait, r, n float64) float64 {
	const tiny = 1e-15
	return -(wait + tiny) / (math.Log2(n+tiny) * r)
}

// log10 has 0.1 in the place of 0, whose logarithm is none.
func log10(x float64) float64 {
	if x <= 0 {
		x = 0.1
	}
	return math.Log10(x)
}
