package api

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/record"
	"github.com/reeve-scheduler/reeve/internal/store"
	"github.com/reeve-scheduler/reeve/internal/store/memstore"

	reevev1 "github.com/reeve-scheduler/reeve/gen/reeve/v1"
)

// outputs reads a task's outputs as "index:value" words.
func outputs(t *testing.T, c *clients, id, task string) string {
	t.Helper()
	msgs, err := all(c.jobs.Outputs(t.Context(), connect.NewRequest(&reevev1.OutputsRequest{Id: id, Task: task})))
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, m := range msgs {
		for _, e := range m.GetElements() {
			words = append(words, fmt.Sprintf("%d:%s", e.GetIndex(), e.GetOutputs()["v"]))
		}
	}
	return strings.Join(words, " ")
}

// files lists a job's artifacts as "ref path" lines.
func files(t *testing.T, c *clients, ref string) string {
	t.Helper()
	var lines []string
	for _, a := range do(t, c.artifacts.List, &reevev1.ArtifactListRequest{Ref: ref}).GetArtifacts() {
		lines = append(lines, a.GetRef()+" "+a.GetPath())
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// leave stores a file of an attempt.
func leave(t *testing.T, c *clients, a *reevev1.Assignment, task, path, text string) {
	t.Helper()
	stream := c.artifacts.Put(t.Context())
	ref := fmt.Sprintf("%d.%s.%d@%d", a.GetJob(), task, a.GetIndex(), a.GetAttempt())
	if a.GetIndex() < 0 {
		ref = fmt.Sprintf("%d.%s@%d", a.GetJob(), task, a.GetAttempt())
	}
	for i, part := range []string{text[:len(text)/2], text[len(text)/2:]} {
		m := &reevev1.ArtifactPutRequest{Data: []byte(part), Last: i == 1}
		if i == 0 {
			m.Ref, m.Fence, m.Path, m.Proof = ref, a.GetFence(), path, a.GetProof()
		}
		if err := stream.Send(m); err != nil {
			break
		}
	}
	if _, err := stream.CloseAndReceive(); err != nil {
		t.Fatal(err)
	}
}

// TestRetriesShowWhatIsTheirs follows outputs and files over a chain of retries, in
// memory and in the tables: those of an element are of the job in which it ran, and
// an element that has yet to run has none.
func TestRetriesShowWhatIsTheirs(t *testing.T) {
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprintf("restart=%v", restart), func(t *testing.T) {
			r := newRig(t)
			c := r.as(r.admin)
			w := r.join(c, "w1", 6)
			again := func() {
				if restart {
					r.restart()
					w = r.join(c, "w1", 6)
				}
			}
			// run takes n attempts and ends each, elements of fail with exit 1. What
			// they leave has the round in it.
			run := func(n int, round string, fail ...int64) {
				for range n {
					a := w.take()
					code, out := int32(0), fmt.Sprintf(`{"v":"%s%d"}`, round, a.GetIndex())
					if slices.Contains(fail, a.GetIndex()) {
						code, out = 1, ""
					}
					if a.GetIndex() != 5 { // element 5 leaves nothing, ever
						leave(t, c, a, "a", round, "a file of "+round)
					} else {
						out = ""
					}
					w.report(ended(a, code, out))
				}
			}
			first := r.submit(c, "tasks: {a: {array: 0-5, run: \"true\", retry: {max_attempts: 1}}}\n")
			run(6, "x", 1, 2)
			r.ends(c, first, "failed")
			again()
			want(t, "the first job's outputs", outputs(t, c, first, "a"), "0:x0 3:x3 4:x4")

			second := do(t, c.jobs.Retry, &reevev1.RetryRequest{Id: first}).GetId()
			want(t, "before anything runs again", outputs(t, c, second, "a"), "0:x0 3:x3 4:x4")
			want(t, "before anything runs again", files(t, c, second), files(t, c, first+".a.0")+"\n"+files(t, c, first+".a.3")+"\n"+files(t, c, first+".a.4"))
			run(2, "y", 2)
			j := r.ends(c, second, "failed")
			if j.GetRetryOf() != first {
				t.Errorf("job %s retries %q, want %s", second, j.GetRetryOf(), first)
			}
			again()
			want(t, "after one succeeded", outputs(t, c, second, "a"), "0:x0 1:y1 3:x3 4:x4")

			third := do(t, c.jobs.Retry, &reevev1.RetryRequest{Id: second}).GetId()
			want(t, "a retry of a retry", outputs(t, c, third, "a"), "0:x0 1:y1 3:x3 4:x4")
		})
	}
}

func want(t *testing.T, what, got, want string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// TestRetryOfAll: with all, nothing is carried over, and nothing of the old job
// shows through.
func TestRetryOfAll(t *testing.T) {
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprintf("restart=%v", restart), func(t *testing.T) {
			r := newRig(t)
			c := r.as(r.admin)
			first := r.submit(c, "tasks: {a: {array: 0-2, run: \"true\"}, b: {needs: a, run: \"true\"}}\n")
			w := r.join(c, "w1", 4)
			for range 3 {
				a := w.take()
				leave(t, c, a, "a", "old", "old")
				w.report(ended(a, 0, `{"v":"old"}`))
			}
			b := w.take()
			leave(t, c, b, "b", "old", "old")
			w.report(ended(b, 0, `{"v":"old"}`))
			r.ends(c, first, "succeeded")
			if restart {
				r.restart()
				w = r.join(c, "w1", 4)
			}
			second := do(t, c.jobs.Retry, &reevev1.RetryRequest{Id: first, All: true}).GetId()
			want(t, "outputs before anything has run", outputs(t, c, second, "a"), "")
			want(t, "outputs of the single task before it has run", outputs(t, c, second, "b"), "-1:")
			want(t, "files before anything has run", files(t, c, second), "")
			for range 3 {
				a := w.take()
				if a.GetIndex() == 1 {
					w.report(ended(a, 0, "")) // this time it leaves nothing
					continue
				}
				leave(t, c, a, "a", "new", "new")
				w.report(ended(a, 0, `{"v":"new"}`))
			}
			last := w.take()
			want(t, "outputs while the job lives", outputs(t, c, second, "a"), "0:new 2:new")
			want(t, "files while the job lives", files(t, c, second), second+".a.0 new\n"+second+".a.2 new")
			w.report(ended(last, 0, ""))
			r.ends(c, second, "succeeded")
			if restart {
				r.restart()
			}
			want(t, "outputs in the end", outputs(t, c, second, "a"), "0:new 2:new")
			want(t, "files in the end", files(t, c, second), second+".a.0 new\n"+second+".a.2 new")
			want(t, "the old job's outputs", outputs(t, c, first, "a"), "0:old 1:old 2:old")
		})
	}
}

// TestCarriedOverTwice: an element that was carried over twice shows what it left in
// the job in which it ran, also of arrays that are longer than a window.
func TestCarriedOverTwice(t *testing.T) {
	r := newRig(t)
	c := r.as(r.admin)
	const n = window + 100
	id := r.submit(c, fmt.Sprintf("tasks: {a: {array: 0-%d, run: \"true\", retry: {max_attempts: 1}, max_fails: 100%%}}\n", n-1))
	w := r.join(c, "w1", n)
	round := func(count int, value string, fails func(i int64) bool) {
		for range count {
			a := w.take()
			if fails(a.GetIndex()) {
				w.report(ended(a, 1, ""))
			} else {
				w.report(ended(a, 0, `{"v":"`+value+`"}`))
			}
		}
	}
	round(n, "x", func(i int64) bool { return i%2 == 1 })
	r.ends(c, id, "failed")
	for i, value := range []string{"y", "z"} {
		id = do(t, c.jobs.Retry, &reevev1.RetryRequest{Id: id}).GetId()
		round([]int{n / 2, n / 4}[i], value, func(k int64) bool { return value == "y" && k%4 == 3 })
		if value == "y" {
			r.ends(c, id, "failed")
		}
	}
	r.ends(c, id, "succeeded")
	r.restart()
	var lines bytes.Buffer
	for i := range n {
		fmt.Fprintf(&lines, "%d:%s ", i, []string{"x", "y", "x", "z"}[i%4])
	}
	want(t, "the outputs of the third try", outputs(t, c, id, "a")+" ", lines.String())
}

// TestManyOutputs reads the outputs of an array with gaps, of which memory has some,
// the tables have some and both have some, page by page: each once.
func TestManyOutputs(t *testing.T) {
	const n = 4*window + 7
	at := func(p int64) core.OutputImage {
		return core.OutputImage{Job: 1, Position: p, Outputs: fmt.Appendf(nil, `{"v":"%d"}`, p)}
	}
	for name, has := range map[string]struct{ memory, tables func(p int64) bool }{
		"none":      {func(int64) bool { return false }, func(int64) bool { return false }},
		"memory":    {func(int64) bool { return true }, func(int64) bool { return false }},
		"tables":    {func(int64) bool { return false }, func(int64) bool { return true }},
		"both":      {func(int64) bool { return true }, func(int64) bool { return true }},
		"halves":    {func(p int64) bool { return p > n/2 }, func(p int64) bool { return p <= n/2+window }},
		"in turns":  {func(p int64) bool { return p%2 == 0 }, func(p int64) bool { return p%2 == 1 }},
		"with gaps": {func(p int64) bool { return p%700 == 3 }, func(p int64) bool { return p%900 == 4 }},
		"the last":  {func(p int64) bool { return p == n-1 }, func(int64) bool { return false }},
	} {
		t.Run(name, func(t *testing.T) {
			rows := record.NewRows()
			src := outputSource{f: &found{image: core.JobImage{ID: 1}, spec: &job.Spec{Tasks: []job.Task{{Name: "a", Array: &job.Array{Ranges: []job.Range{{First: 0, Last: n - 1, Step: 1}}}}}}}}
			var expected, got []int64
			for p := range int64(n) {
				if has.memory(p) {
					src.fresh = append(src.fresh, at(p))
				}
				if has.tables(p) {
					rows.Output(at(p), 1)
				}
				if has.memory(p) || has.tables(p) {
					expected = append(expected, p)
				}
			}
			s := &server{Options: Options{History: partHistory{memstore.New().History(), rows.Flush(0, store.Mark{Seq: 1}).Parts}}}
			src.carried = &carriedElements{s: s, f: src.f}
			for from := int64(0); from < n; {
				outs, upto, err := s.outputs(t.Context(), []outputSource{src}, 0, from, n)
				if err != nil || upto <= from || len(outs) > window {
					t.Fatalf("from %d: %d outputs to %d, %v", from, len(outs), upto, err)
				}
				for _, o := range outs {
					got = append(got, o.Position)
				}
				from = upto
			}
			if diff := cmp.Diff(expected, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// partHistory is a history of some parts.
type partHistory struct {
	store.History

	rows []store.PartRow
}

func (h partHistory) Parts(_ context.Context, _ uint64, _ uint32, _ store.PartKind, from uint64, limit int) ([]store.PartRow, error) {
	first, _ := slices.BinarySearchFunc(h.rows, from, func(r store.PartRow, n uint64) int { return int(r.N) - int(n) })
	return h.rows[first:min(first+limit, len(h.rows))], nil
}
