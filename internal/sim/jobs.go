package sim

import (
	"fmt"
	"strings"
	"time"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/jobfile"
	"github.com/reeve-scheduler/reeve/internal/jobfile/canon"
)

// draft is a job file being written.
type draft struct {
	w     *world
	lines []string
	// arrays is the lengths of array tasks, 0 for one that is worked out later and -1
	// for what is no array.
	arrays []int
	// nodes is how many workers the task takes at once, 0 for no gang.
	nodes int
}

func pick[T any](w *world, from ...T) T { return from[w.rnd.IntN(len(from))] }

// one in n.
func (w *world) oneIn(n int) bool { return w.rnd.IntN(n) == 0 }

// makeFile writes a random job file that some worker can run.
func (w *world) makeFile(after []job.ID) string {
	d := &draft{w: w}
	if n := len(w.users.acked) % 5; n > 0 { // few names, so that what they have taught is looked up again
		d.add("name: job-%d", n)
	}
	if w.oneIn(3) {
		d.add("priority: %s", pick(w, "high", "low", "critical", "7"))
	}
	later := w.oneIn(6)
	if later {
		d.add("start_after: %ds", 1+w.rnd.IntN(20))
	}
	if w.oneIn(5) {
		least := 5
		if later {
			least = 62
		}
		d.add("deadline: %ds", least+w.rnd.IntN(60))
	}
	if w.oneIn(8) {
		d.add("start_before: %ds", 21+w.rnd.IntN(40))
	}
	if w.oneIn(4) {
		d.add("queue: night")
	}
	var on []string
	for _, id := range after {
		on = append(on, fmt.Sprintf("%d: %s", id, pick(w, "succeeded", "failed", "done", "any")))
	}
	if on != nil {
		d.add("after: {%s}", strings.Join(on, ", "))
	}
	if w.oneIn(6) {
		d.add("concurrency: {key: %s, limit: %d, conflict: %s}", pick(w, "one", "two"), pick(w, 1, 1, 3), pick(w, "queue", "queue", "cancel"))
	}
	d.add("tasks:")
	for i := range 1 + w.rnd.IntN(5) {
		d.task(i)
	}
	return strings.Join(d.lines, "\n")
}

func (d *draft) add(format string, args ...any) {
	d.lines = append(d.lines, fmt.Sprintf(format, args...))
}

func (d *draft) task(i int) {
	w := d.w
	d.add("  t%d:", i)
	poison := 0
	if !w.faults.calm && w.oneIn(60) {
		poison = 80
	}
	d.add(`    command: [sim, "%d", "%d", "%d", "%d", "%d"]`, pick(w, 20, 500, 3000, 3000, 15000, 30000), pick(w, 0, 0, 20, 60), pick(w, 0, 50, 100), poison,
		pick(w, 0, 0, 0, 0, 0, 0, 1500, 3000))
	d.nodes = 0
	d.shape(i)
	once := w.oneIn(6)
	if once {
		d.add("    at_most_once: true")
	} else if w.oneIn(2) {
		d.add("    retry: {max_attempts: %d, on_lost: %d, delay: %s, max_delay: 5s%s}", 1+w.rnd.IntN(3), w.rnd.IntN(5), pick(w, "10ms", "500ms", "2s"),
			pick(w, "", ", on_timeout: 1", ", on_memory: 2", ", on_memory: 3, max_memory: 3Gi", ", exit_codes: [1, 2]", ", not_exit_codes: [3]"))
	}
	if w.oneIn(4) {
		d.add("    timeout: %s", pick(w, "1s", "2s", "5s"))
	}
	d.add("    grace: %s", pick(w, "100ms", "1s", "3s", "30s"))
	if w.oneIn(4) {
		d.add("    lost_after: %s", pick(w, "2s", "5s", "20s", "never"))
	}
	if w.oneIn(6) && d.nodes == 0 {
		d.add("    concurrency: {key: %s, limit: 2%s}", pick(w, "one", "two"), pick(w, "", ", rate: {count: 5, per: 10s, burst: 2}"))
	}
	d.needs(i)
	d.room()
	if w.oneIn(3) { // with a deadline some wait for that
		d.add("    prefer: %s", pick(w, "cheapest", "cheapest", "[cheapest, {when: zone=a, weight: -2}]", "'labels.zone == \"a\"'"))
	}
}

// shape says whether the task is an array, and of what kind.
func (d *draft) shape(i int) {
	w := d.w
	n := -1
	switch k := w.rnd.IntN(6); {
	case k < 3:
		n = 1 + w.rnd.IntN(6)
		if i > 0 && w.oneIn(2) { // alike, so that one can need the other element by element
			n = max(d.arrays[w.rnd.IntN(i)], 1)
		}
		d.add("    array: 0-%d%s", n-1, pick(w, "", "", "%1", "%2"))
		if w.oneIn(6) {
			d.add("    %s: %s", pick(w, "apart", "apart", "spread"), pick(w, "worker", "zone"))
		} else if w.oneIn(6) {
			d.company()
		}
		if w.oneIn(3) {
			d.add("    max_fails: {%s, running: %s, pending: %s}", pick(w, "count: 0", "count: 1", "percent: 50"), pick(w, "finish", "cancel"), pick(w, "skip", "run"))
		}
	case k == 3 && i > 0 && d.arrays[i-1] < 0:
		n = 0
		d.add("    array: ${{ tasks.t%d.outputs.n }}", i-1)
	case k == 4:
		d.nodes = 1 + w.rnd.IntN(min(len(w.nodes), 3))
		d.add("    nodes: %d", d.nodes)
	}
	if n < 0 && d.nodes == 0 && w.oneIn(6) {
		d.company()
	}
	d.arrays = append(d.arrays, n)
}

// company says of what others elements keep apart, whatever their task.
func (d *draft) company() {
	d.add("    %s: {by: %s, key: %s}", pick(d.w, "apart", "apart", "spread"), pick(d.w, "worker", "zone"), pick(d.w, "disk", "web"))
}

// needs draws what the task waits for; an array that is worked out later needs its source.
func (d *draft) needs(i int) {
	w := d.w
	var list, needed []string
	for u := range i {
		source := d.arrays[i] == 0 && u == i-1
		if !source && !w.oneIn(2) {
			continue
		}
		c := pick(w, "succeeded", "succeeded", "failed", "done", "any")
		if source {
			c = pick(w, "succeeded", "done")
		} else if d.arrays[i] > 0 && d.arrays[u] == d.arrays[i] && w.oneIn(2) {
			c = "{each: " + c + "}"
		}
		list, needed = append(list, fmt.Sprintf("t%d: %s", u, c)), append(needed, fmt.Sprintf("t%d", u))
	}
	if list != nil {
		d.add("    needs: {%s}", strings.Join(list, ", "))
	}
	if d.nodes == 0 && needed != nil && w.oneIn(3) {
		d.add("    near: [%s]", strings.Join(needed, ", "))
	}
}

// room draws resources and labels that at least one worker has, or as many as a gang needs.
func (d *draft) room() {
	w := d.w
	cpu, memory, zone := w.rnd.IntN(4), w.rnd.IntN(3), pick(w, "", "", "", "a", "b")
	gpu, licence, disk := int64(w.rnd.IntN(5)/4), int64(w.rnd.IntN(5)/4), w.rnd.IntN(3)
	fit := 0
	for _, n := range w.nodes {
		c := n.hello.Capacity
		others := gpu <= int64(len(n.gpus)) && licence <= n.licences
		if others && int64(cpu)*1000 <= c.CPU && int64(memory)<<30 <= c.Memory && (zone == "" || n.hello.Labels["zone"] == zone) {
			if fit++; fit < d.nodes {
				continue
			}
			d.add("    resources: {cpu: %d, memory: %dGiB, gpu: %d, licence: %d, disk: %dGiB}", cpu, memory, gpu, licence, disk)
			if more := int64(1 + w.rnd.IntN(2)); w.oneIn(3) && more != gpu {
				d.add("    either: [{gpu: %d}, {gpu: %d}]", more, gpu)
			}
			if zone != "" {
				d.add("    where: {zone: %s}", zone)
			}
			return
		}
	}
}

// readSpec reads a spec as a worker does.
func (w *world) readSpec(canonical []byte) (*job.Spec, error) {
	return canon.Read(canonical)
}

// submission is a job file as the server is given it, perhaps with something hidden.
type submission struct {
	spec      *job.Spec
	hash      core.Hash
	canonical []byte
	item      core.Item
	times     int // how many jobs it makes
	held      bool
}

// parse reads a file and notes what the user meant.
func (u *users) parse(text string) *submission {
	file, err := jobfile.Parse("", []byte(text))
	if err != nil {
		u.w.fail(NoPanic, "the simulator wrote a wrong job file: %v\n%s", err, text)
	}
	return u.prepare(file.Spec)
}

func (u *users) prepare(meant *job.Spec) *submission {
	canonical, hash, err := canon.Write(meant)
	if err != nil {
		u.w.fail(NoPanic, "%v", err)
	}
	s := &submission{spec: meant, hash: hash, canonical: canonical, times: 1}
	if hidden := u.hide(canonical); hidden != nil {
		s.spec = hidden
		if s.canonical, s.hash, err = canon.Write(hidden); err != nil {
			u.w.fail(NoPanic, "%v", err)
		}
	}
	u.meant[s.hash] = meant
	return s
}

// hide takes something out of a spec, for the bugs that are made so.
func (u *users) hide(canonical []byte) *job.Spec {
	spec, err := canon.Read(canonical)
	if err != nil {
		u.w.fail(NoPanic, "%v", err)
	}
	if u.w.opt.Bug == BugNoKeys {
		spec.Concurrency = nil
	}
	for i := range spec.Tasks {
		t := &spec.Tasks[i]
		switch u.w.opt.Bug {
		case BugNoKeys:
			t.Concurrency = nil
		case BugNoNeeds:
			if t.Array == nil || t.Array.From == "" {
				t.Needs = nil
			}
		case BugNoThrottle:
			if t.Array != nil {
				t.Array.Throttle = 0
			}
		case BugNoBudget:
			t.Retry.MaxAttempts, t.Retry.OnLost, t.Retry.ExitCodes, t.Retry.NotExitCodes = 9, 9, nil, nil
		case BugNoResources:
			t.Resources, t.Either = job.Resources{}, nil
		case BugHideOnce:
			t.AtMostOnce, t.Retry.MaxAttempts = false, 3
		case BugOtherNeeds:
			for k := range t.Needs {
				if need := &t.Needs[k]; need.Condition == job.OnSucceeded && (t.Array == nil || t.Array.From == "") {
					need.Condition = job.OnFailed
				}
			}
		case BugNoBackoff:
			t.Retry.Delay, t.Retry.MaxDelay = job.Duration(time.Millisecond), job.Duration(time.Millisecond)
		case BugNoTimes:
			spec.StartAfter, spec.StartBefore, spec.Deadline = nil, nil, nil
		case BugNoMaxFails:
			t.MaxFails = nil
		case BugNoGangs: // their ranks are an array's elements
			t.Nodes = 0
		default:
			return nil
		}
	}
	return spec
}
