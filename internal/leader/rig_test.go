package leader

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/jobfile"
	"github.com/reeve-scheduler/reeve/internal/link"
	"github.com/reeve-scheduler/reeve/internal/record"
	"github.com/reeve-scheduler/reeve/internal/replica"
	"github.com/reeve-scheduler/reeve/internal/store"
	"github.com/reeve-scheduler/reeve/internal/store/faultstore"
	"github.com/reeve-scheduler/reeve/internal/store/memstore"
)

// rig is a leader on a store in memory, with a journal that waits on demand and
// remembers what it was given, and an outbox that keeps the mail.
type rig struct {
	t        *testing.T
	store    *memstore.Store
	faults   *faultstore.Faults
	journal  *watched
	tables   store.Tables
	settings Settings
	mail     *mailbox
	log      *logBook
	leader   *Leader
	stop     context.CancelFunc
	over     chan error
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, store: memstore.New(), faults: faultstore.New(nil), mail: &mailbox{}, log: &logBook{}}
	r.journal = &watched{Journal: r.faults.Journal(r.store.Journal())}
	r.tables = r.faults.Tables(r.store.Tables())
	r.settings = Settings{Core: core.Config{Lease: 10_000, Retention: 3_600_000}}
	return r
}

// open recovers the leader without running it.
func (r *rig) open() *Leader {
	r.t.Helper()
	l, err := New(r.t.Context(), r.settings, r.journal, r.tables, r.mail, slog.New(slog.NewTextHandler(r.log, nil)))
	if err != nil {
		r.t.Fatal(err)
	}
	r.leader = l
	return l
}

// run starts a leader; end stops it.
func (r *rig) run() {
	r.t.Helper()
	r.open()
	ctx, cancel := context.WithCancel(context.Background())
	r.stop, r.over = cancel, make(chan error, 1)
	l, over := r.leader, r.over
	gone := make(chan struct{})
	go func() {
		over <- l.Run(ctx)
		close(gone)
	}()
	r.t.Cleanup(func() { // for a test that fails in the middle
		cancel()
		<-gone
	})
}

// end stops the leader in good order.
func (r *rig) end() {
	r.t.Helper()
	r.stop()
	if err := <-r.over; err != nil {
		r.t.Fatalf("the leader did not stop in good order: %v", err)
	}
}

// do wants a command to be accepted.
func (r *rig) do(c core.Command) any {
	r.t.Helper()
	reply, err := r.leader.Do(r.t.Context(), c)
	if err != nil {
		r.t.Fatalf("%s: %v", spell(c), err)
	}
	return reply
}

// start has a command decided and returns where its answer will be.
func (r *rig) start(c core.Command) <-chan answer {
	out := make(chan answer, 1)
	l := r.leader
	go func() {
		reply, err := l.Do(context.Background(), c)
		out <- answer{reply, err}
	}()
	return out
}

// look starts a view and returns where its error will be.
func (r *rig) look(fn func(*core.State)) <-chan error {
	out := make(chan error, 1)
	l := r.leader
	go func() { out <- l.View(context.Background(), fn) }()
	return out
}

// state shows the state as a reader sees it.
func (r *rig) state(fn func(*core.State)) {
	r.t.Helper()
	if err := r.leader.View(r.t.Context(), fn); err != nil {
		r.t.Fatal(err)
	}
}

// recovered is the state that a server would have that started now.
func (r *rig) recovered() *core.State {
	r.t.Helper()
	found, err := replica.Recover(r.t.Context(), r.settings.Core, r.store.Journal(), r.store.Tables())
	if err != nil {
		r.t.Fatal(err)
	}
	return found.State
}

// live is how many jobs have not ended.
func (r *rig) live() (n int64) {
	r.t.Helper()
	r.state(func(s *core.State) { n = s.Totals().Live })
	return n
}

// submit is a submit of n equal jobs.
func submit(t *testing.T, text string, n int) core.Submit {
	t.Helper()
	file, err := jobfile.Parse("", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	c := core.Submit{
		Namespace: core.DefaultName, Spec: file.Spec, Hash: file.Hash, Canonical: file.Canonical, By: "anna",
		Items: make([]core.Item, n),
	}
	for i := range c.Items {
		c.Items[i].Params = []byte("{}")
	}
	return c
}

// hello is of a worker that runs processes, one at a time.
func hello(name string) core.WorkerHello {
	return core.WorkerHello{Hello: link.Hello{
		Protocol: link.Protocol, Name: name, Instance: "instance of " + name, Incarnation: 1, Slots: 1,
		Capacity: job.Resources{CPU: 8000, Memory: 8 << 30}, Executors: []string{"process"},
	}}
}

// join makes a worker known and returns its id.
func (r *rig) join(name string) uint64 {
	r.t.Helper()
	return r.do(hello(name)).(core.Welcomed).Worker
}

// ended is a report of a good end.
func ended(worker uint64, fence link.Fence) core.WorkerReport {
	return core.WorkerReport{Worker: worker, Report: link.Report{Ended: []link.Result{{Fence: fence, Started: 1, Ended: 2}}}}
}

// watched is a journal that keeps what it was asked to append and, while it is shut,
// makes appends wait.
type watched struct {
	store.Journal
	mu      sync.Mutex
	asked   []store.Batch
	gate    chan struct{} // nil while it is open
	trimmed []uint64
}

func (j *watched) Append(ctx context.Context, b store.Batch) error {
	j.mu.Lock()
	kept := b
	kept.Payload = slices.Clone(b.Payload)
	j.asked = append(j.asked, kept)
	gate := j.gate
	j.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return j.Journal.Append(ctx, b)
}

func (j *watched) Trim(ctx context.Context, below uint64) error {
	j.mu.Lock()
	j.trimmed = append(j.trimmed, below)
	j.mu.Unlock()
	return j.Journal.Trim(ctx, below)
}

// shut makes appends wait from now on.
func (j *watched) shut() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.gate = make(chan struct{})
}

// pass lets one waiting append through.
func (j *watched) pass() {
	j.mu.Lock()
	gate := j.gate
	j.mu.Unlock()
	gate <- struct{}{}
}

// reopen lets all appends through from now on.
func (j *watched) reopen() {
	j.mu.Lock()
	defer j.mu.Unlock()
	close(j.gate)
	j.gate = nil
}

// appends is what was asked for from the nth on.
func (j *watched) appends(from int) []store.Batch {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.asked[from:])
}

func (j *watched) count() int { return len(j.appends(0)) }

// events decodes a batch.
func events(t *testing.T, b store.Batch) []core.Event {
	t.Helper()
	out, err := record.DecodeBatch(b.Payload)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// kinds names the events of batches in order.
func kinds(t *testing.T, batches []store.Batch) (out []string) {
	t.Helper()
	for _, b := range batches {
		for _, e := range events(t, b) {
			out = append(out, strings.TrimPrefix(fmt.Sprintf("%T", e), "core."))
		}
	}
	return out
}

// mailbox is the outbox of a rig.
type mailbox struct {
	mu   sync.Mutex
	msgs map[uint64][]link.ToWorker
	// opened is how many messages had come when the worker's last session began.
	opened map[uint64]int
}

func (m *mailbox) Opened(worker, _ uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.opened == nil {
		m.opened = map[uint64]int{}
	}
	m.opened[worker] = len(m.msgs[worker])
}

// session is what a worker was sent in its last session.
func (m *mailbox) session(worker uint64) []link.ToWorker {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.msgs[worker][m.opened[worker]:])
}

func (m *mailbox) Deliver(worker uint64, msgs []link.ToWorker) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.msgs == nil {
		m.msgs = map[uint64][]link.ToWorker{}
	}
	m.msgs[worker] = append(m.msgs[worker], msgs...)
}

func (m *mailbox) of(worker uint64) []link.ToWorker {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.msgs[worker])
}

// fences are the attempts that a worker was given.
func (m *mailbox) fences(worker uint64) (out []link.Fence) {
	for _, msg := range m.of(worker) {
		if msg.Assign != nil {
			for i := range msg.Assign.Attempts {
				out = append(out, msg.Assign.Attempts[i].Fence)
			}
		}
	}
	return out
}

// given is the attempts that a worker was given in all that is durable.
func (r *rig) given(worker uint64) []link.Fence {
	r.t.Helper()
	r.state(func(*core.State) {}) // it is answered after the mail of what it saw went out
	return r.mail.fences(worker)
}

// guarded is a value that a test shares with a leader.
type guarded[T any] struct {
	mu sync.Mutex
	v  T
}

func (g *guarded[T]) set(v T) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.v = v
}

func (g *guarded[T]) get() T {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.v
}

// logBook keeps the log's text.
type logBook struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *logBook) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBook) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func (b *logBook) wants(t *testing.T, parts ...string) {
	t.Helper()
	text := b.String()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("the log does not say %q:\n%s", part, text)
		}
	}
}

// wantCode wants an error of a code whose message has a part.
func wantCode(t *testing.T, err error, code job.Code, part string) {
	t.Helper()
	if err == nil || job.CodeOf(err) != code || !strings.Contains(err.Error(), part) {
		t.Errorf("the answer is %v; want %v with %q", err, code, part)
	}
}

// pending wants that no answer has come.
func pending[T any](t *testing.T, what string, c <-chan T) {
	t.Helper()
	select {
	case v := <-c:
		t.Errorf("%s was answered: %v", what, v)
	default:
	}
}

// bubble runs a test on virtual time.
func bubble(t *testing.T, test func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, newRig(t)) })
}

func after(d time.Duration) { <-time.After(d) }

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
