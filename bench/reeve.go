package main

import (
	"errors"
	"iter"
	"sync"

	"github.com/reeve-scheduler/reeve"
	"github.com/reeve-scheduler/reeve/bench/internal/peer"
	"github.com/reeve-scheduler/reeve/bench/internal/proc"
)

// reeveQueue is Reeve as a queue of functions.
type reeveQueue struct{ *cluster }

// onPostgres is Reeve with PostgreSQL as its store, the same that peers use: the server alone,
// since others would take of its processors.
const onPostgres = "Reeve, PostgreSQL"

const (
	// reeveSlots and reevePrefetch are the worker's where the workload leaves it free: many of
	// each, as for functions of microseconds.
	reeveSlots, reevePrefetch = 64, 2048
)

func (b *bench) startReeve(*peer.Site) (peer.Queue, error) {
	c, err := b.newCluster()
	if c == nil {
		return nil, err
	}
	return &reeveQueue{c}, err
}

func (b *bench) startReeveOnPostgres(s *peer.Site) (peer.Queue, error) {
	c, err := b.newSharedCluster(s)
	if c == nil {
		return nil, err
	}
	return &reeveQueue{c}, err
}

func (q *reeveQueue) Fill(n int) error { return q.submit(reeve.Function("noop", nil), n) }

func (q *reeveQueue) Prepare(w peer.Workload) error {
	slots := w.Slots
	if slots == 0 {
		slots = reeveSlots
	}
	if err := q.settle(); err != nil {
		return err
	}
	if q.postgres != nil {
		if err := q.postgres.Settle(); err != nil {
			return err
		}
	}
	return q.prepareFunctions(slots, reevePrefetch)
}

func (q *reeveQueue) Work() error { return errors.Join(q.worker.Tell(proc.GoOn), q.joined()) }

// Drained is an answer of the server, which leaves it when all that it saw is on disk.
func (q *reeveQueue) Drained() error { return q.drained() }

// Syncs are the appends to the journal.
func (q *reeveQueue) Syncs(bool) (int64, error) { return q.syncs() }

func (q *reeveQueue) Parts() []proc.Part { return q.parts() }

func (q *reeveQueue) Close() error { return q.close() }

// submit submits n jobs, and returns when all are acknowledged.
func (c *cluster) submit(j reeve.Job, n int) error { return c.submitEach(j, n, 0) }

// submitEach is submit of jobs that carry so many bytes each.
func (c *cluster) submitEach(j reeve.Job, n, bytes int) error {
	errs := make([]error, peer.Submitters)
	var wg sync.WaitGroup
	for i := range peer.Submitters {
		wg.Go(func() {
			_, errs[i] = c.client.SubmitMany(c.b.ctx, j, items(n*(i+1)/peer.Submitters-n*i/peer.Submitters, bytes))
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// items is n items with nothing of their own, or a text of so many bytes.
func items(n, bytes int) iter.Seq[reeve.Item] {
	return func(yield func(reeve.Item) bool) {
		for i := range n {
			var item reeve.Item
			if bytes > 0 {
				item.Payload = peer.Payload(i, bytes)
			}
			if !yield(item) {
				return
			}
		}
	}
}
