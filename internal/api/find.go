package api

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/element"
	"github.com/reeve-scheduler/reeve/internal/guard"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/jobfile/canon"
	"github.com/reeve-scheduler/reeve/internal/record"
	"github.com/reeve-scheduler/reeve/internal/store"
)

// found is a job that the caller may see, from memory or from the tables.
type found struct {
	image core.JobImage
	spec  *job.Spec
	// stored: it is not in memory, so that it has ended and never changes.
	stored bool
	names  map[uint64]string
}

// worker names a worker by id; one that is long gone has only its number.
func (f *found) worker(id uint64) string {
	if id == 0 {
		return ""
	}
	if name := f.names[id]; name != "" {
		return name
	}
	return fmt.Sprintf("worker-%d", id)
}

func (f *found) task(name string) (uint32, error) {
	var names []string
	for i := range f.spec.Tasks {
		if f.spec.Tasks[i].Name == name {
			return uint32(i), nil
		}
		names = append(names, f.spec.Tasks[i].Name)
	}
	const most = 20
	if len(names) > most {
		names = append(names[:most], "…")
	}
	return 0, notFound("job %d has no task %q; it has %s", f.image.ID, name, strings.Join(names, ", "))
}

// has returns an error unless the job has the task and the element that a reference
// names, as far as it names them.
func (f *found) has(ref job.Ref) error {
	if ref.Task == "" {
		return nil
	}
	ti, err := f.task(ref.Task)
	if err != nil || ref.Index == job.NoIndex {
		return err
	}
	n := f.image.Tasks[ti].N
	if p, ok := f.spec.Tasks[ti].Array.Position(ref.Index); !ok || n >= 0 && p >= n {
		return notFound("job %d task %s has no element %d", ref.Job, ref.Task, ref.Index)
	}
	return nil
}

// positions reads indexes of an array task as runs of positions.
func (f *found) positions(ti uint32, text string) ([]element.Span, error) {
	spec := &f.spec.Tasks[ti]
	if spec.Array == nil {
		return nil, invalid("elements %q: task %s is not an array", text, spec.Name)
	}
	ranges, throttle, err := job.ParseRanges(text)
	if err != nil || throttle != 0 {
		return nil, invalid("elements %q: want indexes such as 3, 1-7:2 or 1,3,5", text)
	}
	var set element.Set
	n := f.image.Tasks[ti].N
	for _, r := range ranges {
		for i := r.First; i <= r.Last; i += r.Step {
			p, ok := spec.Array.Position(i)
			if !ok || n >= 0 && p >= n {
				return nil, notFound("job %d task %s has no element %d", f.image.ID, spec.Name, i)
			}
			set.Add(p)
		}
	}
	return set.Spans(), nil
}

// find returns a job, memory first. One that the caller may not see does not exist
// for it.
func (s *server) find(ctx context.Context, id job.ID) (*found, error) {
	f := &found{names: map[uint64]string{}}
	ok := false
	if err := s.Engine.View(ctx, func(state *core.State) {
		if f.image, ok = state.Image(id); ok {
			f.spec = state.SpecOf(id)
		}
		for _, w := range state.Workers() {
			f.names[w.ID] = w.Hello.Name
		}
	}); err != nil {
		return nil, err
	}
	if !ok {
		if err := s.findStored(ctx, id, f); err != nil {
			return nil, err
		}
	}
	if !guard.Reaches(ctx, f.image.Namespace) {
		return nil, notFound("job %d does not exist, or is past its retention", id)
	}
	return f, guard.Allow(ctx, f.image.Namespace)
}

func (s *server) findStored(ctx context.Context, id job.ID, f *found) error {
	row, _, err := s.History.Job(ctx, uint64(id))
	if errors.Is(err, store.ErrNotFound) || err == nil && row.KeepUntil > 0 && row.KeepUntil < s.Engine.Now() {
		return notFound("job %d does not exist, or is past its retention", id)
	}
	if err != nil {
		return err
	}
	if f.image, err = record.Job(row); err != nil {
		return err
	}
	text, err := s.History.Spec(ctx, uint64(id), row.Spec)
	if err != nil {
		return fmt.Errorf("spec of job %d: %w", id, err)
	}
	f.stored = true
	f.spec, err = canon.Read(text)
	return err
}

// in runs fn on a state that has the job: the leader's, or one made of what the
// tables have, without elements of arrays. A job that has left memory since it was
// found is found again in the tables.
func (s *server) in(ctx context.Context, f *found, fn func(*core.State)) error {
	if !f.stored {
		here := false
		if err := s.Engine.View(ctx, func(state *core.State) {
			if here = state.SpecOf(f.image.ID) != nil; here {
				fn(state)
			}
		}); err != nil || here {
			return err
		}
		if err := s.findStored(ctx, f.image.ID, f); err != nil {
			return err
		}
	}
	state, err := s.scratch(f, nil)
	if err == nil {
		fn(state)
	}
	return err
}

// scratch makes a state of one stored job and some of its chunks.
func (s *server) scratch(f *found, chunks []core.ChunkImage) (*core.State, error) {
	canonical, hash, err := canon.Write(f.spec)
	if err != nil {
		return nil, err
	}
	l := core.Load(s.Config)
	l.Namespace(core.NamespaceSet{Name: f.image.Namespace})
	if err := l.Queue(core.QueueImage{QueueSet: core.QueueSet{Namespace: f.image.Namespace, Name: f.image.Queue}}); err != nil {
		return nil, err
	}
	if err := l.Spec(hash, canonical); err != nil {
		return nil, err
	}
	image := f.image
	image.Spec = hash
	if err := l.Job(image); err != nil {
		return nil, err
	}
	for _, c := range chunks {
		if err := l.Chunk(c); err != nil {
			return nil, err
		}
	}
	return l.Finish(0), nil
}

// chunks reads up to limit chunks of a stored array, from one on.
func (s *server) chunks(ctx context.Context, id job.ID, ti uint32, from uint64, limit int) ([]core.ChunkImage, error) {
	rows, err := s.History.Parts(ctx, uint64(id), ti, store.PartChunk, from, limit)
	if err != nil {
		return nil, err
	}
	out := make([]core.ChunkImage, 0, len(rows))
	for _, r := range rows {
		c, err := record.Chunk(r)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// facts looks up what a submit needs to know and memory may no longer hold when it is
// decided: the jobs it comes after, and those its keys stand for. What memory holds now
// is a fact too: it may leave memory in between, without a change that would make what
// was read outdated.
func (s *server) facts(ctx context.Context, c *core.Submit) error {
	c.Ended = nil
	after := map[job.ID]bool{}
	var keys []int
	var horizon uint64
	if err := s.Engine.View(ctx, func(state *core.State) {
		c.ReadSeq, horizon = state.Seq(), state.Horizon()
		for _, a := range c.Spec.After {
			m, ok := state.Image(a.Job)
			if !ok {
				after[a.Job] = true
			} else if m.State.Terminal() && m.Namespace == c.Namespace {
				c.Ended = append(c.Ended, core.EndedJob{ID: a.Job, State: m.State})
			}
		}
		for i := range c.Items {
			k := c.Items[i].Key
			if k == "" {
				continue
			}
			if c.Items[i].Existing = state.ByKey(c.Namespace, k); c.Items[i].Existing == nil {
				keys = append(keys, i)
			}
		}
	}); err != nil {
		return err
	}
	for id := range after {
		row, _, err := s.History.Job(ctx, uint64(id))
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if row.Namespace == c.Namespace {
			c.Ended = append(c.Ended, core.EndedJob{ID: id, State: job.State(row.State)})
		}
	}
	return s.keyFacts(ctx, c, keys, horizon)
}

// keyFacts looks up the keys of some of a submit's items among the jobs that memory did not
// hold, which all had changed last by horizon.
func (s *server) keyFacts(ctx context.Context, c *core.Submit, items []int, horizon uint64) error {
	if len(items) == 0 {
		return nil
	}
	hashes := make([]uint64, len(items))
	for n, i := range items {
		hashes[n] = record.KeyHash(c.Namespace, c.Items[i].Key)
	}
	rows, _, err := s.History.JobsByKey(ctx, horizon, hashes)
	if err != nil {
		return err
	}
	known := map[string]*core.KeyFact{}
	for _, row := range rows {
		if row.KeepUntil > 0 && row.KeepUntil < s.Engine.Now() {
			continue
		}
		m, err := record.Job(row)
		if err != nil {
			return err
		}
		if m.Namespace == c.Namespace && known[m.Key] == nil {
			known[m.Key] = &core.KeyFact{ID: m.ID, Body: m.Body}
		}
	}
	for _, i := range items {
		c.Items[i].Existing = known[c.Items[i].Key]
	}
	return nil
}

// carry works out what a retry takes along.
func (s *server) carry(ctx context.Context, f *found) ([]core.Carry, error) {
	if !f.stored {
		var out []core.Carry
		err := s.Engine.View(ctx, func(state *core.State) { out = state.CarryOver(f.image.ID) })
		return out, err
	}
	const page = 1000
	var chunks []core.ChunkImage
	for ti := range f.image.Tasks {
		for from := uint64(0); f.spec.Tasks[ti].Array != nil; {
			more, err := s.chunks(ctx, f.image.ID, uint32(ti), from, page)
			if err != nil {
				return nil, err
			}
			chunks = append(chunks, more...)
			if len(more) < page {
				break
			}
			from = uint64(more[len(more)-1].Chunk) + 1
		}
	}
	state, err := s.scratch(f, chunks)
	if err != nil {
		return nil, err
	}
	return state.CarryOver(f.image.ID), nil
}
