package element

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// modelSet is a set that is plain to see.
type modelSet map[int64]bool

func (m modelSet) sorted() []int64 {
	out := make([]int64, 0, len(m))
	for p := range m {
		out = append(out, p)
	}
	slices.Sort(out)
	return out
}

func (m modelSet) next(p int64) int64 {
	for _, q := range m.sorted() {
		if q >= p {
			return q
		}
	}
	return -1
}

// position favours the edges of words and chunks.
func position(n int64) *rapid.Generator[int64] {
	edges := []int64{0, 1, 63, 64, ChunkSize - 1, ChunkSize, ChunkSize + 1, 3*ChunkSize - 1, 3 * ChunkSize}
	edges = slices.DeleteFunc(edges, func(p int64) bool { return p >= n })
	return rapid.OneOf(rapid.SampledFrom(edges), rapid.Int64Range(0, n-1), rapid.Int64Range(0, min(n-1, 20)))
}

func TestSetIsASet(t *testing.T) {
	const n = 4 * ChunkSize
	rapid.Check(t, func(t *rapid.T) {
		var set Set
		model := modelSet{}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				p := position(n).Draw(t, "p")
				if got := set.Add(p); got == model[p] {
					t.Fatalf("Add(%d) = %v", p, got)
				}
				model[p] = true
			},
			"remove": func(t *rapid.T) {
				p := position(n).Draw(t, "p")
				if got := set.Remove(p); got != model[p] {
					t.Fatalf("Remove(%d) = %v", p, got)
				}
				delete(model, p)
			},
			"min": func(t *rapid.T) {
				if got, want := set.Min(), model.next(0); got != want {
					t.Fatalf("Min = %d, want %d", got, want)
				}
			},
			"take": func(*rapid.T) {
				if p := set.Min(); p >= 0 {
					set.Remove(p)
					delete(model, p)
				}
			},
			"": func(t *rapid.T) {
				if set.Len() != int64(len(model)) {
					t.Fatalf("Len = %d, want %d", set.Len(), len(model))
				}
				p := rapid.Int64Range(-2, n+2).Draw(t, "from")
				if got, want := set.Next(p), model.next(p); got != want {
					t.Fatalf("Next(%d) = %d, want %d", p, got, want)
				}
				if set.Has(p) != model[p] {
					t.Fatalf("Has(%d) = %v", p, set.Has(p))
				}
			},
		})
		checkSpans(t, &set, model, n)
	})
}

func checkSpans(t *rapid.T, set *Set, model modelSet, n int64) {
	spans := set.Spans()
	if err := CheckSpans(spans, n); err != nil {
		t.Fatal(err)
	}
	var listed []int64
	for i, s := range spans {
		if i > 0 && spans[i-1].Last+1 == s.First {
			t.Fatalf("spans %v and %v are one", spans[i-1], s)
		}
		if s.Len() != s.Last-s.First+1 {
			t.Fatalf("%v has length %d", s, s.Len())
		}
		for p := s.First; p <= s.Last; p++ {
			listed = append(listed, p)
		}
	}
	if !slices.Equal(listed, model.sorted()) {
		t.Fatalf("spans list %v, want %v", listed, model.sorted())
	}
}

func TestSetGivesItsMemoryBack(t *testing.T) {
	var set Set
	for p := range int64(3 * ChunkSize) {
		set.Add(p)
	}
	for p := range int64(3 * ChunkSize) {
		set.Remove(p)
	}
	for c, chunk := range set.chunks {
		if chunk != nil {
			t.Errorf("chunk %d stays though the set is empty", c)
		}
	}
	if set.Min() != -1 || set.Next(0) != -1 || set.Spans() != nil {
		t.Error("an emptied set has members")
	}
	set.Add(5)
	if set.Min() != 5 {
		t.Errorf("Min = %d after the set was empty, want 5", set.Min())
	}
}

func TestCheckSpans(t *testing.T) {
	tests := map[string]struct {
		spans []Span
		want  string
	}{
		"none":         {nil, ""},
		"one":          {[]Span{{0, 9}}, ""},
		"two, meeting": {[]Span{{0, 3}, {4, 9}}, ""},
		"negative":     {[]Span{{-1, 3}}, "positions -1 to 3 are not in order within 10"},
		"backward":     {[]Span{{4, 3}}, "positions 4 to 3 are not in order within 10"},
		"past the end": {[]Span{{0, 10}}, "positions 0 to 10 are not in order within 10"},
		"overlapping":  {[]Span{{0, 3}, {3, 4}}, "positions 3 to 4 are not in order within 10"},
		"out of order": {[]Span{{5, 6}, {0, 1}}, "positions 0 to 1 are not in order within 10"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := ""
			if err := CheckSpans(test.spans, 10); err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
