package record

import (
	"fmt"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/record/field"
	"github.com/reeve-scheduler/reeve/internal/record/format"
	"github.com/reeve-scheduler/reeve/internal/store"
)

// attemptBits is how many low bits of a past attempt's N are its number.
const attemptBits = 16

func putChunk(b []byte, m *core.ChunkImage) []byte {
	b = field.Uint(b, formatField, format.OfChunk(m))
	b = field.Bytes(b, 2, m.Columns)
	b = putSpans(b, 3, m.Open)
	for i := range m.Retries {
		b = putRetry(b, 4, &m.Retries[i])
	}
	for i := range m.Live {
		b = putAttempt(b, 5, &m.Live[i])
	}
	return b
}

// Chunk returns the image of a part of kind store.PartChunk.
func Chunk(row store.PartRow) (core.ChunkImage, error) {
	m := core.ChunkImage{Job: job.ID(row.Job), Task: row.Task, Chunk: int(row.N)}
	r := openPart(row, store.PartChunk)
	for r.Next() {
		switch r.Field {
		case 2:
			m.Columns = r.Bytes()
		case 3:
			m.Open = append(m.Open, r.span())
		case 4:
			m.Retries = append(m.Retries, r.retry())
		case 5:
			m.Live = append(m.Live, r.attempt())
		default:
			r.unknown()
		}
	}
	return m, r.failure(row)
}

func putPast(b []byte, m *core.PastAttempt) []byte {
	b = field.Uint(b, formatField, format.OfPast(m))
	b = field.String(b, 2, m.Worker)
	b = putCause(b, 3, m.Cause)
	b = putUsage(b, 4, m.Usage)
	b = field.Int(b, 5, m.Assigned)
	b = field.Int(b, 6, m.Started)
	b = field.Int(b, 7, m.Ended)
	b = field.Uint(b, 8, uint64(m.Way))
	return field.Int(b, 9, m.Memory)
}

// Past returns the image of a part of kind store.PartAttempt.
func Past(row store.PartRow) (core.PastAttempt, error) {
	m := core.PastAttempt{
		Job: job.ID(row.Job), Task: row.Task, Position: int64(row.N >> attemptBits), Number: uint16(row.N),
	}
	r := openPart(row, store.PartAttempt)
	for r.Next() {
		switch r.Field {
		case 2:
			m.Worker = r.String()
		case 3:
			m.Cause = r.cause()
		case 4:
			m.Usage = r.usage()
		case 5:
			m.Assigned = r.Int()
		case 6:
			m.Started = r.Int()
		case 7:
			m.Ended = r.Int()
		case 8:
			m.Way = r.Uint8()
		case 9:
			m.Memory = r.Int()
		default:
			r.unknown()
		}
	}
	return m, r.failure(row)
}

func putOutput(b []byte, m *core.OutputImage) []byte {
	return field.Bytes(putFormat(b), 2, m.Outputs)
}

// Output returns the image of a part of kind store.PartOutput.
func Output(row store.PartRow) (core.OutputImage, error) {
	m := core.OutputImage{Job: job.ID(row.Job), Task: row.Task, Position: int64(row.N)}
	r := openPart(row, store.PartOutput)
	for r.Next() {
		switch r.Field {
		case 2:
			m.Outputs = r.Bytes()
		default:
			r.unknown()
		}
	}
	return m, r.failure(row)
}

func openPart(row store.PartRow, kind store.PartKind) reader {
	r := open(row.Blob)
	if row.Kind != kind {
		r.Fail(fmt.Errorf("want kind %d: %w", kind, store.ErrCorrupt))
	}
	return r
}

func (r *reader) failure(row store.PartRow) error {
	if r.Err() == nil {
		return nil
	}
	return fmt.Errorf("record: part %d of kind %d of job %d task %d: %w", row.N, row.Kind, row.Job, row.Task, r.Err())
}
