package backup

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/reeve-scheduler/reeve/internal/store"
)

// reader puts flushes together again.
type reader struct {
	in    *bufio.Reader
	into  *tally
	flush store.Flush
	ended bool
}

// read hands a backup to into, which says what is in it then; the last thing that it looks at
// is whether that is what was written.
func read(ctx context.Context, from io.Reader, into *tally) error {
	in, err := open(from)
	if err != nil {
		return err
	}
	r := &reader{in: in, into: into}
	for n := 0; ; n++ {
		kind, body, err := r.next()
		if errors.Is(err, io.EOF) && r.ended {
			return nil
		}
		if err == nil && (r.ended || (kind == kindHead) != (n == 0)) {
			err = errors.New("records are out of order")
		}
		if err != nil {
			return fmt.Errorf("%w: after record %d: %w", ErrDamaged, n, err)
		}
		if err := r.take(kind, body); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// next reads a record.
func (r *reader) next() (kind byte, body []byte, err error) {
	if kind, err = r.in.ReadByte(); err != nil {
		return 0, nil, err
	}
	n, err := binary.ReadUvarint(r.in)
	if err == nil && n > maxRecord {
		err = fmt.Errorf("one of %d bytes", n)
	}
	if err != nil {
		return 0, nil, unexpected(err)
	}
	body = make([]byte, n)
	_, err = io.ReadFull(r.in, body)
	return kind, body, unexpected(err)
}

// unexpected is err, where an end can't be.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// take takes a record.
func (r *reader) take(kind byte, body []byte) error {
	f := &r.flush
	c := coder{b: body, reading: true}
	switch kind {
	case kindHead:
		var h head
		if err := json.Unmarshal(body, &h); err != nil {
			return fmt.Errorf("%w: what it says of itself: %w", ErrDamaged, err)
		}
		r.into.Version, r.into.Made = h.Version, h.Made
		return nil
	case kindObject:
		f.Objects = append(f.Objects, store.ObjectRow{})
		c.object(&f.Objects[len(f.Objects)-1])
	case kindSpec:
		f.Specs = append(f.Specs, store.SpecRow{})
		c.spec(&f.Specs[len(f.Specs)-1])
	case kindJob:
		f.Jobs = append(f.Jobs, store.JobRow{})
		c.job(&f.Jobs[len(f.Jobs)-1])
	case kindPart:
		f.Parts = append(f.Parts, store.PartRow{})
		c.part(&f.Parts[len(f.Parts)-1])
	case kindEnd:
		return r.end(body)
	default:
		return r.whole(kind, &c)
	}
	return c.done()
}

// whole takes a record that goes on at once.
func (r *reader) whole(kind byte, c *coder) error {
	switch kind {
	case kindFlush:
		f := r.flush
		r.flush = store.Flush{}
		number(c, &f.Seq)
		if err := c.done(); err != nil {
			return err
		}
		return r.into.Flush(&f)
	case kindBatch:
		var b store.Batch
		c.batch(&b)
		if err := c.done(); err != nil {
			return err
		}
		return r.into.Batch(b)
	case kindSecret:
		var name string
		var secret []byte
		c.secret(&name, &secret)
		if err := c.done(); err != nil {
			return err
		}
		return r.into.Secret(name, secret)
	}
	return fmt.Errorf("%w: there is no record of kind %d", ErrDamaged, kind)
}

// end compares what was read with what was written.
func (r *reader) end(body []byte) error {
	var want Contents
	if err := json.Unmarshal(body, &want); err != nil {
		return fmt.Errorf("%w: its end: %w", ErrDamaged, err)
	}
	r.ended = true
	if got := r.into.sum(); got.Digest != want.Digest {
		return fmt.Errorf("%w: %s where %s were written", ErrDamaged, got.counts(), want.counts())
	}
	return nil
}
