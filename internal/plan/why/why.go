// Package why is what something ready waits for, in numbers and in words.
package why

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// Why says what a group waits for, in numbers of workers and of elements. Each
// worker is counted once, under the first thing that keeps it from taking an
// element: Workers = NoExecutor + NoFunction + NoLabel + those in Unmet + TooSmall + Away +
// Unfit + Busy + Open + Dearer + the Workers of what is Reserved.
type Why struct {
	// Ready is how many elements of the group could start; 0 means that the group
	// is not known and that nothing else here is set.
	Ready                        int64
	Namespace, Queue             string
	NamespacePaused, QueuePaused bool
	Need                         Need
	// Alone: it must have a worker to itself.
	Alone bool
	// Nodes is how many workers it takes at once.
	Nodes int

	Workers int
	// Away ones would fit, and are not connected or draining.
	Away int
	// Unfit ones would fit, and can take nothing at the moment, one of them because of
	// UnfitWhy.
	Unfit                           int
	UnfitWhy                        string
	NoExecutor, NoFunction, NoLabel int
	// Unmet is the conditions that are not true of some workers.
	Unmet []Unmet
	// TooSmall ones could not run it if they were empty. Largest is the most of
	// each amount that one of them has; the two may be of different workers.
	TooSmall int
	Largest  job.Resources
	// LargestBy and MostFreeBy are the over-commits by which those are as much as they are.
	LargestBy, MostFreeBy job.Factors
	// Busy ones could run it but have no place now; NoSlot, NoCPU, NoMemory, NoOther
	// and Taken say of how many each is true: no free slot, too little of an amount
	// free, taken by an attempt that must be alone or, for a group that must be
	// alone, by anything.
	Busy                                    int
	NoSlot, NoCPU, NoMemory, NoOther, Taken int
	// Together is of how many busy ones that is true since what it is to be apart from runs there: others of
	// its task, or, with ApartKey, all whose task says that. They must not have Apart, a label, in
	// common, or be on one worker. Rivals is those with the key, a few of them.
	Together        int
	Apart, ApartKey string
	Rivals          []Rival
	RivalsMore      bool
	// MostFree is the most of each amount that is free on a busy worker with a free slot that has too
	// little of it. Lacking is the names of what some has too little of, beside the two.
	MostFree job.Resources
	Lacking  []string
	// Leaving is how many attempts make room on the worker LeavingOn, so that it will fit there.
	Leaving   int
	LeavingOn string
	// Open ones have a place for it now.
	Open int
	// Dearer ones could run it, and it waits for those that are worth more to it, until Patience, in Unix
	// milliseconds as Now is. Best names some of those that are busy.
	Dearer        int
	Best          []string
	Patience, Now int64
	// Reserved is for what others of them are set aside, so that it may not start there.
	Reserved []Reserved

	// Limits are what keeps anything of its queue, or anything of its size, from starting.
	Limits []AtLimit
	// Ahead is how many ready elements go before the group's in its queue, or among what its
	// user has in it; with AheadMore there are more, which were not counted.
	Ahead     int64
	AheadMore bool
	// First is whose those are, the first in order first: a few jobs. With FirstMore there are
	// more. Job is whose the group is.
	First     []job.ID
	FirstMore bool
	Job       job.ID
	// Turns are the users, queues and namespaces that it comes after by their share, a few of them.
	Turns []Turn
}

// AtLimit is a limit of a queue or, where Queue is empty, of a namespace.
type AtLimit struct {
	Namespace, Queue string
	// Resource is empty for a number of attempts.
	Resource         string
	Need, Used, Most int64
}

// Turn is somebody whose turn comes first: one of what the last of the names that is set says.
type Turn struct{ Namespace, Queue, User string }

// Unmet is a condition that is not true of so many workers. For the first few reasons why it has
// no value, a label that is missing, say, NoValue has of how many of them that is true.
type Unmet struct {
	Condition string
	Workers   int
	NoValue   []NoValue
}

// NoValue is why something has no value on so many workers.
type NoValue struct {
	Reason  string
	Workers int
}

// Rival is something that runs where a group could, were it not to be apart from that.
type Rival struct {
	Job    job.ID
	Worker string
}

// MaxReasons bounds the reasons of an Unmet, MaxNames the workers that are named.
const (
	MaxReasons = 3
	MaxNames   = 3
)

// Need is what an attempt needs of a worker. Where is the labels that it must have, joined by
// newlines.
type Need struct {
	Resources                 job.Resources
	Executor, Function, Where string
}

// Reserved is a reservation that keeps workers from a group. Times are Unix milliseconds.
type Reserved struct {
	Name             string
	From, Until, Now int64
	// Length is how long an element lasts, 0 if nobody knows.
	Length  int64
	Workers int
}

// reserved counts the workers that reservations keep.
func (y Why) reserved() (n int) {
	for _, r := range y.Reserved {
		n += r.Workers
	}
	return n
}

// text says what is reserved, of so many that fit.
func (r Reserved) text(fit int) string {
	workers := some(r.Workers, fit, "fitting worker") + verb(r.Workers, " is", " are")
	switch {
	case r.Now >= r.From:
		return fmt.Sprintf("%s reserved by %s until %s", workers, r.Name, job.FormatClock(r.Until, r.Now))
	case r.Length > 0:
		return fmt.Sprintf("%s kept for reservation %s from %s, and it is expected to take %s", workers, r.Name, job.FormatClock(r.From, r.Now),
			job.FormatDuration(time.Duration(r.Length)*time.Millisecond))
	}
	return fmt.Sprintf("%s kept for reservation %s from %s, and nobody knows that it ends before", workers, r.Name, job.FormatClock(r.From, r.Now))
}

// NoneCan says that there is no worker for a group, while what else is said of workers says why.
const NoneCan = "no worker can run it now"

// Reason is one thing that keeps a group waiting.
type Reason struct {
	// Kind is a stable word: namespace_paused, queue_paused, limit, no_worker, no_room, patience, reserved,
	// preemption or turn.
	Kind string
	// Text is a sentence without a full stop.
	Text string
}

// fitting counts the workers that could run it if nothing else ran.
func (y Why) fitting() int { return y.Busy + y.Open + y.Dearer + y.reserved() }

// Short reports whether there are fewer workers than it takes that could run it if nothing else ran.
func (y Why) Short() bool { return y.fitting() < max(y.Nodes, 1) }

// String is the reasons in one, separated by semicolons.
func (y Why) String() string { return strings.Join(y.Lines(), "; ") }

// Lines is the reasons as sentences.
func (y Why) Lines() []string {
	var out []string
	for _, r := range y.Reasons() {
		out = append(out, r.Text)
	}
	return out
}

// Reasons is every reason, the decisive one first.
func (y Why) Reasons() []Reason {
	if y.Ready == 0 {
		return []Reason{{"turn", "none of its elements is ready to start"}}
	}
	var out []Reason
	if y.NamespacePaused {
		out = append(out, Reason{"namespace_paused", fmt.Sprintf("namespace %s is paused", y.Namespace)})
	}
	if y.QueuePaused {
		out = append(out, Reason{"queue_paused", fmt.Sprintf("queue %s is paused", y.Queue)})
	}
	for _, l := range y.Limits {
		out = append(out, Reason{"limit", l.String()})
	}
	if y.Workers == 0 {
		return append(out, Reason{"no_worker", "there is no worker"})
	}
	held := y.reserved()
	fit := y.fitting()
	switch {
	case fit == 0:
		out = append(out, Reason{"no_worker", NoneCan})
	case y.Nodes > fit:
		out = append(out, Reason{"no_worker", fmt.Sprintf("it needs %d workers at once; %d could run it now", y.Nodes, fit)})
	case y.Open > 0 && y.Open >= y.Nodes:
		out = append(out, Reason{"turn", some(y.Open, fit, "fitting worker") + verb(y.Open, " has", " have") + " a place for it"})
	case held+y.Dearer == fit:
	case y.Nodes > 1:
		open := fmt.Sprintf("%d %s", y.Open, verb(y.Open, "has", "have"))
		if y.Open == 0 {
			open = "none has"
		}
		out = append(out, Reason{"no_room", fmt.Sprintf("it needs %d workers at once; %s a place for it now", y.Nodes, open)})
		if y.Busy > 0 {
			out = append(out, Reason{"no_room", y.busy()})
		}
	default:
		out = append(out, Reason{"no_room", y.busy()})
	}
	if y.Dearer > 0 {
		out = append(out, Reason{"patience", y.patience()})
	}
	for _, r := range y.Reserved {
		out = append(out, Reason{"reserved", r.text(fit)})
	}
	if y.Leaving > 0 {
		n := fmt.Sprintf("%d attempts make room on worker %s", y.Leaving, y.LeavingOn)
		if y.Leaving == 1 {
			n = "1 attempt makes room on worker " + y.LeavingOn
		}
		out = append(out, Reason{"preemption", n})
	}
	for _, text := range y.excluded() {
		out = append(out, Reason{"no_worker", text})
	}
	if fit == 0 {
		return out
	}
	return append(out, y.Order()...)
}

// Order is who comes before it.
func (y Why) Order() (out []Reason) {
	if y.Ahead > 0 {
		out = append(out, Reason{"turn", y.ahead()})
	}
	for _, t := range y.Turns {
		out = append(out, Reason{"turn", t.String() + " comes first: it has less of its share"})
	}
	return out
}

// patience says for which workers it waits.
func (y Why) patience() string {
	text := "it waits for a cheaper worker"
	if y.Nodes > 1 {
		text = "it waits for cheaper workers"
	}
	if y.Patience > 0 {
		text += " until " + job.FormatClock(y.Patience, y.Now)
	}
	text += ", which its deadline allows"
	if y.Busy == 0 {
		return text
	}
	names := strings.Join(y.Best, ", ")
	if more := y.Busy - len(y.Best); more > 0 {
		names += fmt.Sprintf(" and %d more", more)
	}
	return text + ": " + names + verb(y.Busy, " is", " are") + " busy"
}

func (y Why) ahead() string {
	n := fmt.Sprintf("%d ready elements are", y.Ahead)
	if y.AheadMore {
		n = "more than " + n
	} else if y.Ahead == 1 {
		n = "1 ready element is"
	}
	return n + " ahead of it in order" + y.whose()
}

// whose names the jobs that are ahead.
func (y Why) whose() string {
	if len(y.First) == 0 {
		return ""
	}
	names := make([]string, 0, len(y.First))
	for _, id := range y.First {
		name := "job " + id.String()
		if id == y.Job {
			name = "its own job"
		}
		names = append(names, name)
	}
	text := ", of "
	if y.FirstMore {
		text = ", first of "
	}
	return text + strings.Join(names, ", ")
}

// String says what is at its limit, and by what.
func (l AtLimit) String() string {
	who := l.who()
	switch {
	case l.Resource == "" && l.Need > l.Most:
		return fmt.Sprintf("%s may run %d at a time, and it needs %d: it starts when the limit is raised", who, l.Most, l.Need)
	case l.Resource == "" && l.Need > 1:
		return fmt.Sprintf("%s may run %d at a time; %d do, and it needs %d", who, l.Most, l.Used, l.Need)
	case l.Resource == "":
		return fmt.Sprintf("%s may run %d at a time, and %d do", who, l.Most, l.Used)
	case l.Need > l.Most:
		return fmt.Sprintf("%s may use %s %s at most, and it needs %s: it starts when the limit is raised", who,
			Amount(l.Resource, l.Most), l.Resource, Amount(l.Resource, l.Need))
	}
	return fmt.Sprintf("%s may use %s %s; %s are in use, and it needs %s", who, Amount(l.Resource, l.Most), l.Resource,
		Amount(l.Resource, l.Used), Amount(l.Resource, l.Need))
}

// RoomKept is room in the limit of a namespace, or of a queue of it, that is kept for a job.
type RoomKept struct {
	Namespace, Queue string
	Job              job.ID
}

// String says so.
func (k *RoomKept) String() string {
	of := AtLimit{Namespace: k.Namespace, Queue: k.Queue}
	return "room in the limit of " + of.who() + " is kept for job " + k.Job.String() + ", which comes first"
}

// String names whose turn it is.
func (t Turn) String() string {
	switch {
	case t.User != "":
		return "user " + t.User
	case t.Queue != "":
		return "queue " + t.Queue
	}
	return "namespace " + t.Namespace
}

// Raised says of a limit that it were higher: queue batch might run 6 at a time instead of 5.
func (l AtLimit) Raised(to int64) string {
	if l.Resource == "" {
		return fmt.Sprintf("%s might run %d at a time instead of %d", l.who(), to, l.Most)
	}
	return fmt.Sprintf("%s might use %s %s instead of %s", l.who(), Amount(l.Resource, to), l.Resource, Amount(l.Resource, l.Most))
}

func (l AtLimit) who() string {
	if l.Queue != "" {
		return "queue " + l.Queue
	}
	return "namespace " + l.Namespace
}

// Amount writes an amount of a resource as job files do.
func Amount(name string, n int64) string {
	switch name {
	case "cpu":
		return job.FormatCPU(n)
	case "memory":
		return size(n)
	}
	return job.FormatAmount(name, n)
}

// busy says what keeps each of the workers that could run it.
func (y Why) busy() string {
	var parts []string
	add := func(n int, one, many, rest string) {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s %s", n, verb(n, one, many), rest))
		}
	}
	if y.Alone {
		add(y.Taken, "is", "are", "not empty, and it must run alone because workers were lost while it ran")
	} else {
		add(y.Taken, "runs", "run", "something that must be alone")
	}
	what, which := "one of its elements", "which are kept apart"
	if y.ApartKey != "" {
		what, which = "something of the key "+y.ApartKey, "which is kept apart"
	}
	if y.Apart == job.AtWorker {
		add(y.Together, "runs", "run", fmt.Sprintf("%s, %s by worker%s", what, which, y.rivals()))
	} else {
		add(y.Together, "has", "have", fmt.Sprintf("a %s in which %s runs, %s by that%s", y.Apart, what, which, y.rivals()))
	}
	add(y.NoSlot, "has", "have", "no free slot")
	need := y.Need.Resources
	add(y.NoCPU, "has", "have", fmt.Sprintf("too little cpu free (needs %s, the most free is %s%s)",
		job.FormatCPU(need.CPU), job.FormatCPU(max(0, y.MostFree.CPU)), by(y.MostFreeBy, "cpu")))
	add(y.NoMemory, "has", "have", fmt.Sprintf("too little memory free (needs %s, the most free is %s%s)",
		job.FormatSize(need.Memory), size(max(0, y.MostFree.Memory)), by(y.MostFreeBy, "memory")))
	if y.NoOther > 0 {
		var others []string
		for name, n := range need.Other.All {
			if !slices.Contains(y.Lacking, name) {
				continue
			}
			others = append(others, fmt.Sprintf("%s %s, the most free is %s%s", Amount(name, n), name, Amount(name, max(0, y.MostFree.Other.Get(name))), by(y.MostFreeBy, name)))
		}
		if others == nil {
			others = []string{"nothing else, and more is given away there than there is"}
		}
		add(y.NoOther, "has", "have", "too little free (needs "+strings.Join(others, "; ")+")")
	}
	return some(y.Busy, y.fitting(), "fitting worker") + verb(y.Busy, " is", " are") + " busy: " + strings.Join(parts, ", ")
}

// rivals names what a group is to be apart from.
func (y Why) rivals() string {
	if len(y.Rivals) == 0 {
		return ""
	}
	var parts []string
	for _, r := range y.Rivals {
		name := "job " + r.Job.String()
		if r.Job == y.Job {
			name = "its own job"
		}
		parts = append(parts, name+" on "+r.Worker)
	}
	if y.RivalsMore {
		parts = append(parts, "more")
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

// excluded is a line for each thing that rules workers out.
func (y Why) excluded() []string {
	var out []string
	add := func(n int, one, many, rest string) {
		if n > 0 {
			out = append(out, fmt.Sprintf("%s %s %s", some(n, y.Workers, "worker"), verb(n, one, many), rest))
		}
	}
	add(y.Away, "is", "are", "away or draining")
	add(y.Unfit, "can", "can", "take nothing at the moment: "+y.UnfitWhy)
	executor := "no executor " + y.Need.Executor
	if y.Need.Function != "" {
		executor += ", for " + y.Need.Function
	}
	add(y.NoExecutor, "has", "have", executor)
	add(y.NoFunction, "does", "do", "not serve function "+y.Need.Function)
	add(y.NoLabel, "lacks", "lack", "a label it asks for: "+strings.ReplaceAll(y.Need.Where, "\n", ", "))
	for _, u := range y.Unmet {
		add(u.Workers, "does", "do", "not meet "+u.String())
	}
	add(y.TooSmall, "is", "are", "too small: "+y.short())
	return out
}

// String is a condition, and why it has no value.
func (u Unmet) String() string {
	if len(u.NoValue) == 1 && u.NoValue[0].Workers == u.Workers {
		return fmt.Sprintf("%s (%s)", u.Condition, u.NoValue[0].Reason)
	}
	var parts []string
	for _, n := range u.NoValue {
		parts = append(parts, fmt.Sprintf("%d of them: %s", n.Workers, n.Reason))
	}
	if parts == nil {
		return u.Condition
	}
	return fmt.Sprintf("%s (%s)", u.Condition, strings.Join(parts, "; "))
}

// short says what the workers that are too small have too little of.
func (y Why) short() string {
	var parts []string
	need := y.Need.Resources
	if need.CPU > y.Largest.CPU {
		parts = append(parts, fmt.Sprintf("needs %s cpu, the largest has %s%s",
			job.FormatCPU(need.CPU), job.FormatCPU(y.Largest.CPU), by(y.LargestBy, "cpu")))
	}
	if need.Memory > y.Largest.Memory {
		parts = append(parts, fmt.Sprintf("needs %s of memory, the largest has %s%s",
			job.FormatSize(need.Memory), size(y.Largest.Memory), by(y.LargestBy, "memory")))
	}
	for name, n := range need.Other.All {
		if most := y.Largest.Other.Get(name); n > most {
			parts = append(parts, fmt.Sprintf("needs %s %s, the largest has %s%s", Amount(name, n), name, Amount(name, most), by(y.LargestBy, name)))
		}
	}
	if parts == nil {
		return "needs " + all(need) + " in one worker"
	}
	return strings.Join(parts, " and ")
}

// all lists what is needed.
func all(need job.Resources) string {
	parts := []string{job.FormatCPU(need.CPU) + " cpu"}
	if need.Memory > 0 {
		parts = append(parts, job.FormatSize(need.Memory)+" of memory")
	}
	for name, n := range need.Other.All {
		parts = append(parts, Amount(name, n)+" "+name)
	}
	last := len(parts) - 1
	if last == 0 {
		return "a slot and " + parts[0]
	}
	return strings.Join(parts[:last], ", ") + " and " + parts[last]
}

// by says that an amount is as much as it is by an over-commit.
func by(over job.Factors, name string) string {
	if f := over.Get(name); f != job.Once {
		return " by an over-commit of " + job.FormatCPU(f)
	}
	return ""
}

// size writes bytes in a unit that leaves at least two digits: what a machine has
// is seldom round.
func size(n int64) string {
	for _, shift := range []uint{40, 30, 20, 10} {
		if n>>shift >= 10 {
			return job.FormatSize(n >> shift << shift)
		}
	}
	return job.FormatSize(n)
}

// some is "the only worker", "all 4 workers" or "1 of 4 workers".
func some(n, all int, noun string) string {
	switch {
	case all == 1:
		return "the only " + noun
	case n == all:
		return fmt.Sprintf("all %d %ss", n, noun)
	}
	return fmt.Sprintf("%d of %d %ss", n, all, noun)
}

func verb(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
