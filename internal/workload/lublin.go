package workload

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
)

// Model draws jobs as the model of Lublin and Feitelson does (The workload on parallel
// supercomputers: modeling the characteristics of rigid jobs, 2003): sizes from a
// two-stage uniform distribution in which powers of two and single processors stand
// out, run times from a mixture of two gamma distributions that depends on the size,
// arrivals by the hour of the day. Beyond the model, jobs may have users, who repeat
// what they did a moment ago, and who ask for more time than they need.
type Model struct {
	Jobs  int
	Procs int64
	// Seed makes the same jobs each time.
	Seed uint64
	// Load stretches the time between arrivals so that the work comes to this share of the
	// machine, in thousandths; 0 leaves the model's own.
	Load int64
	// Users is how many there are, busy by Zipf's law; 0 leaves jobs without users.
	Users int
	// Repeat is how often, in the mean, a user's job is followed by one of the same size
	// and of about the same run time; it needs Users.
	Repeat int
	// Overestimate is the most that is asked for beyond the run time, in hundredths of it:
	// each job's share is uniform (the f-model of Mu'alem and Feitelson, 2001). With 0 users
	// know their jobs.
	Overestimate int64
}

// Check says what is wrong with a model, in words that name the value.
func (m *Model) Check() error {
	switch {
	case m.Jobs < 1 || m.Jobs > MaxJobs:
		return fmt.Errorf("%d jobs: want 1 to %d", m.Jobs, MaxJobs)
	case m.Procs < 1 || m.Procs > 1<<30:
		return fmt.Errorf("%d processors: want 1 to %d", m.Procs, 1<<30)
	case m.Load < 0 || m.Load > 100_000:
		return fmt.Errorf("a load of %g: want 0.001 to 100", float64(m.Load)/1000)
	case m.Users < 0 || m.Users > MaxJobs:
		return fmt.Errorf("%d users: want 0 to %d", m.Users, MaxJobs)
	case m.Repeat < 0 || m.Repeat > 1000:
		return fmt.Errorf("%d repetitions: want 0 to 1000", m.Repeat)
	case m.Repeat > 0 && m.Users == 0:
		return fmt.Errorf("%d repetitions without users: nobody is there to repeat", m.Repeat)
	case m.Overestimate < 0 || m.Overestimate > 100_000:
		return fmt.Errorf("an overestimate of %g: want 0 to 1000", float64(m.Overestimate)/100)
	}
	return nil
}

// The model's parameters for a day in which batch and interactive jobs are not told
// apart (Lublin and Feitelson, 2003, and the program that they published with it).
const (
	serialShare = 0.244
	powerShare  = 0.576
	// Sizes are powers of two between lowSize and the machine's, the smaller share of
	// them above the medium, which is mediumBelow below the machine's.
	lowSize     = 0.8
	mediumBelow = 2.5
	smallShare  = 0.86
	// The logarithm of the run time in seconds is gamma-distributed: short ones with the
	// probability pa × processors + pb.
	a1, b1 = 4.2, 0.94
	a2, b2 = 312, 0.03
	pa, pb = -0.0054, 0.78
	// maxLogRun bounds the logarithm of a run time, maxLogGap that of a gap.
	maxLogRun = 12
	maxLogGap = 13
	// The logarithm of the gap between arrivals, had every hour the mean's share.
	aArrive, bArrive = 10.2303 * 1.0225, 0.4871
	// The day's half hours, of which the first is dayStart, have the shares of this gamma
	// distribution.
	aDay, bDay = 8.1737, 3.9631
	dayStart   = 11
	buckets    = 48
	bucket     = 24 * 3600 / buckets
)

// Trace draws the jobs of a model that passed Check.
func (m *Model) Trace() *Trace {
	d := drawer{Rand: rand.New(rand.NewPCG(m.Seed, 0x5eed)), Model: m, day: dayShares()} //nolint:gosec // a workload is to be repeated, and nobody's secret
	t := &Trace{Procs: m.Procs, Jobs: make([]Job, m.Jobs)}
	if m.Users > 0 {
		d.people = make([]person, m.Users)
		d.share = make([]float64, m.Users)
		total := 0.0
		for i := range d.share {
			total += 1 / float64(i+1)
			d.share[i] = total
			d.people[i].name = strconv.Itoa(i + 1)
		}
	}
	for i := range t.Jobs {
		j := &t.Jobs[i]
		*j = Job{Number: int64(i + 1), Submit: int64(d.arrive() * 1000), Wait: Unknown}
		d.work(j)
		j.Request = j.Run
		if m.Overestimate > 0 {
			more := float64(j.Run) * d.Float64() * float64(m.Overestimate) / 100
			j.Request += int64(more)
			j.Request = (j.Request + 59_999) / 60_000 * 60_000 // people ask for whole minutes
		}
	}
	m.stretch(t)
	return t
}

// stretch brings the load to what is wanted.
func (m *Model) stretch(t *Trace) {
	have := t.Load(m.Procs)
	if m.Load == 0 || have == 0 {
		return
	}
	first, by := t.Jobs[0].Submit, float64(have)/float64(m.Load)
	for i := range t.Jobs {
		j := &t.Jobs[i]
		j.Submit = first + int64(float64(j.Submit-first)*by)/1000*1000
	}
}

// drawer draws the jobs of a model, one after the other.
type drawer struct {
	*rand.Rand
	*Model

	day [buckets]float64
	// now is the time in seconds, in whose bucket; points is what is left to pay for the
	// time to the next arrival, and paid the share of the bucket that is over.
	now, points, paid float64
	bucket            int

	people []person
	share  []float64
}

// person is a user, and what they are doing.
type person struct {
	name  string
	procs int64
	run   float64
	left  int
}

// work draws who submits a job, and how large and long it is.
func (d *drawer) work(j *Job) {
	if d.people == nil {
		j.Procs = d.size()
		j.Run = milliseconds(d.run(j.Procs))
		return
	}
	x := d.Float64() * d.share[len(d.share)-1]
	lo, hi := 0, len(d.share)-1
	for lo < hi {
		if mid := (lo + hi) / 2; d.share[mid] < x {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	p := &d.people[lo]
	if p.left == 0 {
		p.procs = d.size()
		p.run = d.run(p.procs)
		for d.Repeat > 0 && d.Float64() > 1/float64(d.Repeat+1) && p.left < 1000 {
			p.left++
		}
	} else {
		p.left--
	}
	j.User, j.Procs = p.name, p.procs
	j.Run = milliseconds(p.run * math.Exp(d.NormFloat64()*sway))
}

// sway is how much the logarithm of a repeated job's run time differs.
const sway = 0.15

// milliseconds makes a run time of seconds, of a whole second at least.
func milliseconds(s float64) int64 { return max(int64(s), 1) * 1000 }

func (d *drawer) size() int64 {
	u := d.Float64()
	if u <= serialShare || d.Procs == 1 {
		return 1
	}
	high := math.Log2(float64(d.Procs))
	medium := max(high-mediumBelow, lowSize)
	lo, hi := min(lowSize, high), medium
	if d.Float64() > smallShare {
		lo, hi = medium, high
	}
	power := lo + d.Float64()*(hi-lo)
	if u <= serialShare+powerShare {
		power = math.Floor(power + 0.5)
	}
	return min(max(int64(math.Exp2(power)+0.5), 1), d.Procs)
}

// run draws a run time in seconds.
func (d *drawer) run(procs int64) float64 {
	short := min(max(pa*float64(procs)+pb, 0), 1)
	a, b := float64(a2), b2
	if d.Float64() <= short {
		a, b = a1, b1
	}
	return math.Exp(d.below(a, b, maxLogRun))
}

// arrive draws the moment at which the next job comes, in seconds. A gap pays for the
// time that it takes: little at night, when each bucket's share is small.
func (d *drawer) arrive() float64 {
	at := d.now
	d.points += math.Exp(d.below(aArrive, bArrive, maxLogGap)) / bucket
	for d.points > d.day[d.bucket] {
		d.points -= d.day[d.bucket]
		d.bucket = (d.bucket + 1) % buckets
		d.now += bucket
	}
	paid := d.points / d.day[d.bucket]
	d.now += bucket * (paid - d.paid)
	d.paid = paid
	return at
}

// dayShares is each half hour's share of the arrivals, 1 in the mean.
func dayShares() (out [buckets]float64) {
	total := 0.0
	for i := dayStart; i < buckets+dayStart; i++ {
		share := gammaBelow(aDay, (float64(i)+0.5)/bDay) - gammaBelow(aDay, (float64(i)-0.5)/bDay)
		out[(i-1)%buckets] = share
		total += share
	}
	for i := range out {
		out[i] *= buckets / total
	}
	return out
}

// below draws from a gamma distribution what is not above a bound.
func (d *drawer) below(a, b, most float64) float64 {
	for {
		if x := d.gamma(a) * b; x <= most {
			return x
		}
	}
}

// gamma draws from the gamma distribution of a shape of 1 or more and of scale 1
// (Marsaglia and Tsang, 2000).
func (d *drawer) gamma(shape float64) float64 {
	e := shape - 1.0/3
	c := 1 / math.Sqrt(9*e)
	for {
		x := d.NormFloat64()
		v := 1 + c*x
		if v <= 0 {
			continue
		}
		v = v * v * v
		if math.Log(1-d.Float64()) < x*x/2+e-e*v+e*math.Log(v) {
			return e * v
		}
	}
}

// gammaBelow is how much of the gamma distribution of a shape lies below x: the
// regularized incomplete gamma function, by its power series.
func gammaBelow(shape, x float64) float64 {
	if x <= 0 {
		return 0
	}
	term, sum := 1/shape, 1/shape
	for n := shape + 1; term > sum*1e-15 && n < shape+10_000; n++ {
		term *= x / n
		sum += term
	}
	log, _ := math.Lgamma(shape)
	return sum * math.Exp(shape*math.Log(x)-x-log)
}
