package sqlstore

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/reeve-scheduler/reeve/internal/store"
	"github.com/reeve-scheduler/reeve/internal/store/sqlstore/postgres"
	"github.com/reeve-scheduler/reeve/internal/store/sqlstore/schema"
	"github.com/reeve-scheduler/reeve/internal/store/sqlstore/seal"
	"github.com/reeve-scheduler/reeve/internal/store/sqlstore/sieve"
)

// Statements write rows in the largest of these groups that still fits: a prepared
// statement per group saves most of a statement's cost per row.
var rowGroups = [...]int{64, 8, 1}

const (
	upsertObjects = `INSERT INTO {{s}}objects (` + seal.ObjectColumns + `) VALUES {{rows}}
ON CONFLICT (kind, name) DO UPDATE SET changed = excluded.changed, sum = excluded.sum, state = excluded.state`
	deleteObject = `DELETE FROM {{s}}objects WHERE kind = ? AND name = ?`
	// upsertJobs leaves alone what stays as the first row said, so that the index on
	// keys isn't touched again, and the payload may be left out.
	upsertJobs = `INSERT INTO {{s}}jobs_{{n}} (` + seal.StoredJobColumns + `) VALUES {{rows}}
ON CONFLICT (id) DO UPDATE SET live = excluded.live, changed = excluded.changed, queue = excluded.queue,
name = excluded.name, state = excluded.state, ended = excluded.ended, keep_until = excluded.keep_until,
labels = excluded.labels, sum = excluded.sum, body = excluded.body`
	upsertParts = `INSERT INTO {{s}}parts_{{n}} (` + seal.PartColumns + `) VALUES {{rows}}
ON CONFLICT (job, task, kind, n) DO UPDATE SET changed = excluded.changed, sum = excluded.sum, body = excluded.body`
	insertSpecs = `INSERT INTO {{s}}specs_{{n}} (hash, sum, body) VALUES {{rows}} ON CONFLICT (hash) DO NOTHING`

	insertPartition = `INSERT INTO {{s}}partitions (number, first, begins, keep_min, keep_max) VALUES (?, ?, ?, ?, ?)`
	updateKeep      = `UPDATE {{s}}partitions SET keep_min = CASE WHEN keep_min > ? THEN ? ELSE keep_min END,
keep_max = CASE WHEN keep_max < ? THEN ? ELSE keep_max END WHERE number = ?`
	// updateMeta is the fence of the tables: it changes nothing when another process
	// moved them since this transaction looked.
	updateMeta = `UPDATE {{s}}meta SET projected = ?, layout = ?, max_job = ?, numbers = ?
WHERE one = 1 AND projected = ? AND layout = ?`
)

// tables implements store.Tables and store.History.
type tables struct {
	db *database
	// args, scratch and inBulk are the writer's scratch space, touched the numbers of the
	// partitions in which it ended jobs.
	args    []any
	scratch seal.Scratch
	touched []int64
	inBulk  postgres.Bulk
	keys    sieve.Keys
	// scan is how many rows one page of a list looks at: maxScan, less in tests.
	scan int

	mu sync.Mutex // guards what follows
	// look says when retention has to count a partition's jobs again, in Unix
	// milliseconds, by number. A flush that ended jobs in it takes the entry out.
	look map[int64]int64
}

// Flush implements store.Tables.
func (t *tables) Flush(ctx context.Context, f *store.Flush) error {
	if err := f.Check(); err != nil {
		return err
	}
	return t.db.write(ctx, func(ctx context.Context, s *session) error {
		t.touched = t.touched[:0]
		err := s.transact(ctx, t.db.d.beginWrite, func() error { return t.flush(ctx, s, f) })
		if err != nil {
			s.doubt()
			t.keys.Forget(0)
			return err
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		for _, number := range t.touched {
			delete(t.look, number)
		}
		return nil
	})
}

func (t *tables) flush(ctx context.Context, s *session, f *store.Flush) error {
	if err := s.refreshToWrite(ctx); err != nil {
		return err
	}
	before := s.layout
	if int64(f.Seq) < before.projected {
		return fmt.Errorf("%w: a flush at %d, the tables are at %d", store.ErrFenced, f.Seq, before.projected)
	}
	if int64(f.Since) > before.projected {
		return fmt.Errorf("%w: a flush of what has changed since %d, the tables are at %d", store.ErrFenced, f.Since, before.projected)
	}
	if err := s.follows(ctx, f); err != nil {
		return err
	}
	t.keys.Flushing(uint64(before.projected), f.Seq, before.numbersOf())
	if err := t.objects(ctx, s, f.Objects); err != nil {
		return err
	}
	if err := t.jobs(ctx, s, f); err != nil {
		return err
	}
	if err := t.parts(ctx, s, f.Parts); err != nil {
		return err
	}
	s.layout.projected = int64(f.Seq)
	return s.move(ctx, before.projected, before.version)
}

// move writes the session's meta over the one that the transaction began with.
func (s *session) move(ctx context.Context, projected, version int64) error {
	l := &s.layout
	n, err := s.exec(ctx, statement{text: updateMeta}, 0, l.projected, l.version, l.maxJob, l.numbers, projected, version)
	if err == nil && n != 1 {
		err = fmt.Errorf("%w: the tables were moved by another process", store.ErrFenced)
	}
	return err
}

// maxScratch is how much scratch space for payloads outlives a flush, in bytes.
const maxScratch = 1 << 20

// write writes rows in groups; add appends the columns of row i.
func (t *tables) write(ctx context.Context, s *session, text string, partition int64, cols, rows int, add func(args []any, i int) []any) error {
	defer t.scratch.Trim(maxScratch)
	if t.db.d.remote {
		return t.upsert(ctx, s, statement{text: text, partition: partition}, t.bulk(cols, rows, add))
	}
	i := 0
	for _, group := range rowGroups {
		for rows-i >= group {
			args := t.args[:0]
			t.scratch.Reset()
			for range group {
				args = add(args, i)
				i++
			}
			t.args = args
			_, err := s.exec(ctx, statement{text, partition, group}, cols, args...)
			clear(args) // or the scratch would keep the flush
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *tables) objects(ctx context.Context, s *session, rows []store.ObjectRow) error {
	written := make([]*store.ObjectRow, 0, len(rows))
	for i := range rows {
		o := &rows[i]
		if !o.Deleted {
			written = append(written, o)
			continue
		}
		if _, err := s.exec(ctx, statement{text: deleteObject}, 0, int64(o.Kind), s.db.d.words(o.Key)); err != nil {
			return err
		}
	}
	return t.write(ctx, s, upsertObjects, 0, seal.ObjectWidth, len(written), func(args []any, i int) []any {
		return seal.AppendObject(args, written[i])
	})
}

// jobs writes the jobs of a flush and their specs, partition by partition.
func (t *tables) jobs(ctx context.Context, s *session, f *store.Flush) error {
	specs := make(map[[32]byte]*store.SpecRow, len(f.Specs))
	for i := range f.Specs {
		specs[f.Specs[i].Hash] = &f.Specs[i]
	}
	for rest := f.Jobs; len(rest) > 0; {
		numbers := s.layout.numbers
		p, err := s.place(ctx, &rest[0])
		if err != nil {
			return err
		}
		if s.layout.numbers > numbers {
			t.keys.Made(s.layout.numbers)
		}
		run := rest[:s.run(p, rest)]
		rest = rest[len(run):]
		if err := t.specs(ctx, s, p, run, specs); err != nil {
			return err
		}
		if err := t.run(ctx, s, p, run); err != nil {
			return err
		}
	}
	return nil
}

// place returns the index of the partition for a job, and creates it for the first
// job of a later span.
func (s *session) place(ctx context.Context, j *store.JobRow) (int, error) {
	l := &s.layout
	begins := s.db.begins(j.Submitted)
	i := l.find(j.ID)
	starts := int64(j.ID) > l.maxJob && (len(l.parts) == 0 || begins > l.parts[len(l.parts)-1].begins)
	if i >= 0 && !starts {
		return i, nil
	}
	l.numbers++
	p := partition{number: l.numbers, first: int64(j.ID), begins: begins, keepMin: math.MaxInt64, keepMax: math.MinInt64}
	if _, err := s.conn.ExecContext(ctx, s.db.d.schema(schema.Partition(), p.number)); err != nil {
		return 0, err
	}
	if _, err := s.exec(ctx, statement{text: insertPartition}, 0, p.number, p.first, p.begins, p.keepMin, p.keepMax); err != nil {
		return 0, err
	}
	l.version++
	l.byKey = nil
	l.parts = slices.Insert(slices.Clone(l.parts), i+1, p)
	return i + 1, nil
}

// run returns how many of jobs, which begin in partition p, belong to it.
func (s *session) run(p int, jobs []store.JobRow) int {
	l := &s.layout
	last := p == len(l.parts)-1
	for i := range jobs {
		switch id := int64(jobs[i].ID); {
		case i == 0:
		case !last && id >= l.parts[p+1].first:
			return i
		case last && id > l.maxJob && s.db.begins(jobs[i].Submitted) > l.parts[p].begins:
			return i
		}
	}
	return len(jobs)
}

// specs keeps the specs of a run beside its jobs.
func (t *tables) specs(ctx context.Context, s *session, p int, run []store.JobRow, specs map[[32]byte]*store.SpecRow) error {
	var used []*store.SpecRow
	taken := make(map[[32]byte]bool)
	for i := range run {
		j := &run[i]
		if taken[j.Spec] || j.Spec == ([32]byte{}) {
			continue
		}
		spec := specs[j.Spec]
		if spec == nil {
			if int64(j.ID) > s.layout.maxJob {
				return fmt.Errorf("%w: a flush brings job %d without its spec %x", store.ErrRefused, j.ID, j.Spec[:4])
			}
			continue
		}
		taken[j.Spec] = true
		used = append(used, spec)
	}
	return t.write(ctx, s, insertSpecs, s.layout.parts[p].number, seal.SpecWidth, len(used), func(args []any, i int) []any {
		return seal.AppendSpec(args, used[i])
	})
}

// run writes jobs of one partition and widens its bounds.
func (t *tables) run(ctx context.Context, s *session, at int, run []store.JobRow) error {
	l := &s.layout
	number := l.parts[at].number
	t.keys.Add(number, run)
	known := len(run)
	if t.db.d.remote { // new rows travel for less
		for known > 0 && int64(run[known-1].ID) > l.maxJob {
			known--
		}
	}
	err := t.write(ctx, s, upsertJobs, number, seal.StoredJobWidth, known, t.columnsOf(run))
	if err == nil && known < len(run) {
		err = t.copy(ctx, s, number, t.bulk(seal.StoredJobWidth, len(run)-known, t.columnsOf(run[known:])))
	}
	if err != nil {
		return err
	}
	l.maxJob = max(l.maxJob, int64(run[len(run)-1].ID))
	keepMin, keepMax, ended := l.parts[at].keepMin, l.parts[at].keepMax, false
	for i := range run {
		if j := &run[i]; !j.Live {
			ended = true
			keepMin, keepMax = min(keepMin, j.KeepUntil), max(keepMax, j.KeepUntil)
		}
	}
	if ended {
		t.touched = append(t.touched, number)
	}
	if keepMin == l.parts[at].keepMin && keepMax == l.parts[at].keepMax {
		return nil
	}
	l.parts = slices.Clone(l.parts)
	l.parts[at].keepMin, l.parts[at].keepMax = keepMin, keepMax
	_, err = s.exec(ctx, statement{text: updateKeep}, 0, keepMin, keepMin, keepMax, keepMax, number)
	return err
}

// columnsOf appends the columns of jobs.
func (t *tables) columnsOf(run []store.JobRow) func(args []any, i int) []any {
	return func(args []any, i int) []any {
		return t.scratch.AppendJob(args, &run[i])
	}
}

// parts writes parts beside their jobs.
func (t *tables) parts(ctx context.Context, s *session, rows []store.PartRow) error {
	for len(rows) > 0 {
		p := s.layout.find(rows[0].Job)
		if p < 0 {
			return fmt.Errorf("%w: a part of job %d, which no flush has brought", store.ErrRefused, rows[0].Job)
		}
		n := 1
		for n < len(rows) && s.layout.find(rows[n].Job) == p {
			n++
		}
		run := rows[:n]
		rows = rows[n:]
		err := t.write(ctx, s, upsertParts, s.layout.parts[p].number, seal.PartWidth, n, func(args []any, i int) []any {
			return seal.AppendPart(args, &run[i])
		})
		if err != nil {
			return err
		}
	}
	return nil
}
