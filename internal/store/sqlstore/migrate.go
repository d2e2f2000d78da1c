package sqlstore

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

// migrations holds a folder of numbered .sql files for each database. A file that
// was released is never changed again.
//
//go:embed schema/journal/*.sql schema/tables/*.sql schema/postgres/*.sql
var migrations embed.FS

const (
	createVersions = `CREATE TABLE IF NOT EXISTS {{s}}schema_versions (version {{key}}, name TEXT NOT NULL)`
	selectVersion  = `SELECT coalesce(max(version), 0) FROM {{s}}schema_versions`
	insertVersion  = `INSERT INTO {{s}}schema_versions (version, name) VALUES (?, ?)`
)

// migrate brings the database to the newest schema this program knows, each step
// in a transaction of its own, and refuses a newer one.
func (db *database) migrate(ctx context.Context, from fs.FS) error {
	steps, err := readSteps(from, "schema/"+db.name)
	if err != nil {
		return err
	}
	return db.write(ctx, func(ctx context.Context, s *session) error {
		if _, err := s.conn.ExecContext(ctx, db.d.schema(createVersions, 0)); err != nil {
			return err
		}
		var version integer
		if err := s.row(ctx, statement{text: selectVersion}, nil, &version); err != nil {
			return err
		}
		if newest := len(steps); int(version) > newest {
			return fmt.Errorf("the database of the %s has schema version %d, this program knows up to %d: use a newer reeve", db.name, version, newest)
		}
		for i := int(version); i < len(steps); i++ {
			err := s.transact(ctx, db.d.beginWrite, func() error { return s.step(ctx, i+1, steps[i]) })
			if err != nil {
				return fmt.Errorf("schema step %s: %w", steps[i].name, err)
			}
		}
		s.forget()
		return nil
	})
}

// step is one migration.
type step struct{ name, text string }

// readSteps returns the steps of a folder, whose names begin with 0001, 0002 and so on.
func readSteps(from fs.FS, folder string) ([]step, error) {
	entries, err := fs.ReadDir(from, folder)
	if err != nil {
		return nil, err
	}
	var steps []step
	for i, e := range entries {
		number, _, _ := strings.Cut(e.Name(), "_")
		if n, err := strconv.Atoi(number); err != nil || n != i+1 {
			return nil, fmt.Errorf("schema file %s/%s: want number %04d", folder, e.Name(), i+1)
		}
		text, err := fs.ReadFile(from, folder+"/"+e.Name())
		if err != nil {
			return nil, err
		}
		steps = append(steps, step{e.Name(), string(text)})
	}
	return steps, nil
}

// step applies one migration inside a transaction.
func (s *session) step(ctx context.Context, version int, st step) error {
	texts := []string{s.db.d.schema(st.text, 0)}
	if s.db.d.stamp != nil {
		texts = append(texts, s.db.d.stamp(version))
	}
	for _, text := range texts {
		if _, err := s.conn.ExecContext(ctx, text); err != nil {
			return err
		}
	}
	_, err := s.exec(ctx, statement{text: insertVersion}, 0, int64(version), st.name)
	return err
}
