package keeperproto_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/executor"
	kp "github.com/reeve-scheduler/reeve/internal/executor/process/keeperproto"
	"github.com/reeve-scheduler/reeve/internal/job"
)

var (
	ref   = job.Ref{Job: 4217, Task: "transform", Index: 3, Attempt: 2}
	cause = job.Cause{Kind: job.CauseCancelled, Code: -1, Detail: "anna\xff"}
	exit  = executor.Exit{
		Cause: cause, Usage: job.Usage{CPU: time.Second, Memory: 1 << 40},
		Started: time.Unix(5, 6), Ended: time.Unix(7, 8), LogSize: 9,
	}
	all = []kp.Message{
		{Op: kp.Hello, Version: 1},
		{Op: kp.Start, ID: 1 << 60, Task: executor.Task{
			Key: "4217.transform.3@2-9f", Ref: ref, Dir: "/a b", Work: "/w\n", Argv: []string{"", "\xff\x00", "'\""}, Env: []string{"A=\xfe"},
			Stdin: "/in", LogLimit: 1, Grace: 2, Timeout: 3, Deadline: -4,
		}},
		{Op: kp.Start, ID: 2, Task: executor.Task{Key: "k"}},
		{Op: kp.Renew, ID: 3, Deadline: 5, Keys: []string{"a", "b"}},
		{Op: kp.Stop, ID: 4, Key: "a", Grace: time.Minute, Cause: cause},
		{Op: kp.Release, ID: 5, Key: "a"},
		{Op: kp.Abandon, ID: 6, Key: "a"},
		{Op: kp.Welcome, Version: 1, Key: "who", Code: 77, Text: "how"},
		{Op: kp.Held, Key: "a", Ref: ref, Text: "/dir", At: 5},
		{Op: kp.Held, Key: "a", Ref: ref, Text: "/dir", At: 5, Exit: &exit},
		{Op: kp.Ready},
		{Op: kp.Refused, Version: 9, Text: "no"},
		{Op: kp.Reply, ID: 7, Code: kp.CodeRefused, Text: "why"},
		{Op: kp.Started, Key: "a", At: -1},
		{Op: kp.Wrote, Key: "a"},
		{Op: kp.Ended, Key: "a", Exit: &exit},
		{Op: kp.Ended, Key: "a", Exit: &executor.Exit{}},
	}
)

func TestRoundTrip(t *testing.T) {
	var stream []byte
	for _, m := range all {
		stream = kp.Append(stream, m)
	}
	for name, r := range map[string]io.Reader{"whole": bytes.NewReader(stream), "byte by byte": iotest.OneByteReader(bytes.NewReader(stream))} {
		t.Run(name, func(t *testing.T) {
			in := kp.NewReader(r)
			for _, want := range all {
				got, err := in.Next()
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("message %d (-want +got):\n%s", want.Op, diff)
				}
			}
			if _, err := in.Next(); !errors.Is(err, io.EOF) {
				t.Errorf("after the last: %v", err)
			}
		})
	}
}

func TestCutShort(t *testing.T) {
	for _, m := range all {
		frame := kp.Append(nil, m)
		for n := 5; n < len(frame); n++ {
			if m.Op == kp.Hello {
				continue
			}
			if got, err := kp.Parse(frame[4:n]); err == nil {
				t.Fatalf("message %d cut to %d of %d bytes reads as %+v", m.Op, n, len(frame), got)
			}
		}
		if _, err := kp.NewReader(bytes.NewReader(frame[:len(frame)-1])).Next(); err == nil || len(frame) > 5 && errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("a torn frame %d: %v", m.Op, err)
		}
	}
}

func TestDamage(t *testing.T) {
	long := binary.LittleEndian.AppendUint32(nil, kp.MaxFrame+1)
	tests := map[string][]byte{
		"empty":         {0, 0, 0, 0},
		"unknown kind":  {1, 0, 0, 0, 99},
		"too long":      long,
		"trailing":      append(binary.LittleEndian.AppendUint32(nil, 2), byte(kp.Ready), 0),
		"many strings":  append(binary.LittleEndian.AppendUint32(nil, 9), byte(kp.Renew), 1, 2, 0xff, 0xff, 0xff, 0xff, 0xff, 1),
		"endless count": append(binary.LittleEndian.AppendUint32(nil, 3), byte(kp.Wrote), 0xff, 0xff),
	}
	for name, b := range tests {
		t.Run(name, func(t *testing.T) {
			if m, err := kp.NewReader(bytes.NewReader(b)).Next(); !errors.Is(err, kp.ErrDamaged) {
				t.Errorf("read %+v, %v", m, err)
			}
		})
	}
}

// TestLaterHello: a later version's greeting must be understood well enough to be
// refused in words.
func TestLaterHello(t *testing.T) {
	m, err := kp.Parse([]byte(string([]byte{byte(kp.Hello), 9}) + "and something that we don't know"))
	if err != nil || m.Version != 9 {
		t.Errorf("Parse = %+v, %v", m, err)
	}
}

func TestBigMessagesDoNotStay(t *testing.T) {
	big := kp.Append(nil, kp.Message{Op: kp.Wrote, Key: strings.Repeat("x", 8<<20)})
	in := kp.NewReader(bytes.NewReader(append(big, kp.Append(nil, kp.Message{Op: kp.Wrote, Key: "small"})...)))
	first, err := in.Next()
	if err != nil || len(first.Key) != 8<<20 {
		t.Fatalf("%d bytes, %v", len(first.Key), err)
	}
	second, err := in.Next()
	if err != nil || second.Key != "small" || len(first.Key) != 8<<20 || first.Key[0] != 'x' {
		t.Errorf("second message %q, %v", second.Key, err)
	}
}

func FuzzParse(f *testing.F) {
	for _, m := range all {
		f.Add(kp.Append(nil, m)[4:])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := kp.Parse(b)
		if err != nil {
			return
		}
		again, err := kp.Parse(kp.Append(nil, m)[4:])
		if err != nil {
			t.Fatalf("what was read can't be read again: %v", err)
		}
		if diff := cmp.Diff(m, again); diff != "" {
			t.Errorf("read, written, read (-first +second):\n%s", diff)
		}
	})
}
