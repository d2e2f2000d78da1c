package seal

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/reeve-scheduler/reeve/internal/store"
)

// Row is where a query stands: what it points to is gone with the next.
type Row interface{ Scan(dest ...any) error }

// Integer scans an integer column without reflection.
type Integer int64

// Scan implements sql.Scanner.
func (i *Integer) Scan(src any) error {
	v, ok := src.(int64)
	if !ok {
		return fmt.Errorf("%w: %T where an integer was written", store.ErrCorrupt, src)
	}
	*i = Integer(v)
	return nil
}

// SetInt64 takes the column from a connection that has it as a number.
func (i *Integer) SetInt64(v int64) { *i = Integer(v) }

// StoredJobWidth is the number of StoredJobColumns, jobWidth of JobColumns, and liveWidth of
// LiveColumns.
const (
	StoredJobWidth = 16
	jobWidth       = 15
	liveWidth      = 10
)

// The columns of a job: those of lists, of reads of all but the payload, and all that are stored.
const (
	JobKeyColumns    = "id, live, changed, namespace, queue, name, state, submitted, ended, keep_until, key_hash, labels, spec"
	JobColumns       = JobKeyColumns + ", sum, body"
	StoredJobColumns = JobColumns + ", payload"
	// LiveColumns are few: each takes half a microsecond a row. What is left out is the same of
	// all live jobs. Names of namespaces and queues have no slash.
	LiveColumns = "id, changed, state, submitted, key_hash, namespace || '/' || queue || '/' || name, labels, spec, sum, body"
)

// Scratch is the space in which a writer makes columns. What was appended is the caller's until
// Reset. Not safe for concurrent use.
type Scratch struct{ labels, payloads, columns []byte }

// Reset begins the space anew.
func (s *Scratch) Reset() { s.labels, s.payloads = s.labels[:0], s.payloads[:0] }

// Trim gives back what is more than most bytes of payloads.
func (s *Scratch) Trim(most int) {
	if cap(s.payloads) > most {
		s.payloads = nil
	}
}

// AppendJob appends the columns of a job that are stored.
func (s *Scratch) AppendJob(args []any, j *store.JobRow) []any {
	from := len(s.labels)
	s.labels = AppendLabels(s.labels, j.Labels)
	labels := s.labels[from:len(s.labels):len(s.labels)]
	var sum int64
	sum, s.columns = Job(s.columns, j, labels)
	return append(args, int64(j.ID), Live(j), int64(j.Changed), j.Namespace, j.Queue, j.Name,
		int64(j.State), j.Submitted, j.Ended, j.KeepUntil, int64(j.KeyHash), labels, j.Spec[:],
		sum, j.Blob, s.payload(j))
}

// payload makes the column of a job's payload.
func (s *Scratch) payload(j *store.JobRow) any {
	if j.Payload == nil {
		return nil
	}
	from := len(s.payloads)
	s.payloads = AppendPayload(s.payloads, j.ID, j.Payload)
	return s.payloads[from:len(s.payloads):len(s.payloads)]
}

// JobScanner reads the rows of one query of jobs. What it reads into is made once: a
// recovery reads a million rows. The zero value is not ready; see NewJobScanner. Not safe for
// concurrent use.
type JobScanner struct {
	id, live, changed, state, submitted, ended, keep, key, check Integer
	namespace, queue, name                                       string
	labels, spec, body, payload                                  sql.RawBytes
	dest                                                         [StoredJobWidth]any
	ofLive                                                       [liveWidth]any
	block, columns                                               []byte
}

// NewJobScanner returns a scanner for any of a job's lists of columns.
func NewJobScanner() *JobScanner {
	s := &JobScanner{}
	s.dest = [StoredJobWidth]any{&s.id, &s.live, &s.changed, &s.namespace, &s.queue, &s.name,
		&s.state, &s.submitted, &s.ended, &s.keep, &s.key, &s.labels, &s.spec, &s.check, &s.body, &s.payload}
	s.ofLive = [liveWidth]any{&s.id, &s.changed, &s.state, &s.submitted, &s.key, &s.name, &s.labels, &s.spec, &s.check, &s.body}
	return s
}

// Scan reads a row of JobColumns or, without the body, of JobKeyColumns.
func (s *JobScanner) Scan(rows Row, withBody bool) (store.JobRow, error) {
	n := jobWidth
	if !withBody {
		n -= 2
	}
	if err := rows.Scan(s.dest[:n]...); err != nil {
		return store.JobRow{}, err
	}
	return s.job(withBody)
}

// ScanStored reads a row of StoredJobColumns.
func (s *JobScanner) ScanStored(rows Row) (store.JobRow, error) {
	if err := rows.Scan(s.dest[:]...); err != nil {
		return store.JobRow{}, err
	}
	j, err := s.job(true)
	if err != nil || s.payload == nil {
		return j, err
	}
	var ok bool
	if j.Payload, ok = Payload(j.ID, s.payload); !ok {
		err = Damaged("job %d: its payload", j.ID)
	}
	return j, err
}

// ScanLive reads a row of LiveColumns.
func (s *JobScanner) ScanLive(rows Row) (store.JobRow, error) {
	if err := rows.Scan(s.ofLive[:]...); err != nil {
		return store.JobRow{}, err
	}
	s.live = 1
	s.namespace, s.name, _ = strings.Cut(s.name, "/")
	s.queue, s.name, _ = strings.Cut(s.name, "/")
	return s.job(true)
}

// job is the row that was read.
func (s *JobScanner) job(withBody bool) (store.JobRow, error) {
	j := store.JobRow{
		ID: uint64(s.id), Live: s.live == 1, Changed: uint64(s.changed), Namespace: s.namespace, Queue: s.queue, Name: s.name,
		State: uint8(s.state), Submitted: int64(s.submitted), Ended: int64(s.ended), KeepUntil: int64(s.keep), KeyHash: uint64(s.key),
	}
	if copy(j.Spec[:], s.spec) != len(j.Spec) {
		return j, Damaged("job %d", j.ID)
	}
	var ok bool
	if j.Labels, ok = Labels(s.labels); !ok {
		return j, Damaged("job %d: its labels", j.ID)
	}
	if !withBody {
		return j, nil
	}
	j.Blob = s.kept(s.body)
	var sum int64
	sum, s.columns = Job(s.columns, &j, s.labels)
	if int64(s.live) != Live(&j) || uint64(s.state) != uint64(j.State) || sum != int64(s.check) {
		return j, Damaged("job %d", j.ID)
	}
	return j, nil
}

// kept copies a body, which is gone with the next row. Those of many rows share their
// memory: they live for as long as each other.
func (s *JobScanner) kept(body []byte) []byte {
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

// The columns of a part, and how many they are.
const (
	PartWidth   = 7
	PartColumns = "job, task, kind, n, changed, sum, body"
)

// AppendPart appends a part's columns.
func AppendPart(args []any, p *store.PartRow) []any {
	return append(args, int64(p.Job), int64(p.Task), int64(p.Kind), int64(p.N), int64(p.Changed), Part(p), p.Blob)
}

// ScanPart reads a row of PartColumns.
func ScanPart(rows Row) (store.PartRow, error) {
	var p store.PartRow
	var job, task, kind, n, changed, check Integer
	if err := rows.Scan(&job, &task, &kind, &n, &changed, &check, &p.Blob); err != nil {
		return p, err
	}
	p.Job, p.Task, p.Kind, p.N, p.Changed = uint64(job), uint32(task), store.PartKind(kind), uint64(n), uint64(changed)
	if Part(&p) != int64(check) {
		return p, Damaged("part %d of kind %d of job %d, task %d", p.N, p.Kind, p.Job, p.Task)
	}
	return p, nil
}

// The columns of an object, and how many they are.
const (
	ObjectWidth   = 5
	ObjectColumns = "kind, name, changed, sum, state"
)

// AppendObject appends an object's columns.
func AppendObject(args []any, o *store.ObjectRow) []any {
	return append(args, int64(o.Kind), o.Key, int64(o.Changed), Object(o), o.Blob)
}

// ScanObject reads a row of ObjectColumns.
func ScanObject(rows Row) (store.ObjectRow, error) {
	var o store.ObjectRow
	var kind, changed, check Integer
	if err := rows.Scan(&kind, &o.Key, &changed, &check, &o.Blob); err != nil {
		return o, err
	}
	o.Kind, o.Changed = uint8(kind), uint64(changed)
	if Object(&o) != int64(check) {
		return o, Damaged("object %d %q", o.Kind, o.Key)
	}
	return o, nil
}

// SpecWidth is the number of a spec's columns.
const SpecWidth = 3

// AppendSpec appends a spec's columns: hash, sum, body.
func AppendSpec(args []any, s *store.SpecRow) []any {
	return append(args, s.Hash[:], Spec(s.Hash, s.Blob), s.Blob)
}
