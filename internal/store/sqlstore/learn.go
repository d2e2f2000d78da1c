package sqlstore

import (
	"context"

	"github.com/reeve-scheduler/reeve/internal/store/sqlstore/sieve"
)

const selectKeys = `SELECT key_hash FROM {{s}}jobs_{{n}} WHERE key_hash <> 0 AND key_hash > ? ORDER BY key_hash LIMIT ?`

// learn reads the keys of a partition, while flushes go on to add theirs. One that passed by
// before there was a sieve has to end first: what it writes is not in the sieve, and not yet
// in the tables.
func (t *tables) learn(ctx context.Context, number int64, into *sieve.Sieve) {
	defer t.keys.Learners.Done()
	from, page := int64(0), make([]uint64, 0, sieve.Page)
	err := t.db.write(ctx, func(context.Context, *session) error { return nil })
	if err != nil {
		t.keys.Learned(number, into, nil, err)
		return
	}
	for {
		page = page[:0]
		err = t.db.read(ctx, func(ctx context.Context, s *session) error {
			page = page[:0]
			return s.query(ctx, statement{text: selectKeys, partition: number}, func(rows row) (bool, error) {
				var h integer
				err := rows.Scan(&h)
				page = append(page, uint64(h))
				return true, err
			}, from, int64(sieve.Page))
		})
		if !t.keys.Learned(number, into, page, err) {
			return
		}
		from = int64(page[len(page)-1])
	}
}
