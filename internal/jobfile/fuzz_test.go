package jobfile

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/reeve-scheduler/reeve/internal/jobfile/canon"
)

// FuzzParse: no text makes the parser fail in another way than by Errors, and
// what it accepts has a canonical form that every reader agrees on.
func FuzzParse(f *testing.F) {
	for _, folder := range []string{"testdata/good", "testdata/bad"} {
		for _, text := range corpus(f, folder, ".yaml", ".json", ".canonical") {
			f.Add(text)
		}
	}
	schema := compiledSchema(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		result, err := Parse("fuzz.yaml", text)
		if err != nil {
			var errs Errors
			ok := errors.As(err, &errs)
			if !ok || len(errs) == 0 {
				t.Fatalf("the error is %T", err)
			}
			for _, e := range errs {
				if strings.Contains(e.Error(), "\n") || e.Line < 1 || e.Column < 1 || e.Message == "" {
					t.Fatalf("not one line with a position: %+v", e)
				}
			}
			return
		}
		checkRoundTrip(t, result)
		if _, err := validate(t, schema, "canonical.json", result.Canonical); err != nil {
			t.Fatalf("the schema refuses %s: %v", result.Canonical, err)
		}
		if _, err := validate(t, schema, "fuzz.yaml", text); err != nil {
			t.Fatalf("the schema refuses %q: %v", text, err)
		}
	})
}

// FuzzBind: whatever is given, what is bound is JSON that binds to itself.
func FuzzBind(f *testing.F) {
	for _, value := range []string{`"x"`, "5", "1.50", "true", "null", `["a",1]`, `"a,b"`, "{}", `"[1]"`, "-0", "1e999"} {
		f.Add("string", value)
		f.Add("int", value)
		f.Add("number", value)
		f.Add("bool", value)
		f.Add("list", value)
	}
	f.Fuzz(func(t *testing.T, kind, value string) {
		if !json.Valid([]byte(value)) {
			return
		}
		spec, err := canon.Read([]byte(`{"params":{"p":{"type":"string"}},"tasks":[]}`))
		if err != nil {
			t.Fatal(err)
		}
		declared := spec.Params["p"]
		for _, known := range paramTypes {
			if kind == known {
				declared.Type = kind
			}
		}
		spec.Params["p"] = declared
		bound, err := BindParams(spec, map[string]json.RawMessage{"p": json.RawMessage(value)})
		if err != nil {
			return
		}
		params, err := DecodeParams(bound)
		if err != nil {
			t.Fatalf("%s bound to %s: %v", value, bound, err)
		}
		again, err := BindParams(spec, params)
		if err != nil || string(again) != string(bound) {
			t.Fatalf("%s bound to %s, which binds to %s, %v", value, bound, again, err)
		}
	})
}
