package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"modernc.org/sqlite"

	"github.com/reeve-scheduler/reeve/internal/store"
	"github.com/reeve-scheduler/reeve/internal/store/sqlstore/file"
	"github.com/reeve-scheduler/reeve/internal/store/sqlstore/schema"
)

// walLimit is the usual size in bytes past which a checkpoint stops the writer for a
// moment to begin the write-ahead log anew. Below it the log is begun anew by
// itself whenever the writer pauses.
const walLimit = 64 << 20

// sqliteFile is what the two files differ in.
type sqliteFile struct {
	name        string
	synchronous string
	// cacheKiB is what the writer may keep in memory. It takes twice as much: a page and
	// its header are a little more than a power of two.
	cacheKiB int
}

var (
	journalFile = sqliteFile{name: "journal", synchronous: "FULL", cacheKiB: 4 << 10}
	tablesFile  = sqliteFile{name: "tables", synchronous: "NORMAL", cacheKiB: 16 << 10}
)

func sqliteDialect() *dialect {
	return &dialect{
		key:         "INTEGER PRIMARY KEY",
		blob:        "BLOB",
		text:        "TEXT",
		beginRead:   "BEGIN",
		beginWrite:  "BEGIN IMMEDIATE",
		uncancelled: true,
		stamp: func(version int) string {
			return fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d", file.ApplicationID, version)
		},
		classify: file.Classify,
	}
}

// OpenSQLite opens the store in dir, which it creates if need be, and takes the
// directory for this process: ErrLocked says that another one has it. Files that
// aren't Reeve's or that are damaged are ErrCorrupt.
func OpenSQLite(ctx context.Context, dir string, opts Options) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create the data directory: %w", err)
	}
	lock, err := file.Lock(dir)
	if err != nil {
		return nil, err
	}
	if opts.Readers <= 0 {
		opts.Readers = 4
	}
	if opts.Span <= 0 {
		opts.Span = 24 * time.Hour
	}
	// By fdatasync(2), where there is one, a commit is as durable as by fsync(2) and
	// writes less. The switch is the process's; darwin has no such call and says so.
	if _, err := sqlite.Fdatasync(true); err != nil && !errors.Is(err, sqlite.ErrFdatasyncUnavailable) {
		return nil, errors.Join(err, lock.Close())
	}
	s := &Store{lock: lock}
	var opened []*database
	fail := func(err error) (*Store, error) {
		for _, db := range opened {
			err = errors.Join(err, db.close())
		}
		err = errors.Join(err, lock.Close())
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	for _, f := range []sqliteFile{journalFile, tablesFile} {
		db, err := openFile(ctx, dir, f, opts.Readers)
		if err != nil {
			return fail(err)
		}
		db.span = opts.Span.Milliseconds()
		opened = append(opened, db)
	}
	s.journal = journal{db: opened[0]}
	s.tables = &tables{db: opened[1], scan: maxScan, look: make(map[int64]int64)}
	for _, db := range opened {
		if err := db.migrate(ctx, schema.Files()); err != nil {
			return fail(err)
		}
	}
	if err := s.start(ctx); err != nil {
		return fail(err)
	}
	if err := file.SyncDir(dir); err != nil {
		return fail(err)
	}
	return s, nil
}

// Begun reports whether dir holds any of a store's files.
func Begun(dir string) bool {
	for _, f := range []sqliteFile{journalFile, tablesFile} {
		if _, err := os.Lstat(filepath.Join(dir, f.name+".db")); err == nil {
			return true
		}
	}
	return false
}

// openFile opens one of the two files with its writer, its readers and a session
// beside them for checkpoints.
func openFile(ctx context.Context, dir string, f sqliteFile, readers int) (*database, error) {
	path := filepath.Join(dir, f.name+".db")
	if err := file.Prepare(path); err != nil {
		return nil, err
	}
	db := &database{d: sqliteDialect(), name: f.name, closed: make(chan struct{})}
	open := func(n int, pragmas ...string) (chan *session, error) {
		return db.connectFile(ctx, file.DataSource(path, pragmas), n)
	}
	writing := []string{
		"busy_timeout(5000)", "page_size(4096)", "journal_mode(WAL)", "synchronous(" + f.synchronous + ")",
		// Only against a log that grows without end: checkpoints are made elsewhere.
		"wal_autocheckpoint(65536)",
		// On darwin a plain fsync doesn't reach the platter.
		"fullfsync(1)", "checkpoint_fullfsync(1)",
		"temp_store(MEMORY)",
	}
	var err error
	if db.writer, err = open(1, append(writing, cache(f.cacheKiB))...); err != nil {
		return nil, errors.Join(err, db.close())
	}
	side, err := open(1, append(writing, cache(1<<10))...)
	if err != nil {
		return nil, errors.Join(err, db.close())
	}
	if db.readers, err = open(readers, reading()...); err != nil {
		return nil, errors.Join(err, db.close())
	}
	w := &wal{db: db, path: path + "-wal", side: side}
	db.walLimit = walLimit
	db.sync, db.tidy = w.sync, w.tidy
	db.intact = (&file.Held{Paths: []string{path, path + "-wal"}}).Check
	return db, nil
}

func cache(kib int) string { return fmt.Sprintf("cache_size(-%d)", kib) }

// reading are the pragmas of a connection that only reads.
func reading() []string {
	return []string{"busy_timeout(5000)", "query_only(1)", "temp_store(MEMORY)", cache(2 << 10)}
}

func (db *database) connectFile(ctx context.Context, source string, n int) (chan *session, error) {
	handle, err := sql.Open("sqlite", source)
	if err != nil {
		return nil, err
	}
	handle.SetMaxOpenConns(n)
	handle.SetMaxIdleConns(n)
	return db.connect(ctx, handle, n)
}

// wal looks after a file's write-ahead log.
type wal struct {
	db   *database
	path string
	side chan *session
}

// sync makes every committed transaction durable. What isn't in the log any more
// was synced into the file before the log was begun anew, so the log is all there
// is to sync.
func (w *wal) sync(ctx context.Context) error {
	f, err := os.OpenFile(w.path, os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		w.db.broken.Store(true)
		return fmt.Errorf("%w: sync the %s: %w", store.ErrBroken, w.db.name, err)
	}
	return nil
}

// tidy copies the log into the file beside the writer. Only when the log has grown
// large all the same does the writer wait, for the little that came in meanwhile.
func (w *wal) tidy(ctx context.Context) error {
	s, err := w.db.take(ctx, w.side)
	if err != nil {
		return err
	}
	err = w.db.say(s.checkpoint(w.db.d.context(ctx), "PASSIVE"))
	w.side <- s
	switch {
	case errors.Is(err, file.ErrFull): // what is committed stays in the log until there is space
		return nil
	case err != nil:
		return err
	}
	info, err := os.Stat(w.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Size() < w.db.walLimit {
		return nil
	}
	return w.db.write(ctx, func(ctx context.Context, s *session) error {
		// A reader of an old snapshot, such as a load, must not hold up the writer.
		if _, err := s.conn.ExecContext(ctx, "PRAGMA busy_timeout = 20"); err != nil {
			return err
		}
		err := s.checkpoint(ctx, "TRUNCATE")
		_, again := s.conn.ExecContext(ctx, "PRAGMA busy_timeout = 5000")
		return errors.Join(err, again)
	})
}

// checkpoint runs one; that a reader or writer was in its way is no error.
func (s *session) checkpoint(ctx context.Context, mode string) error {
	var busy, frames, moved integer
	return s.row(ctx, statement{text: "PRAGMA wal_checkpoint(" + mode + ")"}, nil, &busy, &frames, &moved)
}
