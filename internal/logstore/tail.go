package logstore

import (
	"bytes"
	"fmt"

	"github.com/reeve-scheduler/reeve/internal/logline"
)

// tail finds where the last lines begin, being shown a log's chunks from the end
// backwards.
type tail struct {
	o ReadOptions
	// start is the frame to begin with, and skip how many bytes of its data to
	// leave out. They are an answer at any time: all that was shown so far.
	start int64
	skip  int
	done  bool
	lines int
	// some: output was seen. A newline at the very end begins no line.
	some bool
}

// placed is a frame with its place.
type placed struct {
	off, next int64
	f         logline.Frame
}

// chunk takes the chunk that ends at end, or later if more came meanwhile.
func (t *tail) chunk(c chunk, end int64) error {
	if c.cut != nil {
		t.frame(placed{c.off, end, logline.Frame{Kind: logline.Gap, Time: c.cut.time}})
		return nil
	}
	var frames []placed
	at := c.off
	for data := c.data; len(data) > 0 && at < end; {
		f, n, err := logline.Next(data)
		if err != nil || n == 0 {
			return fmt.Errorf("%w at offset %d", logline.ErrDamaged, at)
		}
		frames = append(frames, placed{at, at + int64(n), f})
		at += int64(n)
		data = data[n:]
	}
	for i := len(frames) - 1; i >= 0 && !t.done; i-- {
		t.frame(frames[i])
	}
	return nil
}

func (t *tail) frame(p placed) {
	if !t.o.Since.IsZero() && p.f.Time < t.o.Since.UnixMilli() {
		t.done = true
		return
	}
	if !t.o.Kinds.has(p.f.Kind) || t.o.Tail == 0 {
		t.start, t.skip = p.off, 0
		return
	}
	data := p.f.Data
	if p.f.Kind == logline.Gap || p.f.Kind == logline.Note {
		data = []byte("\n") // a line of its own
	}
	for end := len(data); ; {
		i := bytes.LastIndexByte(data[:end], '\n')
		if i < 0 {
			break
		}
		if t.some || i < len(data)-1 {
			t.lines++
		}
		t.some = true
		if t.lines == t.o.Tail {
			t.done = true
			if i == len(data)-1 {
				return // begins after this frame, where start is already
			}
			t.start, t.skip = p.off, i+1
			return
		}
		end = i
	}
	t.some = true
	t.start, t.skip = p.off, 0
}
