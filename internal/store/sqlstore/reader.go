package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/reeve-scheduler/reeve/internal/store"
	"github.com/reeve-scheduler/reeve/internal/store/sqlstore/file"
	"github.com/reeve-scheduler/reeve/internal/store/sqlstore/schema"
)

// Reader is a store that is only read, as a whole, and left as it is.
type Reader struct{ store *Store }

// Dump is of store.Archive.
func (r *Reader) Dump(ctx context.Context, to store.Copier) error { return r.store.Dump(ctx, to) }

// Close lets go of the store.
func (r *Reader) Close() error { return r.store.Close() }

// Led reports whether a server leads on a store that servers share.
func (r *Reader) Led(ctx context.Context) (bool, error) {
	l, err := r.store.Cluster().Current(ctx)
	return l.Left > 0, err
}

// ReadSQLite opens the store in dir. It must be of this program's version; store.ErrNotFound says
// that there is none. A server may have it open, unless alone says that nobody may until Close:
// then that is store.ErrLocked.
func ReadSQLite(ctx context.Context, dir string, alone bool) (*Reader, error) {
	s := &Store{}
	var opened []*database
	fail := func(err error) (*Reader, error) {
		for _, db := range opened {
			err = errors.Join(err, db.close())
		}
		if s.lock != nil {
			err = errors.Join(err, s.lock.Close())
		}
		return nil, fmt.Errorf("read %s: %w", dir, err)
	}
	if alone && Begun(dir) {
		var err error
		if s.lock, err = file.Lock(dir); err != nil {
			return nil, err
		}
	}
	for _, f := range []sqliteFile{journalFile, tablesFile} {
		path := filepath.Join(dir, f.name+".db")
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return fail(fmt.Errorf("%w: there is no %s.db", store.ErrNotFound, f.name))
		}
		db := &database{d: sqliteDialect(), name: f.name, closed: make(chan struct{})}
		opened = append(opened, db)
		var err error
		if db.readers, err = db.connectFile(ctx, file.DataSource(path, reading())+"&mode=rw", 1); err != nil {
			return fail(err)
		}
		err = db.look(ctx, func(ctx context.Context, s *session) error { return schema.Is(ctx, conn{s}, db.name) })
		if err != nil {
			return fail(err)
		}
	}
	s.journal, s.tables = journal{db: opened[0]}, &tables{db: opened[1]}
	if err := s.start(ctx); err != nil {
		return fail(err)
	}
	return &Reader{s}, nil
}

// ReadPostgres opens the store in a database beside servers that may have it open. Its schema
// must be one that this program can work with; store.ErrNotFound says that there is none.
func ReadPostgres(ctx context.Context, o PostgresOptions) (*Reader, error) {
	s, err := openPostgres(ctx, o, func(ctx context.Context, db *database) error {
		return db.look(ctx, func(ctx context.Context, s *session) error { return schema.IsShared(ctx, conn{s}) })
	})
	if err != nil {
		return nil, err
	}
	return &Reader{s}, nil
}
