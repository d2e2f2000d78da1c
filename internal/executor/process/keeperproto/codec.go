package keeperproto

import (
	"encoding/binary"
	"time"

	"github.com/reeve-scheduler/reeve/internal/executor"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// encoder appends fields; decoder reads the same fields in the same order and
// remembers the first thing that was wrong.
type encoder struct{ b []byte }

func (e *encoder) uint(v uint64) { e.b = binary.AppendUvarint(e.b, v) }
func (e *encoder) int(v int64)   { e.b = binary.AppendVarint(e.b, v) }

func (e *encoder) string(s string) {
	e.uint(uint64(len(s)))
	e.b = append(e.b, s...)
}

func (e *encoder) strings(list []string) {
	e.uint(uint64(len(list)))
	for _, s := range list {
		e.string(s)
	}
}

func (e *encoder) ref(r job.Ref) {
	e.uint(uint64(r.Job))
	e.string(r.Task)
	e.int(r.Index)
	e.int(int64(r.Attempt))
}

func (e *encoder) cause(c job.Cause) {
	e.uint(uint64(c.Kind))
	e.int(int64(c.Code))
	e.string(c.Detail)
}

func (e *encoder) task(t executor.Task) {
	e.string(t.Key)
	e.ref(t.Ref)
	e.string(t.Dir)
	e.string(t.Work)
	e.strings(t.Argv)
	e.strings(t.Env)
	e.string(t.Stdin)
	e.int(t.LogLimit)
	e.int(int64(t.Grace))
	e.int(int64(t.Timeout))
	e.int(int64(t.Deadline))
}

func (e *encoder) time(t time.Time) {
	if t.IsZero() {
		e.int(0)
		return
	}
	e.int(t.UnixNano())
}

func (e *encoder) exit(x *executor.Exit) {
	if x == nil {
		e.uint(0)
		return
	}
	e.uint(1)
	e.cause(x.Cause)
	e.int(int64(x.Usage.CPU))
	e.int(x.Usage.Memory)
	e.time(x.Started)
	e.time(x.Ended)
	e.int(x.LogSize)
}

type decoder struct {
	b   []byte
	bad bool
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

func (d *decoder) int() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) string() string {
	n := d.uint()
	if n > uint64(len(d.b)) {
		d.bad, d.b = true, nil
		return ""
	}
	s := string(d.b[:n])
	d.b = d.b[n:]
	return s
}

func (d *decoder) strings() []string {
	n := d.uint()
	// Each string takes at least a byte, so that a count can't ask for more memory
	// than a small multiple of the frame.
	if n > uint64(len(d.b)) {
		d.bad, d.b = true, nil
		return nil
	}
	if n == 0 {
		return nil
	}
	list := make([]string, 0, n)
	for range n {
		list = append(list, d.string())
	}
	return list
}

func (d *decoder) ref() job.Ref {
	return job.Ref{Job: job.ID(d.uint()), Task: d.string(), Index: d.int(), Attempt: int(d.int())}
}

func (d *decoder) cause() job.Cause {
	return job.Cause{Kind: job.CauseKind(d.uint()), Code: int32(d.int()), Detail: d.string()}
}

func (d *decoder) task() executor.Task {
	return executor.Task{
		Key: d.string(), Ref: d.ref(), Dir: d.string(), Work: d.string(),
		Argv: d.strings(), Env: d.strings(), Stdin: d.string(),
		LogLimit: d.int(), Grace: time.Duration(d.int()), Timeout: time.Duration(d.int()),
		Deadline: executor.Deadline(d.int()),
	}
}

func (d *decoder) time() time.Time {
	if ns := d.int(); ns != 0 {
		return time.Unix(0, ns)
	}
	return time.Time{}
}

func (d *decoder) exit() *executor.Exit {
	if d.uint() == 0 {
		return nil
	}
	return &executor.Exit{
		Cause:   d.cause(),
		Usage:   job.Usage{CPU: time.Duration(d.int()), Memory: d.int()},
		Started: d.time(), Ended: d.time(), LogSize: d.int(),
	}
}
