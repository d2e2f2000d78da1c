package job

import (
	"fmt"
	"time"
)

// Bounds of policies.
const (
	// MaxWeight bounds the weight of a queue or namespace.
	MaxWeight = 10_000
	// MaxRunning bounds a limit of attempts, and MaxPending one of what waits.
	MaxRunning = 1_000_000_000
	MaxPending = 1_000_000_000
	// MaxRateCount bounds the count and the burst of a rate.
	MaxRateCount = 1_000_000
	// MaxRatePer bounds the time of a rate.
	MaxRatePer = Duration(30 * 24 * time.Hour)
	// MaxAgeing and MaxHalfLife bound those times, and MinHalfLife one of them.
	MaxAgeing   = Duration(365 * 24 * time.Hour)
	MaxHalfLife = Duration(365 * 24 * time.Hour)
	MinHalfLife = Duration(time.Second)
)

// Check reports the first thing that is wrong with the policy, with its value.
func (p *QueuePolicy) Check() error {
	if p.Order >= orders {
		return fmt.Errorf("order %d: there is no such order", p.Order)
	}
	if p.Backfill >= backfills {
		return fmt.Errorf("backfill %d: there is no such kind", p.Backfill)
	}
	if p.Ageing != 0 && (p.Ageing < Duration(time.Millisecond) || p.Ageing > MaxAgeing) {
		return fmt.Errorf("ageing %s: want 0 for never, or 1ms to %s", duration(p.Ageing), duration(MaxAgeing))
	}
	if err := checkShare(p.Weight, p.Guarantee, p.HalfLife); err != nil {
		return err
	}
	if err := p.Limit.Check(); err != nil {
		return err
	}
	return p.Rate.Check()
}

// Check reports the first thing that is wrong with the policy, with its value.
func (p *NamespacePolicy) Check() error {
	if err := checkShare(p.Weight, p.Guarantee, p.HalfLife); err != nil {
		return err
	}
	if p.Pending < 0 || p.Pending > MaxPending {
		return fmt.Errorf("pending %d: want 0 for any number, or 1 to %d", p.Pending, MaxPending)
	}
	return p.Limit.Check()
}

func checkShare(weight int64, guarantee Resources, halfLife Duration) error {
	switch {
	case weight < 0 || weight > MaxWeight:
		return fmt.Errorf("weight %d: want 1 to %d", weight, MaxWeight)
	case halfLife != 0 && (halfLife < MinHalfLife || halfLife > MaxHalfLife):
		return fmt.Errorf("half-life %s: want %s to %s", duration(halfLife), duration(MinHalfLife), duration(MaxHalfLife))
	}
	return checkAmounts("guarantee", guarantee)
}

func duration(d Duration) string { return FormatDuration(time.Duration(d)) }

// Check reports what is wrong with the limit.
func (l *Limit) Check() error {
	if l.Running < 0 || l.Running > MaxRunning {
		return fmt.Errorf("limit: running=%d: want 1 to %d", l.Running, MaxRunning)
	}
	return checkAmounts("limit", l.Resources)
}

func checkAmounts(what string, r Resources) error {
	switch {
	case r.CPU < 0 || r.CPU > MaxCPU:
		return fmt.Errorf("%s: cpu=%s: want at most %d", what, FormatCPU(r.CPU), MaxCPU/1000)
	case r.Memory < 0 || r.Memory > MaxCount:
		return fmt.Errorf("%s: memory=%d: want at most %s", what, r.Memory, FormatSize(MaxCount))
	case r.Other.Len() > MaxResources:
		return fmt.Errorf("%s: %d other resources; at most %d are allowed", what, r.Other.Len(), MaxResources)
	}
	for name, n := range r.Other.All {
		if err := CheckResource(name); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if n < 0 || n > MaxCount {
			return fmt.Errorf("%s: %s=%d: want at most %s", what, name, n, FormatAmount(name, MaxCount))
		}
	}
	return nil
}

// Check reports what is wrong with the rate. A rate of nothing is none.
func (r *Rate) Check() error {
	if *r == (Rate{}) {
		return nil
	}
	switch {
	case r.Count < 1 || r.Count > MaxRateCount:
		return fmt.Errorf("rate: a count of %d: want 1 to %d", r.Count, MaxRateCount)
	case r.Per < Duration(time.Millisecond) || r.Per > MaxRatePer:
		return fmt.Errorf("rate: in %s: want 1ms to %s", duration(r.Per), duration(MaxRatePer))
	case r.Burst < 1 || r.Burst > MaxRateCount:
		return fmt.Errorf("rate: a burst of %d: want 1 to %d", r.Burst, MaxRateCount)
	case r.Count > int64(time.Duration(r.Per)/time.Microsecond):
		return fmt.Errorf("rate: %d in %s: want at most one in a microsecond", r.Count, duration(r.Per))
	}
	return nil
}

// Over returns the first amount of a limit that would be passed if more were given beside
// what is used, as a word such as cpu; running is that of attempts. It is empty if all is
// within.
func (l *Limit) Over(running int64, used, more Resources) string {
	if l.Running > 0 && running >= l.Running {
		return runningWord
	}
	if l.Resources == (Resources{}) {
		return ""
	}
	sum := used.Plus(more)
	switch {
	case l.Resources.CPU > 0 && more.CPU > 0 && sum.CPU > l.Resources.CPU:
		return "cpu"
	case l.Resources.Memory > 0 && more.Memory > 0 && sum.Memory > l.Resources.Memory:
		return "memory"
	}
	for name, most := range l.Resources.Other.All {
		if more.Other.Get(name) > 0 && sum.Other.Get(name) > most {
			return name
		}
	}
	return ""
}
