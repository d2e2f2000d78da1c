// Package cloudblob keeps blobs as objects of a bucket: in Amazon S3 and what speaks its
// protocol, in Google Cloud Storage through the same, and in Azure Blob Storage, where a bucket is
// called a container.
//
// A blob's object is named prefix/key and an exclamation mark. The mark lets a and a/b be two
// blobs even where a bucket is a directory of files, and sorts before all that a key may hold,
// so that objects are listed in the order of keys.
package cloudblob

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/reeve-scheduler/reeve/internal/blob"
)

const (
	// mark ends the name of an object.
	mark = "!"
	// partSize is how much of a blob is in memory while it is put. A blob that is not longer
	// goes in one request.
	partSize = 8 << 20
	// maxParts is how many parts S3 takes for one object.
	maxParts = 10_000
	// maxBatch is how many objects S3 removes in one request, and removers how many are removed at
	// once where there is no request for many.
	maxBatch = 1000
	removers = 16
)

// bucket is what a service does for a Store, with objects by their full names. All of it tries
// again what may succeed then, a bounded number of times, and names bucket and remedy in errors.
type bucket interface {
	// put stores a small object.
	put(ctx context.Context, name string, content []byte) error
	// begin begins an object in parts. Nobody sees it before it is completed.
	begin(ctx context.Context, name string) (upload, error)
	// get reads up to n bytes from offset, which is inside the object. An etag that is not empty
	// is that of the version to read. blob.ErrNotFound, or errOffset, where there is nothing.
	get(ctx context.Context, name, etag string, offset, n int64) (piece, error)
	// size is the object's; blob.ErrNotFound if there is none.
	size(ctx context.Context, name string) (int64, error)
	// list calls fn for the objects whose names begin with prefix and come after after, in the
	// order of names, until it returns an error, which list returns.
	list(ctx context.Context, prefix, after string, fn func(name string, size int64) error) error
	// remove removes objects, maxBatch at most. One that is not there is no error.
	remove(ctx context.Context, names []string) error
}

// upload is an object that is put in parts.
type upload interface {
	// part stores the next part. The content is the caller's again afterwards.
	part(ctx context.Context, content []byte) error
	// complete makes the object of its parts.
	complete(ctx context.Context) error
	// abort drops the parts.
	abort(ctx context.Context)
}

// piece is a part of an object that is being read.
type piece struct {
	io.ReadCloser
	// n is how many bytes it has, size how many the whole object has.
	n, size int64
	etag    string
}

// errOffset: the object has no byte at that offset.
var errOffset = errors.New("offset is past the end")

// Store is a blob.Store in a bucket. What it asks of the bucket is durable when it is answered.
// A prefix is not deleted at once but object by object, and a reader that is open when its blob is
// deleted or replaced may fail.
type Store struct {
	bucket bucket
	// root is what all names begin with: empty, or a prefix and a slash.
	root string
}

var _ blob.Store = (*Store)(nil)

// IsAddress reports whether place is the address of a bucket, and not a directory.
func IsAddress(place string) bool { return strings.Contains(place, "://") }

// ErrUnavailable: the service can't be reached, or is not able to answer at the moment.
var ErrUnavailable = errors.New("not available")

// Open returns the bucket that address names, which it does not look at yet:
//
//	s3://bucket/prefix?region=eu-west-1&endpoint=https://minio.example:9000
//	gs://bucket/prefix
//	azblob://container/prefix?account=name
//
// Keys come from the environment or the files that are usual for the service.
func Open(address string) (*Store, error) {
	a, err := parse(address)
	if err != nil {
		return nil, err
	}
	s := &Store{root: a.prefix}
	if a.scheme == azureScheme {
		s.bucket, err = openAzure(a)
	} else {
		s.bucket, err = openS3(a)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Check looks whether the bucket is there and can be read. ErrUnavailable is an error that may
// pass; others are for an operator to mend.
func (s *Store) Check(ctx context.Context) error {
	enough := errors.New("enough")
	err := s.bucket.list(ctx, s.root, "", func(string, int64) error { return enough })
	if errors.Is(err, enough) {
		return nil
	}
	return err
}

// Close does nothing: it is there so that whoever has a store can treat all alike.
func (s *Store) Close() error { return nil }

func (s *Store) name(key string) string { return s.root + key + mark }

// key is the blob's whose object has that name; false for an object of somebody else.
func (s *Store) key(name string) (string, bool) {
	key, ours := strings.CutSuffix(strings.TrimPrefix(name, s.root), mark)
	return key, ours && blob.CheckKey(key) == nil
}

// Put implements blob.Store. It holds one part in memory at a time.
func (s *Store) Put(ctx context.Context, key string, r io.Reader) (int64, error) {
	if err := blob.CheckKey(key); err != nil {
		return 0, err
	}
	n, err := s.put(ctx, s.name(key), r)
	if err != nil {
		return 0, fmt.Errorf("blob %s: %w", key, err)
	}
	return n, nil
}

func (s *Store) put(ctx context.Context, name string, r io.Reader) (total int64, err error) {
	var buf bytes.Buffer
	var u upload
	defer func() {
		if err != nil && u != nil {
			u.abort(context.WithoutCancel(ctx))
		}
	}()
	for parts := 1; ; parts++ {
		buf.Reset()
		n, err := io.CopyN(&buf, r, partSize)
		last := errors.Is(err, io.EOF)
		if err != nil && !last {
			return 0, err
		}
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		total += n
		switch {
		case last && u == nil:
			return total, s.bucket.put(ctx, name, buf.Bytes())
		case u == nil:
			if u, err = s.bucket.begin(ctx, name); err != nil {
				return 0, err
			}
		case parts > maxParts:
			return 0, fmt.Errorf("it is larger than %d bytes, the most that a bucket takes", int64(maxParts)*partSize)
		}
		if n > 0 {
			if err := u.part(ctx, buf.Bytes()); err != nil {
				return 0, err
			}
		}
		if last {
			return total, u.complete(ctx)
		}
	}
}

// List implements blob.Store.
func (s *Store) List(ctx context.Context, prefix string, fn func(blob.Info) error) error {
	if err := blob.CheckPrefix(prefix); err != nil {
		return err
	}
	return s.bucket.list(ctx, s.root+prefix, "", func(name string, size int64) error {
		if key, ok := s.key(name); ok {
			return fn(blob.Info{Key: key, Size: size})
		}
		return nil
	})
}

// Delete implements blob.Store. Prefixes that lie close together, as those of jobs do, are found
// with few requests.
func (s *Store) Delete(ctx context.Context, prefixes ...string) error {
	var names, below []string
	for _, prefix := range prefixes {
		key, isDir := strings.CutSuffix(prefix, "/")
		if err := blob.CheckKey(key); err != nil {
			return err
		}
		if isDir {
			below = append(below, s.root+prefix)
		} else {
			names = append(names, s.name(key))
		}
	}
	for batch := range slices.Chunk(names, maxBatch) {
		if err := s.bucket.remove(ctx, batch); err != nil {
			return err
		}
	}
	slices.Sort(below)
	return s.removeBelow(ctx, slices.Compact(below))
}

// errSkip ends a list, to go on with another.
var errSkip = errors.New("go on with another list")

// maxStrays is how many objects that stay a list goes over before another one begins behind them.
const maxStrays = 200

// removeBelow removes what is below each of the prefixes, which are sorted. One list goes over
// all of them for as long as what it meets is to be removed.
func (s *Store) removeBelow(ctx context.Context, prefixes []string) error {
	for len(prefixes) > 0 {
		common := commonPrefix(prefixes[0], prefixes[len(prefixes)-1])
		var names []string
		strays := 0
		after := prefixes[0] // no object is named like that: names end in the mark
		err := s.bucket.list(ctx, common, after, func(name string, _ int64) error {
			for len(prefixes) > 0 && name > prefixes[0] && !strings.HasPrefix(name, prefixes[0]) {
				prefixes = prefixes[1:]
			}
			switch {
			case len(prefixes) == 0:
				return errSkip
			case strings.HasPrefix(name, prefixes[0]) && strings.HasSuffix(name, mark):
				names = append(names, name)
			default:
				strays++
			}
			if strays == maxStrays || len(names) == maxBatch {
				return errSkip
			}
			return nil
		})
		if err != nil && !errors.Is(err, errSkip) {
			return err
		}
		if len(names) > 0 {
			if err := s.bucket.remove(ctx, names); err != nil {
				return err
			}
		}
		if err == nil {
			return nil
		}
	}
	return nil
}

// removeEach removes some objects at a time. One that is not there is no error.
func removeEach(names []string, remove func(name string) error) error {
	errs := make(chan error, removers)
	for part := range slices.Chunk(names, removers) {
		var wg sync.WaitGroup
		for _, name := range part {
			wg.Go(func() {
				err := remove(name)
				if errors.Is(err, blob.ErrNotFound) {
					err = nil
				}
				errs <- err
			})
		}
		wg.Wait()
		for range part {
			if err := <-errs; err != nil {
				return err
			}
		}
	}
	return nil
}

func commonPrefix(a, b string) string {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return a[:n]
}
