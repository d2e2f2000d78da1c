package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/reeve-scheduler/reeve/internal/store"
	"github.com/reeve-scheduler/reeve/internal/store/sqlstore/postgres"
	"github.com/reeve-scheduler/reeve/internal/store/sqlstore/schema"
	"github.com/reeve-scheduler/reeve/internal/store/sqlstore/seal"
)

const (
	// touchPulse is the least that can be committed: see package postgres.
	touchPulse = `UPDATE {{s}}pulse SET n = n + 1 WHERE one = 1`
	// copyIn is where new jobs go.
	copyIn = `{{s}}jobs_{{n}} (` + seal.StoredJobColumns + `)`
)

// attempts is how often a read is begun: a connection may have ended since it was used last,
// and a partition may be dropped between two statements.
const attempts = 3

// again runs do like use, again where a read may be begun again.
func (s *session) again(ctx context.Context, do func(ctx context.Context, s *session) error) error {
	for n := 1; ; n++ {
		s.told = false
		err := s.use(ctx, do)
		if err == nil || !s.db.d.remote || n == attempts || s.told || ctx.Err() != nil {
			return err
		}
		if !postgres.Gone(err) && (n > 1 || !errors.Is(postgres.Classify(err), store.ErrUnavailable)) {
			return err
		}
		s.doubt()
	}
}

// use runs do on a connection that is there, and gives the connection up when what it did is
// not known.
func (s *session) use(ctx context.Context, do func(ctx context.Context, s *session) error) error {
	if !s.db.d.remote {
		return do(ctx, s)
	}
	if err := s.reach(ctx); err != nil {
		return err
	}
	err := postgres.Trust(s.conn)
	if err == nil {
		err = do(ctx, s)
	}
	if err == nil {
		err = postgres.Doubted(s.conn)
	}
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	if !postgres.Idle(s.conn) || errors.Is(err, store.ErrUnavailable) || errors.Is(postgres.Classify(err), store.ErrUnavailable) {
		postgres.Drop(s.conn)
		s.conn = nil
	}
	return err
}

// reach connects a session that has no connection.
func (s *session) reach(ctx context.Context) error {
	if s.conn != nil {
		return nil
	}
	conn, err := s.handle.Conn(ctx)
	if err != nil {
		return err
	}
	if s.settings, err = postgres.Settings(conn); err != nil {
		return errors.Join(err, conn.Close())
	}
	s.conn = conn
	s.doubt() // it may be another server, whose history is another
	return nil
}

// begin begins a transaction, with what comes first anyway in the same message.
func (s *session) begin(ctx context.Context, begin string) (err error) {
	s.ahead = nil
	switch {
	case !s.db.d.remote:
	case begin == s.db.d.beginWrite:
		begin += "; " + s.settings
	case s.db.looks:
		s.ahead, err = postgres.Numbers(ctx, s.conn, begin+"; "+s.db.d.expand(statement{text: selectMeta}, 0))
		return err
	}
	_, err = s.exec(ctx, statement{text: begin}, 0)
	return err
}

// change runs a statement that writes, durable when it returns, and returns how many rows it
// changed.
func (s *session) change(ctx context.Context, text string, args ...any) (int64, error) {
	if !s.db.d.remote {
		return s.exec(ctx, statement{text: text}, 0, args...)
	}
	results, err := s.together(ctx, postgres.Statement{Text: text, Args: args})
	if err != nil {
		return 0, err
	}
	return results[0].Changed, nil
}

// together runs statements as one durable transaction.
func (s *session) together(ctx context.Context, statements ...postgres.Statement) ([]postgres.Result, error) {
	all := []postgres.Statement{{Text: s.settings}}
	for _, st := range statements {
		st.Text = s.db.d.expand(statement{text: st.Text}, 0)
		all = append(all, st)
	}
	results, err := postgres.Together(ctx, s.conn, all...)
	if err != nil {
		return nil, err
	}
	return results[1:], nil
}

// run runs statements as one durable transaction and returns what the last of them did.
func (db *database) run(ctx context.Context, statements ...postgres.Statement) (last postgres.Result, err error) {
	err = db.write(ctx, func(ctx context.Context, s *session) error {
		results, err := s.together(ctx, statements...)
		if err == nil {
			last = results[len(results)-1]
		}
		return err
	})
	return last, err
}

// upsert writes rows by a statement that takes them as VALUES.
func (t *tables) upsert(ctx context.Context, s *session, name statement, rows postgres.Rows) error {
	if rows.Len == 0 {
		return nil
	}
	text := strings.ReplaceAll(s.db.d.expand(name, 0), "VALUES {{rows}}", "SELECT * FROM {{rows}}") //nolint:unqueryvet // the columns of arrays that were made for it
	return t.inBulk.Upsert(ctx, s.conn, text, rows)
}

// copy writes new jobs.
func (t *tables) copy(ctx context.Context, s *session, number int64, rows postgres.Rows) error {
	return t.inBulk.Copy(ctx, s.conn, s.db.d.expand(statement{text: copyIn, partition: number}, 0), rows)
}

// bulk is rows that are written one after the other.
func (t *tables) bulk(cols, n int, add func(args []any, i int) []any) postgres.Rows {
	return postgres.Rows{Width: cols, Len: n, Row: func(args []any, i int) []any {
		t.scratch.Reset()
		return add(args, i)
	}}
}

// follows refuses a flush whose batch is not in the journal, where both are in one place.
func (s *session) follows(ctx context.Context, f *store.Flush) error {
	if !s.db.d.remote || f.ID == ([16]byte{}) {
		return nil
	}
	var id []byte
	var epoch, first, last integer
	err := s.row(ctx, statement{text: selectStanding}, []any{int64(f.Seq)}, &id, &epoch)
	switch {
	case err == nil && string(id) == string(f.ID[:]):
		return nil
	case err == nil:
		return fmt.Errorf("%w: a flush at %d of another history", store.ErrFenced, f.Seq)
	case !errors.Is(err, sql.ErrNoRows):
		return err
	}
	if err := s.row(ctx, statement{text: selectBounds}, nil, &first, &last); err != nil {
		return err
	}
	if f.Seq >= uint64(first) {
		return fmt.Errorf("%w: a flush at %d, the journal ends at %d", store.ErrFenced, f.Seq, last)
	}
	return nil // it was trimmed
}

// hold keeps the tables of all partitions from being dropped until this transaction ends.
func (s *session) hold(ctx context.Context) error {
	if !s.db.d.remote || len(s.layout.parts) == 0 {
		return nil
	}
	var names []string
	for _, p := range s.layout.parts {
		names = append(names, partitionTables(p.number)...)
	}
	_, err := s.exec(ctx, statement{text: "LOCK TABLE " + strings.Join(names, ", ") + " IN ACCESS SHARE MODE"}, 0)
	return err
}

// seizeMs is how long retention waits for those who read a partition, in milliseconds: those
// who come after it wait for it meanwhile.
const seizeMs = 500

// seize takes the tables of a partition that is to go from those who read it, before a
// transaction locks anything that flushes need.
func (s *session) seize(ctx context.Context, number int64) error {
	if !s.db.d.remote {
		return nil
	}
	text := "SET LOCAL lock_timeout = " + strconv.Itoa(seizeMs) + "; LOCK TABLE " + strings.Join(partitionTables(number), ", ") +
		" IN ACCESS EXCLUSIVE MODE; SET LOCAL lock_timeout = 0"
	_, err := s.exec(ctx, statement{text: text}, 0)
	return err
}

func partitionTables(number int64) (names []string) {
	for _, table := range []string{"jobs", "parts", "specs"} {
		names = append(names, fmt.Sprintf("{{s}}%s_%d", table, number))
	}
	return names
}

// PostgresOptions say which database a store is in, and the store's knobs.
type PostgresOptions struct {
	postgres.Options
	// Readers and Span are as in Options.
	Readers int
	Span    time.Duration
}

func postgresDialect() *dialect {
	return &dialect{
		key: "BIGINT PRIMARY KEY", blob: "BYTEA", text: "BYTEA", prefix: "reeve.",
		numbered: true, remote: true, lock: " FOR UPDATE",
		beginRead:  "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; " + postgres.ReadSettings(),
		beginWrite: "BEGIN ISOLATION LEVEL READ COMMITTED",
		classify:   postgres.Classify,
	}
}

// clusterSessions is how many connections the agreement between servers has: a call must not
// wait behind one that waits.
const clusterSessions = 2

// OpenPostgres opens the store in a database of PostgreSQL 14 or newer, in the schema "reeve",
// which it creates if need be. Any number of servers may have it open. store.ErrUnavailable
// says that the database can't be reached at the moment.
func OpenPostgres(ctx context.Context, o PostgresOptions) (*Store, error) {
	return openPostgres(ctx, o, func(ctx context.Context, db *database) error { return db.migrateShared(ctx, schema.Files()) })
}

// openPostgres opens a store whose schema ready has made what it must be.
func openPostgres(ctx context.Context, o PostgresOptions, ready func(context.Context, *database) error) (*Store, error) {
	if o.Readers <= 0 {
		o.Readers = 4
	}
	if o.Span <= 0 {
		o.Span = 24 * time.Hour
	}
	s := &Store{}
	var opened []*database
	fail := func(err error) (*Store, error) {
		for _, db := range opened {
			err = errors.Join(err, db.close())
		}
		return nil, err
	}
	for _, part := range []struct {
		name             string
		writers, readers int
	}{{"journal", 1, 2}, {"tables", 1, o.Readers}, {"cluster", clusterSessions, 0}} {
		db := &database{d: postgresDialect(), name: part.name, closed: make(chan struct{}), span: o.Span.Milliseconds()}
		handle, err := postgres.Open(o.Options)
		if err != nil {
			return fail(err)
		}
		opened = append(opened, db)
		if db.writer, err = db.connect(ctx, handle, part.writers); err != nil {
			return fail(err)
		}
		if db.readers, err = db.connect(ctx, handle, part.readers); err != nil {
			return fail(err)
		}
	}
	s.journal = journal{opened[0], new([]byte)}
	s.tables = &tables{db: opened[1], scan: maxScan, look: make(map[int64]int64)}
	s.tables.db.looks = true
	s.cluster = opened[2]
	if err := ready(ctx, s.journal.db); err != nil {
		return fail(err)
	}
	if err := s.start(ctx); err != nil {
		return fail(err)
	}
	return s, nil
}
