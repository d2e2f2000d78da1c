package jobfile

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/job"
)

func paramSpec(t *testing.T) *job.Spec {
	t.Helper()
	result, err := Parse("params.yaml", []byte(`
run: "true"
params:
  day: "2026-01-01"
  must:
  n: {type: int, default: 5}
  ratio: {type: number, default: 1.50}
  fast: {type: bool, default: false}
  mode: {enum: [slow, quick], default: slow}
  shards: [a, b]
`))
	if err != nil {
		t.Fatal(err)
	}
	return result.Spec
}

func TestBindParams(t *testing.T) {
	spec := paramSpec(t)
	for _, c := range []struct{ name, given, want, err string }{
		{"defaults", `{"must":"x"}`, `{"day":"2026-01-01","fast":false,"mode":"slow","must":"x","n":5,"ratio":1.50,"shards":["a","b"]}`, ""},
		{"typed", `{"must":"é","day":"","fast":true,"mode":"quick","n":-7,"ratio":2e3,"shards":["x",1,true]}`,
			`{"day":"","fast":true,"mode":"quick","must":"é","n":-7,"ratio":2e3,"shards":["x","1","true"]}`, ""},
		{"texts", `{"must":"1","fast":"true","n":"12","ratio":"0.5","shards":"x,y z"}`,
			`{"day":"2026-01-01","fast":true,"mode":"slow","must":"1","n":12,"ratio":0.5,"shards":["x","y z"]}`, ""},
		{"a number for a text", `{"must":1.10}`, `{"day":"2026-01-01","fast":false,"mode":"slow","must":"1.10","n":5,"ratio":1.50,"shards":["a","b"]}`, ""},
		{"a JSON list as text, an empty list", `{"must":"","shards":"[\"a,b\"]"}`, `{"day":"2026-01-01","fast":false,"mode":"slow","must":"","n":5,"ratio":1.50,"shards":["a,b"]}`, ""},
		{"empty list", `{"must":"","shards":""}`, `{"day":"2026-01-01","fast":false,"mode":"slow","must":"","n":5,"ratio":1.50,"shards":[]}`, ""},
		{"expressions stay text", `{"must":"${{ job.id }}"}`, `{"day":"2026-01-01","fast":false,"mode":"slow","must":"${{ job.id }}","n":5,"ratio":1.50,"shards":["a","b"]}`, ""},
		{"missing", `{}`, "", "parameter must needs a value: a text"},
		{"unknown", `{"must":"x","dya":"y"}`, "", "parameter dya is unknown; did you mean day?"},
		{"far", `{"must":"x","frobnicate":"y"}`, "", "known are day, fast, mode, must, n, ratio, shards"},
		{"int", `{"must":"x","n":1.5}`, "", `parameter n: "1.5": want a whole number`},
		{"huge int", `{"must":"x","n":99999999999999999999}`, "", "want a whole number"},
		{"number", `{"must":"x","ratio":"half"}`, "", `parameter ratio: "half": want a number`},
		{"bool", `{"must":"x","fast":1}`, "", "want true or false"},
		{"enum", `{"must":"x","mode":"fast"}`, "", "want one of slow, quick"},
		{"list for a text", `{"must":["x"]}`, "", "want a text"},
		{"object", `{"must":{"a":1}}`, "", "want a text"},
		{"null", `{"must":null}`, "", "want a text"},
		{"nested list", `{"must":"x","shards":[["a"]]}`, "", "want a list"},
		{"NUL", `{"must":"a\u0000b"}`, "", "NUL"},
		{"NUL in a list", `{"must":"x","shards":["a\u0000b"]}`, "", "want a list"},
		{"long", `{"must":"` + strings.Repeat("x", maxParam) + `"}`, "", "at most 65536"},
	} {
		t.Run(c.name, func(t *testing.T) {
			given := map[string]json.RawMessage{}
			if err := json.Unmarshal([]byte(c.given), &given); err != nil {
				t.Fatal(err)
			}
			got, err := BindParams(spec, given)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) || job.CodeOf(err) != job.Invalid {
					t.Fatalf("fails with %v (code %v), want %q (Invalid)", err, job.CodeOf(err), c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, string(got)); diff != "" {
				t.Errorf("bound (-want +got):\n%s", diff)
			}
			decoded, err := DecodeParams(got)
			if err != nil || len(decoded) != len(spec.Params) {
				t.Errorf("DecodeParams: %v, %d values", err, len(decoded))
			}
			again, err := BindParams(spec, decoded)
			if err != nil || string(again) != string(got) {
				t.Errorf("bound values bind to something else: %s, %v", again, err)
			}
		})
	}
}

func TestBindWithoutParams(t *testing.T) {
	spec := &job.Spec{}
	if got, err := BindParams(spec, nil); err != nil || string(got) != "{}" {
		t.Errorf("nothing binds to %s, %v", got, err)
	}
	_, err := BindParams(spec, map[string]json.RawMessage{"day": json.RawMessage(`"x"`)})
	if err == nil || !strings.Contains(err.Error(), "the job has no parameters") {
		t.Errorf("an unknown parameter fails with %v", err)
	}
	if got, err := DecodeParams(nil); err != nil || len(got) != 0 {
		t.Errorf("no parameters decode to %v, %v", got, err)
	}
	if _, err := DecodeParams([]byte("{")); err == nil {
		t.Error("damaged parameters are accepted")
	}
}

func TestBoundParamsAreBounded(t *testing.T) {
	spec := &job.Spec{Params: map[string]job.Param{}}
	given := map[string]json.RawMessage{}
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		spec.Params[name] = job.Param{Type: "string"}
		given[name] = json.RawMessage(`"` + strings.Repeat("x", maxParam-10) + `"`)
	}
	if _, err := BindParams(spec, given); err == nil || !strings.Contains(err.Error(), "together") && !strings.Contains(err.Error(), "at most 262144") {
		t.Errorf("%d bytes of parameters fail with %v", 5*maxParam, err)
	}
}
