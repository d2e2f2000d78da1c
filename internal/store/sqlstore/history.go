package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/reeve-scheduler/reeve/internal/store"
	"github.com/reeve-scheduler/reeve/internal/store/sqlstore/seal"
)

// maxScan bounds the rows that one page of a list looks at.
const maxScan = 20_000

const (
	selectJob = `SELECT ` + seal.JobColumns + ` FROM {{s}}jobs_{{n}} WHERE id = ?`
	// selectWindow tells where a scan of so many rows ends.
	selectWindow = `SELECT count(*), coalesce(min(id), 0) FROM
(SELECT id FROM {{s}}jobs_{{n}} WHERE id <= ? ORDER BY id DESC LIMIT ?) AS scanned`
	// whereWindow narrows a scan in the engine; Query.Match has the last word. A
	// state is a bit of a mask. What only meets a literal says its type, which PostgreSQL
	// would guess from that.
	whereWindow = ` FROM {{s}}jobs_{{n}} WHERE id <= ? AND id >= ?
AND (CAST(? AS {{text}}) = '' OR namespace = ?) AND (CAST(? AS {{text}}) = '' OR queue = ?) AND (CAST(? AS {{text}}) = '' OR name = ?)
AND (CAST(? AS BIGINT) = 0 OR (CAST(1 AS BIGINT) << CAST(state AS INTEGER)) & ? <> 0)
AND (CAST(? AS BIGINT) = 0 OR submitted >= ?) AND (CAST(? AS BIGINT) = 0 OR submitted < ?)
AND (CAST(? AS BIGINT) = 0 OR live = 1 OR keep_until >= ?)
ORDER BY id DESC`
	selectPage       = `SELECT ` + seal.JobColumns + whereWindow
	selectPageOfKeys = `SELECT ` + seal.JobKeyColumns + whereWindow
	selectParts      = `SELECT ` + seal.PartColumns + ` FROM {{s}}parts_{{n}}
WHERE job = ? AND task = ? AND kind = ? AND n >= ? ORDER BY n LIMIT ?`
)

// selectPayloads reads as many payloads of a partition as rowGroups says.
var selectPayloads = [len(rowGroups)]string{payloadsOf(rowGroups[0]), payloadsOf(rowGroups[1]), payloadsOf(rowGroups[2])}

func payloadsOf(n int) string {
	return `SELECT id, payload FROM {{s}}jobs_{{n}} WHERE payload IS NOT NULL AND id IN ` + rowsOf(1, n)
}

// Job implements store.History.
func (t *tables) Job(ctx context.Context, id uint64) (job store.JobRow, projected uint64, err error) {
	found := false
	err = t.db.read(ctx, func(ctx context.Context, s *session) error {
		if err := s.refresh(ctx); err != nil {
			return err
		}
		projected = uint64(s.layout.projected)
		p := s.layout.find(id)
		if p < 0 {
			return nil
		}
		name := statement{text: selectJob, partition: s.layout.parts[p].number}
		return s.query(ctx, name, func(rows row) (bool, error) {
			found = true
			job, err = seal.NewJobScanner().Scan(rows, true)
			return false, err
		}, int64(id))
	})
	if err == nil && !found {
		err = fmt.Errorf("%w: job %d", store.ErrNotFound, id)
	}
	return job, projected, err
}

// JobsByKey implements store.History.
func (t *tables) JobsByKey(ctx context.Context, seen uint64, hashes []uint64) (jobs []store.JobRow, projected uint64, err error) {
	if projected, none := t.keys.None(seen, hashes); none {
		return nil, projected, ctx.Err()
	}
	err = t.db.read(ctx, func(ctx context.Context, s *session) error {
		if err := s.refresh(ctx); err != nil {
			return err
		}
		projected, jobs = uint64(s.layout.projected), nil
		scanner := seal.NewJobScanner()
		found := func(rows row) (bool, error) {
			j, err := scanner.Scan(rows, true)
			jobs = append(jobs, j)
			return true, err
		}
		if len(hashes) == 1 {
			return t.byKey(ctx, s, hashes[0], found)
		}
		return t.byKeys(ctx, s, hashes, found)
	})
	if err != nil {
		return nil, 0, err
	}
	slices.SortFunc(jobs, func(a, b store.JobRow) int { return cmp.Compare(a.ID, b.ID) })
	return jobs, projected, nil
}

// byKey looks a key up in as few statements as there can be.
func (t *tables) byKey(ctx context.Context, s *session, hash uint64, found func(row) (bool, error)) error {
	picked := 0
	for _, p := range s.layout.parts {
		picked += len(t.pick(ctx, s, p.number, nil, []uint64{hash}))
	}
	if picked == 0 {
		return nil
	}
	for _, lookup := range s.layout.lookups() {
		args := make([]any, lookup.args)
		for i := range args {
			args[i] = int64(hash)
		}
		if err := s.query(ctx, statement{text: lookup.text}, found, args...); err != nil {
			return err
		}
	}
	return nil
}

// byKeys looks many keys up in one partition after the other, as far as it may have them.
func (t *tables) byKeys(ctx context.Context, s *session, hashes []uint64, found func(row) (bool, error)) error {
	args := make([]any, 0, len(hashes))
	for _, p := range s.layout.parts {
		err := s.inGroups(t.pick(ctx, s, p.number, args[:0], hashes), selectByKeys, byKeys, func(text string, group []any) error {
			return s.query(ctx, statement{text: text, partition: p.number}, found, group...)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// pick appends to args those of hashes that a partition may have, and begins to learn what it
// has where that pays.
func (t *tables) pick(ctx context.Context, s *session, number int64, args []any, hashes []uint64) []any {
	some, learn := t.keys.Pick(args, number, uint64(s.layout.projected), hashes)
	if learn != nil {
		t.keys.Learners.Add(1) // before Close waits, which waits for this session first
		go t.learn(context.WithoutCancel(ctx), number, learn)
	}
	return some
}

// Jobs implements store.History.
func (t *tables) Jobs(ctx context.Context, q store.Query) (page store.Page, err error) {
	if err := q.Check(); err != nil {
		return page, err
	}
	err = t.db.read(ctx, func(ctx context.Context, s *session) error {
		if err := s.refresh(ctx); err != nil {
			return err
		}
		page = store.Page{Projected: uint64(s.layout.projected)}
		return t.page(ctx, s, &q, &page)
	})
	if err != nil {
		return store.Page{}, err
	}
	return page, nil
}

// page fills a page from the newest partition that q reaches downwards.
func (t *tables) page(ctx context.Context, s *session, q *store.Query, page *store.Page) error {
	top := int64(math.MaxInt64)
	if q.Below != 0 && q.Below <= math.MaxInt64 {
		top = int64(q.Below) - 1
	}
	budget := int64(t.scan)
	for _, p := range slices.Backward(s.layout.parts) {
		if p.first > top {
			continue
		}
		// Windows grow, so that a page of the newest looks at little.
		for rows := int64(2 * q.Limit); ; rows = min(2*rows, windowRows) {
			var count, floor integer
			name := statement{text: selectWindow, partition: p.number}
			if err := s.row(ctx, name, []any{top, min(budget, rows)}, &count, &floor); err != nil {
				return err
			}
			if count == 0 {
				break
			}
			if err := s.window(ctx, p.number, top, int64(floor), q, page); err != nil {
				return err
			}
			top = int64(floor) - 1
			budget -= int64(count)
			if len(page.Rows) == q.Limit {
				page.Next = page.Rows[q.Limit-1].ID
				return nil
			}
			if budget <= 0 {
				page.Next = uint64(floor)
				return nil
			}
		}
	}
	return nil
}

// windowRows bounds the rows of a partition that one statement of a page looks at.
const windowRows = 4096

// window adds the jobs with floor <= id <= top that q selects, until the page is
// full. What is damaged goes beside them.
func (s *session) window(ctx context.Context, number, top, floor int64, q *store.Query, page *store.Page) error {
	text := selectPageOfKeys
	if q.WithBlobs {
		text = selectPage
	}
	states, scanner := stateMask(q.States), seal.NewJobScanner()
	namespace, queue, name := s.db.d.words(q.Namespace), s.db.d.words(q.Queue), s.db.d.words(q.Name)
	return s.query(ctx, statement{text: text, partition: number}, func(rows row) (bool, error) {
		j, err := scanner.Scan(rows, q.WithBlobs)
		switch {
		case errors.Is(err, store.ErrCorrupt):
			page.Damaged = append(page.Damaged, j.ID)
		case err != nil:
			return false, err
		case q.Match(&j):
			page.Rows = append(page.Rows, j)
		}
		return len(page.Rows) < q.Limit, nil
	}, top, floor, namespace, namespace, queue, queue, name, name,
		states, states, q.After, q.After, q.Before, q.Before, q.Now, q.Now)
}

// stateMask has a bit per state, or is 0 when one of them has no bit.
func stateMask(states []uint8) (mask int64) {
	for _, s := range states {
		if s > 62 {
			return 0
		}
		mask |= 1 << s
	}
	return mask
}

// Parts implements store.History.
func (t *tables) Parts(ctx context.Context, job uint64, task uint32, kind store.PartKind, from uint64, limit int) (parts []store.PartRow, err error) {
	if limit < 1 || limit > store.MaxPage {
		return nil, fmt.Errorf("%w: %d parts: want 1 to %d", store.ErrRefused, limit, store.MaxPage)
	}
	if from > math.MaxInt64 {
		return nil, nil
	}
	err = t.db.read(ctx, func(ctx context.Context, s *session) error {
		if err := s.refresh(ctx); err != nil {
			return err
		}
		parts = nil
		p := s.layout.find(job)
		if p < 0 {
			return nil
		}
		name := statement{text: selectParts, partition: s.layout.parts[p].number}
		return s.query(ctx, name, func(rows row) (bool, error) {
			part, err := seal.ScanPart(rows)
			parts = append(parts, part)
			return true, err
		}, int64(job), int64(task), int64(kind), int64(from), int64(limit))
	})
	if err != nil {
		return nil, err
	}
	return parts, nil
}

// Payloads implements store.History.
func (t *tables) Payloads(ctx context.Context, ids []uint64) (map[uint64][]byte, error) {
	args := make([]any, len(ids))
	for i, id := range slices.Sorted(slices.Values(ids)) { // side by side in the tables
		args[i] = int64(id)
	}
	payloads := make(map[uint64][]byte, len(ids))
	var id integer
	var column sql.RawBytes
	found := func(rows row) (bool, error) {
		if err := rows.Scan(&id, &column); err != nil {
			return false, err
		}
		if p, ok := seal.Payload(uint64(id), column); ok {
			payloads[uint64(id)] = p
		}
		return true, nil
	}
	err := t.db.read(ctx, func(ctx context.Context, s *session) error {
		if err := s.refresh(ctx); err != nil {
			return err
		}
		clear(payloads) // of an attempt before this one
		for rest := args; len(rest) > 0; {
			p, n := s.layout.find(uint64(rest[0].(int64))), 1
			for n < len(rest) && s.layout.find(uint64(rest[n].(int64))) == p {
				n++
			}
			if p >= 0 {
				if err := s.payloads(ctx, s.layout.parts[p].number, rest[:n], found); err != nil {
					return err
				}
			}
			rest = rest[n:]
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return payloads, nil
}

// payloads reads payloads of one partition.
func (s *session) payloads(ctx context.Context, number int64, ids []any, found func(row) (bool, error)) error {
	return s.inGroups(ids, selectPayloads, payloadsOf, func(text string, group []any) error {
		return s.query(ctx, statement{text: text, partition: number}, found, group...)
	})
}

// maxGroup is how many parameters a statement has that nobody prepares.
const maxGroup = 512

// inGroups runs do for all of args in groups that statements take: those of rowGroups where
// statements are prepared, else few large ones, whose text is made.
func (s *session) inGroups(args []any, prepared [len(rowGroups)]string, made func(n int) string, do func(text string, group []any) error) error {
	for s.db.d.remote && len(args) > 0 {
		n := min(len(args), maxGroup)
		if err := do(made(n), args[:n]); err != nil {
			return err
		}
		args = args[n:]
	}
	for i, group := range rowGroups {
		for ; len(args) >= group; args = args[group:] {
			if err := do(prepared[i], args[:group]); err != nil {
				return err
			}
		}
	}
	return nil
}

// Spec implements store.History.
func (t *tables) Spec(ctx context.Context, job uint64, hash [32]byte) (blob []byte, err error) {
	err = t.db.read(ctx, func(ctx context.Context, s *session) error {
		if err := s.refresh(ctx); err != nil {
			return err
		}
		p := s.layout.find(job)
		if p < 0 {
			return fmt.Errorf("%w: job %d", store.ErrNotFound, job)
		}
		blob, err = s.spec(ctx, s.layout.parts[p].number, hash)
		return err
	})
	return blob, err
}
