package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/reeve-scheduler/reeve/internal/agent/will"
	"github.com/reeve-scheduler/reeve/internal/agent/workspace"
	"github.com/reeve-scheduler/reeve/internal/executor"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// Agent is a worker. Its methods may be called concurrently.
type Agent struct {
	cfg Config
	box *mailbox
	ran atomic.Bool
}

// New checks a configuration and fills in its defaults. Nothing runs before Run.
func New(cfg Config) (*Agent, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	return &Agent{cfg: cfg, box: newMailbox()}, nil
}

// Config is the configuration with its defaults.
func (a *Agent) Config() Config { return a.cfg }

// Leave asks the agent to end as the end of Run's context does. Asked a second time,
// whichever way, it leaves at once.
func (a *Agent) Leave() { a.box.put(will.Leave{}) }

// Run works until ctx ends, then takes nothing new, waits for what runs, and returns
// nil. An error means that the agent could not start, or that its state directory was
// taken away. It can be called once.
func (a *Agent) Run(ctx context.Context) (err error) {
	if a.ran.Swap(true) {
		return errors.New("agent: Run was called before")
	}
	st, err := openState(a.cfg.Dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.close()) }()
	s := newShell(ctx, &a.cfg, a.box, st)
	defer func() { err = errors.Join(err, s.shut()) }()
	adopted, err := s.openAll(ctx)
	if ctx.Err() != nil {
		return nil //nolint:nilerr // told to end before it began, it has not failed
	}
	if err != nil {
		return err
	}
	settings := a.cfg.settings(st.instance, slices.Concat(s.about, a.cfg.About))
	if st.incarnation != 0 {
		settings.Hello.Incarnation = st.incarnation
		settings.Hello.Place = st.place
	}
	s.machine = will.New(settings)
	return s.loop(ctx, adopted)
}

// shell does what the machine says. Its loop is the only goroutine that steps the
// machine; whatever may wait is done on others, which answer through the mailbox.
type shell struct {
	cfg     *Config
	log     *slog.Logger
	box     *mailbox
	state   *state
	machine *will.Machine
	space   *workspace.Space
	about   []string
	kinds   map[string]*kind

	// ctx ends when the loop has ended; wg then waits for all goroutines but those of
	// lanes, which calls waits for.
	ctx       context.Context
	cancel    context.CancelFunc
	wg, calls sync.WaitGroup

	// failed is why the agent can't go on.
	failed chan error

	prepares, collects, disk pool
	ship                     *shipper
	shipping                 bool
	conn                     *conn
	timer                    *time.Timer
	// now is the moment of the step whose actions are being done.
	now will.Now
	// wakeAt is when the machine wants a tick, 0 for never.
	wakeAt executor.Deadline

	mu sync.Mutex
	// works is the attempts between their preparation and their start.
	works map[link.Fence]*work
}

// kind is an open executor.
type kind struct {
	name string
	run  executor.Executor
	// lanes do its calls, one attempt's always on the same, so that a stop does not
	// overtake its start. Nil for functions, whose calls don't wait.
	lanes []*pool
}

// work is one attempt's preparation.
type work struct {
	cancel context.CancelFunc
	task   executor.Task
}

const (
	prepareAtOnce = 32
	collectAtOnce = 32
	diskAtOnce    = 2
	laneCount     = 4
	// callWait bounds one call of an executor that may be away.
	callWait = 30 * time.Second
	// lastCalls bounds the wait for calls that are under way when the loop has ended:
	// a keeper that never hears of a release stays on for the result's sake.
	lastCalls = 3 * time.Second
	// idleTick bounds how long a suspended machine goes unnoticed: timers don't
	// count that time, the boot clock does.
	idleTick = 5 * time.Second
)

func newShell(ctx context.Context, cfg *Config, box *mailbox, st *state) *shell {
	s := &shell{
		cfg: cfg, log: cfg.Log, box: box, state: st,
		kinds: map[string]*kind{}, works: map[link.Fence]*work{}, ship: newShipper(),
		timer: time.NewTimer(idleTick), failed: make(chan error, 1),
	}
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	s.prepares = pool{limit: prepareAtOnce, wg: &s.wg}
	s.collects = pool{limit: collectAtOnce, wg: &s.wg}
	s.disk = pool{limit: diskAtOnce, wg: &s.wg}
	s.space = workspace.New(workspace.Config{
		Worker: cfg.Name, Env: workspace.BaseEnv(cfg.PassEnv), Store: cfg.Server, Root: st.root, Own: aboutFile,
		Limits: cfg.Limits, Retry: cfg.Reconnect, Wall: func() int64 { return cfg.Clock().Wall }, Log: cfg.Log,
	})
	s.ship.open, s.ship.log, s.ship.wait = cfg.Server.AppendLogs, cfg.Log, cfg.Reconnect
	s.ship.path = func(key string) string { return st.attempt(key) + "/log" }
	s.ship.tell = box.put
	return s
}

// openAll opens the executors and lists what they and the disk hold from before.
func (s *shell) openAll(ctx context.Context) ([]will.Adopted, error) {
	held := map[string][]executor.Running{}
	for _, k := range s.cfg.Executors {
		run, err := k.Open(ctx, &reporter{s: s, function: k.Name == will.FunctionKind})
		if err != nil {
			return nil, fmt.Errorf("agent: executor %s: %w", k.Name, err)
		}
		opened := &kind{name: k.Name, run: run}
		s.kinds[k.Name] = opened
		if k.Name != will.FunctionKind {
			for range laneCount {
				opened.lanes = append(opened.lanes, &pool{limit: 1, wg: &s.calls})
			}
		}
		if held[k.Name], err = run.Adopt(ctx); err != nil {
			return nil, fmt.Errorf("agent: executor %s: what it holds: %w", k.Name, err)
		}
		if about := run.About(); about != "" {
			s.about = append(s.about, k.Name+": "+about)
		}
	}
	return s.state.left(held)
}

// shut ends every goroutine and closes the executors.
func (s *shell) shut() error {
	s.timer.Stop()
	s.hangUp()
	called := make(chan struct{})
	go func() {
		s.calls.Wait()
		close(called)
	}()
	select {
	case <-called:
	case <-time.After(lastCalls):
	}
	s.cancel()
	<-called
	var err error
	for _, name := range slices.Sorted(maps.Keys(s.kinds)) {
		err = errors.Join(err, s.kinds[name].run.Close())
	}
	s.wg.Wait()
	return err
}

// loop steps the machine until it quits, or can't go on. Then the keeper ends what
// runs when its lease is over.
func (s *shell) loop(ctx context.Context, adopted []will.Adopted) error {
	quit := s.step(will.Begin{Adopted: adopted})
	done := ctx.Done()
	for !quit {
		select {
		case <-s.box.wake:
			quit = s.step(s.box.take()...)
		case <-s.timer.C:
			if err := s.state.check(); err != nil {
				return err
			}
			quit = s.step(will.Tick{})
			s.arm()
		case err := <-s.failed:
			return err
		case <-done:
			done = nil
			quit = s.step(will.Leave{})
		}
	}
	return nil
}

func (s *shell) step(events ...will.Event) (quit bool) {
	s.now = s.cfg.Clock()
	for _, a := range s.machine.Step(s.now, events...) {
		if _, ok := a.(will.Quit); ok {
			return true
		}
		s.do(a)
	}
	s.cfg.Observer.Fares(s.machine.Vitals())
	return false
}

// do does one action, or has it done.
func (s *shell) do(a will.Action) {
	switch a := a.(type) {
	case will.Connect:
		s.connect(a.Session)
	case will.Disconnect:
		s.hangUp()
	case will.Send:
		s.conn.out <- a.Message
	case will.SetTimer:
		s.wakeAt = a.At
		s.arm()
	case will.Say:
		s.log.Log(s.ctx, slog.Level(a.Level), a.Text)
	case will.FollowLog:
		s.followLog(a)
	case will.SealLog:
		s.ship.seal(a.Fence, a.Size)
	case will.DropLog:
		s.ship.drop(a.Fence)
	default:
		s.doAttempt(a)
	}
}

// doAttempt does what concerns one attempt's life.
func (s *shell) doAttempt(a will.Action) {
	switch a := a.(type) {
	case will.Prepare:
		s.startPreparing(a)
	case will.Unprepare:
		s.mu.Lock()
		if w := s.works[a.Fence]; w != nil {
			w.cancel()
		}
		s.mu.Unlock()
	case will.Record:
		s.disk.run(func() {
			s.box.put(will.Recorded{Fence: a.Work.Fence, Err: errText(s.state.recordStart(a.Key, a.Work))})
		})
	case will.KeepResult:
		key := will.Key(a.Ref, a.Fence)
		s.disk.run(func() {
			s.box.put(will.Kept{Fence: a.Fence, Err: errText(s.state.keepResult(key, a.Claim, a.Result))})
		})
	case will.Collect:
		s.collects.run(func() {
			outputs, cause := s.space.Collect(s.ctx, a.Claim, a.Key)
			s.box.put(will.Collected{Fence: a.Fence, Outputs: outputs, Cause: cause})
		})
	case will.Start:
		s.start(a)
	case will.StopRun:
		s.call(a.Executor, a.Key, func(ctx context.Context, e executor.Executor) error {
			return e.Stop(ctx, a.Key, a.Grace, a.Cause)
		})
	case will.SetDeadlines:
		s.call(a.Executor, "", func(ctx context.Context, e executor.Executor) error {
			return e.SetDeadline(ctx, a.Keys, a.Deadline)
		})
	case will.Forget:
		s.forget(a)
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// arm sets the timer to when the machine wants to be woken, or to look at the clocks.
func (s *shell) arm() {
	wait := idleTick
	if s.wakeAt > s.now.Boot {
		wait = min(s.wakeAt.Sub(s.now.Boot), idleTick)
	}
	s.timer.Reset(wait)
}

// followLog starts the shipper with the first log: most workers of functions have none.
func (s *shell) followLog(a will.FollowLog) {
	if !s.shipping {
		s.shipping = true
		s.wg.Go(func() { s.ship.run(s.ctx) })
	}
	s.ship.follow(a.Claim, a.Key)
}

func (s *shell) startPreparing(a will.Prepare) {
	ctx, cancel := context.WithCancel(s.ctx)
	w := &work{cancel: cancel}
	fence := a.Work.Fence
	s.mu.Lock()
	s.works[fence] = w
	s.mu.Unlock()
	s.prepares.run(func() {
		defer cancel()
		if err := s.state.check(); err != nil {
			// Nothing could be prepared here any more: whoever rejected it all, and at
			// once, would draw every job of the cluster and fail it.
			select {
			case s.failed <- err:
			default:
			}
			return
		}
		task, cause := s.prepare(ctx, a.Key, a.Work)
		s.mu.Lock()
		w.task = task
		if cause.Kind != job.CauseNone {
			delete(s.works, fence)
		}
		s.mu.Unlock()
		s.box.put(will.Prepared{Fence: fence, Cause: cause})
	})
}

func (s *shell) prepare(ctx context.Context, key string, w *link.Assignment) (executor.Task, job.Cause) {
	task, cause := s.space.Prepare(ctx, key, w)
	if cause.Kind == job.CauseNone && task.Function == "" && s.cfg.Dir != "" {
		if err := s.state.describe(key, w); err != nil {
			cause = lacking("%v", err)
		}
	}
	return task, cause
}

// start hands an attempt to its executor.
func (s *shell) start(a will.Start) {
	fence := a.Work.Fence
	s.mu.Lock()
	w := s.works[fence]
	delete(s.works, fence)
	s.mu.Unlock()
	t := &a.Work.Spec.Tasks[a.Work.Task]
	k := s.kinds[t.Executor()]
	var task executor.Task
	var cause job.Cause
	switch {
	case k == nil:
		cause = rejected("this worker has no executor %s", t.Executor())
	case w != nil:
		task = w.task
	default:
		task, cause = s.space.Function(a.Key, a.Work)
	}
	if cause.Kind != job.CauseNone {
		s.box.put(will.Refused{Fence: fence, Cause: cause})
		return
	}
	task.Deadline = a.Deadline
	if k.lanes == nil {
		s.launch(s.ctx, k, fence, task)
		return
	}
	k.lane(a.Key).run(func() {
		if task.Deadline != 0 && s.cfg.Clock().Boot >= task.Deadline {
			s.box.put(will.Refused{Fence: fence, Cause: rejected("its lease ran out before it could start")})
			return
		}
		ctx, cancel := context.WithTimeout(s.ctx, callWait)
		defer cancel()
		s.launch(ctx, k, fence, task)
	})
}

func rejected(format string, args ...any) job.Cause {
	return job.Cause{Kind: job.CauseRejected, Detail: fmt.Sprintf(format, args...)}.Trim()
}

// lacking is rejected for what this worker lacks.
func lacking(format string, args ...any) job.Cause {
	c := rejected(format, args...)
	c.Code = job.Lacking
	return c
}

func (s *shell) launch(ctx context.Context, k *kind, fence link.Fence, task executor.Task) {
	if err := k.run.Start(ctx, task); err != nil {
		s.box.put(will.Refused{Fence: fence, Cause: lacking("%v", err)})
	}
}

// lane is where an attempt's calls wait their turn.
func (k *kind) lane(key string) *pool {
	fence, _ := will.FenceOf(key)
	return k.lanes[uint64(fence)%uint64(len(k.lanes))]
}

// call calls an executor, in the attempt's lane if it has lanes.
func (s *shell) call(kindName, key string, f func(context.Context, executor.Executor) error) {
	k := s.kinds[kindName]
	if k == nil {
		return
	}
	once := func(ctx context.Context) {
		if err := f(ctx, k.run); err != nil && !errors.Is(err, executor.ErrUnknown) && s.ctx.Err() == nil {
			s.log.Error("executor "+k.name+" failed", "attempt", key, "error", err)
		}
	}
	if k.lanes == nil {
		once(s.ctx)
		return
	}
	k.lane(key).run(func() {
		ctx, cancel := context.WithTimeout(s.ctx, callWait)
		defer cancel()
		once(ctx)
	})
}

// forget removes what is left of an attempt.
func (s *shell) forget(a will.Forget) {
	if a.Key == "" {
		return // it never came so far as to have a name
	}
	if a.OnDisk {
		s.disk.run(func() {
			if err := s.state.forget(a.Key); err != nil {
				s.log.Error("can't remove the records of an attempt", "attempt", a.Key, "error", err)
			}
		})
	}
	s.mu.Lock()
	delete(s.works, a.Fence)
	s.mu.Unlock()
	if a.Executor != "" {
		s.call(a.Executor, a.Key, func(ctx context.Context, e executor.Executor) error {
			if a.Executor != will.FunctionKind {
				s.space.Reclaim(a.Key)
			}
			return e.Release(ctx, a.Key)
		})
		return
	}
	if a.Dir {
		s.collects.run(func() { s.removeDir(a.Key) })
	}
}

func (s *shell) removeDir(key string) {
	if err := s.space.Remove(key); err != nil {
		s.log.Warn("can't remove an attempt's directory", "attempt", key, "error", err)
	}
}
