package job

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestParseRanges(t *testing.T) {
	for _, c := range []struct {
		text, normal string
		throttle     int64
		ranges       []Range
	}{
		{"0-31", "0-31", 0, []Range{{0, 31, 1}}},
		{"7", "7", 0, []Range{{7, 7, 1}}},
		{"1,3,5", "1,3,5", 0, []Range{{1, 1, 1}, {3, 3, 1}, {5, 5, 1}}},
		{"1-8:2", "1-7:2", 0, []Range{{1, 7, 2}}},
		{"0-999%4", "0-999", 4, []Range{{0, 999, 1}}},
		{"5,4, 1-2,3", "1-5", 0, []Range{{1, 5, 1}}},
		{"3-4:9", "3", 0, []Range{{3, 3, 1}}},
		{"0-9:3,20-21", "0-9:3,20-21", 0, []Range{{0, 9, 3}, {20, 21, 1}}},
		{"2147483647", "2147483647", 0, []Range{{MaxIndex, MaxIndex, 1}}},
		{"0-9999999", "0-9999999", 0, []Range{{0, MaxElements - 1, 1}}},
	} {
		ranges, throttle, err := ParseRanges(c.text)
		if err != nil || throttle != c.throttle || !cmp.Equal(ranges, c.ranges) || FormatRanges(ranges) != c.normal {
			t.Errorf("ParseRanges(%q) = %v (%s), %d, %v, want %v (%s), %d", c.text, ranges, FormatRanges(ranges), throttle, err, c.ranges, c.normal, c.throttle)
		}
	}
	for text, want := range map[string]string{
		"": "not an index", "a": "not an index", "-5": "not an index", "5-": "not an index", "1,,2": "not an index", "3-1": "ends before", "1:2": "no end",
		"1-5:0": "at least 1", "0-5,3": "overlap", "1-9:2,4": "overlap", "1,1": "overlap", "0-5%": "throttle", "0-5%0": "throttle", "0-5%x": "throttle",
		"2147483648": "not an index", "0-10000000": "more than 10000000", "99999999999999999999": "not an index", "+1": "not an index", "1-2-3": "not an index",
		"0-5%4%5": "throttle", "0-2147483647,5": "more than", strings.Repeat("1,", 200_000) + "1": "parts",
	} {
		if _, _, err := ParseRanges(text); err == nil || !strings.Contains(err.Error(), want) || len(err.Error()) > 300 {
			t.Errorf("ParseRanges(%.20q) fails with %v, want %q in one short line", text, err, want)
		}
	}
}

// TestArrayPositions: Index and Position are each other's inverse, and indexes
// rise.
func TestArrayPositions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := &Array{}
		var next int64
		for range rapid.IntRange(1, 5).Draw(t, "parts") {
			r := Range{First: next + rapid.Int64Range(0, 3).Draw(t, "gap"), Step: rapid.Int64Range(1, 3).Draw(t, "step")}
			r.Last = r.First + r.Step*rapid.Int64Range(0, 4).Draw(t, "count")
			next = r.Last + 2
			a.Ranges = append(a.Ranges, r)
		}
		first, last := a.Bounds(a.Len())
		before := first - 1
		for position := range a.Len() {
			index := a.Index(position)
			if back, ok := a.Position(index); !ok || back != position || index <= before || index > last {
				t.Fatalf("position %d has index %d after %d, whose position is %d, %v", position, index, before, back, ok)
			}
			for missing := before + 1; missing < index; missing++ {
				if _, ok := a.Position(missing); ok {
					t.Fatalf("index %d has a position, but lies between %d and %d", missing, before, index)
				}
			}
			before = index
		}
		if _, ok := a.Position(last + 1); ok || before != last {
			t.Fatalf("the last index is %d, bounds say %d", before, last)
		}
	})
}

func TestArrayForms(t *testing.T) {
	var none *Array
	for _, c := range []struct {
		name        string
		array       *Array
		length      int64
		first, last int64
	}{
		{"no array", none, 1, NoIndex, NoIndex},
		{"items", &Array{Items: []string{"a", "b"}}, 2, 0, 1},
		{"blob", &Array{Blob: "x", Count: 9}, 9, 0, 8},
		{"expression", &Array{From: "${{ params.n }}"}, -1, 0, -2},
		{"ranges", &Array{Ranges: []Range{{3, 9, 3}}}, 3, 3, 9},
	} {
		first, last := c.array.Bounds(c.array.Len())
		if got := c.array.Len(); got != c.length || first != c.first || last != c.last {
			t.Errorf("%s: %d elements from %d to %d, want %d from %d to %d", c.name, got, first, last, c.length, c.first, c.last)
		}
	}
	if p, ok := none.Position(NoIndex); p != 0 || !ok || none.Index(0) != NoIndex {
		t.Errorf("a task that is no array has position %d, %v", p, ok)
	}
}

// FuzzRanges: what is understood has one spelling, is bounded, and keeps it.
func FuzzRanges(f *testing.F) {
	for _, text := range []string{"0-31", "1,3,5", "1-7:2", "0-999%4", "5,4,1-2,3", "0-9:3,20-21", "2147483647", "1-1:1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		ranges, _, err := ParseRanges(text)
		if err != nil {
			return
		}
		a := &Array{Ranges: ranges}
		if n := a.Len(); n < 1 || n > MaxElements {
			t.Fatalf("%q has %d elements", text, n)
		}
		again, _, err := ParseRanges(FormatRanges(ranges))
		if err != nil || !cmp.Equal(again, ranges) {
			t.Fatalf("%q is %v, spelled %q, read as %v, %v", text, ranges, FormatRanges(ranges), again, err)
		}
	})
}
