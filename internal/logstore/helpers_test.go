package logstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/reeve-scheduler/reeve/internal/blob"
	"github.com/reeve-scheduler/reeve/internal/blob/blobtest"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/logline"
	"github.com/reeve-scheduler/reeve/internal/logstore"
)

// memBlobs is a blob store in memory that fails on cue.
type memBlobs struct {
	mu    sync.Mutex
	blobs map[string][]byte
	// put, if set, is called before each Put and may refuse it.
	put func(key string) error
}

func newBlobs() *memBlobs { return &memBlobs{blobs: map[string][]byte{}} }

func TestMemBlobsKeepTheContract(t *testing.T) {
	blobtest.Run(t, func(*testing.T) blob.Store { return newBlobs() })
}

func (m *memBlobs) Put(ctx context.Context, key string, r io.Reader) (int64, error) {
	m.mu.Lock()
	put := m.put
	m.mu.Unlock()
	if err := blob.CheckKey(key); err != nil {
		return 0, err
	}
	if put != nil {
		if err := put(key); err != nil {
			return 0, err
		}
	}
	b, err := io.ReadAll(r)
	if err = errors.Join(err, ctx.Err()); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.blobs[key] = b
	return int64(len(b)), nil
}

func (m *memBlobs) Get(_ context.Context, key string, off int64) (io.ReadCloser, blob.Info, error) {
	if err := blob.CheckKey(key); err != nil {
		return nil, blob.Info{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.blobs[key]
	if !ok {
		return nil, blob.Info{}, blob.ErrNotFound
	}
	if off < 0 || off > int64(len(b)) {
		return nil, blob.Info{}, errors.New("offset outside the blob")
	}
	return io.NopCloser(bytes.NewReader(b[off:])), blob.Info{Key: key, Size: int64(len(b))}, nil
}

func (m *memBlobs) List(_ context.Context, prefix string, fn func(blob.Info) error) error {
	if err := blob.CheckPrefix(prefix); err != nil {
		return err
	}
	for _, k := range m.keys() {
		if strings.HasPrefix(k, prefix) {
			if err := fn(blob.Info{Key: k, Size: int64(len(m.get(k)))}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *memBlobs) Delete(_ context.Context, prefixes ...string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, prefix := range prefixes {
		key, dir := strings.CutSuffix(prefix, "/")
		if err := blob.CheckKey(key); err != nil {
			return err
		}
		for k := range m.blobs {
			if k == prefix || dir && strings.HasPrefix(k, prefix) {
				delete(m.blobs, k)
			}
		}
	}
	return nil
}

func (m *memBlobs) get(key string) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.blobs[key]
}

func (m *memBlobs) set(key string, b []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.blobs[key] = b
}

func (m *memBlobs) onPut(fn func(string) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.put = fn
}

func (m *memBlobs) keys() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var keys []string
	for k := range m.blobs {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// testing.TB's part that rapid's T has as well.
type tb interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
	Errorf(string, ...any)
}

func open(t tb, dir string, blobs blob.Store, o logstore.Options) *logstore.Store {
	t.Helper()
	if o.Free == nil {
		o.Free = func() (int64, error) { return 1 << 50, nil }
	}
	s, err := logstore.Open(context.Background(), dir, blobs, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// fresh opens an empty store that the test's end closes.
func fresh(t *testing.T, o logstore.Options) (*logstore.Store, *memBlobs) {
	t.Helper()
	blobs := newBlobs()
	s := open(t, t.TempDir(), blobs, o)
	t.Cleanup(func() { s.Close() })
	return s, blobs
}

func ref(text string) job.Ref {
	r, err := job.ParseRef(text)
	if err != nil {
		panic(err)
	}
	return r
}

// out is one frame of stdout at a time in milliseconds.
func out(ms int64, text string) []byte { return logline.Append(nil, logline.Stdout, ms, []byte(text)) }

func errLine(ms int64, text string) []byte {
	return logline.Append(nil, logline.Stderr, ms, []byte(text))
}

// add appends at offset and returns the next one.
func add(t tb, s *logstore.Store, r job.Ref, offset int64, frames ...[]byte) int64 {
	t.Helper()
	next, err := s.Append(context.Background(), r, offset, slices.Concat(frames...))
	if err != nil {
		t.Fatalf("Append(%s, %d): %v", r, offset, err)
	}
	return next
}

func seal(t tb, s *logstore.Store, r job.Ref, size int64) {
	t.Helper()
	if err := s.Seal(context.Background(), r, size); err != nil {
		t.Fatalf("Seal(%s, %d): %v", r, size, err)
	}
}

func flush(t tb, s *logstore.Store) {
	t.Helper()
	if err := s.Flush(context.Background()); err != nil {
		t.Fatalf("Flush: %v", err)
	}
}

// read collects a log as text: "1:data" per frame, in kinds; and checks that
// offsets join.
func read(t tb, s *logstore.Store, r job.Ref, o logstore.ReadOptions) []string {
	t.Helper()
	got, err := collect(context.Background(), s, r, o)
	if err != nil {
		t.Fatalf("Read(%s, %+v): %v", r, o, err)
	}
	return got
}

var kindNames = map[logline.Kind]string{logline.Stdout: "out", logline.Stderr: "err", logline.Gap: "gap", logline.Note: "note"}

func collect(ctx context.Context, s *logstore.Store, r job.Ref, o logstore.ReadOptions) ([]string, error) {
	got := []string{}
	last := int64(-1)
	for e, err := range s.Read(ctx, r, o) {
		if err != nil {
			return got, err
		}
		if e.Offset < last || e.Next <= e.Offset {
			return got, fmt.Errorf("offsets %d to %d after %d", e.Offset, e.Next, last)
		}
		if last >= 0 && e.Offset != last && o.Kinds == 0 && o.Since.IsZero() {
			return got, fmt.Errorf("offset %d does not join %d", e.Offset, last)
		}
		last = e.Next
		got = append(got, kindNames[e.Kind]+":"+string(e.Data))
	}
	return got, nil
}

func at(ms int64) time.Time { return time.UnixMilli(ms) }
