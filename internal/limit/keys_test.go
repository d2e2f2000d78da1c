package limit

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// model is keys by brute force.
type model struct {
	t       *rapid.T
	x       *Keys
	now     int64
	held    map[Name]map[Owner]bool
	claims  map[Name]map[Group]Claim
	uses    map[Name]int
	meters  map[Name]Meter
	handles map[Name]*Key
	// told is the room that Ask has last told of each group: what a caller goes by.
	told map[Name]map[Group]int64
}

var names = []Name{{"a", "x", false}, {"a", "x", true}, {"b", "x", false}}

func newModel(t *rapid.T) *model {
	m := &model{t: t, x: New(), now: 1000, held: map[Name]map[Owner]bool{}, claims: map[Name]map[Group]Claim{}, uses: map[Name]int{}, meters: map[Name]Meter{}, handles: map[Name]*Key{}, told: map[Name]map[Group]int64{}}
	for _, n := range names {
		m.held[n], m.claims[n], m.told[n] = map[Owner]bool{}, map[Group]Claim{}, map[Group]int64{}
	}
	return m
}

// name draws a key that is in use.
func (m *model) name() Name {
	n := rapid.SampledFrom([]Name{names[0], names[0], names[0], names[1], names[2]}).Draw(m.t, "name")
	if m.uses[n] == 0 {
		m.t.Skip("nobody uses it")
	}
	return n
}

func (m *model) use(*rapid.T) {
	n := rapid.SampledFrom(names).Draw(m.t, "name")
	m.handles[n] = m.x.Use(n)
	m.uses[n]++
}

func (m *model) drop(*rapid.T) {
	n := m.name()
	if m.uses[n] == 1 && len(m.held[n])+len(m.claims[n]) > 0 {
		m.t.Skip("it is in use")
	}
	m.uses[n]--
	m.x.Drop(m.handles[n])
}

func (m *model) hold(*rapid.T) {
	n := m.name()
	o := Owner{job.ID(rapid.IntRange(1, 9).Draw(m.t, "job")), uint64(rapid.IntRange(0, 2).Draw(m.t, "fence"))}
	if rapid.Bool().Draw(m.t, "free") {
		m.x.Free(m.handles[n], o)
		delete(m.held[n], o)
	} else {
		m.x.Hold(m.handles[n], o)
		m.held[n][o] = true
	}
	if m.handles[n].Holds(o) != m.held[n][o] {
		m.t.Fatalf("%v holds %v: %v", o, n, m.handles[n].Holds(o))
	}
}

func (m *model) claim() Claim {
	return Claim{
		Group: Group{job.ID(rapid.IntRange(1, 40).Draw(m.t, "job")), uint32(rapid.IntRange(0, 1).Draw(m.t, "task"))},
		Queue: rapid.SampledFrom([]string{"day", "day", "day", "night"}).Draw(m.t, "queue"), Priority: rapid.Int64Range(-1, 1).Draw(m.t, "priority"),
		Limit: rapid.Int64Range(0, 3).Draw(m.t, "limit"), Cancels: rapid.IntRange(0, 19).Draw(m.t, "cancels") == 0,
		Rate: rapid.SampledFrom([]job.Rate{{}, {}, {Count: 1, Per: job.Duration(time.Second), Burst: 1}, {Count: 2, Per: job.Duration(time.Second), Burst: 3}}).Draw(m.t, "rate"),
	}
}

func (m *model) ask(*rapid.T) {
	n := m.name()
	for range rapid.IntRange(1, 8).Draw(m.t, "claims") {
		c := m.claim()
		m.claims[n][c.Group] = c
		m.told[n][c.Group] = m.x.Ask(m.handles[n], c)
	}
}

func (m *model) leave(*rapid.T) {
	n := m.name()
	if len(m.claims[n]) == 0 {
		m.t.Skip("nobody waits")
	}
	g := rapid.SampledFrom(slices.SortedFunc(keysOf(m.claims[n]), func(a, b Group) int { return cmp.Or(cmp.Compare(a.Job, b.Job), cmp.Compare(a.Task, b.Task)) })).Draw(m.t, "group")
	m.x.Leave(m.handles[n], g)
	delete(m.claims[n], g)
	delete(m.told[n], g)
}

func keysOf[K comparable, V any](of map[K]V) func(func(K) bool) {
	return func(yield func(K) bool) {
		for k := range of {
			if !yield(k) {
				return
			}
		}
	}
}

// start starts one of those that may, as the core does.
func (m *model) start(*rapid.T) {
	n := m.name()
	for _, c := range m.ordered(n) {
		if m.told[n][c.Group] == 0 {
			continue
		}
		allowed := m.meters[n].Next(c.Rate, m.now) <= m.now && (c.Limit == 0 || int64(len(m.held[n])) < c.Limit)
		if got := m.x.Allows(m.handles[n], &c, m.now); got != allowed {
			m.t.Fatalf("%+v may start at %d: %v, want %v", c, m.now, got, allowed)
		}
		if !allowed {
			return
		}
		o := Owner{c.Job, uint64(c.Task)}
		m.x.Hold(m.handles[n], o)
		m.held[n][o] = true
		for _, gone := range m.x.Charge(m.handles[n], c.Rate, m.now) {
			if m.uses[gone] > 0 || !m.meters[gone].Rests(m.now) {
				m.t.Fatalf("%v is forgotten", gone)
			}
			delete(m.meters, gone)
		}
		if c.Rate.Count > 0 {
			m.meters[n] = m.meters[n].Take(c.Rate, m.now)
		}
		return
	}
}

func (m *model) wait(*rapid.T) {
	m.now += rapid.SampledFrom([]int64{0, 1, 500, 1000, 10_000}).Draw(m.t, "ms")
	m.x.Open(m.now)
	if at := m.x.Opens(); at != 0 && at <= m.now {
		m.t.Fatalf("at %d something is to be opened at %d", m.now, at)
	}
}

// ordered is the claims on a key queue by queue, those that cancel first.
func (m *model) ordered(n Name) []Claim {
	var out []Claim
	for _, c := range m.claims[n] {
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b Claim) int {
		switch {
		case a.Cancels != b.Cancels && a.Cancels:
			return -1
		case a.Cancels != b.Cancels:
			return 1
		case a.Cancels:
			return cmp.Or(cmp.Compare(b.Job, a.Job), cmp.Compare(a.Task, b.Task))
		}
		return cmp.Or(cmp.Compare(a.Queue, b.Queue), cmp.Compare(b.Priority, a.Priority), cmp.Compare(a.Job, b.Job), cmp.Compare(a.Task, b.Task))
	})
	return out
}

// check takes note of what has changed, and then wants all that was told to be so.
func (m *model) check(*rapid.T) {
	for {
		g, more := m.x.Changed()
		if !more {
			break
		}
		for _, n := range names {
			if c, ok := m.claims[n][g]; ok {
				m.told[n][g] = m.x.Ask(m.handles[n], c)
			}
		}
	}
	closed := 0
	for _, n := range names {
		m.checkKey(n)
		if k := m.x.Find(n); k != nil && k.Opens() > 0 {
			closed++
		}
	}
	if closed != len(m.x.pacing.items) {
		m.t.Fatalf("%d keys are closed, and %d are to be opened", closed, len(m.x.pacing.items))
	}
	var owing []Name
	for _, k := range m.x.Owing() {
		if k.Meter() != m.meters[k.Name()] {
			m.t.Fatalf("%v owes %d, want %d", k.Name(), k.Meter(), m.meters[k.Name()])
		}
		owing = append(owing, k.Name())
	}
	if len(owing) != len(m.meters) || !slices.IsSortedFunc(owing, Name.Compare) {
		m.t.Fatalf("%v owe, want %d", owing, len(m.meters))
	}
}

func (m *model) checkKey(n Name) {
	k := m.x.Find(n)
	if (k != nil) != (m.uses[n] > 0 || m.meters[n] > 0) {
		m.t.Fatalf("%v is known: %v", n, k != nil)
	}
	if k == nil {
		return
	}
	if k.Held() != int64(len(m.held[n])) || k.Waiting() != int64(len(m.claims[n])) || k.Uses() != int64(m.uses[n]) {
		m.t.Fatalf("%v: %d held, %d waiting, %d uses", n, k.Held(), k.Waiting(), k.Uses())
	}
	var all []Claim
	places := map[string]int{}
	rivals := 0
	for _, c := range m.ordered(n) {
		line := c.Queue
		if c.Cancels {
			line = "cancels"
			rivals++
		}
		var want int64
		switch {
		case places[line] >= Window, rivals > 0 && !c.Cancels, c.Rate.Count > 0 && k.Opens() > 0:
		case c.Limit == 0:
			want = Unlimited
		default:
			want = max(c.Limit-int64(len(m.held[n])), 0)
		}
		if got := m.told[n][c.Group]; got != want {
			m.t.Fatalf("%v: %+v was told of room %d, want %d", n, c, got, want)
		}
		if before, waits := k.Before(c.Group, 100); !waits || before != places[line] {
			m.t.Fatalf("%v: %d before %+v, want %d", n, before, c, places[line])
		}
		places[line]++
		all = append(all, c)
	}
	if diff := gocmp.Diff(all, k.Queue(len(all)+1)); diff != "" {
		m.t.Fatalf("%v: the queue (-want +got):\n%s", n, diff)
	}
	if k.Opens() > 0 && k.Opens() <= m.now {
		m.t.Fatalf("%v is closed until %d, at %d", n, k.Opens(), m.now)
	}
}

func TestKeysAgainstAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t)
		for range 4 { // long enough for lines to be longer than their windows
			t.Repeat(map[string]func(*rapid.T){
				"use": m.use, "drop": m.drop, "hold": m.hold, "ask": m.ask, "ask2": m.ask, "leave": m.leave,
				"start": m.start, "start2": m.start, "start3": m.start, "wait": m.wait, "": m.check,
			})
		}
		again := New() // what is owed survives a restart
		for _, k := range m.x.Owing() {
			again.Restore(k.Name(), k.Meter())
		}
		if len(again.Owing()) != len(m.x.Owing()) {
			t.Fatal("something is owed no more")
		}
	})
}

// TestManyWait frees a key for which very many wait: few are asked.
func TestManyWait(t *testing.T) {
	x := New()
	k := x.Use(Name{"a", "x", true})
	const waiting = 100_000
	for i := range waiting {
		x.Ask(k, Claim{Group: Group{Job: job.ID(i + 1)}, Queue: "day", Limit: 1})
	}
	for round := range 1000 {
		g := Group{Job: job.ID(round + 1)}
		if room := x.Ask(k, Claim{Group: g, Queue: "day", Limit: 1}); room != 1 {
			t.Fatalf("round %d: room for %d", round, room)
		}
		x.Hold(k, Owner{Job: g.Job})
		x.Leave(k, g)
		x.Free(k, Owner{Job: g.Job})
		changed := 0
		for {
			if _, more := x.Changed(); !more {
				break
			}
			changed++
		}
		if changed > 2*Window {
			t.Fatalf("round %d: %d are asked", round, changed)
		}
	}
	if k.Waiting() != waiting-1000 {
		t.Errorf("%d wait", k.Waiting())
	}
}

func TestRivals(t *testing.T) {
	x := New()
	k := x.Use(Name{"a", "x", false})
	for _, id := range []job.ID{5, 9, 7} {
		x.Ask(k, Claim{Group: Group{Job: id}, Cancels: true, Limit: 1})
		x.Ask(k, Claim{Group: Group{Job: id, Task: 1}, Cancels: true, Limit: 1})
	}
	for id, want := range map[job.ID][2]uint64{5: {2, 9}, 7: {1, 9}, 9: {0, 0}, 10: {0, 0}} {
		if n, newest := k.Newer(id); uint64(n) != want[0] || uint64(newest) != want[1] {
			t.Errorf("%d go before job %d, the newest %d; want %v", n, id, newest, want)
		}
	}
}

func TestList(t *testing.T) {
	x := New()
	for i := range 30 {
		x.Use(Name{"a", fmt.Sprintf("k%02d", i*7%30), i%2 == 0})
	}
	x.Use(Name{"b", "k99", false})
	x.Restore(Name{"a", "k98", false}, 5)
	var got []string
	after := Name{}
	for {
		page := x.List("a", after, 7)
		for _, k := range page {
			got = append(got, k.Name().Key)
		}
		if len(page) < 7 {
			break
		}
		after = page[6].Name()
	}
	if len(got) != 30 || !slices.IsSorted(got) || got[29] != "k29" {
		t.Errorf("the keys are %v", got)
	}
	k := x.Find(Name{"b", "k99", false})
	for i := range 10 {
		x.Hold(k, Owner{Job: job.ID(20 - i)})
	}
	if first := k.Owners(2); len(first) != 2 || first[0].Job != 11 || first[1].Job != 12 {
		t.Errorf("the first owners are %v", first)
	}
	if none := k.Owners(0); len(none) != 0 {
		t.Errorf("no owners are %v", none)
	}
}

// TestPushedOut: who comes late and goes first takes a place among the first from another.
func TestPushedOut(t *testing.T) {
	x := New()
	k := x.Use(Name{"a", "x", false})
	claim := func(id job.ID, priority int64) Claim {
		return Claim{Group: Group{Job: id}, Queue: "day", Priority: priority, Limit: 1}
	}
	for id := job.ID(1); id <= Window; id++ {
		if room := x.Ask(k, claim(id, 0)); room != 1 {
			t.Fatalf("job %d has room %d", id, room)
		}
	}
	if room := x.Ask(k, claim(100, 5)); room != 1 {
		t.Errorf("what goes first has room %d", room)
	}
	if g, more := x.Changed(); !more || g.Job != Window || x.Ask(k, claim(Window, 0)) != 0 {
		t.Errorf("what changed is %v, %v, and has room %d; want job %d, without room", g, more, x.Ask(k, claim(Window, 0)), Window)
	}
}

// TestWhatIsOwedRests keeps a key that is owed for, until that is past and nothing names it.
func TestWhatIsOwedRests(t *testing.T) {
	x := New()
	r := job.Rate{Count: 1, Per: job.Duration(time.Second), Burst: 1}
	n, other := Name{"a", "x", false}, Name{"a", "y", false}
	k := x.Use(n)
	x.Charge(k, r, 0)
	if x.Opens() != 1000 || k.Opens() != 1000 {
		t.Errorf("it opens at %d", x.Opens())
	}
	x.Drop(k)
	if x.Opens() != 0 || len(x.pacing.items) != 0 || x.Find(n) == nil {
		t.Errorf("unused, it opens at %d; known: %v", x.Opens(), x.Find(n) != nil)
	}
	x.Use(n)
	if gone := x.Charge(x.Use(other), r, 5000); gone != nil || x.Find(n) != k {
		t.Errorf("%v is forgotten while it is used", gone)
	}
	x.Drop(k)
	if gone := x.Charge(x.Find(other), r, 6000); len(gone) != 1 || gone[0] != n || x.Find(n) != nil || x.Len() != 1 {
		t.Errorf("%v is forgotten, and %d are left", gone, x.Len())
	}
}
