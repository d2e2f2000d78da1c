package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/reeve-scheduler/reeve/internal/auth"
	"github.com/reeve-scheduler/reeve/internal/logline"
	"github.com/reeve-scheduler/reeve/internal/logstore"

	reevev1 "github.com/reeve-scheduler/reeve/gen/reeve/v1"
)

// ship sends frames of an attempt's log and returns the answer.
func ship(t *testing.T, c *clients, q *reevev1.LogAppendRequest) (*reevev1.LogAppendResponse, error) {
	t.Helper()
	stream := c.logs.Append(t.Context())
	defer stream.CloseResponse()
	if err := stream.Send(q); err != nil {
		t.Fatal(err)
	}
	m, err := stream.Receive()
	stream.CloseRequest()
	return m, err
}

// lineAt is a frame of a line, written so many seconds after a moment.
func lineAt(second int64, kind logline.Kind, text string) []byte {
	return logline.Append(nil, kind, 1_700_000_000_000+1000*second, []byte(text+"\n"))
}

// readLog reads a log as "ref stream text" lines.
func readLog(t *testing.T, c *clients, q *reevev1.LogReadRequest) ([]string, error) {
	t.Helper()
	pieces, err := all(c.logs.Read(t.Context(), connect.NewRequest(q)))
	var out []string
	for _, p := range pieces {
		out = append(out, fmt.Sprintf("%s %s %s", p.GetRef(), p.GetStream(), strings.TrimSuffix(string(p.GetData()), "\n")))
	}
	return out, err
}

// TestLogs reads logs by every option there is, while the job is in memory and from
// the tables.
func TestLogs(t *testing.T) {
	r := newRig(t)
	c := r.as(r.admin)
	id := r.submit(c, "tasks: {a: {run: \"true\", retry: {max_attempts: 2, delay: 1s}}, b: {array: 0-1, run: \"true\"}}\n")
	w := r.join(c, "w1", 3)
	for range 4 {
		a := w.take()
		ref, frames := fmt.Sprintf("%s.a@%d", id, a.GetAttempt()), []byte(nil)
		if a.GetTask() == 1 {
			ref = fmt.Sprintf("%s.b.%d@1", id, a.GetIndex())
			frames = lineAt(20, logline.Stdout, fmt.Sprint("element ", a.GetIndex()))
		} else {
			for i := range int64(5) {
				kind := logline.Stdout
				if i%2 == 1 {
					kind = logline.Stderr
				}
				frames = append(frames, lineAt(i, kind, fmt.Sprintf("line %d of %d", i, a.GetAttempt()))...)
			}
		}
		if m, err := ship(t, c, &reevev1.LogAppendRequest{Fence: a.GetFence(), Proof: a.GetProof(), Ref: ref, Frames: frames, Seal: true}); err != nil || !m.GetDone() {
			t.Fatal(m, err)
		}
		e := ended(a, 0, "")
		if a.GetTask() == 0 && a.GetAttempt() == 1 {
			e = ended(a, 1, "")
		}
		e.LogSize = int64(len(frames))
		w.report(e)
	}
	r.ends(c, id, "succeeded")
	frame := int64(len(lineAt(0, logline.Stdout, "line 0 of 2")))
	first := timestamppb.New(time.UnixMilli(1_700_000_000_000))
	for _, restart := range []bool{false, true} {
		if restart {
			r.restart()
		}
		for _, test := range []struct {
			name string
			q    *reevev1.LogReadRequest
			want string
		}{
			{"newest attempt", &reevev1.LogReadRequest{Ref: id + ".a"}, "@2 out 0, @2 err 1, @2 out 2, @2 err 3, @2 out 4"},
			{"earlier attempt", &reevev1.LogReadRequest{Ref: id + ".a@1", Tail: 1}, "@1 out 4"},
			{"tail", &reevev1.LogReadRequest{Ref: id + ".a", Tail: 2}, "@2 err 3, @2 out 4"},
			{"no tail", &reevev1.LogReadRequest{Ref: id + ".a", Tail: -1}, ""},
			{"offset", &reevev1.LogReadRequest{Ref: id + ".a@2", Offset: 3 * frame}, "@2 err 3, @2 out 4"},
			{"offset at the end", &reevev1.LogReadRequest{Ref: id + ".a@2", Offset: 5 * frame}, ""},
			{"since", &reevev1.LogReadRequest{Ref: id + ".a", Since: timestamppb.New(first.AsTime().Add(3 * time.Second))}, "@2 err 3, @2 out 4"},
			{"standard error", &reevev1.LogReadRequest{Ref: id + ".a", Streams: []string{"stderr"}}, "@2 err 1, @2 err 3"},
			{"both", &reevev1.LogReadRequest{Ref: id + ".a", Streams: []string{"stderr", "stdout"}, Tail: 1}, "@2 out 4"},
			{"followed to the end", &reevev1.LogReadRequest{Ref: id + ".a", Follow: true, Tail: 1}, "@2 out 4"},
			{"an attempt that never was", &reevev1.LogReadRequest{Ref: id + ".a@9"}, ""},
		} {
			got, err := readLog(t, c, test.q)
			if err != nil {
				t.Errorf("%s, after restart %v: %v", test.name, restart, err)
			}
			for i, line := range got {
				short := strings.NewReplacer(id+".a@", "@", " stdout line ", " out ", " stderr line ", " err ", " of 1", "", " of 2", "").Replace(line)
				got[i] = short
			}
			want(t, fmt.Sprintf("%s, after restart %v", test.name, restart), strings.Join(got, ", "), test.want)
		}
		got, err := readLog(t, c, &reevev1.LogReadRequest{Ref: id, Tail: 1})
		if err != nil {
			t.Error(err)
		}
		want(t, "the last line of each", strings.Join(got, ", "), id+".a@2 stdout line 4 of 2, "+id+".b.0@1 stdout element 0, "+id+".b.1@1 stdout element 1")
	}
	for _, test := range []struct {
		q    *reevev1.LogReadRequest
		code connect.Code
		says string
	}{
		{&reevev1.LogReadRequest{Ref: "x"}, connect.CodeInvalidArgument, `reference "x"`},
		{&reevev1.LogReadRequest{Ref: "99"}, connect.CodeNotFound, "job 99 does not exist"},
		{&reevev1.LogReadRequest{Ref: id + ".c"}, connect.CodeNotFound, `job 1 has no task "c"; it has a, b`},
		{&reevev1.LogReadRequest{Ref: id + ".b.7"}, connect.CodeNotFound, "job 1 task b has no element 7"},
		{&reevev1.LogReadRequest{Ref: id, Streams: []string{"log"}}, connect.CodeInvalidArgument, `stream "log": want stdout or stderr`},
		{&reevev1.LogReadRequest{Ref: id, Offset: 5}, connect.CodeInvalidArgument, "an offset is in the log of one attempt; name it, such as 1@1"},
		{&reevev1.LogReadRequest{Ref: id + ".a@1", Offset: -5}, connect.CodeInvalidArgument, "offset -5"},
		{&reevev1.LogReadRequest{Ref: id, Tail: -2}, connect.CodeInvalidArgument, "tail -2"},
		{&reevev1.LogReadRequest{Ref: id, Tail: 1 << 40}, connect.CodeInvalidArgument, "tail 1099511627776"},
	} {
		_, err := readLog(t, c, test.q)
		wantError(t, err, test.code, test.says)
	}
}

// TestLogAppend sends what workers send, and what they should not.
func TestLogAppend(t *testing.T) {
	r := newRig(t)
	c := r.as(r.admin)
	frames := lineAt(0, logline.Stdout, "one")
	size := int64(len(frames))
	r.submit(c, "run: \"true\"\n")
	r.submit(c, "run: \"true\"\n")
	w := r.join(c, "w1", 2)
	first, second := w.take(), w.take()
	step := func(q *reevev1.LogAppendRequest, next int64, done bool) {
		t.Helper()
		q.Ref, q.Fence, q.Proof = "1.main@1", first.GetFence(), first.GetProof()
		m, err := ship(t, c, q)
		if err != nil || m.GetNext() != next || m.GetDone() != done || m.GetRef() != q.GetRef() || m.GetFence() != q.GetFence() {
			t.Errorf("%v, %v; want to go on from %d, done: %v", m, err, next, done)
		}
	}
	step(&reevev1.LogAppendRequest{Frames: frames}, size, false)
	step(&reevev1.LogAppendRequest{Frames: frames}, size, false) // again, which does no harm
	step(&reevev1.LogAppendRequest{Offset: 10 * size, Frames: frames}, size, false)
	step(&reevev1.LogAppendRequest{Offset: size, Frames: frames, Seal: true}, 2*size, true)
	step(&reevev1.LogAppendRequest{Offset: 2 * size, Frames: frames}, 0, true) // nothing more is wanted
	for _, test := range []struct {
		q    *reevev1.LogAppendRequest
		says string
	}{
		{&reevev1.LogAppendRequest{Ref: "1.main"}, `log of "1.main": want an attempt`},
		{&reevev1.LogAppendRequest{Ref: "../x"}, `log of "../x": want an attempt`},
		{&reevev1.LogAppendRequest{Ref: "2.main@1", Offset: -1}, "at offset -1"},
		{&reevev1.LogAppendRequest{Ref: "2.main@1", Frames: []byte("no frames")}, "not whole frames"},
		{&reevev1.LogAppendRequest{Ref: "2.main@1", Frames: frames[:size-1]}, "damaged or cut short"},
		{&reevev1.LogAppendRequest{Ref: "2.main@1", Frames: make([]byte, logstore.MaxAppend+1)}, "want at most 4194304"},
	} {
		test.q.Fence, test.q.Proof = second.GetFence(), second.GetProof()
		_, err := ship(t, c, test.q)
		wantError(t, err, connect.CodeInvalidArgument, test.says)
	}
}

// TestLogOfAnother: what a worker says of attempts that are not there, of one that runs
// under another fence, or of another worker's, is not kept.
func TestLogOfAnother(t *testing.T) {
	r := newRig(t)
	c := r.as(r.admin)
	id := r.submit(c, "tasks: {a: {run: \"true\"}, b: {array: 0-1, run: \"true\", needs: a}, other: {run: \"true\"}}\n")
	w := r.join(c, "w1", 1)
	a := w.take()
	w2 := r.join(c, "w2", 1)
	other := w2.take()
	if a.GetTask() != 0 || len(a.GetProof()) != auth.ProofSize || bytes.Equal(a.GetProof(), other.GetProof()) {
		t.Fatalf("the assignments are %v and %v", a, other)
	}
	frames := lineAt(0, logline.Stdout, "forged")
	forge := func(ref string, fence uint64, proof []byte) {
		t.Helper()
		m, err := ship(t, c, &reevev1.LogAppendRequest{Ref: ref, Fence: fence, Frames: frames, Seal: true, Proof: proof})
		if err != nil || !m.GetDone() || m.GetNext() != 0 {
			t.Errorf("%s with fence %d: %v, %v; want that nothing of it is wanted", ref, fence, m, err)
		}
	}
	forge(id+".a@1", a.GetFence()+1, a.GetProof())
	for _, ref := range []string{id + ".a@2", id + ".b.0@1", id + ".b.7@1", id + ".b@1", id + ".c@1", "99.a@1"} {
		forge(ref, a.GetFence(), a.GetProof())
	}
	forge(id+".a@1", a.GetFence(), nil)
	forge(id+".a@1", a.GetFence(), other.GetProof())
	forge(id+".a@1", other.GetFence(), other.GetProof())
	own := lineAt(0, logline.Stdout, "own")
	if m, err := ship(t, c, &reevev1.LogAppendRequest{Ref: id + ".a@1", Fence: a.GetFence(), Frames: own, Proof: a.GetProof()}); err != nil || m.GetNext() != int64(len(own)) {
		t.Errorf("its own log: %v, %v", m, err)
	}
	w.report(ended(a, 0, ""))
	w.take()
	// The end of a log may come after the end of its attempt, but not from another worker,
	// whatever fence and proof it has.
	late := lineAt(1, logline.Stdout, "late")
	for _, proof := range [][]byte{nil, other.GetProof()} {
		forge(id+".a@1", a.GetFence(), proof)
		forge(id+".a@1", other.GetFence(), proof)
	}
	if m, err := ship(t, c, &reevev1.LogAppendRequest{
		Ref: id + ".a@1", Fence: a.GetFence(), Offset: int64(len(own)), Frames: late, Seal: true, Proof: a.GetProof(),
	}); err != nil || !m.GetDone() || m.GetNext() != int64(len(own)+len(late)) {
		t.Errorf("the end of its own log: %v, %v", m, err)
	}
	forge(id+".a@2", a.GetFence(), a.GetProof())
}

// TestWatch resumes a watch after a break, and learns of a break that is too long.
func TestWatch(t *testing.T) {
	r := newRig(t)
	c := r.as(r.admin)
	do(t, c.namespaces.Create, &reevev1.NamespaceServiceCreateRequest{Name: "team"})
	team := r.as(r.token("team", 0, "read", "team"))
	open := func(c *clients, q *reevev1.WatchRequest) (next func() *reevev1.WatchResponse, stop func()) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		stream, err := c.watch.Watch(ctx, connect.NewRequest(q))
		if err != nil {
			t.Fatal(err)
		}
		next = func() *reevev1.WatchResponse {
			t.Helper()
			if !stream.Receive() {
				t.Fatal(stream.Err())
			}
			return stream.Msg()
		}
		return next, func() { cancel(); stream.Close() }
	}
	next, stop := open(c, &reevev1.WatchRequest{})
	teamNext, teamStop := open(team, &reevev1.WatchRequest{})
	cursor := next().GetCursor()
	if m := teamNext(); m.GetCursor() == "" || m.GetEvents() != nil {
		t.Errorf("the first message: %v", m)
	}
	one := r.submit(c, "run: x")
	two := do(t, c.jobs.Submit, &reevev1.SubmitRequest{Namespace: "team", Source: &reevev1.SubmitRequest_File{File: "run: x"}}).GetJobs()[0].GetId()
	words := func(events []*reevev1.WatchEvent) string {
		var out []string
		for _, e := range events {
			out = append(out, e.GetKind()+":"+e.GetRef()+":"+e.GetNamespace())
			if e.GetCursor() == "" {
				t.Errorf("an event without a cursor: %v", e)
			}
		}
		return strings.Join(out, " ")
	}
	collect := func(next func() *reevev1.WatchResponse, n int) []*reevev1.WatchEvent {
		t.Helper()
		var out []*reevev1.WatchEvent
		for len(out) < n {
			out = append(out, next().GetEvents()...)
		}
		return out
	}
	const both = "job_submitted:1:default task_ready:1.main:default job_submitted:2:team task_ready:2.main:team"
	live := collect(next, 4)
	want(t, "the events", words(live), both)
	want(t, "the team's events", words(collect(teamNext, 2)), "job_submitted:2:team task_ready:2.main:team")
	stop()
	again, stop := open(c, &reevev1.WatchRequest{Cursor: cursor})
	want(t, "from the beginning", words(collect(again, 4)), both)
	stop()
	again, stop = open(c, &reevev1.WatchRequest{Cursor: live[1].GetCursor()})
	want(t, "from the middle", words(collect(again, 2)), "job_submitted:2:team task_ready:2.main:team")
	stop()
	again, stop = open(c, &reevev1.WatchRequest{Cursor: cursor, Jobs: []string{two}})
	want(t, "of one job", words(collect(again, 2)), "job_submitted:2:team task_ready:2.main:team")
	stop()
	again, stop = open(c, &reevev1.WatchRequest{Cursor: cursor, Namespace: "default"})
	want(t, "of one namespace", words(collect(again, 2)), "job_submitted:1:default task_ready:1.main:default")
	stop()

	r.join(c, "w1", 1) // what is in no namespace is not the team's
	do(t, c.jobs.Cancel, &reevev1.CancelRequest{Id: two})
	for _, e := range collect(teamNext, 3) {
		if e.GetNamespace() != "team" {
			t.Errorf("the team sees %v", e)
		}
	}
	teamStop()

	r.restart()
	again, stop = open(c, &reevev1.WatchRequest{Cursor: cursor})
	again() // where the stream stands
	if m := again(); !m.GetResync() || m.GetCursor() == "" {
		t.Errorf("from a place that is no longer kept: %v; want a resync", m)
	}
	stop()
	for _, test := range []struct {
		c    *clients
		q    *reevev1.WatchRequest
		code connect.Code
		says string
	}{
		{c, &reevev1.WatchRequest{Cursor: "x"}, connect.CodeInvalidArgument, `cursor "x": want one that an earlier answer gave`},
		{c, &reevev1.WatchRequest{Cursor: cursor + "0 "}, connect.CodeInvalidArgument, "cursor"},
		{c, &reevev1.WatchRequest{Jobs: []string{"x"}}, connect.CodeInvalidArgument, `job id "x"`},
		{c, &reevev1.WatchRequest{Jobs: []string{"99"}}, connect.CodeNotFound, "job 99 does not exist"},
		{c, &reevev1.WatchRequest{Jobs: make([]string, maxWatched+1)}, connect.CodeInvalidArgument, "1001 jobs in one watch; at most 1000 are allowed"},
		{c, &reevev1.WatchRequest{Namespace: "nowhere"}, connect.CodeNotFound, "known: default, team"},
		{team, &reevev1.WatchRequest{Namespace: "default"}, connect.CodePermissionDenied, "it is limited to namespace team"},
		{team, &reevev1.WatchRequest{Jobs: []string{one}}, connect.CodeNotFound, "job 1 does not exist"},
	} {
		_, err := all(test.c.watch.Watch(t.Context(), connect.NewRequest(test.q)))
		wantError(t, err, test.code, test.says)
	}
}

// TestItems stores the items of a large array and reads them back.
func TestItems(t *testing.T) {
	r := newRig(t)
	c := r.as(r.admin)
	put := func(parts ...string) (*reevev1.PutItemsResponse, error) {
		t.Helper()
		stream := c.artifacts.PutItems(t.Context())
		for _, p := range append(parts, "") {
			if err := stream.Send(&reevev1.PutItemsRequest{Data: []byte(p), Last: p == ""}); err != nil {
				break
			}
		}
		resp, err := stream.CloseAndReceive()
		if err != nil {
			return nil, err
		}
		return resp.Msg, nil
	}
	made, err := put("\"one\"\n\"tw", "o\"\n", "\"ünï\\n\"")
	if err != nil || made.GetCount() != 3 || !strings.HasPrefix(made.GetBlob(), "items/") {
		t.Fatal(made, err)
	}
	pieces, err := all(c.artifacts.GetItems(t.Context(), connect.NewRequest(&reevev1.GetItemsRequest{Blob: made.GetBlob()})))
	if err != nil || len(pieces) != 1 || string(pieces[0].GetData()) != "\"one\"\n\"two\"\n\"ünï\\n\"" {
		t.Errorf("the items: %v, %v", pieces, err)
	}
	for says, parts := range map[string][]string{
		"there are no items": {}, "item 1: \"two\": want a JSON string on each line": {"\"one\"\ntwo\n"}, "item 0: \"1\"": {"1\n"},
		"item 1 is longer than 65536 bytes": {"\"one\"\n\"", strings.Repeat("x", maxItem+10), "\"\n"},
	} {
		_, err := put(parts...)
		wantError(t, err, connect.CodeInvalidArgument, says)
	}
	cut := c.artifacts.PutItems(t.Context())
	if err := cut.Send(&reevev1.PutItemsRequest{Data: []byte("\"one\"\n")}); err != nil {
		t.Fatal(err)
	}
	_, err = cut.CloseAndReceive()
	wantError(t, err, connect.CodeInvalidArgument, "the stream ended before the message that is marked last; nothing of it is kept")
	for blob, says := range map[string]string{"": "want one that PutItems gave", "artifacts/1": "want one that PutItems gave", "items/../x": "want one that PutItems gave", "items/none": "want one that PutItems gave", "items/00000000000000000000000000000000": "does not exist"} {
		_, err := all(c.artifacts.GetItems(t.Context(), connect.NewRequest(&reevev1.GetItemsRequest{Blob: blob})))
		if code := connect.CodeOf(err); err == nil || code != connect.CodeInvalidArgument && code != connect.CodeNotFound || !strings.Contains(err.Error(), says) {
			t.Errorf("items of %q: %v", blob, err)
		}
	}
}

// TestArtifacts stores files of an attempt, and refuses those of nobody.
func TestArtifacts(t *testing.T) {
	r := newRig(t)
	c := r.as(r.admin)
	id := r.submit(c, "run: \"true\"\n")
	w := r.join(c, "w1", 1)
	a := w.take()
	large := strings.Repeat("0123456789abcdef", 100_000)
	leave(t, c, a, "main", "deep dir/ünïcode", large)
	leave(t, c, a, "main", "empty", "")
	want(t, "the files", files(t, c, id), id+".main deep dir/ünïcode\n"+id+".main empty")
	pieces, err := all(c.artifacts.Get(t.Context(), connect.NewRequest(&reevev1.ArtifactGetRequest{Ref: id + ".main", Path: "deep dir/ünïcode"})))
	got := ""
	for _, p := range pieces {
		got += string(p.GetData())
	}
	if err != nil || got != large {
		t.Errorf("the file came back as %d bytes, %v", len(got), err)
	}
	put := func(q *reevev1.ArtifactPutRequest) error {
		stream := c.artifacts.Put(t.Context())
		_ = stream.Send(q)
		_, err := stream.CloseAndReceive()
		return err
	}
	ref := id + ".main@1"
	for _, test := range []struct {
		q    *reevev1.ArtifactPutRequest
		code connect.Code
		says string
	}{
		{&reevev1.ArtifactPutRequest{Ref: id + ".main", Path: "x"}, connect.CodeInvalidArgument, "want an attempt"},
		{&reevev1.ArtifactPutRequest{Ref: ref, Fence: a.GetFence() + 1, Path: "x"}, connect.CodeFailedPrecondition, "is not current; nothing of it is kept"},
		{&reevev1.ArtifactPutRequest{Ref: id + ".main@2", Fence: a.GetFence(), Path: "x"}, connect.CodeFailedPrecondition, "is not current"},
		{&reevev1.ArtifactPutRequest{Ref: ref, Fence: a.GetFence(), Path: "x", Last: true}, connect.CodePermissionDenied, "was not given to whoever sends this"},
		{&reevev1.ArtifactPutRequest{Ref: ref, Fence: a.GetFence(), Path: "x", Last: true, Proof: make([]byte, 16)}, connect.CodePermissionDenied, "proof"},
		{&reevev1.ArtifactPutRequest{Ref: ref, Fence: a.GetFence(), Path: "cut", Data: []byte("short"), Proof: a.GetProof()}, connect.CodeInvalidArgument, "the stream ended before the message that is marked last"},
		{&reevev1.ArtifactPutRequest{Ref: ref, Fence: a.GetFence(), Path: ""}, connect.CodeInvalidArgument, "artifact path"},
		{&reevev1.ArtifactPutRequest{Ref: ref, Fence: a.GetFence(), Path: "../x"}, connect.CodeInvalidArgument, `artifact path "../x"`},
		{&reevev1.ArtifactPutRequest{Ref: ref, Fence: a.GetFence(), Path: "/etc/passwd"}, connect.CodeInvalidArgument, "want a relative path"},
		{&reevev1.ArtifactPutRequest{Ref: ref, Fence: a.GetFence(), Path: "a/../../x"}, connect.CodeInvalidArgument, "artifact path"},
		{&reevev1.ArtifactPutRequest{Ref: ref, Fence: a.GetFence(), Path: "a\x00b"}, connect.CodeInvalidArgument, "artifact path"},
		{&reevev1.ArtifactPutRequest{Ref: ref, Fence: a.GetFence(), Path: strings.Repeat("x", maxArtifactPath+1)}, connect.CodeInvalidArgument, "at most 200 bytes"},
	} {
		wantError(t, put(test.q), test.code, test.says)
	}
	for _, test := range []struct {
		q    *reevev1.ArtifactGetRequest
		code connect.Code
		says string
	}{
		{&reevev1.ArtifactGetRequest{Ref: id + ".main", Path: "none"}, connect.CodeNotFound, `1.main left no artifact "none"`},
		{&reevev1.ArtifactGetRequest{Ref: id + ".other", Path: "x"}, connect.CodeNotFound, `job 1 has no task "other"`},
		{&reevev1.ArtifactGetRequest{Ref: "99.main", Path: "x"}, connect.CodeNotFound, "job 99"},
		{&reevev1.ArtifactGetRequest{Ref: id, Path: "../x"}, connect.CodeInvalidArgument, "artifact path"},
	} {
		_, err := all(c.artifacts.Get(t.Context(), connect.NewRequest(test.q)))
		wantError(t, err, test.code, test.says)
	}
	want(t, "the files in the end", files(t, c, id), id+".main deep dir/ünïcode\n"+id+".main empty")
	w.report(ended(a, 0, ""))
	r.ends(c, id, "succeeded")
	wantError(t, put(&reevev1.ArtifactPutRequest{Ref: ref, Fence: a.GetFence(), Path: "late"}), connect.CodeFailedPrecondition, "is not current")
}

// TestBadWorkers: a worker that speaks wrongly is told so, and what it reports of
// outputs that nobody could read fails the attempt.
func TestBadWorkers(t *testing.T) {
	r := newRig(t)
	c := r.as(r.admin)
	for _, test := range []struct {
		name string
		m    *reevev1.SessionRequest
		code connect.Code
		says string
	}{
		{"nothing", &reevev1.SessionRequest{}, connect.CodeInvalidArgument, "a kind that this version does not know"},
		{"an unknown phase", &reevev1.SessionRequest{Message: &reevev1.SessionRequest_Beat{Beat: &reevev1.Beat{Held: []*reevev1.Held{{Fence: 1, Phase: 9}}}}}, connect.CodeInvalidArgument, "phase 9, which this version does not know; install the same version"},
		{"an unknown cause", &reevev1.SessionRequest{Message: &reevev1.SessionRequest_Report{Report: &reevev1.Report{Ended: []*reevev1.Ended{{Cause: 257}}}}}, connect.CodeInvalidArgument, "cause 257"},
	} {
		t.Run(test.name, func(t *testing.T) {
			stream := c.workers.Session(t.Context())
			defer stream.CloseRequest()
			// The server may have ended the stream before all of it is sent.
			if err := stream.Send(test.m); err != nil && !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			_, err := stream.Receive()
			wantError(t, err, test.code, test.says)
		})
	}
	w := r.join(c, "w1", 1)
	for outputs, says := range map[string]string{
		"{": "outputs that are not a JSON object of texts", `{"a":1}`: "outputs that are not a JSON object of texts",
		`{"a":"` + strings.Repeat("x", 64<<10) + `"}`: "at most 65536 are kept",
	} {
		id := r.submit(c, "run: \"true\"\nretry: {max_attempts: 1}\n")
		w.report(ended(w.take(), 0, outputs))
		if j := r.ends(c, id, "failed"); !strings.Contains(j.GetTasks()[0].GetCause(), says) {
			t.Errorf("outputs %.20s…: the task's cause is %q; want that it says %q", outputs, j.GetTasks()[0].GetCause(), says)
		}
	}
}

// TestDrain keeps new work from a worker, and gives it back.
func TestDrain(t *testing.T) {
	r := newRig(t)
	c := r.as(r.admin)
	w := r.join(c, "w1", 2)
	id := r.submit(c, "run: \"true\"\n")
	a := w.take()
	if m := do(t, c.workers.Drain, &reevev1.DrainRequest{Worker: "w1"}); m.GetRunning() != 1 {
		t.Errorf("drained with %d attempts; want 1", m.GetRunning())
	}
	waiting := r.submit(c, "run: \"true\"\n")
	workers := do(t, c.workers.List, &reevev1.WorkerServiceListRequest{}).GetWorkers()
	if len(workers) != 1 || workers[0].GetState() != "draining" || !workers[0].GetConnected() || workers[0].GetSlots() != 2 || workers[0].GetRunning() != 1 {
		t.Errorf("the workers: %v", workers)
	}
	w.report(ended(a, 0, ""))
	r.ends(c, id, "succeeded")
	if j := do(t, c.jobs.Get, &reevev1.GetRequest{Id: waiting}).GetJob(); j.GetState() != "pending" {
		t.Errorf("a job for a draining worker is %s", j.GetState())
	}
	do(t, c.workers.Undrain, &reevev1.UndrainRequest{Worker: "w1"})
	w.report(ended(w.take(), 0, ""))
	r.ends(c, waiting, "succeeded")
}
