package sim

import (
	"slices"
	"strings"
	"time"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// judgeAssigned judges that an attempt may be given out.
func (h *history) judgeAssigned(e core.AttemptAssigned, at place) {
	w, j := h, h.jobs[e.Job]
	if e.Fence <= h.fence {
		w.fail(Fenced, "fence %d follows fence %d", e.Fence, h.fence)
	}
	el, t, spec := h.element(at), &j.tasks[e.Task], &j.spec.Tasks[e.Task]
	if el.state != job.Pending || j.state.Terminal() {
		w.fail(OneEnd, "%s is %s, its job %s, and it is given to a worker", at, el.state, j.state)
	}
	if e.Attempt != el.tries+1 {
		w.fail(Fenced, "attempt %d of %s follows attempt %d", e.Attempt, at, el.tries)
	}
	if spec.AtMostOnce && el.started {
		w.fail(Once, "%s may have started and is given out again, as attempt %d", at, e.Attempt)
	}
	h.judgeBudget(at, el, spec)
	h.judgeTimes(e, at)
	if reason := h.forbids(j, e.Task, e.Position); reason != "" {
		w.fail(Order, "%s is given out and %s", at, reason)
	}
	switch {
	case j.held || t.held:
		w.fail(Held, "%s is given out while it is held", at)
	case t.stop || j.killed || j.stop != job.CauseNone && !spec.CleanUp():
		w.fail(Cancelled, "%s is given out after it was asked to end", at)
	case slices.ContainsFunc(j.cancels, func(c core.Cancel) bool { return h.meant(c, at) }):
		w.fail(Cancelled, "%s is given out after its cancel was answered", at)
	case h.paused[j.space] || h.paused[j.at]:
		w.fail(Held, "%s is given out while %s is paused", at, j.at)
	}
	if a := spec.Array; a != nil && a.Throttle > 0 && t.live >= a.Throttle {
		w.fail(Throttled, "%s is given out beside %d others; its throttle is %d", at, t.live, a.Throttle)
	}
	on := h.workers[e.Worker]
	if on == nil || on.away || on.draining || on.hello.Unfit != "" || !on.has(spec.Where) {
		w.fail(Room, "%s is given to worker %d, which does not take it: %+v", at, e.Worker, on)
	}
}

// judgeRoom judges that there is a place for what a worker was just given.
func (h *history) judgeRoom(at place, w *pastWorker) {
	if offers := h.offers(w); !w.used.Fits(offers) || w.running > w.hello.Slots {
		h.fail(Room, "with %s worker %s is given %+v in %d places; it gives %+v and %d", at, w.name, w.used, w.running, offers, w.hello.Slots)
	}
	if w.alone > 0 && w.running > 1 {
		h.fail(Room, "with %s worker %s runs %d attempts, one of which must be alone", at, w.name, w.running)
	}
}

// judgeDevices judges that an attempt is given as many devices as it asks for, of those that
// its worker has ids of, and none that another attempt has.
func (h *history) judgeDevices(e core.AttemptAssigned, a *pastAttempt) {
	w, at := h.workers[e.Worker], a.place
	for name, n := range a.needs.Other.All {
		ids, got := w.hello.Devices.Get(name), e.Devices.Get(name)
		if ids != nil && int64(len(got)) != n || slices.ContainsFunc(got, func(id string) bool { return !slices.Contains(ids, id) }) {
			h.fail(Room, "%s asks for %d of %s and is given %q by worker %s, which has %q", at, n, name, got, w.name, ids)
		}
	}
	if e.Devices == "" {
		return
	}
	for f, a := range h.held {
		if f != e.Fence && a.worker == e.Worker && a.devices.Clash(e.Devices) {
			h.fail(Room, "%s is given %q by worker %s, and attempt %d of %s has %q", at, e.Devices, w.name, f, a.place, a.devices)
		}
	}
}

// has reports whether a worker has each of the labels.
func (w *pastWorker) has(labels []string) bool {
	for _, label := range labels {
		key, value, _ := strings.Cut(label, "=")
		if got, ok := w.hello.Labels[key]; !ok || value != "" && got != value {
			return false
		}
	}
	return true
}

// judgeTimes holds an assignment against the job's times, and its lease against what
// the task says.
func (h *history) judgeTimes(e core.AttemptAssigned, at place) {
	w, j, el := h, h.jobs[e.Job], h.element(at)
	spec := &j.spec.Tasks[e.Task]
	switch {
	case e.At != h.at:
		w.fail(InTime, "%s is given out at %d and says at %d", at, h.at, e.At)
	case el.retryAt > 0:
		w.fail(Backoff, "%s is tried again before its backoff until %d is over", at, el.retryAt)
	case h.latest < j.startAfter:
		w.fail(InTime, "%s is given out %d ms before its start_after", at, j.startAfter-h.latest)
	case j.mustBegin() && h.at >= j.startBefore:
		w.fail(InTime, "%s is the first to start, %d ms after its start_before", at, h.at-j.startBefore)
	case !j.begun && j.startBefore > 0 && e.Prefetched:
		w.fail(InTime, "%s is to start before %d, and waits on a worker for a place", at, j.startBefore)
	case j.deadline > 0 && h.at >= j.deadline && !spec.CleanUp():
		w.fail(InTime, "%s is given out %d ms after its deadline", at, h.at-j.deadline)
	}
	if h.full(at) && spec.MaxFails.Pending != "run" {
		w.fail(Stopped, "%s is given out after too many have failed: %v", at, h.counts(j, e.Task))
	}
	lease := w.w.faults.lease
	if l := spec.LostAfter; l != nil {
		lease = time.Duration(l.After)
		if l.Never {
			lease = 0
		}
	}
	if e.Lease != lease.Milliseconds() {
		w.fail(NoTwins, "%s is given out with a lease of %d ms; want %v", at, e.Lease, lease)
	}
}

// mustBegin reports whether the job ends at its start_before: nothing of it has started,
// nothing is with a worker, and it has not been ended for another reason, after which it may
// clean up when it likes.
func (j *pastJob) mustBegin() bool {
	return j.startBefore > 0 && !j.begun && j.stop == job.CauseNone && !slices.ContainsFunc(j.tasks, func(t pastTask) bool { return t.live > 0 })
}

// full reports whether too many elements of an array have failed.
func (h *history) full(at place) bool {
	spec := h.task(at)
	if spec.Array == nil || spec.MaxFails == nil {
		return false
	}
	c := h.counts(h.jobs[at.job], at.task)
	return spec.MaxFails.Reached(c[job.Failed]+c[job.TimedOut], c.Total())
}

// judgeBudget holds the attempts so far against the retry rules, by a reading of its
// own of what the documents say.
func (h *history) judgeBudget(at place, el *pastElement, spec *job.Task) {
	r, s, over := &spec.Retry, el.spent, ""
	failed := int(s.Failed)
	if r.OnTimeout == nil {
		failed += int(s.TimedOut)
	} else if int(s.TimedOut) > *r.OnTimeout {
		over = "timeouts"
	}
	if r.OnMemory == nil {
		failed += int(s.Memory)
	} else if int(s.Memory) > *r.OnMemory {
		over = "ends for want of memory"
	}
	if failed >= r.MaxAttempts && failed > 0 {
		over = "failures"
	}
	if int(s.Lost) > r.OnLost {
		over = "losses"
	}
	if s.Quarantined() {
		over = "losses while it ran"
	}
	if over != "" {
		h.fail(Budgets, "%s is tried again after %+v: too many %s for %+v", at, s, over, *r)
	}
}

// forbids says which need of an element is not met, as far as is durable.
func (h *history) forbids(j *pastJob, ti uint32, p int64) string {
	for _, after := range j.spec.After {
		if on := h.jobs[after.Job].state; !on.Terminal() || job.Decide(after.Condition, job.AfterJob(on)) != job.Run {
			return "job " + after.Job.String() + " is " + on.String() + ", it runs after: " + after.Condition.String()
		}
	}
	if !j.woken {
		return "start_after has not come"
	}
	for _, need := range j.spec.Tasks[ti].Needs {
		u := uint32(j.task(need.Task))
		c := h.counts(j, u)
		end := c.TaskState()
		over := c.Ended() == c.Total()
		if need.Each {
			end = h.element(place{j.id, u, p}).state
			over = end.Terminal()
		}
		if !over || job.Decide(need.Condition, end) != job.Run {
			return "task " + need.Task + " is " + end.String() + ", it needs: " + need.Condition.String()
		}
	}
	return ""
}

// judgeSkip wants a reason for an element that is skipped for what it needs.
func (h *history) judgeSkip(e core.ElementsEnded, at place) {
	j := h.jobs[at.job]
	if e.State != job.Skipped || e.Cause.Kind != job.CauseDependency || j.stop == job.CauseDependency {
		return
	}
	for _, need := range j.spec.Tasks[at.task].Needs {
		u := uint32(j.task(need.Task))
		c := h.counts(j, u)
		end, over := c.TaskState(), c.Ended() == c.Total()
		if need.Each && j.tasks[u].n >= 0 {
			end = h.element(place{j.id, u, at.position}).state
			over = end.Terminal()
		}
		if over && job.Decide(need.Condition, end) == job.Skip {
			return
		}
	}
	h.fail(Order, "%s is skipped (%s), and nothing that it needs rules it out", at, e.Cause)
}

// judgeDoom wants a reason for a job that ends for what it runs after.
func (h *history) judgeDoom(j *pastJob, e core.CancelRequested) {
	if e.Cause.Kind != job.CauseDependency {
		return
	}
	for _, after := range j.spec.After {
		if end := h.jobs[after.Job].state; end.Terminal() && job.Decide(after.Condition, job.AfterJob(end)) == job.Skip {
			return
		}
	}
	h.fail(Order, "job %d ends (%s), and nothing that it runs after rules it out", j.id, e.Cause)
}

// Bounds of judgeBackoff.
const (
	longWait = 500 * time.Millisecond // what is shorter says little in whole milliseconds
	manyWait = 25                     // waits are enough to say that they are too short in all
)

// judgeBackoff holds how long an element is to wait against its rules, by a reading of
// its own of what the documents say: between nothing and a bound that doubles, evenly.
func (h *history) judgeBackoff(e core.AttemptEnded, at place, s job.Spent) {
	if e.Next != job.Pending {
		return
	}
	r := &h.task(at).Retry
	n := int(s.Failed) + int(s.TimedOut) + int(s.Lost) + int(s.Memory)
	most := float64(r.Delay)
	for i := 1; i < n; i++ {
		most *= float64(max(r.Factor, 100)) / 100
	}
	most = min(most, float64(r.MaxDelay)) / float64(time.Millisecond)
	wait := float64(e.RetryAt - e.At)
	if wait < 1 || wait > max(most, 1) {
		h.fail(Backoff, "%s is to wait for %.0f ms after %+v; want at most %.0f for %+v", at, wait, s, most, *r)
	}
	if most >= float64(longWait.Milliseconds()) && (e.Cause.Kind == job.CauseExit || e.Cause.Kind == job.CauseMemory) {
		h.waits, h.waited = h.waits+wait/most, h.waited+1
	}
	if mean := h.waits / float64(max(h.waited, 1)); h.waited >= manyWait && (mean < 0.15 || mean > 0.85) {
		h.fail(Backoff, "%d retries wait for %.2f of what they may, in the mean", h.waited, mean)
	}
}

// judgeEnd holds an element's next state against how its attempt ended.
func (h *history) judgeEnd(e core.AttemptEnded, a *pastAttempt) {
	w, j, t := h, h.jobs[a.place.job], &h.jobs[a.place.job].tasks[a.place.task]
	rule := h.task(a.place).MaxFails
	if t.full > 0 && a.batch < t.full && h.batches > t.full+1 && rule.Running == "cancel" && a.stop == job.CauseNone {
		w.fail(Stopped, "attempt %d of %s ends by itself, long after too many have failed", e.Fence, a.place)
	}
	want := job.Failed
	switch {
	case a.stop == job.CauseDeadline:
		want = job.TimedOut
	case a.stop == job.CausePreempted && e.Cause.Kind != job.CauseNone:
		if t.stop || j.stop != job.CauseNone && !h.task(a.place).CleanUp() {
			want = job.Cancelled
		}
	case a.stop != job.CauseNone && a.stop != job.CausePreempted:
		want = job.Cancelled
	case e.Cause.Kind == job.CauseNone:
		want = job.Succeeded
	case e.Cause.Kind == job.CauseTimeout:
		want = job.TimedOut
	}
	if r := &h.task(a.place).Retry; e.Next == job.Pending && e.Cause.Kind == job.CauseExit {
		code := int(e.Cause.Code)
		if slices.Contains(r.NotExitCodes, code) || r.ExitCodes != nil && !slices.Contains(r.ExitCodes, code) {
			w.fail(Budgets, "attempt %d of %s ends with %d, and is to be tried again by %+v", e.Fence, a.place, code, *r)
		}
	}
	again := e.Next == job.Pending && (want == job.Failed || want == job.TimedOut && a.stop == job.CauseNone)
	if e.Next != want && !again {
		w.fail(Truthful, "attempt %d of %s ends (%s, asked to by %d) and makes its element %s; want %s", e.Fence, a.place, e.Cause, a.stop, e.Next, want)
	}
}

// judgeTruth holds what is said of an attempt against what its process did.
func (h *history) judgeTruth(e core.AttemptEnded, at place) {
	w := h.w
	if h.again || h.gap.twice[e.Fence] {
		return
	}
	ps := w.truth.byFence[e.Fence]
	var p *process
	if len(ps) > 0 {
		p = ps[len(ps)-1]
	}
	if p != nil && p.alive {
		w.fail(NoTwins, "attempt %d of %s is given up (%s) while its process lives on %s", e.Fence, at, e.Cause, p.n.name)
	}
	switch e.Cause.Kind {
	case job.CauseNone, job.CauseExit, job.CauseSignal, job.CauseTimeout, job.CauseMemory:
		if p == nil {
			w.fail(Fenced, "attempt %d of %s is said to have ended (%s), by whose result? It has no process", e.Fence, at, e.Cause)
		}
	}
	switch e.Cause.Kind {
	case job.CauseNone:
		if p.code != 0 {
			w.fail(Truthful, "attempt %d of %s is said to have ended well; its process: %+v", e.Fence, at, p)
		}
	case job.CauseExit:
		if p.code != e.Cause.Code {
			w.fail(Truthful, "attempt %d of %s is said to have ended with %s; its process: %+v", e.Fence, at, e.Cause, p)
		}
	case job.CauseMemory:
		if !p.hungry {
			w.fail(Truthful, "attempt %d of %s is said to have run out of memory; its process: %+v", e.Fence, at, p)
		}
	case job.CauseRejected:
		if p != nil && !p.before { // else it is given out again, and not to run again
			w.fail(Truthful, "attempt %d of %s is said not to have run; its process: %+v", e.Fence, at, p)
		}
	}
}

// mayStart judges a process that starts: by what is durable at that moment.
func (h *history) mayStart(p *process, starts int) {
	w := h.w
	a := h.attempts[p.fence]
	if h.gap.fences[p.fence] && (a == nil || a.place != p.place) {
		p.orphan = true // it was given out in what is lost
		return
	}
	if a == nil || a.place != p.place {
		w.fail(Durable, "attempt %d of %s starts, and the journal does not know it", p.fence, p.place)
	}
	if a.over {
		w.fail(NoTwins, "attempt %d of %s starts after it was given up", p.fence, p.place)
	}
	j := h.jobs[p.place.job]
	spec := &j.spec.Tasks[p.place.task]
	if spec.AtMostOnce && starts > 1 {
		w.fail(Once, "%s starts for the %dth time, by attempt %d", p.place, starts, p.fence)
	}
	if spec.Nodes > 0 {
		h.judgeGangStart(p, a)
	}
	if reason := h.forbids(j, p.place.task, p.place.position); reason != "" {
		w.fail(Order, "attempt %d of %s starts and %s", p.fence, p.place, reason)
	}
	if h.workers[a.worker] != nil && h.workers[a.worker].name != p.n.name {
		w.fail(Fenced, "attempt %d of %s was given to %s and starts on %s", p.fence, p.place, h.workers[a.worker].name, p.n.name)
	}
}

// meant reports whether a cancel is about an element. What cleans up goes on.
func (h *history) meant(c core.Cancel, at place) bool {
	switch {
	case at.job != c.Job || c.Task != core.NoTask && at.task != c.Task:
		return false
	case c.Task == core.NoTask && !c.Kill && h.task(at).CleanUp():
		return false
	}
	return c.Spans == nil || h.task(at).Nodes > 0 || slices.ContainsFunc(c.Spans, covers(at.position))
}

// judgeCancel wants everything that a cancel is about to have ended or to be asked to,
// once that is answered, and nothing of it to start any more.
func (h *history) judgeCancel(c core.Cancel) {
	j := h.jobs[c.Job]
	for ti := range j.tasks {
		for p := range max(j.tasks[ti].n, 1) {
			at := place{c.Job, uint32(ti), p}
			if j.tasks[ti].n == 0 || !h.meant(c, at) {
				continue
			}
			el := h.element(at)
			if a := h.attempts[el.fence]; !el.state.Terminal() && (a == nil || a.goesOn()) {
				h.fail(Cancelled, "the cancel of %+v is answered, and %s is %s and goes on", c, at, el.state)
			}
		}
	}
	j.cancels = append(j.cancels, c)
}

// judgeHold wants what was to be held held, once that is answered. It may have been
// released since that was asked for.
func (h *history) judgeHold(c core.Hold) {
	if j := h.jobs[c.Job]; c.Held && !*j.hold(c.Task) && j.letGo <= h.asked {
		h.fail(Held, "the hold of %+v is answered and not durable", c)
	}
}

// judgePause wants what was to be paused paused, once that is answered. It may have been
// resumed since that was asked for.
func (h *history) judgePause(at string) {
	if !h.paused[at] && h.resumed[at] <= h.asked {
		h.fail(Held, "the pause of %s is answered and not durable", at)
	}
}

// judgeOutputs holds what a task is said to have left against what its processes did.
func (h *history) judgeOutputs(id job.ID, ti uint32, got map[int64]string) {
	for p, el := range h.jobs[id].tasks[ti].items {
		if el.won == 0 {
			continue
		}
		want := string(h.w.truth.outputs(el.won))
		if h.jobs[id].spec.Tasks[ti].Nodes > 0 && p > 0 {
			want = "" // the first rank's are the task's
		}
		if got[p] != want {
			h.fail(Truthful, "%s left %q; its outputs are %q", place{id, ti, p}, want, got[p])
		}
	}
}

// judgeReport holds what an agent reports against what it has kept on its disk.
func (l *ledger) judgeReport(n *node, r *link.Report) {
	for i := range r.Ended {
		for _, kept := range n.disk.results {
			if said := &r.Ended[i]; said.Fence == kept.Fence && said.Cause != kept.Cause {
				l.w.fail(Truthful, "%s reports of attempt %d: %q; on its disk is %q", n.name, kept.Fence, said.Cause, kept.Cause)
			}
		}
	}
}
