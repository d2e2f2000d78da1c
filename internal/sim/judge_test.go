package sim

import (
	"errors"
	"testing"
	"time"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/element"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/jobfile"
	"github.com/reeve-scheduler/reeve/internal/link"
	"github.com/reeve-scheduler/reeve/internal/replica"
	"github.com/reeve-scheduler/reeve/internal/store"
)

// stage is a world in which nothing happens but what a test writes down: it holds the
// judge alone against histories that were made by hand.
type stage struct {
	*world
	node  *node
	fence link.Fence
	runs  map[link.Fence]*process
}

func newStage() *stage {
	w := newWorld(Options{Seed: 1})
	w.faults = faults{lease: 10 * time.Second, ring: 10}
	w.server = newServer(w)
	w.servers = []*server{w.server}
	w.server.generation, w.server.lastHeard, w.server.overdue = 1, map[uint64]time.Duration{}, map[link.Fence]time.Duration{}
	w.server.clock.set(w.now, w.server.wall())
	w.past.alone = true
	s := &stage{world: w, node: newNode(w, 0), runs: map[link.Fence]*process{}}
	s.node.hello.Slots, s.node.hello.Capacity = 4, job.Resources{CPU: 8000, Memory: 8 << 30}
	s.commit(core.EpochStarted{Epoch: 1, Generation: 1, At: s.ms()}, core.WorkerJoined{ID: 1, Hello: s.node.hello, At: s.ms()})
	w.server.heard(1)
	return s
}

func (s *stage) ms() int64 { return s.server.time() }

// pass lets time pass.
func (s *stage) pass(d time.Duration) { s.now += d }

// commit makes events durable that are decided now.
func (s *stage) commit(events ...core.Event) {
	at := make([]int64, len(events))
	for i := range at {
		at[i] = s.ms()
	}
	s.past.enter(&entry{mark: store.Mark{Seq: s.past.batches + 1}, epoch: 1, events: events, at: at, now: s.now, awake: s.server.awake()})
}

// submit makes a job of a file durable whose fixed tasks are ready unless they need others.
func (s *stage) submit(text string) job.ID {
	file, err := jobfile.Parse("", []byte(text))
	if err != nil {
		panic(err)
	}
	id := s.past.last + 1
	uid := core.UID{byte(id)}
	s.users.sent[uid], s.users.meant[file.Hash] = true, file.Spec
	s.commit(core.SpecAdded{Hash: file.Hash, Canonical: file.Canonical},
		core.JobSubmitted{ID: id, UID: uid, Namespace: "default", Spec: file.Hash, At: s.ms(), Key: file.Spec.IdempotencyKey})
	for i := range file.Spec.Tasks {
		if t := &file.Spec.Tasks[i]; t.Needs == nil {
			s.commit(core.TaskReady{Job: id, Task: uint32(i), Count: t.Array.Len()})
		}
	}
	return id
}

// assign gives the only worker an attempt.
func (s *stage) assign(id job.ID, ti uint32, p int64, attempt uint16) link.Fence {
	s.fence++
	lease := s.faults.lease
	if l := s.past.task(place{id, ti, p}).LostAfter; l != nil {
		lease = time.Duration(l.After)
	}
	s.commit(core.AttemptAssigned{Job: id, Task: ti, Position: p, Attempt: attempt, Fence: s.fence, Worker: 1, Lease: lease.Milliseconds(), At: s.ms()})
	return s.fence
}

// start starts an attempt's process.
func (s *stage) start(f link.Fence) {
	at := s.past.attempts[f].place
	t := s.past.task(at)
	r := &run{fence: f, ref: job.Ref{Job: at.job}, task: at.task, position: at.position, timeout: time.Duration(t.Timeout), grace: time.Duration(t.Grace), habits: habits{most: time.Second}}
	s.runs[f] = s.truth.begin(s.node, r)
	s.commit(core.AttemptStarted{Fence: f, At: s.ms()})
}

// end ends an attempt and its process, which exits with code.
func (s *stage) end(f link.Fence, code int32, next job.ElementState) {
	s.runs[f].end(code)
	s.ended(f, code, next)
}

// ended says that an attempt has ended, whatever its process did.
func (s *stage) ended(f link.Fence, code int32, next job.ElementState) {
	e := core.AttemptEnded{Fence: f, At: s.ms(), Next: next}
	if code != 0 {
		e.Cause = job.Cause{Kind: job.CauseExit, Code: code}
	}
	if next == job.Pending {
		e.RetryAt = s.ms() + 1
	}
	s.commit(e)
}

// lose ends an attempt whose worker is lost.
func (s *stage) lose(f link.Fence, next job.ElementState) {
	s.commit(core.AttemptEnded{Fence: f, At: s.ms(), Next: next, Cause: job.Cause{Kind: job.CauseWorkerLost}, RetryAt: s.ms() + 1})
}

func (s *stage) jobEnded(id job.ID, state job.State, code int32) {
	s.commit(core.JobEnded{Job: id, State: state, Code: code, At: s.ms()})
}

// cancel cancels a job, and answers.
func (s *stage) cancel(id job.ID) {
	cause := job.Cause{Kind: job.CauseCancelled}
	s.commit(core.CancelRequested{Job: id, Task: core.NoTask, Cause: cause, At: s.ms()})
	for ti := range s.past.jobs[id].tasks {
		s.commit(core.ElementsEnded{Job: id, Task: uint32(ti), Spans: []element.Span{{Last: 9}}, State: job.Cancelled, Cause: cause, At: s.ms()})
	}
	for f := link.Fence(1); f <= s.fence; f++ {
		if a := s.past.attempts[f]; !a.over && a.place.job == id {
			s.commit(core.AttemptStopped{Fence: f, Cause: cause, Grace: time.Duration(s.past.task(a.place).Grace).Milliseconds()})
		}
	}
	s.past.judgeCancel(core.Cancel{Job: id, Task: core.NoTask})
}

const (
	oneTask   = "command: [\"true\"]\n"
	anArray   = "command: [\"true\"]\narray: 0-9%2\n"
	twoTasks  = "tasks:\n  a: {command: [\"true\"]}\n  b: {command: [\"true\"], needs: a}\n"
	retried   = "command: [\"true\"]\nretry: {max_attempts: 2, delay: 1s}\n"
	onceOnly  = "command: [\"true\"]\nat_most_once: true\n"
	graceful  = "command: [\"true\"]\ngrace: 2s\n"
	atTimes   = "command: [\"true\"]\nstart_after: 5s\nstart_before: 30s\ndeadline: 1m\n"
	limited   = "command: [\"true\"]\ntimeout: 5s\ngrace: 1s\n"
	failsOnce = "command: [\"true\"]\narray: 0-9\nmax_fails: {count: 0, running: finish, pending: skip}\n"
	wholeKey  = "command: [\"true\"]\nconcurrency: one\n"
	keyedTask = "tasks:\n  a: {command: [\"true\"], array: 0-9, concurrency: {key: one, limit: 2}}\n"
	paced     = "tasks:\n  a: {command: [\"true\"], array: 0-9, concurrency: {key: one, rate: 1/s}}\n"
	large     = "command: [\"true\"]\nresources: {cpu: 5}\n"
)

// TestGoodHistories holds the judge to histories that break nothing: whoever sees something
// in one of them sees too much.
func TestGoodHistories(t *testing.T) {
	for name, do := range map[string]func(*stage){
		"a job succeeds": func(s *stage) {
			id := s.submit(oneTask)
			f := s.assign(id, 0, 0, 1)
			s.start(f)
			s.end(f, 0, job.Succeeded)
			s.jobEnded(id, job.JobSucceeded, 0)
		},
		"an attempt fails and is tried again": func(s *stage) {
			id := s.submit(retried)
			f := s.assign(id, 0, 0, 1)
			s.start(f)
			s.end(f, 3, job.Pending)
			s.pass(time.Second)
			s.commit(core.ElementWoken{Job: id})
			f = s.assign(id, 0, 0, 2)
			s.start(f)
			s.end(f, 3, job.Failed)
			s.jobEnded(id, job.JobFailed, 3)
		},
		"a dependency is met": func(s *stage) {
			id := s.submit(twoTasks)
			f := s.assign(id, 0, 0, 1)
			s.start(f)
			s.end(f, 0, job.Succeeded)
			s.commit(core.TaskReady{Job: id, Task: 1, Count: 1})
			f = s.assign(id, 1, 0, 1)
			s.start(f)
		},
		"a dependency fails": func(s *stage) {
			id := s.submit(twoTasks)
			f := s.assign(id, 0, 0, 1)
			s.start(f)
			s.end(f, 1, job.Failed)
			s.commit(core.ElementsEnded{Job: id, Task: 1, Spans: []element.Span{{}}, State: job.Skipped, Cause: job.Cause{Kind: job.CauseDependency}})
			s.jobEnded(id, job.JobFailed, 1)
		},
		"a worker is lost once its process is gone": func(s *stage) {
			id := s.submit(oneTask)
			f := s.assign(id, 0, 0, 1)
			s.start(f)
			s.runs[f].end(-9)
			s.lose(f, job.Pending)
			s.pass(time.Second)
			s.commit(core.ElementWoken{Job: id})
			s.start(s.assign(id, 0, 0, 2))
		},
		"keys are held by one after the other": func(s *stage) {
			for range 2 {
				id := s.submit(wholeKey)
				f := s.assign(id, 0, 0, 1)
				s.start(f)
				s.end(f, 0, job.Succeeded)
				s.jobEnded(id, job.JobSucceeded, 0)
			}
			id := s.submit(paced)
			s.assign(id, 0, 0, 1)
			s.pass(time.Second)
			s.assign(id, 0, 1, 1)
		},
		"a cancel ends what runs within its grace": func(s *stage) {
			id := s.submit(graceful)
			f := s.assign(id, 0, 0, 1)
			s.start(f)
			s.cancel(id)
			s.pass(2 * time.Second)
			s.runs[f].end(-9)
			s.commit(core.AttemptEnded{Fence: f, Next: job.Cancelled, Cause: job.Cause{Kind: job.CauseCancelled}})
			s.jobEnded(id, job.JobCancelled, 130)
		},
		"everything in its time": func(s *stage) {
			id := s.submit(atTimes)
			s.pass(5 * time.Second)
			s.commit(core.JobWoken{Job: id})
			s.start(s.assign(id, 0, 0, 1))
		},
		"two of a throttle of two": func(s *stage) {
			id := s.submit(anArray)
			s.start(s.assign(id, 0, 0, 1))
			s.start(s.assign(id, 0, 1, 1))
		},
		"a timeout and its grace": func(s *stage) {
			f := s.assign(s.submit(limited), 0, 0, 1)
			s.start(f)
			s.pass(6 * time.Second)
			s.runs[f].end(-9)
		},
		"a worker that is heard": func(s *stage) {
			s.start(s.assign(s.submit(oneTask), 0, 0, 1))
			for range 10 {
				s.pass(9 * time.Second)
				s.server.heard(1)
				s.server.judgeLeases()
			}
		},
		"a lease that is long over from one moment to the next": func(s *stage) {
			f := s.assign(s.submit(oneTask), 0, 0, 1)
			s.pass(s.faults.lease*11/10 + 2*leaseSlack)
			s.server.judgeLeases()
			s.lose(f, job.Pending)
			s.pass(2 * leaseSlack)
			s.server.judgeLeases()
		},
		"a queue with work whose workers are busy": func(s *stage) {
			s.start(s.assign(s.submit(oneTask), 0, 0, 1))
			s.submit(oneTask)
			for range 100 {
				s.pass(time.Second)
				s.server.judgeProgress()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage()
			if err := s.watched(func() { do(s) }); err != nil {
				t.Error(err)
			}
		})
	}
}

// bad is a history that breaks a promise in its last step.
type bad struct {
	breaks Promise
	what   string
	do     func(*stage)
}

// TestBadHistories holds the judge to histories each of which breaks one promise.
func TestBadHistories(t *testing.T) {
	for _, c := range append(badJobs(), badAttempts()...) {
		t.Run(string(c.breaks)+"/"+c.what, func(t *testing.T) {
			s := newStage()
			err := s.watched(func() { c.do(s) })
			if v, ok := errors.AsType[*BrokenError](err); !ok || v.Promise != c.breaks {
				t.Errorf("want %q to be broken; got %v", c.breaks, err)
			}
		})
	}
}

func badJobs() []bad {
	return []bad{
		{Durable, "acknowledged and not durable", func(s *stage) { s.users.submittedTo([]core.Submitted{{ID: 9}}, nil, "", "") }},
		{NoPhantom, "nobody asked for it", func(s *stage) {
			s.submit(oneTask)
			s.commit(core.JobSubmitted{ID: 2, UID: core.UID{99}, Namespace: "default", Spec: s.anySpec()})
		}},
		{NoPhantom, "one item makes two jobs", func(s *stage) {
			s.submit(oneTask)
			s.commit(core.JobSubmitted{ID: 2, UID: core.UID{1}, Namespace: "default", Spec: s.anySpec()})
		}},
		{OneJob, "one key, two jobs", func(s *stage) {
			s.submit(oneTask + "idempotency_key: k\n")
			s.submit(oneTask + "idempotency_key: k\n")
		}},
		{OneEnd, "something follows the end", func(s *stage) {
			id := s.submit(oneTask)
			s.cancel(id)
			s.jobEnded(id, job.JobCancelled, 130)
			s.commit(core.HoldSet{Job: id, Task: core.NoTask, Held: true})
		}},
		{OneEnd, "two ends are told", func(s *stage) {
			id := s.submit(oneTask)
			s.cancel(id)
			s.jobEnded(id, job.JobCancelled, 130)
			s.users.remember(core.JobImage{ID: id, State: job.JobCancelled})
			s.users.remember(core.JobImage{ID: id, State: job.JobCancelled, Code: 1})
		}},
		{Legal, "the journal has a gap", func(s *stage) { s.past.enter(&entry{mark: store.Mark{Seq: s.past.batches + 2}}) }},
		{Legal, "a task is ready twice", func(s *stage) {
			s.commit(core.TaskReady{Job: s.submit(oneTask), Count: 1})
		}},
		{Order, "skipped for nothing", func(s *stage) {
			s.commit(core.ElementsEnded{Job: s.submit(twoTasks), Task: 1, Spans: []element.Span{{}}, State: job.Skipped, Cause: job.Cause{Kind: job.CauseDependency}})
		}},
		{Order, "doomed for nothing", func(s *stage) {
			s.submit(oneTask)
			id := s.submit("after: {1: succeeded}\n" + oneTask)
			s.commit(core.CancelRequested{Job: id, Task: core.NoTask, Cause: job.Cause{Kind: job.CauseDependency}})
		}},
		{Held, "a hold is answered that is not durable", func(s *stage) {
			s.past.judgeHold(core.Hold{Job: s.submit(oneTask), Task: core.NoTask, Held: true})
		}},
		{Held, "a pause is answered that is not durable", func(s *stage) { s.past.judgePause("default/default") }},
		{InTime, "woken early", func(s *stage) {
			id := s.submit(atTimes)
			s.pass(4 * time.Second)
			s.commit(core.JobWoken{Job: id})
		}},
		{Truthful, "a failure is told as success", func(s *stage) {
			id := s.submit(oneTask)
			f := s.assign(id, 0, 0, 1)
			s.start(f)
			s.end(f, 1, job.Failed)
			s.jobEnded(id, job.JobSucceeded, 0)
		}},
		{Reads, "an answer from before", func(s *stage) {
			id := s.submit(oneTask)
			s.cancel(id)
			old := core.JobImage{ID: id, Tasks: []core.TaskImage{{Counts: job.Counts{job.Pending: 1}}}}
			s.users.judgeFresh(s.users.knownOf(id), &old)
		}},
		{Reads, "an answer from the future", func(s *stage) {
			id := s.submit(oneTask)
			early := core.JobImage{ID: id, Tasks: []core.TaskImage{{Counts: job.Counts{job.Succeeded: 1}}}}
			s.users.judgeFresh(s.users.knownOf(id), &early)
		}},
		{Streams, "a notice is left out", func(s *stage) { s.watches(2, 1) }},
		{Streams, "a notice comes from the future", func(s *stage) { s.watches(1, 2) }},
		{Streams, "a notice never comes", func(s *stage) { s.watches(1, 0) }},
		{Progress, "work and an idle worker", func(s *stage) {
			s.submit(oneTask)
			for range 12 {
				s.pass(time.Second)
				s.server.judgeProgress()
			}
		}},
	}
}

// anySpec is the hash of a spec that is known.
func (s *stage) anySpec() core.Hash {
	for h := range s.past.specs {
		return h
	}
	panic("no spec")
}

// watches has somebody watch a batch with durable notices of which a server tells told, and
// more if it has them.
func (s *stage) watches(durable, told int) {
	srv := s.server
	srv.up, srv.ready = true, true
	at := replica.Cursor{Generation: 1, Seq: s.past.batches}
	srv.watches = replica.NewHub(10, at)
	x := &watcher{w: s.world, s: srv}
	x.open()
	seq := at.Seq + 1
	note := func(i int) replica.Notice {
		return replica.Notice{Notice: core.Notice{At: int64(i)}, Cursor: replica.Cursor{Generation: 1, Seq: seq, Index: i}}
	}
	var list []replica.Notice
	for i := range max(durable, told) {
		if i < durable {
			s.past.told = append(s.past.told, note(i))
		}
		if i >= max(durable, told)-told {
			list = append(list, note(i))
		}
	}
	srv.told = store.Mark{Seq: seq}
	srv.watches.Publish(replica.Cursor{Generation: 1, Seq: seq, Index: len(list)}, list, true)
	for range durable + 1 {
		x.read()
	}
}

func badAttempts() []bad {
	return []bad{
		{Legal, "starts twice", func(s *stage) {
			f := s.assign(s.submit(oneTask), 0, 0, 1)
			s.start(f)
			s.commit(core.AttemptStarted{Fence: f})
		}},
		{Fenced, "a fence falls", func(s *stage) {
			id := s.submit(anArray)
			s.assign(id, 0, 0, 1)
			s.fence--
			s.assign(id, 0, 1, 1)
		}},
		{Fenced, "a number is left out", func(s *stage) { s.assign(s.submit(oneTask), 0, 0, 2) }},
		{Fenced, "a result of one that is over", func(s *stage) {
			f := s.assign(s.submit(retried), 0, 0, 1)
			s.start(f)
			s.end(f, 1, job.Pending)
			s.ended(f, 0, job.Succeeded)
		}},
		{Fenced, "an epoch comes again", func(s *stage) { s.commit(core.EpochStarted{Epoch: 1}) }},
		{NoTwins, "given up while it runs", func(s *stage) {
			f := s.assign(s.submit(oneTask), 0, 0, 1)
			s.start(f)
			s.lose(f, job.Pending)
		}},
		{NoTwins, "started after it was given up", func(s *stage) {
			f := s.assign(s.submit(oneTask), 0, 0, 1)
			s.lose(f, job.Pending)
			s.start(f)
		}},
		{Once, "at most once, given out again", func(s *stage) {
			id := s.submit(onceOnly)
			f := s.assign(id, 0, 0, 1)
			s.lose(f, job.Pending)
			s.pass(time.Second)
			s.commit(core.ElementWoken{Job: id})
			s.assign(id, 0, 0, 2)
		}},
		{Once, "one attempt starts twice", func(s *stage) {
			f := s.assign(s.submit(oneTask), 0, 0, 1)
			s.start(f)
			s.runs[f].end(0)
			s.start(f)
		}},
		{Order, "before what it needs", func(s *stage) { s.assign(s.submit(twoTasks), 1, 0, 1) }},
		{Room, "more than there is", func(s *stage) {
			s.assign(s.submit(large), 0, 0, 1)
			s.assign(s.submit(large), 0, 0, 1)
		}},
		{Room, "a label is missing", func(s *stage) { s.assign(s.submit(oneTask+"where: {zone: z}\n"), 0, 0, 1) }},
		{Throttled, "three of a throttle of two", func(s *stage) {
			id := s.submit(anArray)
			for p := range int64(3) {
				s.assign(id, 0, p, 1)
			}
		}},
		{Exclusive, "two jobs with one key", func(s *stage) {
			s.assign(s.submit(wholeKey), 0, 0, 1)
			s.assign(s.submit(wholeKey), 0, 0, 1)
		}},
		{Exclusive, "three attempts with a key of two slots", func(s *stage) {
			id := s.submit(keyedTask)
			for p := range int64(3) {
				s.assign(id, 0, p, 1)
			}
		}},
		{Exclusive, "two attempts within a second", func(s *stage) {
			id := s.submit(paced)
			s.assign(id, 0, 0, 1)
			s.pass(999 * time.Millisecond)
			s.assign(id, 0, 1, 1)
		}},
		{Budgets, "a third attempt of two", func(s *stage) {
			id := s.submit(retried)
			for n := range uint16(3) {
				f := s.assign(id, 0, 0, n+1)
				s.start(f)
				s.end(f, 1, job.Pending)
				s.pass(time.Second)
				s.commit(core.ElementWoken{Job: id})
			}
		}},
		{Backoff, "longer than it may", func(s *stage) {
			f := s.assign(s.submit(retried), 0, 0, 1)
			s.start(f)
			s.runs[f].end(1)
			s.commit(core.AttemptEnded{Fence: f, Cause: job.Cause{Kind: job.CauseExit, Code: 1}, At: s.ms(), Next: job.Pending, RetryAt: s.ms() + 1001})
		}},
		{Backoff, "over before its end", func(s *stage) {
			id := s.submit(retried)
			f := s.assign(id, 0, 0, 1)
			s.start(f)
			s.end(f, 1, job.Pending)
			s.commit(core.ElementWoken{Job: id})
		}},
		{Backoff, "no time at all, time after time", func(s *stage) {
			for range 2 * manyWait {
				f := s.assign(s.submit(retried), 0, 0, 1)
				s.start(f)
				s.end(f, 1, job.Pending)
			}
		}},
		{Held, "given out while held", func(s *stage) {
			id := s.submit(oneTask)
			s.commit(core.HoldSet{Job: id, Task: core.NoTask, Held: true})
			s.assign(id, 0, 0, 1)
		}},
		{Held, "given out while its queue is paused", func(s *stage) {
			id := s.submit(oneTask)
			s.commit(core.QueueSet{Namespace: "default", Name: "default", Paused: true})
			s.assign(id, 0, 0, 1)
		}},
		{Cancelled, "a cancel is answered and it goes on", func(s *stage) {
			s.past.judgeCancel(core.Cancel{Job: s.submit(oneTask), Task: core.NoTask})
		}},
		{Cancelled, "it ends long after", func(s *stage) {
			id := s.submit(graceful)
			f := s.assign(id, 0, 0, 1)
			s.start(f)
			s.cancel(id)
			s.pass(2*time.Second + s.faults.lease*11/10 + stopSlack + time.Millisecond)
			s.runs[f].end(-9)
		}},
		{InTime, "given out early", func(s *stage) { s.assign(s.submit(atTimes), 0, 0, 1) }},
		{InTime, "given out late", func(s *stage) {
			id := s.submit(atTimes)
			s.pass(30 * time.Second)
			s.assign(id, 0, 0, 1)
		}},
		{InTime, "given out again late", func(s *stage) {
			id := s.submit(oneTask + "start_before: 30s\n")
			s.commit(core.AttemptReturned{Fence: s.assign(id, 0, 0, 1)})
			s.pass(30 * time.Second)
			s.assign(id, 0, 0, 1)
		}},
		{InTime, "given out to wait", func(s *stage) {
			id := s.submit(oneTask + "start_before: 30s\n")
			s.fence++
			s.commit(core.AttemptAssigned{Job: id, Attempt: 1, Fence: s.fence, Worker: 1, Lease: s.faults.lease.Milliseconds(), At: s.ms(), Prefetched: true})
		}},
		{InTime, "given out after the deadline", func(s *stage) {
			id := s.submit(oneTask + "deadline: 1m\n")
			s.pass(time.Minute)
			s.assign(id, 0, 0, 1)
		}},
		{TimedOut, "longer than its timeout and grace", func(s *stage) {
			f := s.assign(s.submit(limited), 0, 0, 1)
			s.start(f)
			s.pass(7 * time.Second)
			s.runs[f].end(-9)
		}},
		{Stopped, "given out after too many have failed", func(s *stage) {
			id := s.submit(failsOnce)
			f := s.assign(id, 0, 0, 1)
			s.start(f)
			s.end(f, 1, job.Failed)
			s.assign(id, 0, 1, 1)
		}},
		{Steady, "lost where nothing failed", func(s *stage) {
			s.faults.calm = true
			s.lose(s.assign(s.submit(oneTask), 0, 0, 1), job.Pending)
		}},
		{Truthful, "its process failed", func(s *stage) {
			f := s.assign(s.submit(oneTask), 0, 0, 1)
			s.start(f)
			s.runs[f].end(1)
			s.ended(f, 0, job.Succeeded)
		}},
		{Truthful, "its process succeeded", func(s *stage) {
			f := s.assign(s.submit(oneTask), 0, 0, 1)
			s.start(f)
			s.end(f, 0, job.Failed)
		}},
		{Renewed, "its worker is silent", func(s *stage) {
			s.start(s.assign(s.submit(oneTask), 0, 0, 1))
			s.pass(s.faults.lease*11/10 + time.Second)
			s.server.judgeLeases()
			s.pass(leaseSlack + time.Second)
			s.server.judgeLeases()
		}},
	}
}
