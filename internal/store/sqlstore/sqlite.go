package sqlstore

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"modernc.org/sqlite"

	"github.com/reeve-scheduler/reeve/internal/store"
)

// applicationID marks the files as Reeve's: "Reev".
const applicationID = 0x52656576

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
			return fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d", applicationID, version)
		},
		classify: classifySQLite,
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
	lock, err := lockDir(dir)
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
	for _, file := range []sqliteFile{journalFile, tablesFile} {
		db, err := openFile(ctx, dir, file, opts.Readers)
		if err != nil {
			return fail(err)
		}
		db.span = opts.Span.Milliseconds()
		opened = append(opened, db)
	}
	s.journal = journal{opened[0]}
	s.tables = &tables{db: opened[1], scan: maxScan, look: make(map[int64]int64)}
	for _, db := range opened {
		if err := db.migrate(ctx, migrations); err != nil {
			return fail(err)
		}
	}
	if err := s.start(ctx); err != nil {
		return fail(err)
	}
	if err := syncDir(dir); err != nil {
		return fail(err)
	}
	return s, nil
}

// Begun reports whether dir holds any of a store's files.
func Begun(dir string) bool {
	for _, file := range []sqliteFile{journalFile, tablesFile} {
		if _, err := os.Lstat(filepath.Join(dir, file.name+".db")); err == nil {
			return true
		}
	}
	return false
}

// openFile opens one of the two files with its writer, its readers and a session
// beside them for checkpoints.
func openFile(ctx context.Context, dir string, file sqliteFile, readers int) (*database, error) {
	path := filepath.Join(dir, file.name+".db")
	if err := prepareFile(path); err != nil {
		return nil, err
	}
	db := &database{d: sqliteDialect(), name: file.name, closed: make(chan struct{})}
	open := func(n int, pragmas ...string) (chan *session, error) {
		handle, err := sql.Open("sqlite", dataSource(path, pragmas))
		if err != nil {
			return nil, err
		}
		handle.SetMaxOpenConns(n)
		handle.SetMaxIdleConns(n)
		return db.connect(ctx, handle, n)
	}
	cache := func(kib int) string { return fmt.Sprintf("cache_size(-%d)", kib) }
	writing := []string{
		"busy_timeout(5000)", "page_size(4096)", "journal_mode(WAL)", "synchronous(" + file.synchronous + ")",
		// Only against a log that grows without end: checkpoints are made elsewhere.
		"wal_autocheckpoint(65536)",
		// On darwin a plain fsync doesn't reach the platter.
		"fullfsync(1)", "checkpoint_fullfsync(1)",
		"temp_store(MEMORY)",
	}
	var err error
	if db.writer, err = open(1, append(writing, cache(file.cacheKiB))...); err != nil {
		return nil, errors.Join(err, db.close())
	}
	side, err := open(1, append(writing, cache(1<<10))...)
	if err != nil {
		return nil, errors.Join(err, db.close())
	}
	if db.readers, err = open(readers, "busy_timeout(5000)", "query_only(1)", "temp_store(MEMORY)", cache(2<<10)); err != nil {
		return nil, errors.Join(err, db.close())
	}
	w := &wal{db: db, path: path + "-wal", side: side}
	db.walLimit = walLimit
	db.sync, db.tidy = w.sync, w.tidy
	db.intact = (&held{paths: []string{path, path + "-wal"}}).check
	return db, nil
}

// held is files that a database has open under their names.
type held struct {
	paths []string
	first []os.FileInfo
}

// check fails with store.ErrBroken once a file is no longer what its name stands for:
// it was removed or replaced, and what is written into it is lost with this process.
func (h *held) check() error {
	now := make([]os.FileInfo, len(h.paths))
	for i, path := range h.paths {
		info, err := os.Stat(path)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if err != nil || h.first != nil && !os.SameFile(info, h.first[i]) {
			return fmt.Errorf("%w: %s was removed or replaced while it was open; put back what was there, or a backup, before the server is started again",
				store.ErrBroken, path)
		}
		now[i] = info
	}
	if h.first == nil {
		h.first = now
	}
	return nil
}

// dataSource names a file and its settings; the path may hold any character.
func dataSource(path string, pragmas []string) string {
	q := url.Values{"_pragma": pragmas, "_txlock": {"deferred"}}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}

// prepareFile creates the file for its owner alone, so that SQLite's own files
// beside it get the same mode, or checks the header of the one that is there.
func prepareFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	var header [100]byte
	n, err := io.ReadFull(f, header[:])
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil || !bytes.HasPrefix(header[:n], []byte("SQLite format 3\x00")) {
		return fmt.Errorf("%w: %s isn't an SQLite file", store.ErrCorrupt, path)
	}
	// A file whose first transaction is still in the write-ahead log has no id yet.
	if id := binary.BigEndian.Uint32(header[68:]); id != applicationID && id != 0 {
		return fmt.Errorf("%w: %s belongs to another program (application id %#x)", store.ErrCorrupt, path, id)
	}
	return nil
}

// syncDir makes the directory's entries durable.
func syncDir(dir string) error {
	for _, d := range []string{dir, filepath.Dir(dir)} {
		f, err := os.Open(d)
		if err != nil {
			return err
		}
		err = f.Sync()
		f.Close()
		if err != nil {
			return fmt.Errorf("sync the directory %s: %w", d, err)
		}
	}
	return nil
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
	case errors.Is(err, errFull): // what is committed stays in the log until there is space
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

// errFull is an ordinary error: the same call works once there is space.
var errFull = errors.New("store: no space left in the data directory; free some and it goes on by itself")

// classifySQLite names the errors that a caller or operator acts on.
func classifySQLite(err error) error {
	var failed *sqlite.Error
	if !errors.As(err, &failed) {
		return nil
	}
	code := failed.Code()
	const (
		ioErr, corrupt, full, notADB = 10, 11, 13, 26
		fsync, dirFsync, corruptFS   = ioErr | 4<<8, ioErr | 5<<8, ioErr | 33<<8
		// The log's index could not be made larger. It must be after a crash that has left a
		// large log: on a full disk the log has room then, and the index has not.
		indexSize = ioErr | 19<<8
	)
	switch {
	case code == fsync, code == dirFsync:
		return store.ErrBroken
	case code&0xff == corrupt, code&0xff == notADB, code == corruptFS:
		return store.ErrCorrupt
	case code&0xff == full, code == indexSize:
		return errFull
	}
	return nil
}
