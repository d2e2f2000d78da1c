package logstore

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"testing"

	"github.com/reeve-scheduler/reeve/internal/blob"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/logline"
)

// noBlobs refuses everything that stores.
type noBlobs struct{ blob.Store }

func (noBlobs) List(context.Context, string, func(blob.Info) error) error { return nil }
func (noBlobs) Put(context.Context, string, io.Reader) (int64, error) {
	return 0, errors.New("no blobs")
}

func openHere(t *testing.T, dir string, log io.Writer) *Store {
	t.Helper()
	s, err := Open(t.Context(), dir, noBlobs{}, Options{
		Free: func() (int64, error) { return 0, errors.New("unknown") }, Log: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var someRef = job.Ref{Job: 1, Task: "t", Index: job.NoIndex, Attempt: 1}

func line(text string) []byte { return logline.Append(nil, logline.Stdout, 1, []byte(text)) }

func readAll(t *testing.T, s *Store) string {
	t.Helper()
	var b strings.Builder
	for e, err := range s.Read(t.Context(), someRef, ReadOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString(strconv.Itoa(int(e.Kind)) + ":" + string(e.Data) + " ")
	}
	return b.String()
}

// A disk that refuses to write costs logs, which get a mark, and nothing else: the
// worker is told to go on, and logs go on when the disk does.
func TestWriteErrorsCutTheLog(t *testing.T) {
	dir := t.TempDir()
	var log bytes.Buffer
	s := openHere(t, dir, &log)
	next, err := s.Append(t.Context(), someRef, 0, line("before"))
	if err != nil {
		t.Fatal(err)
	}
	s.cur.f.Close() // every write fails from here on
	for range 3 {
		more, err := s.Append(t.Context(), someRef, next, line("lost"))
		if err != nil || more <= next {
			t.Fatalf("Append = %d, %v; want it to be taken", more, err)
		}
		next = more
	}
	if err := s.Seal(t.Context(), someRef, next); err == nil {
		t.Error("a seal that could not be written was accepted")
	}
	if err := s.Drop(t.Context(), someRef.Job); err == nil {
		t.Error("a drop that could not be written was accepted")
	}
	if n := strings.Count(log.String(), "a log is cut"); n != 1 {
		t.Errorf("%d warnings, want one:\n%s", n, log.String())
	}
	s.stop() // as a kill would
	<-s.done
	s = openHere(t, dir, &log)
	defer s.Close()
	var gap *GapError
	if _, err := s.Append(t.Context(), someRef, next, line("after")); !errors.As(err, &gap) {
		t.Fatalf("Append = %v, want a gap", err)
	}
	if err := s.Skip(t.Context(), someRef, next); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Append(t.Context(), someRef, next, line("after")); err != nil {
		t.Fatal(err)
	}
	if got, want := readAll(t, s), "1:before 3:"+strconv.Itoa(3*len(line("lost")))+" 1:after "; got != want {
		t.Errorf("read %q, want %q", got, want)
	}
}

func TestRotationThatFailsGoesOnInTheOldSegment(t *testing.T) {
	dir := t.TempDir()
	var log bytes.Buffer
	s := openHere(t, dir, &log)
	defer s.Close()
	s.dir = dir + "/gone"
	s.o.SegmentBytes = 100
	next := int64(0)
	for i := range 20 {
		var err error
		if next, err = s.Append(t.Context(), someRef, next, line(strconv.Itoa(i%10))); err != nil {
			t.Fatal(err)
		}
	}
	want := strings.Repeat("1:0 1:1 1:2 1:3 1:4 1:5 1:6 1:7 1:8 1:9 ", 2)
	if got := readAll(t, s); got != want {
		t.Errorf("read %q", got)
	}
	if len(s.segments) != 1 {
		t.Errorf("%d segments", len(s.segments))
	}
	s.dir = dir
	if _, err := s.Append(t.Context(), someRef, next, line("x")); err != nil {
		t.Fatal(err)
	}
	if n := s.pending(); n != 1 {
		t.Errorf("%d segments wait once there is room again, want 1", n)
	}
	if got := readAll(t, s); got != want+"1:x " {
		t.Errorf("read %q", got)
	}
}

// Without an answer about free room logs are kept: no answer is no reason to cut.
func TestUnknownFreeRoom(t *testing.T) {
	s := openHere(t, t.TempDir(), io.Discard)
	defer s.Close()
	if _, err := s.Append(t.Context(), someRef, 0, line("kept")); err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, s); got != "1:kept " {
		t.Errorf("read %q", got)
	}
}

func TestDiskFree(t *testing.T) {
	if n, err := diskFree(t.TempDir()); err != nil || n <= 0 {
		t.Errorf("diskFree = %d, %v", n, err)
	}
	if _, err := diskFree("/no such directory"); err == nil {
		t.Error("a directory that is not there has room")
	}
}
