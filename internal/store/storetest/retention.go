package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/reeve-scheduler/reeve/internal/store"
)

var retentionTests = []test{
	{"of nothing drops nothing", func(t *testing.T, o Opened) {
		retain(t, o, epoch, 0)
		flush(t, o, store.Flush{Seq: 1, Jobs: []store.JobRow{live(1, 1, "x")}, Specs: []store.SpecRow{spec("x")}})
		retain(t, o, epoch+1000*day, 0)
	}},
	{"drops a day whose jobs are all past", func(t *testing.T, o Opened) {
		f := days(2, 10, func(uint64) int64 { return 5 * day })
		flush(t, o, f)
		retain(t, o, epoch, 0)
		retain(t, o, f.Jobs[9].KeepUntil+1, 10)
		gone(t, o, f.Jobs[:10]...)
		stay(t, o, f.Jobs[10:]...)
		retain(t, o, f.Jobs[9].KeepUntil+1, 0)
	}},
	{"keeps a job to its last moment", func(t *testing.T, o Opened) {
		f := days(1, 1, func(uint64) int64 { return day })
		flush(t, o, f)
		retain(t, o, f.Jobs[0].KeepUntil, 0)
		stay(t, o, f.Jobs[0])
		retain(t, o, f.Jobs[0].KeepUntil+1, 1)
		gone(t, o, f.Jobs[0])
	}},
	{"keeps jobs that are kept longer", func(t *testing.T, o Opened) {
		f := days(2, 10, func(id uint64) int64 {
			if id <= 4 {
				return 100 * day
			}
			return day
		})
		flush(t, o, f)
		retain(t, o, epoch+50*day, 16)
		stay(t, o, f.Jobs[:4]...)
		gone(t, o, f.Jobs[4:]...)
		retain(t, o, epoch+200*day, 4)
		gone(t, o, f.Jobs...)
	}},
	{"rewrites a day once half is past", func(t *testing.T, o Opened) {
		f := days(1, 10, func(id uint64) int64 { return int64(id) * day })
		flush(t, o, f)
		// With four of ten past an implementation may drop them or wait.
		n, err := o.Tables.Retain(t.Context(), time.UnixMilli(f.Jobs[3].KeepUntil+1), nil)
		check(t, err)
		stay(t, o, f.Jobs[4:]...)
		m, err := o.Tables.Retain(t.Context(), time.UnixMilli(f.Jobs[4].KeepUntil+1), nil)
		check(t, err)
		if n+m != 5 {
			t.Errorf("%d and then %d jobs dropped, want 5 in all", n, m)
		}
		gone(t, o, f.Jobs[:5]...)
		stay(t, o, f.Jobs[5:]...)
	}},
	{"never drops a live job", liveJobsStay},
	{"keeps a spec as long as a job has it", func(t *testing.T, o Opened) {
		f := store.Flush{Seq: 1, Specs: []store.SpecRow{spec("shared"), spec("own")}}
		for id := uint64(1); id <= 4; id++ {
			f.Jobs = append(f.Jobs, ended(live(id, 1, "shared"), 1, day))
		}
		f.Jobs[0] = ended(live(1, 1, "own"), 1, day)
		f.Jobs[3].KeepUntil += 100 * day
		flush(t, o, f)
		retain(t, o, epoch+50*day, 3)
		got, err := o.History.Spec(t.Context(), 4, spec("shared").Hash)
		check(t, err)
		diff(t, "spec", got, spec("shared").Blob)
		_, err = o.History.Spec(t.Context(), 1, spec("own").Hash)
		wants(t, "the spec of a job that is gone", err, store.ErrNotFound)
	}},
	{"lets the day go on", func(t *testing.T, o Opened) {
		f := days(1, 10, func(uint64) int64 { return 0 })
		flush(t, o, f)
		retain(t, o, epoch+day/4, 10)
		next := live(11, 2, "x")
		flush(t, o, store.Flush{Seq: 2, Jobs: []store.JobRow{next}, Specs: []store.SpecRow{spec("x")}})
		gone(t, o, f.Jobs...)
		got, _, err := o.History.Job(t.Context(), 11)
		check(t, err)
		diff(t, "job", got, next)
		flush(t, o, store.Flush{Seq: 3, Jobs: []store.JobRow{ended(next, 3, 0)}})
		retain(t, o, epoch+day/4, 1)
		gone(t, o, next)
	}},
	{"notices jobs that end later", func(t *testing.T, o Opened) {
		f := store.Flush{Seq: 1, Specs: []store.SpecRow{spec("x")}}
		for id := uint64(1); id <= 10; id++ {
			f.Jobs = append(f.Jobs, live(id, 1, "x"))
		}
		f.Jobs[0] = ended(f.Jobs[0], 1, 0)
		flush(t, o, f)
		now := epoch + 10*day
		_, err := o.Tables.Retain(t.Context(), time.UnixMilli(now), nil)
		check(t, err)
		late := store.Flush{Seq: 2}
		for _, j := range f.Jobs[1:6] {
			late.Jobs = append(late.Jobs, ended(j, 2, 0))
		}
		flush(t, o, late)
		_, err = o.Tables.Retain(t.Context(), time.UnixMilli(now), nil)
		check(t, err)
		gone(t, o, f.Jobs[:6]...)
		l, _ := load(t, o)
		diff(t, "live jobs", ids(l.Jobs), []uint64{7, 8, 9, 10})
	}},
	{"survives reopening", func(t *testing.T, o Opened) {
		f := days(3, 10, func(id uint64) int64 { return int64(id) * day })
		add(t, o, batch(1, "what the flush covers"))
		flush(t, o, f)
		_, err := o.Tables.Retain(t.Context(), time.UnixMilli(f.Jobs[16].KeepUntil+1), nil)
		check(t, err)
		o = o.Reopen(t)
		gone(t, o, f.Jobs[:17]...)
		stay(t, o, f.Jobs[17:]...)
	}},
}

// days makes a flush of finished jobs with ids from 1, n on each of some days, each
// with a part, a key of its own and the spec "x", kept for keep(id) milliseconds.
func days(count, n int, keep func(id uint64) int64) store.Flush {
	f := store.Flush{Seq: 1, Specs: []store.SpecRow{spec("x")}}
	for i := range count * n {
		id := uint64(i + 1)
		j := live(id, 1, "x")
		j.Submitted = epoch + int64(i/n)*day
		j.KeyHash, j.Payload = 1000+id, payloadOf(id)
		f.Jobs = append(f.Jobs, ended(j, 1, keep(id)))
		f.Parts = append(f.Parts, part(store.PartAttempt, id, 0, 1, 1), part(store.PartOutput, id, 0, 1, 1))
	}
	return f
}

func payloadOf(id uint64) []byte { return fmt.Appendf(nil, "payload of %d", id) }

// retain runs retention at a moment and compares how many jobs it dropped.
func retain(t *testing.T, o Opened, now int64, want int) {
	t.Helper()
	told := map[uint64]bool{}
	got, err := o.Tables.Retain(t.Context(), time.UnixMilli(now), func(ids []uint64) error {
		for _, id := range ids {
			if _, _, err := o.History.Job(t.Context(), id); err != nil {
				t.Errorf("job %d is announced as going after it went: %v", id, err)
			}
			told[id] = true
		}
		return nil
	})
	check(t, err)
	if got != want || len(told) != want {
		t.Errorf("Retain dropped %d jobs and announced %d, want %d", got, len(told), want)
	}
}

// stay holds that jobs made by days are all there.
func stay(t *testing.T, o Opened, jobs ...store.JobRow) {
	t.Helper()
	for _, want := range jobs {
		got, _, err := o.History.Job(t.Context(), want.ID)
		check(t, err)
		want.Payload = nil // it has a call of its own
		diff(t, fmt.Sprint("job ", want.ID), got, want)
		rows, _, err := o.History.JobsByKey(t.Context(), store.Latest, []uint64{want.KeyHash})
		check(t, err)
		diff(t, "jobs by its key", ids(rows), []uint64{want.ID})
		parts, err := o.History.Parts(t.Context(), want.ID, 0, store.PartAttempt, 0, 10)
		check(t, err)
		diff(t, "its parts", parts, []store.PartRow{part(store.PartAttempt, want.ID, 0, 1, 1)})
		blob, err := o.History.Spec(t.Context(), want.ID, want.Spec)
		check(t, err)
		diff(t, "its spec", blob, spec("x").Blob)
		diff(t, "its payload", payloads(t, o, want.ID)[want.ID], payloadOf(want.ID))
	}
}

// gone holds that nothing is left of jobs.
func gone(t *testing.T, o Opened, jobs ...store.JobRow) {
	t.Helper()
	listed := make(map[uint64]bool)
	for _, j := range jobsOf(t, o, store.Query{Limit: store.MaxPage}) {
		listed[j.ID] = true
	}
	for _, j := range jobs {
		_, _, err := o.History.Job(t.Context(), j.ID)
		wants(t, fmt.Sprint("job ", j.ID), err, store.ErrNotFound)
		if listed[j.ID] {
			t.Errorf("job %d is still listed", j.ID)
		}
		rows, _, err := o.History.JobsByKey(t.Context(), store.Latest, []uint64{j.KeyHash})
		check(t, err)
		diff(t, "jobs by its key", ids(rows), []uint64(nil))
		parts, err := o.History.Parts(t.Context(), j.ID, 0, store.PartAttempt, 0, 10)
		check(t, err)
		diff(t, "its parts", parts, []store.PartRow(nil))
		diff(t, "its payload", payloads(t, o, j.ID), map[uint64][]byte{})
	}
}

func liveJobsStay(t *testing.T, o Opened) {
	f := days(2, 10, func(uint64) int64 { return day })
	survivor := live(5, 1, "y")
	f.Jobs[4] = survivor
	f.Parts = append(f.Parts, part(store.PartChunk, 5, 0, 0, 1))
	f.Specs = append(f.Specs, spec("y"))
	flush(t, o, f)
	retain(t, o, epoch+500*day, 19)
	gone(t, o, f.Jobs[:4]...)
	gone(t, o, f.Jobs[5:]...)
	l, _ := load(t, o)
	diff(t, "live jobs", l.Jobs, []store.JobRow{survivor})
	diff(t, "parts", l.Parts, []store.PartRow{part(store.PartChunk, 5, 0, 0, 1), part(store.PartOutput, 5, 0, 1, 1)})
	if len(l.Specs) != 1 {
		t.Errorf("%d specs, want the live job's", len(l.Specs))
	}
	retain(t, o, epoch+501*day, 0)

	flush(t, o, store.Flush{
		Seq: 2, Jobs: []store.JobRow{ended(survivor, 2, day)},
		Parts: []store.PartRow{part(store.PartChunk, 5, 0, 1, 2)},
	})
	got, _, err := o.History.Job(t.Context(), 5)
	check(t, err)
	diff(t, "job", got, ended(survivor, 2, day))
	retain(t, o, epoch+502*day, 1)
	gone(t, o, survivor)
}
