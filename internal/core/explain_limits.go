package core

import (
	"fmt"
	"strings"
	"time"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/limit"
)

// bounds are the reasons that lie in keys and rates, for what could start but for them. It
// reports whether there are any, and whether a key is among them.
func (s *State) bounds(j *jobState, ti uint32, now int64, add func(kind, format string, args ...any)) (bound, key bool) {
	n := 0
	told := func(kind, format string, args ...any) {
		n++
		add(kind, format, args...)
	}
	if k := j.slotOf(NoTask); k != nil && j.state == job.JobPending {
		s.explainKey(k.key, s.claimOf(j, ti, NoTask), now, told)
	}
	if k := j.slotOf(ti); k != nil && n == 0 {
		s.explainKey(k.key, s.claimOf(j, ti, ti), now, told)
	}
	key = n > 0
	explainRate("queue "+j.queue.name, j.queue.policy.Rate, j.queue.meter, now, told)
	return n > 0, key
}

// explainKey says why a claim has no slot of a key.
func (s *State) explainKey(k *limit.Key, c limit.Claim, now int64, add func(kind, format string, args ...any)) {
	const most = 1000
	what := "concurrency key " + k.Name().Key
	before, _ := k.Before(c.Group, most)
	waiting := ""
	if before > 0 {
		waiting = fmt.Sprintf("; %s before it", plural(before, "waits", "wait"))
	}
	if before >= most {
		waiting = fmt.Sprintf("; more than %d wait before it", most)
	}
	newer, newest := job.ID(0), k.Queue(1)
	if len(newest) > 0 && newest[0].Cancels && !c.Cancels {
		newer = newest[0].Job
	}
	next := k.Meter().Next(c.Rate, now)
	switch {
	case newer > 0:
		add("concurrency", "job %d cancels what holds %s, and goes before it", newer, what)
	case c.Limit > 0 && k.Held() >= c.Limit:
		add("concurrency", "%s is held by %s (%d of %d)%s", what, s.holders(k), k.Held(), c.Limit, waiting)
	case next > now:
		add("rate", "%s may start %s; the next in %s%s", what, rateWords(c.Rate), span(next-now), waiting)
	case before >= limit.Window:
		add("concurrency", "the first %d that wait for %s look for a place on a worker%s", limit.Window, what, waiting)
	}
}

// holders names a few of those that hold a key.
func (s *State) holders(k *limit.Key) string {
	const most = 3
	var names []string
	for _, o := range k.Owners(most) {
		name := "job " + o.Job.String()
		if a := s.attempts[fenceOf(o.Fence)]; a != nil {
			name = s.refOf(a).String()
		}
		names = append(names, name)
	}
	if more := k.Held() - int64(len(names)); more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	return strings.Join(names, ", ")
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func explainRate(what string, r job.Rate, m limit.Meter, now int64, add func(kind, format string, args ...any)) {
	if next := m.Next(r, now); next > now {
		add("rate", "%s may start %s; the next in %s", what, rateWords(r), span(next-now))
	}
}

// rateWords is a rate in a sentence: 10 in a second.
func rateWords(r job.Rate) string {
	words := map[time.Duration]string{time.Second: "a second", time.Minute: "a minute", time.Hour: "an hour", 24 * time.Hour: "a day"}
	per := words[time.Duration(r.Per)]
	if per == "" {
		per = job.FormatDuration(time.Duration(r.Per))
	}
	return fmt.Sprintf("%d in %s", r.Count, per)
}

func span(ms int64) string { return job.FormatAbout(ms) }
