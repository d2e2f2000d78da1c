package record

import (
	"fmt"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/record/field"
	"github.com/reeve-scheduler/reeve/internal/store"
)

// formatField is the number of the format's field, in every payload.
const formatField field.Number = 1

// putFormat begins a payload that programs of every format can read.
func putFormat(b []byte) []byte { return field.Uint(b, formatField, core.FirstFormat) }

// The fields that most jobs of a batch have in common.
const (
	sharedNamespace = iota
	sharedBy
)

// reader walks over the fields of one message of a payload.
type reader struct{ field.Reader }

// open begins to read a payload, whose format comes first.
func open(b []byte) reader { return openWith(&field.Payload{}, b) }

// openWith is open for one of many payloads, one after the other.
func openWith(p *field.Payload, b []byte) reader {
	r := reader{p.Read(b)}
	if !r.Next() || r.Field != formatField {
		p.Err = fmt.Errorf("record: no format at the beginning of %d bytes: %w", len(b), store.ErrCorrupt)
	} else if n := r.Uint(); n == 0 || n > Newest {
		r.Fail(fmt.Errorf("format %d, of which this program knows 1 to %d: %w", n, Newest, ErrFormat))
	}
	return r
}

// message returns a reader of a nested message.
func (r *reader) message() reader { return reader{r.Message()} }

// unknown refuses a field that the message's reader has no case for.
func (r *reader) unknown() { r.Fail(fmt.Errorf("field %d is not known: %w", r.Field, ErrFormat)) }

func (r *reader) elementState() job.ElementState {
	return job.ElementState(r.AtMost(uint64(job.Skipped)))
}

func (r *reader) state() job.State { return job.State(r.AtMost(uint64(job.JobCancelled))) }
