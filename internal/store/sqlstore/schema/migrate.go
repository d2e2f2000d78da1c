package schema

import (
	"context"
	"fmt"
	"io/fs"

	"github.com/reeve-scheduler/reeve/internal/store"
)

// Conn is a connection to a database. Texts are in the words of steps.
type Conn interface {
	// Exec runs statements, or one that has parameters.
	Exec(ctx context.Context, text string, args ...any) error
	// Numbers returns the n integers of the row that a statement returns.
	Numbers(ctx context.Context, text string, n int) ([]int64, error)
	// Transact runs do in a transaction that is rolled back when do fails.
	Transact(ctx context.Context, do func() error) error
}

const (
	createVersions = `CREATE TABLE IF NOT EXISTS {{s}}schema_versions (version {{key}}, name TEXT NOT NULL)`
	selectVersion  = `SELECT coalesce(max(version), 0) FROM {{s}}schema_versions`
	insertVersion  = `INSERT INTO {{s}}schema_versions (version, name) VALUES (?, ?)`

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

// Bring brings a database that nobody else uses to the newest schema that this program knows, each
// step in a transaction of its own, and refuses a newer one. stamp is what else a step leaves.
func Bring(ctx context.Context, c Conn, from fs.FS, folder string, stamp func(version int) string) error {
	steps, err := Read(from, folder)
	if err != nil {
		return err
	}
	if err := c.Exec(ctx, createVersions); err != nil {
		return err
	}
	at, err := c.Numbers(ctx, selectVersion, 1)
	if err != nil {
		return err
	}
	version, newest := int(at[0]), len(steps)
	if version > newest {
		return fmt.Errorf("the database of the %s has schema version %d, this program knows up to %d: use a newer reeve", folder, version, newest)
	}
	for ; version < newest; version++ {
		st := &steps[version]
		err := c.Transact(ctx, func() error {
			for _, text := range []string{st.Text, stamp(version + 1)} {
				if err := c.Exec(ctx, text); err != nil {
					return err
				}
			}
			return c.Exec(ctx, insertVersion, int64(version)+1, st.Name)
		})
		if err != nil {
			return fmt.Errorf("schema step %s: %w", st.Name, err)
		}
	}
	return nil
}

// Is refuses a schema that is not the newest that this program knows.
func Is(ctx context.Context, c Conn, folder string) error {
	steps, err := Read(steps, folder)
	if err != nil {
		return err
	}
	at, err := c.Numbers(ctx, selectVersion, 1)
	if err == nil && int(at[0]) != len(steps) {
		err = fmt.Errorf("the database of the %s has schema version %d, this program works with %d: use the reeve that its server is of", folder, at[0], len(steps))
	}
	return err
}

// CreateShared makes the schema that servers share, and its table of versions. Others may try the
// same.
func CreateShared(ctx context.Context, c Conn) error {
	there, err := c.Numbers(ctx, selectShared, 1)
	if err != nil || there[0] > 0 {
		return err
	}
	return c.Transact(ctx, func() error { return c.Exec(ctx, createShared) })
}

// ShareStep applies the next step, where others may be at work meanwhile, and reports whether there
// was one. A newer schema is left as it is where its steps say that this program can work with it.
func ShareStep(ctx context.Context, c Conn, steps []Step) (more bool, err error) {
	err = c.Transact(ctx, func() error {
		more = false
		if _, err := c.Numbers(ctx, lockShared, 1); err != nil {
			return err
		}
		at, err := c.Numbers(ctx, selectVersions, 2)
		if err != nil {
			return err
		}
		version, oldest, known := at[0], at[1], len(steps)
		if int(oldest) > known {
			return fmt.Errorf("the database has schema version %d, for programs that know version %d; this program knows up to %d: use a newer reeve", version, oldest, known)
		}
		if int(version) >= known {
			return nil
		}
		st := &steps[version]
		needs, err := st.Oldest()
		if err != nil {
			return err
		}
		if err := c.Exec(ctx, st.Text); err != nil {
			return fmt.Errorf("schema step %s: %w", st.Name, err)
		}
		more = true
		return c.Exec(ctx, insertShared, version+1, []byte(st.Name), int64(needs))
	})
	return more, err
}

// IsShared refuses a shared schema that this program can't work with as it is; store.ErrNotFound
// says that there is none.
func IsShared(ctx context.Context, c Conn) error {
	steps, err := Read(steps, "postgres")
	if err != nil {
		return err
	}
	there, err := c.Numbers(ctx, selectShared, 1)
	if err != nil {
		return err
	}
	if there[0] == 0 {
		return fmt.Errorf("%w: the database has no schema \"reeve\": no server has begun there", store.ErrNotFound)
	}
	at, err := c.Numbers(ctx, selectVersions, 2)
	if err != nil {
		return err
	}
	if known := int64(len(steps)); at[0] < known || at[1] > known {
		return fmt.Errorf("the database has schema version %d, this program works with %d: use the reeve that its servers are of", at[0], known)
	}
	return nil
}
