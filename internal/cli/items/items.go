// Package items reads the items of an array from lines or JSON, as they come: a million
// of them need no more memory than a few.
package items

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"strings"
	"unicode/utf8"

	"github.com/reeve-scheduler/reeve/internal/job"
)

const (
	// maxItem bounds an item, in bytes as JSON: what a server accepts.
	maxItem = 64<<10 - 1
	// maxInline bounds the items that travel in the job itself, in bytes as JSON:
	// every worker is sent the job, but each element's item only where it is needed.
	maxInline = 128 << 10
)

// Put stores items, JSON strings one a line, and returns where and how many.
type Put func(ctx context.Context, from io.Reader) (blob string, count int64, err error)

// Store keeps items in the array if they are few, and where put stores them if they
// are many. It holds no more than maxInline of them in memory.
func Store(ctx context.Context, put Put, items iter.Seq2[string, error]) (*job.Array, error) {
	next, stop := iter.Pull2(items)
	defer stop()
	a := &job.Array{}
	for size := 0; size <= maxInline; {
		item, err, ok := next()
		if err != nil {
			return nil, err
		}
		if !ok {
			return a, nil
		}
		a.Items = append(a.Items, item)
		size += len(item) + len(`"",`)
	}
	r := &reader{next: func() (string, error) {
		if len(a.Items) > 0 {
			item := a.Items[0]
			a.Items = a.Items[1:]
			return item, nil
		}
		item, err, ok := next()
		if err == nil && !ok {
			err = io.EOF
		}
		return item, err
	}}
	blob, count, err := put(ctx, r)
	if err != nil {
		return nil, err
	}
	return &job.Array{Blob: blob, Count: count}, nil
}

// Weigh is a Put that keeps nothing: it answers where a server might have stored the items. The
// digest after the point is the one that servers tell equal lists by.
func Weigh(_ context.Context, from io.Reader) (blob string, count int64, err error) {
	sum := sha256.New()
	lines := bufio.NewScanner(io.TeeReader(from, sum))
	lines.Buffer(make([]byte, 4096), maxItem+1)
	for lines.Scan() {
		count++
	}
	const kept = 16 // bytes of the digest
	return "items/weighed." + hex.EncodeToString(sum.Sum(nil)[:kept]), count, lines.Err()
}

// reader writes items as JSON strings, one a line.
type reader struct {
	next func() (string, error)
	buf  bytes.Buffer
}

// Read yields the next bytes, and the error of next once all before it are read.
func (r *reader) Read(p []byte) (int, error) {
	if r.buf.Len() == 0 {
		item, err := r.next()
		if err != nil {
			return 0, err
		}
		if err := json.NewEncoder(&r.buf).Encode(item); err != nil {
			return 0, err
		}
	}
	return r.buf.Read(p)
}

// checkItem refuses what no process can be given as an argument.
func checkItem(item, where string) error {
	switch {
	case !utf8.ValidString(item):
		return fmt.Errorf("%s: %.60q is not UTF-8 text; write such bytes in another way, such as base64", where, item)
	case strings.ContainsRune(item, 0):
		return fmt.Errorf("%s: %.60q has a zero byte, which no program can be given", where, item)
	}
	if b, err := json.Marshal(item); err == nil && len(b) > maxItem {
		return fmt.Errorf("%s: the item is longer than %d bytes; put it into a file and its name here", where, maxItem)
	}
	return nil
}

// Lines yields the lines of a text that name calls; empty ones are left out. An error
// is the last that it yields.
func Lines(in io.Reader, name string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		lines := bufio.NewScanner(in)
		lines.Buffer(make([]byte, 0, 4<<10), 2*maxItem)
		n := 0
		for lines.Scan() {
			n++
			item := strings.TrimRight(lines.Text(), "\r")
			if item == "" {
				continue
			}
			if err := checkItem(item, fmt.Sprintf("%s:%d", name, n)); err != nil {
				yield("", err)
				return
			}
			if !yield(item, nil) {
				return
			}
		}
		switch err := lines.Err(); {
		case errors.Is(err, bufio.ErrTooLong):
			yield("", fmt.Errorf("%s:%d: the line is longer than %d bytes; put it into a file and its name here", name, n+1, maxItem))
		case err != nil:
			yield("", fmt.Errorf("read %s: %w", name, plainCause(err)))
		}
	}
}

// JSON yields the values of one JSON list, or of JSON values after each other:
// texts as they are, everything else as JSON. An error is the last that it yields.
func JSON(in io.Reader, name string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		buffered := bufio.NewReader(in)
		d := json.NewDecoder(buffered)
		fail := func(err error) {
			if errors.Is(err, io.EOF) {
				err = errors.New("the JSON ends too early")
			}
			yield("", fmt.Errorf("%s: byte %d: %w", name, d.InputOffset(), plainCause(err)))
		}
		list := startsList(buffered)
		if list {
			if _, err := d.Token(); err != nil {
				fail(err)
				return
			}
		}
		for n := 0; ; n++ {
			if list && !d.More() {
				break
			}
			var raw json.RawMessage
			err := d.Decode(&raw)
			if errors.Is(err, io.EOF) && !list {
				return
			}
			var item string
			if err == nil {
				item, err = jsonItem(raw)
			}
			if err != nil {
				fail(err)
				return
			}
			if err := checkItem(item, fmt.Sprintf("%s: value %d", name, n)); err != nil {
				yield("", err)
				return
			}
			if !yield(item, nil) {
				return
			}
		}
		if _, err := d.Token(); err != nil { // the end of the list
			fail(err)
			return
		}
		if _, err := d.Token(); !errors.Is(err, io.EOF) {
			fail(errors.New("there is more after the end of the list"))
		}
	}
}

// startsList skips white space and reports whether a list follows.
func startsList(in *bufio.Reader) bool {
	for {
		b, err := in.ReadByte()
		if err != nil {
			return false
		}
		if strings.IndexByte(" \t\r\n", b) < 0 {
			return in.UnreadByte() == nil && b == '['
		}
	}
}

func jsonItem(raw json.RawMessage) (string, error) {
	if len(raw) > 0 && raw[0] == '"' {
		var text string
		err := json.Unmarshal(raw, &text)
		return text, err
	}
	var b bytes.Buffer
	err := json.Compact(&b, raw)
	return b.String(), err
}

// StoreLong moves the long lists of items of a job to where put stores them, and
// reports whether there were any. It changes the spec.
func StoreLong(ctx context.Context, put Put, spec *job.Spec) (bool, error) {
	stored := false
	for i := range spec.Tasks {
		a := spec.Tasks[i].Array
		if a == nil {
			continue
		}
		size := 0
		for _, item := range a.Items {
			size += len(item) + len(`"",`)
		}
		if size <= maxInline {
			continue
		}
		long, err := Store(ctx, put, func(yield func(string, error) bool) {
			for n, item := range a.Items {
				if err := checkItem(item, fmt.Sprintf("task %s: item %d", spec.Tasks[i].Name, n)); err != nil {
					yield("", err)
					return
				}
				if !yield(item, nil) {
					return
				}
			}
		})
		if err != nil {
			return stored, err
		}
		long.Throttle = a.Throttle
		spec.Tasks[i].Array, stored = long, true
	}
	return stored, nil
}

// plainCause is what went wrong, without the operation and the path, which the
// message names already.
func plainCause(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}
