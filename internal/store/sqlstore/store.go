package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/reeve-scheduler/reeve/internal/store"
	"github.com/reeve-scheduler/reeve/internal/store/sqlstore/agreement"
)

// Options are the store's knobs; the zero value is what a server uses.
type Options struct {
	// Readers is how many reads run at the same time, 4 if 0.
	Readers int
	// Span is how much time of submission one partition is for, a day if 0. What is past
	// its retention goes with its partition: a span is to be a small part of the retention,
	// but a look at a key goes through all partitions.
	Span time.Duration
}

// Store is an open store. All methods may run concurrently.
type Store struct {
	lock    *os.File // nil where there is no directory
	journal journal
	tables  *tables
	cluster *database // nil where the store is one server's
}

// Journal returns the store's journal, valid until Close.
func (s *Store) Journal() store.Journal { return s.journal }

// Tables returns the store's tables, valid until Close.
func (s *Store) Tables() store.Tables { return s.tables }

// History returns the store's history, valid until Close.
func (s *Store) History() store.History { return s.tables }

// Cluster returns what the servers that share this store agree on, valid until Close; nil where
// the store is one server's alone.
func (s *Store) Cluster() store.Cluster {
	if s.cluster == nil {
		return nil
	}
	return &agreement.Cluster{Run: s.cluster.run}
}

// Close waits for calls that are running, fails later ones, and lets go of the
// data directory. It is called once.
func (s *Store) Close() error {
	err := errors.Join(s.journal.db.close(), s.tables.db.close())
	s.tables.keys.Learners.Wait()
	if s.cluster != nil {
		err = errors.Join(err, s.cluster.close())
	}
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
	}
	return err
}

// start looks whether what is there can be
// what was written. The schemas are up to date.
func (s *Store) start(ctx context.Context) error {
	projected := uint64(0)
	err := s.tables.db.read(ctx, func(ctx context.Context, r *session) error {
		err := r.refresh(ctx)
		projected = uint64(r.layout.projected)
		return err
	})
	if err != nil {
		return err
	}
	// The journal is looked at last: others may write meanwhile.
	last, err := s.journal.check(ctx)
	if err != nil {
		return err
	}
	s.tables.keys.Forget(projected)
	if last == 0 && projected > 0 {
		return fmt.Errorf("%w: there are rows up to %d and no journal: a restore was broken off, or the journal was removed; restore again, into an empty place",
			store.ErrCorrupt, projected)
	}
	if projected > last {
		return fmt.Errorf("%w: the journal ends at %d but the tables cover %d: the journal lost its end; restore both from one backup",
			store.ErrCorrupt, last, projected)
	}
	return nil
}
