package api

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/reeve-scheduler/reeve/internal/api/intake"
	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/link"
	"github.com/reeve-scheduler/reeve/internal/store"

	reevev1 "github.com/reeve-scheduler/reeve/gen/reeve/v1"
)

// TestDocumentedLimits holds docs/api.md to the limits and the error codes of the
// code.
func TestDocumentedLimits(t *testing.T) {
	text, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	kib := func(n int) string { return fmt.Sprintf("%d KiB", n>>10) }
	days := func(d time.Duration) string { return fmt.Sprintf("%d days", d/(24*time.Hour)) }
	for what, limit := range map[string]string{
		"one message, decompressed":       fmt.Sprintf("%d MiB", MaxMessage>>20),
		"items of one submit":             number(core.MaxItems) + ", and " + number(core.MaxSubmitTasks) + " tasks in all their jobs",
		"a payload":                       kib(job.MaxPayload),
		"an idempotency key":              fmt.Sprintf("%d bytes", intake.MaxKey),
		"outputs of a task or an element": kib(job.MaxOutput),
		"elements of an array":            number(job.MaxElements),
		"items of an array that are stored apart (`PutItems`)": fmt.Sprintf("%d GiB together, %s each", maxItems>>30, kib(maxItem)),
		"jobs or elements of one page":                         number(store.MaxPage) + "; " + number(defaultPage) + " by default",
		"labels of a list's query":                             number(maxLabels),
		"jobs of one watch":                                    number(maxWatched),
		"life of a token":                                      "1 second to " + days(maxValid) + "; " + days(defaultValid) + " by default",
		"namespaces, queues of a namespace, pools with a setting, reservations, tokens": number(core.MaxNamespaces) + ", " + number(core.MaxQueues) + ", " + number(core.MaxPools) + ", " + number(core.MaxReservations) + ", " + number(core.MaxTokens),
		"labels, functions, slots of a worker":                                          number(job.MaxLabels) + ", " + number(link.MaxFunctions) + ", " + number(link.MaxSlots),
	} {
		if row := "| " + what + " | " + limit + " |\n"; !strings.Contains(string(text), row) {
			t.Errorf("docs/api.md lacks the row %s", row)
		}
	}
	for c, code := range codes {
		if row := fmt.Sprintf("| `%s` | %d |", code, status(code.String())); !strings.Contains(string(text), row) {
			t.Errorf("docs/api.md lacks a row of errors that begins %s, for code %d", row, c)
		}
	}
	if seconds := fmt.Sprintf("comes every %d seconds", int(watchIdle.Seconds())); !strings.Contains(string(text), seconds) {
		t.Errorf("docs/api.md does not say that a cursor %s", seconds)
	}
}

// number spells a number with commas.
func number(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// status is the HTTP status that Connect gives a code.
func status(code string) int {
	return map[string]int{
		"internal": 500, "invalid_argument": 400, "not_found": 404, "already_exists": 409, "failed_precondition": 400,
		"permission_denied": 403, "unauthenticated": 401, "resource_exhausted": 429, "unavailable": 503,
	}[code]
}

// TestSecretsStayIn gives the server secrets in every place where there are any, and
// looks for them in what it answers and logs.
func TestSecretsStayIn(t *testing.T) {
	r := newRig(t)
	admin := r.as(r.admin)
	made := do(t, admin.tokens.Create, &reevev1.TokenServiceCreateRequest{Name: "ci", Scopes: []string{"read"}})
	secret := func(text string) string { return strings.SplitN(text, "_", 3)[2] } // which may have one itself
	wrong := made.GetSecret()[:len(made.GetSecret())-1]
	canaries := []string{secret(r.admin), secret(made.GetSecret()), secret(wrong), "canary-payload", "canary-value", "canary-output"}

	q := file("run: \"true\"\nenv: {PASSWORD: canary-value}\n")
	q.Items = []*reevev1.SubmitItem{{Payload: []byte("canary-payload")}}
	id := do(t, admin.jobs.Submit, q).GetJobs()[0].GetId()
	w := r.join(admin, "w1", 1)
	w.report(ended(w.take(), 0, `{"v":"canary-output"}`))
	r.ends(admin, id, "succeeded")

	var answers strings.Builder
	say := func(what any, err error) { fmt.Fprintln(&answers, what, err) }
	for _, token := range []string{wrong, made.GetSecret() + "x", "rvj1_" + secret(made.GetSecret()), secret(r.admin), made.GetSecret()} {
		for _, method := range []string{"JobService/Submit", "WatchService/Watch", "TokenService/List", "JobService/Nothing"} {
			resp := r.plain(method, `{"nonsense":1}`, "Authorization", "Bearer "+token)
			body := make([]byte, 4096)
			n, _ := resp.Body.Read(body)
			say(resp.Header, nil)
			say(string(body[:n]), nil)
		}
	}
	tokens := do(t, admin.tokens.List, &reevev1.TokenServiceListRequest{})
	say(tokens, nil)
	do(t, admin.tokens.Revoke, &reevev1.TokenServiceRevokeRequest{Id: "ci"})
	resp := r.plain("JobService/Get", `{"id":"1"}`, "Authorization", "Bearer "+made.GetSecret())
	body := make([]byte, 4096)
	n, _ := resp.Body.Read(body)
	say(string(body[:n]), nil)
	hash := guardHash(t, r)
	for _, c := range append(canaries, hash) {
		if strings.Contains(answers.String(), c) {
			t.Errorf("an answer holds a secret, %.12s…:\n%s", c, answers.String())
		}
		if strings.Contains(r.log.String(), c) {
			t.Errorf("the log holds a secret, %.12s…:\n%s", c, r.log)
		}
	}
	if len(tokens.GetTokens()) != 2 || answers.Len() < 1000 || r.log.String() == "" {
		t.Error("the test has looked at nothing")
	}
}

// guardHash is what the state keeps of the administrator's secret.
func guardHash(t *testing.T, r *rig) string {
	t.Helper()
	hash := ""
	if err := r.leader.View(t.Context(), func(s *core.State) { hash = fmt.Sprintf("%x", s.Tokens()[0].Hash) }); err != nil {
		t.Fatal(err)
	}
	return hash
}
