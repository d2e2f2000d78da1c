package backup

import (
	"encoding/binary"
	"fmt"

	"github.com/reeve-scheduler/reeve/internal/store"
)

// coder writes fields to b, or reads them from there: each row is described once, for both ways.
// What it reads points into b.
type coder struct {
	b       []byte
	reading bool
	short   bool // something was not there
}

// done checks that a record held what was read of it, and no more.
func (c *coder) done() error {
	if c.short || len(c.b) > 0 {
		return fmt.Errorf("%w: a record has other fields than it should", ErrDamaged)
	}
	return nil
}

func number[T ~uint8 | ~uint32 | ~uint64 | ~int64](c *coder, v *T) {
	if !c.reading {
		c.b = binary.AppendUvarint(c.b, uint64(*v))
		return
	}
	n, w := binary.Uvarint(c.b)
	if w <= 0 || uint64(T(n)) != n {
		c.b, c.short = nil, true
		return
	}
	c.b, *v = c.b[w:], T(n)
}

func (c *coder) flag(v *bool) {
	n := uint8(0)
	if *v {
		n = 1
	}
	number(c, &n)
	*v = n == 1
}

// take returns the next n bytes that are read.
func (c *coder) take(n uint64) []byte {
	if n > uint64(len(c.b)) {
		c.b, c.short = nil, true
		return nil
	}
	taken := c.b[:n:n]
	c.b = c.b[n:]
	return taken
}

// bytes tells nil from what is empty.
func (c *coder) bytes(v *[]byte) {
	n := uint64(len(*v)) + 1
	if *v == nil {
		n = 0
	}
	number(c, &n)
	switch {
	case !c.reading:
		c.b = append(c.b, *v...)
	case n > 0:
		*v = c.take(n - 1)
	}
}

func (c *coder) text(v *string) {
	n := uint64(len(*v))
	number(c, &n)
	if c.reading {
		*v = string(c.take(n))
	} else {
		c.b = append(c.b, *v...)
	}
}

// fixed is bytes whose number is known.
func (c *coder) fixed(v []byte) {
	if c.reading {
		copy(v, c.take(uint64(len(v))))
	} else {
		c.b = append(c.b, v...)
	}
}

func (c *coder) labels(v *[]string) {
	n := uint64(len(*v))
	number(c, &n)
	for i := uint64(0); i < n && !c.short; i++ {
		if c.reading {
			*v = append(*v, "")
		}
		c.text(&(*v)[i])
	}
}

func (c *coder) object(o *store.ObjectRow) {
	number(c, &o.Kind)
	c.text(&o.Key)
	number(c, &o.Changed)
	c.bytes(&o.Blob)
}

func (c *coder) spec(s *store.SpecRow) {
	number(c, &s.Job)
	c.fixed(s.Hash[:])
	c.bytes(&s.Blob)
}

func (c *coder) job(j *store.JobRow) {
	number(c, &j.ID)
	c.flag(&j.Live)
	number(c, &j.Changed)
	c.text(&j.Namespace)
	c.text(&j.Queue)
	c.text(&j.Name)
	number(c, &j.State)
	number(c, &j.Submitted)
	number(c, &j.Ended)
	number(c, &j.KeepUntil)
	number(c, &j.KeyHash)
	c.labels(&j.Labels)
	c.fixed(j.Spec[:])
	c.bytes(&j.Blob)
	c.bytes(&j.Payload)
}

func (c *coder) part(p *store.PartRow) {
	number(c, &p.Job)
	number(c, &p.Task)
	number(c, &p.Kind)
	number(c, &p.N)
	number(c, &p.Changed)
	c.bytes(&p.Blob)
}

func (c *coder) batch(b *store.Batch) {
	number(c, &b.Seq)
	number(c, &b.Epoch)
	c.fixed(b.ID[:])
	c.fixed(b.Prev[:])
	c.bytes(&b.Payload)
}

func (c *coder) secret(name *string, secret *[]byte) {
	c.text(name)
	c.bytes(secret)
}
