package member

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/jobfile"
	"github.com/reeve-scheduler/reeve/internal/leader"
	"github.com/reeve-scheduler/reeve/internal/link"
	"github.com/reeve-scheduler/reeve/internal/record"
	"github.com/reeve-scheduler/reeve/internal/replica"
	"github.com/reeve-scheduler/reeve/internal/store"
	"github.com/reeve-scheduler/reeve/internal/store/faultstore"
	"github.com/reeve-scheduler/reeve/internal/store/memstore"
)

// errCut is what a server hears of a store that it is cut off from.
var errCut = fmt.Errorf("%w: cut", store.ErrUnavailable)

// node is a member with a connection to the store that can be cut.
type node struct {
	*Member
	cut     atomic.Bool
	led     atomic.Int64
	deposed atomic.Int64
	log     *lines
	stop    context.CancelFunc
	over    chan error
}

// lines is a log that can be searched.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) has(part string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String(), part)
}

func (l *lines) count(part string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), part)
}

// cuttable is a cluster that can't be reached while its node is cut off.
type cuttable struct {
	store.Cluster
	cut *atomic.Bool
}

func (c cuttable) Claim(ctx context.Context, holder [16]byte, address string, length time.Duration) (store.Lease, error) {
	if c.cut.Load() {
		return store.Lease{}, errCut
	}
	return c.Cluster.Claim(ctx, holder, address, length)
}

func (c cuttable) Current(ctx context.Context) (store.Lease, error) {
	if c.cut.Load() {
		return store.Lease{}, errCut
	}
	return c.Cluster.Current(ctx)
}

func (c cuttable) Yield(ctx context.Context, holder [16]byte) error {
	if c.cut.Load() {
		return errCut
	}
	return c.Cluster.Yield(ctx, holder)
}

type nobody struct{}

func (nobody) Opened(uint64, uint64)           {}
func (nobody) Deliver(uint64, []link.ToWorker) {}

// start runs a member on s; n tells the servers apart.
func start(t *testing.T, s *memstore.Store, n byte, change func(*Options)) *node {
	t.Helper()
	x := &node{log: &lines{}, over: make(chan error, 1)}
	faults := faultstore.New(func(faultstore.Op, int) faultstore.Fault {
		if x.cut.Load() {
			return faultstore.Fault{Err: errCut}
		}
		return faultstore.Fault{}
	})
	o := Options{
		Settings: leader.Settings{Core: core.Config{Lease: 10_000, Retention: 3_600_000}},
		Journal:  faults.Journal(s.Journal()), Tables: faults.Tables(s.Tables()), Cluster: cuttable{s.Cluster(), &x.cut}, Outbox: nobody{},
		Self: store.Server{ID: [16]byte{n}, Address: fmt.Sprintf("https://server%d", n)},
		Led: func(context.Context) error {
			x.led.Add(1)
			return nil
		},
		Deposed: func() { x.deposed.Add(1) },
		Log:     slog.New(slog.NewTextHandler(x.log, nil)),
	}
	if change != nil {
		change(&o)
	}
	m, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	x.Member = m
	ctx, cancel := context.WithCancel(context.Background())
	x.stop = cancel
	go func() { x.over <- m.Run(ctx) }()
	return x
}

// end stops members in good order.
func end(t *testing.T, nodes ...*node) {
	t.Helper()
	for _, x := range nodes {
		x.stop()
		if err := <-x.over; err != nil {
			t.Errorf("the server at %s ended with %v", x.o.Self.Address, err)
		}
	}
}

// until waits until ok, in the bubble's time, and not for ever.
func until(t *testing.T, what string, ok func() bool) (waited time.Duration) {
	t.Helper()
	began := time.Now()
	for !ok() {
		if time.Since(began) > time.Minute {
			t.Fatalf("after a minute: %s", what)
		}
		<-time.After(time.Millisecond)
	}
	return time.Since(began)
}

// leading waits until exactly one of nodes is certain to lead, and returns it.
func leading(t *testing.T, nodes ...*node) (one *node) {
	t.Helper()
	until(t, "nobody leads", func() bool {
		one = nil
		for _, x := range nodes {
			if x.Standing().Leads && x.Holds() {
				if one != nil {
					t.Fatal("two lead")
				}
				one = x
			}
		}
		return one != nil
	})
	return one
}

// put makes a namespace at the leader.
func put(t *testing.T, x *node, name string) {
	t.Helper()
	if _, err := x.Do(t.Context(), core.PutNamespace{Name: name, Create: true}); err != nil {
		t.Fatal(err)
	}
}

// submit makes a job at the leader.
func submit(t *testing.T, x *node) {
	t.Helper()
	file, err := jobfile.Parse("", []byte(`run: "true"`))
	if err == nil {
		_, err = x.Do(t.Context(), core.Submit{
			Namespace: core.DefaultName, Spec: file.Spec, Hash: file.Hash, Canonical: file.Canonical, By: "anna", Items: []core.Item{{Params: []byte("{}")}},
		})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// sees wants a server to answer with these namespaces beside the default one.
func sees(t *testing.T, x *node, want ...string) {
	t.Helper()
	var got []string
	err := x.View(t.Context(), func(s *core.State) {
		for _, n := range s.Namespaces() {
			if n.Name != core.DefaultName {
				got = append(got, n.Name)
			}
		}
	})
	if slices.Sort(got); err != nil || !slices.Equal(got, want) {
		t.Errorf("the server at %s shows %v (%v); want %v", x.o.Self.Address, got, err, want)
	}
}

func others(x *node, nodes ...*node) []*node {
	return slices.DeleteFunc(slices.Clone(nodes), func(o *node) bool { return o == x })
}

// TestOneLeads: what one decides every server shows at once, and only that one decides.
func TestOneLeads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New()
		nodes := []*node{start(t, s, 1, nil), start(t, s, 2, nil), start(t, s, 3, nil)}
		defer end(t, nodes...)
		x := leading(t, nodes...)
		for i := range 5 {
			put(t, x, fmt.Sprintf("n%d", i))
			for _, n := range nodes {
				sees(t, n, []string{"n0", "n1", "n2", "n3", "n4"}[:i+1]...)
			}
		}
		for _, o := range others(x, nodes...) {
			if _, err := o.Do(t.Context(), core.PutNamespace{Name: "x", Create: true}); job.CodeOf(err) != job.Unavailable {
				t.Errorf("a follower decides: %v", err)
			}
			until(t, "it does not know the leader and the others", func() bool {
				st := o.Standing()
				return st.Leader == x.o.Self.Address && len(st.Servers) == 3 && st.Able && !st.Leads
			})
		}
	})
}

// TestTheLeaderIsCutOff: another leads once its lease is over, what it acknowledged is
// there, and it follows when it is back.
func TestTheLeaderIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New()
		nodes := []*node{start(t, s, 1, nil), start(t, s, 2, nil), start(t, s, 3, nil)}
		defer end(t, nodes...)
		old := leading(t, nodes...)
		put(t, old, "before")
		old.cut.Store(true)
		lost := make(chan error, 1)
		go func() {
			_, err := old.Do(context.Background(), core.PutNamespace{Name: "lost", Create: true})
			lost <- err
		}()
		rest := others(old, nodes...)
		began := time.Now()
		x := leading(t, nodes...)
		if x == old {
			x = leading(t, rest...)
		}
		if took := time.Since(began); took > DefaultLease+DefaultLease/looks {
			t.Errorf("nobody led for %s", took)
		}
		if old.Holds() || old.Standing().Leads || old.Standing().Able || old.Standing().Leader != "" {
			t.Errorf("the old leader believes that it stands as %+v", old.Standing())
		}
		reading, cancel := context.WithTimeout(t.Context(), time.Second)
		if err := old.View(reading, func(*core.State) {}); err == nil {
			t.Error("the old leader shows its state")
		}
		cancel()
		put(t, x, "after")
		old.cut.Store(false)
		if err := <-lost; job.CodeOf(err) != job.Unavailable {
			t.Errorf("the command at the old leader ended with %v", err)
		}
		until(t, "the old leader does not follow", func() bool { return old.Standing().Able && !old.Standing().Leads })
		for _, n := range nodes {
			sees(t, n, "after", "before")
		}
		if old.led.Load() != 1 || old.deposed.Load() != 1 || x.led.Load() != 1 {
			t.Errorf("the old leader was told %d times that it leads and %d times that it does not; the new one %d",
				old.led.Load(), old.deposed.Load(), x.led.Load())
		}
	})
}

// TestTheStoreIsAwayForAll: the leader goes on when it is back, and nobody else takes over
// in between.
func TestTheStoreIsAwayForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New()
		nodes := []*node{start(t, s, 1, nil), start(t, s, 2, nil)}
		defer end(t, nodes...)
		x := leading(t, nodes...)
		put(t, x, "before")
		for _, n := range nodes {
			n.cut.Store(true)
		}
		<-time.After(5 * DefaultLease)
		if x.Holds() {
			t.Error("the leader is certain of a lease that it could not renew")
		}
		if err := nodes[0].View(t.Context(), func(*core.State) {}); err == nil {
			t.Error("a server without a database shows its state")
		}
		for _, n := range nodes {
			n.cut.Store(false)
		}
		put(t, leading(t, nodes...), "after")
		for _, n := range nodes {
			until(t, "it does not answer", func() bool { return n.Standing().Able })
			sees(t, n, "after", "before")
		}
	})
}

// TestHandover: a leader that stops gives the lease up, and another leads at once.
func TestHandover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New()
		nodes := []*node{start(t, s, 1, nil), start(t, s, 2, nil)}
		defer end(t, nodes...)
		old := leading(t, nodes...)
		put(t, old, "before")
		began := time.Now()
		old.Resign(t.Context())
		x := leading(t, others(old, nodes...)...)
		if took := time.Since(began); took > DefaultLease/looks+10*time.Millisecond {
			t.Errorf("the handover took %s", took)
		}
		put(t, x, "after")
		sees(t, old, "after", "before")
		<-time.After(5 * DefaultLease)
		if old.Standing().Leads || old.led.Load() != 1 {
			t.Error("it leads again after it resigned")
		}
	})
}

// TestTablesThatLostAFlush: a database that failed over to a standby which had the whole journal,
// and not a flush of the tables that a follower has let go for. Were it to lead on, it would
// write what has changed since, and what that flush had brought would be gone.
func TestTablesThatLostAFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New()
		nodes := []*node{start(t, s, 1, nil), start(t, s, 2, nil)}
		defer end(t, nodes...)
		old := leading(t, nodes...)
		next := others(old, nodes...)[0]
		submit(t, old)
		var last uint64
		until(t, "the follower does not hear that the tables have it", func() bool {
			_, durable, projected := next.Position()
			last = durable
			return projected > 1 && projected == durable
		})
		old.cut.Store(true)
		s.GoBack(last, 0)
		if x := leading(t, next); !x.log.has("have covered") {
			t.Error("it leads on, and has not noticed that the tables have lost a flush")
		}
		submit(t, next)
		<-time.After(10 * time.Second)
		c, err := replica.Recover(t.Context(), core.Config{}, s.Journal(), s.Tables())
		if err != nil || c.Projected <= last || c.State.Totals().Live != 2 {
			t.Fatalf("%d jobs are recovered from tables that cover %d (%v); want 2 and more than %d", c.State.Totals().Live, c.Projected, err, last)
		}
		old.cut.Store(false)
	})
}

// TestLostPast: a database that went back in time while servers run, or while all were
// stopped, begins another generation.
func TestLostPast(t *testing.T) {
	for _, stopped := range []bool{false, true} {
		t.Run(fmt.Sprintf("stopped=%v", stopped), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, dir := memstore.New(), t.TempDir()
				begin := func() []*node {
					keep := func(n int) func(*Options) {
						return func(o *Options) { o.SeenFile = filepath.Join(dir, fmt.Sprint(n)) }
					}
					return []*node{start(t, s, 1, keep(1)), start(t, s, 2, keep(2))}
				}
				nodes := begin()
				x := leading(t, nodes...)
				put(t, x, "kept")
				_, kept, _ := x.Position()
				put(t, x, "lost")
				sees(t, nodes[0], "kept", "lost")
				sees(t, nodes[1], "kept", "lost")
				if stopped {
					end(t, nodes...)
				}
				s.GoBack(kept, kept)
				if stopped {
					nodes = begin()
				}
				defer func() { end(t, nodes...) }()
				generation := func(x *node) uint64 { g, _, _ := x.Position(); return g }
				until(t, "no other generation begins", func() bool {
					return generation(nodes[0]) == 2 && generation(nodes[1]) == 2 && nodes[0].Standing().Able && nodes[1].Standing().Able
				})
				if !nodes[0].log.has("lost its past") && !nodes[1].log.has("lost its past") {
					t.Error("nobody says that history was lost")
				}
				put(t, leading(t, nodes...), "new")
				for _, n := range nodes {
					sees(t, n, "kept", "new")
				}
			})
		})
	}
}

// TestUnreadable: a server that can't apply what was decided does not skip it, shows
// nothing, says why, and does not lead.
func TestUnreadable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New()
		x := start(t, s, 1, nil)
		put(t, leading(t, x), "before")
		end(t, x)
		last, err := s.Journal().Last(t.Context())
		if err == nil {
			err = s.Journal().Append(t.Context(), store.Batch{Seq: last.Seq + 1, Epoch: 9, ID: [16]byte{9}, Prev: last.ID, Payload: []byte("from the future")})
		}
		if err != nil {
			t.Fatal(err)
		}
		y := start(t, s, 2, nil)
		defer end(t, y)
		<-time.After(10 * DefaultLease)
		if y.Standing().Able || y.led.Load() != 0 {
			t.Errorf("it stands as %+v and has led %d times", y.Standing(), y.led.Load())
		}
		if err := y.View(t.Context(), func(*core.State) {}); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("journal at %d", last.Seq+1)) {
			t.Errorf("a read ended with %v", err)
		}
	})
}

// newer writes a batch in the name of a newer program's leader.
func newer(t *testing.T, s *memstore.Store, payload []byte) store.Mark {
	t.Helper()
	last, err := s.Journal().Last(t.Context())
	at := store.Mark{Seq: last.Seq + 1, ID: [16]byte{9, byte(last.Seq)}}
	if err == nil {
		err = s.Journal().Append(t.Context(), store.Batch{Seq: at.Seq, Epoch: 9, ID: at.ID, Prev: last.ID, Payload: payload})
	}
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// TestNewer: a server that follows and meets what only newer programs know follows no more,
// says so once, shows nothing and does not lead, and goes on running.
func TestNewer(t *testing.T) {
	raise, err := record.EncodeBatch(nil, []core.Event{core.FormatRaised{Format: record.Newest + 1}})
	if err != nil {
		t.Fatal(err)
	}
	for name, payload := range map[string][]byte{
		"an unknown event":   append(record.BeginBatch(nil, core.FirstFormat), 0x12, 4, 0xfa, 0x3f, 1, 0),
		"an unknown format":  record.BeginBatch(nil, record.Newest+1),
		"the format's raise": raise,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := memstore.New()
				x := start(t, s, 1, nil)
				put(t, leading(t, x), "before")
				y := start(t, s, 2, nil)
				defer end(t, y)
				sees(t, y, "before")
				x.cut.Store(true)
				end(t, x)
				newer(t, s, payload)
				until(t, "it does not say that it is too old", func() bool { return y.log.has("a newer version of Reeve") })
				<-time.After(10 * time.Minute)
				if n := y.log.count("a newer version of Reeve"); n != 1 || y.Standing().Able || y.led.Load() != 0 {
					t.Errorf("it has said so %d times, stands as %+v and has led %d times", n, y.Standing(), y.led.Load())
				}
				if err := y.View(t.Context(), func(*core.State) {}); job.CodeOf(err) != job.Unavailable || !strings.Contains(err.Error(), "this program knows") && !strings.Contains(err.Error(), "not known") {
					t.Errorf("a read ended with %v", err)
				}
				z := start(t, s, 3, nil) // which does not begin
				if err := <-z.over; !errors.Is(err, replica.ErrNewer) || z.led.Load() != 0 {
					t.Errorf("a server that starts ended with %v, and has led %d times", err, z.led.Load())
				}
			})
		})
	}
}

// garbling is a journal that changes a namespace's name on the way, as bad memory may.
type garbling struct {
	store.Journal
	name atomic.Pointer[string]
}

func (g *garbling) Read(ctx context.Context, from uint64, most int) ([]store.Batch, error) {
	batches, err := g.Journal.Read(ctx, from, most)
	name := g.name.Load()
	for i := range batches {
		events, bad := record.DecodeBatch(batches[i].Payload)
		for k, e := range events {
			if set, ok := e.(core.NamespaceSet); ok && bad == nil && name != nil && set.Name == *name {
				set.Paused = true
				events[k] = set
				batches[i].Payload, bad = record.EncodeBatch(nil, events)
				g.name.Store(nil)
			}
		}
	}
	return batches, err
}

// TestDiffers: a follower whose copy is not the leader's drops it, says so, and does not lead
// before it has agreed with the leader again.
func TestDiffers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New()
		x := start(t, s, 1, nil)
		if _, err := leading(t, x).Do(t.Context(), core.RaiseFormat{To: record.Newest}); err != nil {
			t.Fatal(err)
		}
		g := &garbling{}
		y := start(t, s, 2, func(o *Options) {
			g.Journal = o.Journal
			o.Journal = g
		})
		defer end(t, y)
		until(t, "it does not follow", func() bool { return y.Standing().Able })
		name := "garbled"
		g.name.Store(&name)
		put(t, x, name)
		until(t, "it does not notice", func() bool { return y.log.has("is not what the leader has") && y.log.has("own=") })
		until(t, "it does not agree again", func() bool { st := y.Standing(); return st.Able && st.Trouble == "" && st.Differed > 0 })
		sees(t, y, name)
		if n := y.Standing().Differed; n != 1 || x.Standing().Differed != 0 || !x.Standing().Leads {
			t.Errorf("it has differed %d times, the leader %d", n, x.Standing().Differed)
		}
		end(t, x)
		began := time.Now()
		leading(t, y)
		if took := time.Since(began); took > DefaultLease {
			t.Errorf("it led after %s", took)
		}
	})
}

// TestDiffersAlone: where nobody else will lead, a server whose copy is in doubt does, later.
func TestDiffersAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New()
		x := start(t, s, 1, nil)
		if _, err := leading(t, x).Do(t.Context(), core.RaiseFormat{To: record.Newest}); err != nil {
			t.Fatal(err)
		}
		y := start(t, s, 2, nil)
		defer end(t, y)
		until(t, "it does not follow", func() bool { return y.Standing().Able })
		payload, err := record.EncodeBatch(nil, []core.Event{core.StateDigested{To: core.LastJob}})
		if err != nil {
			t.Fatal(err)
		}
		end(t, x)
		newer(t, s, payload) // a digest that nobody agrees with
		began := time.Now()
		leading(t, y)
		if took := time.Since(began); took < (inDoubt-1)*DefaultLease || took > (inDoubt+2)*DefaultLease {
			t.Errorf("it led after %s", took)
		}
		if st := y.Standing(); st.Differed == 0 || st.Trouble != "" {
			t.Errorf("it stands as %+v", st)
		}
	})
}

// TestLedFails gives the lease up when what a leader needs can't be had.
func TestLedFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New()
		bad := start(t, s, 1, func(o *Options) { o.Led = func(context.Context) error { return errors.New("no such bucket") } })
		defer end(t, bad)
		until(t, "it does not say why", func() bool { return bad.log.has("no such bucket") })
		good := start(t, s, 2, nil)
		defer end(t, good)
		put(t, leading(t, good), "x")
	})
}
