package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/reeve-scheduler/reeve/internal/api/later"
	"github.com/reeve-scheduler/reeve/internal/auth"
	"github.com/reeve-scheduler/reeve/internal/guard"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/logline"
	"github.com/reeve-scheduler/reeve/internal/logstore"
	"github.com/reeve-scheduler/reeve/internal/tail"
	"github.com/reeve-scheduler/reeve/internal/wire"

	reevev1 "github.com/reeve-scheduler/reeve/gen/reeve/v1"
)

// logs answers LogService.
type logs struct{ *server }

// Append keeps what workers send. Frames of an attempt whose result has come are
// still taken, since logs travel apart from results; those of a job that is gone, of an
// attempt that there never was, of a live one under another fence, or without the proof
// that the worker was given the attempt are not wanted.
func (s *logs) Append(ctx context.Context, stream *connect.BidiStream[reevev1.LogAppendRequest, reevev1.LogAppendResponse]) error {
	if err := guard.Allow(ctx, auth.ClusterWide); err != nil {
		return err
	}
	known, prover := map[sender]bool{}, auth.NewProver(s.ProofKey)
	answers := later.New(ctx, stream.Send)
	defer answers.End()
	for {
		m, err := stream.Receive()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		logs := s.Logs()
		answer, err := s.append(ctx, logs, m, known, prover)
		if err != nil {
			return err
		}
		if err := s.answer(answers, logs, answer); err != nil {
			return err
		}
	}
}

// answer says that nothing more of a log is wanted once all of it is where the next leader finds
// it: the worker forgets it then. If that fails, or another server may have begun to lead
// meanwhile, the worker is asked for the log again.
func (s *logs) answer(answers *later.Answers[*reevev1.LogAppendResponse], logs *logstore.Store, answer *reevev1.LogAppendResponse) error {
	mark := logs.Mark()
	if !answer.GetDone() || logs.Has(mark) {
		return answers.Now(answer)
	}
	until := func(ctx context.Context) error { return logs.Kept(ctx, mark) }
	return answers.When(until, func(kept bool) *reevev1.LogAppendResponse {
		if !kept || s.Leads != nil && !s.Leads() {
			answer.Done, answer.Next = false, 0
		}
		return answer
	})
}

// maxSenders is how many senders a stream remembers to have looked up.
const maxSenders = 4096

// wanted reports whether there is, or has been, such an attempt, and it was given to who
// says so. known is what the stream has found so far.
func (s *logs) wanted(ctx context.Context, from sender, known map[sender]bool, proves func(auth.Assigned) bool) (bool, error) {
	if known[from] {
		return true, nil
	}
	ok, err := s.exists(ctx, from, proves)
	if ok {
		if len(known) >= maxSenders {
			clear(known)
		}
		known[from] = true
	}
	return ok, err
}

func (s *logs) exists(ctx context.Context, from sender, proves func(auth.Assigned) bool) (bool, error) {
	a, live, err := s.current(ctx, from)
	if live || err != nil {
		return live && proves(from.assigned(a.Task, a.Position)), err
	}
	e, err := s.element(ctx, from.ref.String())
	if code := job.CodeOf(err); err != nil && (code == job.NotFound || code == job.Invalid) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	if !proves(from.assigned(e.task, e.position)) {
		return false, nil
	}
	views, _, err := s.elements(ctx, e.found, e.task, e.position, nil, 1)
	if err != nil || len(views) == 0 || views[0].Position != e.position {
		return false, err
	}
	// A live attempt was looked up by its fence, which this one is not.
	last := views[0].Record
	live = last.State == job.Assigned || last.State == job.Running
	return from.ref.Attempt < int(last.Attempts) || from.ref.Attempt == int(last.Attempts) && !live, nil
}

func (s *logs) append(ctx context.Context, logs *logstore.Store, m *reevev1.LogAppendRequest, known map[sender]bool, prover *auth.Prover) (*reevev1.LogAppendResponse, error) {
	out := &reevev1.LogAppendResponse{Fence: m.GetFence(), Ref: m.GetRef()}
	ref, err := job.ParseRef(m.GetRef())
	if err != nil || ref.Attempt == 0 {
		return nil, invalid("log of %.80q: want an attempt", m.GetRef())
	}
	if m.GetOffset() < 0 || len(m.GetFrames()) > logstore.MaxAppend {
		return nil, invalid("log of %s: %d bytes at offset %d; want at most %d, at an offset from 0", ref, len(m.GetFrames()), m.GetOffset(), logstore.MaxAppend)
	}
	proves := func(a auth.Assigned) bool { return prover.Proves(a, m.GetProof()) }
	if ok, err := s.wanted(ctx, sender{m.GetFence(), ref}, known, proves); !ok || err != nil {
		out.Done = true
		return out, err
	}
	next, err := logs.Append(ctx, ref, m.GetOffset(), m.GetFrames())
	var gap *logstore.GapError
	switch {
	case errors.As(err, &gap):
		out.Next = gap.Want
		return out, nil
	case errors.Is(err, logstore.ErrDropped), errors.Is(err, logstore.ErrSealed):
		out.Done = true
		return out, nil
	case errors.Is(err, logstore.ErrFrames):
		return nil, invalid("%s", err)
	case err != nil:
		return nil, err
	}
	out.Next = next
	if m.GetSeal() {
		err := logs.Seal(ctx, ref, m.GetOffset()+int64(len(m.GetFrames())))
		if err != nil && !errors.Is(err, logstore.ErrSealed) && !errors.Is(err, logstore.ErrDropped) {
			return nil, err
		}
		out.Done = true
	}
	return out, nil
}

// maxTail bounds the lines to begin at.
const maxTail = 1_000_000_000

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
	o, err := readOptions(m, ref)
	if err != nil {
		return err
	}
	if err := f.has(ref); err != nil {
		return err
	}
	if ref.Index != job.NoIndex {
		if _, err := s.element(ctx, ref.String()); err != nil {
			return err
		}
	}
	r := &logReader{s: s.server, f: f, o: o, stream: stream}
	return r.run(ctx, ref)
}

func readOptions(m *reevev1.LogReadRequest, ref job.Ref) (logstore.ReadOptions, error) {
	switch {
	case m.GetOffset() < 0:
		return logstore.ReadOptions{}, invalid("offset %d: want 0, or the next_offset of an earlier piece", m.GetOffset())
	case m.GetOffset() > 0 && ref.Attempt == 0:
		return logstore.ReadOptions{}, invalid("offset %d of %s: an offset is in the log of one attempt; name it, such as %s@1", m.GetOffset(), ref, ref)
	case m.GetTail() > maxTail || m.GetTail() < -1:
		return logstore.ReadOptions{}, invalid("tail %d: want 1 to %d lines, 0 for all or -1 for none", m.GetTail(), maxTail)
	}
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
// order of task and element. Following has an order only within an attempt.
func (r *logReader) run(ctx context.Context, ref job.Ref) error {
	if r.o.Follow && !r.f.stored {
		source := tail.Source{Engine: r.s.Engine, Logs: r.s.Logs()}
		over, err := source.Over(ctx, r.f.spec, ref)
		if err != nil {
			return err
		}
		if !over {
			return ofDropped(ref, source.Follow(ctx, r.f.spec, ref, r.o, r.send))
		}
	}
	r.o.Follow = false // it has ended
	if ref.Attempt > 0 {
		return r.one(ctx, ref)
	}
	return r.newest(ctx, ref)
}

// newest reads the newest attempt of each element below ref that has a log.
func (r *logReader) newest(ctx context.Context, ref job.Ref) error {
	var last, after job.Ref
	for n := 0; n < tail.MaxAttempts; {
		page, err := r.s.Logs().List(ctx, ref, after, logstore.MaxList)
		if err != nil {
			return err
		}
		for _, info := range page {
			if last.Job != 0 && (info.Ref.Task != last.Task || info.Ref.Index != last.Index) {
				if err := r.one(ctx, last); err != nil {
					return err
				}
				n++
			}
			last, after = info.Ref, info.Ref
		}
		if len(page) < logstore.MaxList {
			break
		}
	}
	if last.Job == 0 {
		return nil
	}
	return r.one(ctx, last)
}

func (r *logReader) one(ctx context.Context, ref job.Ref) error {
	for e, err := range r.s.Logs().Read(ctx, ref, r.o) {
		if err != nil {
			return ofDropped(ref, fmt.Errorf("read the log of %s: %w", ref, err))
		}
		if err := r.send(ref, e); err != nil {
			return err
		}
	}
	return nil
}

// ofDropped says in the caller's words that a log is gone.
func ofDropped(ref job.Ref, err error) error {
	if errors.Is(err, logstore.ErrDropped) {
		return notFound("the log of %s is past its retention", ref)
	}
	return err
}

func (r *logReader) send(ref job.Ref, e logstore.Entry) error {
	return r.stream.Send(&reevev1.LogReadResponse{
		Ref: ref.String(), Stream: wire.StreamName(e.Kind), Time: timestamppb.New(time.UnixMilli(e.Time)), Data: e.Data, NextOffset: e.Next,
	})
}
