package element

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// record draws a record; few different ones, so that runs and uniform chunks occur.
func record() *rapid.Generator[Record] {
	return rapid.Custom(func(t *rapid.T) Record {
		r := Record{
			State:    rapid.SampledFrom(job.ElementStates()).Draw(t, "state"),
			Attempts: rapid.SampledFrom([]uint16{0, 1, 7, 65535}).Draw(t, "attempts"),
			Worker:   rapid.SampledFrom([]uint64{0, 1, 1<<32 - 1}).Draw(t, "worker"),
			Started:  rapid.SampledFrom([]int64{0, 1_790_000_000_000}).Draw(t, "started"),
			Ended:    rapid.SampledFrom([]int64{0, 1_790_000_000_500, 1}).Draw(t, "ended"),
		}
		if rapid.Bool().Draw(t, "has usage") {
			r.Usage = Rounded(job.Usage{
				CPU:    rapid.SampledFrom([]time.Duration{0, 1500 * time.Microsecond, 100 * 24 * time.Hour}).Draw(t, "cpu"),
				Memory: rapid.SampledFrom([]int64{0, 5000, 1 << 50}).Draw(t, "memory"),
			})
		}
		if rapid.IntRange(0, 3).Draw(t, "asks") == 0 {
			r.Way = rapid.SampledFrom([]uint8{0, 1, 255}).Draw(t, "way")
			r.Memory = rapid.SampledFrom([]int64{0, 1, 1<<63 - 1}).Draw(t, "memory asked for")
		}
		r.Carried = r.State == job.Succeeded && rapid.Bool().Draw(t, "carried")
		if rapid.Bool().Draw(t, "has cause") {
			r.Cause = job.Cause{
				Kind:   rapid.SampledFrom([]job.CauseKind{job.CauseExit, job.CauseWorkerLost, job.CauseOutput}).Draw(t, "kind"),
				Code:   rapid.SampledFrom([]int32{0, 3, -1}).Draw(t, "code"),
				Detail: rapid.SampledFrom([]string{"", "w1", "no such file"}).Draw(t, "detail"),
			}
		}
		return r
	})
}

func ended() *rapid.Generator[Record] {
	return rapid.Map(record(), func(r Record) Record {
		if !r.State.Terminal() {
			r.State = job.Skipped
		}
		return r
	})
}

func drawSpan(t *rapid.T, n int64) Span {
	first := position(n).Draw(t, "first")
	last := rapid.OneOf(rapid.Just(n-1), rapid.Int64Range(first, n-1), rapid.Just(min(n-1, first+ChunkSize-1))).Draw(t, "last")
	return Span{first, last}
}

// modelTable is a table that is plain to see.
type modelTable []Record

func (m modelTable) counts() (c job.Counts) {
	for _, r := range m {
		c[r.State]++
	}
	return c
}

func (m modelTable) setPending(span Span, r Record) (n int64) {
	for p := span.First; p <= span.Last; p++ {
		if old := m[p]; old.State == job.Pending {
			m[p] = r
			if old.Attempts > 0 {
				m[p].Attempts, m[p].Worker, m[p].Started = old.Attempts, old.Worker, old.Started
			}
			n++
		}
	}
	return n
}

func (m modelTable) nextPending(p int64) int64 {
	for ; p < int64(len(m)); p++ {
		if m[p].State == job.Pending {
			return p
		}
	}
	return -1
}

func checkTable(t *rapid.T, table *Table, model modelTable) {
	if diff := cmp.Diff(model.counts(), table.Counts()); diff != "" {
		t.Fatalf("counts (-want +got):\n%s", diff)
	}
	for p := range model {
		if got := table.Get(int64(p)); got != model[p] {
			t.Fatalf("Get(%d) = %+v, want %+v", p, got, model[p])
		}
		if got := table.State(int64(p)); got != model[p].State {
			t.Fatalf("State(%d) = %s, want %s", p, got, model[p].State)
		}
	}
}

// sizes has tables that end on, before and after a chunk's edge.
func size() *rapid.Generator[int64] {
	return rapid.SampledFrom([]int64{1, 5, ChunkSize - 1, ChunkSize, ChunkSize + 1, 2*ChunkSize + 7})
}

func TestTableIsAListOfRecords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := size().Draw(t, "n")
		table, model := NewTable(n), make(modelTable, n)
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				p, r := position(n).Draw(t, "p"), record().Draw(t, "record")
				table.Set(p, r)
				model[p] = r
			},
			"set pending": func(t *rapid.T) {
				span, r := drawSpan(t, n), ended().Draw(t, "record")
				if got, want := table.SetPending(span, r), model.setPending(span, r); got != want {
					t.Fatalf("SetPending(%v) = %d, want %d", span, got, want)
				}
			},
			"reload": func(t *rapid.T) {
				table = reloaded(t, table)
			},
			"next pending": func(t *rapid.T) {
				p := rapid.Int64Range(0, n+1).Draw(t, "from")
				if got, want := table.NextPending(p), model.nextPending(p); got != want {
					t.Fatalf("NextPending(%d) = %d, want %d", p, got, want)
				}
			},
			"pending": func(t *rapid.T) {
				span := drawSpan(t, n)
				var want Set
				for p := model.nextPending(span.First); p >= 0 && p <= span.Last; p = model.nextPending(p + 1) {
					want.Add(p)
				}
				if diff := cmp.Diff(want.Spans(), table.Pending(span)); diff != "" {
					t.Fatalf("Pending(%v) (-want +got):\n%s", span, diff)
				}
			},
		})
		checkTable(t, table, model)
		checkTable(t, reloaded(t, table), model)
	})
}

// reloaded writes every touched chunk and reads it into a new table.
func reloaded(t *rapid.T, table *Table) *Table {
	back := NewTable(table.Len())
	for c := range table.Chunks() {
		if !table.Touched(c) {
			continue
		}
		prefix := []byte("kept")
		b := table.AppendChunk(prefix, c)
		if !bytes.HasPrefix(b, prefix) {
			t.Fatal("AppendChunk does not append")
		}
		if err := back.LoadChunk(c, b[len(prefix):]); err != nil {
			t.Fatalf("LoadChunk(%d): %v", c, err)
		}
		if again := back.AppendChunk(nil, c); !bytes.Equal(again, b[len(prefix):]) {
			t.Fatalf("chunk %d is stored as % x, and after it was read as % x", c, b[len(prefix):], again)
		}
	}
	return back
}

func TestUntouchedCostsNothing(t *testing.T) {
	const million = 1_000_000
	allocated := testing.AllocsPerRun(1, func() {
		table := NewTable(million)
		if table.NextPending(999_999) != 999_999 || table.Get(5) != (Record{}) || table.Touched(3) {
			t.Error("an untouched table is not pending")
		}
	})
	if allocated > 2 {
		t.Errorf("an untouched table of a million elements took %v allocations", allocated)
	}
	table := NewTable(million)
	r := Record{State: job.Cancelled, Cause: job.Cause{Kind: job.CauseCancelled, Detail: "anna"}, Ended: 5}
	if n := table.SetPending(Span{0, million - 1}, r); n != million {
		t.Fatalf("%d elements ended", n)
	}
	size := 0
	for c := range table.Chunks() {
		if table.chunks[c].cols != nil {
			t.Fatalf("chunk %d has columns though its elements ended alike", c)
		}
		size += len(table.AppendChunk(nil, c))
	}
	if size > 32*table.Chunks() {
		t.Errorf("%d uniform chunks take %d bytes", table.Chunks(), size)
	}
	if got := table.Get(million - 1); got != r {
		t.Errorf("the last element is %+v", got)
	}
}

func TestWhatHappenedBeforeIsNotStored(t *testing.T) {
	table, alike := NewTable(3), NewTable(3)
	for _, state := range []job.ElementState{job.Running, job.Pending} {
		for p := range int64(3) {
			table.Set(p, Record{State: state})
		}
	}
	alike.Set(0, Record{State: job.Pending})
	if diff := cmp.Diff(alike.AppendChunk(nil, 0), table.AppendChunk(nil, 0)); diff != "" {
		t.Errorf("elements that are as before are stored otherwise (-before +after):\n%s", diff)
	}
}

func TestAttemptsStayOnRecordWhenPendingEnds(t *testing.T) {
	table := NewTable(3)
	table.Set(1, Record{State: job.Pending, Attempts: 2, Worker: 7, Started: 50, Ended: 60, Cause: job.Cause{Kind: job.CauseExit, Code: 3}})
	end := Record{State: job.Cancelled, Cause: job.Cause{Kind: job.CauseCancelled}, Ended: 99}
	table.SetPending(Span{0, 2}, end)
	want := end
	want.Attempts, want.Worker, want.Started = 2, 7, 50
	for p, want := range []Record{end, want, end} {
		if got := table.Get(int64(p)); got != want {
			t.Errorf("element %d is %+v, want %+v", p, got, want)
		}
	}
}

func TestAttemptsStayOnRecordOfElementsThatAreAlike(t *testing.T) {
	table := NewTable(2)
	for p := range int64(2) {
		table.Set(p, Record{State: job.Pending, Attempts: 2, Worker: 7, Started: 50, Ended: 60})
	}
	alike := NewTable(2)
	if err := alike.LoadChunk(0, table.AppendChunk(nil, 0)); err != nil {
		t.Fatal(err)
	}
	alike.SetPending(Span{0, 1}, Record{State: job.Skipped, Ended: 99})
	if got, want := alike.Get(1), (Record{State: job.Skipped, Attempts: 2, Worker: 7, Started: 50, Ended: 99}); got != want {
		t.Errorf("an element is %+v, want %+v", got, want)
	}
}

func TestManyCausesAreBounded(t *testing.T) {
	const n = 70_000
	table := NewTable(n)
	for p := range int64(n) {
		table.Set(p, Record{State: job.Failed, Cause: job.Cause{Kind: job.CauseError, Code: int32(p), Detail: fmt.Sprint("message ", p)}})
	}
	if got := table.Get(4000).Cause.Detail; got != "message 4000" {
		t.Errorf("an early detail is %q", got)
	}
	if got := table.Get(10_000).Cause; got != (job.Cause{Kind: job.CauseError, Code: 10_000}) {
		t.Errorf("a later cause is %+v; want it without its detail", got)
	}
	if got := table.Get(n - 1); got.State != job.Failed {
		t.Errorf("the last element is %+v", got)
	}
	if len(table.causes.list) >= 1<<16 {
		t.Errorf("%d causes are kept", len(table.causes.list))
	}
}

func TestLoadChunkRefusesDamage(t *testing.T) {
	table := NewTable(10)
	table.Set(3, Record{State: job.Failed, Cause: job.Cause{Kind: job.CauseExit, Detail: "x"}})
	columns := table.AppendChunk(nil, 0)
	table = NewTable(10)
	table.SetPending(Span{0, 9}, Record{State: job.Skipped})
	uniform := table.AppendChunk(nil, 0)
	other := bytes.Clone(columns)
	other[0] = 99
	form := bytes.Clone(columns)
	form[1] = 7
	state := bytes.Clone(uniform)
	state[2] = 8
	tests := map[string]struct {
		n     int64
		chunk int
		b     []byte
	}{
		"nothing":                {10, 0, nil},
		"another version":        {10, 0, other},
		"another form":           {10, 0, form},
		"an unknown state":       {10, 0, state},
		"a table of other size":  {11, 0, columns},
		"a chunk past the end":   {10, 1, uniform},
		"a negative chunk":       {10, -1, uniform},
		"columns cut short":      {10, 0, columns[:len(columns)-1]},
		"uniform cut short":      {10, 0, uniform[:4]},
		"columns with more":      {10, 0, append(bytes.Clone(columns), 0)},
		"uniform with more":      {10, 0, append(bytes.Clone(uniform), 0)},
		"a run that is too long": {10, 0, append([]byte{1, 1, 10, 11}, uniform[2:]...)},
		"a run of none":          {10, 0, append([]byte{1, 1, 10, 0}, uniform[2:]...)},
		"attempts of 70,000":     {10, 0, []byte{1, 0, 3, 0, 0xf0, 0xa2, 4, 0, 0, 0, 0, 0}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if err := NewTable(test.n).LoadChunk(test.chunk, test.b); !errors.Is(err, ErrChunk) {
				t.Errorf("LoadChunk = %v, want ErrChunk", err)
			}
		})
	}
	for name, b := range map[string][]byte{"columns": columns, "uniform": uniform} {
		loaded := NewTable(10)
		if err := loaded.LoadChunk(0, b); err != nil {
			t.Errorf("%s, undamaged: %v", name, err)
		}
		if err := loaded.LoadChunk(0, b); !errors.Is(err, ErrChunk) {
			t.Errorf("%s, a second time: %v", name, err)
		}
	}
}

func FuzzLoadChunk(f *testing.F) {
	table := NewTable(ChunkSize + 10)
	table.SetPending(Span{0, ChunkSize - 1}, Record{State: job.Cancelled, Cause: job.Cause{Kind: job.CauseCancelled, Detail: "anna"}, Ended: 7})
	table.Set(ChunkSize+3, Record{State: job.Running, Attempts: 2, Worker: 9, Started: 100})
	f.Add(0, table.AppendChunk(nil, 0))
	f.Add(1, table.AppendChunk(nil, 1))
	f.Fuzz(func(t *testing.T, c int, b []byte) {
		table := NewTable(ChunkSize + 10)
		if err := table.LoadChunk(c, b); err != nil {
			return
		}
		if got := table.Counts().Total(); got != table.Len() {
			t.Fatalf("the counts sum up to %d of %d", got, table.Len())
		}
		again := table.AppendChunk(nil, c)
		back := NewTable(table.Len())
		if err := back.LoadChunk(c, again); err != nil {
			t.Fatalf("what was loaded and written can't be loaded: %v", err)
		}
		for p := range table.Len() {
			if table.Get(p) != back.Get(p) {
				t.Fatalf("element %d: %+v, then %+v", p, table.Get(p), back.Get(p))
			}
		}
	})
}

// TestRounded: what a table keeps of a usage.
func TestRounded(t *testing.T) {
	for _, c := range []struct{ in, want job.Usage }{
		{job.Usage{}, job.Usage{}},
		{job.Usage{CPU: 1999 * time.Microsecond, Memory: 2047}, job.Usage{CPU: time.Millisecond, Memory: 1024}},
		{job.Usage{CPU: 1 << 62, Memory: 1 << 62}, job.Usage{CPU: (1<<32 - 1) * time.Millisecond, Memory: (1<<32 - 1) << 10}},
		{job.Usage{CPU: -1, Memory: -1}, job.Usage{}},
	} {
		if got := Rounded(c.in); got != c.want {
			t.Errorf("Rounded(%+v) = %+v, want %+v", c.in, got, c.want)
		}
	}
}

// TestChunksWithoutUsage: chunks of the form before are still read.
func TestChunksWithoutUsage(t *testing.T) {
	old := []byte{codecWithoutUsage, formUniform, byte(job.Succeeded), 0, 1, 0, 0, 7, 20, 10}
	table := NewTable(3)
	if err := table.LoadChunk(0, old); err != nil {
		t.Fatal(err)
	}
	want := Record{State: job.Succeeded, Attempts: 1, Worker: 7, Started: 10, Ended: 15}
	if diff := cmp.Diff(want, table.Get(2)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestWhatWasAskedForCostsWhereItDiffers: columns of it are there, in memory and in what is stored,
// only where an attempt asked for something else than its task does first.
func TestWhatWasAskedForCostsWhereItDiffers(t *testing.T) {
	table := NewTable(2 * ChunkSize)
	for p := range table.Len() {
		table.Set(p, Record{State: job.Succeeded, Attempts: 1, Started: p, Ended: p + 1})
	}
	table.Set(ChunkSize+5, Record{State: job.Succeeded, Attempts: 1, Way: 1})
	for c, asks := range []bool{false, true} {
		if ch := table.chunks[c]; (ch.ways != nil) != asks || ch.more != nil || Asks(table.AppendChunk(nil, c)) != asks {
			t.Errorf("chunk %d has the columns %v and %v", c, ch.ways != nil, ch.more != nil)
		}
	}
	table.Set(ChunkSize+5, Record{State: job.Succeeded, Attempts: 1})
	if Asks(table.AppendChunk(nil, 1)) {
		t.Error("what was overwritten is stored still")
	}
}
