package logstore

import (
	"context"
	"encoding/binary"
	"hash/crc32"
	"io"
	"iter"

	"github.com/klauspost/compress/zstd"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// piece is what goes into a pack: an entry, of which the place is not known yet,
// and its bytes, which are only valid until the next piece.
type piece struct {
	entry
	data []byte
}

// packWriter writes a pack to w in one pass and bounded memory: one block, and
// the entries.
type packWriter struct {
	w   io.Writer
	pos int64
	enc *zstd.Encoder
	buf []byte // packed
	err error

	p       *pack
	block   []byte
	entries []entry
	// open is the first entry whose block is not written yet.
	open int
}

// writePack stores the pieces, which come sorted by reference and offset, under
// p's key and completes p. Without pieces nothing is stored and p has no pages.
func (s *Store) writePack(ctx context.Context, p *pack, pieces iter.Seq2[piece, error]) error {
	r, w := io.Pipe()
	pw := &packWriter{w: w, enc: s.encoder, p: p}
	ended := make(chan struct{})
	some := make(chan bool, 1)
	go func() {
		defer close(ended)
		w.CloseWithError(pw.run(pieces, some))
	}()
	var err error
	if <-some {
		p.size, err = s.blobs.Put(ctx, p.key, r)
	}
	r.CloseWithError(err) // ends the writer if the blob store gave up
	<-ended
	if err == nil {
		err = pw.err
	}
	return err
}

// run writes everything. It says on some, once, whether there is anything.
func (pw *packWriter) run(pieces iter.Seq2[piece, error], some chan<- bool) error {
	first := true
	for pc, err := range pieces {
		if first {
			first = false
			some <- true
		}
		if pw.err = err; err == nil {
			pw.add(pc)
		}
		if pw.err != nil {
			return pw.err
		}
	}
	if first {
		some <- false
		return nil
	}
	pw.flush()
	pw.finish()
	return pw.err
}

func (pw *packWriter) add(pc piece) {
	if pc.cut != nil || pc.final {
		pw.entries = append(pw.entries, pc.entry)
		return
	}
	if len(pw.block) > 0 && len(pw.block)+len(pc.data) > blockSize {
		pw.flush()
	}
	if k := len(pw.entries); k > pw.open {
		last := &pw.entries[k-1]
		if last.ref == pc.ref && last.cut == nil && !last.final && last.end() == pc.off {
			last.n += pc.n
			pw.block = append(pw.block, pc.data...)
			return
		}
	}
	pc.at = len(pw.block)
	pw.block = append(pw.block, pc.data...)
	pw.entries = append(pw.entries, pc.entry)
}

// flush writes the block and tells its entries where it is.
func (pw *packWriter) flush() {
	if len(pw.block) > 0 {
		pos, n := pw.emit(pw.block)
		for i := pw.open; i < len(pw.entries); i++ {
			if e := &pw.entries[i]; e.cut == nil && !e.final {
				e.blockPos, e.blockLen = pos, n
			}
		}
		pw.block = pw.block[:0]
	}
	pw.open = len(pw.entries)
}

// emit writes b as a zstd frame.
func (pw *packWriter) emit(b []byte) (pos int64, n int) {
	pw.buf = pw.enc.EncodeAll(b, pw.buf[:0])
	pos = pw.pos
	pw.write(pw.buf)
	return pos, len(pw.buf)
}

func (pw *packWriter) write(b []byte) {
	if pw.err == nil {
		_, pw.err = pw.w.Write(b)
		pw.pos += int64(len(b))
	}
}

// finish writes pages, meta data and footer.
func (pw *packWriter) finish() {
	p := pw.p
	var page []byte
	refs := 0
	var prev job.Ref
	for i := 0; i < len(pw.entries); i += pageSize {
		part := pw.entries[i:min(i+pageSize, len(pw.entries))]
		page = page[:0]
		for _, e := range part {
			page = appendEntry(page, e)
			if e.ref != prev {
				refs++
			}
			if k := len(p.jobs); k == 0 || p.jobs[k-1] != e.ref.Job {
				p.jobs = append(p.jobs, e.ref.Job)
			}
			prev = e.ref
		}
		pg := pageRef{ref: part[0].ref, off: part[0].off}
		pg.pos, pg.len = pw.emit(page)
		p.pages = append(p.pages, pg)
	}
	p.last = prev
	p.refs = newBloom(refs)
	for _, e := range pw.entries {
		p.refs.add(e.ref)
	}
	pos, n := pw.emit(p.encodeMeta())
	foot := binary.LittleEndian.AppendUint64(nil, uint64(pos))
	foot = binary.LittleEndian.AppendUint32(foot, uint32(n))
	foot = binary.LittleEndian.AppendUint32(foot, crc32.Checksum(pw.buf, castagnoli))
	pw.write(append(foot, packMagic...))
}

// repack yields what is left of p: the pieces of jobs that are not dropped.
func (s *Store) repack(ctx context.Context, p *pack) iter.Seq2[piece, error] {
	return func(yield func(piece, error) bool) {
		var block []byte
		blockPos := int64(-1)
		for i := range p.pages {
			entries, err := s.page(ctx, p, i)
			if err != nil {
				yield(piece{}, err)
				return
			}
			for _, e := range entries {
				if !p.has(e.ref.Job) {
					continue
				}
				pc := piece{entry: e}
				if e.cut == nil && !e.final {
					if e.blockPos != blockPos {
						if block, err = s.unpack(ctx, p.key, e.blockPos, e.blockLen); err != nil {
							yield(piece{}, err)
							return
						}
						blockPos = e.blockPos
					}
					if pc.data, err = sliceBlock(block, e, p.key); err != nil {
						yield(piece{}, err)
						return
					}
				}
				if !yield(pc, nil) {
					return
				}
			}
		}
	}
}

// newEncoder makes a packer for EncodeAll.
func newEncoder() *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(maxChunk), zstd.WithLowerEncoderMem(true))
	if err != nil {
		panic(err) // only wrong options fail
	}
	return e
}

// deletePack removes a pack's blob; one that stays is removed at the next Open or
// holds only room.
func (s *Store) deletePack(ctx context.Context, p *pack) {
	if err := s.blobs.Delete(ctx, p.key); err != nil {
		s.o.Log.Warn("can't remove a log pack", "key", p.key, "error", err)
	}
}
