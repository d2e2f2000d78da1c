package sim

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/record"
	"github.com/reeve-scheduler/reeve/internal/store"
)

func (w *world) ctx() context.Context { return context.Background() }

// find returns a job as the server shows it, from memory or else from the tables.
func (s *server) find(state *core.State, id job.ID) (m core.JobImage, found bool, err error) {
	if m, ok := state.Image(id); ok && s.w.opt.Bug != BugStaleReads {
		return m, true, nil
	}
	row, _, err := s.rows.Job(s.w.ctx(), uint64(id))
	switch {
	case errors.Is(err, store.ErrNotFound) && s.w.opt.Bug == BugStaleReads:
		return core.JobImage{}, false, errDisk
	case errors.Is(err, store.ErrNotFound):
		return core.JobImage{}, false, nil
	case err != nil:
		return core.JobImage{}, false, err
	}
	if m, err = record.Job(row); err != nil {
		s.w.fail(Codec, "the row of job %d: %v", id, err)
	}
	return m, true, nil
}

// outputs is what the elements of a task left, by position, as the server shows it.
func (s *server) outputs(m *core.JobImage, ti uint32) map[int64]string {
	all := map[int64]string{}
	if out := m.Tasks[ti].Outputs; out != nil {
		all[0] = string(out)
	}
	for from, more := uint64(0), true; more; {
		rows, err := s.rows.Parts(s.w.ctx(), uint64(m.ID), ti, store.PartOutput, from, store.MaxPage)
		if err != nil {
			s.w.fail(Law, "the outputs of job %d: %v", m.ID, err)
		}
		for _, row := range rows {
			o, err := record.Output(row)
			if err != nil {
				s.w.fail(Codec, "the row of an output of job %d: %v", m.ID, err)
			}
			all[o.Position], from = string(o.Outputs), row.N+1
		}
		more = len(rows) == store.MaxPage
	}
	for _, o := range s.state.Outputs(m.ID, ti) {
		all[o.Position] = string(o.Outputs)
	}
	return all
}

// lookAt reads a job, and holds what it is told against what was told before.
func (u *users) lookAt(id job.ID) {
	var m core.JobImage
	var found bool
	var err error
	known := u.knownOf(id)
	u.ask(&call{
		what: "look", lane: laneView, heard: func(any, error) {},
		view: func(srv *server, s *core.State) { m, found, err = srv.find(s, id) },
		leaves: func(any, error) {
			switch {
			case err != nil:
				return
			case !found:
				u.w.fail(Durable, "job %d was acknowledged and is not found", id)
			}
			u.judgeFresh(known, &m)
			if u.w.opt.Bug == BugTwoEnds && m.State.Terminal() && u.w.oneIn(2) {
				m.State = job.JobFailed
				if u.w.oneIn(2) {
					m.State = job.JobSucceeded
				}
			}
			u.remember(m)
		},
	})
}

// knownOf is what was durable of a job when somebody asked for it.
type known struct {
	counts []job.Counts
	turned int
	stop   bool
}

func (u *users) knownOf(id job.ID) *known {
	h := u.w.past
	j := h.jobs[id]
	k := &known{turned: j.turned, stop: j.stop != job.CauseNone}
	for ti := range j.tasks {
		k.counts = append(k.counts, h.counts(j, uint32(ti)))
	}
	return k
}

// judgeFresh holds an answer against what was durable when it was asked for, which it
// must show, and against what is when it leaves, beyond which it may not go.
func (u *users) judgeFresh(then *known, m *core.JobImage) {
	w := u.w
	now, j := u.knownOf(m.ID), w.past.jobs[m.ID]
	if then.turned == now.turned && (m.Held != j.held || slices.ContainsFunc(m.Tasks, func(t core.TaskImage) bool { return t.Held }) && !j.someHeld()) {
		w.fail(Reads, "job %d is told to be held %v; the journal says %v, and did when it was asked for", m.ID, m.Held, j.held)
	}
	if told := m.Stop.Kind != job.CauseNone; then.stop && !told || told && !now.stop {
		w.fail(Reads, "job %d is told to stop %v; it was asked to %v when that was asked for, and is now %v", m.ID, told, then.stop, now.stop)
	}
	for ti := range m.Tasks {
		if j.tasks[ti].n == 0 {
			continue
		}
		for _, s := range job.ElementStates() {
			if n := m.Tasks[ti].Counts[s]; s.Terminal() && (n < then.counts[ti][s] || n > now.counts[ti][s]) {
				w.fail(Reads, "job %d task %d is told with %d %s; there were %d when that was asked for, and are %d now", m.ID, ti, n, s, then.counts[ti][s], now.counts[ti][s])
			}
		}
	}
}

func (j *pastJob) someHeld() bool {
	return slices.ContainsFunc(j.tasks, func(t pastTask) bool { return t.held })
}

// remember holds an image against the last one that was told, and against the journal.
func (u *users) remember(m core.JobImage) {
	w := u.w
	old, known := u.told[m.ID]
	u.told[m.ID], u.toldAt[m.ID] = m, w.past.batches
	if durable := w.past.jobs[m.ID]; m.State.Terminal() && durable.state != m.State {
		w.fail(OneEnd, "job %d is told to be %s; the journal says %s", m.ID, m.State, durable.state)
	}
	if !known {
		return
	}
	if old.State.Terminal() && (old.State != m.State || old.Cause != m.Cause || old.Ended != m.Ended || old.Code != m.Code) {
		w.fail(OneEnd, "job %d was told to be %s (%s) and is now %s (%s)", m.ID, old.State, old.Cause, m.State, m.Cause)
	}
	for i := range m.Tasks {
		for state, n := range old.Tasks[i].Counts {
			if job.ElementState(state).Terminal() && n > m.Tasks[i].Counts[state] {
				w.fail(OneEnd, "%d elements of job %d task %d were told to be %s, and are now %d", n, m.ID, i, job.ElementState(state), m.Tasks[i].Counts[state])
			}
		}
	}
}

// explainAll wants a reason for everything that waits.
func (u *users) explainAll() {
	u.ask(&call{what: "explain", lane: laneView, heard: func(any, error) {}, view: func(srv *server, s *core.State) { u.judgeReasons(s, srv.time()) }})
}

func (u *users) judgeReasons(s *core.State, now int64) {
	for _, id := range slices.Sorted(u.w.past.unfinished()) {
		for _, e := range s.Explain(id, "", now) {
			if len(e.Reasons) == 0 || u.w.opt.Bug == BugSilent {
				u.w.fail(Says, "job %d task %s is %s for no reason", id, e.Task, e.State)
			}
		}
	}
}

// retrySome retries a job that has ended, as package api does.
func (u *users) retrySome() {
	w := u.w
	id := u.some()
	var spec *job.Spec
	var carry []core.Carry
	u.ask(&call{
		what: "what to retry", lane: laneView,
		view: func(_ *server, s *core.State) {
			if m, ok := s.Image(id); ok && m.State.Terminal() {
				spec, carry = s.SpecOf(id), s.CarryOver(id)
			}
		},
		heard: func(_ any, err error) {
			if err != nil || spec == nil || w.past.jobs[id] == nil {
				return
			}
			again := *w.past.jobs[id].spec
			again.After, again.StartAfter, again.StartBefore = nil, nil, nil
			s := u.prepare(&again)
			s.item.RetryOf, s.item.Carry = id, carry
			u.ask(&call{
				what: "retry", lane: laneSubmit, command: s.command,
				leaves: func(reply any, err error) { u.submittedTo(reply, err, "", "") },
				heard: func(reply any, err error) {
					if err == nil {
						u.accepted(reply)
					}
				},
			})
		},
	})
}

// heal lets go of everything, again and again.
func (u *users) heal() {
	u.letGo()
	u.w.after(5*time.Second, u.heal)
}

// letGo lets go of everything that users keep from running.
func (u *users) letGo() {
	h := u.w.past
	for _, id := range slices.Sorted(h.unfinished()) {
		j := h.jobs[id]
		if j.held {
			u.until("release", laneControl, func(*server) core.Command { return core.Hold{Job: id, Task: core.NoTask} })
		}
		for ti := range j.tasks {
			if j.tasks[ti].held {
				u.until("release", laneControl, func(*server) core.Command { return core.Hold{Job: id, Task: uint32(ti)} })
			}
		}
	}
	for _, at := range []string{core.DefaultName, "night"} {
		if h.paused[core.DefaultName+"/"+at] {
			u.until("resume", laneControl, func(*server) core.Command {
				return core.PutQueue{Namespace: core.DefaultName, Name: at, Paused: new(false)}
			})
		}
	}
	for _, name := range []string{"night", "repair"} {
		if _, known := h.reservations[name]; known {
			u.unreserve(name)
		}
	}
	if h.pools[core.DefaultName] != (job.Factors{}) {
		u.overcommit(job.Factors{})
	}
	u.unlimit()
	if h.paused[core.DefaultName] {
		u.until("resume", laneControl, func(*server) core.Command { return core.PutNamespace{Name: core.DefaultName, Paused: new(false)} })
	}
	for _, id := range slices.Sorted(maps.Keys(h.workers)) {
		if w := h.workers[id]; w.draining && u.drained[w.name] {
			u.until("undrain", laneControl, func(*server) core.Command { return core.Drain{Worker: w.name, By: "anna"} })
		}
	}
}

// rested reports whether nobody does anything any more.
func (u *users) rested() bool { return u.probing && u.probes == 0 }

// done reports whether everything has ended, and every worker has shown its use.
func (u *users) done() bool {
	if u.open > 0 || u.w.past.live > 0 {
		return false
	}
	if u.probing {
		return u.probes == 0
	}
	u.probing = true
	for _, n := range u.w.nodes {
		u.probes++
		u.probe(n)
	}
	return false
}

// probe has a worker run something.
func (u *users) probe(n *node) {
	s := u.parse(fmt.Sprintf("command: [sim, \"10\", \"0\", \"0\"]\nresources: {cpu: 0}\nretry: {on_lost: 100}\nwhere: {name: %s}", n.name))
	u.ask(&call{
		what: "probe", lane: laneSubmit, command: s.command,
		leaves: func(reply any, err error) { u.submittedTo(reply, err, "", "") },
		heard: func(_ any, err error) {
			if errors.Is(err, errLost) || job.CodeOf(err) == job.Busy {
				u.probe(n)
				return
			}
			u.probes--
		},
	})
}

// judgeEnd looks at a cluster at rest.
func (w *world) judgeEnd() {
	s := w.server
	if s.flying != nil || len(s.forming.events) > 0 {
		return // an idle cluster hardly ever decides; the next run looks again
	}
	w.judgeLeapt()
	w.past.compare("the leader at rest", s.state)
	w.past.recoverable()
	for _, id := range slices.Sorted(maps.Keys(w.past.jobs)) {
		m, ok, err := s.find(s.state, id)
		if w.opt.Bug == BugStaleReads {
			continue
		}
		if err != nil || !ok {
			w.fail(Durable, "job %d was submitted and is not found", id)
		}
		w.users.remember(m)
		for ti := range m.Tasks {
			if want := w.past.counts(w.past.jobs[id], uint32(ti)); m.Tasks[ti].Counts != want && w.past.jobs[id].tasks[ti].n != 0 {
				w.fail(Truthful, "job %d task %d has %v; by the journal %v", id, ti, m.Tasks[ti].Counts, want)
			}
			w.past.judgeOutputs(id, uint32(ti), s.outputs(&m, uint32(ti)))
		}
	}
	w.judgeLeft()
	w.past.judgeRest(s.state)
}

// judgeLeft wants nothing left where everything has ended and been written down.
func (w *world) judgeLeft() {
	s := w.server
	if t := s.state.Totals(); t.Attempts != 0 || t.Jobs != 0 || t.Workers != len(w.nodes) {
		w.fail(Ends, "everything has ended and there are %d attempts and %d jobs in memory, and %d workers of %d:\n%s", t.Attempts, t.Jobs, t.Workers, len(w.nodes), w.stuck())
	}
	first, last, err := w.disk.Journal().Bounds(w.ctx())
	if most := uint64(2 * keepBatches); err != nil || last-first > most {
		w.fail(Ends, "the journal holds %d to %d (%v); the tables are at %d and need at most %d of them", first, last, err, s.state.Seq(), most)
	}
	for _, v := range s.state.Workers() {
		if v.Running != 0 || v.Prefetched != 0 || v.Used != (job.Resources{}) {
			w.fail(Room, "everything has ended and worker %s counts %d running, %d prefetched, %+v", v.Hello.Name, v.Running, v.Prefetched, v.Used)
		}
	}
	for _, n := range w.nodes {
		if running, held := n.agent.machine.Load(); running+held > 0 || n.keeper.count() > 0 {
			w.fail(Ends, "everything has ended and %s still holds something", n)
		}
		if len(n.disk.results)+len(n.disk.starts)+len(n.disk.about) > 0 {
			w.fail(Ends, "everything has ended and the disk of %s still holds %v %v %v", n.name, n.disk.results, n.disk.starts, n.disk.about)
		}
	}
}
