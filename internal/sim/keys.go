package sim

import (
	"time"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// judgeKeys holds what was just given out against the keys of its job and its task, by who
// holds them: jobs that have been given anything and have not ended, and attempts that
// workers hold.
func (h *history) judgeKeys(e core.AttemptAssigned) {
	j := h.jobs[e.Job]
	first := !j.given
	j.given = true
	if c := j.spec.Concurrency; c != nil && first {
		n := int64(0)
		for id := range h.unfinished() {
			if o := h.jobs[id]; o.given && o.spec.Concurrency != nil && o.spec.Concurrency.Key == c.Key {
				n++
			}
		}
		if n > c.Limit {
			h.fail(Exclusive, "job %d is the holder %d of key %s, which has %d slots", e.Job, n, c.Key, c.Limit)
		}
		h.count("job holds a key")
	}
	c := j.spec.Tasks[e.Task].Concurrency
	if c == nil {
		return
	}
	n := int64(0)
	for _, a := range h.held {
		if o := h.task(a.place).Concurrency; o != nil && o.Key == c.Key {
			n++
		}
	}
	if c.Limit > 0 && n > c.Limit {
		h.fail(Exclusive, "attempt %d is the holder %d of key %s, which has %d slots", e.Fence, n, c.Key, c.Limit)
	}
	h.count("attempt holds a key")
	if c.Rate != nil {
		h.judgeRate(c, e.At)
	}
}

// judgeRate holds a start of a key against those before it. Clocks of leaders differ, so that
// only those of one term can be held against one another.
func (h *history) judgeRate(c *job.Concurrency, at int64) {
	if h.paced == nil || h.pacedIn != h.epoch {
		h.paced, h.pacedIn = map[string][]int64{}, h.epoch
	}
	h.paced[c.Key] = append(h.paced[c.Key], at)
	all := h.paced[c.Key]
	for i := range all {
		passed := time.Duration(at-all[i]) * time.Millisecond
		room := c.Rate.Burst + int64(passed)*c.Rate.Count/int64(c.Rate.Per)
		if n := int64(len(all) - i); n > room {
			h.fail(Exclusive, "key %s: %d starts within %v, by a rate of %s with a burst of %d", c.Key, n, passed, c.Rate, c.Rate.Burst)
		}
	}
}
