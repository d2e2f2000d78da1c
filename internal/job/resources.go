package job

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Resources is what an attempt is given for itself, or what a worker has to give.
// Values can be compared: equal amounts are equal values.
type Resources struct {
	// CPU is in thousandths of a processor.
	CPU int64
	// Memory is in bytes.
	Memory int64
	// Other is everything else that is counted, by name.
	Other Amounts
}

// Names of resources whose amounts have a unit, or that are devices. Every other name
// counts things that mean something to whoever chose it: licences, slots of a service.
const (
	// Disk is bytes of scratch space.
	Disk = "disk"
	// Bandwidth is bits per second of network.
	Bandwidth = "bandwidth"
	// GPU is whole devices, which an attempt is given by their ids.
	GPU = "gpu"
)

// MaxResources bounds how many other resources there are beside processors and memory,
// in one request and in all that a worker has.
const MaxResources = 16

// MaxCount bounds the amount of another resource.
const MaxCount = 1 << 60

// Fits reports whether r is within free. Nothing fits where more is given away than there
// is of anything, not even what needs none of it.
func (r Resources) Fits(free Resources) bool {
	if r.CPU > free.CPU || r.Memory > free.Memory {
		return false
	}
	for _, n := range free.Other.All {
		if n < 0 {
			return false
		}
	}
	for name, n := range r.Other.All {
		if n > free.Other.Get(name) {
			return false
		}
	}
	return true
}

// Plus is the sum.
func (r Resources) Plus(o Resources) Resources {
	return Resources{CPU: r.CPU + o.CPU, Memory: r.Memory + o.Memory, Other: r.Other.with(o.Other, 1)}
}

// Minus is the difference, of which amounts may be negative.
func (r Resources) Minus(o Resources) Resources {
	return Resources{CPU: r.CPU - o.CPU, Memory: r.Memory - o.Memory, Other: r.Other.with(o.Other, -1)}
}

// Times is n times as much.
func (r Resources) Times(n int64) Resources {
	out := Resources{CPU: r.CPU * n, Memory: r.Memory * n}
	for name, one := range r.Other.All {
		out.Other = out.Other.Set(name, one*n)
	}
	return out
}

// Amounts is amounts by name in one form that can be compared and used as a key of a map:
// lines of "name=amount" by name, without those of 0. The zero value is nothing.
type Amounts table

// AmountsOf makes Amounts of a map.
func AmountsOf(amounts map[string]int64) Amounts {
	var c Amounts
	for _, name := range slices.Sorted(maps.Keys(amounts)) {
		c = c.Set(name, amounts[name])
	}
	return c
}

// All calls yield with each name and its amount, by name.
func (c Amounts) All(yield func(name string, n int64) bool) {
	for rest := table(c); rest != ""; {
		var name, amount string
		name, amount, rest = rest.cut()
		if !yield(name, number(amount)) {
			return
		}
	}
}

// Text is the amounts in one line for people: "disk 10G, gpu 2".
func (c Amounts) Text() string {
	var b strings.Builder
	for name, n := range c.All {
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		b.WriteString(name + " " + FormatAmount(name, n))
	}
	return b.String()
}

// Get is the amount of a name, 0 if there is none.
func (c Amounts) Get(name string) int64 { return number(table(c).get(name)) }

// Len is how many names have an amount.
func (c Amounts) Len() int { return table(c).len() }

// Set returns c with another amount of a name; 0 takes it out.
func (c Amounts) Set(name string, n int64) Amounts {
	if n == 0 {
		return Amounts(table(c).set(name, ""))
	}
	return Amounts(table(c).set(name, strconv.FormatInt(n, 10)))
}

func (c Amounts) with(o Amounts, sign int64) Amounts {
	for name, n := range o.All {
		c = c.Set(name, c.Get(name)+sign*n)
	}
	return c
}

// number reads an amount that Set wrote.
func number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// Divisible reports whether amounts of a resource are no things that could have ids: bytes,
// bits per second.
func Divisible(name string) bool { return name == Disk || name == Bandwidth }

// CheckResource reports why a name can't be that of another resource.
func CheckResource(name string) error {
	if name == "cpu" || name == "memory" {
		return fmt.Errorf("resource %q has a place of its own", name)
	}
	if err := CheckName(name); err != nil {
		return fmt.Errorf("resource: %w", err)
	}
	return nil
}

// ParseAmount reads an amount of a resource that is neither cpu nor memory: a size for
// disk, bits per second such as 100M for bandwidth, a whole number for the rest. An error
// says what is wanted; name and value are for the caller to name.
func ParseAmount(name, s string) (int64, error) {
	var n int64
	var err error
	want := "a whole number such as 2"
	switch name {
	case Disk:
		n, err = ParseSize(s)
		want = "a size such as 10G"
	case Bandwidth:
		n, err = ParseSize(s)
		want = "bits per second such as 100M or 1G"
	default:
		var count uint64
		count, err = strconv.ParseUint(s, 10, 63)
		n = int64(count)
	}
	switch {
	case err != nil && !errors.Is(err, strconv.ErrRange):
		return 0, fmt.Errorf("want %s", want)
	case err != nil || n > MaxCount:
		return 0, fmt.Errorf("want %s, at most %s", want, FormatAmount(name, MaxCount))
	}
	return n, nil
}

// FormatAmount writes an amount as ParseAmount reads it.
func FormatAmount(name string, n int64) string {
	if Divisible(name) {
		return FormatSize(n)
	}
	return strconv.FormatInt(n, 10)
}

// Words is the amounts as the job file spells them, by name: cpu always, of the rest what
// is not 0.
func (r Resources) Words() map[string]string {
	words := map[string]string{"cpu": FormatCPU(r.CPU)}
	if r.Memory > 0 {
		words["memory"] = FormatSize(r.Memory)
	}
	for name, n := range r.Other.All {
		words[name] = FormatAmount(name, n)
	}
	return words
}

// MarshalJSON writes the words: {"cpu":"0.5","gpu":"1","memory":"512Mi"}.
func (r Resources) MarshalJSON() ([]byte, error) { return json.Marshal(r.Words()) }

// UnmarshalJSON reads what MarshalJSON writes.
func (r *Resources) UnmarshalJSON(b []byte) error {
	var in map[string]string
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	if _, ok := in["cpu"]; !ok {
		return errors.New("resources without cpu")
	}
	var err error
	*r, err = ResourcesOf(in)
	return err
}
