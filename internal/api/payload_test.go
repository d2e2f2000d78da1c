package api

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"

	reevev1 "github.com/reeve-scheduler/reeve/gen/reeve/v1"
)

// given submits a job of a file with each of payloads.
func (r *rig) given(c *clients, text string, payloads ...string) (ids []job.ID) {
	r.t.Helper()
	q := file(text)
	for _, p := range payloads {
		item := &reevev1.SubmitItem{}
		if p != "" {
			item.Payload = []byte(p)
		}
		q.Items = append(q.Items, item)
	}
	for _, j := range do(r.t, c.jobs.Submit, q).GetJobs() {
		id, err := job.ParseID(j.GetId())
		if err != nil {
			r.t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

// awayAll waits until memory has none of the jobs' payloads.
func (r *rig) awayAll(ids ...job.ID) {
	r.t.Helper()
	limit := time.After(patience)
	for away := false; !away; {
		away = true
		if err := r.leader.View(r.t.Context(), func(state *core.State) {
			for _, id := range ids {
				m, ok := state.Image(id)
				away = away && ok && m.Away && m.Payload == nil
			}
		}); err != nil {
			r.t.Fatal(err)
		}
		select {
		case <-limit:
			r.t.Fatal("the payloads stay in memory")
		case <-time.After(time.Millisecond):
		}
	}
}

// TestPayloadsComeFromTheTables, whatever memory held of them, for first attempts and later
// ones, for elements of arrays, and for retries of the job.
func TestPayloadsComeFromTheTables(t *testing.T) {
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprintf("restart=%v", restart), func(t *testing.T) {
			r := newRig(t)
			c := r.as(r.admin)
			again := func() {
				if restart {
					r.restart()
				}
			}
			ids := r.given(c, "run: \"true\"\nretry: {max_attempts: 2, delay: 1ms}\n", "one", "", "three")
			array := r.given(c, "tasks: {a: {array: 0-2, run: \"true\"}}\n", "of all elements")
			r.awayAll(ids[0], ids[2], array[0])
			again()
			w := r.join(c, "w1", 16)
			take := func(n int) (attempts []*reevev1.Assignment) {
				t.Helper()
				var got []string
				for range n {
					a := w.take()
					attempts = append(attempts, a)
					got = append(got, fmt.Sprintf("%d.%d@%d %q", a.GetJob(), a.GetIndex(), a.GetAttempt(), a.GetPayload()))
					if (a.GetPayload() == nil) != (a.GetJob() == uint64(ids[1])) {
						t.Errorf("attempt %s", got[len(got)-1])
					}
				}
				slices.Sort(got)
				var expected []string
				for _, a := range attempts {
					p := map[job.ID]string{ids[0]: "one", ids[2]: "three", array[0]: "of all elements"}[job.ID(a.GetJob())]
					expected = append(expected, fmt.Sprintf("%d.%d@%d %q", a.GetJob(), a.GetIndex(), a.GetAttempt(), p))
				}
				slices.Sort(expected)
				if !slices.Equal(got, expected) {
					t.Errorf("the worker got\n%q\nwant\n%q", got, expected)
				}
				return attempts
			}
			for _, a := range take(6) {
				code := int32(0)
				if a.GetJob() == uint64(ids[0]) {
					code = 1
				}
				w.report(ended(a, code, ""))
			}
			second := take(1)[0]
			if second.GetAttempt() != 2 {
				t.Fatalf("attempt %d", second.GetAttempt())
			}
			w.report(ended(second, 1, ""))
			r.ends(c, ids[0].String(), "failed")
			r.ends(c, array[0].String(), "succeeded")
			again()
			if restart {
				w = r.join(c, "w1", 16)
			}
			first := ids[0]
			id, err := job.ParseID(do(t, c.jobs.Retry, &reevev1.RetryRequest{Id: first.String()}).GetId())
			if err != nil {
				t.Fatal(err)
			}
			ids[0] = id
			if got := take(1)[0]; got.GetJob() != uint64(id) {
				t.Errorf("job %d came, want %d, the retry", got.GetJob(), id)
			}
		})
	}
}

// TestParametersAreShownOfWhatIsAway.
func TestParametersAreShownOfWhatIsAway(t *testing.T) {
	r := newRig(t)
	c := r.as(r.admin)
	q := file("params: {day: {}}\nrun: \"true\"\n")
	q.Items = []*reevev1.SubmitItem{{Params: params(t, map[string]any{"day": "monday"}), Payload: []byte("x")}}
	id := do(t, c.jobs.Submit, q).GetJobs()[0].GetId()
	n, err := job.ParseID(id)
	if err != nil {
		t.Fatal(err)
	}
	r.awayAll(n)
	for range 2 {
		if got := do(t, c.jobs.Get, &reevev1.GetRequest{Id: id}).GetJob().GetParams().GetFields()["day"].GetStringValue(); got != "monday" {
			t.Errorf("the parameter is %q", got)
		}
		r.restart()
	}
}
