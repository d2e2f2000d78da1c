package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/reeve-scheduler/reeve/internal/store"
	"github.com/reeve-scheduler/reeve/internal/store/sqlstore/seal"
)

const (
	// insertBatch inserts nothing when the sequence is taken, leaves a gap or follows
	// another batch: one statement decides, whatever other leaders do at the same time.
	insertBatch = insertHead + ` FROM {{s}}journal WHERE seq = ? AND id = ? ON CONFLICT (seq) DO NOTHING`
	// insertBatch1 inserts nothing when there is any batch.
	insertBatch1 = insertHead + ` WHERE NOT EXISTS (SELECT 1 FROM {{s}}journal) ON CONFLICT (seq) DO NOTHING`
	insertHead   = `INSERT INTO {{s}}journal (seq, epoch, id, sum, payload, prev) SELECT ?, ?, ?, ?, ?, ?`

	selectLast     = `SELECT seq, id FROM {{s}}journal ORDER BY seq DESC LIMIT 1`
	selectStanding = `SELECT id, epoch FROM {{s}}journal WHERE seq = ?`
	selectBatches  = `SELECT seq, epoch, id, sum, payload, prev FROM {{s}}journal WHERE seq >= ? ORDER BY seq LIMIT ?`
	selectBounds   = `SELECT coalesce((SELECT min(seq) FROM {{s}}journal), 1), coalesce((SELECT max(seq) FROM {{s}}journal), 0)`
	selectSizes    = `SELECT seq, length(payload) FROM {{s}}journal WHERE seq >= ? AND seq < ? ORDER BY seq LIMIT ?`
	deleteBatches  = `DELETE FROM {{s}}journal WHERE seq < ?`
)

// trimSlice is how many batches one transaction of a trim drops, and trimBytes how many
// bytes of them but for one batch more: appends wait behind it, and each page of what goes
// is looked at.
const (
	trimSlice = 256
	trimBytes = 4 << 20
)

// readSlice is how many batches one statement of a read asks for.
const readSlice = 256

// journal implements store.Journal.
type journal struct {
	db *database
	// packed is the writer's scratch space, where payloads are stored packed.
	packed *[]byte
}

// payload is the column of a batch's payload. The holder of the writer calls it.
func (j journal) payload(b *store.Batch) []byte {
	if !j.db.d.remote {
		return b.Payload
	}
	column := seal.Pack(*j.packed, b.Payload)
	if cap(column) <= maxScratch {
		*j.packed = column
	}
	return column
}

// Append implements store.Journal.
func (j journal) Append(ctx context.Context, b store.Batch) error {
	if err := b.Check(); err != nil {
		return err
	}
	return j.db.write(ctx, func(ctx context.Context, s *session) error {
		text, args := insertBatch1, []any{int64(b.Seq), int64(b.Epoch), b.ID[:], seal.Batch(&b), j.payload(&b), b.Prev[:]}
		if b.Seq > 1 {
			text, args = insertBatch, append(args, int64(b.Seq)-1, b.Prev[:])
		}
		n, err := s.change(ctx, text, args...)
		if err != nil || n == 1 {
			return err
		}
		if err := j.explain(ctx, s, &b); err != nil || !s.db.d.remote {
			return err
		}
		// It stands, but whoever wrote it may not have waited for the standbys.
		_, err = s.change(ctx, touchPulse)
		return err
	})
}

// explain says why b wasn't inserted; nil when it already stands.
func (j journal) explain(ctx context.Context, s *session, b *store.Batch) error {
	var id sql.RawBytes
	var epoch integer
	same := false
	err := s.query(ctx, statement{text: selectStanding}, func(rows row) (bool, error) {
		if err := rows.Scan(&id, &epoch); err != nil {
			return false, err
		}
		if same = string(id) == string(b.ID[:]); !same {
			return false, fmt.Errorf("%w: %d is of epoch %d", store.ErrFenced, b.Seq, epoch)
		}
		return false, nil
	}, int64(b.Seq))
	if err != nil || same {
		return err
	}
	var first, last integer
	if err := s.row(ctx, statement{text: selectBounds}, nil, &first, &last); err != nil {
		return err
	}
	if b.Seq < uint64(first) {
		return fmt.Errorf("%w: %d was trimmed", store.ErrFenced, b.Seq)
	}
	if b.Seq == uint64(last)+1 {
		return fmt.Errorf("%w: the batch before %d is another", store.ErrFenced, b.Seq)
	}
	return fmt.Errorf("%w: batch %d after %d leaves a gap", store.ErrRefused, b.Seq, last)
}

// Read implements store.Journal.
func (j journal) Read(ctx context.Context, from uint64, maxBytes int) (batches []store.Batch, err error) {
	if from > math.MaxInt64 {
		return nil, nil
	}
	err = j.db.look(ctx, func(ctx context.Context, s *session) (err error) {
		batches, err = j.batches(ctx, s, s.alone, from, maxBytes)
		return err
	})
	return batches, err
}

// querier runs a statement and hands each row to scan until it returns false or an error.
type querier func(ctx context.Context, name statement, scan func(row) (bool, error), args ...any) error

// batches is Read by a session's query or alone. What is read at two moments fits together: a
// journal only loses its beginning and gains at its end.
func (j journal) batches(ctx context.Context, s *session, query querier, from uint64, maxBytes int) (batches []store.Batch, err error) {
	size, next, more, hole := 0, from, true, from == 0
	for more && !hole {
		more = false
		err := query(ctx, statement{text: selectBatches}, func(rows row) (bool, error) {
			b, err := j.scan(rows)
			if err != nil {
				return false, err
			}
			hole = b.Seq != next
			size += len(b.Payload)
			if hole || len(batches) > 0 && size > maxBytes {
				more = false
				return false, nil
			}
			next++
			more = (next-from)%readSlice == 0
			batches = append(batches, b)
			return true, nil
		}, int64(next), int64(readSlice))
		if err != nil {
			return nil, err
		}
	}
	if hole {
		return nil, j.missing(ctx, s, from, next)
	}
	return batches, nil
}

// missing tells a trimmed sequence from one that must be there.
func (j journal) missing(ctx context.Context, s *session, from, next uint64) error {
	var first, last integer
	if err := s.row(ctx, statement{text: selectBounds}, nil, &first, &last); err != nil {
		return err
	}
	if from < uint64(first) {
		return fmt.Errorf("%w: %d, the first kept is %d", store.ErrTrimmed, from, first)
	}
	return fmt.Errorf("%w: the journal has no batch %d between %d and %d", store.ErrCorrupt, next, first, last)
}

// scan reads one row of selectBatches.
func (j journal) scan(rows row) (store.Batch, error) {
	var b store.Batch
	var seq, epoch, check integer
	var id, payload, prev sql.RawBytes
	if err := rows.Scan(&seq, &epoch, &id, &check, &payload, &prev); err != nil {
		return b, err
	}
	whole := true
	if j.db.d.remote {
		b.Payload, whole = seal.Unpack(payload)
	} else {
		b.Payload = slices.Clone(payload)
	}
	b.Seq, b.Epoch = uint64(seq), uint64(epoch)
	copy(b.Prev[:], prev)
	if !whole || copy(b.ID[:], id) != len(b.ID) || seal.Batch(&b) != int64(check) {
		return b, seal.Damaged("batch %d of the journal", b.Seq)
	}
	return b, nil
}

// Last implements store.Journal.
func (j journal) Last(ctx context.Context) (m store.Mark, err error) {
	err = j.db.look(ctx, func(ctx context.Context, s *session) error {
		return s.query(ctx, statement{text: selectLast}, func(rows row) (bool, error) {
			var seq integer
			var id sql.RawBytes
			if err := rows.Scan(&seq, &id); err != nil {
				return false, err
			}
			m.Seq = uint64(seq)
			if copy(m.ID[:], id) != len(m.ID) {
				return false, seal.Damaged("batch %d of the journal", m.Seq)
			}
			return false, nil
		})
	})
	return m, err
}

// Bounds implements store.Journal.
func (j journal) Bounds(ctx context.Context) (first, last uint64, err error) {
	var f, l integer
	err = j.db.look(ctx, func(ctx context.Context, s *session) error {
		return s.row(ctx, statement{text: selectBounds}, nil, &f, &l)
	})
	return uint64(f), uint64(l), err
}

// Trim implements store.Journal.
func (j journal) Trim(ctx context.Context, below uint64) error {
	for first := uint64(0); first < below; {
		err := j.db.write(ctx, func(ctx context.Context, s *session) error {
			var f, l integer
			if err := s.row(ctx, statement{text: selectBounds}, nil, &f, &l); err != nil {
				return err
			}
			below = min(below, uint64(l))
			if uint64(f) >= below {
				first = below
				return nil
			}
			var err error
			if first, err = s.trimmed(ctx, uint64(f), below); err != nil {
				return err
			}
			_, err = s.change(ctx, deleteBatches, int64(first))
			return err
		})
		if err != nil {
			return err
		}
	}
	if j.db.tidy == nil {
		return nil
	}
	return j.db.say(j.db.tidy(ctx))
}

// trimmed returns where the journal begins after the next slice of a trim, at most at
// below.
func (s *session) trimmed(ctx context.Context, from, below uint64) (first uint64, err error) {
	first = from
	bytes := int64(0)
	err = s.query(ctx, statement{text: selectSizes}, func(rows row) (bool, error) {
		var seq, size integer
		if err := rows.Scan(&seq, &size); err != nil {
			return false, err
		}
		first, bytes = uint64(seq)+1, bytes+int64(size)
		return bytes < trimBytes, nil
	}, int64(from), int64(below), int64(trimSlice))
	return first, err
}

// check reads the newest batch: the cheapest proof that the journal's end is what
// was written. It returns the last sequence.
func (j journal) check(ctx context.Context) (last uint64, err error) {
	_, last, err = j.Bounds(ctx)
	if err != nil || last == 0 {
		return last, err
	}
	if _, err := j.Read(ctx, last, 0); err != nil && !errors.Is(err, store.ErrTrimmed) {
		return last, err
	}
	return last, nil
}
