package logstore

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/reeve-scheduler/reeve/internal/logline"
)

// maxRecords bounds the index of one segment in memory.
const maxRecords = 1 << 17

// segment is a file that many attempts share while their bytes are fresh. size and
// records are written under Store.writing and read under Store.mu as well.
type segment struct {
	n       uint64
	f       *os.File
	size    int64
	kept    int64 // how much of it was there when the store was opened
	records int
	// staged is how much of it is in blobs, too, and parts as what; under Store.stage.staging, and
	// written under Store.mu as well.
	staged int64
	parts  []stagedPart
	// newest is when the last record was written, in Unix milliseconds.
	newest   int64
	attempts []*attempt
	// holds counts who uses the file: the store once, and each reader.
	holds int
	// gone: packed, so the file goes with the last hold.
	gone bool
}

func segmentName(n uint64) string { return fmt.Sprintf("%016x.seg", n) }

// parseSegmentName reads what segmentName wrote.
func parseSegmentName(name string) (uint64, bool) {
	hex, ok := strings.CutSuffix(name, ".seg")
	n, err := strconv.ParseUint(hex, 16, 64)
	return n, ok && err == nil && segmentName(n) == name
}

func createSegment(dir string, n uint64) (*segment, error) {
	f, err := os.OpenFile(filepath.Join(dir, segmentName(n)), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	head := append([]byte(segmentMagic), logline.Version)
	if _, err := f.WriteAt(head, 0); err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	return &segment{n: n, f: f, size: int64(headerSize), holds: 1}, nil
}

// openSegment opens a segment and calls fn for each whole record, with the
// position of its data. size is set to the end of the last one: what stands after
// it was torn by a crash.
func openSegment(path string, n uint64, fn func(seg *segment, r record, dataPos int64)) (*segment, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	seg := &segment{n: n, f: f, holds: 1}
	if err := seg.scan(fn); err != nil {
		f.Close()
		return nil, err
	}
	return seg, nil
}

var errHeader = errors.New("is not a log segment of this version")

func (seg *segment) scan(fn func(*segment, record, int64)) error {
	head := make([]byte, headerSize)
	if n, err := seg.f.ReadAt(head, 0); n < headerSize && !errors.Is(err, io.EOF) {
		return err
	} else if n < headerSize || string(head[:len(segmentMagic)]) != segmentMagic || head[headerSize-1] != logline.Version {
		return errHeader
	}
	pos := int64(headerSize)
	buf := make([]byte, 4*maxRecord)
	for {
		n, err := seg.f.ReadAt(buf, pos)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		used := 0
		for used < n {
			r, size, err := decodeRecord(buf[used:n], pos+int64(used))
			if err != nil {
				break
			}
			used += size
			seg.records++
			seg.newest = max(seg.newest, r.time)
			fn(seg, r, pos+int64(used-len(r.data)))
		}
		pos += int64(used)
		if used == 0 { // the end, or a torn record: the buffer holds any whole one
			seg.size, seg.kept = pos, pos
			return nil
		}
	}
}

// write appends r's record and returns where its data lies. After an error the
// place is free again: the next record overwrites what got written.
func (seg *segment) write(buf []byte, r record) (enc []byte, dataPos int64, err error) {
	enc = appendRecord(buf[:0], seg.size, r)
	if _, err := seg.f.WriteAt(enc, seg.size); err != nil {
		return enc, 0, err
	}
	return enc, seg.size + int64(len(enc)-len(r.data)), nil
}

// release ends a hold on the file.
func (s *Store) release(seg *segment) {
	s.mu.Lock()
	seg.holds--
	last, gone := seg.holds == 0, seg.gone
	s.mu.Unlock()
	if !last {
		return
	}
	seg.f.Close()
	if gone {
		if err := os.Remove(seg.f.Name()); err != nil {
			s.o.Log.Warn("can't remove a packed log segment", "file", seg.f.Name(), "error", err)
		}
	}
}
