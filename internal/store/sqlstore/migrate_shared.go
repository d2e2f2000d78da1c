package sqlstore

import (
	"context"
	"fmt"
	"io/fs"

	"github.com/reeve-scheduler/reeve/internal/store/sqlstore/postgres"
	"github.com/reeve-scheduler/reeve/internal/store/sqlstore/schema"
)

const (
	// Row 0 of the versions is what servers that start at once take turns by. min_version is
	// the version that a program must know at least to work with the schema of this step.
	createShared = `CREATE SCHEMA IF NOT EXISTS reeve;
CREATE TABLE IF NOT EXISTS {{s}}schema_versions (
    version     BIGINT PRIMARY KEY,
    name        TEXT NOT NULL,
    min_version BIGINT NOT NULL,
    applied     TIMESTAMPTZ NOT NULL DEFAULT now()
);
INSERT INTO {{s}}schema_versions (version, name, min_version) VALUES (0, 'begun', 0) ON CONFLICT (version) DO NOTHING`
	// Looking needs fewer rights than creating what is there.
	selectShared = `SELECT count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'reeve' AND c.relname = 'schema_versions'`
	lockShared     = `SELECT version FROM {{s}}schema_versions WHERE version = 0 FOR UPDATE`
	selectVersions = `SELECT max(version), max(min_version) FROM {{s}}schema_versions`
	insertShared   = `INSERT INTO {{s}}schema_versions (version, name, min_version) VALUES (?, convert_from(?, 'UTF8'), ?)`
)

// createAttempts is how often the first tables are tried: several servers may start at once.
const createAttempts = 10

// migrateShared brings a database that servers share to the newest schema this program knows,
// or leaves it newer where its steps say that this program can still work with it. Others may
// be at work meanwhile, or try the same.
func (db *database) migrateShared(ctx context.Context, from fs.FS) error {
	steps, err := schema.Read(from, "postgres")
	if err != nil {
		return err
	}
	for n := 1; ; n++ {
		err := db.write(ctx, func(ctx context.Context, s *session) error { return s.createShared(ctx) })
		if err == nil {
			break
		}
		if n == createAttempts || !postgres.Raced(err) {
			return fmt.Errorf("create the schema: %w", err)
		}
	}
	for more := true; more; {
		err := db.write(ctx, func(ctx context.Context, s *session) error {
			return s.transact(ctx, db.d.beginWrite, func() error {
				more, err = s.shareStep(ctx, steps)
				return err
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// createShared makes the schema and its table of versions.
func (s *session) createShared(ctx context.Context) error {
	var there integer
	if err := s.row(ctx, statement{text: selectShared}, nil, &there); err != nil || there > 0 {
		return err
	}
	return s.transact(ctx, s.db.d.beginWrite, func() error {
		_, err := s.exec(ctx, statement{text: createShared}, 0)
		return err
	})
}

// shareStep applies the next step, and reports whether there was one.
func (s *session) shareStep(ctx context.Context, steps []schema.Step) (more bool, err error) {
	var row, version, oldest integer
	if err := s.row(ctx, statement{text: lockShared}, nil, &row); err != nil {
		return false, err
	}
	if err := s.row(ctx, statement{text: selectVersions}, nil, &version, &oldest); err != nil {
		return false, err
	}
	known := len(steps)
	if int(oldest) > known {
		return false, fmt.Errorf("the database has schema version %d, for programs that know version %d; this program knows up to %d: use a newer reeve", version, oldest, known)
	}
	if int(version) >= known {
		return false, nil
	}
	st := steps[version]
	needs, err := st.Oldest()
	if err != nil {
		return false, err
	}
	if _, err := s.exec(ctx, statement{text: s.db.d.schema(st.Text, 0)}, 0); err != nil {
		return false, fmt.Errorf("schema step %s: %w", st.Name, err)
	}
	_, err = s.exec(ctx, statement{text: insertShared}, 0, int64(version)+1, s.db.d.words(st.Name), int64(needs))
	return true, err
}
