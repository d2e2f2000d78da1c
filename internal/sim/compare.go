package sim

import (
	"bytes"
	"context"
	"fmt"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/record"
	"github.com/reeve-scheduler/reeve/internal/record/digest"
	"github.com/reeve-scheduler/reeve/internal/replica"
	"github.com/reeve-scheduler/reeve/internal/store"
)

// export is a state as rows, and what it explains of its jobs: two copies of a state
// must agree on both.
func export(s *core.State) (*store.Flush, []string) {
	rows := record.NewRows()
	s.Reconsider()
	s.Export(rows)
	f := rows.Flush(0, store.Mark{Seq: s.Seq()})
	var says []string
	for _, j := range f.Jobs {
		says = append(says, fmt.Sprintf("%+v", s.Explain(job.ID(j.ID), "", 0)))
	}
	for _, w := range s.Workers() {
		says = append(says, fmt.Sprintf("%+v", w))
	}
	return f, says
}

// compare holds a state at the end of the last durable batch against the follower.
func (h *history) compare(whose string, s *core.State) {
	if s.Seq() < h.batches {
		h.w.fail(Durable, "batch %d was durable, and %s is at %d", h.batches, whose, s.Seq())
	}
	if h.follower == nil {
		return
	}
	got, says := export(s)
	want, expected := export(h.follower)
	if diff := diffRows(want, got); diff != "" {
		h.w.fail(Law, "%s at %d is not what the journal makes: %s", whose, s.Seq(), diff)
	}
	for e := (core.StateDigested{}); ; e.From, e.Slice = e.To+1, e.Slice+1 {
		e.To = s.EndOfPart(e.From, 10, e.Slice)
		if digest.Of(s, e) != digest.Of(h.follower, e) {
			h.w.fail(Law, "%s at %d has another digest of jobs %d to %d than what the journal makes", whose, s.Seq(), e.From, e.To)
		}
		if e.To == core.LastJob {
			break
		}
	}
	for i := range expected {
		if i >= len(says) || says[i] != expected[i] {
			h.w.fail(Law, "%s at %d explains otherwise:\n%s\nand what the journal makes:\n%s", whose, s.Seq(), says[min(i, len(says)-1)], expected[i])
		}
	}
}

// recoverable holds what a server that starts now would have against the follower.
func (h *history) recoverable() {
	found, err := replica.Recover(context.Background(), h.w.server.config, h.w.disk.Journal(), h.w.disk.Tables())
	if err != nil {
		h.w.fail(Law, "recovery: %v", err)
	}
	h.compare("what would be recovered", found.State)
}

func diffRows(a, b *store.Flush) string {
	if len(a.Objects) != len(b.Objects) || len(a.Jobs) != len(b.Jobs) || len(a.Parts) != len(b.Parts) || len(a.Specs) != len(b.Specs) {
		return fmt.Sprintf("%d objects, %d jobs, %d parts, %d specs; want %d, %d, %d, %d",
			len(b.Objects), len(b.Jobs), len(b.Parts), len(b.Specs), len(a.Objects), len(a.Jobs), len(a.Parts), len(a.Specs))
	}
	for i := range a.Objects {
		if x, y := &a.Objects[i], &b.Objects[i]; x.Kind != y.Kind || x.Key != y.Key || !bytes.Equal(x.Blob, y.Blob) {
			return fmt.Sprintf("object %d %s is %q, want %d %s %q", y.Kind, y.Key, y.Blob, x.Kind, x.Key, x.Blob)
		}
	}
	for i := range a.Jobs {
		x, errX := record.Job(a.Jobs[i])
		y, errY := record.Job(b.Jobs[i])
		if errX != nil || errY != nil || !bytes.Equal(a.Jobs[i].Blob, b.Jobs[i].Blob) || a.Jobs[i].Changed != b.Jobs[i].Changed {
			return fmt.Sprintf("job %d is\n%+v\nwant\n%+v\n(%v, %v)", b.Jobs[i].ID, y, x, errY, errX)
		}
	}
	for i := range a.Parts {
		x, y := &a.Parts[i], &b.Parts[i]
		if x.Job != y.Job || x.Task != y.Task || x.Kind != y.Kind || x.N != y.N {
			return fmt.Sprintf("part %d of job %d task %d where part %d of job %d task %d should be", y.N, y.Job, y.Task, x.N, x.Job, x.Task)
		}
		if !bytes.Equal(x.Blob, y.Blob) {
			want, errX := record.Chunk(*x)
			got, errY := record.Chunk(*y)
			return fmt.Sprintf("part %d of job %d task %d is\n%+v\nwant\n%+v\n(%v, %v)", y.N, y.Job, y.Task, got, want, errY, errX)
		}
	}
	return ""
}
