package backup

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"time"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/record"
	"github.com/reeve-scheduler/reeve/internal/store"
)

// Contents is what a store held when it was copied.
type Contents struct {
	// Made is when, and Version the program that did; both are empty of what is no backup.
	Made    time.Time `json:"made,omitzero"`
	Version string    `json:"version,omitempty"`
	// Jobs are all, Unfinished those that have not ended.
	Jobs       int64 `json:"jobs"`
	Unfinished int64 `json:"unfinished"`
	// Parts are those pieces of jobs that have rows of their own, Objects all else that
	// has one: namespaces, queues, workers, tokens.
	Parts   int64 `json:"parts"`
	Objects int64 `json:"objects"`
	// Batches are what the journal says after the rows, and the one they are at.
	Batches int64 `json:"batches"`
	Secrets int64 `json:"secrets"`
	// Sequence is the last batch's, and Generation the one that it is of.
	Sequence   uint64 `json:"sequence"`
	Generation uint64 `json:"generation"`
	// Digest is a hash of all of it, whichever database it is in.
	Digest string `json:"digest"`
}

func (c *Contents) counts() string {
	return fmt.Sprintf("%d jobs, %d parts, %d objects, %d batches and %d secrets", c.Jobs, c.Parts, c.Objects, c.Batches, c.Secrets)
}

// hashes are one for each kind of row: how rows of different kinds are mixed is the store's
// own affair. Specs are known by the jobs, which name their hashes.
type hashes struct{ objects, jobs, parts, batches, secrets hash.Hash }

// tally takes stock of what is copied, and hands it on.
type tally struct {
	Contents

	into    store.Copier // may be nil
	hashes  hashes
	scratch []byte
	rows    uint64 // the sequence that they are at
	epoch   uint64
	last    [16]byte // the last batch
}

func newTally(into store.Copier) *tally {
	return &tally{into: into, hashes: hashes{sha256.New(), sha256.New(), sha256.New(), sha256.New(), sha256.New()}}
}

// sum is what there was so far.
func (t *tally) sum() Contents {
	all := sha256.New()
	all.Write(binary.BigEndian.AppendUint64(nil, t.rows))
	for _, h := range []hash.Hash{t.hashes.objects, t.hashes.jobs, t.hashes.parts, t.hashes.batches, t.hashes.secrets} {
		all.Write(h.Sum(nil))
	}
	c := t.Contents
	c.Digest = hex.EncodeToString(all.Sum(nil))
	return c
}

// add hashes what fields write, and its length.
func (t *tally) add(to hash.Hash, fields func(*coder)) {
	c := coder{b: t.scratch[:0]}
	fields(&c)
	t.scratch = c.b
	to.Write(binary.AppendUvarint(nil, uint64(len(c.b))))
	to.Write(c.b)
}

// Flush is of store.Copier.
func (t *tally) Flush(f *store.Flush) error {
	t.rows = f.Seq
	for i := range f.Objects {
		o := &f.Objects[i]
		t.add(t.hashes.objects, func(c *coder) { c.object(o) })
		if m, ok, err := record.Counters(*o); err != nil {
			return err
		} else if ok {
			t.Generation, t.epoch = m.Generation, m.Epoch
		}
	}
	specs := make(map[[32]byte]bool, len(f.Specs))
	for i := range f.Specs {
		s := &f.Specs[i]
		if specs[s.Hash] = true; sha256.Sum256(s.Blob) != s.Hash {
			return fmt.Errorf("%w: the spec %x of job %d is not what was written", store.ErrCorrupt, s.Hash[:4], s.Job)
		}
	}
	for i := range f.Jobs {
		j := &f.Jobs[i]
		if j.Spec != ([32]byte{}) && !specs[j.Spec] {
			return fmt.Errorf("%w: the spec %x of job %d is not there", store.ErrCorrupt, j.Spec[:4], j.ID)
		}
		t.add(t.hashes.jobs, func(c *coder) { c.job(j) })
		if j.Live {
			t.Unfinished++
		}
	}
	for i := range f.Parts {
		t.add(t.hashes.parts, func(c *coder) { c.part(&f.Parts[i]) })
	}
	t.Objects, t.Jobs, t.Parts = t.Objects+int64(len(f.Objects)), t.Jobs+int64(len(f.Jobs)), t.Parts+int64(len(f.Parts))
	if t.into == nil {
		return nil
	}
	return t.into.Flush(f)
}

// Batch is of store.Copier.
func (t *tally) Batch(b store.Batch) error {
	t.add(t.hashes.batches, func(c *coder) { c.batch(&b) })
	t.Batches, t.Sequence, t.last = t.Batches+1, b.Seq, b.ID
	events, err := record.DecodeBatch(b.Payload)
	if err != nil {
		return fmt.Errorf("batch %d of the journal: %w", b.Seq, err)
	}
	if b.Seq > t.rows {
		t.follow(events)
	}
	if t.into == nil {
		return nil
	}
	return t.into.Batch(b)
}

// follow counts what happened after the rows.
func (t *tally) follow(events []core.Event) {
	for _, e := range events {
		switch e := e.(type) {
		case core.EpochStarted:
			t.Generation, t.epoch = e.Generation, e.Epoch
		case core.JobSubmitted:
			t.Jobs, t.Unfinished = t.Jobs+1, t.Unfinished+1
		case core.JobEnded:
			t.Unfinished--
		}
	}
}

// Secret is of store.Copier.
func (t *tally) Secret(name string, secret []byte) error {
	t.add(t.hashes.secrets, func(c *coder) { c.secret(&name, &secret) })
	t.Secrets++
	if t.into == nil {
		return nil
	}
	return t.into.Secret(name, secret)
}
