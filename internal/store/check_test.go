package store_test

import (
	"errors"
	"math"
	"testing"

	"github.com/reeve-scheduler/reeve/internal/store"
)

func TestCheck(t *testing.T) {
	const over = math.MaxInt64 + 1
	jobs := func(ids ...uint64) (rows []store.JobRow) {
		for _, id := range ids {
			rows = append(rows, store.JobRow{ID: id})
		}
		return rows
	}
	tests := []struct {
		name    string
		check   interface{ Check() error }
		refused bool
	}{
		{"first batch", &store.Batch{Seq: 1}, false},
		{"largest batch", &store.Batch{Seq: 1, Payload: make([]byte, store.MaxBatch)}, false},
		{"batch 0", &store.Batch{}, true},
		{"batch sequence out of range", &store.Batch{Seq: over}, true},
		{"epoch out of range", &store.Batch{Seq: 1, Epoch: over}, true},
		{"batch too large", &store.Batch{Seq: 1, Payload: make([]byte, store.MaxBatch+1)}, true},
		{"empty flush", &store.Flush{}, false},
		{"rising jobs", &store.Flush{Jobs: jobs(1, 2, 9)}, false},
		{"job 0", &store.Flush{Jobs: jobs(0)}, true},
		{"job twice", &store.Flush{Jobs: jobs(3, 3)}, true},
		{"falling jobs", &store.Flush{Jobs: jobs(3, 2)}, true},
		{"job out of range", &store.Flush{Jobs: jobs(over)}, true},
		{"job's change out of range", &store.Flush{Jobs: []store.JobRow{{ID: 1, Changed: over}}}, true},
		{"flush out of range", &store.Flush{Seq: over}, true},
		{"object out of range", &store.Flush{Objects: []store.ObjectRow{{Changed: over}}}, true},
		{"part", &store.Flush{Parts: []store.PartRow{{Job: 1, Kind: store.PartOutput}}}, false},
		{"part of no kind", &store.Flush{Parts: []store.PartRow{{Job: 1}}}, true},
		{"part of unknown kind", &store.Flush{Parts: []store.PartRow{{Job: 1, Kind: 4}}}, true},
		{"part out of range", &store.Flush{Parts: []store.PartRow{{Job: 1, Kind: 1, N: over}}}, true},
		{"page of one", &store.Query{Limit: 1}, false},
		{"largest page", &store.Query{Limit: store.MaxPage}, false},
		{"no limit", &store.Query{}, true},
		{"page too large", &store.Query{Limit: store.MaxPage + 1}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.check.Check()
			if got := errors.Is(err, store.ErrRefused); got != tt.refused || (err != nil) != tt.refused {
				t.Errorf("Check() = %v, want refused = %v", err, tt.refused)
			}
		})
	}
}

func TestMatch(t *testing.T) {
	row := store.JobRow{
		ID: 7, Namespace: "default", Queue: "night", Name: "etl", State: 3,
		Submitted: 1000, Ended: 1500, KeepUntil: 2000,
		Labels: []string{"bare", "team=data", "tier=a=b"},
	}
	tests := []struct {
		name string
		q    store.Query
		want bool
	}{
		{"all", store.Query{}, true},
		{"below", store.Query{Below: 8}, true},
		{"not below", store.Query{Below: 7}, false},
		{"namespace", store.Query{Namespace: "default"}, true},
		{"other namespace", store.Query{Namespace: "other"}, false},
		{"queue", store.Query{Queue: "night"}, true},
		{"other queue", store.Query{Queue: "nigh"}, false},
		{"name", store.Query{Name: "etl"}, true},
		{"other name", store.Query{Name: "ETL"}, false},
		{"state", store.Query{States: []uint8{1, 3}}, true},
		{"other states", store.Query{States: []uint8{1, 2}}, false},
		{"after is inclusive", store.Query{After: 1000}, true},
		{"after", store.Query{After: 1001}, false},
		{"before is exclusive", store.Query{Before: 1000}, false},
		{"before", store.Query{Before: 1001}, true},
		{"kept at its last moment", store.Query{Now: 2000}, true},
		{"past", store.Query{Now: 2001}, false},
		{"label", store.Query{Labels: []string{"team=data"}}, true},
		{"label key", store.Query{Labels: []string{"team"}}, true},
		{"label without a value", store.Query{Labels: []string{"bare"}}, true},
		{"label with = in its value", store.Query{Labels: []string{"tier=a=b"}}, true},
		{"prefix of a value", store.Query{Labels: []string{"tier=a"}}, false},
		{"prefix of a key", store.Query{Labels: []string{"tea"}}, false},
		{"one of two labels", store.Query{Labels: []string{"team", "absent"}}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.q.Match(&row); got != tt.want {
				t.Errorf("Match = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestLiveJobsAreNeverPast(t *testing.T) {
	live := store.JobRow{ID: 1, Live: true}
	if live.Past(math.MaxInt64) {
		t.Error("a live job is past")
	}
}
