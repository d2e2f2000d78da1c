package api

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	reevev1 "github.com/reeve-scheduler/reeve/gen/reeve/v1"
)

// within reports whether a moment is so long from now, give or take what a slow machine takes.
func within(t *testing.T, what string, at time.Time, want time.Duration) {
	t.Helper()
	if d := time.Until(at); d > want || d < want-patience {
		t.Errorf("%s is in %s; want %s", what, d, want)
	}
}

// texts is reasons by kind, those of one kind as lines.
func texts(reasons []*reevev1.Reason) map[string]string {
	out := map[string]string{}
	for _, r := range reasons {
		out[r.GetKind()] = strings.TrimPrefix(out[r.GetKind()]+"\n"+r.GetText(), "\n")
	}
	return out
}

// match checks a text against a pattern.
func match(t *testing.T, what, text, pattern string) {
	t.Helper()
	if !regexp.MustCompile("^" + pattern + "$").MatchString(text) {
		t.Errorf("%s: %q; want %s", what, text, pattern)
	}
}

// TestExplainLooksAhead: what waits is told when it starts and where, for whom places are kept, and
// what would let it start now; show and lists have the same, and a plan knows it beforehand.
func TestExplainLooksAhead(t *testing.T) {
	r := newRig(t)
	c := r.as(r.admin)
	w := r.join(c, "w1", 4)
	r.submit(c, "name: first\nrun: x\nresources: {cpu: 3}\ntimeout: 10m\n")
	w.started(w.take())
	big := r.submit(c, "name: big\nrun: x\nresources: {cpu: 4}\ntimeout: 5m\ndeadline: 12m\n")
	graph := r.submit(c, "tasks:\n  fetch: {run: x}\n  sum: {needs: fetch, run: x, timeout: 1m}\n")

	x := do(t, c.jobs.Explain, &reevev1.ExplainRequest{Ref: big})
	e := x.GetTasks()[0]
	match(t, "big", texts(e.GetReasons())["expected"], `it is expected to start in about 10m \([0-9 A-Za-z:]+ UTC\), on worker w1`)
	within(t, "the start of big", e.GetExpectedStart().AsTime(), 10*time.Minute)
	if e.GetExpectedWorker() != "w1" || !e.GetExpectedLastStart().AsTime().Equal(e.GetExpectedStart().AsTime()) {
		t.Errorf("big: %v", e)
	}
	if changes := e.GetWouldStartWith(); len(changes) != 1 || changes[0].GetFrom() != "4" || changes[0].GetTo() != "1" ||
		texts(e.GetReasons())["would_start"] != "would start now with 1 cpu instead of 4" {
		t.Errorf("what would let big start: %v", changes)
	}
	match(t, "the deadline", x.GetDeadlineWarning(), `will miss its deadline [0-9 A-Za-z:]+ UTC by about (3m|2m50s): task main is not expected to end before [0-9 A-Za-z:]+ UTC`)

	x = do(t, c.jobs.Explain, &reevev1.ExplainRequest{Ref: graph})
	fetch, sum := texts(x.GetTasks()[0].GetReasons()), texts(x.GetTasks()[1].GetReasons())
	match(t, "fetch", fetch["kept"], `worker w1 has room and is kept for job `+big+`, which comes first, until about [0-9 A-Za-z:]+ UTC`)
	match(t, "fetch", fetch["would_start"], `would start now with timeout: (10m|9m[0-9]+s)`)
	match(t, "fetch", fetch["turn"], "the only fitting worker has a place for it\n1 ready element is ahead of it in order, of job "+big)
	if sum["expected"] != "" || sum["dependency"] == "" { // nobody knows how long fetch takes
		t.Errorf("sum: %v", sum)
	}

	got := do(t, c.jobs.Get, &reevev1.GetRequest{Id: big}).GetJob()
	within(t, "the start of big", got.GetExpectedStart().AsTime(), 10*time.Minute)
	within(t, "the end of big", got.GetExpectedEnd().AsTime(), 15*time.Minute)
	if got.GetTasks()[0].GetExpectedWorker() != "w1" || got.GetDeadlineWarning() != "" && got.GetDeadlineWarning()[:4] != "will" {
		t.Errorf("big: %v", got)
	}
	for _, j := range do(t, c.jobs.List, &reevev1.ListRequest{}).GetJobs() {
		if waits := j.GetName() != "first"; (j.GetExpectedStart() != nil) != waits {
			t.Errorf("the list says of %s that it starts at %v", j.GetName(), j.GetExpectedStart())
		}
	}

	p := do(t, c.jobs.Plan, &reevev1.PlanRequest{Submit: &reevev1.SubmitRequest{
		Source: &reevev1.SubmitRequest_File{File: "run: x\ntimeout: 5m\n"},
	}})
	if p.GetVerdict() != "starts" || p.GetTasks()[0].GetExpectedWorker() != "w1" || p.GetDelayed() != 0 {
		t.Errorf("a short job: %v", p)
	}
	within(t, "the end of a short job", p.GetExpectedEnd().AsTime(), 5*time.Minute)
	p = do(t, c.jobs.Plan, &reevev1.PlanRequest{Submit: &reevev1.SubmitRequest{
		Source: &reevev1.SubmitRequest_File{File: "run: x\ntimeout: 1h\npriority: high\n"},
	}})
	if p.GetVerdict() != "starts" || p.GetDelayed() != 2 || len(p.GetDelays()) != 2 || p.GetDelays()[0].GetId() != big && p.GetDelays()[1].GetId() != big {
		t.Errorf("a long job of high priority: %v", p)
	}
	if n := len(do(t, c.jobs.List, &reevev1.ListRequest{}).GetJobs()); n != 3 {
		t.Errorf("after the plans there are %d jobs", n)
	}
}

// TestExplainIsOfNow: a forecast is waited for, and what came meanwhile is said.
func TestExplainIsOfNow(t *testing.T) {
	r := newRig(t)
	c := r.as(r.admin)
	r.join(c, "w1", 4)
	r.submit(c, "run: x\nresources: {cpu: 4}\ntimeout: 1h\n")
	waits := r.submit(c, "run: x\nresources: {cpu: 4}\n")
	do(t, c.jobs.Explain, &reevev1.ExplainRequest{Ref: waits}) // the next forecast is a second from now
	said := make(chan map[string]string)
	go func() {
		resp, err := c.jobs.Explain(t.Context(), connect.NewRequest(&reevev1.ExplainRequest{Ref: waits}))
		if err != nil {
			t.Error(err)
		}
		said <- texts(resp.Msg.GetTasks()[0].GetReasons())
	}()
	do(t, c.jobs.Get, &reevev1.GetRequest{Id: waits}) // by then it has been looked at
	do(t, c.jobs.Hold, &reevev1.HoldRequest{Id: waits})
	if got := <-said; got["hold"] == "" {
		t.Errorf("of a job that is held by now it says %v", got)
	}
}

// TestExplainWideGraph: of a graph with very many tasks those say when they start that fit into an
// answer, and the others how to ask.
func TestExplainWideGraph(t *testing.T) {
	r := newRig(t)
	c := r.as(r.admin)
	r.join(c, "w1", 4)
	var file strings.Builder
	file.WriteString("tasks:\n")
	for i := range 60 {
		fmt.Fprintf(&file, "  t%d: {run: x, timeout: 1m, resources: {cpu: 8}}\n", i)
	}
	wide := r.submit(c, file.String())
	for i, x := range do(t, c.jobs.Explain, &reevev1.ExplainRequest{Ref: wide}).GetTasks() {
		want := ""
		if i >= 50 {
			want = fmt.Sprintf("when it starts is said of 50 tasks at a time: ask for %s.t%d", wide, i)
		}
		if got := texts(x.GetReasons()); got["unknown_start"] != want || (got["would_start"] != "") != (i < 50) {
			t.Errorf("task %d: %v", i, got)
		}
	}
	if got := texts(do(t, c.jobs.Explain, &reevev1.ExplainRequest{Ref: wide + ".t59"}).GetTasks()[0].GetReasons()); got["would_start"] == "" || got["unknown_start"] != "" {
		t.Errorf("the last task alone: %v", got)
	}
}

// TestPlanOfKeys: a plan says of a concurrency key what comes true: whom a job would wait for, or cancel.
func TestPlanOfKeys(t *testing.T) {
	r, c := raised(t)
	r.join(c, "w1", 8)
	for _, text := range []string{
		"run: x\nconcurrency: dep\n", "run: x\nconcurrency: dep\n", "run: x\nconcurrency: {key: often, rate: 1/h}\n",
		"run: x\nconcurrency: {key: some, rate: 100/s}\n",
	} {
		r.submit(c, text)
	}
	for _, test := range []struct{ file, verdict, summary, reason string }{
		{"run: x\nconcurrency: dep\n", "waits", "it would wait, and nobody knows for how long", "concurrency key dep is held by job 1 (1 of 1); 1 waits for it"},
		{"run: x\nconcurrency: {key: dep, limit: 2}\n", "starts", "it would start at once", ""},
		{"run: x\nconcurrency: {key: dep, conflict: cancel}\n", "starts", "it would start at once; it would cancel job 1 to have concurrency key dep", ""},
		{"run: x\nconcurrency: {key: dep, conflict: cancel, limit: 2}\n", "starts", "it would start at once", ""},
		{"run: x\nconcurrency: {key: dep, conflict: refuse}\n", "refused", `the submit would be refused: concurrency key "dep" is taken: job 1 holds it, and 2 unfinished jobs name it, of which 1 may run; it is free when fewer do`, ""},
		{"run: x\nconcurrency: {key: often, rate: 1/h}\n", "waits", "it would wait, and nobody knows for how long", "concurrency key often may start 1 in an hour; the next in 1h"},
		{"run: x\nconcurrency: {key: often}\n", "waits", "it would wait, and nobody knows for how long", "concurrency key often is held by job 3 (1 of 1)"},
		{"run: x\nconcurrency: {key: free, conflict: cancel}\n", "starts", "it would start at once", ""},
	} {
		p := do(t, c.jobs.Plan, &reevev1.PlanRequest{Submit: &reevev1.SubmitRequest{Source: &reevev1.SubmitRequest_File{File: test.file}}})
		if p.GetVerdict() != test.verdict || p.GetSummary() != test.summary {
			t.Errorf("%s is %s: %s; want %s: %s", test.file, p.GetVerdict(), p.GetSummary(), test.verdict, test.summary)
		}
		said := ""
		for _, task := range p.GetTasks() {
			for _, reason := range task.GetReasons() {
				said += reason.GetText()
			}
		}
		if !strings.HasPrefix(said, test.reason) || test.reason == "" && said != "" {
			t.Errorf("%s: %q; want %q", test.file, said, test.reason)
		}
	}
}

// TestPlanVerdicts: what a plan says of submits that would wait for ever, or be refused.
func TestPlanVerdicts(t *testing.T) {
	r, c := raised(t)
	r.join(c, "w1", 2)
	do(t, c.queues.Create, &reevev1.QueueServiceCreateRequest{Name: "narrow", Policy: &reevev1.QueuePolicy{Limit: &reevev1.Limit{Resources: map[string]string{"cpu": "1"}}}})
	do(t, c.queues.Create, &reevev1.QueueServiceCreateRequest{Name: "night"})
	do(t, c.queues.Pause, &reevev1.QueueServicePauseRequest{Name: "night"})
	do(t, c.namespaces.Create, &reevev1.NamespaceServiceCreateRequest{Name: "full", Policy: &reevev1.NamespacePolicy{Pending: new(int64(2))}})
	plan := func(space, file string) (*reevev1.PlanResponse, error) {
		resp, err := c.jobs.Plan(t.Context(), connect.NewRequest(&reevev1.PlanRequest{Submit: &reevev1.SubmitRequest{
			Namespace: space, Source: &reevev1.SubmitRequest_File{File: file}, FileName: "job.yaml",
		}}))
		if err != nil {
			return nil, err
		}
		return resp.Msg, nil
	}
	keyed := r.submit(c, "run: x\nidempotency_key: once\n")
	for _, test := range []struct{ space, file, verdict, says string }{
		{"", "run: x\n", "starts", "it would start at once"},
		{"", "array: 0-3\nrun: x\ntimeout: 1m\n", "waits", `some of it would start at once, and end in about [34]m \(.*\)`},
		{"", "run: x\nresources: {cpu: 3}\n", "never", "it could never start as the cluster is: task main: the only worker is too small: needs 3 cpu, the largest has 2"},
		{"", "run: x\nwhere: zone=b\n", "never", "it could never start as the cluster is: task main: the only worker lacks a label it asks for: zone=b"},
		{"", "run: x\nqueue: narrow\nresources: {cpu: 2}\n", "never", "it could never start as the cluster is: task main: queue narrow may use 1 cpu at most, and it needs 2: it starts when the limit is raised"},
		{"", "run: x\nqueue: night\n", "waits", "it would wait, and nobody knows for how long"},
		{"", "run: x\nwhere: zone=b\nresources: {cpu: 3}\nqueue: narrow\n", "never", "it could never start as the cluster is: task main: queue narrow may use 1 cpu at most, and it needs 3: it starts when the limit is raised; the only worker lacks a label it asks for: zone=b"},
		{"", "run: x\neither: [{cpu: 3}, {gpu: 1}]\n", "never", "it could never start as the cluster is: task main: with cpu=3: the only worker is too small: needs 3 cpu, the largest has 2; " +
			"with cpu=1,gpu=1: the only worker is too small: needs 1 gpu, the largest has 0"},
		{"", "run: x\ndeadline: 2020-01-01T00:00:00Z\n", "never", "it would end at once: deadline passed"},
		{"", "run: x\nstart_before: 2020-01-01T00:00:00Z\n", "never", "it would end at once: .*"},
		{"", "run: x\nqueue: gpu\n", "refused", `the submit would be refused: queue "gpu" does not exist in namespace default; known: default, narrow, night`},
		{"nowhere", "run: x\n", "refused", `the submit would be refused: namespace "nowhere" does not exist; known: default, full`},
		{"full", "array: 0-3\nrun: x\n", "refused", "the submit would be refused: a submit of 4 elements; in namespace full at most 2 may wait: submit fewer at a time"},
		{"", "run: x\nafter: {99: succeeded}\n", "refused", "the submit would be refused: after: job 99 does not exist, or is past its retention"},
		{"", "run: x\nidempotency_key: once\n", "exists", "there would be no new job: its key stands for job " + keyed},
		{"", "run: y\nidempotency_key: once\n", "refused", `the submit would be refused: idempotency key "once" belongs to job ` + keyed + ".*"},
		{"", "run: x\nafter: {" + keyed + ": succeeded}\n", "waits", "it would wait, and nobody knows for how long"},
		{"", "run: x\nstart_after: 1h\ntimeout: 1m\n", "waits", `it would wait and start in about 1h \(.*\), and end in about 1h1m \(.*\)`},
	} {
		p, err := plan(test.space, test.file)
		if err != nil || p.GetVerdict() != test.verdict {
			t.Errorf("%s is %v (%v); want %s", test.file, p, err, test.verdict)
			continue
		}
		match(t, test.file, p.GetSummary(), test.says)
	}
	_, err := plan("", "rum: x\n")
	wantError(t, err, connect.CodeInvalidArgument, "job.yaml:1:1")
	_, err = plan("", "run: x\nparams: {day: }\n")
	wantError(t, err, connect.CodeInvalidArgument, "day")
	refused(t, c.jobs.Plan, &reevev1.PlanRequest{}, connect.CodeInvalidArgument, "the request has neither file nor spec")
	refused(t, c.jobs.Plan, &reevev1.PlanRequest{Submit: &reevev1.SubmitRequest{
		Source: &reevev1.SubmitRequest_File{File: "run: x"}, Items: []*reevev1.SubmitItem{{}, {}},
	}}, connect.CodeInvalidArgument, "2 items: a plan is for one job; ask once for each")
}

// TestPlanHidesOthers: a plan counts the jobs of other namespaces that would be delayed, and does
// not name them.
func TestPlanHidesOthers(t *testing.T) {
	r := newRig(t)
	admin := r.as(r.admin)
	do(t, admin.namespaces.Create, &reevev1.NamespaceServiceCreateRequest{Name: "team"})
	w := r.join(admin, "w1", 1)
	r.submit(admin, "run: x\ntimeout: 10m\n")
	w.started(w.take())
	r.submit(admin, "name: secret\nrun: x\ntimeout: 1m\n")
	c := r.as(r.token("team", 0, "read,submit", "team"))
	p := do(t, c.jobs.Plan, &reevev1.PlanRequest{Submit: &reevev1.SubmitRequest{
		Namespace: "team", Source: &reevev1.SubmitRequest_File{File: "run: x\npriority: high\ntimeout: 1m\n"},
	}})
	if p.GetVerdict() != "waits" || len(p.GetDelays()) != 0 {
		t.Errorf("%v", p)
	}
	for _, task := range p.GetTasks() {
		for _, reason := range task.GetReasons() {
			if strings.Contains(reason.GetText(), "secret") {
				t.Errorf("a reason names what is hidden: %s", reason.GetText())
			}
		}
	}
}
