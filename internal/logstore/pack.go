package logstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/reeve-scheduler/reeve/internal/blob"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// A pack is an immutable blob: blocks of frames, then pages of entries sorted by
// reference and offset, then the meta data, each a zstd frame, and a footer that
// says where the meta data is.
const (
	packMagic  = "reevepk\x01"
	footerSize = 8 + 4 + 4 + len(packMagic)
	pageSize   = 256 // entries
	// blockSize is where a block ends; a larger piece is a block of its own. It
	// is what reading one small log unpacks.
	blockSize = 64 << 10
	// maxUnpacked bounds what one zstd frame may unpack to.
	maxUnpacked = 64 << 20
)

var errPack = errors.New("damaged log pack")

// entry is a piece of one stream in a pack: n stream bytes from off, which are n
// bytes at at of the unpacked block, or cut; or, when final, the end of a sealed
// stream.
type entry struct {
	ref      job.Ref
	off, n   int64
	blockPos int64
	blockLen int
	at       int
	cut      *cut
	final    bool
}

func (e entry) end() int64 { return e.off + e.n }

// The kinds of entries. The numbers are stored.
const (
	entData  byte = 1
	entCut   byte = 2
	entFinal byte = 3
)

// pageRef says where a page is and how it begins.
type pageRef struct {
	ref job.Ref
	off int64
	pos int64
	len int
}

// pack is what memory holds of a pack: about ten bytes for each attempt in it.
// It never changes; a drop replaces it by a copy.
type pack struct {
	n, gen uint64
	key    string
	size   int64
	// newest is the last time something in it was appended, in Unix milliseconds.
	newest int64
	pages  []pageRef
	last   job.Ref
	// jobs has every job in the pack, dropped those that are void; both sorted.
	jobs, dropped []job.ID
	refs          bloom
}

func (s *Store) packKey(n, gen uint64) string {
	return fmt.Sprintf("%s/%016x.%d", s.o.Prefix, n, gen)
}

func (s *Store) parsePackKey(key string) (n, gen uint64, ok bool) {
	hex, g, _ := strings.Cut(strings.TrimPrefix(key, s.o.Prefix+"/"), ".")
	n, err1 := strconv.ParseUint(hex, 16, 64)
	gen, err2 := strconv.ParseUint(g, 10, 64)
	return n, gen, err1 == nil && err2 == nil && s.packKey(n, gen) == key
}

// has reports whether the job is in the pack and not dropped.
func (p *pack) has(id job.ID) bool {
	_, in := slices.BinarySearch(p.jobs, id)
	_, out := slices.BinarySearch(p.dropped, id)
	return in && !out
}

// mayHave is almost always right, and never wrong when it says no.
func (p *pack) mayHave(ref job.Ref) bool {
	return compareRefs(ref, p.pages[0].ref) >= 0 && compareRefs(ref, p.last) <= 0 &&
		p.has(ref.Job) && p.refs.has(ref)
}

// readAt reads n bytes of a blob at pos.
func readAt(ctx context.Context, blobs blob.Store, key string, pos int64, n int) ([]byte, error) {
	r, _, err := blobs.Get(ctx, key, pos)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, fmt.Errorf("log pack %s: %w", key, err)
	}
	return b, nil
}

// newDecoder makes an unpacker for DecodeAll; it may be used concurrently.
func newDecoder() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(maxUnpacked))
	if err != nil {
		panic(err) // only wrong options fail
	}
	return d
}

// unpack reads one zstd frame of a pack.
func (s *Store) unpack(ctx context.Context, key string, pos int64, n int) ([]byte, error) {
	b, err := readAt(ctx, s.blobs, key, pos, n)
	if err != nil {
		return nil, err
	}
	out, err := s.zstd.DecodeAll(b, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %s at %d: %w", errPack, key, pos, err)
	}
	return out, nil
}

// openPack reads a pack's meta data.
func (s *Store) openPack(ctx context.Context, info blob.Info) (*pack, error) {
	n, gen, ok := s.parsePackKey(info.Key)
	if !ok || info.Size < int64(footerSize) {
		return nil, fmt.Errorf("%w: %s", errPack, info.Key)
	}
	foot, err := readAt(ctx, s.blobs, info.Key, info.Size-int64(footerSize), footerSize)
	if err != nil {
		return nil, err
	}
	pos, size := int64(binary.LittleEndian.Uint64(foot)), int(binary.LittleEndian.Uint32(foot[8:]))
	if !bytes.HasSuffix(foot, []byte(packMagic)) || pos < 0 || pos > info.Size || int64(size) != info.Size-int64(footerSize)-pos {
		return nil, fmt.Errorf("%w: %s has no footer", errPack, info.Key)
	}
	packed, err := readAt(ctx, s.blobs, info.Key, pos, size)
	if err != nil {
		return nil, err
	}
	if crc32.Checksum(packed, castagnoli) != binary.LittleEndian.Uint32(foot[12:]) {
		return nil, fmt.Errorf("%w: %s: wrong checksum", errPack, info.Key)
	}
	meta, err := s.zstd.DecodeAll(packed, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", errPack, info.Key, err)
	}
	p := &pack{n: n, gen: gen, key: info.Key, size: info.Size}
	if !p.decodeMeta(meta) {
		return nil, fmt.Errorf("%w: %s: unreadable meta data", errPack, info.Key)
	}
	return p, nil
}

func (p *pack) encodeMeta() []byte {
	b := binary.AppendUvarint(nil, uint64(p.newest))
	b = appendRef(b, p.last)
	b = binary.AppendUvarint(b, uint64(len(p.pages)))
	for _, pg := range p.pages {
		b = appendRef(b, pg.ref)
		b = binary.AppendUvarint(b, uint64(pg.off))
		b = binary.AppendUvarint(b, uint64(pg.pos))
		b = binary.AppendUvarint(b, uint64(pg.len))
	}
	b = binary.AppendUvarint(b, uint64(len(p.jobs)))
	var last job.ID
	for _, id := range p.jobs {
		b = binary.AppendUvarint(b, uint64(id-last))
		last = id
	}
	return append(b, p.refs...)
}

func (p *pack) decodeMeta(b []byte) bool {
	d := &decoder{b: b}
	p.newest = d.num()
	p.last = d.ref()
	for range d.count() {
		p.pages = append(p.pages, pageRef{d.ref(), d.num(), d.num(), int(d.num())})
	}
	count := d.count()
	p.jobs = make([]job.ID, 0, count)
	var last job.ID
	for range count {
		last += job.ID(d.uint())
		p.jobs = append(p.jobs, last)
	}
	p.refs = slices.Clone(d.b)
	return !d.bad && len(p.pages) > 0 && len(p.jobs) > 0 && len(p.refs) > 0
}

// count reads a number of things of at least a byte each.
func (d *decoder) count() int {
	n := d.num()
	if n > int64(len(d.b)) {
		d.bad = true
		return 0
	}
	return int(n)
}

func appendEntry(b []byte, e entry) []byte {
	kind := entData
	switch {
	case e.final:
		kind = entFinal
	case e.cut != nil:
		kind = entCut
	}
	b = append(b, kind)
	b = appendRef(b, e.ref)
	b = binary.AppendUvarint(b, uint64(e.off))
	switch kind {
	case entData:
		b = binary.AppendUvarint(b, uint64(e.n))
		b = binary.AppendUvarint(b, uint64(e.blockPos))
		b = binary.AppendUvarint(b, uint64(e.blockLen))
		b = binary.AppendUvarint(b, uint64(e.at))
	case entCut:
		b = binary.AppendUvarint(b, uint64(e.n))
		b = binary.AppendUvarint(b, uint64(e.cut.lost))
		b = binary.AppendUvarint(b, uint64(e.cut.time))
	}
	return b
}

func (d *decoder) entry() entry {
	kind := d.byte()
	e := entry{ref: d.ref(), off: d.num()}
	switch kind {
	case entData:
		e.n, e.blockPos, e.blockLen, e.at = d.num(), d.num(), int(d.num()), int(d.num())
	case entCut:
		e.n, e.cut = d.num(), &cut{d.num(), d.num()}
	case entFinal:
		e.final = true
	default:
		d.bad = true
	}
	return e
}

// page reads page i of a pack, through the cache.
func (s *Store) page(ctx context.Context, p *pack, i int) ([]entry, error) {
	if entries := s.pages.get(p.key, i); entries != nil {
		return entries, nil
	}
	b, err := s.unpack(ctx, p.key, p.pages[i].pos, p.pages[i].len)
	if err != nil {
		return nil, err
	}
	d := &decoder{b: b}
	entries := make([]entry, 0, pageSize)
	for len(d.b) > 0 && len(entries) < pageSize {
		entries = append(entries, d.entry())
	}
	if d.bad || len(d.b) > 0 || len(entries) == 0 {
		return nil, fmt.Errorf("%w: %s: unreadable page %d", errPack, p.key, i)
	}
	s.pages.put(p.key, i, entries)
	return entries, nil
}

func compareEntry(ref job.Ref, off int64, e entry) int {
	if c := compareRefs(ref, e.ref); c != 0 {
		return c
	}
	switch {
	case off < e.off:
		return -1
	case off > e.off:
		return 1
	}
	return 0
}

// find returns the first piece of ref in p that ends after off, or the end of the
// stream if that is at or after off.
func (s *Store) find(ctx context.Context, p *pack, ref job.Ref, off int64) (entry, bool, error) {
	// The last page that begins at or before the place, or else the first.
	i := sort.Search(len(p.pages), func(i int) bool {
		return compareEntry(ref, off, entry{ref: p.pages[i].ref, off: p.pages[i].off}) < 0
	})
	for i = max(i-1, 0); i < len(p.pages); i++ {
		entries, err := s.page(ctx, p, i)
		if err != nil {
			return entry{}, false, err
		}
		k := sort.Search(len(entries), func(k int) bool {
			e := entries[k]
			c := compareRefs(e.ref, ref)
			return c > 0 || c == 0 && (e.end() > off || e.final && e.off >= off)
		})
		if k < len(entries) {
			return entries[k], entries[k].ref == ref, nil
		}
	}
	return entry{}, false, nil
}

// lastOf returns the last piece of ref in p.
func (s *Store) lastOf(ctx context.Context, p *pack, ref job.Ref) (entry, bool, error) {
	i := sort.Search(len(p.pages), func(i int) bool { return compareRefs(p.pages[i].ref, ref) > 0 })
	if i == 0 {
		return entry{}, false, nil
	}
	entries, err := s.page(ctx, p, i-1)
	if err != nil {
		return entry{}, false, err
	}
	k := sort.Search(len(entries), func(k int) bool { return compareRefs(entries[k].ref, ref) > 0 })
	if k == 0 || entries[k-1].ref != ref {
		return entry{}, false, nil
	}
	return entries[k-1], true, nil
}

// lastInPacks returns the last piece of ref in any pack, the zero entry if there
// is none. Later packs hold later pieces.
func (s *Store) lastInPacks(ctx context.Context, packs []*pack, ref job.Ref) (entry, error) {
	for _, p := range slices.Backward(packs) {
		if !p.mayHave(ref) {
			continue
		}
		if e, ok, err := s.lastOf(ctx, p, ref); err != nil || ok {
			return e, err
		}
	}
	return entry{}, nil
}
