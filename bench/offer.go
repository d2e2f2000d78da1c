package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"

	"github.com/reeve-scheduler/reeve"
	"github.com/reeve-scheduler/reeve/bench/internal/lateness"
	"github.com/reeve-scheduler/reeve/internal/client"
	"github.com/reeve-scheduler/reeve/internal/job"
)

const (
	// offerBatch is how many jobs an open loop submits at a time.
	offerBatch = 100
	// offerConns is how many connections it has: an open loop stands for many clients.
	offerConns = 8
	// offerOpen bounds the calls under way. One more is not sent, which is counted: a
	// client that waits would make the load less when the server is slow.
	offerOpen = 4000
)

// phase is a rate of jobs per second for a time.
type phase struct {
	rate   float64
	length time.Duration
}

// offered is what became of the jobs of an open loop.
type offered struct {
	due, accepted, refused, unsent atomic.Int64
	// blunt are those refused without a word of when to try again.
	blunt atomic.Int64
	mu    sync.Mutex
	// slowest is the longest that an answer took, of refused those of refusals.
	slowest, slowestRefusal time.Duration
	err                     error // the first that is no refusal
}

// offerer submits jobs at moments that no answer changes.
type offerer struct {
	conns []*client.Client
	// patient tries again what is refused.
	patient *client.Client
	open    chan struct{}
	run     string // makes keys of this offerer's own
	text    []byte
	n       int
}

func (c *cluster) newOfferer() (*offerer, error) {
	text, err := client.Marshal(reeve.Function(lateness.DueFunction, nil))
	if err != nil {
		return nil, err
	}
	o := &offerer{text: text, open: make(chan struct{}, offerOpen), run: strconv.FormatInt(time.Now().UnixNano(), 36)}
	if o.patient, err = c.dial(0); err != nil {
		return nil, err
	}
	for range offerConns {
		// Patience would hide refusals.
		conn, err := c.dial(-1)
		if err != nil {
			return nil, err
		}
		o.conns = append(o.conns, conn)
	}
	return o, nil
}

func (o *offerer) close() {
	o.patient.Close()
	for _, conn := range o.conns {
		conn.Close()
	}
}

// offer submits at the phase's rate, each batch at its moment or as soon after it as the
// machine has a turn for it, and returns when every answer is there.
func (o *offerer) offer(ctx context.Context, p phase, out *offered) error {
	gap := time.Duration(offerBatch / p.rate * float64(time.Second))
	began := time.Now()
	var calls sync.WaitGroup
	for i := 0; time.Duration(i)*gap < p.length; i++ {
		due := began.Add(time.Duration(i) * gap)
		select {
		case <-time.After(time.Until(due)):
		case <-ctx.Done():
			return ctx.Err()
		}
		o.n++
		out.due.Add(offerBatch)
		select {
		case o.open <- struct{}{}:
		default:
			out.unsent.Add(offerBatch)
			continue
		}
		n := o.n
		calls.Go(func() {
			defer func() { <-o.open }()
			o.submit(ctx, o.conns[n%len(o.conns)], n, due, out)
		})
	}
	calls.Wait()
	return out.err
}

func (o *offerer) submit(ctx context.Context, conn *client.Client, n int, due time.Time, out *offered) {
	items := make([]*client.SubmitItem, offerBatch)
	payload := strconv.AppendInt(nil, due.UnixMicro(), 10)
	for i := range items {
		items[i] = &client.SubmitItem{Payload: payload, IdempotencyKey: fmt.Sprintf("%s-%d-%d", o.run, n, i)}
	}
	began := time.Now()
	_, err := conn.Submit(ctx, &client.SubmitRequest{Source: client.File(o.text), FileName: "job", Items: items})
	took := time.Since(began)
	out.mu.Lock()
	defer out.mu.Unlock()
	switch {
	case err == nil:
		out.accepted.Add(offerBatch)
		out.slowest = max(out.slowest, took)
	case job.CodeOf(err) == job.Busy:
		out.refused.Add(offerBatch)
		out.slowestRefusal = max(out.slowestRefusal, took)
		if e, ok := errors.AsType[*connect.Error](err); !ok || e.Meta().Get("Retry-After") == "" {
			out.blunt.Add(offerBatch)
		}
	case out.err == nil:
		out.err = fmt.Errorf("submit %d of an open loop: %w", n, err)
	}
}

// lateness asks the worker how late jobs began.
func (c *cluster) lateness(q lateness.Query) ([]lateness.Interval, error) {
	id, err := c.client.Enqueue(c.b.ctx, lateness.Function, q)
	if err != nil {
		return nil, err
	}
	j, err := c.client.Wait(c.b.ctx, id)
	if err != nil {
		return nil, err
	}
	var a lateness.Answer
	return a.Intervals, j.Result(&a)
}

// closed submits n jobs, each of so many submitters its next batch once the one before is
// taken. What is refused is tried again as clients do.
func (o *offerer) closed(ctx context.Context, n, submitters int) error {
	var out offered
	var wg sync.WaitGroup
	var next atomic.Int64
	for range submitters {
		wg.Go(func() {
			for k := next.Add(1); k <= int64(n/offerBatch) && ctx.Err() == nil; k = next.Add(1) {
				o.submit(ctx, o.patient, int(k), time.Now(), &out)
			}
		})
	}
	wg.Wait()
	if n := out.refused.Load(); n > 0 {
		return fmt.Errorf("%d jobs were refused for longer than a client waits", n)
	}
	return errors.Join(out.err, ctx.Err())
}
