package tournament

import (
	"cmp"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestTree checks the tournament against a scan.
func TestTree(t *testing.T) {
	type leaf struct {
		Rank
		room []int64
	}
	rapid.Check(t, func(t *rapid.T) {
		width := rapid.IntRange(0, 3).Draw(t, "width")
		tr, leaves, numbers := New(width), map[int32]leaf{}, Slots{}
		marks, marked := Marks{}, map[int32]uint64{}
		mark := func(i int32) int32 {
			marked[i] = rapid.Uint64Range(0, 7).Draw(t, "marks")
			marks.Set(i, marked[i])
			return i
		}
		amount := rapid.Int64Range(-2, 4)
		amounts := func(what string) []int64 {
			return rapid.SliceOfN(amount, width, width).Draw(t, what)
		}
		pick := func() int32 {
			var at []int32
			for i := range leaves {
				at = append(at, i)
			}
			if len(at) == 0 {
				t.Skip("no leaf")
			}
			slices.Sort(at)
			return rapid.SampledFrom(at).Draw(t, "leaf")
		}
		summary := func() []int64 {
			best, most := tr.Top()
			return append([]int64{int64(min(best, 0))}, most...)
		}
		set := func(t *rapid.T, i int32, l leaf) {
			before := summary()
			changed := tr.Set(i, l.Rank, l.room)
			if differs := !slices.Equal(before, summary()); differs && !changed {
				t.Fatalf("set does not say that the whole changed from %v to %v", before, summary())
			}
			leaves[i] = l
		}
		high := uint64(100_000)
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				high++
				set(t, mark(numbers.Take()), leaf{Rank{ID: high / 2, Sub: uint32(high % 2)}, amounts("room")})
			},
			"set": func(t *rapid.T) {
				i := pick()
				l := leaf{leaves[i].Rank, amounts("room")}
				l.Score = amount.Draw(t, "score")
				set(t, i, l)
			},
			"remove": func(*rapid.T) {
				i := pick()
				tr.Clear(i)
				numbers.Give(i)
				delete(leaves, i)
			},
			"": func(t *rapid.T) {
				need := amounts("at least")
				var order []int32
				for i, l := range leaves {
					if l.Score > 0 && Within(need, l.room) {
						order = append(order, i)
					}
				}
				slices.SortFunc(order, func(a, b int32) int {
					l, o := leaves[a], leaves[b]
					return cmp.Or(cmp.Compare(o.Score, l.Score), cmp.Compare(l.ID, o.ID), cmp.Compare(l.Sub, o.Sub))
				})
				var got, seen []int32
				for last := (*Rank)(nil); ; {
					i := tr.After(need, last)
					if i == None {
						break
					}
					got, last = append(got, i), tr.RankOf(i)
				}
				if diff := gocmp.Diff(order, got); diff != "" {
					t.Fatalf("one after the other: -want +got\n%s", diff)
				}
				got = nil
				some := rapid.IntRange(0, len(order)+1).Draw(t, "some")
				_, whole := tr.InOrder(need, Filter{}, 1000, func(i int32) bool { got = append(got, i); return len(got) < some })
				if want := order[:min(len(order), max(some, 1))]; !slices.Equal(want, got) || whole != (len(order) == 0 || some > len(order)) {
					t.Fatalf("the first %d in order are %v, the whole %v, want %v", some, got, whole, want)
				}
				got = nil
				f := Filter{&marks, rapid.Uint64Range(0, 7).Draw(t, "any")}
				most := rapid.SampledFrom([]int{1, 3, 1000}).Draw(t, "most")
				steps, whole := tr.InOrder(need, f, most, func(i int32) bool { got = append(got, i); return true })
				want := slices.DeleteFunc(slices.Clone(order), func(i int32) bool { return marked[i]&f.Any == 0 })
				if whole && !slices.Equal(want, got) || !whole && (most == 1000 || steps != most || !slices.Equal(want[:len(got)], got)) {
					t.Fatalf("of marks %b there are %v in %d steps, want %v", f.Any, got, steps, want)
				}
				tr.Each(need, func(i int32) bool { seen = append(seen, i); return true })
				slices.Sort(seen)
				slices.Sort(order)
				if !slices.Equal(order, seen) || numbers.Len() != len(leaves) {
					t.Fatalf("each visits %v, want %v", seen, order)
				}
			},
		})
	})
}
