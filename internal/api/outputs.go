package api

import (
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
	if f.spec.Tasks[ti].Array == nil {
		one := &reevev1.ElementOutputs{Index: job.NoIndex}
		if raw := f.image.Tasks[ti].Outputs; raw != nil {
			if err := json.Unmarshal(raw, &one.Outputs); err != nil {
				return err
			}
		}
		return stream.Send(&reevev1.OutputsResponse{Elements: []*reevev1.ElementOutputs{one}})
	}
	for from := int64(0); from < f.image.Tasks[ti].N; from += window {
		outs, err := s.outputs(ctx, f, ti, from)
		if err != nil {
			return err
		}
		msg := &reevev1.OutputsResponse{}
		for _, o := range outs {
			one := &reevev1.ElementOutputs{Index: f.spec.Tasks[ti].Array.Index(o.Position)}
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

// outputs reads the outputs of a window of an array's elements: of each from the
// job in which it ran.
func (s *server) outputs(ctx context.Context, f *found, ti uint32, from int64) ([]core.OutputImage, error) {
	var out []core.OutputImage
	var newer []*carriedElements // of the jobs before f in the chain of retries
	for range maxHops {
		own, err := s.ownOutputs(ctx, f, ti, from)
		if err != nil {
			return nil, err
		}
		for _, o := range own {
			ref := job.Ref{Task: f.spec.Tasks[ti].Name, Index: f.spec.Tasks[ti].Array.Index(o.Position)}
			wanted, err := carriedOver(ctx, newer, ref)
			if err != nil {
				return nil, err
			}
			if wanted {
				out = append(out, o)
			}
		}
		newer = append(newer, &carriedElements{s: s, f: f})
		if f, err = s.retried(ctx, f); err != nil {
			return nil, err
		}
		if f == nil {
			break
		}
	}
	slices.SortFunc(out, func(a, b core.OutputImage) int { return int(a.Position - b.Position) })
	return out, nil
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

// ownOutputs reads the outputs of a window of elements that ran in this job. What
// memory has and the tables lack is looked at first: what is flushed meanwhile is
// then in both.
func (s *server) ownOutputs(ctx context.Context, f *found, ti uint32, from int64) ([]core.OutputImage, error) {
	var outs []core.OutputImage
	if !f.stored {
		if err := s.Engine.View(ctx, func(state *core.State) { outs = state.Outputs(f.image.ID, ti, from, from+window) }); err != nil {
			return nil, err
		}
	}
	rows, err := s.History.Parts(ctx, uint64(f.image.ID), ti, store.PartOutput, uint64(from), window)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		if row.N >= uint64(from+window) {
			break
		}
		o, err := record.Output(row)
		if err != nil {
			return nil, err
		}
		outs = append(outs, o)
	}
	slices.SortStableFunc(outs, func(a, b core.OutputImage) int { return int(a.Position - b.Position) })
	return slices.CompactFunc(outs, func(a, b core.OutputImage) bool { return a.Position == b.Position }), nil
}
