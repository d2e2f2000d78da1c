package predict

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// lesson is an observation and whose it was.
type lesson struct {
	key Key
	Observation
}

// model is an index by brute force: all lessons, and the keys by when they were taught last,
// the latest first.
type model struct {
	most    int
	lessons []lesson
	keys    []Key
}

func (m *model) learn(l lesson) {
	m.keys = slices.Insert(slices.DeleteFunc(m.keys, func(k Key) bool { return k == l.key }), 0, l.key)
	m.lessons = append(m.lessons, l)
	if len(m.keys) > m.most {
		gone := m.keys[m.most]
		m.keys = m.keys[:m.most]
		m.lessons = slices.DeleteFunc(m.lessons, func(l lesson) bool { return l.key == gone })
	}
}

// of is what is known of some keys, and the run times of the first of them that has any.
func (m *model) of(keys []Key) (last []int64, runs, memory exact) {
	for _, k := range keys {
		var mine []int64
		var r, p exact
		for _, l := range m.lessons {
			if l.key != k {
				continue
			}
			if l.Succeeded {
				mine = append(mine, l.Run)
				r.add(l.Run)
			}
			if l.Memory > 0 {
				p.add(l.Memory)
			}
		}
		if last == nil {
			last = mine
		}
		runs, memory = append(runs, r...), append(memory, p...)
	}
	for _, x := range []exact{runs, memory} {
		slices.Sort(x)
		slices.Reverse(x)
	}
	return last, runs, memory
}

// others is the keys of a task but one, as an index looks at them.
func (m *model) others(k Key) (out []Key) {
	for _, o := range m.keys {
		if o != k && o.task() == k.task() && len(out) < mostOthers {
			out = append(out, o)
		}
	}
	return out
}

func someKey() *rapid.Generator[Key] {
	return rapid.Custom(func(t *rapid.T) Key {
		return Key{
			Namespace: rapid.SampledFrom([]string{"default", "team"}).Draw(t, "namespace"), Job: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "job"),
			Task: rapid.SampledFrom([]string{"main", "x"}).Draw(t, "task"), User: fmt.Sprint("u", rapid.IntRange(1, 12).Draw(t, "user")),
		}
	})
}

func someObservation() *rapid.Generator[Observation] {
	return rapid.Custom(func(t *rapid.T) Observation {
		return Observation{
			Succeeded: rapid.IntRange(0, 3).Draw(t, "ended") > 0, Run: rapid.Int64Range(0, 1<<40).Draw(t, "run"),
			Memory: rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(1, 1<<40)).Draw(t, "memory"),
		}
	})
}

func teach(x *Index, l lesson) *Entry {
	e := x.Entry(l.key)
	x.Teach(e, l.Observation)
	return e
}

func TestIndexIsTheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(1, 20).Draw(t, "most")
		x, m := New(most), &model{most: most}
		for range rapid.IntRange(0, 100).Draw(t, "lessons") {
			l := lesson{someKey().Draw(t, "key"), someObservation().Draw(t, "observation")}
			before := slices.Clone(m.keys)
			there, slots := slices.Contains(before, l.key), slices.Clone(x.Entries())
			e := teach(x, l)
			if !there && len(before) == most {
				if old := slots[e.Slot]; !old.Gone || old.Key != before[most-1] {
					t.Fatalf("%+v was forgotten (%v) for %+v; there were %+v", old.Key, old.Gone, l.key, before)
				}
			}
			m.learn(l)
			if rapid.IntRange(0, 9).Draw(t, "again") == 0 {
				x = again(t, x)
			}
		}
		checkIndex(t, x, m)
		checkKey(t, x, m, someKey().Draw(t, "of"))
		for _, k := range m.keys {
			checkKey(t, x, m, k)
		}
	})
}

// again is an index out of what another is encoded as.
func again(t failer, x *Index) *Index {
	out := New(x.most)
	for _, e := range x.Entries() {
		if err := out.Restore(e.Slot, e.Key, e.AppendTo(nil)); err != nil {
			t.Fatalf("slot %d: %v", e.Slot, err)
		}
	}
	out.Restored()
	if out.taught > x.taught || len(x.slots) > 0 && out.taught != x.taught {
		t.Fatalf("%d observations became %d", x.taught, out.taught)
	}
	return out
}

func checkIndex(t *rapid.T, x *Index, m *model) {
	var keys []Key
	for e := x.byAge.newest; e != nil; e = e.all.older {
		keys = append(keys, e.Key)
		if x.slots[e.Slot] != e || x.keys[e.Key] != e || e.Gone {
			t.Fatalf("slot %d has another entry than its key, %+v", e.Slot, e.Key)
		}
		checkSketch(t, &e.learned.runs)
		checkSketch(t, &e.learned.memory)
	}
	if !slices.Equal(keys, m.keys) || len(x.slots) != len(keys) || len(x.keys) != len(keys) {
		t.Fatalf("%d slots, %d keys, by age %+v; want %+v", len(x.slots), len(x.keys), keys, m.keys)
	}
	users := 0
	for _, o := range x.tasks {
		n := 0
		for e := o.newest; e != nil; e = e.same.older {
			n++
		}
		for e := o.oldest; e != nil; e = e.same.newer {
			n--
			users++
		}
		if n != 0 || o.newest == nil {
			t.Fatal("the users of a task are not the same from both ends, or there is none")
		}
	}
	if users != len(keys) {
		t.Fatalf("%d users of tasks, %d keys", users, len(keys))
	}
}

func checkKey(t *rapid.T, x *Index, m *model, k Key) {
	limit := rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(1, 1<<40)).Draw(t, "limit")
	got, ok := x.Estimate(k, limit)
	last, runs, _ := m.of([]Key{k})
	others := len(last) == 0
	if others {
		last, runs, _ = m.of(m.others(k))
	}
	if ok != (len(last) > 0) || ok && got.Others != others || got.Runs != int64(len(runs)) {
		t.Fatalf("%+v: %+v, %v; want %d runs by others: %v", k, got, ok, len(runs), others)
	}
	if ok {
		want := last[len(last)-1]
		if len(last) > 1 {
			want = (want + last[len(last)-2]) / 2
		}
		if want = max(within(want, limit), 1); got.Run < want-1 || got.Run > want+1 {
			t.Fatalf("%+v: %+v; the mean of the last two of %v is %d", k, got, last, want)
		}
		low, high := runs.quantile(100), runs.quantile(900)
		if !near(got.Low, low) && got.Low != limit || !near(got.High, high) && got.High != limit {
			t.Fatalf("%+v: %+v; four of five took %d to %d", k, got, low, high)
		}
	}
	used := x.Memory(k)
	_, _, memory := m.of([]Key{k})
	if others = len(memory) == 0; others {
		_, _, memory = m.of(m.others(k))
	}
	if used.Runs != int64(len(memory)) || used.Runs > 0 && used.Others != others || !near(used.P99, memory.quantile(990)) || !near(used.Max, memory.quantile(1000)) {
		t.Fatalf("%+v: %+v; want %d runs by others: %v, p99 %d, at most %d", k, used, len(memory), others, memory.quantile(990), memory.quantile(1000))
	}
}

// TestEncodedIsTheSame: who was taught the same has the same bytes, however it came by them.
func TestEncodedIsTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		one, two := New(5), New(5)
		for range rapid.IntRange(1, 200).Draw(t, "lessons") {
			l := lesson{someKey().Draw(t, "key"), someObservation().Draw(t, "observation")}
			if rapid.IntRange(0, 4).Draw(t, "again") == 0 {
				two = again(t, two)
			}
			a, b := teach(one, l), teach(two, l)
			if x, y := a.AppendTo(nil), b.AppendTo(nil); a.Slot != b.Slot || !slices.Equal(x, y) {
				t.Fatalf("slot %d % x\nslot %d % x", a.Slot, x, b.Slot, y)
			}
		}
	})
}

func TestRestoreRefuses(t *testing.T) {
	good := teach(New(1), lesson{Key{Job: "a"}, Observation{Succeeded: true, Run: 300, Memory: 5}}).AppendTo(nil)
	none := []byte{version, 1, 0, 0, 0}
	for name, test := range map[string]struct {
		slot int
		key  Key
		b    []byte
		want error
	}{
		"what it wrote":           {1, Key{Job: "b"}, good, nil},
		"no runs":                 {1, Key{Job: "b"}, none, nil},
		"a hole":                  {2, Key{Job: "b"}, good, ErrDamaged},
		"the same slot":           {0, Key{Job: "b"}, good, ErrDamaged},
		"the same key":            {1, Key{Job: "a"}, good, ErrDamaged},
		"nothing":                 {1, Key{Job: "b"}, nil, ErrDamaged},
		"a later version":         {1, Key{Job: "b"}, append([]byte{version + 1}, good[1:]...), ErrVersion},
		"the rest missing":        {1, Key{Job: "b"}, good[:len(good)-1], ErrDamaged},
		"more":                    {1, Key{Job: "b"}, append(slices.Clone(good), 0), ErrDamaged},
		"never taught":            {1, Key{Job: "b"}, []byte{version, 0, 0, 0, 0}, ErrDamaged},
		"three last runs":         {1, Key{Job: "b"}, []byte{version, 1, 3, 1, 1, 1, 0, 0}, ErrDamaged},
		"a run that is not there": {1, Key{Job: "b"}, []byte{version, 1, 1, 1, 0, 0}, ErrDamaged},
		"buckets that don't rise": {1, Key{Job: "b"}, []byte{version, 1, 0, 2, 1, 1, 0, 1, 0}, ErrDamaged},
		"an empty bucket":         {1, Key{Job: "b"}, []byte{version, 1, 0, 1, 1, 0, 0}, ErrDamaged},
		"a bucket beyond the end": {1, Key{Job: "b"}, []byte{version, 1, 0, 1, 0x88, 4, 1, 0}, ErrDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			x := New(3)
			if err := x.Restore(0, Key{Job: "a"}, good); err != nil {
				t.Fatal(err)
			}
			if err := x.Restore(test.slot, test.key, test.b); !errors.Is(err, test.want) {
				t.Errorf("%v, want %v", err, test.want)
			}
		})
	}
	if err := New(0).Restore(0, Key{}, good); !errors.Is(err, ErrDamaged) {
		t.Errorf("beyond the bound: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	x := New(4)
	for i := range int64(700) {
		e := teach(x, lesson{Key{User: fmt.Sprint(i % 4)}, Observation{Succeeded: i%4 != 3, Run: i * i * i, Memory: i % 4 << 20 * i}})
		f.Add(e.AppendTo(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var l learned
		if err := l.decode(b); err != nil {
			if !errors.Is(err, ErrVersion) && !errors.Is(err, ErrDamaged) {
				t.Fatalf("an error of no kind: %v", err)
			}
			return
		}
		checkSketch(t, &l.runs)
		checkSketch(t, &l.memory)
		var same learned
		if err := same.decode(l.appendTo(nil)); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(l.appendTo(nil), same.appendTo(nil)) {
			t.Fatalf("% x\nis written as\n% x", b, l.appendTo(nil))
		}
		for range 300 { // whatever it is, it can be taught
			l.add(Observation{Succeeded: true, Run: 1 << 50, Memory: 1})
		}
		if e, ok := l.estimate(0); !ok || e.Run != 1<<50 || l.memory.Count() > maxWeight {
			t.Fatalf("%+v, and %d peaks", e, l.memory.Count())
		}
	})
}

// BenchmarkTeach is what an attempt that ends costs: one of many tasks, whose entry is at hand.
func BenchmarkTeach(b *testing.B) {
	x := New(MaxKeys)
	entries := make([]*Entry, 1000)
	for i := range entries {
		entries[i] = x.Entry(Key{"default", fmt.Sprint("job", i), "main", "anna"})
	}
	seed := uint64(1)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		seed = seed*6364136223846793005 + 1442695040888963407
		x.Teach(entries[i%len(entries)], Observation{Succeeded: true, Run: 60_000 + int64(seed>>48), Memory: 600<<20 + int64(seed>>36)})
	}
}

// BenchmarkLearn is BenchmarkTeach where the entry is looked for.
func BenchmarkLearn(b *testing.B) {
	x := New(MaxKeys)
	keys := make([]Key, 1000)
	for i := range keys {
		keys[i] = Key{"default", fmt.Sprint("job", i), "main", "anna"}
	}
	seed := uint64(1)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		seed = seed*6364136223846793005 + 1442695040888963407
		teach(x, lesson{keys[i%len(keys)], Observation{Succeeded: true, Run: 60_000 + int64(seed>>48), Memory: 600<<20 + int64(seed>>36)}})
	}
}

// BenchmarkForget is a task that was never seen before, in an index that is full.
func BenchmarkForget(b *testing.B) {
	x := New(MaxKeys)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		teach(x, lesson{Key{"default", fmt.Sprint("job", i), "main", "anna"}, Observation{Succeeded: true, Run: 1000, Memory: 1 << 20}})
	}
}

func BenchmarkEstimate(b *testing.B) {
	x := New(MaxKeys)
	k := Key{"default", "job", "main", "anna"}
	for i := range int64(1000) {
		teach(x, lesson{k, Observation{Succeeded: true, Run: 1000 * i, Memory: i << 20}})
	}
	for b.Loop() {
		x.Estimate(k, 0)
	}
}
