package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/reeve-scheduler/reeve/internal/store"
	"github.com/reeve-scheduler/reeve/internal/store/sqlstore/postgres"
	"github.com/reeve-scheduler/reeve/internal/store/sqlstore/seal"
)

// maxStatements bounds the prepared statements of one session.
const maxStatements = 256

// statement names a prepared statement: its text, the partition it is for, and
// how many rows it writes, as far as they tell it apart.
type statement struct {
	text      string
	partition int64
	rows      int
}

// session is one connection and its prepared statements. One goroutine uses it at
// a time.
type session struct {
	db *database
	// conn is nil while a remote engine is not reached; settings are then what a transaction
	// that writes begins with.
	conn     *sql.Conn
	handle   *sql.DB
	settings string
	// told says that a read has handed something on, and can't begin again.
	told bool
	// ahead is what the message that began this transaction has read of meta already.
	ahead    []int64
	prepared map[statement]*sql.Stmt
	// layout is what this session last read of the partitions.
	layout layout
}

// prepare returns the statement named by s. Its text names the partition's tables
// by {{n}} and its rows by {{rows}}, which stands for groups of cols parameters.
func (s *session) prepare(ctx context.Context, name statement, cols int) (*sql.Stmt, error) {
	if stmt, ok := s.prepared[name]; ok {
		return stmt, nil
	}
	if len(s.prepared) >= maxStatements {
		s.forget()
	}
	stmt, err := s.conn.PrepareContext(ctx, s.db.d.expand(name, cols))
	if err != nil {
		return nil, err
	}
	s.prepared[name] = stmt
	return stmt, nil
}

// forget closes the prepared statements.
func (s *session) forget() {
	for name, stmt := range s.prepared {
		_ = stmt.Close() // nothing was lost that could be kept
		delete(s.prepared, name)
	}
}

// exec runs a prepared statement and returns the number of rows it changed.
func (s *session) exec(ctx context.Context, name statement, cols int, args ...any) (int64, error) {
	if s.db.d.remote {
		return postgres.Exec(ctx, s.conn, postgres.Statement{Text: s.db.d.expand(name, cols), Args: args})
	}
	stmt, err := s.prepare(ctx, name, cols) //nolint:sqlclosecheck // the session keeps it
	if err != nil {
		return 0, err
	}
	res, err := stmt.ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// row and integer are what every query reads.
type (
	row     = seal.Row
	integer = seal.Integer
)

// query runs a prepared statement and hands each row to scan until it returns
// false or an error.
func (s *session) query(ctx context.Context, name statement, scan func(row) (bool, error), args ...any) error {
	if s.db.d.remote {
		st := postgres.Statement{Text: s.db.d.expand(name, 0), Args: args}
		return postgres.Query(ctx, s.conn, st, func(r *postgres.Row) (bool, error) { return scan(r) })
	}
	stmt, err := s.prepare(ctx, name, 0) //nolint:sqlclosecheck // the session keeps it
	if err != nil {
		return err
	}
	rows, err := stmt.QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	for rows.Next() {
		more, err := scan(rows)
		if err != nil {
			return err
		}
		if !more {
			return rows.Close()
		}
	}
	return rows.Err()
}

// alone is query as a reading transaction of its own.
func (s *session) alone(ctx context.Context, name statement, scan func(row) (bool, error), args ...any) error {
	if !s.db.d.remote {
		return s.query(ctx, name, scan, args...)
	}
	return postgres.QueryAlone(ctx, s.conn, postgres.Statement{Text: s.db.d.expand(name, 0), Args: args}, func(r *postgres.Row) (bool, error) { return scan(r) })
}

// row runs a prepared statement and scans its first row, or returns
// sql.ErrNoRows.
func (s *session) row(ctx context.Context, name statement, args []any, dest ...any) error {
	found := false
	err := s.query(ctx, name, func(rows row) (bool, error) {
		found = true
		return false, rows.Scan(dest...)
	}, args...)
	if err == nil && !found {
		return sql.ErrNoRows
	}
	return err
}

// transact runs do in a transaction that is rolled back when do fails.
func (s *session) transact(ctx context.Context, begin string, do func() error) error {
	if err := s.begin(ctx, begin); err != nil {
		return err
	}
	err := do()
	if err == nil {
		_, err = s.exec(ctx, statement{text: "COMMIT"}, 0)
	}
	if err != nil {
		// The engine may have rolled back by itself; then this says so, in vain.
		_, _ = s.exec(ctx, statement{text: "ROLLBACK"}, 0)
	}
	return err
}

// database is one schema: a session that writes and some that read.
type database struct {
	d *dialect
	// name tells this database from the other in errors.
	name    string
	handles []*sql.DB
	// sessions are all there are, in pools of which writer and readers are two.
	sessions []chan *session
	writer   chan *session
	readers  chan *session
	closed   chan struct{}
	// broken is set by an error after which nothing may be written.
	broken atomic.Bool
	// sync makes what is committed durable, tidy moves it to where it belongs, off
	// the commit path. Both are nil where the engine does it by itself.
	sync, tidy func(ctx context.Context) error
	// intact says, after a write, that what was written is where it will be looked for;
	// nil where the engine sees to it. Only the holder of the writer calls it.
	intact func() error
	// looks says that reads begin with a look at meta.
	looks bool
	// span is how much time of submission one partition is for, in milliseconds.
	span int64
	// walLimit is the size in bytes of a write-ahead log that tidy cuts back.
	walLimit int64
}

// connect opens n sessions of a handle.
func (db *database) connect(ctx context.Context, handle *sql.DB, n int) (chan *session, error) {
	db.handles = append(db.handles, handle)
	all := make([]*session, n)
	for i := range all {
		if db.d.remote { // reached when it is used
			all[i] = &session{db: db, handle: handle}
			continue
		}
		conn, err := handle.Conn(ctx)
		if err != nil {
			for _, s := range all[:i] {
				err = errors.Join(err, s.conn.Close())
			}
			return nil, db.say(err)
		}
		all[i] = &session{db: db, conn: conn, prepared: make(map[statement]*sql.Stmt)}
	}
	pool := make(chan *session, n)
	for _, s := range all {
		pool <- s
	}
	db.sessions = append(db.sessions, pool)
	return pool, nil
}

// close waits for the sessions in use and closes everything. Later calls of read
// and write fail.
func (db *database) close() error {
	close(db.closed)
	var errs []error
	for _, pool := range db.sessions {
		for range cap(pool) {
			s := <-pool
			s.forget()
			if s.conn != nil {
				errs = append(errs, s.conn.Close())
			}
		}
	}
	for _, handle := range db.handles {
		errs = append(errs, handle.Close())
	}
	return db.say(errors.Join(errs...))
}

// read runs do in a read transaction of a session that nobody else uses; again, perhaps,
// until session.told.
func (db *database) read(ctx context.Context, do func(ctx context.Context, s *session) error) error {
	return db.look(ctx, func(ctx context.Context, s *session) error {
		return s.transact(ctx, db.d.beginRead, func() error { return do(ctx, s) })
	})
}

// look is read for a single statement, which needs no transaction.
func (db *database) look(ctx context.Context, do func(ctx context.Context, s *session) error) error {
	s, err := db.take(ctx, db.readers)
	if err != nil {
		return err
	}
	defer func() { db.readers <- s }()
	return db.say(s.again(db.d.context(ctx), do))
}

// write runs do with the session that writes.
func (db *database) write(ctx context.Context, do func(ctx context.Context, s *session) error) error {
	s, err := db.take(ctx, db.writer)
	if err != nil {
		return err
	}
	defer func() { db.writer <- s }()
	if db.broken.Load() {
		return fmt.Errorf("%w: the %s failed before; end the process and start it again", store.ErrBroken, db.name)
	}
	if err := db.say(s.use(db.d.context(ctx), do)); err != nil || db.intact == nil {
		return err
	}
	err = db.intact()
	if errors.Is(err, store.ErrBroken) {
		db.broken.Store(true)
	}
	return err
}

// take waits for a session.
func (db *database) take(ctx context.Context, pool chan *session) (*session, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case <-db.closed:
		return nil, errClosed
	default:
	}
	select {
	case s := <-pool:
		return s, nil
	case <-db.closed:
		return nil, errClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// errClosed is what a closed store answers.
var errClosed = errors.New("store: closed")

// say turns an engine's error into what the contract calls it and remembers when
// nothing may be written any more.
func (db *database) say(err error) error {
	if err == nil {
		return nil
	}
	kind := db.d.classify(err)
	if kind == nil || errors.Is(err, kind) {
		return err
	}
	if errors.Is(kind, store.ErrBroken) {
		db.broken.Store(true)
	}
	return fmt.Errorf("%w: the %s: %w", kind, db.name, err)
}

// expand writes out a statement's text for the engine.
func (d *dialect) expand(name statement, cols int) string {
	text := strings.ReplaceAll(expand(name, cols), "{{s}}", d.prefix)
	return d.bind(strings.ReplaceAll(text, "{{text}}", d.text))
}

// expand writes out a statement's text but for the engine's words.
func expand(name statement, cols int) string {
	text := strings.ReplaceAll(name.text, "{{n}}", strconv.FormatInt(name.partition, 10))
	if name.rows > 0 {
		text = strings.ReplaceAll(text, "{{rows}}", rowsOf(name.rows, cols))
	}
	return text
}
