// Package blob says what storage of large immutable bytes must promise:
// artifacts, array items and sealed log segments live behind it. The suite in
// blobtest holds each implementation to it.
package blob

import (
	"context"
	"errors"
	"io"
)

// ErrNotFound: no blob has that key.
var ErrNotFound = errors.New("blob: not found")

// ErrKey: the key is not one this contract allows.
var ErrKey = errors.New("blob: bad key")

// Info describes a stored blob.
type Info struct {
	Key  string
	Size int64
}

// Store keeps blobs by key. Keys are slash-separated segments of
// [A-Za-z0-9._=@-], none of them "." or "..", at most MaxSegment bytes each and
// MaxKey in all; anything else is ErrKey (CheckKey says why). A key may also be the
// beginning of another: a and a/b are two blobs. All methods may run concurrently.
type Store interface {
	// Put stores what r yields under key, replacing what was there, and returns
	// the size. A reader sees the old blob or the whole new one, never a part;
	// when Put returns the blob survives power loss. If r fails nothing changes.
	Put(ctx context.Context, key string, r io.Reader) (int64, error)
	// Get opens the blob at offset, which may be its size. Close the reader.
	Get(ctx context.Context, key string, offset int64) (io.ReadCloser, Info, error)
	// List calls fn for every blob whose key begins with prefix, in key order,
	// until fn returns an error, which List returns.
	List(ctx context.Context, prefix string, fn func(Info) error) error
	// Delete removes, for each prefix, every blob whose key begins with it when it
	// ends in a slash, else the one blob whose whole key it is. The empty prefix is
	// refused with ErrKey. Nothing to remove is no error. Readers already open go on or, far from
	// their blob's beginning and where its bytes come over a network, fail; so do they when it is
	// replaced. They never go on with other bytes.
	// After an error some of the prefixes may be gone.
	Delete(ctx context.Context, prefixes ...string) error
}
