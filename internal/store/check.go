package store

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Check returns ErrRefused with the reason when no journal may hold b.
func (b *Batch) Check() error {
	switch {
	case b.Seq == 0 || b.Seq > math.MaxInt64:
		return fmt.Errorf("%w: batch sequence %d: want 1 to %d", ErrRefused, b.Seq, int64(math.MaxInt64))
	case b.Seq == 1 && b.Prev != [16]byte{}:
		return fmt.Errorf("%w: the first batch follows %x: want none", ErrRefused, b.Prev)
	case b.Epoch > math.MaxInt64:
		return fmt.Errorf("%w: batch %d: epoch %d: want at most %d", ErrRefused, b.Seq, b.Epoch, int64(math.MaxInt64))
	case len(b.Payload) > MaxBatch:
		return fmt.Errorf("%w: batch %d: %d bytes of payload: want at most %d; split the turn",
			ErrRefused, b.Seq, len(b.Payload), MaxBatch)
	}
	return nil
}

// Check returns ErrRefused with the reason when f breaks a rule that can be seen
// without the tables.
func (f *Flush) Check() error {
	if f.Seq > math.MaxInt64 {
		return fmt.Errorf("%w: flush at sequence %d: want at most %d", ErrRefused, f.Seq, int64(math.MaxInt64))
	}
	for i := range f.Objects {
		if o := &f.Objects[i]; o.Changed > math.MaxInt64 {
			return fmt.Errorf("%w: object %d %q: changed at %d: out of range", ErrRefused, o.Kind, o.Key, o.Changed)
		}
	}
	last := uint64(0)
	for i := range f.Jobs {
		j := &f.Jobs[i]
		if j.ID <= last || j.ID > math.MaxInt64 || j.Changed > math.MaxInt64 {
			return fmt.Errorf("%w: job %d changed at %d stands after job %d: ids must rise within 1 to %d",
				ErrRefused, j.ID, j.Changed, last, int64(math.MaxInt64))
		}
		last = j.ID
	}
	for i := range f.Parts {
		p := &f.Parts[i]
		if p.Kind < PartChunk || p.Kind > PartOutput || p.N > math.MaxInt64 || p.Changed > math.MaxInt64 {
			return fmt.Errorf("%w: part %d of kind %d of job %d changed at %d: unknown kind or out of range",
				ErrRefused, p.N, p.Kind, p.Job, p.Changed)
		}
	}
	return nil
}

// Check returns ErrRefused with the reason when q asks for no valid page.
func (q *Query) Check() error {
	if q.Limit < 1 || q.Limit > MaxPage {
		return fmt.Errorf("%w: a page of %d jobs: want 1 to %d", ErrRefused, q.Limit, MaxPage)
	}
	return nil
}

// Match tells whether q selects r. It is the one meaning of a query: for rows in
// tables and for jobs in memory alike.
func (q *Query) Match(r *JobRow) bool {
	switch {
	case q.Below != 0 && r.ID >= q.Below,
		q.Namespace != "" && r.Namespace != q.Namespace,
		q.Queue != "" && r.Queue != q.Queue,
		q.Name != "" && r.Name != q.Name,
		len(q.States) > 0 && !slices.Contains(q.States, r.State),
		q.After != 0 && r.Submitted < q.After,
		q.Before != 0 && r.Submitted >= q.Before,
		q.Now != 0 && r.Past(q.Now):
		return false
	}
	return q.MatchLabels(r.Labels)
}

// MatchLabels tells whether labels hold every label that q asks for.
func (q *Query) MatchLabels(labels []string) bool {
	for _, want := range q.Labels {
		ok := slices.ContainsFunc(labels, func(l string) bool {
			key, _, _ := strings.Cut(l, "=")
			return l == want || key == want
		})
		if !ok {
			return false
		}
	}
	return true
}

// Past tells whether r may be dropped at now, in Unix milliseconds.
func (r *JobRow) Past(now int64) bool {
	return !r.Live && r.KeepUntil < now
}
