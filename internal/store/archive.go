package store

import (
	"context"
	"fmt"
)

// Copier is handed all that a store holds, in this order: the rows as flushes, at least one,
// then the journal's batches, then secrets. What it is handed is its own to keep. An error ends
// what is being done.
type Copier interface {
	// Flush takes some of the rows. All flushes are at the same projected sequence, which the
	// last of them brings about, and name no batch. Together they are of a bounded size each,
	// and do to empty tables what every flush before them did.
	Flush(f *Flush) error
	// Batch takes the batch at the projected sequence, if that is not 0, and all after it.
	Batch(b Batch) error
	// Secret takes a secret that servers share.
	Secret(name string, secret []byte) error
}

// Archive is a store as a whole: to be copied, and to become a copy.
type Archive interface {
	// Dump hands over everything as it stood at one moment after the call, finished jobs and
	// payloads too. It runs beside whatever else goes on, and holds little in memory. Damage
	// ends it with ErrCorrupt, wherever it is.
	Dump(ctx context.Context, to Copier) error
	// Fill makes an empty store a copy of what from hands over. It becomes that as a whole,
	// and durably, once from has returned nil and Fill does; otherwise it is empty still or,
	// after a crash, refuses to be opened with ErrCorrupt. A store that holds anything
	// is left alone, with ErrRefused; so is one to which something else is handed than what Copier
	// says. Nothing else uses the store meanwhile, but for servers that wait for it to hold
	// something.
	Fill(ctx context.Context, from func(to Copier) error) error
}

// Filling holds what is handed to a Fill to what Copier says. The zero value is ready.
type Filling struct {
	begun bool
	seq   uint64 // the projected sequence
	last  Mark
}

// Flush checks the next flush.
func (c *Filling) Flush(f *Flush) error {
	if c.last.Seq != 0 || c.begun && f.Seq != c.seq {
		return fmt.Errorf("%w: to be filled with a flush at %d after flushes at %d and batch %d", ErrRefused, f.Seq, c.seq, c.last.Seq)
	}
	c.begun, c.seq = true, f.Seq
	return f.Check()
}

// Batch checks the next batch.
func (c *Filling) Batch(b *Batch) error {
	next := c.last.Seq + 1
	if c.last.Seq == 0 {
		next = max(c.seq, 1)
	}
	follows := c.last.Seq == 0 || b.Prev == c.last.ID || b.Prev == [16]byte{} // as batches of old do
	if !c.begun || b.Seq != next || !follows {
		return fmt.Errorf("%w: to be filled with batch %d (%x) where %d is to follow %x", ErrRefused, b.Seq, b.ID[:4], next, c.last.ID[:4])
	}
	c.last = Mark{Seq: b.Seq, ID: b.ID}
	return b.Check()
}

// Done checks that there is nothing more to come.
func (c *Filling) Done() error {
	if !c.begun || c.last.Seq < c.seq {
		return fmt.Errorf("%w: to be filled with rows at %d and a journal that ends at %d", ErrRefused, c.seq, c.last.Seq)
	}
	return nil
}
