// Package blobtest holds an implementation of blob.Store to every sentence of
// that contract.
package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/blob"
)

// BadKeys are keys that every store refuses with ErrKey. Doors that build keys
// from what users send can test themselves against them too.
func BadKeys() []string {
	return []string{
		"", "/", "/a", "a/", "a//b", ".", "..", "a/..", "../a", "a/../b", "./a", "a/./b",
		"a b", "a\x00b", "a\nb", "a\\b", "a%2Fb", "C:a", "~tmp/1", "a~", "é", "a+b", "a*",
		strings.Repeat("x", blob.MaxSegment+1),
		strings.Repeat("abcdefghi/", 51) + "abc",
	}
}

// Run tests the stores that open makes; each call must give an empty one.
func Run(t *testing.T, open func(t *testing.T) blob.Store) {
	tests := []struct {
		name string
		run  func(*testing.T, blob.Store)
	}{
		{"round trip", roundTrip},
		{"get at an offset", offsets},
		{"put replaces", replaces},
		{"a failed put changes nothing", failedPut},
		{"a cancelled put changes nothing", cancelledPut},
		{"readers see the old or the new", oldOrNew},
		{"bad keys", badKeys},
		{"odd keys stay apart", oddKeys},
		{"list", list},
		{"list ends on an error", listError},
		{"delete", deletes},
		{"puts and deletes side by side", beside},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, open(t)) })
	}
}

func put(t *testing.T, s blob.Store, key, content string) {
	t.Helper()
	n, err := s.Put(t.Context(), key, strings.NewReader(content))
	if err != nil || n != int64(len(content)) {
		t.Fatalf("Put(%q) = %d, %v; want %d bytes stored", key, n, err, len(content))
	}
}

func get(t *testing.T, s blob.Store, key string, offset int64) string {
	t.Helper()
	r, info, err := s.Get(t.Context(), key, offset)
	if err != nil {
		t.Fatalf("Get(%q, %d): %v", key, offset, err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("reading %q: %v", key, err)
	}
	if want := (blob.Info{Key: key, Size: offset + int64(len(b))}); info != want {
		t.Errorf("Get(%q, %d) says %+v, want %+v", key, offset, info, want)
	}
	return string(b)
}

func missing(t *testing.T, s blob.Store, key string) {
	t.Helper()
	r, _, err := s.Get(t.Context(), key, 0)
	if err == nil {
		r.Close()
	}
	if !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("Get(%q) = %v, want ErrNotFound", key, err)
	}
}

func keys(t *testing.T, s blob.Store, prefix string) []string {
	t.Helper()
	got := []string{}
	err := s.List(t.Context(), prefix, func(i blob.Info) error {
		got = append(got, fmt.Sprintf("%s:%d", i.Key, i.Size))
		return nil
	})
	if err != nil {
		t.Fatalf("List(%q): %v", prefix, err)
	}
	return got
}

func roundTrip(t *testing.T, s blob.Store) {
	missing(t, s, "a/b")
	put(t, s, "a/b", "hello")
	if got := get(t, s, "a/b", 0); got != "hello" {
		t.Errorf("got %q", got)
	}
	put(t, s, "empty", "")
	if got := get(t, s, "empty", 0); got != "" {
		t.Errorf("got %q", got)
	}
	big := strings.Repeat("0123456789abcdef", 300_000)
	put(t, s, "big", big)
	if got := get(t, s, "big", 0); got != big {
		t.Errorf("%d bytes came back otherwise, %d of them", len(big), len(got))
	}
	missing(t, s, "a")
	missing(t, s, "a/b/c")
}

func offsets(t *testing.T, s blob.Store) {
	put(t, s, "k", "0123456789")
	for off, want := range map[int64]string{0: "0123456789", 4: "456789", 9: "9", 10: ""} {
		if got := get(t, s, "k", off); got != want {
			t.Errorf("at %d: %q, want %q", off, got, want)
		}
	}
	for _, off := range []int64{-1, 11, 1 << 40} {
		if r, _, err := s.Get(t.Context(), "k", off); err == nil {
			r.Close()
			t.Errorf("Get at %d of 10 bytes was not refused", off)
		}
	}
}

func replaces(t *testing.T, s blob.Store) {
	put(t, s, "k", "a long first value")
	put(t, s, "k", "short")
	if got := get(t, s, "k", 0); got != "short" {
		t.Errorf("got %q", got)
	}
	if diff := cmp.Diff([]string{"k:5"}, keys(t, s, "")); diff != "" {
		t.Error(diff)
	}
}

var errRead = errors.New("the source broke")

func failedPut(t *testing.T, s blob.Store) {
	put(t, s, "k", "before")
	for _, key := range []string{"k", "new/one"} {
		src := io.MultiReader(strings.NewReader("partial"), failing{})
		if _, err := s.Put(t.Context(), key, src); !errors.Is(err, errRead) {
			t.Errorf("Put(%q) = %v, want the reader's own error", key, err)
		}
	}
	if got := get(t, s, "k", 0); got != "before" {
		t.Errorf("k became %q", got)
	}
	if diff := cmp.Diff([]string{"k:6"}, keys(t, s, "")); diff != "" {
		t.Error(diff)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errRead }

func cancelledPut(t *testing.T, s blob.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	src := io.MultiReader(strings.NewReader("some"), onRead(cancel), strings.NewReader("more"))
	if _, err := s.Put(ctx, "k", src); !errors.Is(err, context.Canceled) {
		t.Errorf("Put = %v, want context.Canceled", err)
	}
	missing(t, s, "k")
}

type onRead func()

func (f onRead) Read([]byte) (int, error) { f(); return 0, io.EOF }

func oldOrNew(t *testing.T, s blob.Store) {
	const size, rounds = 100_000, 50
	put(t, s, "k", strings.Repeat("a", size))
	r, _, err := s.Get(t.Context(), "k", 0)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range rounds {
			put(t, s, "k", strings.Repeat(string(rune('a'+i%26)), size))
		}
	})
	for range rounds {
		got := get(t, s, "k", 0)
		if len(got) != size || strings.Trim(got, got[:1]) != "" {
			t.Errorf("a reader saw %d mixed bytes", len(got))
		}
	}
	wg.Wait()
	old, err := io.ReadAll(r)
	r.Close()
	if err != nil || string(old) != strings.Repeat("a", size) {
		t.Errorf("the reader opened first saw %d bytes, %v; want the old blob", len(old), err)
	}
}

func badKeys(t *testing.T, s blob.Store) {
	for _, key := range BadKeys() {
		if _, err := s.Put(t.Context(), key, strings.NewReader("x")); !errors.Is(err, blob.ErrKey) {
			t.Errorf("Put(%q) = %v, want ErrKey", key, err)
		}
		if _, _, err := s.Get(t.Context(), key, 0); !errors.Is(err, blob.ErrKey) {
			t.Errorf("Get(%q) = %v, want ErrKey", key, err)
		}
		if key == "a/" { // a good prefix
			continue
		}
		if err := s.Delete(t.Context(), key); !errors.Is(err, blob.ErrKey) {
			t.Errorf("Delete(%q) = %v, want ErrKey", key, err)
		}
		if key == "" || strings.HasSuffix(key, ".") {
			continue // good keys do begin so
		}
		if err := s.List(t.Context(), key, nil); !errors.Is(err, blob.ErrKey) {
			t.Errorf("List(%q) = %v, want ErrKey", key, err)
		}
	}
}

func oddKeys(t *testing.T, s blob.Store) {
	odd := []string{
		"...", "-", "=", "@", "A", "AA", "Aa", "a", "a/A", "a/a", "a/a/a", "aA", "aa", "b.tmp", "tmp",
		strings.Repeat("X", blob.MaxSegment), strings.Repeat("x", blob.MaxSegment),
		strings.TrimSuffix(strings.Repeat(strings.Repeat("Y", 63)+"/", 8), "/"),
	}
	for _, k := range odd {
		put(t, s, k, "of "+k)
	}
	for _, k := range odd {
		if got := get(t, s, k, 0); got != "of "+k {
			t.Errorf("%q holds %q", k, got)
		}
	}
	if got := len(keys(t, s, "")); got != len(odd) {
		t.Errorf("%d keys are listed, want %d", got, len(odd))
	}
}

func list(t *testing.T, s blob.Store) {
	for _, k := range []string{"b", "a/2", "a/10", "a-b", "a", "a/1/x", "ab/c", "a.b/c", "B/c"} {
		put(t, s, k, k)
	}
	tests := map[string][]string{
		"":      {"B/c:3", "a:1", "a-b:3", "a.b/c:5", "a/1/x:5", "a/10:4", "a/2:3", "ab/c:4", "b:1"},
		"a/":    {"a/1/x:5", "a/10:4", "a/2:3"},
		"a/1":   {"a/1/x:5", "a/10:4"},
		"a":     {"a:1", "a-b:3", "a.b/c:5", "a/1/x:5", "a/10:4", "a/2:3", "ab/c:4"},
		"a/1/x": {"a/1/x:5"},
		"zzz":   {},
		"q/r/":  {},
	}
	for prefix, want := range tests {
		if diff := cmp.Diff(want, keys(t, s, prefix)); diff != "" {
			t.Errorf("List(%q):\n%s", prefix, diff)
		}
	}
}

func listError(t *testing.T, s blob.Store) {
	for i := range 5 {
		put(t, s, fmt.Sprintf("d/%d", i), "x")
	}
	stop := errors.New("enough")
	var seen bytes.Buffer
	err := s.List(t.Context(), "d/", func(i blob.Info) error {
		seen.WriteString(i.Key[2:])
		if i.Key == "d/2" {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) || seen.String() != "012" {
		t.Errorf("List = %v after %q, want its callback's error after 012", err, seen.String())
	}
}

func deletes(t *testing.T, s blob.Store) {
	all := []string{"a", "a/b", "a/b/c", "ab", "z/y/x"}
	for _, k := range all {
		put(t, s, k, "")
	}
	r, _, err := s.Get(t.Context(), "a/b", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	steps := []struct {
		prefixes []string
		left     []string
	}{
		{nil, []string{"a:0", "a/b:0", "a/b/c:0", "ab:0", "z/y/x:0"}},
		{[]string{"nothing"}, []string{"a:0", "a/b:0", "a/b/c:0", "ab:0", "z/y/x:0"}},
		{[]string{"no/thing/"}, []string{"a:0", "a/b:0", "a/b/c:0", "ab:0", "z/y/x:0"}},
		{[]string{"a"}, []string{"a/b:0", "a/b/c:0", "ab:0", "z/y/x:0"}},
		{[]string{"z/y/x"}, []string{"a/b:0", "a/b/c:0", "ab:0"}},
		{[]string{"no/thing", "no/more/", "a/", "no/more/"}, []string{"ab:0"}},
		{[]string{"a/b/", "a/b/c", "ab"}, []string{}},
	}
	for _, st := range steps {
		if err := s.Delete(t.Context(), st.prefixes...); err != nil {
			t.Errorf("Delete(%q): %v", st.prefixes, err)
		}
		if diff := cmp.Diff(st.left, keys(t, s, "")); diff != "" {
			t.Errorf("after Delete(%q):\n%s", st.prefixes, diff)
		}
	}
	if _, err := io.ReadAll(r); err != nil {
		t.Errorf("a reader opened before the delete: %v", err)
	}
	put(t, s, "a/b", "again")
	if got := get(t, s, "a/b", 0); got != "again" {
		t.Errorf("got %q", got)
	}
}

func beside(t *testing.T, s blob.Store) {
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 20 {
				key := fmt.Sprintf("d/%d/%d", w%2, i)
				if _, err := s.Put(t.Context(), key, strings.NewReader(key)); err != nil {
					t.Errorf("Put(%q) beside deletes: %v", key, err)
				}
			}
		})
	}
	for range 40 {
		if err := s.Delete(t.Context(), "d/0/"); err != nil {
			t.Errorf("Delete beside puts: %v", err)
		}
		if err := s.Delete(t.Context(), "d/0/7"); err != nil {
			t.Errorf("Delete beside puts: %v", err)
		}
	}
	wg.Wait()
	if got := len(keys(t, s, "d/1/")); got != 20 {
		t.Errorf("%d of 20 blobs are there beside the deleted prefix", got)
	}
	if err := s.Delete(t.Context(), "d/"); err != nil {
		t.Error(err)
	}
	if got := keys(t, s, ""); len(got) != 0 {
		t.Errorf("left: %q", got)
	}
}
