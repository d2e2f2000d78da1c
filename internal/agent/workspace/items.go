package workspace

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/reeve-scheduler/reeve/internal/job"
)

const (
	// maxBlobs bounds the blobs of items kept on disk, the newest used first.
	maxBlobs = 8
	// stride is how many lines of a blob lie between two known offsets.
	stride = 64
	// maxBlob bounds the bytes of one blob of items.
	maxBlob = 16 << 30
	maxItem = job.MaxPayload + 64<<10
)

// blobs gives the items of arrays whose lists are too large for a spec: a blob of
// JSON strings, one a line. Each is fetched once and kept as a file with an index.
type blobs struct {
	space *Space
	mu    sync.Mutex
	// order is the cached blobs, the last used at the end.
	order []*blob
}

// blob is one cached blob.
type blob struct {
	key, path string
	// users is guarded by the cache's lock: only what nobody reads is dropped.
	users int

	mu      sync.Mutex
	offsets []int64
	lines   int64
	ready   bool
}

// item returns the item at a position, counted from 0.
func (c *blobs) item(ctx context.Context, key string, position int64) (string, error) {
	root, err := c.space.cfg.Root()
	if err != nil {
		return "", err
	}
	b := c.borrow(root, key)
	defer c.giveBack(b)
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.ready {
		if err := c.space.insist(ctx, func() error { return b.fill(ctx, c.space.cfg.Store.FetchBlob) }); err != nil {
			return "", err
		}
		b.ready = true
	}
	return b.at(position)
}

// borrow finds or makes the entry of a key, and drops one that was not used for long.
func (c *blobs) borrow(root, key string) *blob {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.order, func(b *blob) bool { return b.key == key })
	var b *blob
	if i >= 0 {
		b = c.order[i]
		c.order = slices.Delete(c.order, i, i+1)
	} else {
		sum := sha256.Sum256([]byte(key))
		b = &blob{key: key, path: filepath.Join(root, BlobsDir, hex.EncodeToString(sum[:]))}
		c.dropOne()
	}
	b.users++
	c.order = append(c.order, b)
	return b
}

func (c *blobs) dropOne() {
	if len(c.order) < maxBlobs {
		return
	}
	i := slices.IndexFunc(c.order, func(b *blob) bool { return b.users == 0 })
	if i < 0 {
		return // all are read right now: there are as many as prepare at once
	}
	os.Remove(c.order[i].path) //nolint:errcheck // what stays is swept at the next start
	c.order = slices.Delete(c.order, i, i+1)
}

func (c *blobs) giveBack(b *blob) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b.users--
}

// fill fetches the blob and notes where every stride-th line begins.
func (b *blob) fill(ctx context.Context, get func(context.Context, string, io.Writer) error) error {
	f, err := os.OpenFile(b.path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return &job.Error{Code: job.Refused, Message: err.Error()}
	}
	buf := bufio.NewWriterSize(f, 64<<10)
	b.lines, b.offsets = 0, b.offsets[:0]
	index := &indexer{to: buf, blob: b, fresh: true}
	limited := &bounded{to: index, left: maxBlob}
	if err = get(ctx, b.key, limited); limited.left < 0 {
		err = &job.Error{Code: job.Refused, Message: "the list is larger than " + job.FormatSize(maxBlob)}
	}
	return errors.Join(err, buf.Flush(), f.Close())
}

// indexer counts lines on their way to a file.
type indexer struct {
	to    io.Writer
	blob  *blob
	at    int64
	fresh bool
}

func (x *indexer) Write(p []byte) (int, error) {
	for _, c := range p {
		if x.fresh {
			if x.blob.lines%stride == 0 {
				x.blob.offsets = append(x.blob.offsets, x.at)
			}
			x.blob.lines++
			x.fresh = false
		}
		x.at++
		x.fresh = c == '\n'
	}
	return x.to.Write(p)
}

// at reads one line.
func (b *blob) at(position int64) (item string, err error) {
	if position < 0 || position >= b.lines {
		return "", fmt.Errorf("no item %d among %d", position, b.lines)
	}
	f, err := os.Open(b.path)
	if err != nil {
		return "", err
	}
	defer f.Close() //nolint:errcheck // it was only read
	if _, err := f.Seek(b.offsets[position/stride], io.SeekStart); err != nil {
		return "", err
	}
	lines := bufio.NewScanner(f)
	lines.Buffer(make([]byte, 0, 4<<10), maxItem)
	for range position%stride + 1 {
		if !lines.Scan() {
			return "", errors.Join(lines.Err(), fmt.Errorf("item %d: the blob ends before it", position))
		}
	}
	if err := json.Unmarshal(lines.Bytes(), &item); err != nil {
		return "", fmt.Errorf("item %d: %w", position, err)
	}
	return item, nil
}
