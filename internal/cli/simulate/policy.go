package simulate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/reeve-scheduler/reeve/internal/classic"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// ours is the plan, and recorded what the log says.
const (
	ours     = "reeve"
	recorded = "recorded"
)

func policies() string {
	var b strings.Builder
	names, says := classic.Presets()
	for i, name := range names {
		fmt.Fprintf(&b, "  %-13s %s\n", name, says[i])
	}
	b.WriteString("\n")
	for _, k := range classic.Keys() {
		fmt.Fprintf(&b, "  %-13s %s\n", k[0]+"=", k[1])
	}
	return b.String()
}

// policy is what decides; classic is nil for what is not of the literature.
type policy struct {
	name    string
	classic *classic.Policy
	// served is how the plan serves its queues.
	served job.QueueChange
}

func parsePolicies(texts []string) (out []policy, err error) {
	names, _ := classic.Presets()
	names = append(names, ours, recorded)
	for _, text := range texts {
		p := policy{name: text}
		first, rest, _ := strings.Cut(text, ",")
		for part := range strings.SplitSeq(rest, ",") {
			if slices.Contains(names, part) {
				return nil, fmt.Errorf("--policy %s: %s is a policy of its own; to compare several give --policy for each", text, part)
			}
		}
		if settings, is := strings.CutPrefix(text, ours+","); is {
			if p.served, err = parseServed(settings); err != nil {
				return nil, fmt.Errorf("--policy %s: %w", text, err)
			}
		} else if text != ours && text != recorded {
			c, err := classic.Parse(text)
			switch {
			case err == nil:
			case slices.Contains(names, first) || strings.Contains(first, "="):
				return nil, fmt.Errorf("--policy %s: %w", text, err)
			default:
				return nil, fmt.Errorf("--policy %s: %w; and %s and %s", text, err, ours, recorded)
			}
			p.classic = &c
		}
		out = append(out, p)
	}
	return out, nil
}

// parseServed reads how the plan is to serve its queues, as settings with commas.
func parseServed(settings string) (c job.QueueChange, err error) {
	for setting := range strings.SplitSeq(settings, ",") {
		key, value, _ := strings.Cut(setting, "=")
		switch key {
		case "order":
			c.Order = new(job.Order)
			err = c.Order.UnmarshalText([]byte(value))
		case "backfill":
			c.Backfill = new(job.Backfill)
			err = c.Backfill.UnmarshalText([]byte(value))
		case "ageing":
			c.Ageing, err = parseTime(value, "never")
		case "half-life":
			c.HalfLife, err = parseTime(value, "")
		default:
			err = fmt.Errorf("%q: want one of order=, backfill=, ageing= and half-life=", setting)
		}
		if err != nil {
			return c, err
		}
	}
	checked := c.Apply(job.QueuePolicy{})
	return c, checked.Check()
}

// parseTime reads a duration; one word, if it is not empty, is 0.
func parseTime(text, zero string) (*job.Duration, error) {
	if text == zero && zero != "" {
		return new(job.Duration), nil
	}
	d, err := job.ParseDuration(text)
	return new(job.Duration(d)), err
}
