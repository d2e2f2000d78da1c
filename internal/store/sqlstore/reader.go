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

// ReadSQLite opens the store in dir beside a server that may have it open. It must be of this
// program's version; store.ErrNotFound says that there is none.
func ReadSQLite(ctx context.Context, dir string) (*Reader, error) {
	var opened []*database
	fail := func(err error) (*Reader, error) {
		for _, db := range opened {
			err = errors.Join(err, db.close())
		}
		return nil, fmt.Errorf("read %s: %w", dir, err)
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
	s := &Store{journal: journal{db: opened[0]}, tables: &tables{db: opened[1]}}
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
