package spaces

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// part is a flag that sets one part of a policy.
type part[T any] struct {
	to    **T
	parse func(string) (T, error)
	// what is how an error of parse calls the value.
	what string
}

// Set reads the part.
func (p *part[T]) Set(text string) error {
	v, err := p.parse(text)
	if err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), strings.TrimSpace(p.what+" "+strconv.Quote(text))+": "))
	}
	*p.to = &v
	return nil
}

// String is empty: a part has no default.
func (p *part[T]) String() string { return "" }

// Type is what the help calls the value, where its text does not.
func (p *part[T]) Type() string {
	if _, ok := any(p).(*part[bool]); ok {
		return "bool"
	}
	return "string"
}

func flag[T any](f *pflag.FlagSet, to **T, name, what string, parse func(string) (T, error), usage string) {
	f.Var(&part[T]{to, parse, what}, name, usage)
}

func whole(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, errors.New("want a whole number")
	}
	return n, nil
}

// amount is whole, or none for 0.
func amount(text string) (int64, error) {
	if text == job.None {
		return 0, nil
	}
	return whole(text)
}

func duration(text string) (job.Duration, error) {
	d, err := job.ParseDuration(text)
	if err != nil {
		err = errors.New("want a duration such as 90s, 1h30m or 2d")
	}
	return job.Duration(d), err
}

func yes(text string) (bool, error) {
	b, err := strconv.ParseBool(text)
	if err != nil {
		err = errors.New("want true or false")
	}
	return b, err
}

// ageing is a duration, or never.
func ageing(text string) (job.Duration, error) {
	if text == "never" {
		return 0, nil
	}
	return duration(text)
}

// queueFlags are the flags of a queue's policy, and what they say together.
type queueFlags struct {
	change job.QueueChange
	burst  *int64
}

func (p *queueFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.SortFlags = false
	flag(f, &p.change.Order, "order", "order", job.ParseOrder, "what goes first, the `order`: priority, fifo, shortest, deadline or fair")
	flag(f, &p.change.Backfill, "backfill", "backfill", job.ParseBackfill, "what may start before what comes first and has no room, the `kind`: easy, conservative, any or none")
	flag(f, &p.change.Ageing, "ageing", "", ageing, "the `time` in which what waits gains one point of priority, or never")
	flag(f, &p.change.Weight, "weight", "", whole, "the queue's share beside others of its namespace, a `number` from 1")
	flag(f, &p.change.Guarantee, "guarantee", "", job.ParseResources, "`resources` that it gets before others get more than theirs, such as cpu=8,gpu=1, or none")
	flag(f, &p.change.Limit, "limit", "", job.ParseLimit, "the most that may run, a `limit` of attempts and resources such as running=10,cpu=16,gpu=2, or none")
	flag(f, &p.change.Rate, "rate", "rate", job.ParseRate, "how many attempts may start, a `rate` such as 10/s, 100/h or 3/10m, or none")
	flag(f, &p.burst, "burst", "", whole, "the `number` that may start at once after a pause, beside --rate (default 1)")
	flag(f, &p.change.HalfLife, "half-life", "", duration, "the `time` after which use counts half where users take turns (default 1h)")
	flag(f, &p.change.Preempt, "preempt", "", yes, "whether it may stop attempts of a lower class to have their room")
	f.Lookup("preempt").NoOptDefVal = "true"
	c.PreRunE = func(*cobra.Command, []string) error { return p.check() }
}

// check looks at flags that belong together.
func (p *queueFlags) check() error {
	if p.burst == nil {
		return nil
	}
	if p.change.Rate == nil || p.change.Rate.Count == 0 {
		return fmt.Errorf("--burst %d: name the rate as well, such as --rate 10/s", *p.burst)
	}
	p.change.Rate.Burst = *p.burst
	return nil
}

// namespaceFlags are the flags of a namespace's policy.
type namespaceFlags struct{ change job.NamespaceChange }

func (p *namespaceFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.SortFlags = false
	flag(f, &p.change.Weight, "weight", "", whole, "the namespace's share beside others, a `number` from 1")
	flag(f, &p.change.Guarantee, "guarantee", "", job.ParseResources, "`resources` that it gets before others get more than theirs, such as cpu=8,gpu=1, or none")
	flag(f, &p.change.Limit, "limit", "", job.ParseLimit, "the most that may run, a `limit` of attempts and resources such as running=10,cpu=16,gpu=2, or none")
	flag(f, &p.change.Pending, "pending", "", amount, "the most elements that may wait, a `number`, or none; a submit beyond it is refused")
	flag(f, &p.change.HalfLife, "half-life", "", duration, "the `time` after which the use of its queues counts half (default 1h)")
}

// poolFlags are the flags of a pool's policy.
type poolFlags struct{ change job.PoolChange }

func (p *poolFlags) add(c *cobra.Command) {
	flag(c.Flags(), &p.change.Overcommit, "overcommit", "", job.ParseFactors, "by what the amounts of each worker are multiplied, `factors` such as cpu=2,memory=1.5, or none")
}

// needsFlag makes a command refuse to change nothing; such is a change.
func needsFlag(c *cobra.Command, such string) {
	before := c.PreRunE
	c.PreRunE = func(c *cobra.Command, args []string) error {
		set := false
		c.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) { set = set || f.Changed })
		if !set {
			return fmt.Errorf("%s: nothing is to change; name what, such as %s (see %s --help)", strings.TrimPrefix(c.CommandPath(), c.Root().Name()+" "), such, c.CommandPath())
		}
		if before != nil {
			return before(c, args)
		}
		return nil
	}
}
