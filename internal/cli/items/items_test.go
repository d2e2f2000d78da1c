package items

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// all reads items up to the first error, which must be the last thing yielded.
func all(t *testing.T, seq iter.Seq2[string, error]) (out []string, err error) {
	t.Helper()
	for item, e := range seq {
		if err != nil {
			t.Fatalf("%q comes after the error %v", item, err)
		}
		if err = e; e == nil {
			out = append(out, item)
		}
	}
	return out, err
}

func TestLines(t *testing.T) {
	long := strings.Repeat("x", maxItem-2) // with its quotes as large as an item may be
	for _, test := range []struct {
		name, text string
		want       []string
		err        string
	}{
		{"empty", "", nil, ""},
		{"one without an end", "a", []string{"a"}, ""},
		{"empty ones between", "\na\n\r\n\nb\r\n", []string{"a", "b"}, ""},
		{"spaces stay", " a \n\t\n", []string{" a ", "\t"}, ""},
		{"as long as may be", long + "\n", []string{long}, ""},
		{"longer", "a\n" + long + "x\n", []string{"a"}, "f:2: the item is longer"},
		{"longer as JSON", strings.Repeat("\"", maxItem/2) + "\n", nil, "f:1: the item is longer"},
		{"endless", strings.Repeat("x", 3*maxItem), nil, "f:1: the line is longer"},
		{"not UTF-8", "a\n\xc3\n", []string{"a"}, `f:2: "\xc3" is not UTF-8`},
		{"zero byte", "\x00\n", nil, "zero byte"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := all(t, Lines(strings.NewReader(test.text), "f"))
			check(t, got, err, test.want, test.err)
		})
	}
}

func TestJSON(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       []string
		err        string
	}{
		{"empty", " \n", nil, ""},
		{"an empty list", "[ ]\n", nil, ""},
		{"a list", `["a", 1.50, {"b": [1, 2]}, null, ""]`, []string{"a", "1.50", `{"b":[1,2]}`, "null", ""}, ""},
		{"values after each other", "1 \"two\"\n{}\n", []string{"1", "two", "{}"}, ""},
		{"large numbers keep their digits", "[12345678901234567890]", []string{"12345678901234567890"}, ""},
		{"cut", `["a", `, []string{"a"}, "ends too early"},
		{"more after a list", `["a"] "b"`, []string{"a"}, "there is more after the end of the list"},
		{"no JSON", "a", nil, "byte 0: invalid character 'a'"},
		{"a zero byte", `["a\u0000"]`, nil, "value 0: \"a\\x00\" has a zero byte"},
		{"no comma", "[1 2]", []string{"1"}, "byte 3"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := all(t, JSON(strings.NewReader(test.text), "f"))
			check(t, got, err, test.want, test.err)
		})
	}
}

func check(t *testing.T, got []string, err error, want []string, wantErr string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if (err == nil) != (wantErr == "") || err != nil && !strings.Contains(err.Error(), wantErr) {
		t.Errorf("error %v, want one with %q", err, wantErr)
	}
}

// shelf stores items in memory, as a server would.
type shelf struct {
	items []string
	calls int
	fail  error
}

func (s *shelf) put(_ context.Context, from io.Reader) (string, int64, error) {
	s.calls++
	s.items = nil
	if s.fail != nil {
		return "", 0, s.fail
	}
	lines := bufio.NewScanner(from)
	for lines.Scan() {
		var item string
		if err := json.Unmarshal(lines.Bytes(), &item); err != nil {
			return "", 0, err
		}
		s.items = append(s.items, item)
	}
	return "items/1", int64(len(s.items)), lines.Err()
}

// numbered yields n items of about 20 bytes, and then an error if there is one.
func numbered(n int, err error) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for i := range n {
			if !yield(fmt.Sprintf("item \"<%012d>\"", i), nil) {
				return
			}
		}
		if err != nil {
			yield("", err)
		}
	}
}

func TestStore(t *testing.T) {
	gone := errors.New("the disk is gone")
	for _, test := range []struct {
		name   string
		n      int
		err    error
		fail   error
		stored bool
	}{
		{"none", 0, nil, nil, false},
		{"few", 100, nil, nil, false},
		{"many", 20_000, nil, nil, true},
		{"few, then an error", 100, gone, nil, false},
		{"many, then an error", 20_000, gone, nil, true},
		{"many, refused", 20_000, nil, gone, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := shelf{fail: test.fail}
			a, err := Store(t.Context(), s.put, numbered(test.n, test.err))
			if want := errors.Join(test.err, test.fail); want != nil {
				if !errors.Is(err, gone) {
					t.Fatalf("error %v, want %v", err, want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if int(a.Len()) != test.n || (a.Blob != "") != test.stored || (s.calls > 0) != test.stored {
				t.Errorf("%d items, blob %q, %d puts; want %d items, stored: %v", a.Len(), a.Blob, s.calls, test.n, test.stored)
			}
			got := a.Items
			if test.stored {
				got = s.items
			}
			want, _ := all(t, numbered(test.n, nil))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("items differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestStoreLong(t *testing.T) {
	few, _ := all(t, numbered(10, nil))
	many, _ := all(t, numbered(20_000, nil))
	spec := &job.Spec{Tasks: []job.Task{
		{Name: "none"}, {Name: "few", Array: &job.Array{Items: few}}, {Name: "many", Array: &job.Array{Items: many, Throttle: 3}},
	}}
	var s shelf
	stored, err := StoreLong(t.Context(), s.put, spec)
	if err != nil || !stored {
		t.Fatalf("%v, %v", stored, err)
	}
	want := &job.Spec{Tasks: []job.Task{
		{Name: "none"}, {Name: "few", Array: &job.Array{Items: few}},
		{Name: "many", Array: &job.Array{Blob: "items/1", Count: int64(len(many)), Throttle: 3}},
	}}
	if diff := cmp.Diff(want, spec); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff(many, s.items); diff != "" {
		t.Errorf("stored items differ (-want +got):\n%s", diff)
	}
	if stored, err = StoreLong(t.Context(), s.put, spec); stored || err != nil || s.calls != 1 {
		t.Errorf("again: %v, %v, %d puts; want nothing to do", stored, err, s.calls)
	}
}
