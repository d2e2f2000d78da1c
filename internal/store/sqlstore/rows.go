package sqlstore

import (
	"database/sql"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"

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

// damaged is the error for a row whose checksum doesn't match.
func damaged(what string, args ...any) error {
	return fmt.Errorf("%w: %s: the checksum doesn't match", store.ErrCorrupt, fmt.Sprintf(what, args...))
}

// integer scans an integer column without reflection.
type integer int64

// Scan implements sql.Scanner.
func (i *integer) Scan(src any) error {
	v, ok := src.(int64)
	if !ok {
		return fmt.Errorf("%w: %T where an integer was written", store.ErrCorrupt, src)
	}
	*i = integer(v)
	return nil
}

// SetInt64 implements postgres.Integer.
func (i *integer) SetInt64(v int64) { *i = integer(v) }

// jobWidth is the number of a job's columns that reads of it ask for, in the order of
// jobColumns; what is written has storedJobWidth.
const jobWidth, storedJobWidth = 15, 16

const jobKeyColumns = "id, live, changed, namespace, queue, name, state, submitted, ended, keep_until, key_hash, labels, spec"

const jobColumns = jobKeyColumns + ", sum, body"

const storedJobColumns = jobColumns + ", payload"

// appendJob appends a job's columns.
func (t *tables) appendJob(args []any, j *store.JobRow, labels []byte) []any {
	var sum int64
	sum, t.columns = jobSum(t.columns, j, labels)
	return append(args, int64(j.ID), liveColumn(j), int64(j.Changed), j.Namespace, j.Queue, j.Name,
		int64(j.State), j.Submitted, j.Ended, j.KeepUntil, int64(j.KeyHash), labels, j.Spec[:],
		sum, j.Blob, t.payloadColumn(j))
}

// sumLen is how many bytes of a payload's column are its checksum: it has one of its own,
// since a row is written again without it.
const sumLen = 4

// payloadColumn makes the column of a job's payload in the writer's scratch space.
func (t *tables) payloadColumn(j *store.JobRow) any {
	if j.Payload == nil {
		return nil
	}
	from := len(t.payloads)
	t.payloads = binary.LittleEndian.AppendUint32(t.payloads, uint32(sum(j.Payload, j.ID)))
	t.payloads = append(t.payloads, j.Payload...)
	return t.payloads[from:len(t.payloads):len(t.payloads)]
}

// payloadOf reads what payloadColumn wrote, a copy, never nil; false when it didn't.
func payloadOf(job uint64, column []byte) ([]byte, bool) {
	if len(column) < sumLen {
		return nil, false
	}
	payload := append([]byte{}, column[sumLen:]...)
	return payload, uint32(sum(payload, job)) == binary.LittleEndian.Uint32(column)
}

func liveColumn(j *store.JobRow) int64 {
	if j.Live {
		return 1
	}
	return 0
}

// jobSum is the checksum of a job: of its body and of every other column but the payload,
// because lists, retention and recovery go by those. labels are encoded; scratch is what is used
// to put the columns side by side, and returned for the next.
func jobSum(scratch []byte, j *store.JobRow, labels []byte) (sum int64, used []byte) {
	columns := scratch[:0]
	for _, text := range [...]string{j.Namespace, j.Queue, j.Name} {
		columns = binary.AppendUvarint(columns, uint64(len(text)))
		columns = append(columns, text...)
	}
	columns = append(append(columns, labels...), j.Spec[:]...)
	for _, n := range [...]int64{int64(j.ID), liveColumn(j), int64(j.Changed), int64(j.State), j.Submitted, j.Ended, j.KeepUntil, int64(j.KeyHash)} {
		columns = binary.LittleEndian.AppendUint64(columns, uint64(n))
	}
	return int64(crc32.Update(crc32.Checksum(j.Blob, castagnoli), castagnoli, columns)), columns
}

// jobScanner reads the rows of one query of jobs. What it reads into is made once: a
// recovery reads a million rows. The zero value is not ready; see newJobScanner.
type jobScanner struct {
	id, live, changed, state, submitted, ended, keep, key, check integer
	namespace, queue, name                                       string
	labels, spec, body                                           sql.RawBytes
	dest                                                         [jobWidth]any
	ofLive                                                       [liveWidth]any
	block, columns                                               []byte
}

func newJobScanner() *jobScanner {
	s := &jobScanner{}
	s.dest = [jobWidth]any{&s.id, &s.live, &s.changed, &s.namespace, &s.queue, &s.name,
		&s.state, &s.submitted, &s.ended, &s.keep, &s.key, &s.labels, &s.spec, &s.check, &s.body}
	s.ofLive = [liveWidth]any{&s.id, &s.changed, &s.state, &s.submitted, &s.key, &s.name, &s.labels, &s.spec, &s.check, &s.body}
	return s
}

// scan reads a row of jobColumns or, without the body, of jobKeyColumns.
func (s *jobScanner) scan(rows row, withBody bool) (store.JobRow, error) {
	n := jobWidth
	if !withBody {
		n -= 2
	}
	if err := rows.Scan(s.dest[:n]...); err != nil {
		return store.JobRow{}, err
	}
	return s.job(withBody)
}

// scanLive reads a row of selectLive.
func (s *jobScanner) scanLive(rows row) (store.JobRow, error) {
	if err := rows.Scan(s.ofLive[:]...); err != nil {
		return store.JobRow{}, err
	}
	s.live = 1
	s.namespace, s.name, _ = strings.Cut(s.name, "/")
	s.queue, s.name, _ = strings.Cut(s.name, "/")
	return s.job(true)
}

// job is the row that was read.
func (s *jobScanner) job(withBody bool) (store.JobRow, error) {
	j := store.JobRow{
		ID: uint64(s.id), Live: s.live == 1, Changed: uint64(s.changed), Namespace: s.namespace, Queue: s.queue, Name: s.name,
		State: uint8(s.state), Submitted: int64(s.submitted), Ended: int64(s.ended), KeepUntil: int64(s.keep), KeyHash: uint64(s.key),
	}
	if copy(j.Spec[:], s.spec) != len(j.Spec) {
		return j, damaged("job %d", j.ID)
	}
	var ok bool
	if j.Labels, ok = decodeLabels(s.labels); !ok {
		return j, damaged("job %d: its labels", j.ID)
	}
	if !withBody {
		return j, nil
	}
	j.Blob = s.kept(s.body)
	var sum int64
	sum, s.columns = jobSum(s.columns, &j, s.labels)
	if int64(s.live) != liveColumn(&j) || uint64(s.state) != uint64(j.State) || sum != int64(s.check) {
		return j, damaged("job %d", j.ID)
	}
	return j, nil
}

// kept copies a body, which is gone with the next row. Those of many rows share their
// memory: they live for as long as each other.
func (s *jobScanner) kept(body []byte) []byte {
	const blockLen = 16 << 10
	if body == nil || len(body) > blockLen/4 {
		return slices.Clone(body)
	}
	if cap(s.block)-len(s.block) < len(body) {
		s.block = make([]byte, 0, blockLen)
	}
	at := len(s.block)
	s.block = append(s.block, body...)
	return s.block[at:len(s.block):len(s.block)]
}

// encodeLabels appends labels to buf, each with its length before it.
func encodeLabels(buf []byte, labels []string) []byte {
	for _, l := range labels {
		buf = binary.AppendUvarint(buf, uint64(len(l)))
		buf = append(buf, l...)
	}
	return buf
}

// decodeLabels reads what encodeLabels wrote; false when it didn't.
func decodeLabels(b []byte) (labels []string, ok bool) {
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

const (
	partWidth   = 7
	partColumns = "job, task, kind, n, changed, sum, body"
)

func partSum(p *store.PartRow) int64 {
	return sum(p.Blob, p.Job, uint64(p.Task), uint64(p.Kind), p.N, p.Changed)
}

// appendPart appends a part's columns.
func appendPart(args []any, p *store.PartRow) []any {
	return append(args, int64(p.Job), int64(p.Task), int64(p.Kind), int64(p.N), int64(p.Changed), partSum(p), p.Blob)
}

// scanPart reads a row of partColumns.
func scanPart(rows row) (store.PartRow, error) {
	var p store.PartRow
	var job, task, kind, n, changed, check integer
	if err := rows.Scan(&job, &task, &kind, &n, &changed, &check, &p.Blob); err != nil {
		return p, err
	}
	p.Job, p.Task, p.Kind, p.N, p.Changed = uint64(job), uint32(task), store.PartKind(kind), uint64(n), uint64(changed)
	if partSum(&p) != int64(check) {
		return p, damaged("part %d of kind %d of job %d, task %d", p.N, p.Kind, p.Job, p.Task)
	}
	return p, nil
}

const (
	objectWidth   = 5
	objectColumns = "kind, name, changed, sum, state"
)

func objectSum(o *store.ObjectRow) int64 {
	return sum(slices.Concat([]byte(o.Key), o.Blob), uint64(o.Kind), uint64(len(o.Key)), o.Changed)
}

// appendObject appends an object's columns.
func appendObject(args []any, o *store.ObjectRow) []any {
	return append(args, int64(o.Kind), o.Key, int64(o.Changed), objectSum(o), o.Blob)
}

// scanObject reads a row of objectColumns.
func scanObject(rows row) (store.ObjectRow, error) {
	var o store.ObjectRow
	var kind, changed, check integer
	if err := rows.Scan(&kind, &o.Key, &changed, &check, &o.Blob); err != nil {
		return o, err
	}
	o.Kind, o.Changed = uint8(kind), uint64(changed)
	if objectSum(&o) != int64(check) {
		return o, damaged("object %d %q", o.Kind, o.Key)
	}
	return o, nil
}

const specWidth = 3

// appendSpec appends a spec's columns: hash, sum, body.
func appendSpec(args []any, s *store.SpecRow) []any {
	return append(args, s.Hash[:], specSum(s.Hash, s.Blob), s.Blob)
}

func specSum(hash [32]byte, blob []byte) int64 {
	return sum(blob, binary.LittleEndian.Uint64(hash[:]))
}
