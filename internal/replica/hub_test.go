package replica

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"github.com/reeve-scheduler/reeve/internal/core"
)

// publish makes one batch of n notices, numbered by their place, durable.
func publish(h *Hub, seq uint64, n int) {
	list := make([]Notice, n)
	for i := range list {
		c := Cursor{Generation: h.End().Generation, Seq: seq, Index: i}
		list[i] = Notice{Notice: core.Notice{Kind: c.String()}, Cursor: c}
	}
	h.Publish(Cursor{Generation: h.End().Generation, Seq: seq, Index: n}, list, true)
}

// drain takes what there is without waiting, page by page.
func drain(r *Reader, page int) (kinds []string, resync bool) {
	for {
		list, lost, _ := r.take(page)
		if lost {
			return kinds, true
		}
		for i := range list {
			kinds = append(kinds, list[i].Kind)
		}
		if len(list) < page {
			return kinds, false
		}
	}
}

func want(t *testing.T, r *Reader, resync bool, kinds ...string) {
	t.Helper()
	got, lost := drain(r, 2)
	if !slices.Equal(got, kinds) || lost != resync {
		t.Errorf("the reader was told %v, resync %v; want %v, %v", got, lost, kinds, resync)
	}
}

func TestReaderFromNowOn(t *testing.T) {
	h := NewHub(8, Cursor{Generation: 3, Seq: 10})
	r := h.Read(Cursor{})
	defer r.Close()
	if r.Cursor() != h.End() || !h.Wanted() {
		t.Errorf("it stands at %v of %v, wanted %v", r.Cursor(), h.End(), h.Wanted())
	}
	want(t, r, false)
	publish(h, 11, 2)
	publish(h, 12, 0)
	publish(h, 13, 1)
	want(t, r, false, "3-11-0", "3-11-1", "3-13-0")
	want(t, r, false)
}

// TestResumeElsewhere goes on at another server, which has a batch without its notices: what
// of that was told is not told again, and what was not is not passed over.
func TestResumeElsewhere(t *testing.T) {
	one, other := NewHub(8, Cursor{Generation: 3, Seq: 10}), NewHub(8, Cursor{Generation: 3})
	r := one.Read(Cursor{})
	defer r.Close()
	publish(one, 11, 3)
	if list, resync, err := r.Next(t.Context(), 2); err != nil || resync || len(list) != 2 {
		t.Fatalf("%v, %v, %v", list, resync, err)
	}
	other.Publish(Cursor{Generation: 3, Seq: 11}, nil, false)
	publish(other, 12, 1)
	behind := other.Read(r.Cursor())
	defer behind.Close()
	want(t, behind, true)
	publish(other, 13, 1)
	want(t, behind, false, "3-13-0")

	fresh := NewHub(8, Cursor{Generation: 3})
	fresh.Publish(Cursor{Generation: 3, Seq: 11}, nil, false)
	begun := fresh.Read(Cursor{})
	defer begun.Close()
	publish(one, 12, 1)
	back := one.Read(begun.Cursor())
	defer back.Close()
	want(t, back, false, "3-12-0")
}

// TestResume reads a part, goes away, and goes on where it stood.
func TestResume(t *testing.T) {
	h := NewHub(8, Cursor{Generation: 3, Seq: 10})
	r := h.Read(Cursor{})
	publish(h, 11, 3)
	list, resync, err := r.Next(t.Context(), 2)
	if err != nil || resync || len(list) != 2 {
		t.Fatalf("%v, %v, %v", list, resync, err)
	}
	r.Close()
	publish(h, 12, 1) // while it is away
	at, err := ParseCursor(r.Cursor().String())
	if err != nil {
		t.Fatal(err)
	}
	r = h.Read(at)
	defer r.Close()
	want(t, r, false, "3-11-2", "3-12-0")
}

// TestTrimmed has more happen than the ring holds: exactly those who missed something
// are told to read everything anew, and go on from the end.
func TestTrimmed(t *testing.T) {
	h := NewHub(4, Cursor{Generation: 3, Seq: 10})
	slow, sharp, quick := h.Read(Cursor{}), h.Read(Cursor{}), h.Read(Cursor{})
	publish(h, 11, 2)
	want(t, quick, false, "3-11-0", "3-11-1")
	if list, _, _ := sharp.take(1); len(list) != 1 {
		t.Fatal("nothing to read")
	}
	publish(h, 12, 3) // one too many for whoever has read nothing
	want(t, slow, true)
	want(t, slow, false)
	want(t, sharp, false, "3-11-1", "3-12-0", "3-12-1", "3-12-2")
	want(t, quick, false, "3-12-0", "3-12-1", "3-12-2")
	publish(h, 13, 1)
	want(t, slow, false, "3-13-0")
	publish(h, 14, 9) // a batch that is larger than the ring
	want(t, quick, true)
	if slow.Cursor() != (Cursor{3, 13, 0}) || quick.Cursor() != h.End() {
		t.Errorf("the readers stand at %v and %v", slow.Cursor(), quick.Cursor())
	}
}

// TestStrangeCursors are of another history, of the future, or never were.
func TestStrangeCursors(t *testing.T) {
	h := NewHub(8, Cursor{Generation: 3, Seq: 10})
	h.Read(Cursor{})
	publish(h, 11, 2)
	for name, c := range map[string]Cursor{
		"a generation before": {2, 11, 0}, "a generation after": {4, 11, 0}, "before the hub": {3, 9, 7},
		"the future": {3, 12, 0}, "past the batch's end": {3, 11, 3}, "only a generation": {3, 0, 0},
	} {
		r := h.Read(c)
		if got, resync := drain(r, 9); !resync || got != nil || r.Cursor() != h.End() {
			t.Errorf("%s (%v): %v, resync %v, at %v", name, c, got, resync, r.Cursor())
		}
		r.Close()
	}
	r := h.Read(Cursor{3, 10, 0})
	want(t, r, false, "3-11-0", "3-11-1")
}

// TestUnwanted leaves a hole where nobody wanted notices.
func TestUnwanted(t *testing.T) {
	h := NewHub(8, Cursor{Generation: 3, Seq: 10})
	if h.Wanted() {
		t.Error("a hub without readers wants notices")
	}
	r := h.Read(Cursor{})
	publish(h, 11, 1)
	r.Close()
	for seq := uint64(12); seq < 12+idleBatches; seq++ {
		if !h.Wanted() {
			t.Fatalf("notices are not wanted %d batches after the last reader has gone", seq-12)
		}
		publish(h, seq, 0)
	}
	if h.Wanted() {
		t.Errorf("notices are wanted %d batches after the last reader has gone", idleBatches)
	}
	h.Publish(Cursor{3, 20_000, 0}, nil, false)
	back := h.Read(r.Cursor())
	defer back.Close()
	want(t, back, true)
	publish(h, 20_001, 1)
	want(t, back, false, "3-20001-0")
}

// TestASlowReaderDelaysNobody never reads, while another keeps up with far more than
// the ring holds.
func TestASlowReaderDelaysNobody(t *testing.T) {
	h := NewHub(16, Cursor{Generation: 1, Seq: 1})
	slow, quick := h.Read(Cursor{}), h.Read(Cursor{})
	defer slow.Close()
	defer quick.Close()
	for seq := uint64(2); seq < 2000; seq++ {
		publish(h, seq, 3)
		if got, resync := drain(quick, 5); len(got) != 3 || resync {
			t.Fatalf("at %d the quick reader was told %v, resync %v", seq, got, resync)
		}
	}
	if len(h.ring) != 16 {
		t.Errorf("the ring holds %d; want 16", len(h.ring))
	}
	want(t, slow, true)
}

// TestNextWaits until something happens, or its context ends.
func TestNextWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHub(8, Cursor{Generation: 1, Seq: 1})
		ctx, cancel := context.WithCancel(t.Context())
		got := make(chan error, 2)
		for range 2 {
			r := h.Read(Cursor{})
			go func() {
				defer r.Close()
				list, resync, err := r.Next(ctx, 9)
				if err == nil && (len(list) != 1 || resync) {
					err = fmt.Errorf("told %v, resync %v", list, resync)
				}
				if err == nil {
					_, _, err = r.Next(ctx, 9)
				}
				got <- err
			}()
		}
		synctest.Wait()
		publish(h, 2, 0) // nothing to tell
		synctest.Wait()
		publish(h, 3, 1)
		synctest.Wait()
		cancel()
		for range 2 {
			if err := <-got; !errors.Is(err, context.Canceled) {
				t.Errorf("a waiting reader ended with %v", err)
			}
		}
	})
}

// TestManyReaders publishes and reads side by side.
func TestManyReaders(t *testing.T) {
	h := NewHub(64, Cursor{Generation: 1, Seq: 1})
	const batches, last = 500, "1-501-0"
	var wait sync.WaitGroup
	for range 8 {
		r := h.Read(Cursor{})
		wait.Go(func() {
			defer r.Close()
			at := Cursor{}
			for {
				list, resync, err := r.Next(t.Context(), 7)
				if err != nil {
					t.Error(err)
					return
				}
				for i := range list {
					if !at.less(list[i].Cursor) {
						t.Errorf("%v was told after %v", list[i].Cursor, at)
					}
					at = list[i].Cursor
				}
				if resync {
					at = r.Cursor()
				}
				if at.String() == last || at.Seq == batches+1 {
					return
				}
			}
		})
	}
	for seq := uint64(2); seq <= batches+1; seq++ {
		publish(h, seq, 1)
	}
	wait.Wait()
	if h.readers != 0 {
		t.Errorf("%d readers are left", h.readers)
	}
}

// TestHubAgainstAModel lets readers come, go, lag and resume at random. Whoever is not
// told to resync has heard everything since it stood where it stood.
func TestHubAgainstAModel(t *testing.T) {
	type follower struct {
		r  *Reader
		at int // of all that was published, how much it should know of
	}
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(1, 9).Draw(t, "size")
		h := NewHub(size, Cursor{Generation: 1, Seq: 1})
		var all []Notice
		var here []*follower
		place := map[Cursor]int{{1, 1, 0}: 0} // how much is before a cursor
		seq := uint64(1)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "kind") {
			case 0:
				seq++
				n := rapid.IntRange(0, 4).Draw(t, "notices")
				publish(h, seq, n)
				for i := range n {
					c := Cursor{1, seq, i}
					all = append(all, Notice{Notice: core.Notice{Kind: c.String()}, Cursor: c})
					place[c] = len(all)
				}
				place[h.End()] = len(all)
			case 1:
				at := rapid.SampledFrom([]Cursor{{}, h.End()}).Draw(t, "at")
				if len(all) > 0 && rapid.Bool().Draw(t, "resume") {
					at = rapid.SampledFrom(all).Draw(t, "notice").Cursor
				}
				f := &follower{r: h.Read(at), at: len(all)}
				if at != (Cursor{}) {
					f.at = place[at]
				}
				here = append(here, f)
			default:
				if len(here) == 0 {
					continue
				}
				i := rapid.IntRange(0, len(here)-1).Draw(t, "reader")
				f := here[i]
				got, resync := drain(f.r, rapid.IntRange(1, 5).Draw(t, "page"))
				var kinds []string
				for _, n := range all[f.at:] {
					kinds = append(kinds, n.Kind)
				}
				if missed := len(all)-f.at > size; resync != missed {
					t.Fatalf("a reader %d behind, of a ring of %d: resync %v", len(all)-f.at, size, resync)
				}
				if !resync && !slices.Equal(got, kinds) {
					t.Fatalf("a reader was told %v; want %v", got, kinds)
				}
				f.at = len(all)
				if place[f.r.Cursor()] != len(all) {
					t.Fatalf("a reader that knows all stands at %v", f.r.Cursor())
				}
				if rapid.IntRange(0, 3).Draw(t, "close") == 0 {
					f.r.Close()
					here = slices.Delete(here, i, i+1)
				}
			}
		}
	})
}

func TestCursorText(t *testing.T) {
	for _, c := range []Cursor{{}, {1, 2, 3}, {1 << 62, 1<<63 - 1, 1 << 30}} {
		if back, err := ParseCursor(c.String()); err != nil || back != c {
			t.Errorf("%v comes back as %v, %v", c, back, err)
		}
	}
	for _, text := range []string{"", "1", "1-2", "1-2-", "1-2-3-4", "a-b-c", " 1-2-3", "1-2-3 ", "01-2-3", "1-2--3", "-1-2-3", "1-2-3\n", "99999999999999999999-1-1"} {
		if c, err := ParseCursor(text); err == nil {
			t.Errorf("%q is the cursor %v; want an error", text, c)
		}
	}
}
