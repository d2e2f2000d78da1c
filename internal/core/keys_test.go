package core

import (
	"testing"

	"github.com/reeve-scheduler/reeve/internal/element"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/jobfile"
)

// TestKeysThatMeet: two keys with one hash are two keys, whichever job goes first.
func TestKeysThatMeet(t *testing.T) {
	const a, b = "8yn0iYCKYHlIj4-BwPqk", "GReLUrM4wMqfg9yzV3KQ"
	if (nameKey{"n", a}).hash() != (nameKey{"n", b}).hash() || (nameKey{"n", a}).hash() == (nameKey{"m", a}).hash() {
		t.Fatal("want keys that meet within a namespace, and not across")
	}
	s := New(Config{})
	space := &namespace{name: "n"}
	add := func(key string) *jobState {
		j := s.newJob(1)
		j.id, j.queue, j.key = s.nextJob, &queue{space: space, name: "q"}, key
		s.nextJob++
		s.jobs.put(j)
		s.addKey(j)
		return j
	}
	drop := func(j *jobState) {
		s.dropKey(j)
		s.jobs.drop(j.id)
	}
	expect := func(key string, want *jobState) {
		t.Helper()
		if got := s.keyed(nameKey{"n", key}); got != want {
			t.Errorf("key %s stands for %+v, want %+v", key, got, want)
		}
	}
	first, second := add(a), add(b)
	expect(a, first)
	expect(b, second)
	expect("c", nil)
	drop(first)
	expect(a, nil)
	expect(b, second)
	third := add(a)
	expect(a, third)
	expect(b, second)
	drop(second)
	expect(b, nil)
	expect(a, third)
	drop(third)
	if len(s.keys.hashes)+len(s.keys.names) > 0 {
		t.Errorf("left behind: %+v", s.keys)
	}
}

// TestJobTable: jobs are found by id, go through in order, and leave nothing.
func TestJobTable(t *testing.T) {
	s := New(Config{})
	var ids []uint64
	for _, id := range []uint64{1, 63, 64, 65, 1000, 7 * pageLen, 1 << 60} {
		j := s.newJob(1)
		j.id = job.ID(id)
		s.jobs.put(j)
	}
	for j := range s.jobs.all {
		ids = append(ids, uint64(j.id))
	}
	for i := 1; i < len(ids); i++ {
		if ids[i] <= ids[i-1] {
			t.Fatalf("out of order: %d", ids)
		}
	}
	if s.jobs.len() != 7 || len(ids) != 7 || s.jobs.get(2) != nil || s.jobs.get(1000).id != 1000 {
		t.Errorf("%d jobs, %d", s.jobs.len(), ids)
	}
	for n := range uint64(100) { // many pages come and go
		j := s.newJob(2)
		j.id = job.ID(1<<20 + n*pageLen)
		s.jobs.put(j)
		s.jobs.drop(j.id)
	}
	for _, id := range ids {
		s.jobs.drop(job.ID(id))
	}
	if s.jobs.len() != 0 || len(s.jobs.pages) != 0 || len(s.jobs.order) > 20 {
		t.Errorf("left behind: %+v", s.jobs)
	}
}

// TestWhatARetryAdds to what waits: of an array that was worked out the elements that are not
// carried over, however many those are.
func TestWhatARetryAdds(t *testing.T) {
	l := testLab(t)
	file, err := jobfile.Parse("", []byte("tasks:\n  a: {run: 'true'}\n  b: {run: 'true', needs: a, array: '${{ tasks.a.outputs.n }}'}\n"))
	if err != nil {
		t.Fatal(err)
	}
	one := Carry{Task: 0, Count: 1, Spans: []element.Span{{}}}
	for want, carry := range map[int64][]Carry{
		2: nil,
		5: {one, {Task: 1, Count: 7, Spans: []element.Span{{First: 2, Last: 3}}}},
		0: {one, {Task: 1, Count: 7, Spans: []element.Span{{Last: 6}}}},
	} {
		a := l.s.newAdmission(l.s.spaces[DefaultName], file.Spec)
		if _, err := a.take(&Submit{Items: []Item{{Carry: carry}}}, 0); err != nil || a.sum != want {
			t.Errorf("with %+v %d more would wait (%v); want %d", carry, a.sum, err, want)
		}
	}
}
