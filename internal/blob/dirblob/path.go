package dirblob

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/reeve-scheduler/reeve/internal/blob"
)

// dirPath is where the blobs below key live, filePath where the blob key does.
func dirPath(key string) string {
	var b strings.Builder
	b.Grow(len(key) + 8)
	for i := range len(key) {
		c := key[i]
		if 'A' <= c && c <= 'Z' {
			b.WriteByte('+')
			c += 'a' - 'A'
		}
		b.WriteByte(c)
	}
	return b.String()
}

func filePath(key string) string { return dirPath(key) + "~" }

// segment reads a name in the directory back: the key's segment, with a slash at
// the end for a directory. It refuses names that no key has.
func segment(name string, isDir bool) (string, bool) {
	if !isDir {
		var ok bool
		if name, ok = strings.CutSuffix(name, "~"); !ok {
			return "", false
		}
	}
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		c := name[i]
		if 'A' <= c && c <= 'Z' {
			return "", false
		}
		if c == '+' {
			if i++; i == len(name) || name[i] < 'a' || name[i] > 'z' {
				return "", false
			}
			c = name[i] - ('a' - 'A')
		}
		b.WriteByte(c)
	}
	seg := b.String()
	if strings.Contains(seg, "/") || blob.CheckKey(seg) != nil {
		return "", false
	}
	if isDir {
		seg += "/"
	}
	return seg, true
}

// List implements blob.Store. It holds the names of one directory per level in
// memory. What is put or deleted meanwhile may or may not be seen.
func (s *Store) List(ctx context.Context, prefix string, fn func(blob.Info) error) error {
	if err := blob.CheckPrefix(prefix); err != nil {
		return err
	}
	base := ""
	if i := strings.LastIndexByte(prefix, '/'); i >= 0 {
		base = prefix[:i+1]
	}
	return s.list(ctx, base, prefix, fn)
}

// list visits what is below base (empty or ending in a slash) in key order: with
// the slash at the end of directories, the order of names is the order of keys.
func (s *Store) list(ctx context.Context, base, prefix string, fn func(blob.Info) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	names, err := s.names(path.Join(".", dirPath(base)))
	if err != nil {
		return err
	}
	for _, name := range names {
		key := base + name
		below := strings.HasSuffix(name, "/")
		switch {
		case !strings.HasPrefix(key, prefix):
			continue
		case below:
			err = s.list(ctx, key, prefix, fn)
		default:
			err = s.info(key, fn)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) info(key string, fn func(blob.Info) error) error {
	st, err := s.root.Lstat(filePath(key))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return fn(blob.Info{Key: key, Size: st.Size()})
}

func (s *Store) names(dir string) ([]string, error) {
	d, err := s.root.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer d.Close()
	entries, err := d.ReadDir(-1)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		if !e.IsDir() && !e.Type().IsRegular() {
			continue
		}
		if seg, ok := segment(e.Name(), e.IsDir()); ok {
			names = append(names, seg)
		}
	}
	slices.Sort(names)
	return names, nil
}
