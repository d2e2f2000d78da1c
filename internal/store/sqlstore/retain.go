package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/reeve-scheduler/reeve/internal/store/sqlstore/postgres"
	"github.com/reeve-scheduler/reeve/internal/store/sqlstore/schema"
	"github.com/reeve-scheduler/reeve/internal/store/sqlstore/seal"
)

const (
	selectAnyLive = `SELECT id FROM {{s}}jobs_{{n}} WHERE live = 1 LIMIT 1`

	countPast = `SELECT count(*), coalesce(sum(CASE WHEN live = 0 AND keep_until < ? THEN 1 ELSE 0 END), 0) FROM {{s}}jobs_{{n}}`
	// selectHalf finds the moment when enough finished jobs are past.
	selectHalf = `SELECT keep_until FROM {{s}}jobs_{{n}} WHERE live = 0 ORDER BY keep_until LIMIT 1 OFFSET ?`

	copyJobs = `INSERT INTO {{s}}jobs_{{n}} (` + seal.StoredJobColumns + `) SELECT ` + seal.StoredJobColumns + ` FROM {{s}}jobs_{{old}}
WHERE live = 1 OR keep_until >= ? ORDER BY id`
	copyParts = `INSERT INTO {{s}}parts_{{n}} (` + seal.PartColumns + `) SELECT ` + seal.PartColumns + ` FROM {{s}}parts_{{old}}
WHERE job IN (SELECT id FROM {{s}}jobs_{{n}}) ORDER BY job, task, kind, n`
	copySpecs = `INSERT INTO {{s}}specs_{{n}} (hash, sum, body) SELECT hash, sum, body FROM {{s}}specs_{{old}}
WHERE hash IN (SELECT spec FROM {{s}}jobs_{{n}}) ORDER BY hash`
	selectKeep = `SELECT coalesce(min(keep_until), ?), coalesce(max(keep_until), ?) FROM {{s}}jobs_{{n}} WHERE live = 0`

	selectPast = `SELECT id FROM {{s}}jobs_{{n}} WHERE live = 0 AND keep_until < ? AND id > ? ORDER BY id LIMIT ?`

	deletePartition = `DELETE FROM {{s}}partitions WHERE number = ?`
)

// Retain implements store.Tables.
func (t *tables) Retain(ctx context.Context, now time.Time, gone func(ids []uint64) error) (dropped int, err error) {
	ms := now.UnixMilli()
	var parts []partition
	var numbers []int64
	err = t.db.read(ctx, func(ctx context.Context, s *session) error {
		// Flushes widen the bounds of a partition without a new layout.
		s.doubt()
		if err := s.refresh(ctx); err != nil {
			return err
		}
		parts, numbers = slices.Clone(s.layout.parts), s.layout.numbersOf()
		return nil
	})
	if err == nil {
		t.keys.Keep(numbers)
	}
	for _, p := range parts {
		if err != nil {
			break
		}
		var n int
		n, err = t.retain(ctx, p, ms, gone)
		dropped += n
	}
	return dropped, err
}

// verdict is what retention does with a partition.
type verdict int

const (
	leave verdict = iota
	rewrite
	drop
)

// retain looks at one partition and returns how many jobs it dropped. It looks in
// a read transaction, so that counting delays no flush, and acts in another.
func (t *tables) retain(ctx context.Context, p partition, now int64, gone func(ids []uint64) error) (dropped int, err error) {
	if p.keepMin >= now {
		return 0, nil
	}
	t.mu.Lock()
	look, known := t.look[p.number]
	if known && now < look {
		t.mu.Unlock()
		return 0, nil
	}
	t.look[p.number] = now
	t.mu.Unlock()
	var what verdict
	err = t.db.read(ctx, func(ctx context.Context, s *session) error {
		what, look, err = s.judge(ctx, p, now)
		return err
	})
	if err != nil {
		return 0, err
	}
	if what == leave {
		t.mu.Lock()
		if _, same := t.look[p.number]; same { // no flush ended a job meanwhile
			t.look[p.number] = look
		}
		t.mu.Unlock()
		return 0, nil
	}
	if err := t.announce(ctx, p, now, gone); err != nil {
		return 0, err
	}
	err = t.db.write(ctx, func(ctx context.Context, s *session) error {
		err := s.transact(ctx, t.db.d.beginWrite, func() error {
			if err := s.seize(ctx, p.number); err != nil {
				return err
			}
			if err := s.refreshToWrite(ctx); err != nil {
				return err
			}
			i := slices.IndexFunc(s.layout.parts, func(q partition) bool { return q.number == p.number })
			if i < 0 {
				return nil
			}
			dropped, err = s.shrink(ctx, i, what, now)
			return err
		})
		s.doubt()
		return err
	})
	if postgres.Waited(err) || postgres.Gone(err) {
		// Somebody reads it for long, or another server was first: the next call looks again.
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.look, p.number)
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return dropped, nil
}

// announce tells gone which jobs of a partition are about to go.
func (t *tables) announce(ctx context.Context, p partition, now int64, gone func(ids []uint64) error) error {
	const page = 1000
	last := uint64(0)
	for gone != nil {
		var ids []uint64
		err := t.db.read(ctx, func(ctx context.Context, s *session) error {
			ids = nil
			return s.query(ctx, statement{text: selectPast, partition: p.number}, func(rows row) (bool, error) {
				var id integer
				err := rows.Scan(&id)
				ids = append(ids, uint64(id))
				return true, err
			}, now, int64(last), int64(page))
		})
		if err != nil || len(ids) == 0 {
			return err
		}
		if err := gone(ids); err != nil {
			return err
		}
		last = ids[len(ids)-1]
	}
	return nil
}

// judge decides about a partition and, when it may stay as it is, says when to
// look again.
func (s *session) judge(ctx context.Context, p partition, now int64) (what verdict, look int64, err error) {
	live, err := s.anyLive(ctx, p.number)
	if err != nil || !live && p.keepMax < now {
		return drop, 0, err
	}
	if !live && p.keepMax-now <= 2*s.db.span {
		// All of it goes soon: nothing is worth a count or a copy.
		return leave, p.keepMax + 1, nil
	}
	var count, past integer
	name := statement{text: countPast, partition: p.number}
	if err := s.row(ctx, name, []any{now}, &count, &past); err != nil {
		return leave, 0, err
	}
	switch {
	case past > 0 && past == count:
		return drop, 0, nil
	case past > 0 && 2*past >= count:
		return rewrite, 0, nil
	}
	var half integer
	err = s.row(ctx, statement{text: selectHalf, partition: p.number}, []any{int64((count+1)/2 - 1)}, &half)
	if errors.Is(err, sql.ErrNoRows) {
		// Too many live jobs: the flush that ends one asks for another look.
		return leave, math.MaxInt64, nil
	}
	return leave, int64(half) + 1, err
}

func (s *session) anyLive(ctx context.Context, number int64) (bool, error) {
	var id integer
	err := s.row(ctx, statement{text: selectAnyLive, partition: number}, nil, &id)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// shrink drops or rewrites the partition at index i and returns how many jobs went.
// It judges again by the rows it finds, which a flush may have changed since.
func (s *session) shrink(ctx context.Context, i int, what verdict, now int64) (dropped int, err error) {
	before := s.layout
	p := s.layout.parts[i]
	var count, past integer
	if err := s.row(ctx, statement{text: countPast, partition: p.number}, []any{now}, &count, &past); err != nil {
		return 0, err
	}
	if past == 0 || past < count && what == drop {
		return 0, nil
	}
	if past < count {
		if err := s.rewrite(ctx, p, now); err != nil {
			return 0, err
		}
	}
	if err := s.discard(ctx, p.number); err != nil {
		return 0, err
	}
	s.layout.version++
	return int(past), s.move(ctx, before.projected, before.version)
}

// rewrite copies what must stay into a new partition that takes the place of p.
func (s *session) rewrite(ctx context.Context, p partition, now int64) error {
	s.layout.numbers++
	old := p.number
	p.number = s.layout.numbers
	if _, err := s.conn.ExecContext(ctx, s.db.d.schema(schema.Partition(), p.number)); err != nil {
		return err
	}
	for _, c := range []struct {
		text string
		args []any
	}{{copyJobs, []any{now}}, {copyParts, nil}, {copySpecs, nil}} {
		if _, err := s.exec(ctx, statement{text: renumber(c.text, old), partition: p.number}, 0, c.args...); err != nil {
			return err
		}
	}
	var keepMin, keepMax integer
	name := statement{text: selectKeep, partition: p.number}
	if err := s.row(ctx, name, []any{int64(math.MaxInt64), int64(math.MinInt64)}, &keepMin, &keepMax); err != nil {
		return err
	}
	_, err := s.exec(ctx, statement{text: insertPartition}, 0, p.number, p.first, p.begins, int64(keepMin), int64(keepMax))
	return err
}

// discard drops a partition's tables.
func (s *session) discard(ctx context.Context, number int64) error {
	s.forget()
	for _, text := range []string{`DROP TABLE {{s}}jobs_{{n}}`, `DROP TABLE {{s}}parts_{{n}}`, `DROP TABLE {{s}}specs_{{n}}`} {
		if _, err := s.conn.ExecContext(ctx, s.db.d.expand(statement{text: text, partition: number}, 0)); err != nil {
			return err
		}
	}
	_, err := s.exec(ctx, statement{text: deletePartition}, 0, number)
	return err
}

// renumber names the partition that is copied from.
func renumber(text string, old int64) string {
	return strings.ReplaceAll(text, "{{old}}", strconv.FormatInt(old, 10))
}
