package reeve

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/reeve-scheduler/reeve/internal/client"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// Option changes one submit.
type Option func(*submission)

// submission is one call of a submit method.
type submission struct {
	item Item
	hold bool
	// shape changes a job before it is sent.
	shape []func(*Job)
}

// WithKey sets the idempotency key: submits of the same body with the same key in one
// namespace are one job, of another body an error (ErrExists). Without it the client
// makes a random one, which only protects against repeats of its own.
func WithKey(key string) Option { return func(s *submission) { s.item.Key = key } }

// WithParams sets values of the job's parameters: texts, numbers, booleans and lists of
// texts, by name.
func WithParams(values map[string]any) Option {
	return func(s *submission) { s.item.Params = values }
}

// WithHold submits the job held: nothing of it starts before Release.
func WithHold() Option { return func(s *submission) { s.hold = true } }

// WithJob changes the job before it is sent, for what Enqueue has no words for:
//
//	reeve.WithJob(func(j *reeve.Job) { j.Queue = "images" })
func WithJob(change func(*Job)) Option {
	return func(s *submission) { s.shape = append(s.shape, change) }
}

// WithRetry sets the retry rule of every task of the job.
func WithRetry(r Retry) Option {
	return WithJob(func(j *Job) {
		for i := range j.Tasks {
			j.Tasks[i].Retry = r
		}
	})
}

// WithTimeout bounds each attempt of every task of the job.
func WithTimeout(d time.Duration) Option {
	return WithJob(func(j *Job) {
		for i := range j.Tasks {
			j.Tasks[i].Timeout = d
		}
	})
}

// Submit submits a job and returns its id once it is on disk.
func (c *Client) Submit(ctx context.Context, j Job, opts ...Option) (id string, err error) {
	s := newSubmission(opts)
	text, err := s.text(j)
	if err != nil {
		return "", err
	}
	return c.one(ctx, j.Namespace, text, "job", s)
}

// SubmitFile submits a job file, YAML or JSON. Options that change a Job are refused.
func (c *Client) SubmitFile(ctx context.Context, text []byte, opts ...Option) (id string, err error) {
	s := newSubmission(opts)
	if !utf8.Valid(text) {
		return "", invalid("the job file is not UTF-8")
	}
	if len(s.shape) > 0 {
		return "", invalid("a job file says its retries, timeouts and queue itself; leave WithJob, WithRetry and WithTimeout out")
	}
	return c.one(ctx, "", text, "job file", s)
}

// Enqueue submits a job of one task that calls a function. The payload is anything that
// encoding/json writes.
func (c *Client) Enqueue(ctx context.Context, function string, payload any, opts ...Option) (id string, err error) {
	s := newSubmission(opts)
	text, err := s.text(Function(function, nil))
	if err != nil {
		return "", err
	}
	s.item.Payload = payload
	return c.one(ctx, "", text, "job", s)
}

func newSubmission(opts []Option) *submission {
	s := &submission{}
	for _, o := range opts {
		o(s)
	}
	return s
}

// text applies what changes the job, and writes it.
func (s *submission) text(j Job) ([]byte, error) {
	if len(s.shape) > 0 {
		j.Tasks = append([]Task(nil), j.Tasks...) // the caller's stay as they are
	}
	for _, change := range s.shape {
		change(&j)
	}
	return jobText(j)
}

func jobText(j Job) ([]byte, error) {
	text, err := client.Marshal(j)
	if err != nil {
		return nil, &Error{Code: CodeInvalid, Message: "job: " + err.Error(), cause: err}
	}
	return text, nil
}

// one submits one job.
func (c *Client) one(ctx context.Context, namespace string, text []byte, name string, s *submission) (string, error) {
	m, err := wireItem(s.item, randomKey())
	if err != nil {
		return "", err
	}
	made, err := c.c.Submit(ctx, &client.SubmitRequest{
		Namespace: c.in(namespace), Source: client.File(text), FileName: name, Hold: s.hold, Items: []*client.SubmitItem{m},
	})
	if err != nil {
		return "", fail(ctx, err)
	}
	return made[0].GetId(), nil
}

// in is the namespace to submit to. A job that names its own is left to it.
func (c *Client) in(namespace string) string {
	if namespace != "" {
		return namespace
	}
	return c.namespace
}

// MaxPayload is how many bytes a payload may have as JSON.
const MaxPayload = job.MaxPayload

// Item makes one job of a job that is submitted many times.
type Item struct {
	// Params are values of the job's parameters.
	Params map[string]any
	// Payload is the functions' input, in place of Task.Input.
	Payload any
	// Key is the idempotency key; default a random one.
	Key string
}

// Submitted is the job of one item.
type Submitted struct {
	ID string
	// Existed: an earlier submit with the same key had made it.
	Existed bool
}

// Bounds of one request of SubmitMany.
const (
	batchItems = 1000
	batchTasks = 1_000_000 // of all jobs, as the server allows
	// With the largest job a request then still fits into one record of the server's
	// journal, with room for what each job takes beside its payload.
	batchBytes = 2 << 20
	// itemBytes is a rough count of what an item takes beside its payload.
	itemBytes = 64
)

// SubmitMany submits one job many times, once per item, and returns the jobs in the
// items' order. It sends up to a thousand at a time, each batch once the one before is on disk; a
// batch is accepted or refused as a whole. The first error ends it, and comes with the jobs
// of the batches before. To go on after one, or after a crash, repeat the call with items
// that have keys of their own: those that were made are not made again.
//
// Options change the job; WithKey and WithParams are refused, for items have their own.
func (c *Client) SubmitMany(ctx context.Context, j Job, items iter.Seq[Item], opts ...Option) ([]Submitted, error) {
	s := newSubmission(opts)
	if s.item.Key != "" || s.item.Params != nil {
		return nil, invalid("WithKey and WithParams are for one job; set Item.Key and Item.Params")
	}
	text, err := s.text(j)
	if err != nil {
		return nil, err
	}
	b := &batch{c: c, ctx: ctx, prefix: randomKey(), most: max(min(batchItems, batchTasks/max(len(j.Tasks), 1)), 1), request: func() *client.SubmitRequest {
		return &client.SubmitRequest{Namespace: c.in(j.Namespace), Source: client.File(text), FileName: "job", Hold: s.hold}
	}}
	for item := range items {
		if err := b.add(item); err != nil {
			return b.made, err
		}
	}
	return b.made, b.send()
}

// Items is a sequence of items from a list of payloads, for SubmitMany.
func Items[T any](payloads []T) iter.Seq[Item] {
	return func(yield func(Item) bool) {
		for i := range payloads {
			if !yield(Item{Payload: payloads[i]}) {
				return
			}
		}
	}
}

// batch collects items into requests.
type batch struct {
	c       *Client
	ctx     context.Context
	request func() *client.SubmitRequest
	prefix  string
	most    int // items of one request
	size    int
	items   []*client.SubmitItem
	made    []Submitted
}

func (b *batch) add(item Item) error {
	n := len(b.made) + len(b.items)
	m, err := wireItem(item, b.prefix+"-"+strconv.Itoa(n))
	if err != nil {
		return &Error{Code: CodeInvalid, Message: fmt.Sprintf("item %d: %v", n, err), cause: err}
	}
	size := itemBytes + len(m.GetPayload()) + len(m.GetIdempotencyKey())
	if len(b.items) == b.most || b.size+size > batchBytes {
		if err := b.send(); err != nil {
			return err
		}
	}
	b.items = append(b.items, m)
	b.size += size
	return nil
}

// send sends what was collected.
func (b *batch) send() error {
	if len(b.items) == 0 {
		return nil
	}
	q := b.request()
	q.Items = b.items
	made, err := b.c.c.Submit(b.ctx, q)
	if err != nil {
		err = fail(b.ctx, err)
		if e, ok := errors.AsType[*Error](err); ok && len(b.made) > 0 {
			e.Message = fmt.Sprintf("of the items from %d on: %s", len(b.made), e.Message)
		}
		return err
	}
	b.items, b.size = b.items[:0], 0
	for _, m := range made {
		b.made = append(b.made, Submitted{ID: m.GetId(), Existed: m.GetExisted()})
	}
	return nil
}

// wireItem writes an item; key is used if it has none.
func wireItem(item Item, key string) (*client.SubmitItem, error) {
	m := &client.SubmitItem{IdempotencyKey: item.Key}
	if m.GetIdempotencyKey() == "" {
		m.IdempotencyKey = key
	}
	var err error
	if len(item.Params) > 0 {
		if m.Params, err = client.Params(item.Params); err != nil {
			return nil, &Error{Code: CodeInvalid, Message: err.Error(), cause: err}
		}
	}
	if item.Payload != nil {
		if m.Payload, err = client.Marshal(item.Payload); err != nil {
			return nil, &Error{Code: CodeInvalid, Message: fmt.Sprintf("payload: %v", err), cause: err}
		}
	}
	if n := len(m.GetPayload()); n > MaxPayload {
		return nil, invalid(fmt.Sprintf("payload: it has %d bytes as JSON, at most %d are allowed; store what is larger elsewhere and send where it is", n, MaxPayload))
	}
	return m, nil
}

// randomKey makes repeated sends of one submit one job.
func randomKey() string {
	var b [12]byte         // 16 characters: servers remember keys
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// StoreItems stores the items of an array that is too long for a job of 4 MiB, and
// returns what to use as Task.Array. It is not tried again when the connection breaks.
func (c *Client) StoreItems(ctx context.Context, items iter.Seq[string]) (*Array, error) {
	r := &itemReader{}
	var stop func()
	r.next, stop = iter.Pull(items)
	defer stop()
	key, n, err := c.c.PutItems(ctx, r)
	if err != nil {
		return nil, fail(ctx, err)
	}
	return &Array{blob: key, count: n}, nil
}

// itemReader spells items as JSON strings, one a line.
type itemReader struct {
	next func() (string, bool)
	n    int
	buf  []byte
}

// Read fills p.
func (r *itemReader) Read(p []byte) (int, error) {
	for len(r.buf) == 0 {
		item, ok := r.next()
		if !ok {
			return 0, io.EOF
		}
		b, err := client.Marshal(item)
		if err != nil {
			return 0, invalid(fmt.Sprintf("item %d: %v", r.n, err))
		}
		r.n++
		r.buf = append(r.buf[:0], b...)
		r.buf = append(r.buf, '\n')
	}
	n := copy(p, r.buf)
	r.buf = r.buf[n:]
	return n, nil
}
