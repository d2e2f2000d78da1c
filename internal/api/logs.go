package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/reeve-scheduler/reeve/internal/auth"
	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/logline"
	"github.com/reeve-scheduler/reeve/internal/logstore"

	reevev1 "github.com/reeve-scheduler/reeve/gen/reeve/v1"
)

// logs answers LogService.
type logs struct{ *server }

// Append keeps what workers send. Frames of an attempt whose result has come are
// still taken, since logs travel apart from results; those of a job that is gone
// are not wanted.
func (s *logs) Append(ctx context.Context, stream *connect.BidiStream[reevev1.LogAppendRequest, reevev1.LogAppendResponse]) error {
	if err := allow(ctx, auth.ClusterWide); err != nil {
		return err
	}
	for {
		m, err := stream.Receive()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		answer, err := s.append(ctx, m)
		if err != nil {
			return err
		}
		if err := stream.Send(answer); err != nil {
			return err
		}
	}
}

func (s *logs) append(ctx context.Context, m *reevev1.LogAppendRequest) (*reevev1.LogAppendResponse, error) {
	out := &reevev1.LogAppendResponse{Fence: m.GetFence(), Ref: m.GetRef()}
	ref, err := job.ParseRef(m.GetRef())
	if err != nil || ref.Attempt == 0 {
		return nil, invalid("log of %q: want an attempt", m.GetRef())
	}
	next, err := s.Logs.Append(ctx, ref, m.GetOffset(), m.GetFrames())
	var gap *logstore.GapError
	switch {
	case errors.As(err, &gap):
		out.Next = gap.Want
		return out, nil
	case errors.Is(err, logstore.ErrDropped), errors.Is(err, logstore.ErrSealed):
		out.Done = true
		return out, nil
	case err != nil:
		return nil, err
	}
	out.Next = next
	if m.GetSeal() {
		err := s.Logs.Seal(ctx, ref, m.GetOffset()+int64(len(m.GetFrames())))
		if err != nil && !errors.Is(err, logstore.ErrSealed) && !errors.Is(err, logstore.ErrDropped) {
			return nil, err
		}
		out.Done = true
	}
	return out, nil
}

// maxLogTargets bounds the attempts that one read of a whole job goes through.
const maxLogTargets = 100_000

// Read streams the log of an attempt, or of the newest attempts of a job, task or
// element.
func (s *logs) Read(ctx context.Context, req *connect.Request[reevev1.LogReadRequest], stream *connect.ServerStream[reevev1.LogReadResponse]) error {
	m := req.Msg
	ref, err := job.ParseRef(m.GetRef())
	if err != nil {
		return invalid("%s", err)
	}
	f, err := s.find(ctx, ref.Job)
	if err != nil {
		return err
	}
	o, err := readOptions(m)
	if err != nil {
		return err
	}
	if ref.Task != "" {
		if _, err := f.task(ref.Task); err != nil {
			return err
		}
	}
	r := &logReader{s: s.server, f: f, o: o, stream: stream}
	return r.run(ctx, ref)
}

func readOptions(m *reevev1.LogReadRequest) (logstore.ReadOptions, error) {
	o := logstore.ReadOptions{Offset: m.GetOffset(), Tail: int(m.GetTail()), Follow: m.GetFollow()}
	if m.GetSince() != nil {
		o.Since = m.GetSince().AsTime()
	}
	for _, name := range m.GetStreams() {
		switch name {
		case "stdout":
			o.Kinds |= logstore.KindsOf(logline.Stdout, logline.Gap, logline.Note)
		case "stderr":
			o.Kinds |= logstore.KindsOf(logline.Stderr, logline.Gap, logline.Note)
		default:
			return o, invalid("stream %q: want stdout or stderr", name)
		}
	}
	return o, nil
}

// logReader sends one read's answer.
type logReader struct {
	s      *server
	f      *found
	o      logstore.ReadOptions
	stream *connect.ServerStream[reevev1.LogReadResponse]
}

// run reads every attempt that ref names: one, or the newest of each element, in
// order of task and element. Following goes through them one after the other.
func (r *logReader) run(ctx context.Context, ref job.Ref) error {
	if ref.Attempt > 0 {
		return r.one(ctx, ref)
	}
	targets, err := r.targets(ctx, ref)
	if err != nil {
		return err
	}
	for _, t := range targets {
		if err := r.element(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// targets lists the elements that ref names. Without following, only those that
// have a log matter.
func (r *logReader) targets(ctx context.Context, ref job.Ref) ([]job.Ref, error) {
	var out []job.Ref
	if !r.o.Follow {
		after := job.Ref{}
		for len(out) < maxLogTargets {
			page, err := r.s.Logs.List(ctx, ref, after, logstore.MaxList)
			if err != nil {
				return nil, err
			}
			for _, info := range page {
				element := info.Ref
				element.Attempt = 0
				if len(out) == 0 || out[len(out)-1] != element {
					out = append(out, element)
				}
				after = info.Ref
			}
			if len(page) < logstore.MaxList {
				break
			}
		}
		return out, nil
	}
	for i := range r.f.spec.Tasks {
		spec := &r.f.spec.Tasks[i]
		if ref.Task != "" && spec.Name != ref.Task {
			continue
		}
		if ref.Index != job.NoIndex || spec.Array == nil {
			out = append(out, job.Ref{Job: ref.Job, Task: spec.Name, Index: ref.Index})
			continue
		}
		for p := int64(0); p < r.f.image.Tasks[i].N && len(out) < maxLogTargets; p++ {
			out = append(out, job.Ref{Job: ref.Job, Task: spec.Name, Index: spec.Array.Index(p)})
		}
	}
	return out, nil
}

// element reads the newest attempt of an element; while following, the ones that
// come after it too.
func (r *logReader) element(ctx context.Context, ref job.Ref) error {
	el, err := r.s.element(ctx, ref.String())
	if err != nil {
		return err
	}
	f, ti, p := el.found, el.task, el.position
	attempt := 0
	for {
		views, _, err := r.s.elements(ctx, f, ti, p, nil, 1)
		if err != nil || len(views) == 0 {
			return err
		}
		record := views[0].Record
		if n := int(record.Attempts); n > attempt {
			attempt = n
			ref.Attempt = n
			if err := r.one(ctx, ref); err != nil {
				return err
			}
			r.o.Offset, r.o.Tail, r.o.Since = 0, 0, time.Time{}
		}
		if !r.o.Follow || record.State.Terminal() {
			return nil
		}
		ref.Attempt = 0
		if err := r.change(ctx, ref, ti, p, attempt); err != nil {
			return err
		}
		if f, err = r.s.find(ctx, ref.Job); err != nil {
			return err
		}
	}
}

// change waits until an element has ended or has begun another attempt.
func (r *logReader) change(ctx context.Context, ref job.Ref, ti uint32, p int64, attempt int) error {
	reader := r.s.Engine.Hub().Read(r.s.Engine.Hub().End())
	defer reader.Close()
	for {
		moved := false
		if err := r.s.Engine.View(ctx, func(state *core.State) {
			views, _ := state.Elements(ref.Job, ti, p, nil, 1)
			moved = len(views) == 0 || views[0].Record.State.Terminal() || int(views[0].Record.Attempts) > attempt
		}); err != nil || moved {
			return err
		}
		if _, _, err := reader.Next(ctx, watchBatch); err != nil {
			return err
		}
	}
}

func (r *logReader) one(ctx context.Context, ref job.Ref) error {
	o := r.o
	if o.Follow {
		el, err := r.s.element(ctx, job.Ref{Job: ref.Job, Task: ref.Task, Index: ref.Index}.String())
		if err != nil {
			return err
		}
		if el.stored {
			o.Follow = false
		} else {
			done, stop := r.s.ended(ctx, ref, el.task, el.position)
			defer stop()
			o.Ended = done
		}
	}
	for e, err := range r.s.Logs.Read(ctx, ref, o) {
		if errors.Is(err, logstore.ErrDropped) {
			return notFound("the log of %s is past its retention", ref)
		}
		if err != nil {
			return fmt.Errorf("read the log of %s: %w", ref, err)
		}
		if err := r.stream.Send(&reevev1.LogReadResponse{
			Ref: ref.String(), Stream: streamName(e.Kind), Time: timestamppb.New(time.UnixMilli(e.Time)), Data: e.Data, NextOffset: e.Next,
		}); err != nil {
			return err
		}
	}
	return nil
}

func streamName(k logline.Kind) string {
	switch k {
	case logline.Stdout:
		return "stdout"
	case logline.Stderr:
		return "stderr"
	case logline.Gap:
		return "gap"
	case logline.Note:
		return "note"
	}
	return "unknown"
}
