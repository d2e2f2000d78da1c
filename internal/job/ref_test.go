package job

import (
	"strings"
	"testing"
)

func TestParseRef(t *testing.T) {
	for text, want := range map[string]Ref{
		"4217":                 {Job: 4217, Index: NoIndex},
		"4217.transform":       {Job: 4217, Task: "transform", Index: NoIndex},
		"4217.transform.3":     {Job: 4217, Task: "transform", Index: 3},
		"4217.transform[3]":    {Job: 4217, Task: "transform", Index: 3},
		"4217.transform_3":     {Job: 4217, Task: "transform", Index: 3},
		"4217.transform.3@2":   {Job: 4217, Task: "transform", Index: 3, Attempt: 2},
		"4217.my-task@65535":   {Job: 4217, Task: "my-task", Index: NoIndex, Attempt: 65535},
		"18446744073709551615": {Job: 1<<64 - 1, Index: NoIndex},
		"1.a.1099511627775":    {Job: 1, Task: "a", Index: 1<<40 - 1},
		"1.a[0]@1":             {Job: 1, Task: "a", Index: 0, Attempt: 1},
	} {
		if got, err := ParseRef(text); err != nil || got != want {
			t.Errorf("ParseRef(%q) = %+v, %v, want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "0", "01", "+1", "-1", "1 ", "last", "a.b", "1.", "1.A", "1.a.", "1.a.x", "1.a.-1", "1.a[3", "1.a[3]]", "1.a[]", "1.a_", "1.a.3.4",
		"1@2", "1.a@0", "1.a@", "1.a@65536", "1.a@1@2", "1.a.1099511627776", "18446744073709551616", "1.all", "1.a-"} {
		got, err := ParseRef(text)
		if err == nil {
			t.Errorf("ParseRef(%q) = %+v, want an error", text, got)
		} else if strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "4217.transform.3@2") {
			t.Errorf("ParseRef(%q) fails with %q, want one line with an example", text, err)
		}
	}
}

func TestCheckName(t *testing.T) {
	for _, name := range []string{"a", "a1", "my-task", "a--b", strings.Repeat("x", MaxName)} {
		if err := CheckName(name); err != nil {
			t.Errorf("%q is refused: %v", name, err)
		}
	}
	for name, want := range map[string]string{
		"": "empty", "last": "reserved", "all": "reserved", "A": "small letters", "1a": "beginning with a letter", "-a": "small letters",
		"a-": "ending with", "a_b": "small letters", "é": "small letters", "a b": "small letters", strings.Repeat("x", MaxName+1): "64 characters",
	} {
		if err := CheckName(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is answered with %v, want %q", name, err, want)
		}
	}
}

// FuzzRef: whatever is understood is spelled in one way, which is understood as
// the same.
func FuzzRef(f *testing.F) {
	for _, text := range []string{"4217", "4217.transform", "4217.transform.3@2", "1.a[3]", "1.a_3", "1@1", "1.a.3.4", "1.a[3"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		ref, err := ParseRef(text)
		if err != nil {
			return
		}
		again, err := ParseRef(ref.String())
		if err != nil || again != ref {
			t.Errorf("%q is %+v, spelled %q, read as %+v, %v", text, ref, ref, again, err)
		}
	})
}
