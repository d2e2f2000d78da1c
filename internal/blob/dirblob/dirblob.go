// Package dirblob keeps blobs as files of one directory, through os.Root so that
// no key, link or race leads outside it.
//
// A key becomes a path: each segment a directory, the last one a file whose name
// ends in a tilde, so that a and a/b are both possible. Capital letters are
// written as a plus and the small letter, so that file systems that fold case keep
// keys apart. Blobs being written or removed live in a folder of their own, which
// no key can name and which opening the directory clears.
package dirblob

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync/atomic"
	"time"

	"github.com/reeve-scheduler/reeve/internal/blob"
)

// tmp holds what is half written or half removed. No key maps to it: a tilde
// stands only at the end of a file's name.
const tmp = "~tmp"

// staleAfter is how long nothing has happened to what a process that is gone has left in the
// tmp of a shared directory. One that is still there writes to its files all the time.
const staleAfter = 24 * time.Hour

// Store is a blob.Store on a directory.
type Store struct {
	root *os.Root
	// self and seq make the names in tmp, which differ from those of other processes.
	self string
	seq  atomic.Uint64
}

var _ blob.Store = (*Store)(nil)

// Open opens or makes dir (mode 0700) for one process at a time, which the caller sees to,
// and removes what a crash left half done. Close the store when it is no longer used.
func Open(dir string) (*Store, error) {
	return open(dir, func(fs.FileInfo) bool { return true })
}

// OpenShared is Open for several processes, on any machines that see the same files. What a
// crash left half done is removed a day later.
func OpenShared(dir string) (*Store, error) {
	return open(dir, func(i fs.FileInfo) bool { return time.Since(i.ModTime()) > staleAfter })
}

func open(dir string, stale func(fs.FileInfo) bool) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("blob directory %s: %w", dir, err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("blob directory %s: %w", dir, err)
	}
	s := &Store{root: root, self: rand.Text()}
	if err := root.Mkdir(tmp, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		root.Close()
		return nil, fmt.Errorf("blob directory %s: %w", dir, err)
	}
	if err := errors.Join(s.clear(stale), s.syncDir(".")); err != nil {
		root.Close()
		return nil, fmt.Errorf("blob directory %s: %w", dir, err)
	}
	return s, nil
}

// clear removes what is stale from tmp. Others may remove the same meanwhile.
func (s *Store) clear(stale func(fs.FileInfo) bool) error {
	d, err := s.root.Open(tmp)
	if err != nil {
		return err
	}
	defer d.Close()
	entries, err := d.ReadDir(-1)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if i, err := e.Info(); err != nil || !stale(i) {
			continue
		}
		if err := s.root.RemoveAll(path.Join(tmp, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// Close releases the directory. Readers that are open stay usable.
func (s *Store) Close() error { return s.root.Close() }

// Put implements blob.Store: it writes and syncs a file in tmp, renames it into
// place and syncs the directory that holds it.
func (s *Store) Put(ctx context.Context, key string, r io.Reader) (int64, error) {
	if err := blob.CheckKey(key); err != nil {
		return 0, err
	}
	tmpName := s.tmpName()
	n, err := s.writeFile(ctx, tmpName, r)
	if err == nil {
		err = s.place(tmpName, filePath(key))
	}
	if err != nil {
		s.root.Remove(tmpName)
		return 0, fmt.Errorf("blob %s: %w", key, err)
	}
	return n, nil
}

func (s *Store) tmpName() string {
	return path.Join(tmp, fmt.Sprintf("%s-%d", s.self, s.seq.Add(1)))
}

func (s *Store) writeFile(ctx context.Context, name string, r io.Reader) (int64, error) {
	f, err := s.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(f, ctxReader{ctx, r})
	if err == nil {
		err = f.Sync()
	}
	return n, errors.Join(err, f.Close())
}

// place renames from to name, making directories on the way. A Delete beside it
// may take a directory away between the two, so it tries again; each round loses
// only to another Delete, and the bound keeps a broken file system from spinning.
// A directory that is gone once the file is in it was deleted with the file.
func (s *Store) place(from, name string) error {
	var err error
	for range 100 {
		if err = s.mkdirs(path.Dir(name)); err == nil {
			err = s.root.Rename(from, name)
		}
		if err == nil {
			return ignoreMissing(s.syncDir(path.Dir(name)))
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return err
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// mkdirs makes dir and what is missing above it, each durably in its parent.
func (s *Store) mkdirs(dir string) error {
	if dir == "." {
		return nil
	}
	if info, err := s.root.Lstat(dir); err == nil && info.IsDir() {
		return nil
	}
	if err := s.mkdirs(path.Dir(dir)); err != nil {
		return err
	}
	if err := s.root.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return s.syncDir(path.Dir(dir))
}

func (s *Store) syncDir(dir string) error {
	d, err := s.root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Get implements blob.Store.
func (s *Store) Get(ctx context.Context, key string, offset int64) (io.ReadCloser, blob.Info, error) {
	if err := errors.Join(blob.CheckKey(key), ctx.Err()); err != nil {
		return nil, blob.Info{}, err
	}
	f, err := s.root.Open(filePath(key))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, blob.Info{}, fmt.Errorf("%w: %s", blob.ErrNotFound, key)
	}
	if err != nil {
		return nil, blob.Info{}, fmt.Errorf("blob %s: %w", key, err)
	}
	size, err := seek(f, offset)
	if err != nil {
		f.Close()
		return nil, blob.Info{}, fmt.Errorf("blob %s: %w", key, err)
	}
	return f, blob.Info{Key: key, Size: size}, nil
}

func seek(f *os.File, offset int64) (size int64, err error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if !info.Mode().IsRegular() {
		return 0, fmt.Errorf("%s is not a regular file; something else wrote into the blob directory", info.Name())
	}
	if offset < 0 || offset > info.Size() {
		return 0, fmt.Errorf("offset %d is outside its %d bytes", offset, info.Size())
	}
	_, err = f.Seek(offset, io.SeekStart)
	return info.Size(), err
}

// Delete implements blob.Store. A whole prefix vanishes at once: its directory is
// renamed away before its files are removed.
func (s *Store) Delete(ctx context.Context, prefixes ...string) error {
	missing := "" // a directory that is not there, so that nothing below it is looked for
	for _, prefix := range prefixes {
		key, isDir := strings.CutSuffix(prefix, "/")
		if err := errors.Join(blob.CheckKey(key), ctx.Err()); err != nil {
			return err
		}
		above := path.Dir(dirPath(key))
		if above == missing {
			continue
		}
		var err error
		if isDir {
			err = s.deleteDir(dirPath(key))
		} else {
			err = s.deleteFile(filePath(key))
		}
		if errors.Is(err, fs.ErrNotExist) {
			if _, err := s.root.Lstat(above); errors.Is(err, fs.ErrNotExist) {
				missing = above
			}
		} else if err != nil {
			return fmt.Errorf("blobs %s: %w", prefix, err)
		}
	}
	return nil
}

func (s *Store) deleteDir(dir string) error {
	away := s.tmpName()
	if err := s.root.Rename(dir, away); err != nil {
		return err
	}
	return errors.Join(s.syncDir(path.Dir(dir)), s.root.RemoveAll(away))
}

func (s *Store) deleteFile(name string) error {
	if err := s.root.Remove(name); err != nil {
		return err
	}
	dir := path.Dir(name)
	err := s.syncDir(dir)
	for dir != "." && s.root.Remove(dir) == nil { // fails on what is not empty
		dir = path.Dir(dir)
	}
	return err
}

type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (c ctxReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
