package job

import (
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"strings"
)

// PoolPolicy is how much of its workers a pool gives away.
type PoolPolicy struct {
	// Overcommit is by what each amount of a worker is multiplied before attempts are given
	// parts of it. What an attempt may use stays what it asks for.
	Overcommit Factors `json:"overcommit,omitzero"`
}

// PoolChange is the parts of a pool's policy that are to change; nil leaves one as it is.
type PoolChange struct{ Overcommit *Factors }

// Apply returns the policy after the change.
func (c *PoolChange) Apply(p PoolPolicy) PoolPolicy {
	change(&p.Overcommit, c.Overcommit)
	return p
}

// Check reports the first thing that is wrong with the policy, with its value.
func (p *PoolPolicy) Check() error {
	if n := p.Overcommit.Other.Len(); n > MaxResources {
		return fmt.Errorf("overcommit: %d resources beside processors and memory; at most %d are allowed", n, MaxResources)
	}
	for name, n := range p.Overcommit.all {
		if err := checkFactor(name, n); err != nil {
			return fmt.Errorf("overcommit: %w", err)
		}
	}
	return nil
}

// Factors is what amounts are multiplied by, in thousandths; those of 0 stay as they are, as
// those of Once do. Values can be compared: FactorsOf makes equal ones of equal words.
type Factors Resources

// Once is the factor that changes nothing, MinFactor and MaxFactor bound the others.
const (
	Once      = 1000
	MinFactor = 100
	MaxFactor = 100_000
)

// factorWords is what a factor may be.
const factorWords = "a number from 0.1 to 100 such as 2, 1.5 or 0.9, of at most three decimal places"

func checkFactor(name string, f int64) error {
	switch {
	case name == GPU:
		return fmt.Errorf("%s=%s: each of these devices is one attempt's alone, so that there are never more of them; leave %s out", name, FormatCPU(f), name)
	case name != "cpu" && name != "memory" && CheckResource(name) != nil:
		return CheckResource(name)
	case f < MinFactor || f > MaxFactor:
		return fmt.Errorf("%s=%s: want %s", name, FormatCPU(f), factorWords)
	}
	return nil
}

// all calls yield with each factor that changes something.
func (f Factors) all(yield func(name string, f int64) bool) {
	if f.CPU != 0 && !yield("cpu", f.CPU) || f.Memory != 0 && !yield("memory", f.Memory) {
		return
	}
	f.Other.All(yield)
}

// Get is the factor of a resource.
func (f Factors) Get(name string) int64 {
	var n int64
	switch name {
	case "cpu":
		n = f.CPU
	case "memory":
		n = f.Memory
	default:
		n = f.Other.Get(name)
	}
	if n == 0 {
		return Once
	}
	return n
}

// Besides is the factors but for what has ids: that is as much as it is.
func (f Factors) Besides(ids Devices) Factors {
	for name := range ids.All {
		f.Other = f.Other.Set(name, 0)
	}
	return f
}

// Of is what there is of amounts to be given away, rounded down.
func (f Factors) Of(has Resources) Resources {
	out := Resources{CPU: times(has.CPU, f.CPU), Memory: times(has.Memory, f.Memory), Other: has.Other}
	for name, n := range f.Other.All {
		out.Other = out.Other.Set(name, times(has.Other.Get(name), n))
	}
	return out
}

// times is an amount by a factor, rounded down, at most MaxCount.
func times(n, factor int64) int64 {
	if factor == 0 || n <= 0 {
		return n
	}
	high, low := bits.Mul64(uint64(n), uint64(factor))
	if high >= Once {
		return MaxCount
	}
	most, _ := bits.Div64(high, low, Once)
	return int64(min(most, MaxCount))
}

// String writes cpu=2,memory=1.5, and none where every amount stays as it is.
func (f Factors) String() string { return joinPairs("", FactorsByName(f)) }

// FactorsByName is the factors by name, without those that change nothing. FactorsOf reads
// them.
func FactorsByName(f Factors) map[string]string {
	out := map[string]string{}
	for name, n := range f.all {
		out[name] = FormatCPU(n)
	}
	return out
}

// FactorsOf reads factors by name.
func FactorsOf(words map[string]string) (Factors, error) {
	var f Factors
	for _, name := range slices.Sorted(maps.Keys(words)) {
		n, err := parseFactor(words[name])
		if err != nil {
			return Factors{}, fmt.Errorf("%s=%s: want %s", name, words[name], factorWords)
		}
		if err := checkFactor(name, n); err != nil {
			return Factors{}, err
		}
		switch {
		case n == Once:
		case name == "cpu":
			f.CPU = n
		case name == "memory":
			f.Memory = n
		default:
			f.Other = f.Other.Set(name, n)
		}
	}
	return f, nil
}

func parseFactor(text string) (int64, error) {
	if _, frac, _ := strings.Cut(text, "."); len(strings.TrimRight(frac, "0")) > 3 {
		return 0, fmt.Errorf("%q has more than three decimal places", text)
	}
	n, err := scaled(text, Once)
	if err == nil && n == 0 { // which would change nothing
		err = fmt.Errorf("%q is nothing", text)
	}
	return n, err
}

// ParseFactors reads what String writes.
func ParseFactors(s string) (Factors, error) {
	pairs, err := splitPairs(s, "cpu=2,memory=1.5")
	if err != nil {
		return Factors{}, err
	}
	return FactorsOf(pairs)
}

// MarshalText writes what String does.
func (f Factors) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (f *Factors) UnmarshalText(b []byte) error {
	v, err := ParseFactors(string(b))
	*f = v
	return err
}
