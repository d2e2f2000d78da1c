package job

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// None is the word that clears a limit, a guarantee or a rate.
const None = "none"

// QueueChange is the parts of a queue's policy that are to change; nil leaves one as it is.
type QueueChange struct {
	Order     *Order
	Backfill  *Backfill
	Ageing    *Duration
	Weight    *int64
	Guarantee *Resources
	Limit     *Limit
	Rate      *Rate
	HalfLife  *Duration
	Preempt   *bool
}

// Apply returns the policy after the change.
func (c *QueueChange) Apply(p QueuePolicy) QueuePolicy {
	change(&p.Order, c.Order)
	change(&p.Backfill, c.Backfill)
	change(&p.Ageing, c.Ageing)
	change(&p.Weight, c.Weight)
	change(&p.Guarantee, c.Guarantee)
	change(&p.Limit, c.Limit)
	change(&p.Rate, c.Rate)
	change(&p.HalfLife, c.HalfLife)
	change(&p.Preempt, c.Preempt)
	return p
}

// NamespaceChange is the parts of a namespace's policy that are to change; nil leaves one
// as it is.
type NamespaceChange struct {
	Weight    *int64
	Guarantee *Resources
	Limit     *Limit
	Pending   *int64
	HalfLife  *Duration
}

// Apply returns the policy after the change.
func (c *NamespaceChange) Apply(p NamespacePolicy) NamespacePolicy {
	change(&p.Weight, c.Weight)
	change(&p.Guarantee, c.Guarantee)
	change(&p.Limit, c.Limit)
	change(&p.Pending, c.Pending)
	change(&p.HalfLife, c.HalfLife)
	return p
}

func change[T any](old, to *T) {
	if to != nil {
		*old = *to
	}
}

// AmountsByName is the amounts by name as a job file spells them, without those of 0: cpu,
// memory and the rest. ResourcesOf reads them.
func AmountsByName(r Resources) map[string]string {
	out := map[string]string{}
	if r.CPU != 0 {
		out["cpu"] = FormatCPU(r.CPU)
	}
	if r.Memory != 0 {
		out["memory"] = FormatSize(r.Memory)
	}
	for name, n := range r.Other.All {
		out[name] = FormatAmount(name, n)
	}
	return out
}

// ResourcesOf reads amounts by name, as a job file spells them.
func ResourcesOf(words map[string]string) (Resources, error) {
	var r Resources
	for _, name := range slices.Sorted(maps.Keys(words)) {
		var err error
		switch text := words[name]; name {
		case "cpu":
			r.CPU, err = ParseCPU(text)
		case "memory":
			r.Memory, err = ParseSize(text)
		default:
			var n int64
			if err = CheckResource(name); err == nil {
				if n, err = ParseAmount(name, text); err != nil {
					err = fmt.Errorf("%s %q: %w", name, text, err)
				}
			}
			r.Other = r.Other.Set(name, n)
		}
		if err != nil {
			return Resources{}, err
		}
	}
	return r, nil
}

// FormatResources writes cpu=8,memory=64Gi,gpu=2, and none for nothing.
func FormatResources(r Resources) string { return joinPairs("", AmountsByName(r)) }

// ParseResources reads what FormatResources writes.
func ParseResources(s string) (Resources, error) {
	pairs, err := splitPairs(s, "cpu=16,gpu=2")
	if err != nil {
		return Resources{}, err
	}
	return ResourcesOf(pairs)
}

// runningWord is the word for attempts beside the names of resources.
const runningWord = "running"

// String writes running=10,cpu=16,gpu=2, and none for no limit.
func (l Limit) String() string {
	first := ""
	if l.Running > 0 {
		first = runningWord + "=" + strconv.FormatInt(l.Running, 10)
	}
	return joinPairs(first, AmountsByName(l.Resources))
}

// ParseLimit reads what String writes.
func ParseLimit(s string) (Limit, error) {
	var l Limit
	pairs, err := splitPairs(s, "cpu=16,gpu=2")
	if err != nil {
		return l, err
	}
	if text, ok := pairs[runningWord]; ok {
		if l.Running, err = strconv.ParseInt(text, 10, 64); err != nil || l.Running < 1 {
			return Limit{}, fmt.Errorf("running=%s: want a whole number of attempts, from 1 to %d", text, MaxRunning)
		}
		delete(pairs, runningWord)
	}
	l.Resources, err = ResourcesOf(pairs)
	return l, err
}

func joinPairs(first string, words map[string]string) string {
	var parts []string
	if first != "" {
		parts = append(parts, first)
	}
	names := slices.Sorted(maps.Keys(words))
	for _, name := range []string{"cpu", "memory"} { // these come first
		if text, ok := words[name]; ok {
			parts = append(parts, name+"="+text)
		}
	}
	for _, name := range names {
		if name != "cpu" && name != "memory" {
			parts = append(parts, name+"="+words[name])
		}
	}
	if len(parts) == 0 {
		return None
	}
	return strings.Join(parts, ",")
}

// splitPairs reads name=amount,name=amount as in the example; none is no pair.
func splitPairs(s, example string) (map[string]string, error) {
	out := map[string]string{}
	if s == None {
		return out, nil
	}
	for part := range strings.SplitSeq(s, ",") {
		name, amount, ok := strings.Cut(part, "=")
		if !ok || name == "" || amount == "" {
			return nil, fmt.Errorf("%q: want pairs such as %s, or %s", s, example, None)
		}
		if _, twice := out[name]; twice {
			return nil, fmt.Errorf("%q: %s stands there twice", s, name)
		}
		out[name] = amount
	}
	return out, nil
}

// rateUnits are the times that a rate may name by a letter.
var rateUnits = []struct {
	word string
	per  Duration
}{{"s", Duration(time.Second)}, {"m", Duration(time.Minute)}, {"h", Duration(time.Hour)}, {"d", Duration(24 * time.Hour)}}

// String writes 10/s or 3/10m, and none for no rate; Burst is left out.
func (r Rate) String() string {
	if r.Count == 0 {
		return None
	}
	for _, u := range rateUnits {
		if u.per == r.Per {
			return fmt.Sprintf("%d/%s", r.Count, u.word)
		}
	}
	return fmt.Sprintf("%d/%s", r.Count, duration(r.Per))
}

// ParseRate reads 10/s, 5/m, 100/h, 1/d and 3/10m, or none. Burst is then 1.
func ParseRate(s string) (Rate, error) {
	if s == None {
		return Rate{}, nil
	}
	fail := func() (Rate, error) {
		return Rate{}, fmt.Errorf("rate %q: want a number in a time such as 10/s, 100/h or 3/10m, or %s", s, None)
	}
	number, per, ok := strings.Cut(s, "/")
	count, err := strconv.ParseInt(number, 10, 64)
	if !ok || err != nil || count < 1 {
		return fail()
	}
	r := Rate{Count: count, Burst: 1}
	for _, u := range rateUnits {
		if u.word == per {
			r.Per = u.per
		}
	}
	if r.Per == 0 {
		d, err := ParseDuration(per)
		if err != nil || d == 0 {
			return fail()
		}
		r.Per = Duration(d)
	}
	if err := r.Check(); err != nil {
		return Rate{}, err
	}
	return r, nil
}
