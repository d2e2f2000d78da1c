// Package seal is how rows stand in columns and are read again, and what their checksums cover.
package seal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/reeve-scheduler/reeve/internal/store"
)

// castagnoli is the polynomial of CRC-32C, which processors compute themselves.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sum is the checksum of a row: its bytes bound to the numbers that say which row
// it is, so that a row in another's place is found out too.
func sum(bytes []byte, key ...uint64) int64 {
	crc := crc32.Checksum(bytes, castagnoli)
	var word [8]byte
	for _, k := range key {
		binary.LittleEndian.PutUint64(word[:], k)
		crc = crc32.Update(crc, castagnoli, word[:])
	}
	return int64(crc)
}

// Damaged is the error for a row whose checksum doesn't match.
func Damaged(what string, args ...any) error {
	return fmt.Errorf("%w: %s: the checksum doesn't match", store.ErrCorrupt, fmt.Sprintf(what, args...))
}

// Batch is the checksum of a batch.
func Batch(b *store.Batch) int64 {
	key := []uint64{b.Seq, b.Epoch, binary.LittleEndian.Uint64(b.ID[:8]), binary.LittleEndian.Uint64(b.ID[8:])}
	if b.Prev != ([16]byte{}) { // batches from before there was a Prev have none
		key = append(key, binary.LittleEndian.Uint64(b.Prev[:8]), binary.LittleEndian.Uint64(b.Prev[8:]))
	}
	return sum(b.Payload, key...)
}

// sumLen is how many bytes of a payload's column are its checksum: it has one of its own,
// since a row is written again without it.
const sumLen = 4

// AppendPayload appends the column of a payload.
func AppendPayload(buf []byte, job uint64, payload []byte) []byte {
	buf = binary.LittleEndian.AppendUint32(buf, uint32(sum(payload, job)))
	return append(buf, payload...)
}

// Payload reads what AppendPayload wrote, a copy, never nil; false when it didn't.
func Payload(job uint64, column []byte) ([]byte, bool) {
	if len(column) < sumLen {
		return nil, false
	}
	payload := append([]byte{}, column[sumLen:]...)
	return payload, uint32(sum(payload, job)) == binary.LittleEndian.Uint32(column)
}

// Live is the column of whether a job is live.
func Live(j *store.JobRow) int64 {
	if j.Live {
		return 1
	}
	return 0
}

// Job is the checksum of a job: of its body and of every other column but the payload,
// because lists, retention and recovery go by those. labels are encoded; scratch is what is used
// to put the columns side by side, and returned for the next.
func Job(scratch []byte, j *store.JobRow, labels []byte) (sum int64, used []byte) {
	columns := scratch[:0]
	for _, text := range [...]string{j.Namespace, j.Queue, j.Name} {
		columns = binary.AppendUvarint(columns, uint64(len(text)))
		columns = append(columns, text...)
	}
	columns = append(append(columns, labels...), j.Spec[:]...)
	for _, n := range [...]int64{int64(j.ID), Live(j), int64(j.Changed), int64(j.State), j.Submitted, j.Ended, j.KeepUntil, int64(j.KeyHash)} {
		columns = binary.LittleEndian.AppendUint64(columns, uint64(n))
	}
	return int64(crc32.Update(crc32.Checksum(j.Blob, castagnoli), castagnoli, columns)), columns
}

// AppendLabels appends labels to buf, each with its length before it.
func AppendLabels(buf []byte, labels []string) []byte {
	for _, l := range labels {
		buf = binary.AppendUvarint(buf, uint64(len(l)))
		buf = append(buf, l...)
	}
	return buf
}

// Labels reads what AppendLabels wrote; false when it didn't.
func Labels(b []byte) (labels []string, ok bool) {
	for len(b) > 0 {
		n, w := binary.Uvarint(b)
		if w <= 0 || n > uint64(len(b)-w) {
			return nil, false
		}
		b = b[w:]
		labels = append(labels, string(b[:n]))
		b = b[n:]
	}
	return labels, true
}

// Part is the checksum of a part.
func Part(p *store.PartRow) int64 {
	return sum(p.Blob, p.Job, uint64(p.Task), uint64(p.Kind), p.N, p.Changed)
}

// Object is the checksum of an object.
func Object(o *store.ObjectRow) int64 {
	return sum(slices.Concat([]byte(o.Key), o.Blob), uint64(o.Kind), uint64(len(o.Key)), o.Changed)
}

// Spec is the checksum of a spec.
func Spec(hash [32]byte, blob []byte) int64 {
	return sum(blob, binary.LittleEndian.Uint64(hash[:]))
}
