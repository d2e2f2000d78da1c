package logstore

import (
	"encoding/binary"
	"errors"
	"hash/crc32"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/logline"
)

// A segment file is a header and records. A record is: length of the payload and
// CRC-32C (4 bytes each, little endian), payload. The CRC covers the record's
// position too, so that the rest of an overwritten record never passes for one.
const (
	segmentMagic = "reevelog\x01\x00\x00"
	headerSize   = len(segmentMagic) + 1 // and the version of the framing
	recordHead   = 8
	// maxChunk is the most frames one record holds.
	maxChunk  = 256 << 10
	maxRecord = maxChunk + logline.MaxFrame + 256
)

// The kinds of records. The numbers are stored.
const (
	recData byte = 1 // n bytes of frames at off
	recCut  byte = 2 // n stream bytes at off are not kept
	recSeal byte = 3 // the stream ends at off
	recDrop byte = 4 // everything of the job so far is void
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errRecord = errors.New("damaged record")

// record is one entry of a segment.
type record struct {
	kind byte
	time int64 // Unix milliseconds
	ref  job.Ref
	off  int64
	n    int64
	lost int64  // of a cut
	data []byte // of data; aliases what was decoded
}

// appendRecord encodes r as it stands at pos in the file.
func appendRecord(b []byte, pos int64, r record) []byte {
	start := len(b)
	b = append(b, make([]byte, recordHead)...)
	b = append(b, r.kind)
	b = binary.AppendUvarint(b, uint64(r.time))
	b = appendRef(b, r.ref)
	b = binary.AppendUvarint(b, uint64(r.off))
	switch r.kind {
	case recData:
		b = append(b, r.data...)
	case recCut:
		b = binary.AppendUvarint(b, uint64(r.n))
		b = binary.AppendUvarint(b, uint64(r.lost))
	}
	payload := b[start+recordHead:]
	binary.LittleEndian.PutUint32(b[start:], uint32(len(payload)))
	binary.LittleEndian.PutUint32(b[start+4:], recordSum(pos, payload))
	return b
}

func recordSum(pos int64, payload []byte) uint32 {
	var at [8]byte
	binary.LittleEndian.PutUint64(at[:], uint64(pos))
	return crc32.Update(crc32.Checksum(at[:], castagnoli), castagnoli, payload)
}

// decodeRecord reads the record at pos from the beginning of b and returns its
// length.
func decodeRecord(b []byte, pos int64) (record, int, error) {
	if len(b) < recordHead {
		return record{}, 0, errRecord
	}
	size := int(binary.LittleEndian.Uint32(b))
	if size == 0 || size > maxRecord || len(b)-recordHead < size {
		return record{}, 0, errRecord
	}
	payload := b[recordHead : recordHead+size]
	if recordSum(pos, payload) != binary.LittleEndian.Uint32(b[4:]) {
		return record{}, 0, errRecord
	}
	d := decoder{b: payload}
	r := record{kind: d.byte(), time: d.num(), ref: d.ref(), off: d.num()}
	switch r.kind {
	case recData:
		r.data, d.b = d.b, nil
		r.n = int64(len(r.data))
	case recCut:
		r.n, r.lost = d.num(), d.num()
	case recSeal, recDrop:
	default:
		d.bad = true
	}
	if d.bad || len(d.b) > 0 || r.off+r.n < 0 {
		return record{}, 0, errRecord
	}
	return r, recordHead + size, nil
}

func appendRef(b []byte, ref job.Ref) []byte {
	b = binary.AppendUvarint(b, uint64(ref.Job))
	b = append(b, byte(len(ref.Task)))
	b = append(b, ref.Task...)
	b = binary.AppendUvarint(b, uint64(ref.Index+1))
	return binary.AppendUvarint(b, uint64(ref.Attempt))
}

// decoder reads what was encoded; after a mistake bad is set and zeros come.
type decoder struct {
	b    []byte
	bad  bool
	task string // the last task's name, to share it
}

func (d *decoder) take(n int) []byte {
	if n < 0 || n > len(d.b) {
		d.bad, d.b = true, nil
		return nil
	}
	part := d.b[:n]
	d.b = d.b[n:]
	return part
}

func (d *decoder) byte() byte {
	if p := d.take(1); p != nil {
		return p[0]
	}
	return 0
}

func (d *decoder) uint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

// num reads a number that is never negative.
func (d *decoder) num() int64 {
	v := int64(d.uint())
	if v < 0 {
		d.bad, v = true, 0
	}
	return v
}

func (d *decoder) ref() job.Ref {
	r := job.Ref{Job: job.ID(d.uint())}
	task := d.take(int(d.byte()))
	if string(task) != d.task {
		d.task = string(task)
	}
	r.Task = d.task
	r.Index = d.num() - 1
	r.Attempt = int(d.num())
	return r
}
