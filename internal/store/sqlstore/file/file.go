// Package file is the files of an SQLite database: whose they are, what they are opened with, what
// becomes of them while they are open, and what SQLite's errors about them mean.
package file

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"

	"modernc.org/sqlite"

	"github.com/reeve-scheduler/reeve/internal/store"
)

// ApplicationID marks the files as Reeve's: "Reev".
const ApplicationID = 0x52656576

// Held is files that a database has open under their names.
type Held struct {
	// Paths are their names.
	Paths []string
	first []os.FileInfo
}

// Check fails with store.ErrBroken once a file is no longer what its name stands for:
// it was removed or replaced, and what is written into it is lost with this process.
func (h *Held) Check() error {
	now := make([]os.FileInfo, len(h.Paths))
	for i, path := range h.Paths {
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

// DataSource names a file and its settings; the path may hold any character.
func DataSource(path string, pragmas []string) string {
	q := url.Values{"_pragma": pragmas, "_txlock": {"deferred"}}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}

// Prepare creates the file for its owner alone, so that SQLite's own files
// beside it get the same mode, or checks the header of the one that is there.
func Prepare(path string) error {
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
	if id := binary.BigEndian.Uint32(header[68:]); id != ApplicationID && id != 0 {
		return fmt.Errorf("%w: %s belongs to another program (application id %#x)", store.ErrCorrupt, path, id)
	}
	return nil
}

// SyncDir makes the directory's entries durable.
func SyncDir(dir string) error {
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

// ErrFull is an ordinary error: the same call works once there is space.
var ErrFull = errors.New("store: no space left in the data directory; free some and it goes on by itself")

// Classify names the errors that a caller or operator acts on.
func Classify(err error) error {
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
		return ErrFull
	}
	return nil
}
