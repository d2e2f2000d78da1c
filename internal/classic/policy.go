// Package classic is scheduling policies of the literature, for one machine of
// processors that are all alike. Each is what its paper defines, beside the plan and not
// in it, so that it can be compared with what Reeve does.
//
// A Scheduler is told what comes and what ends, and proposes what starts next; whoever
// asks starts it. It has no clock: times are arguments, in milliseconds.
package classic

import (
	"fmt"
	"slices"
	"strings"
)

// Policy says how to schedule.
type Policy struct {
	// Name is what it was asked for as.
	Name string
	// Order is who is at the head of the queue.
	Order Order
	// Backfill is who may start before a head that does not fit, and By the order in
	// which they are looked at.
	Backfill Backfill
	By       Order
	// Estimate is what is known of run times, and Correct what happens to a prediction that
	// a job has outlived.
	Estimate Estimate
	Correct  Correction
	// Anew: what is known of a job that waits is asked anew whenever one of its user ends.
	// Otherwise it is what it was as the job came.
	Anew bool
	// Keep: a head that does not fit stays the head until it starts. Otherwise who is the
	// head is asked anew each time.
	Keep   bool
	Events Events
}

// Events is how what happens at one moment is seen.
type Events uint8

const (
	// Together is all at once, with one decision after it.
	Together Events = iota
	// Each is one after the other, arrivals first, with a decision after each.
	Each
	// Pyss is Each as the simulator pyss has it, which Gaussier et al. (2015) and others
	// worked with: predictions that are outlived go before arrivals, the processors of a job
	// that ends when it was expected to are free before its end is seen, and, where
	// backfilling looks in the order of arrival, an arrival for which there is no room is no
	// reason to look.
	Pyss
)

// Backfill is a way of letting jobs start before the head.
type Backfill uint8

const (
	// None lets nobody.
	None Backfill = iota
	// Easy lets those that don't delay the head, which has a reservation: the earliest
	// moment at which it is expected to fit (Lifka, 1995; Mu'alem and Feitelson, 2001).
	Easy
	// Conservative gives every job a reservation as it comes; who starts earlier delays
	// none of them (Mu'alem and Feitelson, 2001).
	Conservative
	// Scan lets those that end before the reservation of the head, which is worked out once,
	// when it is found not to fit (RLScheduler: Zhang et al., 2020).
	Scan
)

// Estimate is what is known of run times beforehand.
type Estimate uint8

const (
	// Requested is the word of the user.
	Requested Estimate = iota
	// Actual is the truth, as no scheduler can know it.
	Actual
	// LastTwo is the mean of the user's last two jobs that have ended, at most what is
	// requested, which it is until there are two (Tsafrir, Etsion and Feitelson, 2007).
	LastTwo
	// LastTwoOfAll is LastTwo, with jobs of which no user is known taken as those of one;
	// LastTwo takes what such jobs request.
	LastTwoOfAll
)

// Correction is what a prediction becomes once a job has run longer.
type Correction uint8

const (
	// ToRequest makes it what is requested.
	ToRequest Correction = iota
	// BySteps adds a minute, then more and more to the first prediction (Tsafrir et al.,
	// 2007).
	BySteps
	// ByDoubling doubles it (Gaussier et al., 2015).
	ByDoubling
)

// words spells a setting.
type words []string

func (w words) of(v uint8) string { return w[v] }

func (w words) parse(key, s string) (uint8, error) {
	if i := slices.Index(w, s); i >= 0 {
		return uint8(i), nil
	}
	return 0, fmt.Errorf("%s=%.40s: want one of %s", key, s, strings.Join(w, ", "))
}

var (
	backfills   = words{"none", "easy", "conservative", "scan"}
	estimates   = words{"request", "actual", "last-two", "last-two-of-all"}
	corrections = words{"request", "steps", "double"}
	heads       = words{"free", "kept"}
	times       = words{"once", "anew"}
	moments     = words{"together", "each", "pyss"}
)

// preset is a policy by name.
type preset struct {
	name, says string
	policy     Policy
}

var presets = []preset{
	{"fcfs", "first come, first served; nobody passes", Policy{}},
	{"sjf", "shortest job first", Policy{Order: SJF}},
	{"easy", "first come, first served; who does not delay the head may pass", Policy{Backfill: Easy}},
	{"easy-sjbf", "easy, and of those that may pass the shortest first", Policy{Backfill: Easy, By: SJF}},
	{"easy++", "easy-sjbf with predictions: the mean of the user's last two jobs", Policy{Backfill: Easy, By: SJF, Estimate: LastTwo, Correct: BySteps}},
	{"aged", "easy++ with a queue in which twice the work counts like having come a day later; Reeve's own",
		Policy{Order: Aged, Backfill: Easy, By: SJF, Estimate: LastTwo, Correct: BySteps}},
	{"conservative", "who delays nobody may pass", Policy{Backfill: Conservative}},
	{"rlscheduler", "as RLScheduler's published baselines: the head is kept, and what happens at one moment is seen one by one",
		Policy{Keep: true, Events: Each}},
}

// Presets lists the policies that have a name, and what each does.
func Presets() (names, says []string) {
	for _, p := range presets {
		names, says = append(names, p.name), append(says, p.says)
	}
	return names, says
}

// Keys lists what a policy can be made of, each with the words that it takes.
func Keys() [][2]string {
	w := func(w words) string { return strings.Join(w, ", ") }
	return [][2]string{
		{"order", w(orderNames())}, {"backfill", w(backfills)}, {"by", w(orderNames())}, {"estimate", w(estimates)},
		{"correct", w(corrections)}, {"predict", w(times)}, {"head", w(heads)}, {"events", w(moments)},
	}
}

// Parse reads a policy: a name, settings, or a name and settings that change it, with
// commas, such as easy,estimate=actual.
func Parse(text string) (Policy, error) {
	var p Policy
	for i, part := range strings.Split(text, ",") {
		key, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok && i == 0 {
			at := slices.IndexFunc(presets, func(q preset) bool { return q.name == key })
			if at < 0 {
				names, _ := Presets()
				return p, fmt.Errorf("%.40q is no policy; known: %s, or key=value with commas", key, strings.Join(names, ", "))
			}
			p = presets[at].policy
			continue
		}
		if !ok {
			return p, fmt.Errorf("%.40q: want key=value", part)
		}
		if err := p.set(key, value); err != nil {
			return p, err
		}
	}
	p.Name = text
	return p, p.check()
}

func (p *Policy) set(key, value string) error {
	var v uint8
	var err error
	switch key {
	case "order":
		v, err = orderNames().parse(key, value)
		p.Order = Order(v)
	case "backfill":
		v, err = backfills.parse(key, value)
		p.Backfill = Backfill(v)
	case "by":
		v, err = orderNames().parse(key, value)
		p.By = Order(v)
	case "estimate":
		v, err = estimates.parse(key, value)
		p.Estimate = Estimate(v)
	case "correct":
		v, err = corrections.parse(key, value)
		p.Correct = Correction(v)
	case "predict":
		v, err = times.parse(key, value)
		p.Anew = v == 1
	case "head":
		v, err = heads.parse(key, value)
		p.Keep = v == 1
	case "events":
		v, err = moments.parse(key, value)
		p.Events = Events(v)
	default:
		var keys []string
		for _, k := range Keys() {
			keys = append(keys, k[0])
		}
		return fmt.Errorf("%.40q is no part of a policy; known: %s", key, strings.Join(keys, ", "))
	}
	return err
}

// check refuses what does not go together.
func (p *Policy) check() error {
	switch {
	case p.By.moves():
		return fmt.Errorf("by=%s changes with time; backfilling looks in an order that stays: %s", p.By, strings.Join(stayingOrders(), ", "))
	case p.Backfill == Scan && !p.Keep:
		return fmt.Errorf("backfill=scan works out the reservation once, which asks for head=kept")
	case p.Backfill == Scan && p.By != FCFS:
		return fmt.Errorf("backfill=scan looks in the order in which jobs came, not by=%s", p.By)
	case p.Backfill == Conservative && (p.Order.moves() || p.By != FCFS || p.Keep):
		return fmt.Errorf("backfill=conservative reserves in an order that stays, and asks for no by and no head=kept")
	case p.Backfill == Conservative && p.Anew:
		return fmt.Errorf("backfill=conservative reserves as a job comes, for what is known then: it asks for predict=once")
	case p.Events == Pyss && (p.Backfill == Conservative || p.Keep):
		return fmt.Errorf("events=pyss goes with backfill=none or easy, and head=free")
	}
	return nil
}

// String is the policy in settings.
func (p Policy) String() string {
	head, anew := 0, 0
	if p.Keep {
		head = 1
	}
	if p.Anew {
		anew = 1
	}
	return fmt.Sprintf("order=%s,backfill=%s,by=%s,estimate=%s,correct=%s,predict=%s,head=%s,events=%s", p.Order, backfills.of(uint8(p.Backfill)),
		p.By, estimates.of(uint8(p.Estimate)), corrections.of(uint8(p.Correct)), times[anew], heads[head], moments.of(uint8(p.Events)))
}
