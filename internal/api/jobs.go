package api

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"

	"connectrpc.com/connect"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/element"
	"github.com/reeve-scheduler/reeve/internal/guard"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/jobfile"
	"github.com/reeve-scheduler/reeve/internal/session"
	"github.com/reeve-scheduler/reeve/internal/wire"

	reevev1 "github.com/reeve-scheduler/reeve/gen/reeve/v1"
)

// jobs answers JobService.
type jobs struct{ *server }

// Submit checks a job file and has its jobs made.
func (s *jobs) Submit(ctx context.Context, req *connect.Request[reevev1.SubmitRequest]) (*connect.Response[reevev1.SubmitResponse], error) {
	if s.Full != nil {
		if err := s.Full(); err != nil {
			return nil, err
		}
	}
	m := req.Msg
	parsed, err := parse(m)
	if err != nil {
		return nil, err
	}
	namespace := parsed.Namespace
	switch {
	case m.GetNamespace() == "" && namespace == "":
		namespace = core.DefaultName
	case namespace == "":
		namespace = m.GetNamespace()
	case m.GetNamespace() != "" && m.GetNamespace() != namespace:
		return nil, invalid("the job file says namespace %s, the request %s; leave one out", namespace, m.GetNamespace())
	}
	if err := guard.Allow(ctx, namespace); err != nil {
		return nil, err
	}
	c := core.Submit{
		Namespace: namespace, Spec: parsed.Spec, Hash: parsed.Hash, Canonical: parsed.Canonical, By: guard.Caller(ctx), Held: m.GetHold(),
	}
	items := m.GetItems()
	if len(items) > core.MaxItems {
		return nil, invalid("%d items in one submit; at most %d are allowed: send several", len(items), core.MaxItems)
	}
	if len(items) == 0 {
		items = []*reevev1.SubmitItem{{}}
	}
	for i, item := range items {
		made, err := makeItem(parsed, item, m.GetHold())
		if err != nil && len(items) > 1 {
			return nil, invalid("item %d: %s", i, err)
		}
		if err != nil {
			return nil, invalid("%s", err)
		}
		c.Items = append(c.Items, made)
	}
	done, err := s.submit(ctx, c)
	if err != nil {
		return nil, err
	}
	out := &reevev1.SubmitResponse{}
	for _, d := range done {
		out.Jobs = append(out.Jobs, &reevev1.SubmittedJob{Id: d.ID.String(), Existed: d.Existed})
	}
	return connect.NewResponse(out), nil
}

func parse(m *reevev1.SubmitRequest) (*jobfile.Result, error) {
	var text []byte
	switch {
	case m.GetFile() != "":
		text = []byte(m.GetFile())
	case m.GetSpec() != nil:
		var err error
		if text, err = m.GetSpec().MarshalJSON(); err != nil {
			return nil, invalid("spec: %s", err)
		}
	default:
		return nil, invalid("the request has neither file nor spec; send a job file's text as file, or the job as a JSON object as spec")
	}
	parsed, err := jobfile.Parse(m.GetFileName(), text)
	if err != nil {
		return nil, invalid("%s", err)
	}
	return parsed, nil
}

func makeItem(parsed *jobfile.Result, m *reevev1.SubmitItem, hold bool) (core.Item, error) {
	given, err := wire.Values(m.GetParams())
	if err != nil {
		return core.Item{}, err
	}
	bound, err := jobfile.BindParams(parsed.Spec, given)
	if err != nil {
		return core.Item{}, err
	}
	if len(m.GetPayload()) > job.MaxPayload {
		return core.Item{}, invalid("its payload has %d bytes; at most %d are allowed", len(m.GetPayload()), job.MaxPayload)
	}
	item := core.Item{Params: bound, Payload: m.GetPayload(), Key: m.GetIdempotencyKey()}
	if item.Key == "" {
		item.Key = parsed.Spec.IdempotencyKey
	}
	if err := checkKey(item.Key); err != nil {
		return core.Item{}, err
	}
	_, _ = rand.Read(item.UID[:]) // never fails: crypto/rand ends the program instead
	content, err := contentHash(parsed)
	if err != nil {
		return core.Item{}, err
	}
	item.Body = bodyHash(content, bound, item.Payload, yesNo(hold))
	return item, nil
}

// contentHash tells different specs under one key apart. Items that were stored
// twice are the same items.
func contentHash(parsed *jobfile.Result) ([]byte, error) {
	spec, stored := *parsed.Spec, false
	for i := range spec.Tasks {
		a := spec.Tasks[i].Array
		if a == nil {
			continue
		}
		if _, digest, ok := strings.Cut(a.Blob, digestMark); ok {
			if !stored {
				spec.Tasks, stored = slices.Clone(spec.Tasks), true
			}
			same := *a
			same.Blob = digest
			spec.Tasks[i].Array = &same
		}
	}
	if !stored {
		return parsed.Hash[:], nil
	}
	_, hash, err := jobfile.Canonical(&spec)
	return hash[:], err
}

// maxKey bounds an idempotency key in bytes.
const maxKey = 256

func checkKey(key string) error {
	if len(key) > maxKey || strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd }) {
		return invalid("idempotency key %.40q: want at most %d bytes without control characters", key, maxKey)
	}
	return nil
}

// bodyHash tells different bodies under one key apart.
func bodyHash(parts ...[]byte) uint64 {
	h := sha256.New()
	for _, p := range parts {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		h.Write(n[:])
		h.Write(p)
	}
	return binary.BigEndian.Uint64(h.Sum(nil))
}

// flag is a part of a body that says yes or no.
func yesNo(set bool) []byte {
	if set {
		return []byte{1}
	}
	return nil
}

// submit looks up what the command needs to know and has it decided; facts that
// turn out to be outdated are looked up again.
func (s *server) submit(ctx context.Context, c core.Submit) ([]core.Submitted, error) {
	const tries = 5
	for try := 1; ; try++ {
		if err := s.facts(ctx, &c); err != nil {
			return nil, err
		}
		reply, err := s.Engine.Do(ctx, c)
		if err == nil {
			return reply.([]core.Submitted), nil
		}
		if job.CodeOf(err) != job.Stale || try == tries {
			return nil, err
		}
	}
}

// Get returns a job.
func (s *jobs) Get(ctx context.Context, req *connect.Request[reevev1.GetRequest]) (*connect.Response[reevev1.GetResponse], error) {
	id, err := job.ParseID(req.Msg.GetId())
	if err != nil {
		return nil, invalid("%s", err)
	}
	found, err := s.find(ctx, id)
	if err != nil {
		return nil, err
	}
	out := wire.Job(&found.image)
	if err := wire.Tasks(out, &found.image, found.spec, found.worker); err != nil {
		return nil, err
	}
	if out.Params, err = wire.Object(found.image.Params); err != nil {
		return nil, err
	}
	if err := s.Engine.View(ctx, func(state *core.State) {
		for i, t := range out.GetTasks() {
			t.Forecast = wire.Forecast(state.Predict(&found.image, found.spec, uint32(i)))
		}
	}); err != nil {
		return nil, err
	}
	if req.Msg.GetSpec() {
		canonical, _, err := jobfile.Canonical(found.spec)
		if err != nil {
			return nil, err
		}
		if out.Spec, err = wire.Object(canonical); err != nil {
			return nil, err
		}
	}
	return connect.NewResponse(&reevev1.GetResponse{Job: out}), nil
}

// target reads what a cancel, hold or release names.
func (s *jobs) target(ctx context.Context, id, name string) (*found, uint32, error) {
	jid, err := job.ParseID(id)
	if err != nil {
		return nil, 0, invalid("%s", err)
	}
	f, err := s.find(ctx, jid)
	if err != nil {
		return nil, 0, err
	}
	if name == "" {
		return f, core.NoTask, nil
	}
	ti, err := f.task(name)
	return f, ti, err
}

// Cancel stops a job, a task or elements.
func (s *jobs) Cancel(ctx context.Context, req *connect.Request[reevev1.CancelRequest]) (*connect.Response[reevev1.CancelResponse], error) {
	m := req.Msg
	f, ti, err := s.target(ctx, m.GetId(), m.GetTask())
	if err != nil {
		return nil, err
	}
	var spans []element.Span
	if m.GetElements() != "" {
		if ti == core.NoTask {
			return nil, invalid("elements %q: name the task as well", m.GetElements())
		}
		if spans, err = f.positions(ti, m.GetElements()); err != nil {
			return nil, err
		}
	}
	if f.image.State.Terminal() {
		return connect.NewResponse(&reevev1.CancelResponse{AlreadyEnded: true}), nil
	}
	reply, err := s.Engine.Do(ctx, core.Cancel{Job: f.image.ID, Task: ti, Spans: spans, Kill: m.GetKill(), By: guard.Caller(ctx), Reason: m.GetReason()})
	if err != nil {
		return nil, err
	}
	c := reply.(core.Cancelled)
	return connect.NewResponse(&reevev1.CancelResponse{Stopping: c.Stopping, Cancelled: c.Cancelled, AlreadyEnded: c.AlreadyEnded}), nil
}

// Hold keeps what has not started from starting.
func (s *jobs) Hold(ctx context.Context, req *connect.Request[reevev1.HoldRequest]) (*connect.Response[reevev1.HoldResponse], error) {
	if err := s.hold(ctx, req.Msg.GetId(), req.Msg.GetTask(), true); err != nil {
		return nil, err
	}
	return connect.NewResponse(&reevev1.HoldResponse{}), nil
}

// Release ends a hold.
func (s *jobs) Release(ctx context.Context, req *connect.Request[reevev1.ReleaseRequest]) (*connect.Response[reevev1.ReleaseResponse], error) {
	if err := s.hold(ctx, req.Msg.GetId(), req.Msg.GetTask(), false); err != nil {
		return nil, err
	}
	return connect.NewResponse(&reevev1.ReleaseResponse{}), nil
}

func (s *jobs) hold(ctx context.Context, id, task string, held bool) error {
	f, ti, err := s.target(ctx, id, task)
	if err != nil {
		return err
	}
	if f.image.State.Terminal() {
		return &job.Error{Code: job.Refused, Message: "job " + id + " has ended; only what waits can be held or released"}
	}
	_, err = s.Engine.Do(ctx, core.Hold{Job: f.image.ID, Task: ti, Held: held})
	return err
}

// Retry submits a finished job again.
func (s *jobs) Retry(ctx context.Context, req *connect.Request[reevev1.RetryRequest]) (*connect.Response[reevev1.RetryResponse], error) {
	m := req.Msg
	id, err := job.ParseID(m.GetId())
	if err != nil {
		return nil, invalid("%s", err)
	}
	f, err := s.find(ctx, id)
	if err != nil {
		return nil, err
	}
	if !f.image.State.Terminal() {
		return nil, &job.Error{Code: job.Refused, Message: "job " + m.GetId() + " has not ended; only what has ended can be retried"}
	}
	if err := checkKey(m.GetIdempotencyKey()); err != nil {
		return nil, err
	}
	spec := *f.spec
	spec.After, spec.StartAfter, spec.StartBefore = nil, nil, nil // they were met, or missed for good
	canonical, hash, err := jobfile.Canonical(&spec)
	if err != nil {
		return nil, err
	}
	item := core.Item{Params: f.image.Params, Key: m.GetIdempotencyKey(), RetryOf: id}
	item.Payload, err = session.PayloadOf(ctx, s.History, &f.image)
	_, _ = rand.Read(item.UID[:]) // never fails: crypto/rand ends the program instead
	item.Body = bodyHash(hash[:], item.Params, item.Payload, binary.BigEndian.AppendUint64(nil, uint64(id)), yesNo(m.GetAll()))
	if err == nil && !m.GetAll() {
		item.Carry, err = s.carry(ctx, f)
	}
	if err != nil {
		return nil, err
	}
	done, err := s.submit(ctx, core.Submit{
		Namespace: f.image.Namespace, Spec: &spec, Hash: hash, Canonical: canonical, Items: []core.Item{item}, By: guard.Caller(ctx),
	})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&reevev1.RetryResponse{Id: done[0].ID.String(), Existed: done[0].Existed}), nil
}
