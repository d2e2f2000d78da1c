package api

import (
	"context"
	"errors"
	"time"

	"connectrpc.com/connect"

	"github.com/reeve-scheduler/reeve/internal/guard"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/replica"
	"github.com/reeve-scheduler/reeve/internal/wire"

	reevev1 "github.com/reeve-scheduler/reeve/gen/reeve/v1"
)

// watch answers WatchService.
type watch struct{ *server }

const (
	// watchBatch is how many events one message carries at most.
	watchBatch = 500
	// watchIdle is how often a quiet stream sends its cursor, which also shows that
	// the connection lives.
	watchIdle = 15 * time.Second
	// maxWatched bounds the jobs of one watch.
	maxWatched = 1000
)

// Watch streams what happens.
func (s *watch) Watch(ctx context.Context, req *connect.Request[reevev1.WatchRequest], stream *connect.ServerStream[reevev1.WatchResponse]) error {
	w, err := s.watched(ctx, req.Msg)
	if err != nil {
		return err
	}
	var after replica.Cursor
	if req.Msg.GetCursor() != "" {
		if after, err = replica.ParseCursor(req.Msg.GetCursor()); err != nil {
			return invalid("%s", err)
		}
	}
	reader := s.Engine.Hub().Read(after)
	defer reader.Close()
	// The first message tells where the stream stands, so that a caller who then
	// reads misses nothing in between.
	if err := stream.Send(&reevev1.WatchResponse{Cursor: reader.Cursor().String()}); err != nil {
		return err
	}
	for {
		msg, err := w.next(ctx, reader)
		if err != nil {
			return err
		}
		if msg != nil {
			if err := stream.Send(msg); err != nil {
				return err
			}
		}
	}
}

// filter is what one watch is about.
type filter struct {
	namespace string
	jobs      map[job.ID]bool
	reaches   func(namespace string) bool
}

func (s *watch) watched(ctx context.Context, m *reevev1.WatchRequest) (*filter, error) {
	f := &filter{namespace: m.GetNamespace(), reaches: func(n string) bool { return guard.Reaches(ctx, n) }}
	if len(m.GetJobs()) > maxWatched {
		return nil, invalid("%d jobs in one watch; at most %d are allowed", len(m.GetJobs()), maxWatched)
	}
	for _, text := range m.GetJobs() {
		id, err := job.ParseID(text)
		if err != nil {
			return nil, invalid("%s", err)
		}
		if _, err := s.find(ctx, id); err != nil {
			return nil, err
		}
		if f.jobs == nil {
			f.jobs = map[job.ID]bool{}
		}
		f.jobs[id] = true
	}
	if f.jobs != nil {
		return f, nil
	}
	return f, s.listed(ctx, f.namespace, "")
}

func (f *filter) wants(n *replica.Notice) bool {
	switch {
	case f.jobs != nil && !f.jobs[n.Ref.Job],
		f.namespace != "" && n.Namespace != f.namespace,
		!f.reaches(n.Namespace): // what is in none, such as a worker, is for those who may see all
		return false
	}
	return true
}

// next waits for something to send; nil if nothing that came was wanted.
func (f *filter) next(ctx context.Context, reader *replica.Reader) (*reevev1.WatchResponse, error) {
	quiet, cancel := context.WithTimeout(ctx, watchIdle)
	defer cancel()
	notices, resync, err := reader.Next(quiet, watchBatch)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return &reevev1.WatchResponse{Cursor: reader.Cursor().String()}, nil
	}
	if err != nil {
		return nil, err
	}
	msg := &reevev1.WatchResponse{Cursor: reader.Cursor().String(), Resync: resync}
	for i := range notices {
		if f.wants(&notices[i]) {
			msg.Events = append(msg.Events, event(&notices[i]))
		}
	}
	if !resync && len(msg.Events) == 0 {
		return nil, nil //nolint:nilnil // nothing to send is a value here
	}
	return msg, nil
}

func event(n *replica.Notice) *reevev1.WatchEvent {
	e := &reevev1.WatchEvent{
		Cursor: n.Cursor.String(), Time: wire.Time(n.At), Kind: n.Kind, Namespace: n.Namespace, State: n.State, Cause: n.Cause.String(), Worker: n.Worker,
	}
	if n.Ref.Job != 0 {
		e.Ref = n.Ref.String()
	}
	return e
}
