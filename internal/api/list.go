package api

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/reeve-scheduler/reeve/internal/auth"
	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/element"
	"github.com/reeve-scheduler/reeve/internal/guard"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/record"
	"github.com/reeve-scheduler/reeve/internal/store"
	"github.com/reeve-scheduler/reeve/internal/wire"

	reevev1 "github.com/reeve-scheduler/reeve/gen/reeve/v1"
)

const (
	defaultPage = 100
	maxLabels   = 16
)

func pageSize(n int32) (int, error) {
	if n < 0 || n > store.MaxPage {
		return 0, invalid("page_size %d: want 1 to %d", n, store.MaxPage)
	}
	if n == 0 {
		return defaultPage, nil
	}
	return int(n), nil
}

// pageToken says where the next page of a query begins. It holds for that query
// alone: another one would begin in the middle of something else.
func pageToken(query proto.Message, at uint64) string {
	return fmt.Sprintf("%d-%08x", at, querySum(query, at))
}

// pageFrom reads a page token, 0 for none.
func pageFrom(query proto.Message, token string) (uint64, error) {
	if token == "" {
		return 0, nil
	}
	text, _, _ := strings.Cut(token, "-")
	at, err := strconv.ParseUint(text, 10, 63)
	if err != nil || pageToken(query, at) != token {
		return 0, invalid("page_token %.40q: want the next_page_token of an earlier answer to the same query", token)
	}
	return at, nil
}

// querySum tells queries apart by what they select, whatever the size of a page.
func querySum(query proto.Message, at uint64) uint32 {
	q := proto.Clone(query)
	for _, field := range []protoreflect.Name{"page_size", "page_token"} {
		q.ProtoReflect().Clear(q.ProtoReflect().Descriptor().Fields().ByName(field))
	}
	text, err := proto.MarshalOptions{Deterministic: true}.Marshal(q)
	if err != nil {
		return 0 // it came as a message, so that it is one
	}
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(text, at))
	return binary.BigEndian.Uint32(sum[:])
}

// List returns a page of jobs: the tables' rows, overlaid by what they lack.
func (s *jobs) List(ctx context.Context, req *connect.Request[reevev1.ListRequest]) (*connect.Response[reevev1.ListResponse], error) {
	m := req.Msg
	if err := s.listed(ctx, m.GetNamespace(), m.GetQueue()); err != nil {
		return nil, err
	}
	limit, err := pageSize(m.GetPageSize())
	if err != nil {
		return nil, err
	}
	below, err := pageFrom(m, m.GetPageToken())
	if err != nil {
		return nil, err
	}
	f := core.Filter{
		Namespace: m.GetNamespace(), Queue: m.GetQueue(), Name: m.GetName(), Labels: m.GetLabels(),
		After: wire.Millis(m.GetSubmittedAfter()), Before: wire.Millis(m.GetSubmittedBefore()), Below: job.ID(below),
	}
	if len(f.Labels) > maxLabels {
		return nil, invalid("%d labels; at most %d are allowed", len(f.Labels), maxLabels)
	}
	for _, label := range f.Labels {
		if label == "" || label[0] == '=' {
			return nil, invalid("label %q: want key=value, or key", label)
		}
	}
	for _, word := range m.GetStates() {
		state, err := job.ParseState(word)
		if err != nil {
			return nil, invalid("%s", err)
		}
		f.States = append(f.States, state)
	}
	out := &reevev1.ListResponse{}
	images, next, err := s.page(ctx, f, limit, out)
	if err != nil {
		return nil, err
	}
	images = slices.DeleteFunc(images, func(m core.JobImage) bool { return !guard.Reaches(ctx, m.Namespace) })
	for i := range images {
		out.Jobs = append(out.Jobs, listedJob(&images[i]))
	}
	s.expect(ctx, out.GetJobs(), images)
	if next != 0 {
		out.NextPageToken = pageToken(m, uint64(next))
	}
	return connect.NewResponse(out), nil
}

// listed checks that a list over a namespace, or over a queue of it, is the caller's
// to see. One over all is everybody's: it shows the namespaces that the caller reaches.
func (s *server) listed(ctx context.Context, namespace, queue string) error {
	if namespace == "" {
		return nil
	}
	if err := guard.Allow(ctx, namespace); err != nil {
		return err
	}
	var err error
	if viewErr := s.Engine.View(ctx, func(state *core.State) {
		if _, err = state.Queues(namespace); err == nil && queue != "" {
			err = state.CheckQueue(namespace, queue)
		}
	}); viewErr != nil {
		return viewErr
	}
	return err
}

// listedJob is a job with its tasks' counts in one.
func listedJob(m *core.JobImage) *reevev1.Job {
	out := wire.Job(m)
	var sum job.Counts
	for i := range m.Tasks {
		for state, n := range m.Tasks[i].Counts {
			sum[state] += n
		}
	}
	out.Counts = wire.Counts(sum)
	return out
}

// page merges a page of the tables with what they lack, newest first. What is not
// in the tables is taken first: what is flushed meanwhile is then in both. Jobs whose rows
// can't be read are noted in out.
func (s *server) page(ctx context.Context, f core.Filter, limit int, out *reevev1.ListResponse) (page []core.JobImage, next job.ID, err error) {
	var fresh []core.JobImage
	if err := s.Engine.View(ctx, func(state *core.State) { fresh = state.Unprojected(f, limit+1) }); err != nil {
		return nil, 0, err
	}
	q := store.Query{
		Namespace: f.Namespace, Queue: f.Queue, Name: f.Name, Labels: f.Labels, After: f.After, Before: f.Before,
		Below: uint64(f.Below), Now: s.Engine.Now(), Limit: min(limit+1, store.MaxPage), WithBlobs: true,
	}
	for _, state := range f.States {
		q.States = append(q.States, uint8(state))
	}
	rows, err := s.History.Jobs(ctx, q)
	if err != nil {
		return nil, 0, err
	}
	stored := make([]core.JobImage, 0, len(rows.Rows))
	for _, row := range rows.Rows {
		m, err := record.Job(row)
		if err != nil {
			rows.Damaged = append(rows.Damaged, row.ID)
			continue
		}
		stored = append(stored, m)
	}
	for _, id := range rows.Damaged {
		s.Log.Error("a list lacks a job whose row in the tables is damaged", "job", id)
		if f.Namespace != "" || guard.Reaches(ctx, auth.ClusterWide) { // else whose it is can't be told
			out.Damaged = append(out.Damaged, job.ID(id).String())
		}
	}
	if err := s.Engine.View(ctx, func(state *core.State) {
		for i := range stored {
			if m, ok := state.Image(stored[i].ID); ok {
				stored[i] = m // memory wins
			}
		}
	}); err != nil {
		return nil, 0, err
	}
	stored = slices.DeleteFunc(stored, func(m core.JobImage) bool { return !f.Matches(&m) })
	return merge(fresh, stored, job.ID(rows.Next), limit)
}

// merge puts two lists, newest first, together. next is where the tables' scan
// stopped: what lies below it has not been looked at.
func merge(a, b []core.JobImage, scanned job.ID, limit int) ([]core.JobImage, job.ID, error) {
	all := append(slices.Clone(b), a...) // of two with the same id the stable sort keeps b's first, which is newer
	slices.SortStableFunc(all, func(x, y core.JobImage) int {
		switch {
		case x.ID > y.ID:
			return -1
		case x.ID < y.ID:
			return 1
		}
		return 0
	})
	all = slices.CompactFunc(all, func(x, y core.JobImage) bool { return x.ID == y.ID })
	if scanned > 0 {
		all = slices.DeleteFunc(all, func(m core.JobImage) bool { return m.ID < scanned })
	}
	if len(all) > limit {
		return all[:limit], all[limit-1].ID, nil
	}
	return all, scanned, nil
}

// ListElements returns a page of a task's elements.
func (s *jobs) ListElements(ctx context.Context, req *connect.Request[reevev1.ListElementsRequest]) (*connect.Response[reevev1.ListElementsResponse], error) {
	m := req.Msg
	limit, err := pageSize(m.GetPageSize())
	if err != nil {
		return nil, err
	}
	from, err := pageFrom(m, m.GetPageToken())
	if err != nil {
		return nil, err
	}
	f, ti, err := s.target(ctx, m.GetId(), m.GetTask())
	if err != nil {
		return nil, err
	}
	if ti == core.NoTask {
		return nil, invalid("name the task whose elements to list")
	}
	var states []job.ElementState
	for _, word := range m.GetStates() {
		state, err := job.ParseElementState(word)
		if err != nil {
			return nil, invalid("%s", err)
		}
		states = append(states, state)
	}
	views, next, err := s.elements(ctx, f, ti, int64(from), states, limit)
	if err != nil {
		return nil, err
	}
	out := &reevev1.ListElementsResponse{}
	for i := range views {
		views[i].Worker = f.worker(views[i].Record.Worker)
		out.Elements = append(out.Elements, wire.Element(f.image.ID, f.spec.Tasks[ti].Name, &views[i], f.image.RetryOf))
	}
	if next >= 0 {
		out.NextPageToken = pageToken(m, uint64(next))
	}
	return connect.NewResponse(out), nil
}

// elements reads elements from memory, or from stored chunks.
func (s *server) elements(ctx context.Context, f *found, ti uint32, from int64, states []job.ElementState, limit int) (views []core.ElementView, next int64, err error) {
	if from >= max(f.image.Tasks[ti].N, 1) {
		return nil, -1, nil
	}
	array := f.spec.Tasks[ti].Array != nil
	if !f.stored || !array {
		err = s.in(ctx, f, func(state *core.State) { views, next = state.Elements(f.image.ID, ti, from, states, limit) })
		if err != nil || !f.stored || !array {
			return views, next, err
		}
	}
	views = nil
	const most = 100 // chunks in one answer
	for range most {
		first := from / element.ChunkSize
		chunks, err := s.chunks(ctx, f.image.ID, ti, uint64(first), 1)
		if err != nil {
			return nil, 0, err
		}
		if len(chunks) > 0 && int64(chunks[0].Chunk) != first {
			chunks = nil
		}
		state, err := s.scratch(f, chunks)
		if err != nil {
			return nil, 0, err
		}
		end := (first + 1) * element.ChunkSize
		more, next := state.Elements(f.image.ID, ti, from, states, limit-len(views))
		for _, v := range more {
			if v.Position < end {
				views = append(views, v)
			}
		}
		if next < 0 && (len(more) == 0 || more[len(more)-1].Position < end) && f.image.Tasks[ti].N <= end {
			return views, -1, nil
		}
		if len(views) == limit {
			return views, views[limit-1].Position + 1, nil
		}
		from = end
		if from >= f.image.Tasks[ti].N {
			return views, -1, nil
		}
	}
	return views, from, nil
}

// ListAttempts returns the attempts of an element.
func (s *jobs) ListAttempts(ctx context.Context, req *connect.Request[reevev1.ListAttemptsRequest]) (*connect.Response[reevev1.ListAttemptsResponse], error) {
	el, err := s.element(ctx, req.Msg.GetRef())
	if err != nil {
		return nil, err
	}
	ref, f, ti, p := el.ref, el.found, el.task, el.position
	var past []core.PastAttempt
	if err := s.in(ctx, f, func(state *core.State) { past = state.Past(ref.Job, ti, p) }); err != nil {
		return nil, err
	}
	const most = 1 << 16 // an element's attempts have numbers of 16 bits
	rows, err := s.History.Parts(ctx, uint64(ref.Job), ti, store.PartAttempt, uint64(p)<<16, job.MaxAttemptsLimit)
	if err != nil {
		return nil, err
	}
	var stored []core.PastAttempt
	for _, row := range rows {
		if row.N >= uint64(p)<<16+most {
			break
		}
		a, err := record.Past(row)
		if err != nil {
			return nil, err
		}
		stored = append(stored, a)
	}
	past = append(stored, past...)
	slices.SortStableFunc(past, func(a, b core.PastAttempt) int { return int(a.Number) - int(b.Number) })
	past = slices.CompactFunc(past, func(a, b core.PastAttempt) bool { return a.Number == b.Number })
	views, _, err := s.elements(ctx, f, ti, p, nil, 1)
	if err != nil {
		return nil, err
	}
	out := &reevev1.ListAttemptsResponse{}
	for i := range past {
		out.Attempts = append(out.Attempts, wire.Past(&past[i], ref, &f.spec.Tasks[ti]))
	}
	if len(views) == 1 && int(views[0].Record.Attempts) > len(past) {
		views[0].Worker = f.worker(views[0].Record.Worker)
		out.Attempts = append(out.Attempts, wire.Last(&views[0], ref))
	}
	return connect.NewResponse(out), nil
}

// foundElement is an element of a job that the caller may see.
type foundElement struct {
	*found
	ref      job.Ref // without an attempt
	task     uint32
	position int64
}

// element finds what a reference to an element names. The task of a job that has
// but one may be left out.
func (s *server) element(ctx context.Context, text string) (foundElement, error) {
	ref, err := job.ParseRef(text)
	if err != nil {
		return foundElement{}, invalid("%s", err)
	}
	f, err := s.find(ctx, ref.Job)
	if err != nil {
		return foundElement{}, err
	}
	if ref.Task == "" && len(f.spec.Tasks) == 1 {
		ref.Task = f.spec.Tasks[0].Name
	}
	ti, err := f.task(ref.Task)
	if err != nil {
		return foundElement{}, err
	}
	p, ok := f.spec.Tasks[ti].Array.Position(ref.Index)
	if !ok || f.image.Tasks[ti].N >= 0 && p >= max(f.image.Tasks[ti].N, 1) {
		if ref.Index == job.NoIndex {
			return foundElement{}, invalid("%s is an array: name an element, such as %s.0", ref, ref)
		}
		return foundElement{}, notFound("job %d task %s has no element %d", ref.Job, ref.Task, ref.Index)
	}
	ref.Attempt = 0
	return foundElement{found: f, ref: ref, task: ti, position: p}, nil
}
