package cloudblob

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/reeve-scheduler/reeve/internal/blob"
)

const (
	// firstRead is how much of a blob is asked for at first, about what a reader of logs wants of
	// a pack; each further request asks for four times as much, up to mostRead.
	firstRead = 256 << 10
	mostRead  = 64 << 20
	// maxBroken is how often in a row a connection may break without a byte having come.
	maxBroken = 3
)

// Get implements blob.Store.
func (s *Store) Get(ctx context.Context, key string, offset int64) (io.ReadCloser, blob.Info, error) {
	if err := blob.CheckKey(key); err != nil {
		return nil, blob.Info{}, err
	}
	r, size, err := s.open(ctx, s.name(key), offset)
	if errors.Is(err, blob.ErrNotFound) {
		return nil, blob.Info{}, fmt.Errorf("%w: %s", blob.ErrNotFound, key)
	}
	if err != nil {
		return nil, blob.Info{}, fmt.Errorf("blob %s: %w", key, err)
	}
	return r, blob.Info{Key: key, Size: size}, nil
}

func (s *Store) open(ctx context.Context, name string, offset int64) (io.ReadCloser, int64, error) {
	if offset < 0 {
		return nil, 0, fmt.Errorf("offset %d: want one from 0", offset)
	}
	p, err := s.bucket.get(ctx, name, "", offset, firstRead)
	if errors.Is(err, errOffset) {
		size, err := s.bucket.size(ctx, name)
		if err == nil && size != offset {
			err = fmt.Errorf("offset %d is outside its %d bytes", offset, size)
		}
		return io.NopCloser(eof{}), size, err
	}
	if err != nil {
		return nil, 0, err
	}
	return &reader{ctx: ctx, bucket: s.bucket, name: name, piece: p, at: offset, window: firstRead}, p.size, nil
}

type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }

// reader reads one version of an object piece by piece, so that who wants little leaves little
// behind on the connection, and goes on where one breaks.
type reader struct {
	ctx    context.Context
	bucket bucket
	name   string
	piece  piece
	// at is where the next byte is, read how many of the piece have come.
	at, read int64
	window   int64
	broken   int
}

// Read implements io.Reader.
func (r *reader) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	for {
		if r.at >= r.piece.size {
			return 0, io.EOF
		}
		if r.read >= r.piece.n {
			r.window = min(4*r.window, mostRead)
			if err := r.next(); err != nil {
				return 0, err
			}
		}
		n, err := r.piece.Read(b[:min(int64(len(b)), r.piece.n-r.read)])
		r.at += int64(n)
		r.read += int64(n)
		if n > 0 {
			r.broken = 0
			return n, nil
		}
		if err == nil {
			continue
		}
		if r.broken++; r.broken > maxBroken || r.ctx.Err() != nil {
			return 0, fmt.Errorf("at byte %d: %w", r.at, errors.Join(r.ctx.Err(), unexpected(err)))
		}
		if err := r.next(); err != nil {
			return 0, err
		}
	}
}

// unexpected is what an end of the connection inside a piece means.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// next asks for what follows.
func (r *reader) next() error {
	r.piece.Close()
	p, err := r.bucket.get(r.ctx, r.name, r.piece.etag, r.at, r.window)
	if err != nil {
		return fmt.Errorf("at byte %d: %w", r.at, err)
	}
	r.piece, r.read = p, 0
	return nil
}

// Close implements io.Closer.
func (r *reader) Close() error { return r.piece.Close() }
