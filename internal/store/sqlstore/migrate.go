package sqlstore

import (
	"context"
	"fmt"
	"io/fs"

	"github.com/reeve-scheduler/reeve/internal/store/sqlstore/schema"
)

const (
	createVersions = `CREATE TABLE IF NOT EXISTS {{s}}schema_versions (version {{key}}, name TEXT NOT NULL)`
	selectVersion  = `SELECT coalesce(max(version), 0) FROM {{s}}schema_versions`
	insertVersion  = `INSERT INTO {{s}}schema_versions (version, name) VALUES (?, ?)`
)

// migrate brings the database to the newest schema this program knows, each step
// in a transaction of its own, and refuses a newer one.
func (db *database) migrate(ctx context.Context, from fs.FS) error {
	steps, err := schema.Read(from, db.name)
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
				return fmt.Errorf("schema step %s: %w", steps[i].Name, err)
			}
		}
		s.forget()
		return nil
	})
}

// step applies one migration inside a transaction.
func (s *session) step(ctx context.Context, version int, st schema.Step) error {
	texts := []string{s.db.d.schema(st.Text, 0)}
	if s.db.d.stamp != nil {
		texts = append(texts, s.db.d.stamp(version))
	}
	for _, text := range texts {
		if _, err := s.conn.ExecContext(ctx, text); err != nil {
			return err
		}
	}
	_, err := s.exec(ctx, statement{text: insertVersion}, 0, int64(version), st.Name)
	return err
}
