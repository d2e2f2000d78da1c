package api

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/guard"

	reevev1 "github.com/reeve-scheduler/reeve/gen/reeve/v1"
)

// TestPermissions calls every method there is, over TLS, as everybody there can be,
// and compares who was let in with the table in the documents.
func TestPermissions(t *testing.T) {
	const path = "../../docs/permissions.md"
	got := permissionTable(t)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (run the test with -update to make it)", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("docs/permissions.md differs from what the server does (-file +server; -update rewrites it):\n%s", diff)
	}
}

// principals are the columns of the table, without those that never get in.
var principals = []struct{ name, scopes, namespace string }{
	{"admin", "admin", ""}, {"submit", "submit", ""}, {"read", "read", ""}, {"worker", "worker", ""},
	{"submit,read elsewhere", "submit,read", "elsewhere"}, {"admin elsewhere", "admin", "elsewhere"},
}

func permissionTable(t *testing.T) string {
	r := newRig(t)
	admin := r.as(r.admin)
	do(t, admin.namespaces.Create, &reevev1.NamespaceServiceCreateRequest{Name: "elsewhere"})
	tokens := map[string]string{
		"none": "", "garbage": "rv1_nobody_AAAA", "unknown": strings.Replace(r.admin, "rv1_", "rv1_x", 1),
		"expired": r.token("old", time.Hour, "admin"), "revoked": r.token("gone", 0, "admin"),
	}
	do(t, admin.tokens.Revoke, &reevev1.TokenServiceRevokeRequest{Id: "gone"})
	for i, p := range principals {
		var spaces []string
		if p.namespace != "" {
			spaces = []string{p.namespace}
		}
		tokens[p.name] = r.token(fmt.Sprintf("p%d", i), 0, p.scopes, spaces...)
	}
	var b strings.Builder
	b.WriteString("# Who may call what\n\n*Written by a test from `internal/api`; `go test ./internal/api -run Permissions -update` writes it again. The test calls every\n" +
		"method over TLS with each kind of token.*\n\n" +
		"A token has one or more scopes, and may be limited to namespaces. `yes` means that the call is let in; `-` that it is refused with\n" +
		"`permission_denied`; `hidden` that the object of another namespace does not exist for the caller (`not_found`). Without a token, or with\n" +
		"one that is unknown, expired or revoked, every call but `HealthService/Check` is refused with `unauthenticated`. Scope `admin` includes the\n" +
		"others. The last two columns are tokens limited to a namespace, which call for an object of another one.\n\n| method |")
	for _, p := range principals {
		b.WriteString(" " + p.name + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(principals)) + "\n")
	for _, file := range guard.Files() {
		for i := range file.Services().Len() {
			for k := range file.Services().Get(i).Methods().Len() {
				b.WriteString(r.permissionRow(file.Services().Get(i).Methods().Get(k), tokens))
			}
		}
	}
	return b.String()
}

// permissionRow calls one method with every token.
func (r *rig) permissionRow(m protoreflect.MethodDescriptor, tokens map[string]string) string {
	r.t.Helper()
	name := strings.TrimPrefix(string(m.FullName()), "reeve.v1.")
	name = strings.Replace(name, ".", "/", 1)
	id := r.submit(r.as(r.admin), "run: \"true\"\n")
	for _, who := range []string{"none", "garbage", "unknown", "expired", "revoked"} {
		want := connect.CodeUnauthenticated
		if name == "HealthService/Check" {
			want = 0
		}
		if got := r.raw(m, id, tokens[who]); got != want {
			r.t.Errorf("%s with the token %q gave %s; want %s", name, who, got, want)
		}
	}
	row := "| `" + name + "` |"
	for _, p := range principals {
		cell := " yes |"
		switch r.raw(m, id, tokens[p.name]) {
		case connect.CodePermissionDenied:
			cell = " - |"
		case connect.CodeUnauthenticated:
			cell = " unauthenticated |"
		case connect.CodeNotFound:
			if p.namespace != "" {
				cell = " hidden |"
			}
		case connect.CodeInternal, connect.CodeUnimplemented, connect.CodeUnknown:
			r.t.Errorf("%s as %s failed", name, p.name)
		}
		row += cell
	}
	return row + "\n"
}

// raw calls a method about a job of the default namespace with plain HTTP, and
// returns its code, 0 for success.
func (r *rig) raw(m protoreflect.MethodDescriptor, id, token string) connect.Code {
	r.t.Helper()
	msg := dynamicpb.NewMessage(m.Input())
	fill(msg, map[string]any{
		"id": id, "ref": id + ".main", "task": "main", "namespace": "default", "queue": "default", "name": "default", "jobs": id, "path": "x",
		"file": "run: \"true\"\n", "blob": "items/none", "holder": id, "worker": "none", "states": "pending",
	})
	streaming := m.IsStreamingClient() || m.IsStreamingServer()
	var body []byte
	contentType := "application/json"
	if streaming {
		contentType = "application/connect+proto"
		text, err := proto.Marshal(msg)
		if err != nil {
			r.t.Fatal(err)
		}
		body = binary.BigEndian.AppendUint32([]byte{0}, uint32(len(text)))
		body = append(body, text...)
	} else {
		var err error
		if body, err = protojson.Marshal(msg); err != nil {
			r.t.Fatal(err)
		}
	}
	path := "/" + string(m.Parent().FullName()) + "/" + string(m.Name())
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, r.url+path, bytes.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := r.http.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	if !streaming {
		return unaryCode(r.t, resp)
	}
	return streamCode(r.t, resp)
}

// fill sets the fields that a call needs to be about something.
func fill(m protoreflect.Message, values map[string]any) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		v, ok := values[string(f.Name())]
		switch {
		case f.Name() == "submit":
			fill(m.Mutable(f).Message(), values)
		case !ok || f.Kind() != protoreflect.StringKind:
		case f.IsList():
			m.Mutable(f).List().Append(protoreflect.ValueOf(v))
		default:
			m.Set(f, protoreflect.ValueOf(v))
		}
	}
}

type wireError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

func (e *wireError) code(t testing.TB) connect.Code {
	t.Helper()
	var c connect.Code
	if err := c.UnmarshalText([]byte(e.Code)); err != nil {
		t.Fatalf("the error %+v has no code: %v", e, err)
	}
	return c
}

func unaryCode(t testing.TB, resp *http.Response) connect.Code {
	t.Helper()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode == http.StatusOK {
		return 0
	}
	var e wireError
	if err := json.Unmarshal(text, &e); err != nil {
		t.Fatalf("status %d with %q, which is no error of the API: %v", resp.StatusCode, text, err)
	}
	if resp.StatusCode == http.StatusUnauthorized && resp.Header.Get("WWW-Authenticate") != "Bearer" {
		t.Errorf("401 without WWW-Authenticate")
	}
	return e.code(t)
}

// streamCode reads a stream's first message: a stream that begins with one has been
// let in.
func streamCode(t testing.TB, resp *http.Response) connect.Code {
	t.Helper()
	var head [5]byte
	if _, err := io.ReadFull(resp.Body, head[:]); err != nil {
		t.Fatalf("status %d and no message: %v", resp.StatusCode, err)
	}
	text := make([]byte, binary.BigEndian.Uint32(head[1:]))
	if _, err := io.ReadFull(resp.Body, text); err != nil {
		t.Fatal(err)
	}
	if head[0]&2 == 0 {
		return 0
	}
	var end struct {
		Error *wireError `json:"error"`
	}
	if err := json.Unmarshal(text, &end); err != nil {
		t.Fatal(err)
	}
	if end.Error == nil {
		return 0
	}
	return end.Error.code(t)
}

// TestEveryMethodNeedsAPolicy: a server whose API has a method that nobody thought
// of does not start, nor does one whose policy speaks of a method that is gone.
func TestEveryMethodNeedsAPolicy(t *testing.T) {
	file := func(service string) protoreflect.FileDescriptor {
		text := func(s string) *string { return &s }
		f, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
			Name: text("fake.proto"), Package: text("reeve.v1"), Syntax: text("proto3"),
			MessageType: []*descriptorpb.DescriptorProto{{Name: text("Nothing")}},
			Service: []*descriptorpb.ServiceDescriptorProto{{Name: text(service), Method: []*descriptorpb.MethodDescriptorProto{
				{Name: text("Open"), InputType: text(".reeve.v1.Nothing"), OutputType: text(".reeve.v1.Nothing")},
			}}},
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	if _, err := guard.New(guard.Options{}, guard.Files()); err != nil {
		t.Errorf("the API as it is: %v", err)
	}
	if _, err := guard.New(guard.Options{}, append(guard.Files(), file("BackDoorService"))); err == nil || !strings.Contains(err.Error(), "no permission is set for reeve.v1.BackDoorService/Open") {
		t.Errorf("an API with a method without a policy: %v", err)
	}
	if _, err := guard.New(guard.Options{}, guard.Files()[:1]); err == nil || !strings.Contains(err.Error(), "no such method") {
		t.Errorf("a policy for methods that are gone: %v", err)
	}
}

// TestRevokedAtOnce ends a token and its open streams, those that wait to read and
// those that wait to write alike.
func TestRevokedAtOnce(t *testing.T) {
	r := newRig(t)
	admin := r.as(r.admin)
	for name, open := range map[string]func(c *clients) (wait func() error){
		"watch": func(c *clients) func() error {
			stream, err := c.watch.Watch(t.Context(), connect.NewRequest(&reevev1.WatchRequest{}))
			if err != nil || !stream.Receive() {
				t.Fatal(err, stream.Err())
			}
			return func() error {
				for stream.Receive() {
				}
				return stream.Err()
			}
		},
		"log append": func(c *clients) func() error {
			stream := c.logs.Append(t.Context())
			if err := stream.Send(&reevev1.LogAppendRequest{Ref: "1.main@1"}); err != nil {
				t.Fatal(err)
			}
			if _, err := stream.Receive(); err != nil {
				t.Fatal(err)
			}
			return func() error { _, err := stream.Receive(); return err }
		},
		"session": func(c *clients) func() error {
			w := r.join(c, "w1", 1)
			return func() error { return <-w.over }
		},
		"put items": func(c *clients) func() error {
			stream := c.artifacts.PutItems(t.Context())
			if err := stream.Send(&reevev1.PutItemsRequest{Data: []byte("\"a\"\n")}); err != nil {
				t.Fatal(err)
			}
			return func() error {
				for stream.Send(&reevev1.PutItemsRequest{Data: []byte("\"a\"\n")}) == nil {
				}
				_, err := stream.CloseAndReceive()
				return err
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			text := r.token("doomed", 0, "submit,read,worker")
			wait := open(r.as(text))
			do(t, admin.tokens.Revoke, &reevev1.TokenServiceRevokeRequest{Id: idOf(t, text)})
			refused(t, r.as(text).jobs.Get, &reevev1.GetRequest{Id: "1"}, connect.CodeUnauthenticated, "token doomed was revoked")
			wantError(t, wait(), connect.CodeUnauthenticated, "the token has expired or was revoked")
		})
	}
}

// TestExpiryEndsStreams: a token that expires ends its streams too.
func TestExpiryEndsStreams(t *testing.T) {
	r := newRig(t)
	token, text, err := NewToken("short", "read", nil, r.leader.Now(), time.Second, "test")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.leader.Do(t.Context(), core.PutToken{Token: token}); err != nil {
		t.Fatal(err)
	}
	_, err = all(r.as(text).watch.Watch(t.Context(), connect.NewRequest(&reevev1.WatchRequest{})))
	wantError(t, err, connect.CodeUnauthenticated, "the token has expired or was revoked")
}

// TestStopEndsStreams: a server that stops says so to those who wait for it, and
// does not wait for those who do not speak.
func TestStopEndsStreams(t *testing.T) {
	r := newRig(t)
	c := r.as(r.admin)
	watching, err := c.watch.Watch(t.Context(), connect.NewRequest(&reevev1.WatchRequest{}))
	if err != nil || !watching.Receive() {
		t.Fatal(err)
	}
	appending := c.logs.Append(t.Context())
	if err := appending.Send(&reevev1.LogAppendRequest{Ref: "1.main@1"}); err != nil {
		t.Fatal(err)
	}
	if _, err := appending.Receive(); err != nil {
		t.Fatal(err)
	}
	r.stopCalls(guard.ErrStopping)
	watching.Receive()
	wantError(t, watching.Err(), connect.CodeUnavailable, "the server is stopping; try again")
	_, err = appending.Receive()
	wantError(t, err, connect.CodeUnavailable, "the server is stopping; try again")
}
