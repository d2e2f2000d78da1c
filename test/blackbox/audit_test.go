package blackbox

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/reeve-scheduler/reeve"
)

// book is a file that jobs append to. Its order is the order in which things
// happened, whatever Reeve says.
type book struct{ path string }

// mark is a line of a book.
type mark struct {
	verb string // begin, tick, end
	// job, task and index are the element.
	job, task string
	index     int
	attempt   int
	fence     uint64
	boot      string
	// up is the machine's seconds since it started, a clock that only runs forwards.
	up float64
}

func (m *mark) element() string { return fmt.Sprintf("%s.%s.%d", m.job, m.task, m.index) }

// bookShell defines the function with which jobs write to a book. One short line is
// one write, and a write at the end of a file is atomic.
const bookShell = `mark() { up=0; if [ -r /proc/uptime ]; then read -r up _ < /proc/uptime; fi
printf '%s %s %s %s %s %s %s %s\n' "$1" "$REEVE_JOB_ID" "$REEVE_TASK" "${REEVE_ARRAY_INDEX:-0}" "$REEVE_ATTEMPT" "$REEVE_FENCE" "$BOOT" "$up" >> "$BOOK"; }
`

// env is what a job needs to write here.
func (b book) env() map[string]string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		boot = []byte("unknown")
	}
	return map[string]string{"BOOK": b.path, "BOOT": strings.TrimSpace(string(boot))}
}

func (b book) size() int64 {
	info, err := os.Stat(b.path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// read returns the whole lines so far.
func (b book) read(t *testing.T) []mark {
	t.Helper()
	f, err := os.Open(b.path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []mark
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var m mark
		if n, err := fmt.Sscan(lines.Text(), &m.verb, &m.job, &m.task, &m.index, &m.attempt, &m.fence, &m.boot, &m.up); err != nil {
			t.Fatalf("line %q of the book: only %d words: %v", lines.Text(), n, err)
		}
		all = append(all, m)
	}
	return all
}

// order is a job that a client wants.
type order struct {
	n    int
	kind string
	// id is the job's once the submit was acknowledged.
	id string
	// cancelled: the client has asked for its end.
	cancelled bool
}

// record is what Reeve says of a job in the end.
type record struct {
	info *reeve.JobInfo
	// ends is how often a watch heard that it ended, and as what.
	ends []reeve.State
	// elements are its elements, by reference.
	elements map[string]reeve.ElementInfo
}

// audit holds what Reeve says against what clients were told and what jobs wrote. It
// returns what does not fit.
func audit(orders []order, records map[string]record, marks []mark) []string {
	a := &auditor{orders: orders, records: records, marks: marks, byElement: map[string][]mark{}}
	for _, m := range marks {
		a.byElement[m.element()] = append(a.byElement[m.element()], m)
	}
	a.acknowledged()
	a.oneEnd()
	a.noTwins()
	a.successes()
	a.atMostOnce()
	a.graphs()
	a.outcomes()
	return a.faults
}

type auditor struct {
	orders    []order
	records   map[string]record
	marks     []mark
	byElement map[string][]mark
	faults    []string
}

func (a *auditor) fault(format string, args ...any) {
	a.faults = append(a.faults, fmt.Sprintf(format, args...))
}

// acknowledged: every acknowledged job exists, once, and nothing ran that nobody
// ordered.
func (a *auditor) acknowledged() {
	jobs := map[string][]string{}
	for id, r := range a.records {
		n := r.info.Labels["n"]
		jobs[n] = append(jobs[n], id)
	}
	for _, o := range a.orders {
		got := jobs[strconv.Itoa(o.n)]
		switch {
		case len(got) > 1:
			a.fault("order %d became %d jobs: %v", o.n, len(got), got)
		case o.id != "" && !slices.Contains(got, o.id):
			a.fault("order %d was acknowledged as job %s, which is lost", o.n, o.id)
		}
	}
	for _, m := range a.marks {
		if _, ok := a.records[m.job]; !ok {
			a.fault("%s ran and is not in the history", m.element())
			return
		}
	}
}

// oneEnd: every job and element has ended, and nobody heard two ends.
func (a *auditor) oneEnd() {
	for id, r := range a.records {
		if !r.info.State.Ended() {
			a.fault("job %s is still %s", id, r.info.State)
		}
		if len(r.ends) > 1 {
			a.fault("job %s ended %d times: %v", id, len(r.ends), r.ends)
		}
		if len(r.ends) == 1 && r.ends[0] != r.info.State {
			a.fault("job %s ended as %s and is now %s", id, r.ends[0], r.info.State)
		}
		for ref, e := range r.elements {
			if !e.State.Ended() {
				a.fault("%s is still %s", ref, e.State)
			}
		}
	}
}

// noTwins: nothing of an attempt is written after a later one has begun, and fences
// rise with the attempts.
func (a *auditor) noTwins() {
	for element, marks := range a.byElement {
		newest := mark{}
		for _, m := range marks {
			if m.verb == "begin" && m.attempt > newest.attempt {
				if m.fence <= newest.fence {
					a.fault("%s: attempt %d has fence %d, the one before %d", element, m.attempt, m.fence, newest.fence)
				}
				newest = m
			} else if m.verb == "begin" {
				a.fault("%s: attempt %d began after attempt %d", element, m.attempt, newest.attempt)
			}
			if m.attempt != newest.attempt {
				a.fault("twins: %s: attempt %d (%s at %.2f) was there after attempt %d had begun at %.2f", element, m.attempt, m.verb, m.up, newest.attempt, newest.up)
				break
			}
		}
	}
}

// successes: what succeeded in the history has a success in the book, of its last
// attempt.
func (a *auditor) successes() {
	for _, r := range a.records {
		for ref, e := range r.elements {
			if e.State != reeve.Succeeded {
				continue
			}
			if !slices.ContainsFunc(a.byElement[ref], func(m mark) bool { return m.verb == "end" && m.attempt == e.Attempts }) {
				a.fault("%s succeeded in attempt %d, which never said so in the book", ref, e.Attempts)
			}
		}
	}
}

// atMostOnce: what may begin once began at most once.
func (a *auditor) atMostOnce() {
	for element, marks := range a.byElement {
		job, _, _ := strings.Cut(element, ".")
		r, known := a.records[job]
		if !known || !strings.HasPrefix(r.info.Labels["kind"], "once") {
			continue
		}
		begins := 0
		for _, m := range marks {
			if m.verb == "begin" {
				begins++
			}
		}
		if begins > 1 {
			a.fault("%s is at_most_once and began %d times", element, begins)
		}
	}
}

// graphs: "second" begins after "first" has said its success.
func (a *auditor) graphs() {
	firstEnded := map[string]bool{}
	for _, m := range a.marks {
		if m.task == "first" && m.verb == "end" {
			firstEnded[m.job] = true
		}
		if m.task == "second" && m.verb == "begin" && !firstEnded[m.job] {
			a.fault("%s began before what it needs had ended", m.element())
		}
	}
}

// outcomes: all these jobs succeed if nothing happens to them. What kept one from it
// is a cancel, or workers that were lost.
func (a *auditor) outcomes() {
	for _, o := range a.orders {
		r, ok := a.records[o.id]
		if ok && r.info.State != reeve.Succeeded && !o.cancelled && !strings.Contains(r.info.Cause, "worker") {
			a.fault("job %s (%s) is %s: %s", o.id, o.kind, r.info.State, r.info.Cause)
		}
	}
}

// TestAudit shows the auditor each kind of lie.
func TestAudit(t *testing.T) {
	t.Parallel()
	job := func(n, id, kind string, state reeve.State, ends ...reeve.State) record {
		return record{
			info: &reeve.JobInfo{ID: id, State: state, Labels: map[string]string{"n": n, "kind": kind}}, ends: ends,
			elements: map[string]reeve.ElementInfo{id + ".main.0": {State: state, Attempts: 1}},
		}
	}
	at := func(verb, job, task string, attempt int, fence uint64) mark {
		return mark{verb: verb, job: job, task: task, attempt: attempt, fence: fence}
	}
	good := []mark{at("begin", "7", "main", 1, 3), at("end", "7", "main", 1, 3)}
	done := map[string]record{"7": job("1", "7", "quick", reeve.Succeeded, reeve.Succeeded)}
	orders := []order{{n: 1, id: "7"}}
	for _, test := range []struct {
		name, want string
		records    map[string]record
		marks      []mark
	}{
		{"truth", "", done, good},
		{"lost", "is lost", map[string]record{}, nil},
		{"twice", "became 2 jobs", map[string]record{"7": done["7"], "8": job("1", "8", "quick", reeve.Failed)}, good},
		{"phantom", "not in the history", done, append([]mark{at("begin", "9", "main", 1, 9)}, good...)},
		{"never ends", "still running", map[string]record{"7": job("1", "7", "quick", reeve.Running)}, good},
		{"two ends", "ended 2 times", map[string]record{"7": job("1", "7", "quick", reeve.Succeeded, reeve.Failed, reeve.Succeeded)}, good},
		{"changed its end", "and is now", map[string]record{"7": job("1", "7", "quick", reeve.Succeeded, reeve.Failed)}, good},
		{"twins", "twins", done, []mark{good[0], at("begin", "7", "main", 2, 4), good[1]}},
		{"fence falls", "has fence 2", done, []mark{good[0], good[1], at("begin", "7", "main", 2, 2)}},
		{"no success", "never said so", done, good[:1]},
		{"once twice", "began 2 times", map[string]record{"7": job("1", "7", "once", reeve.Succeeded)}, append(slices.Clone(good), at("begin", "7", "main", 2, 4))},
		{"no reason", "is failed", map[string]record{"7": job("1", "7", "quick", reeve.Failed)}, good},
		{"too early", "before what it needs", done, append([]mark{at("begin", "7", "second", 1, 2)}, good...)},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := strings.Join(audit(orders, test.records, test.marks), "\n")
			if test.want == "" && got != "" || !strings.Contains(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
