// Package digest says whether two copies of a state are the same, a part at a time.
package digest

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/record"
	"github.com/reeve-scheduler/reeve/internal/store"
)

// Of is what the part of a state comes to that an event is about, whatever Sum it has: a
// hash of the rows that it would have in the tables. How they are written is a matter of the
// cluster's format, so that programs of different versions agree on it.
func Of(s *core.State, of core.StateDigested) (sum core.Hash) {
	rows := record.NewRows()
	s.ExportPart(rows, of)
	f := rows.Flush(0, store.Mark{})
	h := sha256.New()
	var b []byte
	put := func(blob []byte, key string, numbers ...uint64) {
		b = b[:0]
		for _, n := range append(numbers, uint64(len(key)), uint64(len(blob))) {
			b = binary.AppendUvarint(b, n)
		}
		h.Write(append(append(b, key...), blob...)) // a hash takes everything
	}
	for i := range f.Objects {
		o := &f.Objects[i]
		put(o.Blob, o.Key, uint64(o.Kind))
	}
	for i := range f.Jobs {
		j := &f.Jobs[i]
		put(j.Spec[:], j.Namespace, j.ID, uint64(j.State), uint64(j.Submitted))
		put(j.Blob, j.Queue)
	}
	for i := range f.Parts {
		p := &f.Parts[i]
		put(p.Blob, "", p.Job, uint64(p.Task), p.N)
	}
	h.Sum(sum[:0])
	return sum
}
