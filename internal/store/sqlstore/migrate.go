package sqlstore

import (
	"context"
	"fmt"
	"io/fs"

	"github.com/reeve-scheduler/reeve/internal/store/sqlstore/postgres"
	"github.com/reeve-scheduler/reeve/internal/store/sqlstore/schema"
)

// conn implements schema.Conn.
type conn struct{ s *session }

func (c conn) Exec(ctx context.Context, text string, args ...any) (err error) {
	text = c.s.db.d.schema(text, 0)
	if len(args) == 0 && !c.s.db.d.remote { // several statements, perhaps
		_, err = c.s.conn.ExecContext(ctx, text)
		return err
	}
	_, err = c.s.exec(ctx, statement{text: text}, 0, args...)
	return err
}

func (c conn) Numbers(ctx context.Context, text string, n int) ([]int64, error) {
	columns, dest, out := make([]integer, n), make([]any, n), make([]int64, n)
	for i := range columns {
		dest[i] = &columns[i]
	}
	err := c.s.row(ctx, statement{text: text}, nil, dest...)
	for i := range columns {
		out[i] = int64(columns[i])
	}
	return out, err
}

func (c conn) Transact(ctx context.Context, do func() error) error {
	return c.s.transact(ctx, c.s.db.d.beginWrite, do)
}

// migrate brings a database that is this process's alone to the newest schema.
func (db *database) migrate(ctx context.Context, from fs.FS) error {
	return db.write(ctx, func(ctx context.Context, s *session) error {
		defer s.forget()
		return schema.Bring(ctx, conn{s}, from, db.name, db.d.stamp)
	})
}

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
		err := db.write(ctx, func(ctx context.Context, s *session) error { return schema.CreateShared(ctx, conn{s}) })
		if err == nil {
			break
		}
		if n == createAttempts || !postgres.Raced(err) {
			return fmt.Errorf("create the schema: %w", err)
		}
	}
	for more := true; more && err == nil; {
		err = db.write(ctx, func(ctx context.Context, s *session) (err error) {
			more, err = schema.ShareStep(ctx, conn{s}, steps)
			return err
		})
	}
	return err
}
