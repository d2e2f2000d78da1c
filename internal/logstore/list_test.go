package logstore_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/logstore"
)

func TestList(t *testing.T) {
	s, _ := fresh(t, logstore.Options{})
	size := map[string]int64{}
	put := func(names ...string) {
		for _, name := range names {
			size[name] = add(t, s, ref(name), size[name], out(1, "x"))
		}
	}
	put("7.map.0@1", "7.map.1@1", "6.a@1", "7.map.10@1", "7.map.1@2", "8.z@1")
	flush(t, s)
	put("7.map.2@1", "7.a@1", "7.map.0@1")
	flush(t, s)
	put("7.map.3@1", "7.zz@1", "7.map.0@1")
	seal(t, s, ref("7.map.1@1"), size["7.map.1@1"])
	all := []string{"7.a@1", "7.map.0@1", "7.map.1@1", "7.map.1@2", "7.map.2@1", "7.map.3@1", "7.map.10@1", "7.zz@1"}
	tests := []struct {
		under string
		limit int
		want  []string
	}{
		{"7", 100, all},
		{"7", 3, all},
		{"7", 1, all},
		{"7.map", 100, all[1:7]},
		{"7.map", 2, all[1:7]},
		{"7.map.1", 100, all[2:4]},
		{"7.map.1@2", 100, all[3:4]},
		{"7.ma", 100, nil},
		{"8", 100, []string{"8.z@1"}},
		{"9", 100, nil},
	}
	for _, tt := range tests {
		for _, packed := range []bool{false, true} {
			if packed {
				flush(t, s)
			}
			var got []string
			after := job.Ref{}
			for {
				page, err := s.List(t.Context(), ref(tt.under), after, tt.limit)
				if err != nil {
					t.Fatal(err)
				}
				for _, i := range page {
					got = append(got, i.Ref.String())
					if want := (logstore.Info{Ref: i.Ref, Size: size[i.Ref.String()], Sealed: i.Ref == ref("7.map.1@1")}); i != want {
						t.Errorf("%s: %+v, want %+v", tt.under, i, want)
					}
				}
				if len(page) < tt.limit {
					break
				}
				after = page[len(page)-1].Ref
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("List(%s) by %d, packed %v:\n%s", tt.under, tt.limit, packed, diff)
			}
		}
	}
	if _, err := s.List(t.Context(), job.Ref{}, job.Ref{}, 10); err == nil {
		t.Error("listing no job was answered")
	}
}

func TestListOfAWideArray(t *testing.T) {
	s, _ := fresh(t, logstore.Options{SegmentBytes: 30_000})
	const n = 3000
	for i := range n {
		r := job.Ref{Job: 5, Task: "map", Index: int64(i * 7 % n), Attempt: 1}
		add(t, s, r, 0, out(1, "x"))
	}
	flush(t, s)
	if s.Stats().Packs < 3 {
		t.Fatal("the test wants several packs")
	}
	var got []int64
	after := job.Ref{}
	for {
		page, err := s.List(t.Context(), ref("5.map"), after, logstore.MaxList+1)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, i := range page {
			got = append(got, i.Ref.Index)
		}
		after = page[len(page)-1].Ref
	}
	if len(got) != n || !slices.IsSorted(got) || got[n-1] != n-1 {
		t.Errorf("%d elements listed", len(got))
	}
}
