package sqlstore

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/reeve-scheduler/reeve/internal/store"
	"github.com/reeve-scheduler/reeve/internal/store/sqlstore/seal"
)

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
	sum, t.columns = seal.Job(t.columns, j, labels)
	return append(args, int64(j.ID), seal.Live(j), int64(j.Changed), j.Namespace, j.Queue, j.Name,
		int64(j.State), j.Submitted, j.Ended, j.KeepUntil, int64(j.KeyHash), labels, j.Spec[:],
		sum, j.Blob, t.payloadColumn(j))
}

// payloadColumn makes the column of a job's payload in the writer's scratch space.
func (t *tables) payloadColumn(j *store.JobRow) any {
	if j.Payload == nil {
		return nil
	}
	from := len(t.payloads)
	t.payloads = seal.AppendPayload(t.payloads, j.ID, j.Payload)
	return t.payloads[from:len(t.payloads):len(t.payloads)]
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
		return j, seal.Damaged("job %d", j.ID)
	}
	var ok bool
	if j.Labels, ok = seal.Labels(s.labels); !ok {
		return j, seal.Damaged("job %d: its labels", j.ID)
	}
	if !withBody {
		return j, nil
	}
	j.Blob = s.kept(s.body)
	var sum int64
	sum, s.columns = seal.Job(s.columns, &j, s.labels)
	if int64(s.live) != seal.Live(&j) || uint64(s.state) != uint64(j.State) || sum != int64(s.check) {
		return j, seal.Damaged("job %d", j.ID)
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

const (
	partWidth   = 7
	partColumns = "job, task, kind, n, changed, sum, body"
)

// appendPart appends a part's columns.
func appendPart(args []any, p *store.PartRow) []any {
	return append(args, int64(p.Job), int64(p.Task), int64(p.Kind), int64(p.N), int64(p.Changed), seal.Part(p), p.Blob)
}

// scanPart reads a row of partColumns.
func scanPart(rows row) (store.PartRow, error) {
	var p store.PartRow
	var job, task, kind, n, changed, check integer
	if err := rows.Scan(&job, &task, &kind, &n, &changed, &check, &p.Blob); err != nil {
		return p, err
	}
	p.Job, p.Task, p.Kind, p.N, p.Changed = uint64(job), uint32(task), store.PartKind(kind), uint64(n), uint64(changed)
	if seal.Part(&p) != int64(check) {
		return p, seal.Damaged("part %d of kind %d of job %d, task %d", p.N, p.Kind, p.Job, p.Task)
	}
	return p, nil
}

const (
	objectWidth   = 5
	objectColumns = "kind, name, changed, sum, state"
)

// appendObject appends an object's columns.
func appendObject(args []any, o *store.ObjectRow) []any {
	return append(args, int64(o.Kind), o.Key, int64(o.Changed), seal.Object(o), o.Blob)
}

// scanObject reads a row of objectColumns.
func scanObject(rows row) (store.ObjectRow, error) {
	var o store.ObjectRow
	var kind, changed, check integer
	if err := rows.Scan(&kind, &o.Key, &changed, &check, &o.Blob); err != nil {
		return o, err
	}
	o.Kind, o.Changed = uint8(kind), uint64(changed)
	if seal.Object(&o) != int64(check) {
		return o, seal.Damaged("object %d %q", o.Kind, o.Key)
	}
	return o, nil
}

const specWidth = 3

// appendSpec appends a spec's columns: hash, sum, body.
func appendSpec(args []any, s *store.SpecRow) []any {
	return append(args, s.Hash[:], seal.Spec(s.Hash, s.Blob), s.Blob)
}
