package workload

import (
	"fmt"
	"slices"
	"strconv"
)

// Rules is what is done with jobs of a log that can't be run as they stand.
type Rules struct {
	// Procs is the machine's processors; 0 takes the log's word.
	Procs int64
	// ClipWide gives jobs that are wider than the machine all of it, instead of dropping
	// them.
	ClipWide bool
	// KeepLong lets jobs run on that ran longer than they had asked for, and raises what
	// they asked for, instead of ending them there.
	KeepLong bool
	// DropUnasked drops jobs that did not ask for a time, instead of taking them as if they
	// had asked for what they ran.
	DropUnasked bool
}

// Decision is what the rules did with some of the jobs, in words.
type Decision struct {
	Jobs int64
	What string
}

// String is the decision in one line.
func (d Decision) String() string {
	if d.Jobs == 1 {
		return "1 job " + d.What
	}
	return fmt.Sprintf("%d jobs %s", d.Jobs, d.What)
}

// The decisions, in the order in which they are told.
const (
	partial = iota
	unsubmitted
	neverStarted
	noRun
	noProcs
	tooWide
	dropped
	clipped
	allocated
	unasked
	overran
	unsorted
	decisions
)

// Clean makes jobs of a log's records by the usual rules: the processors that were
// asked for, or else given; the time that was asked for, or else taken; no job longer
// than it may be; nothing that did not run. It says what it did, with numbers.
func (l *Log) Clean(rules Rules) (*Trace, []Decision) {
	t := &Trace{Procs: rules.Procs}
	if t.Procs < 1 {
		t.Procs, _ = l.Processors()
	}
	if s := l.Number("UnixStartTime"); s > 0 {
		t.Start = s * 1000
	}
	var count [decisions]int64
	names := map[int64]string{}
	name := func(n int64) string {
		if n < 0 {
			return ""
		}
		s, ok := names[n]
		if !ok {
			s = strconv.FormatInt(n, 10)
			names[n] = s
		}
		return s
	}
	t.Jobs = make([]Job, 0, len(l.Records))
	for i := range l.Records {
		r := &l.Records[i]
		if why := r.useless(t.Procs, rules); why >= 0 {
			count[why]++
			continue
		}
		j := Job{
			Number: r.Number, Submit: r.Submit, Run: r.Run, Request: r.ReqTime, Procs: r.width(),
			User: name(r.User), Queue: name(r.Queue), Name: name(r.Executable), Wait: r.Wait,
		}
		if r.ReqProcs < 1 {
			count[allocated]++
		}
		if j.Procs > t.Procs {
			j.Procs = t.Procs
			count[clipped]++
		}
		if r.ReqMemory > 0 {
			j.Memory = r.ReqMemory << 10 * j.Procs
		}
		switch {
		case j.Request < 1:
			j.Request = j.Run
			count[unasked]++
		case j.Run > j.Request && rules.KeepLong:
			j.Request = j.Run
			count[overran]++
		case j.Run > j.Request:
			j.Run = j.Request
			count[overran]++
		}
		if n := len(t.Jobs); n > 0 && j.Submit < t.Jobs[n-1].Submit {
			count[unsorted]++
		}
		t.Jobs = append(t.Jobs, j)
	}
	if count[unsorted] > 0 {
		slices.SortStableFunc(t.Jobs, func(a, b Job) int { return int(min(max(a.Submit-b.Submit, -1), 1)) })
	}
	return t, told(&count, t.Procs, rules)
}

// useless says why a record is dropped, -1 if it is not.
func (r *Record) useless(procs int64, rules Rules) int {
	switch {
	case r.Status >= StatusPartial && r.Status <= StatusPartialFailed:
		return partial
	case r.Submit < 0:
		return unsubmitted
	case r.Run <= 0 && r.Status == StatusCancelled:
		return neverStarted
	case r.Run <= 0:
		return noRun
	case r.width() <= 0:
		return noProcs
	case r.width() > procs && !rules.ClipWide:
		return tooWide
	case r.ReqTime <= 0 && rules.DropUnasked:
		return dropped
	}
	return -1
}

// told puts what was decided into words.
func told(count *[decisions]int64, procs int64, rules Rules) (out []Decision) {
	long := "clipped to the time they had asked for: they ran longer"
	if rules.KeepLong {
		long = "ran longer than they had asked for: taken as if they had asked for that"
	}
	for i, what := range [decisions]string{
		partial:      "dropped: parts of jobs that were stopped and went on",
		unsubmitted:  "dropped: when they were submitted is unknown",
		neverStarted: "dropped: cancelled before they started",
		noRun:        "dropped: their run time is 0 or unknown",
		noProcs:      "dropped: their processors are 0 or unknown",
		tooWide:      fmt.Sprintf("dropped: wider than the machine's %d processors", procs),
		dropped:      "dropped: how long they asked for is unknown",
		clipped:      fmt.Sprintf("clipped to the machine's %d processors", procs),
		allocated:    "taken with the processors they were given: what they asked for is unknown",
		unasked:      "taken with the time they ran: what they asked for is unknown",
		overran:      long,
		unsorted:     "stood before an earlier one: sorted by submit time",
	} {
		if count[i] > 0 {
			out = append(out, Decision{count[i], what})
		}
	}
	return out
}
