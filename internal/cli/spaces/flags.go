package spaces

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/jobfile/foreign"
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

// positive is a number of at least 1. Nothing is what stands for the default on the wire, so that 0 would be taken
// for something else than it says.
func positive(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 {
		return 0, errors.New("want a whole number from 1")
	}
	return n, nil
}

// amount is positive, or none for 0.
func amount(text string) (int64, error) {
	if text == job.None {
		return 0, nil
	}
	n, err := positive(text)
	if err != nil {
		err = fmt.Errorf("%w, or none", err)
	}
	return n, err
}

// duration is one that is longer than nothing.
func duration(text string) (job.Duration, error) {
	d, err := job.ParseDuration(text)
	if err != nil || d <= 0 {
		err = errors.New("want a duration such as 90s, 1h30m or 2d")
	}
	return job.Duration(d), err
}

// known reads names and amounts, and refuses names that others have for what Reeve calls otherwise: a limit of
// what nobody asks for would limit nothing.
func known[T any](parse func(string) (T, error), attempts string) func(string) (T, error) {
	return func(text string) (T, error) {
		v, err := parse(text)
		if err != nil {
			return v, err
		}
		for pair := range strings.SplitSeq(text, ",") {
			name, _, _ := strings.Cut(pair, "=")
			switch want := foreign.Resource(name); {
			case want != "":
				want, _, _ = strings.Cut(want, ":")
				return v, fmt.Errorf("%s is no resource; want %s", name, want)
			case attempts != "" && isAttempts(name):
				return v, fmt.Errorf("%s is no resource; %s", name, attempts)
			}
		}
		return v, nil
	}
}

// guarantee reads resources; of attempts, which limits count, there is no guarantee.
func guarantee(text string) (job.Resources, error) {
	r, err := job.ParseResources(text)
	if err == nil && r.Other.Get("running") > 0 {
		err = errors.New("running is no resource; attempts can't be guaranteed; want cpu=8 or the like")
	}
	return r, err
}

// isAttempts reports whether a word is for a number of attempts, or all but the word running.
func isAttempts(name string) bool {
	switch name {
	case "running":
		return false
	case "attempts", "jobs", "tasks", "elements", "slots", "runs", "run":
		return true
	}
	return len(name) > 4 && strings.HasPrefix(name, "run") && strings.HasSuffix(name, "ing")
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
	flag(f, &p.change.Weight, "weight", "", positive, "the queue's share beside others of its namespace, a `number` from 1")
	flag(f, &p.change.Guarantee, "guarantee", "", known(guarantee, "attempts can't be guaranteed; want cpu=8 or the like"), "`resources` that it gets before others get more than theirs, such as cpu=8,gpu=1, or none")
	flag(f, &p.change.Limit, "limit", "", known(job.ParseLimit, "want running=10 for a number of attempts"), "the most that may run, a `limit` of attempts and resources such as running=10,cpu=16,gpu=2, or none")
	flag(f, &p.change.Rate, "rate", "rate", job.ParseRate, "how many attempts may start, a `rate` such as 10/s, 100/h or 3/10m, or none")
	flag(f, &p.burst, "burst", "", positive, "the `number` that may start at once after a pause, beside --rate (default 1)")
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
	flag(f, &p.change.Weight, "weight", "", positive, "the namespace's share beside others, a `number` from 1")
	flag(f, &p.change.Guarantee, "guarantee", "", known(guarantee, "attempts can't be guaranteed; want cpu=8 or the like"), "`resources` that it gets before others get more than theirs, such as cpu=8,gpu=1, or none")
	flag(f, &p.change.Limit, "limit", "", known(job.ParseLimit, "want running=10 for a number of attempts"), "the most that may run, a `limit` of attempts and resources such as running=10,cpu=16,gpu=2, or none")
	flag(f, &p.change.Pending, "pending", "", amount, "the most elements that may wait, a `number`, or none; a submit beyond it is refused")
	flag(f, &p.change.HalfLife, "half-life", "", duration, "the `time` after which the use of its queues counts half (default 1h)")
}

// poolFlags are the flags of a pool's policy.
type poolFlags struct{ change job.PoolChange }

func (p *poolFlags) add(c *cobra.Command) {
	flag(c.Flags(), &p.change.Overcommit, "overcommit", "", known(job.ParseFactors, "slots are counted apart: start workers with --slots"), "by what the amounts of each worker are multiplied, `factors` such as cpu=2,memory=1.5, or none")
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
