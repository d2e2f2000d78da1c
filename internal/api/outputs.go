package api

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"

	"connectrpc.com/connect"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/record"
	"github.com/reeve-scheduler/reeve/internal/store"

	reevev1 "github.com/reeve-scheduler/reeve/gen/reeve/v1"
)

const (
	// maxHops bounds retries of retries that are followed to where an element ran.
	maxHops = 100
	// window is how many elements are looked at in one go.
	window = 500
)

// Outputs streams the outputs of a task's elements, as far as they have ended.
// Those of elements that were carried over are the retried job's.
func (s *jobs) Outputs(ctx context.Context, req *connect.Request[reevev1.OutputsRequest], stream *connect.ServerStream[reevev1.OutputsResponse]) error {
	f, ti, err := s.target(ctx, req.Msg.GetId(), req.Msg.GetTask())
	if err != nil {
		return err
	}
	if ti == core.NoTask {
		return invalid("name the task whose outputs to read")
	}
	if f.spec.Tasks[ti].Array == nil || f.spec.Tasks[ti].Nodes > 0 {
		one := &reevev1.ElementOutputs{Index: job.NoIndex}
		if raw := f.image.Tasks[ti].Outputs; raw != nil {
			if err := json.Unmarshal(raw, &one.Outputs); err != nil {
				return err
			}
		}
		return stream.Send(&reevev1.OutputsResponse{Elements: []*reevev1.ElementOutputs{one}})
	}
	return s.arrayOutputs(ctx, f, ti, stream)
}

// arrayOutputs streams the outputs of an array's elements, by index: of each from
// the job in which it ran.
func (s *jobs) arrayOutputs(ctx context.Context, f *found, ti uint32, stream *connect.ServerStream[reevev1.OutputsResponse]) error {
	array, n := f.spec.Tasks[ti].Array, f.image.Tasks[ti].N
	sources, err := s.sources(ctx, f, ti)
	if err != nil {
		return err
	}
	for from := int64(0); from < n; {
		outs, upto, err := s.outputs(ctx, sources, ti, from, n)
		if err != nil {
			return err
		}
		from = upto
		msg := &reevev1.OutputsResponse{}
		for _, o := range outs {
			one := &reevev1.ElementOutputs{Index: array.Index(o.Position)}
			if err := json.Unmarshal(o.Outputs, &one.Outputs); err != nil {
				return err
			}
			msg.Elements = append(msg.Elements, one)
		}
		if len(msg.Elements) == 0 {
			continue
		}
		if err := stream.Send(msg); err != nil {
			return err
		}
	}
	return nil
}

// outputSource is a job of a chain of retries in which elements may have run.
type outputSource struct {
	f       *found
	carried *carriedElements
	// fresh is what memory had and the tables lacked when the chain was looked up.
	// What was flushed since is in both.
	fresh []core.OutputImage
}

// sources looks up a job, the one that it retries, and so on.
func (s *server) sources(ctx context.Context, f *found, ti uint32) ([]outputSource, error) {
	var out []outputSource
	for range maxHops {
		one := outputSource{f: f, carried: &carriedElements{s: s, f: f}}
		if !f.stored {
			if err := s.Engine.View(ctx, func(state *core.State) { one.fresh = state.Outputs(f.image.ID, ti) }); err != nil {
				return nil, err
			}
		}
		out = append(out, one)
		var err error
		if f, err = s.retried(ctx, f); f == nil {
			return out, err
		}
	}
	return out, nil
}

// outputs reads the outputs of elements from a position to before upto, of n.
func (s *server) outputs(ctx context.Context, sources []outputSource, ti uint32, from, n int64) (outs []core.OutputImage, upto int64, err error) {
	upto = n
	if len(sources) > 1 {
		upto = min(from+window, n)
	}
	var newer []*carriedElements // of the jobs before this one in the chain
	for i := range sources {
		src := &sources[i]
		var own []core.OutputImage
		if own, upto, err = s.ownOutputs(ctx, src, ti, from, upto); err != nil {
			return nil, 0, err
		}
		for _, o := range own {
			ref := job.Ref{Task: src.f.spec.Tasks[ti].Name, Index: src.f.spec.Tasks[ti].Array.Index(o.Position)}
			wanted, err := carriedOver(ctx, newer, ref)
			if err != nil {
				return nil, 0, err
			}
			if wanted {
				outs = append(outs, o)
			}
		}
		newer = append(newer, src.carried)
	}
	slices.SortFunc(outs, byPosition)
	return outs, upto, nil
}

// retried returns the job that f retries, nil if there is none or it is past its
// retention.
func (s *server) retried(ctx context.Context, f *found) (*found, error) {
	if f.image.RetryOf == 0 {
		return nil, nil //nolint:nilnil // no job is a value here
	}
	old, err := s.find(ctx, f.image.RetryOf)
	if job.CodeOf(err) == job.NotFound {
		return nil, nil //nolint:nilnil // no job is a value here
	}
	return old, err
}

// carriedElements tells which elements a job took over from the one it retries. It
// reads them a window at a time.
type carriedElements struct {
	s    *server
	f    *found
	seen map[elementWindow][]bool
}

type elementWindow struct {
	task   uint32
	number int64
}

// carriedOver reports whether each of some jobs took an element over.
func carriedOver(ctx context.Context, jobs []*carriedElements, ref job.Ref) (bool, error) {
	for _, j := range jobs {
		if has, err := j.has(ctx, ref); err != nil || !has {
			return false, err
		}
	}
	return true, nil
}

func (c *carriedElements) has(ctx context.Context, ref job.Ref) (bool, error) {
	ti, err := c.f.task(ref.Task)
	if err != nil {
		return false, err
	}
	p, ok := c.f.spec.Tasks[ti].Array.Position(ref.Index)
	if !ok {
		return false, nil
	}
	at := elementWindow{ti, p / window}
	seen, ok := c.seen[at]
	if !ok {
		views, _, err := c.s.elements(ctx, c.f, ti, at.number*window, nil, window)
		if err != nil {
			return false, err
		}
		for i := range views {
			seen = append(seen, views[i].Record.Carried)
		}
		if c.seen == nil {
			c.seen = map[elementWindow][]bool{}
		}
		c.seen[at] = seen
	}
	i := p % window
	return i < int64(len(seen)) && seen[i], nil
}

// ownOutputs reads the outputs of elements that ran in this job, from a position to
// before upto, or to an earlier position if there are more than a window of them.
func (s *server) ownOutputs(ctx context.Context, src *outputSource, ti uint32, from, upto int64) ([]core.OutputImage, int64, error) {
	rows, err := s.History.Parts(ctx, uint64(src.f.image.ID), ti, store.PartOutput, uint64(from), window)
	if err != nil {
		return nil, 0, err
	}
	if len(rows) == window {
		upto = min(upto, int64(rows[window-1].N)+1)
	}
	var outs []core.OutputImage
	first, _ := slices.BinarySearchFunc(src.fresh, from, func(o core.OutputImage, p int64) int { return cmp.Compare(o.Position, p) })
	for _, o := range src.fresh[first:] {
		if o.Position >= upto || len(outs) > window {
			break
		}
		outs = append(outs, o)
	}
	for _, row := range rows {
		if row.N >= uint64(upto) {
			break
		}
		o, err := record.Output(row)
		if err != nil {
			return nil, 0, err
		}
		outs = append(outs, o)
	}
	slices.SortStableFunc(outs, byPosition)
	outs = slices.CompactFunc(outs, func(a, b core.OutputImage) bool { return a.Position == b.Position })
	if len(outs) > window {
		outs = outs[:window]
		upto = outs[window-1].Position + 1
	}
	return outs, upto, nil
}

func byPosition(a, b core.OutputImage) int { return cmp.Compare(a.Position, b.Position) }
