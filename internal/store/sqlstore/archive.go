package sqlstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/reeve-scheduler/reeve/internal/store"
	"github.com/reeve-scheduler/reeve/internal/store/sqlstore/agreement"
	"github.com/reeve-scheduler/reeve/internal/store/sqlstore/parcel"
	"github.com/reeve-scheduler/reeve/internal/store/sqlstore/seal"
)

var _ store.Archive = (*Store)(nil)

const (
	// insertAnyBatch inserts what need not follow anything that is there.
	insertAnyBatch = `INSERT INTO {{s}}journal (seq, epoch, id, sum, payload, prev) VALUES (?, ?, ?, ?, ?, ?)`
	// lockJournal keeps servers from beginning a journal of their own meanwhile.
	lockJournal = `LOCK TABLE {{s}}journal IN EXCLUSIVE MODE`
	// setPatience lets whatever is on the other side be slow.
	setPatience   = `SET LOCAL idle_in_transaction_session_timeout = '10min'`
	selectAnyRows = `SELECT (SELECT count(*) FROM {{s}}objects) + (SELECT count(*) FROM {{s}}partitions)`
)

// dumpAttempts bounds how often a dump begins again, because the journal was trimmed between the
// moments at which rows and journal were looked at first.
const dumpAttempts = 10

// errOvertaken says that.
var errOvertaken = errors.New("store: the journal was trimmed beside a dump; try again")

// Dump implements store.Archive.
func (s *Store) Dump(ctx context.Context, to store.Copier) (err error) {
	for range dumpAttempts {
		err = s.tables.db.read(ctx, func(inner context.Context, rows *session) error {
			if err := rows.refresh(inner); err != nil {
				return err
			}
			if s.cluster != nil {
				return s.dump(ctx, inner, rows, rows, to)
			}
			// What the rows cover is in the journal already: it is looked at second.
			return s.journal.db.read(ctx, func(inner context.Context, log *session) error { return s.dump(ctx, inner, rows, log, to) })
		})
		if !errors.Is(err, errOvertaken) {
			break
		}
	}
	return err
}

// dump hands over what rows and log see; outer is asked now and then whether anyone still
// wants it.
func (s *Store) dump(outer, ctx context.Context, rows, log *session, to store.Copier) error {
	from := max(uint64(rows.layout.projected), 1)
	var first, last integer
	if err := log.row(ctx, statement{text: selectBounds}, nil, &first, &last); err != nil {
		return err
	}
	if uint64(first) > from {
		return errOvertaken
	}
	if s.cluster != nil {
		if _, err := rows.exec(ctx, statement{text: setPatience}, 0); err != nil {
			return err
		}
	}
	if err := rows.hold(ctx); err != nil {
		return err
	}
	rows.told = true
	f := &store.Flush{Seq: uint64(rows.layout.projected)}
	err := rows.objects(ctx, func(o store.ObjectRow) error {
		f.Objects = append(f.Objects, o)
		return nil
	})
	if err == nil {
		err = to.Flush(f)
	}
	if err != nil {
		return err
	}
	l := loading{s: rows, told: make(map[[32]byte]bool), all: true}
	if err := l.load(outer, ctx, func(from <-chan parcel.Parcel) error { return parcel.Flushes(from, f.Seq, to) }); err != nil {
		return err
	}
	for from <= uint64(last) {
		if err := outer.Err(); err != nil {
			return err
		}
		batches, err := s.journal.batches(ctx, log, log.query, from, loadBytes)
		if err != nil {
			return err
		}
		for _, b := range batches {
			if err := to.Batch(b); err != nil {
				return err
			}
		}
		from += uint64(len(batches))
	}
	if s.cluster == nil {
		return nil
	}
	return rows.query(ctx, statement{text: agreement.SelectSecrets}, func(r row) (bool, error) {
		var name string
		var secret []byte
		if err := r.Scan(&name, &secret); err != nil {
			return false, err
		}
		return true, to.Secret(name, secret)
	})
}

// Fill implements store.Archive. On SQLite the rows are committed, and on disk, before the journal
// is: a journal that is not there is what a store is refused for.
func (s *Store) Fill(ctx context.Context, from func(store.Copier) error) error {
	db, d := s.tables.db, s.tables.db.d
	if s.cluster != nil {
		return db.write(ctx, func(ctx context.Context, rows *session) error {
			return rows.transact(ctx, d.beginWrite, func() error { return s.fill(ctx, rows, rows, from) })
		})
	}
	return s.journal.db.write(ctx, func(ctx context.Context, log *session) error {
		return log.transact(ctx, d.beginWrite, func() error {
			err := db.write(ctx, func(ctx context.Context, rows *session) error {
				return rows.transact(ctx, d.beginWrite, func() error { return s.fill(ctx, rows, log, from) })
			})
			if err != nil {
				return err
			}
			return db.sync(ctx)
		})
	})
}

func (s *Store) fill(ctx context.Context, rows, log *session, from func(store.Copier) error) error {
	defer rows.doubt()
	defer s.tables.keys.Forget(0)
	if s.cluster != nil {
		if _, err := rows.exec(ctx, statement{text: setPatience + "; " + lockJournal}, 0); err != nil {
			return err
		}
	}
	if err := rows.refreshToWrite(ctx); err != nil {
		return err
	}
	var first, last, n integer
	if err := log.row(ctx, statement{text: selectBounds}, nil, &first, &last); err != nil {
		return err
	}
	if err := rows.row(ctx, statement{text: selectAnyRows}, nil, &n); err != nil {
		return err
	}
	if last > 0 || n > 0 || rows.layout.projected > 0 {
		return fmt.Errorf("%w: the store is not empty: its journal ends at %d, its rows are at %d", store.ErrRefused, last, rows.layout.projected)
	}
	f := filling{s: s, ctx: ctx, rows: rows, log: log}
	if err := from(&f); err != nil {
		return err
	}
	return f.check.Done()
}

// filling implements store.Copier inside the transactions of a fill.
type filling struct {
	s         *Store
	ctx       context.Context //nolint:containedctx // of the fill that this is a part of
	rows, log *session
	check     store.Filling
}

func (f *filling) Flush(fl *store.Flush) error {
	if err := f.check.Flush(fl); err != nil {
		return err
	}
	return f.s.tables.flush(f.ctx, f.rows, fl)
}

func (f *filling) Batch(b store.Batch) error {
	if err := f.check.Batch(&b); err != nil {
		return err
	}
	_, err := f.log.exec(f.ctx, statement{text: insertAnyBatch}, 0,
		int64(b.Seq), int64(b.Epoch), b.ID[:], seal.Batch(&b), f.s.journal.payload(&b), b.Prev[:])
	return err
}

func (f *filling) Secret(name string, secret []byte) error {
	if err := store.CheckSecret(name, secret); err != nil {
		return err
	}
	if f.s.cluster == nil {
		return fmt.Errorf("%w: a store that is one server's alone keeps no secrets: %q", store.ErrRefused, name)
	}
	_, err := f.rows.exec(f.ctx, statement{text: agreement.InsertSecret}, 0, []byte(name), secret)
	return err
}
