// Package backup makes one file of all that a store holds, and a store of such a file.
//
// # The file
//
// It begins with a line that says what it is and in which format. What follows is compressed in the
// format of S2, whose blocks have checksums, and consists of records: a byte that says what one
// holds, the length of what comes, and that. First comes what the backup says of itself, then rows
// with a record after each flush of them, then batches, then secrets, and last how much of
// each there was and a hash of it all, without which the file was cut off. A file that is not whole
// is no backup: nothing of it becomes a store.
//
// # What becomes of it
//
// A store that is restored goes on from what it was, in a generation of its own, so that
// nothing which was given out since is given out again: the last batch of its journal, which
// comes with the others or not at all, begins it. A store that is moved is the same history, and goes
// on as if it had always been there.
package backup

import (
	"bufio"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/klauspost/compress/s2"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/record"
	"github.com/reeve-scheduler/reeve/internal/store"
)

// ErrDamaged says that a file is not what Write wrote, or not all of it.
var ErrDamaged = errors.New("the backup is damaged or was cut off")

// Dumper is a store that is read as a whole: see store.Archive.
type Dumper interface {
	Dump(ctx context.Context, to store.Copier) error
}

const (
	// firstLine begins every backup; the number of its format and an end of line follow.
	firstLine = "reeve backup "
	format    = "1"
	// maxRecord bounds a record's length in bytes: that of the largest batch, and then some.
	maxRecord = 64 << 20
	// blockSize is how much is compressed at a time, in bytes.
	blockSize = 1 << 20
)

// Kinds of records. Their numbers are on disk.
const (
	kindHead   = 1
	kindObject = 2
	kindSpec   = 3
	kindJob    = 4
	kindPart   = 5
	kindFlush  = 6 // the rows before it were one
	kindBatch  = 7
	kindSecret = 8
	kindEnd    = 9
)

// head is what a backup says of itself.
type head struct {
	Version string    `json:"version"`
	Made    time.Time `json:"made"`
}

// Write writes a backup of from to w, made by the given version of the program, and returns what is
// in it. It holds secrets of the cluster.
func Write(ctx context.Context, w io.Writer, from Dumper, version string) (Contents, error) {
	if _, err := io.WriteString(w, firstLine+format+"\n"); err != nil {
		return Contents{}, err
	}
	z := s2.NewWriter(w, s2.WriterBlockSize(blockSize), s2.WriterConcurrency(1))
	out := &writer{w: z}
	t := newTally(out)
	t.Version, t.Made = version, time.Now().UTC().Truncate(time.Second)
	err := out.json(kindHead, head{t.Version, t.Made})
	if err == nil {
		err = from.Dump(ctx, t)
	}
	if err == nil && t.Sequence == 0 {
		err = errors.New("there is nothing to back up: no server has begun here")
	}
	if err == nil {
		err = out.json(kindEnd, t.sum())
	}
	if err = errors.Join(err, z.Close()); err != nil {
		return Contents{}, err
	}
	return t.sum(), nil
}

// Check reads a backup to its end and returns what is in it.
func Check(ctx context.Context, r io.Reader) (Contents, error) {
	t := newTally(nil)
	err := read(ctx, r, t)
	return t.sum(), err
}

// Restore makes an empty store of a backup, and returns what is in that and the generation that the
// store begins. The store stays empty where it fails.
func Restore(ctx context.Context, r io.Reader, to store.Archive) (c Contents, generation uint64, err error) {
	err = to.Fill(ctx, func(into store.Copier) error {
		l := &leap{Copier: into}
		l.tally = newTally(l)
		if err := read(ctx, r, l.tally); err != nil {
			return err
		}
		c, generation = l.tally.sum(), l.tally.Generation+1
		return l.begin()
	})
	return c, generation, err
}

// Copy makes an empty store what another one is, whose history goes on there, and compares the two.
func Copy(ctx context.Context, from Dumper, to store.Archive) (Contents, error) {
	var c Contents
	err := to.Fill(ctx, func(into store.Copier) error {
		t := newTally(into)
		err := from.Dump(ctx, t)
		if c = t.sum(); err == nil && c.Sequence == 0 {
			err = errors.New("there is nothing to move: no server has begun here")
		}
		return err
	})
	if err != nil {
		return c, err
	}
	t := newTally(nil)
	if err := to.Dump(ctx, t); err != nil {
		return c, fmt.Errorf("read the copy: %w", err)
	}
	if copied := t.sum(); copied != c {
		return c, fmt.Errorf("the copy is not what was read: %+v where there was %+v; do not use it", copied, c)
	}
	return c, nil
}

// leap begins another generation after the last batch.
type leap struct {
	store.Copier

	tally *tally
	begun bool
}

// Secret is of store.Copier: batches are over when secrets come.
func (l *leap) Secret(name string, secret []byte) error {
	if err := l.begin(); err != nil {
		return err
	}
	return l.Copier.Secret(name, secret)
}

func (l *leap) begin() error {
	if l.begun {
		return nil
	}
	l.begun = true
	t := l.tally
	b := store.Batch{Seq: t.Sequence + 1, Prev: t.last, Epoch: t.epoch + 1}
	_, _ = rand.Read(b.ID[:]) // never fails: crypto/rand ends the program instead
	var err error
	b.Payload, err = record.EncodeBatch(nil, []core.Event{core.EpochStarted{Epoch: b.Epoch, Generation: t.Generation + 1, At: time.Now().UnixMilli()}})
	if err != nil {
		return err
	}
	return l.Copier.Batch(b)
}

// writer implements store.Copier.
type writer struct {
	w       io.Writer
	scratch []byte
}

func (w *writer) record(kind byte, fields func(*coder)) error {
	c := coder{b: w.scratch[:0]}
	fields(&c)
	w.scratch = c.b
	if len(c.b) > maxRecord {
		return fmt.Errorf("a record of %d bytes: more than a backup holds", len(c.b))
	}
	if _, err := w.w.Write(binary.AppendUvarint([]byte{kind}, uint64(len(c.b)))); err != nil {
		return err
	}
	_, err := w.w.Write(c.b)
	return err
}

func (w *writer) json(kind byte, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return w.record(kind, func(c *coder) { c.b = append(c.b, text...) })
}

func (w *writer) Flush(f *store.Flush) error {
	err := cmp.Or(
		each(f.Objects, func(o *store.ObjectRow) error { return w.record(kindObject, func(c *coder) { c.object(o) }) }),
		each(f.Specs, func(s *store.SpecRow) error { return w.record(kindSpec, func(c *coder) { c.spec(s) }) }),
		each(f.Jobs, func(j *store.JobRow) error { return w.record(kindJob, func(c *coder) { c.job(j) }) }),
		each(f.Parts, func(p *store.PartRow) error { return w.record(kindPart, func(c *coder) { c.part(p) }) }),
	)
	if err != nil {
		return err
	}
	return w.record(kindFlush, func(c *coder) { number(c, &f.Seq) })
}

func each[T any](rows []T, do func(*T) error) error {
	for i := range rows {
		if err := do(&rows[i]); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) Batch(b store.Batch) error {
	return w.record(kindBatch, func(c *coder) { c.batch(&b) })
}

func (w *writer) Secret(name string, secret []byte) error {
	return w.record(kindSecret, func(c *coder) { c.secret(&name, &secret) })
}

// buffered is how much of a file is read at a time, in bytes.
const buffered = 64 << 10

// open reads a backup's first line and returns what follows.
func open(r io.Reader) (*bufio.Reader, error) {
	raw := bufio.NewReaderSize(r, buffered)
	line, err := raw.Peek(len(firstLine))
	if err != nil || string(line) != firstLine {
		return nil, errors.New("this is no backup of Reeve")
	}
	text, err := raw.ReadSlice('\n')
	if err != nil {
		return nil, fmt.Errorf("%w, in its first line", ErrDamaged)
	}
	if got := string(text[len(firstLine) : len(text)-1]); got != format {
		return nil, fmt.Errorf("the backup is of format %.20q, this program knows %s: use a newer reeve", got, format)
	}
	return bufio.NewReaderSize(s2.NewReader(raw, s2.ReaderMaxBlockSize(blockSize), s2.ReaderAllocBlock(buffered)), buffered), nil
}
