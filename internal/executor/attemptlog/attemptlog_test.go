package attemptlog_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/reeve-scheduler/reeve/internal/executor"
	"github.com/reeve-scheduler/reeve/internal/executor/attemptlog"
	"github.com/reeve-scheduler/reeve/internal/logline"
)

func newPool() *sync.Pool {
	return &sync.Pool{New: func() any { b := make([]byte, 0, 64); return &b }}
}

var noon = time.UnixMilli(1_700_000_000_000)

// frames reads a log whole.
func frames(t interface{ Fatalf(string, ...any) }, path string) []logline.Frame {
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v", err)
	}
	var list []logline.Frame
	for at := 0; at < len(b); {
		f, n, err := logline.Next(b[at:])
		if n == 0 || err != nil {
			t.Fatalf("frame at %d of %d: %v", at, len(b), err)
		}
		list = append(list, f)
		at += n
	}
	return list
}

func show(list []logline.Frame) []string {
	var out []string
	for _, f := range list {
		out = append(out, fmt.Sprintf("%d %s", f.Kind, f.Data))
	}
	return out
}

func TestKindsAndOrder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "made", "log")
	l := attemptlog.New(path, 1<<20, newPool())
	if _, err := os.Stat(path); err == nil {
		t.Error("the file is there before anything was written")
	}
	l.Write(logline.Stdout, noon, []byte("a"))
	l.Write(logline.Stderr, noon, []byte("b"))
	l.Note("killed")
	l.Write(logline.Stdout, noon, []byte("c"))
	l.Note("gone")
	size := l.Close(noon)
	l.Write(logline.Stdout, noon, []byte("too late"))
	l.Note("too late")
	if again := l.Close(noon); again != size {
		t.Errorf("Close = %d, then %d", size, again)
	}
	if info, err := os.Stat(path); err != nil || info.Size() != size || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v; Close said %d", info, err, size)
	}
	if diff := cmp.Diff([]string{"1 a", "2 b", "4 killed", "1 c", "4 gone"}, show(frames(t, path))); diff != "" {
		t.Errorf("frames (-want +got):\n%s", diff)
	}
}

func TestNothingWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if size := attemptlog.New(path, 0, newPool()).Close(noon); size != 0 {
		t.Errorf("Close = %d", size)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("there is a file")
	}
}

// TestTheAttemptCannotMisleadTheWriter: a link or file at the log's place is left
// alone.
func TestTheAttemptCannotMisleadTheWriter(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(dir, "target")
	if err := os.WriteFile(target, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "log")
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
	l := attemptlog.New(path, 1<<20, newPool())
	l.Write(logline.Stdout, noon, []byte("overwritten"))
	if size := l.Close(noon); size != 0 {
		t.Errorf("Close = %d", size)
	}
	if b, _ := os.ReadFile(target); string(b) != "precious" {
		t.Errorf("the target now holds %q", b)
	}
}

// TestLimits: whatever is written in whatever pieces, the file stays within its
// limit, what it holds is a prefix and a suffix, and the gap counts the rest.
func TestLimits(t *testing.T) {
	dir := t.TempDir()
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		path := filepath.Join(dir, strconv.Itoa(n))
		limit := rapid.Int64Range(0, 300<<10).Draw(t, "limit")
		l := attemptlog.New(path, limit, newPool())
		var all bytes.Buffer
		for i := range rapid.IntRange(1, 30).Draw(t, "writes") {
			piece := bytes.Repeat([]byte(fmt.Sprintf("%d,", i)), rapid.IntRange(1, 20_000).Draw(t, "length"))
			all.Write(piece)
			l.Write(logline.Stdout, noon, piece)
		}
		size := l.Close(noon)
		if size > max(limit, executor.LogTail) {
			t.Fatalf("%d bytes, limit %d", size, limit)
		}
		var kept [2]bytes.Buffer
		side, lost := 0, 0
		for _, f := range frames(t, path) {
			if f.Kind == logline.Gap {
				side++
				lost, _ = strconv.Atoi(string(f.Data))
				continue
			}
			kept[side].Write(f.Data)
		}
		if !bytes.HasPrefix(all.Bytes(), kept[0].Bytes()) || !bytes.HasSuffix(all.Bytes(), kept[1].Bytes()) {
			t.Fatal("what is kept is not a prefix and a suffix of what was written")
		}
		if kept[0].Len()+kept[1].Len()+lost != all.Len() {
			t.Fatalf("%d and %d bytes kept, %d lost, of %d", kept[0].Len(), kept[1].Len(), lost, all.Len())
		}
		if lost > 0 && limit > 2*executor.LogTail && kept[1].Len() < executor.LogTail-8<<10 {
			t.Fatalf("only %d bytes of the tail are kept", kept[1].Len())
		}
	})
}

func TestWritersDoNotMix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l := attemptlog.New(path, 1<<20, newPool())
	var wg sync.WaitGroup
	for kind, text := range map[logline.Kind]string{logline.Stdout: "out", logline.Stderr: "err"} {
		wg.Go(func() {
			for range 500 {
				l.Write(kind, noon, []byte(text))
			}
		})
	}
	wg.Wait()
	l.Close(noon)
	count := map[string]int{}
	for _, line := range show(frames(t, path)) {
		count[line]++
	}
	if diff := cmp.Diff(map[string]int{"1 out": 500, "2 err": 500}, count); diff != "" {
		t.Errorf("frames (-want +got):\n%s", diff)
	}
}

func TestManyNotes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l := attemptlog.New(path, 1<<20, newPool())
	for range 100 {
		l.Note("again")
	}
	l.Close(noon)
	if got := len(frames(t, path)); got > 10 {
		t.Errorf("%d notes were kept", got)
	}
	if got := strings.Join(show(frames(t, path))[:1], ""); got != "4 again" {
		t.Errorf("first frame %q", got)
	}
}
