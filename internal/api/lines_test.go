package api

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	reevev1 "github.com/reeve-scheduler/reeve/gen/reeve/v1"
)

// plain calls a method as curl would.
func (r *rig) plain(method, body string, headers ...string) *http.Response {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, r.url+"/reeve.v1."+method, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if r.admin != "" {
		req.Header.Set("Authorization", "Bearer "+r.admin)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := r.http.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// TestStreamsAsLines reads streams with plain HTTP: a JSON message a line, as each
// comes.
func TestStreamsAsLines(t *testing.T) {
	r := newRig(t)
	c := r.as(r.admin)
	id := r.submit(c, "tasks: {a: {array: 0-2, run: \"true\"}}\n")
	resp := r.plain("WatchService/Watch", `{"jobs":["`+id+`"]}`)
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "application/x-ndjson" {
		t.Fatalf("status %d, %v", resp.StatusCode, resp.Header)
	}
	in := bufio.NewScanner(resp.Body)
	next := func() map[string]any {
		t.Helper()
		var m map[string]any
		if !in.Scan() || json.Unmarshal(in.Bytes(), &m) != nil {
			t.Fatalf("no line of JSON: %q, %v", in.Text(), in.Err())
		}
		return m
	}
	if m := next(); m["cursor"] == "" || m["events"] != nil {
		t.Errorf("the first line: %v", m)
	}
	do(t, c.jobs.Hold, &reevev1.HoldRequest{Id: id})
	if m := next(); m["events"].([]any)[0].(map[string]any)["kind"] != "held" {
		t.Errorf("the second line: %v", m)
	}
	r.stopCalls(nil)
	if m := next(); m["error"].(map[string]any)["code"] == "" {
		t.Errorf("the last line: %v", m)
	}
	if in.Scan() {
		t.Errorf("a line after the last: %q", in.Text())
	}
}

// TestPlainStreamErrors: what goes wrong before the first line is answered as for
// any other call.
func TestPlainStreamErrors(t *testing.T) {
	r := newRig(t)
	id := r.submit(r.as(r.admin), "tasks: {a: {array: 0-2, run: \"true\"}}\n")
	for _, test := range []struct {
		name, method, body string
		headers            []string
		status             int
		says               string
	}{
		{"not found", "WatchService/Watch", `{"jobs":["99"]}`, nil, 404, `{"code":"not_found","message":"job 99 does not exist, or is past its retention"}`},
		{"invalid", "LogService/Read", `{"ref":"x"}`, nil, 400, `"code":"invalid_argument"`},
		{"an unknown field", "LogService/Read", `{"reff":"x"}`, nil, 400, "reff"},
		{"no JSON", "LogService/Read", `ref`, nil, 400, `"code":"invalid_argument"`},
		{"no token", "WatchService/Watch", `{}`, []string{"Authorization", ""}, 401, `"code":"unauthenticated"`},
		{"too large", "WatchService/Watch", `{"namespace":"` + strings.Repeat("x", MaxMessage) + `"}`, nil, 429, "larger than 16 MiB"},
		{"nothing to say", "LogService/Read", `{"ref":"` + id + `"}`, nil, 200, ""},
		{"an empty message", "JobService/Outputs", ``, nil, 400, `job id`},
	} {
		t.Run(test.name, func(t *testing.T) {
			resp := r.plain(test.method, test.body, test.headers...)
			text, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != test.status || !strings.Contains(string(text), test.says) {
				t.Errorf("%d %s, %v; want %d with %s", resp.StatusCode, text, err, test.status, test.says)
			}
		})
	}
}
