package api

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/reeve-scheduler/reeve/internal/api/intake"
	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"

	reevev1 "github.com/reeve-scheduler/reeve/gen/reeve/v1"
)

func file(text string) *reevev1.SubmitRequest {
	return &reevev1.SubmitRequest{Source: &reevev1.SubmitRequest_File{File: text}}
}

func params(t *testing.T, values map[string]any) *structpb.Struct {
	t.Helper()
	s, err := structpb.NewStruct(values)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestBadInput sends each field wrong: the answer has the value and what to do.
func TestBadInput(t *testing.T) {
	r := newOpenRig(t)
	c := r.as("")
	id := r.submit(c, "tasks: {a: {array: 1-3, run: \"true\"}, b: {run: \"true\"}}\n")
	const invalidCode, missing = connect.CodeInvalidArgument, connect.CodeNotFound
	bad := func(name string, call func() error, code connect.Code, says string) {
		t.Run(name, func(t *testing.T) { wantError(t, call(), code, says) })
	}
	submit := func(q *reevev1.SubmitRequest) func() error {
		return func() error { _, err := c.jobs.Submit(t.Context(), connect.NewRequest(q)); return err }
	}
	get := func(id string) func() error {
		return func() error {
			_, err := c.jobs.Get(t.Context(), connect.NewRequest(&reevev1.GetRequest{Id: id}))
			return err
		}
	}
	list := func(q *reevev1.ListRequest) func() error {
		return func() error { _, err := c.jobs.List(t.Context(), connect.NewRequest(q)); return err }
	}
	elements := func(q *reevev1.ListElementsRequest) func() error {
		return func() error { _, err := c.jobs.ListElements(t.Context(), connect.NewRequest(q)); return err }
	}
	attempts := func(ref string) func() error {
		return func() error {
			_, err := c.jobs.ListAttempts(t.Context(), connect.NewRequest(&reevev1.ListAttemptsRequest{Ref: ref}))
			return err
		}
	}
	cancel := func(q *reevev1.CancelRequest) func() error {
		return func() error { _, err := c.jobs.Cancel(t.Context(), connect.NewRequest(q)); return err }
	}
	token := func(q *reevev1.TokenServiceCreateRequest) func() error {
		return func() error { _, err := c.tokens.Create(t.Context(), connect.NewRequest(q)); return err }
	}

	bad("no source", submit(&reevev1.SubmitRequest{}), invalidCode, "the request has neither file nor spec; send a job file's text as file")
	bad("a job file", submit(&reevev1.SubmitRequest{Source: &reevev1.SubmitRequest_File{File: "runn: x"}, FileName: "job.yaml"}), invalidCode, "job.yaml:1:1: runn: unknown key; did you mean run?")
	bad("a spec", submit(&reevev1.SubmitRequest{Source: &reevev1.SubmitRequest_Spec{Spec: params(t, map[string]any{"run": map[string]any{}})}}), invalidCode, "run")
	bad("an unknown queue", submit(file("run: x\nqueue: gpu\n")), missing, `queue "gpu" does not exist in namespace default; known: default`)
	bad("an unknown namespace", submit(&reevev1.SubmitRequest{Namespace: "nowhere", Source: &reevev1.SubmitRequest_File{File: "run: x"}}), missing, `namespace "nowhere" does not exist; known: default`)
	bad("two namespaces", submit(&reevev1.SubmitRequest{Namespace: "one", Source: &reevev1.SubmitRequest_File{File: "run: x\nnamespace: two\n"}}), invalidCode, "the job file says namespace two, the request one; leave one out")
	bad("after nothing", submit(file("run: x\nafter: 99\n")), missing, "after: job 99 does not exist")
	bad("an unknown parameter", submit(&reevev1.SubmitRequest{Source: &reevev1.SubmitRequest_File{File: "run: x"}, Items: []*reevev1.SubmitItem{{Params: params(t, map[string]any{"day": "x"})}}}), invalidCode, "day")
	bad("a parameter of the second item", submit(&reevev1.SubmitRequest{Source: &reevev1.SubmitRequest_File{File: "run: x"}, Items: []*reevev1.SubmitItem{{}, {Params: params(t, map[string]any{"day": "x"})}}}), invalidCode, "item 1:")
	bad("a large payload", submit(&reevev1.SubmitRequest{Source: &reevev1.SubmitRequest_File{File: "run: x"}, Items: []*reevev1.SubmitItem{{Payload: make([]byte, job.MaxPayload+1)}}}), invalidCode, fmt.Sprintf("its payload has %d bytes; at most %d are allowed", job.MaxPayload+1, job.MaxPayload))
	bad("a long key", submit(&reevev1.SubmitRequest{Source: &reevev1.SubmitRequest_File{File: "run: x"}, Items: []*reevev1.SubmitItem{{IdempotencyKey: strings.Repeat("k", intake.MaxKey+1)}}}), invalidCode, "want at most 256 bytes")
	bad("a key of two lines", submit(&reevev1.SubmitRequest{Source: &reevev1.SubmitRequest_File{File: "run: x"}, Items: []*reevev1.SubmitItem{{IdempotencyKey: "a\nb"}}}), invalidCode, "without control characters")
	bad("too many items", submit(&reevev1.SubmitRequest{Source: &reevev1.SubmitRequest_File{File: "run: x"}, Items: make([]*reevev1.SubmitItem, core.MaxItems+1)}), invalidCode, "10001 items in one submit; at most 10000 are allowed: send several")
	var labels strings.Builder
	for i := range 100 {
		fmt.Fprintf(&labels, "  k%d: v\n", i)
	}
	bad("too many labels", submit(file("run: x\nlabels:\n"+labels.String())), invalidCode, "labels")

	bad("no id", get(""), invalidCode, `job id "": want a positive whole number such as 4217`)
	bad("an id that is no number", get("x"), invalidCode, `job id "x"`)
	bad("a path as an id", get("../1"), invalidCode, `job id "../1"`)
	bad("a negative id", get("-1"), invalidCode, `job id "-1"`)
	bad("an id past all", get("99999999999999999999"), invalidCode, "job id")
	bad("no such job", get("99"), missing, "job 99 does not exist, or is past its retention")
	bad("a reserved word", get("last"), invalidCode, `job id "last"`)

	bad("a state", list(&reevev1.ListRequest{States: []string{"done"}}), invalidCode, `"done"`)
	bad("a negative page", list(&reevev1.ListRequest{PageSize: -1}), invalidCode, "page_size -1: want 1 to 1000")
	bad("a large page", list(&reevev1.ListRequest{PageSize: 1001}), invalidCode, "page_size 1001: want 1 to 1000")
	bad("a page token", list(&reevev1.ListRequest{PageToken: "x"}), invalidCode, `page_token "x": want the next_page_token of an earlier answer to the same query`)
	bad("a list of no namespace", list(&reevev1.ListRequest{Namespace: "nowhere"}), missing, `namespace "nowhere" does not exist; known: default`)
	bad("a list of no queue", list(&reevev1.ListRequest{Namespace: "default", Queue: "nite"}), missing, `queue "nite" does not exist in namespace default; known: default`)
	bad("17 labels", list(&reevev1.ListRequest{Labels: make([]string, 17)}), invalidCode, "17 labels; at most 16 are allowed")

	bad("no task", elements(&reevev1.ListElementsRequest{Id: id}), invalidCode, "name the task whose elements to list")
	bad("another task", elements(&reevev1.ListElementsRequest{Id: id, Task: "c"}), missing, `job 1 has no task "c"; it has a, b`)
	bad("an element's state", elements(&reevev1.ListElementsRequest{Id: id, Task: "a", States: []string{"lost"}}), invalidCode, `"lost"`)
	bad("a page of elements", elements(&reevev1.ListElementsRequest{Id: id, Task: "a", PageToken: "9223372036854775807-00000000"}), invalidCode, "page_token")
	bad("a reference", attempts("1/a"), invalidCode, `reference "1/a"`)
	bad("no element", attempts(id+".a"), invalidCode, "1.a is an array: name an element, such as 1.a.0")
	bad("an element past the end", attempts(id+".a.4"), missing, "job 1 task a has no element 4")
	bad("an element of no array", attempts(id+".b.0"), missing, "job 1 task b has no element 0")
	bad("one of two tasks", attempts(id), missing, `job 1 has no task ""; it has a, b`)

	bad("elements of no task", cancel(&reevev1.CancelRequest{Id: id, Elements: "1"}), invalidCode, `elements "1": name the task as well`)
	bad("elements of no array", cancel(&reevev1.CancelRequest{Id: id, Task: "b", Elements: "1"}), invalidCode, "task b is not an array")
	bad("elements as words", cancel(&reevev1.CancelRequest{Id: id, Task: "a", Elements: "all"}), invalidCode, `elements "all": want indexes such as 3, 1-7:2 or 1,3,5`)
	bad("elements past the end", cancel(&reevev1.CancelRequest{Id: id, Task: "a", Elements: "2-9"}), missing, "has no element 4")
	bad("a throttle", cancel(&reevev1.CancelRequest{Id: id, Task: "a", Elements: "1-3%2"}), invalidCode, "elements")

	bad("no scope", token(&reevev1.TokenServiceCreateRequest{Name: "x"}), invalidCode, `scope "": want one or more of admin, submit, read, worker`)
	bad("an unknown scope", token(&reevev1.TokenServiceCreateRequest{Name: "x", Scopes: []string{"root"}}), invalidCode, `scope "root"`)
	bad("a name", token(&reevev1.TokenServiceCreateRequest{Name: "a b", Scopes: []string{"read"}}), invalidCode, "token name")
	bad("an empty namespace", token(&reevev1.TokenServiceCreateRequest{Name: "x", Scopes: []string{"read"}, Namespaces: []string{""}}), invalidCode, "a namespace is empty")
	bad("no such namespace", token(&reevev1.TokenServiceCreateRequest{Name: "x", Scopes: []string{"read"}, Namespaces: []string{"team"}}), missing, `namespace "team" does not exist; known: default`)
	bad("a limited worker", token(&reevev1.TokenServiceCreateRequest{Name: "x", Scopes: []string{"worker"}, Namespaces: []string{"default"}}), invalidCode, "a worker serves all namespaces")
	bad("no time", token(&reevev1.TokenServiceCreateRequest{Name: "x", Scopes: []string{"read"}, ValidSeconds: -1}), invalidCode, "valid_seconds -1: want 1 to 31622400, which is 366 days")
	bad("much time", token(&reevev1.TokenServiceCreateRequest{Name: "x", Scopes: []string{"read"}, ValidSeconds: 31622401}), invalidCode, "valid_seconds")
	bad("more time than there is", token(&reevev1.TokenServiceCreateRequest{Name: "x", Scopes: []string{"read"}, ValidSeconds: 18446744074 + 100}), invalidCode, "valid_seconds")
	bad("a join token for an administrator", token(&reevev1.TokenServiceCreateRequest{Name: "x", Scopes: []string{"admin"}, Join: true}), invalidCode, "a worker joins by it")
	bad("a revoked nobody", func() error {
		_, err := c.tokens.Revoke(t.Context(), connect.NewRequest(&reevev1.TokenServiceRevokeRequest{Id: "x"}))
		return err
	}, missing, `token "x" does not exist or is revoked`)
	bad("a queue's name", func() error {
		_, err := c.queues.Create(t.Context(), connect.NewRequest(&reevev1.QueueServiceCreateRequest{Name: "A"}))
		return err
	}, invalidCode, `queue: name "A"`)
	bad("queues of no namespace", func() error {
		_, err := c.queues.List(t.Context(), connect.NewRequest(&reevev1.QueueServiceListRequest{Namespace: "team"}))
		return err
	}, missing, "known: default")
	bad("a paused nothing", func() error {
		_, err := c.queues.Pause(t.Context(), connect.NewRequest(&reevev1.QueueServicePauseRequest{Name: "night"}))
		return err
	}, missing, `queue "night" does not exist in namespace default; known: default`)
	bad("a drained nobody", func() error {
		_, err := c.workers.Drain(t.Context(), connect.NewRequest(&reevev1.DrainRequest{Worker: "w9"}))
		return err
	}, missing, `worker "w9" does not exist`)
	bad("a retry of what runs", func() error {
		_, err := c.jobs.Retry(t.Context(), connect.NewRequest(&reevev1.RetryRequest{Id: id}))
		return err
	}, connect.CodeFailedPrecondition, "job 1 has not ended; only what has ended can be retried")
	bad("outputs of no task", func() error {
		_, err := all(c.jobs.Outputs(t.Context(), connect.NewRequest(&reevev1.OutputsRequest{Id: id})))
		return err
	}, invalidCode, "name the task whose outputs to read")
	bad("an explanation of nothing", func() error {
		_, err := c.jobs.Explain(t.Context(), connect.NewRequest(&reevev1.ExplainRequest{Ref: id + ".c"}))
		return err
	}, missing, `job 1 has no task "c"; it has a, b`)
	bad("a hold of nothing", func() error {
		_, err := c.jobs.Hold(t.Context(), connect.NewRequest(&reevev1.HoldRequest{Id: id, Task: "c"}))
		return err
	}, missing, `job 1 has no task "c"`)
	update := func(q *reevev1.UpdateRequest) func() error {
		return func() error { _, err := c.jobs.Update(t.Context(), connect.NewRequest(q)); return err }
	}
	bad("an update of nothing", update(&reevev1.UpdateRequest{Id: id}), invalidCode, "nothing is to be changed: name a priority, a queue, or front")
	bad("an update of nobody", update(&reevev1.UpdateRequest{Id: "9", Front: new(true)}), missing, "job 9 does not exist")
	bad("a priority too high", update(&reevev1.UpdateRequest{Id: id, Priority: new(int32(1001))}), invalidCode, "priority 1001: want a whole number from -1000 to 1000")
	bad("a move to nowhere", update(&reevev1.UpdateRequest{Id: id, Queue: new("night")}), missing, `queue "night" does not exist in namespace default; known: default`)
}

// TestHostileMessages sends what no client of ours would: each is one refused call,
// and the server lives.
func TestHostileMessages(t *testing.T) {
	r := newOpenRig(t)
	post := func(contentType, encoding string, body []byte) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+"/reeve.v1.JobService/Submit", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", contentType)
		if encoding != "" {
			req.Header.Set("Content-Encoding", encoding)
		}
		resp, err := r.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var text bytes.Buffer
		if _, err := text.ReadFrom(resp.Body); err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, text.String()
	}
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	spaces := bytes.Repeat([]byte(" "), 1<<20)
	for range 200 {
		if _, err := z.Write(spaces); err != nil {
			t.Fatal(err)
		}
	}
	z.Close()
	deep := strings.Repeat(`{"a":`, 100_000) + "1" + strings.Repeat("}", 100_000)
	for _, test := range []struct {
		name, contentType, encoding string
		body                        []byte
		status                      int
		says                        string
	}{
		{"an unknown field", "application/json", "", []byte(`{"nonsense": 1}`), 400, "nonsense"},
		{"a wrong type", "application/json", "", []byte(`{"file": 1}`), 400, "file"},
		{"a field twice", "application/json", "", []byte(`{"file": "a", "file": "b"}`), 400, "duplicate"},
		{"broken JSON", "application/json", "", []byte(`{"file": `), 400, "unexpected"},
		{"invalid UTF-8 in JSON", "application/json", "", []byte("{\"file\": \"run: \xff\"}"), 400, "invalid UTF-8"},
		{"invalid UTF-8 in protobuf", "application/proto", "", []byte("\x12\x05run:\xff"), 400, "invalid UTF-8"},
		{"broken protobuf", "application/proto", "", []byte("\x12\xff\xff\xff\xff\x7f"), 400, ""},
		{"deep JSON", "application/json", "", []byte(`{"spec":` + deep + `}`), 400, "recursion"},
		{"deep job file", "application/json", "", []byte(`{"file":"a: ` + strings.Repeat("[", 100_000) + `"}`), 400, "max depth"},
		{"a huge message", "application/json", "", append([]byte(`{"file":"`), bytes.Repeat([]byte("x"), MaxMessage)...), 429, "larger than configured max"},
		{"a bomb", "application/json", "gzip", bomb.Bytes(), 429, "larger than configured max"},
		{"an unknown compression", "application/json", "br", []byte("x"), 501, "unknown compression"},
		{"another type", "text/plain", "", []byte(`{"file":"run: x"}`), 415, ""},
		{"a form of a web page", "application/x-www-form-urlencoded", "", []byte(`file=run: x`), 415, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			status, text := post(test.contentType, test.encoding, test.body)
			if status != test.status || !strings.Contains(text, test.says) {
				t.Errorf("%d %.300s; want %d with %q", status, text, test.status, test.says)
			}
		})
	}
	if status, text := post("application/json", "", []byte(`{"file":"run: x"}`)); status != 200 {
		t.Errorf("a good submit afterwards: %d %s", status, text)
	}
}

// TestSubmitTwice: the same key and body is the same job, another body a conflict:
// in memory, in the tables, and within one call.
func TestSubmitTwice(t *testing.T) {
	r := newRig(t)
	c := r.as(r.admin)
	do(t, c.namespaces.Create, &reevev1.NamespaceServiceCreateRequest{Name: "team"})
	const text = "params: {day: {type: string, default: x}}\nrun: \"true\"\n"
	request := func(change func(*reevev1.SubmitRequest)) *reevev1.SubmitRequest {
		q := file(text)
		q.Items = []*reevev1.SubmitItem{{IdempotencyKey: "k"}}
		change(q)
		return q
	}
	same := request(func(*reevev1.SubmitRequest) {})
	first := do(t, c.jobs.Submit, same).GetJobs()[0]
	if first.GetExisted() {
		t.Error("the first submit found a job")
	}
	w := r.join(c, "w1", 1)
	w.report(ended(w.take(), 0, ""))
	r.ends(c, first.GetId(), "succeeded")
	for _, restart := range []bool{false, true} {
		if restart {
			r.restart()
		}
		again := do(t, c.jobs.Submit, same).GetJobs()[0]
		if again.GetId() != first.GetId() || !again.GetExisted() {
			t.Errorf("after restart %v: %v; want %v again", restart, again, first)
		}
		for name, q := range map[string]*reevev1.SubmitRequest{
			"spec":    request(func(q *reevev1.SubmitRequest) { q.Source = &reevev1.SubmitRequest_File{File: text + "priority: 3\n"} }),
			"params":  request(func(q *reevev1.SubmitRequest) { q.Items[0].Params = params(t, map[string]any{"day": "y"}) }),
			"payload": request(func(q *reevev1.SubmitRequest) { q.Items[0].Payload = []byte("p") }),
			"hold":    request(func(q *reevev1.SubmitRequest) { q.Hold = true }),
		} {
			_, err := c.jobs.Submit(t.Context(), connect.NewRequest(q))
			wantError(t, err, connect.CodeAlreadyExists, `idempotency key "k" belongs to job 1, which was submitted with another body; use another key`)
			if t.Failed() {
				t.Fatalf("another %s, after restart %v", name, restart)
			}
		}
		key := do(t, c.jobs.Submit, request(func(q *reevev1.SubmitRequest) { q.Namespace = "team" })).GetJobs()[0]
		if key.GetId() == first.GetId() || key.GetExisted() != restart {
			t.Errorf("the key in another namespace: %v", key)
		}
	}
	for _, restart := range []bool{false, true} {
		retry := do(t, c.jobs.Retry, &reevev1.RetryRequest{Id: first.GetId(), IdempotencyKey: "r"})
		if retry.GetExisted() != restart {
			t.Errorf("the retry: %v", retry)
		}
		refused(t, c.jobs.Retry, &reevev1.RetryRequest{Id: first.GetId(), IdempotencyKey: "r", All: true}, connect.CodeAlreadyExists, `idempotency key "r"`)
	}
	refused(t, c.jobs.Retry, &reevev1.RetryRequest{Id: first.GetId(), IdempotencyKey: "k"}, connect.CodeAlreadyExists, `idempotency key "k"`)
}

// TestSubmitMany makes many jobs of one spec; keys within a call are told apart and
// brought together as over calls.
func TestSubmitMany(t *testing.T) {
	r := newRig(t)
	c := r.as(r.admin)
	q := file("params: {n: {type: int, default: 0}}\ncommand: [echo, \"${{ params.n }}\"]\n")
	const n = 5000
	for i := range n {
		q.Items = append(q.Items, &reevev1.SubmitItem{Params: params(t, map[string]any{"n": i}), IdempotencyKey: fmt.Sprint("k", i)})
	}
	made := do(t, c.jobs.Submit, q).GetJobs()
	for i, j := range made {
		if j.GetId() != fmt.Sprint(i+1) || j.GetExisted() {
			t.Fatalf("item %d became %v", i, j)
		}
	}
	if got := do(t, c.jobs.Get, &reevev1.GetRequest{Id: made[n-1].GetId()}).GetJob().GetParams().AsMap()["n"]; got != float64(n-1) {
		t.Errorf("the last job's parameter is %v", got)
	}
	twice := file("run: x")
	twice.Items = []*reevev1.SubmitItem{{IdempotencyKey: "same"}, {IdempotencyKey: "same"}, {}}
	got := do(t, c.jobs.Submit, twice).GetJobs()
	if got[0].GetId() != got[1].GetId() || got[0].GetExisted() || !got[1].GetExisted() || got[2].GetId() == got[0].GetId() {
		t.Errorf("two items with one key: %v", got)
	}
	twice.Items = []*reevev1.SubmitItem{{IdempotencyKey: "other"}, {IdempotencyKey: "other", Payload: []byte("p")}}
	refused(t, c.jobs.Submit, twice, connect.CodeAlreadyExists, `idempotency key "other"`)
	if jobs := do(t, c.jobs.List, &reevev1.ListRequest{PageSize: 1}).GetJobs(); jobs[0].GetId() != got[2].GetId() {
		t.Errorf("a refused submit made job %s", jobs[0].GetId())
	}
}

// TestPaging walks through jobs page by page while more come: none is missed, none
// comes twice.
func TestPaging(t *testing.T) {
	for _, restart := range []bool{false, true} {
		r := newRig(t)
		c := r.as(r.admin)
		do(t, c.queues.Create, &reevev1.QueueServiceCreateRequest{Name: "night"})
		q := file("run: x\nqueue: night\nlabels: {team: a}\n")
		q.Items = make([]*reevev1.SubmitItem, 25)
		for i := range q.Items {
			q.Items[i] = &reevev1.SubmitItem{}
		}
		do(t, c.jobs.Submit, q)
		if restart {
			r.restart()
		}
		query := &reevev1.ListRequest{Queue: "night", Labels: []string{"team=a", "team"}, States: []string{"pending"}, PageSize: 7,
			SubmittedAfter: timestamppb.New(time.Now().Add(-time.Hour)), SubmittedBefore: timestamppb.New(time.Now().Add(time.Hour))}
		var ids []string
		for {
			page := do(t, c.jobs.List, query)
			for _, j := range page.GetJobs() {
				ids = append(ids, j.GetId())
				if j.GetCounts().GetPending() != 1 || j.GetTasks() != nil || j.GetSpec() != nil {
					t.Errorf("a job of a list: %v", j)
				}
			}
			r.submit(c, "run: x\nqueue: night\nlabels: {team: a}\n")
			if page.GetNextPageToken() == "" {
				break
			}
			if len(page.GetJobs()) != 7 {
				t.Errorf("a page of %d that is not the last", len(page.GetJobs()))
			}
			query.PageToken = page.GetNextPageToken()
			query.PageSize = 7 // another size would do too
		}
		var expected []string
		for i := range 25 {
			expected = append(expected, fmt.Sprint(25-i))
		}
		want(t, "the ids", strings.Join(ids, " "), strings.Join(expected, " "))

		query.PageSize = 3
		if page := do(t, c.jobs.List, query); len(page.GetJobs()) == 0 {
			t.Error("another page size does not go on")
		}
		other := &reevev1.ListRequest{Queue: "default", PageToken: query.GetPageToken()}
		refused(t, c.jobs.List, other, connect.CodeInvalidArgument, "to the same query")
		forged := &reevev1.ListRequest{Queue: "night", PageToken: "7-" + strings.Split(query.GetPageToken(), "-")[1]}
		refused(t, c.jobs.List, forged, connect.CodeInvalidArgument, "page_token")
	}
}

// TestListShowsWhatIsTheCallers: a list over all namespaces has those that the token
// reaches.
func TestListShowsWhatIsTheCallers(t *testing.T) {
	r := newRig(t)
	c := r.as(r.admin)
	for _, n := range []string{"red", "blue"} {
		do(t, c.namespaces.Create, &reevev1.NamespaceServiceCreateRequest{Name: n})
		for range 3 {
			do(t, c.jobs.Submit, &reevev1.SubmitRequest{Namespace: n, Source: &reevev1.SubmitRequest_File{File: "run: x"}})
		}
	}
	red := r.as(r.token("red", 0, "read", "red"))
	var ids []string
	for query := (&reevev1.ListRequest{PageSize: 2}); ; {
		page := do(t, red.jobs.List, query)
		for _, j := range page.GetJobs() {
			ids = append(ids, j.GetId()+j.GetNamespace())
		}
		if query.PageToken = page.GetNextPageToken(); query.PageToken == "" {
			break
		}
	}
	want(t, "the jobs", strings.Join(ids, " "), "3red 2red 1red")
	refused(t, red.jobs.List, &reevev1.ListRequest{Namespace: "blue"}, connect.CodePermissionDenied, "it is limited to namespace red")
	refused(t, red.jobs.Get, &reevev1.GetRequest{Id: "4"}, connect.CodeNotFound, "job 4 does not exist")
	if n := do(t, red.namespaces.List, &reevev1.NamespaceServiceListRequest{}).GetNamespaces(); len(n) != 1 || n[0].GetName() != "red" {
		t.Errorf("the namespaces: %v", n)
	}
}

// TestElements pages through an array, and shows the attempts of one element.
func TestElements(t *testing.T) {
	r := newRig(t)
	c := r.as(r.admin)
	const n = 2500 // more than two chunks
	id := r.submit(c, fmt.Sprintf("tasks: {a: {array: 10-%d, run: \"true\", retry: {max_attempts: 2, delay: 1s}, max_fails: 100%%}}\n", n+9))
	w := r.join(c, "w1", n)
	fails := func(i int64) bool { return i%100 == 0 }
	for range n + n/100 {
		a := w.take()
		if fails(a.GetIndex()) {
			w.report(ended(a, 7, ""))
		} else {
			w.report(ended(a, 0, ""))
		}
	}
	r.ends(c, id, "failed")
	for _, restart := range []bool{false, true} {
		if restart {
			r.restart()
		}
		for _, states := range [][]string{nil, {"failed"}} {
			next := int64(10)
			if states != nil {
				next = 100
			}
			count := 0
			for q := (&reevev1.ListElementsRequest{Id: id, Task: "a", States: states, PageSize: 333}); ; {
				page := do(t, c.jobs.ListElements, q)
				for _, e := range page.GetElements() {
					if e.GetIndex() != next || e.GetId() != fmt.Sprintf("%s.a.%d", id, next) || fails(next) != (e.GetState() == "failed") ||
						fails(next) && (e.GetAttempts() != 2 || e.GetExitCode() != 7 || e.GetCause() != "exit 7") {
						t.Fatalf("after restart %v, instead of element %d: %v", restart, next, e)
					}
					next++
					if states != nil {
						next += 99
					}
					count++
				}
				if q.PageToken = page.GetNextPageToken(); q.PageToken == "" {
					break
				}
			}
			if want := map[bool]int{true: n, false: n / 100}[states == nil]; count != want {
				t.Errorf("after restart %v: %d elements of states %v; want %d", restart, count, states, want)
			}
		}
		tries := do(t, c.jobs.ListAttempts, &reevev1.ListAttemptsRequest{Ref: id + ".a.100"}).GetAttempts()
		if len(tries) != 2 || tries[0].GetId() != id+".a.100@1" || tries[1].GetId() != id+".a.100@2" || tries[0].GetCause() != "exit 7" ||
			tries[0].GetWorker() != "w1" || tries[1].GetWorker() != "w1" || tries[1].GetState() != "failed" {
			t.Errorf("after restart %v, the attempts: %v", restart, tries)
		}
		for _, a := range tries {
			if a.GetCpuMs() != 1500 || a.GetMemoryBytes() != 8<<20 {
				t.Errorf("after restart %v, attempt %s used %d ms and %d bytes; want what was reported", restart, a.GetId(), a.GetCpuMs(), a.GetMemoryBytes())
			}
		}
	}
}

// TestCancelHoldExplain changes a job's course and asks why it waits.
func TestCancelHoldExplain(t *testing.T) {
	r := newRig(t)
	c := r.as(r.admin)
	id := r.submit(c, "tasks: {a: {array: 0-9, run: \"true\"}, b: {needs: a, run: \"true\"}}\n")
	kinds := func(ref string) string {
		var words []string
		for _, e := range do(t, c.jobs.Explain, &reevev1.ExplainRequest{Ref: ref}).GetTasks() {
			for _, r := range e.GetReasons() {
				words = append(words, e.GetTask()+":"+r.GetKind())
			}
		}
		return strings.Join(words, " ")
	}
	want(t, "without a worker", kinds(id), "a:no_worker b:dependency")
	do(t, c.jobs.Hold, &reevev1.HoldRequest{Id: id, Task: "a"})
	if got := kinds(id + ".a"); !strings.Contains(got, "a:hold") {
		t.Errorf("held: %s", got)
	}
	w := r.join(c, "w1", 3)
	do(t, c.jobs.Release, &reevev1.ReleaseRequest{Id: id, Task: "a"})
	first := w.take()
	w.started(first)
	r.until(c, id, func(j *reevev1.Job) bool { return j.GetTasks()[0].GetCounts().GetRunning() == 1 })
	got := do(t, c.jobs.Cancel, &reevev1.CancelRequest{Id: id, Task: "a", Elements: "0,8-9", Reason: "too many"})
	if got.GetStopping() != 1 || got.GetCancelled() != 2 || got.GetAlreadyEnded() {
		t.Errorf("cancel of three elements: %v", got)
	}
	do(t, c.jobs.Cancel, &reevev1.CancelRequest{Id: id, Kill: true})
	for range 2 {
		w.report(ended(w.take(), 1, ""))
	}
	w.report(ended(first, 1, ""))
	j := r.ends(c, id, "cancelled")
	if !strings.Contains(j.GetCause(), "killed by admin") || j.GetExitCode() == 0 {
		t.Errorf("the job's end: %q, exit code %d", j.GetCause(), j.GetExitCode())
	}
	if got := do(t, c.jobs.Cancel, &reevev1.CancelRequest{Id: id}); !got.GetAlreadyEnded() {
		t.Errorf("cancel of what has ended: %v", got)
	}
	refused(t, c.jobs.Hold, &reevev1.HoldRequest{Id: id}, connect.CodeFailedPrecondition, "job 1 has ended; only what waits can be held or released")
	r.restart()
	if got := do(t, c.jobs.Cancel, &reevev1.CancelRequest{Id: id}); !got.GetAlreadyEnded() {
		t.Errorf("cancel of what has left memory: %v", got)
	}
	if got := do(t, c.jobs.Explain, &reevev1.ExplainRequest{Ref: id}); !strings.Contains(got.GetSummary(), "job 1 is cancelled: killed by admin") {
		t.Errorf("why it ended: %v", got)
	}
	for ref, why := range map[string]string{
		id + ".a":   "it has ended: cancelled",
		id + ".a.0": "it has ended: cancelled (killed by admin)",
		id + ".a.8": "it has ended: cancelled (cancelled by admin (too many))",
		id + ".a.3": "it has ended: cancelled (killed by admin)",
	} {
		tasks := do(t, c.jobs.Explain, &reevev1.ExplainRequest{Ref: ref}).GetTasks()
		want(t, ref, tasks[0].GetReasons()[0].GetText(), why)
	}
}

// TestEveryProtocol makes the same calls over each protocol and encoding.
func TestEveryProtocol(t *testing.T) {
	r := newRig(t)
	for name, opts := range map[string][]connect.ClientOption{
		"connect": {}, "connect JSON": {connect.WithProtoJSON()}, "grpc": {connect.WithGRPC()}, "grpc-web": {connect.WithGRPCWeb()},
		"grpc JSON": {connect.WithGRPC(), connect.WithProtoJSON()}, "compressed": {connect.WithSendGzip()},
	} {
		t.Run(name, func(t *testing.T) {
			c := r.as(r.admin, opts...)
			id := do(t, c.jobs.Submit, file("run: \"true\"\n")).GetJobs()[0].GetId()
			if j := do(t, c.jobs.Get, &reevev1.GetRequest{Id: id, Spec: true}).GetJob(); j.GetId() != id || j.GetSpec() == nil || j.GetSubmittedBy() != "admin" {
				t.Errorf("the job: %v", j)
			}
			refused(t, c.jobs.Get, &reevev1.GetRequest{Id: "x"}, connect.CodeInvalidArgument, `job id "x"`)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			stream, err := c.watch.Watch(ctx, connect.NewRequest(&reevev1.WatchRequest{Jobs: []string{id}}))
			if err != nil || !stream.Receive() || stream.Msg().GetCursor() == "" {
				t.Errorf("a stream: %v, %v", err, stream.Err())
			}
			cancel()
			stream.Close()
			_, err = all(r.as("rv1_x_y", opts...).watch.Watch(t.Context(), connect.NewRequest(&reevev1.WatchRequest{})))
			wantError(t, err, connect.CodeUnauthenticated, "not authenticated")
			refused(t, r.as("", opts...).jobs.Get, &reevev1.GetRequest{Id: id}, connect.CodeUnauthenticated, "the token does not begin with rv1_")
		})
	}
}
