package logstore_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/logline"
	"github.com/reeve-scheduler/reeve/internal/logstore"
)

// copyDir copies the files of a directory: what a kill at this moment leaves.
func copyDir(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

func clone(m *memBlobs) *memBlobs {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &memBlobs{blobs: maps.Clone(m.blobs)}
}

// onlySegment returns the path of the one segment in dir.
func onlySegment(t *testing.T, dir string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.seg"))
	if err != nil || len(names) != 1 {
		t.Fatalf("segments: %q, %v", names, err)
	}
	return names[0]
}

// A kill leaves the file as it was at any byte. What is read afterwards is a
// prefix of what was appended, the worker learns where to go on, and the end is
// complete without gap or repeat.
func TestTornTailIsCutAndResumed(t *testing.T) {
	dir, blobs := t.TempDir(), newBlobs()
	s := open(t, dir, blobs, logstore.Options{})
	var stream []byte
	var want []string
	for i := range 4 {
		f := slices.Concat(out(int64(i), fmt.Sprintf("line %d\n", i)), errLine(int64(i), "oops\n"))
		add(t, s, first, int64(len(stream)), f)
		stream = append(stream, f...)
		want = append(want, fmt.Sprintf("out:line %d\n", i), "err:oops\n")
	}
	full, err := os.ReadFile(onlySegment(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	for size := range len(full) + 1 {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "0000000000000001.seg"), full[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, dir, newBlobs(), logstore.Options{})
		got := read(t, s, first, logstore.ReadOptions{})
		if !slices.Equal(got, want[:len(got)]) {
			t.Fatalf("cut at %d: %q is no prefix", size, got)
		}
		_, err := s.Append(t.Context(), first, int64(len(stream)), out(9, "more\n"))
		next := int64(len(stream))
		if gap, ok := errors.AsType[*logstore.GapError](err); ok {
			next = gap.Want
		} else if err != nil || size < len(full) {
			t.Fatalf("cut at %d: Append = %v", size, err)
		}
		add(t, s, first, next, stream[next:], out(9, "more\n"))
		if diff := cmp.Diff(append(want[:8:8], "out:more\n"), read(t, s, first, logstore.ReadOptions{})); diff != "" {
			t.Fatalf("cut at %d: %s", size, diff)
		}
		s.Close()
		s = open(t, dir, newBlobs(), logstore.Options{})
		if n := len(read(t, s, first, logstore.ReadOptions{})); n != 9 {
			t.Fatalf("cut at %d: %d entries after one more restart", size, n)
		}
		s.Close()
	}
}

func TestDamagedSegmentKeepsThePartBefore(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, newBlobs(), logstore.Options{})
	next := int64(0)
	for i := range 20 {
		next = add(t, s, first, next, out(1, fmt.Sprintf("line %d\n", i)))
	}
	s.Close()
	full, err := os.ReadFile(onlySegment(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	for at := range full {
		dir := t.TempDir()
		bad := bytes.Clone(full)
		bad[at] ^= 0x40
		if err := os.WriteFile(filepath.Join(dir, "0000000000000001.seg"), bad, 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, dir, newBlobs(), logstore.Options{})
		got := read(t, s, first, logstore.ReadOptions{})
		for i, e := range got {
			if e != fmt.Sprintf("out:line %d\n", i) {
				t.Fatalf("byte %d flipped: entry %d is %q", at, i, e)
			}
		}
		if at > 20 && len(got) == 20 {
			t.Fatalf("byte %d flipped: not noticed", at)
		}
		s.Close()
	}
}

// The rest of an overwritten record must not come back to life: here a whole old
// record stands exactly where the new, shorter one ends.
func TestOldBytesBehindTheEndStayDead(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, newBlobs(), logstore.Options{})
	n := add(t, s, first, 0, out(1, "one\n"))
	add(t, s, first, n, out(1, "two\n"), out(1, "three\n"))
	s.Close()
	path := onlySegment(t, dir)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	i := bytes.Index(b, []byte("one"))
	b[i] ^= 1 // the first record is bad, the second whole
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, newBlobs(), logstore.Options{})
	add(t, s, first, 0, out(1, "ONE\n")) // as long as the bad one
	s.Close()
	s = open(t, dir, newBlobs(), logstore.Options{})
	defer s.Close()
	if diff := cmp.Diff([]string{"out:ONE\n"}, read(t, s, first, logstore.ReadOptions{})); diff != "" {
		t.Error(diff)
	}
}

// A kill between storing a pack and removing its segment must not double anything.
func TestPackAndSegmentBothThere(t *testing.T) {
	dir, blobs := t.TempDir(), newBlobs()
	s := open(t, dir, blobs, logstore.Options{})
	n := add(t, s, first, 0, out(1, "a\n"))
	seal(t, s, first, n)
	other := ref("8.t@1")
	m := add(t, s, other, 0, out(1, "b\n"))
	before := copyDir(t, dir)
	flush(t, s)
	s.Close()
	s = open(t, before, blobs, logstore.Options{})
	if diff := cmp.Diff([]string{"out:a\n"}, read(t, s, first, logstore.ReadOptions{Follow: true})); diff != "" {
		t.Error(diff)
	}
	add(t, s, other, m, out(2, "c\n"))
	flush(t, s)
	if diff := cmp.Diff([]string{"out:b\n", "out:c\n"}, read(t, s, other, logstore.ReadOptions{})); diff != "" {
		t.Error(diff)
	}
	if got := len(blobs.keys()); got != 2 {
		t.Errorf("packs: %q", blobs.keys())
	}
	s.Close()
}

func TestRestartBeforePacking(t *testing.T) {
	dir, blobs := t.TempDir(), newBlobs()
	blobs.onPut(func(string) error { return errors.New("away") })
	s := open(t, dir, blobs, logstore.Options{SegmentBytes: 2000})
	flood(t, s, first, 60)
	s.Close()
	if len(blobs.keys()) > 0 {
		t.Fatal("something was packed")
	}
	blobs.onPut(nil)
	s = open(t, dir, blobs, logstore.Options{SegmentBytes: 2000})
	defer s.Close()
	flush(t, s)
	if kept, lost, _ := account(t, s, first); kept != 6000 || lost != 0 {
		t.Errorf("kept %d, lost %d", kept, lost)
	}
	if st := s.Stats(); st.Segments != 1 || st.Packs < 3 {
		t.Errorf("%+v", st)
	}
}

// Whatever byte of a pack is flipped: reading gives the right frames or an error,
// never other frames, and the store opens.
func TestDamagedPackNeverLies(t *testing.T) {
	dir, blobs := t.TempDir(), newBlobs()
	s := open(t, dir, blobs, logstore.Options{})
	refs := []job.Ref{first, ref("7.build@2"), ref("9.map.3@1")}
	for i, r := range refs {
		seal(t, s, r, add(t, s, r, 0, out(1, fmt.Sprintf("text of %d\n", i))))
	}
	flush(t, s)
	s.Close()
	key := blobs.keys()[0]
	good := blobs.get(key)
	right := 0
	for at := range good {
		bad := bytes.Clone(good)
		bad[at] ^= 0x11
		blobs.set(key, bad)
		s := open(t, dir, blobs, logstore.Options{})
		for i, r := range refs {
			got, err := collect(t.Context(), s, r, logstore.ReadOptions{})
			if err == nil && len(got) > 0 && got[0] != fmt.Sprintf("out:text of %d\n", i) {
				t.Fatalf("byte %d flipped: %s reads %q", at, r, got)
			}
			if err == nil && len(got) > 0 {
				right++
			}
		}
		s.Close()
	}
	for size := range good {
		blobs.set(key, good[:size])
		open(t, dir, blobs, logstore.Options{}).Close()
	}
	if right > len(good) {
		t.Errorf("%d of %d reads of damaged packs went through", right, 3*len(good))
	}
	if len(blobs.keys()) != 1 {
		t.Errorf("a damaged pack was removed: %q", blobs.keys())
	}
}

func TestForeignFilesAreSetAside(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"0000000000000003.seg": "something else entirely", "0000000000000004.seg": "", "notes.txt": "hi", "3.seg": "no"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	blobs := newBlobs()
	blobs.set("logs/readme", []byte("x"))
	blobs.set("logs/0000000000000009.0", []byte("x"))
	s := open(t, dir, blobs, logstore.Options{})
	defer s.Close()
	add(t, s, first, 0, out(1, "x\n"))
	flush(t, s)
	if diff := cmp.Diff([]string{"logs/0000000000000009.0", "logs/000000000000000a.0", "logs/readme"}, blobs.keys()); diff != "" {
		t.Error(diff)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	want := []string{"0000000000000003.seg.bad", "0000000000000004.seg.bad", "000000000000000b.seg", "3.seg", "notes.txt"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error(diff)
	}
}

// Power loss may take the last appends, also of a stream whose worker has dropped
// the bytes already: then it says so with Skip.
func TestLostTailBecomesAMark(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, newBlobs(), logstore.Options{})
	n := add(t, s, first, 0, out(1, "a\n"))
	info, err := os.Stat(onlySegment(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	m := add(t, s, first, n, out(1, "b\n"))
	s.Close()
	if err := os.Truncate(onlySegment(t, dir), info.Size()); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, newBlobs(), logstore.Options{})
	defer s.Close()
	var gap *logstore.GapError
	if _, err := s.Append(t.Context(), first, m, out(2, "c\n")); !errors.As(err, &gap) || gap.Want != n {
		t.Fatalf("Append = %v, want a gap at %d", err, n)
	}
	if err := s.Skip(t.Context(), first, m); err != nil {
		t.Fatal(err)
	}
	add(t, s, first, m, out(2, "c\n"))
	want := []string{"out:a\n", fmt.Sprintf("gap:%d", m-n), "out:c\n"}
	if diff := cmp.Diff(want, read(t, s, first, logstore.ReadOptions{})); diff != "" {
		t.Error(diff)
	}
}

func TestBigLogOverManyBlocksAndPacks(t *testing.T) {
	dir, blobs := t.TempDir(), newBlobs()
	s := open(t, dir, blobs, logstore.Options{SegmentBytes: 700_000})
	var next, sum int64
	for i := range 30 {
		text := strings.Repeat(fmt.Sprintf("%06d\n", i), 20_000)
		next = add(t, s, first, next, out(int64(i), text))
		sum += int64(len(text))
	}
	seal(t, s, first, next)
	check := func(when string) {
		t.Helper()
		var n int64
		for e, err := range s.Read(t.Context(), first, logstore.ReadOptions{Follow: true}) {
			if err != nil {
				t.Fatal(when, err)
			}
			line := fmt.Sprintf("%06d\n", n/140_000)
			if e.Kind != logline.Stdout || n%140_000+int64(len(e.Data)) > 140_000 || !strings.Contains(string(e.Data), line[:6]) {
				t.Fatalf("%s: at %d: %s of %d bytes", when, n, kindNames[e.Kind], len(e.Data))
			}
			n += int64(len(e.Data))
		}
		if n != sum {
			t.Errorf("%s: %d bytes, want %d", when, n, sum)
		}
	}
	check("while packing")
	flush(t, s)
	check("packed")
	s.Close()
	s = open(t, dir, blobs, logstore.Options{})
	defer s.Close()
	check("after a restart")
	if got := read(t, s, first, logstore.ReadOptions{Tail: 2}); !slices.Equal(got, []string{"out:000029\n000029\n"}) {
		t.Errorf("tail: %.60q", got)
	}
}
