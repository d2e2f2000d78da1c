package main

import (
	"errors"
	"iter"
	"sync"

	"github.com/reeve-scheduler/reeve"
)

// reeveQueue is Reeve as a queue of functions.
type reeveQueue struct{ *cluster }

const (
	// reeveSlots and reevePrefetch are the worker's where the workload leaves it free: many of
	// each, as for functions of microseconds.
	reeveSlots, reevePrefetch = 64, 2048
)

func (b *bench) startReeve() (queue, error) {
	c, err := b.newCluster()
	if c == nil {
		return nil, err
	}
	return &reeveQueue{c}, err
}

func (q *reeveQueue) fill(n int) error { return q.submit(reeve.Function("noop", nil), n) }

func (q *reeveQueue) prepare(w workload) error {
	slots := w.slots
	if slots == 0 {
		slots = reeveSlots
	}
	return errors.Join(q.settle(), q.prepareFunctions(slots, reevePrefetch))
}

func (q *reeveQueue) work() error { return errors.Join(q.worker.tell(goOn), q.joined()) }

// submit submits n jobs, and returns when all are acknowledged.
func (c *cluster) submit(j reeve.Job, n int) error {
	errs := make([]error, submitters)
	var wg sync.WaitGroup
	for i := range submitters {
		wg.Go(func() {
			_, errs[i] = c.client.SubmitMany(c.b.ctx, j, empty(n*(i+1)/submitters-n*i/submitters))
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// empty is n items without anything of their own.
func empty(n int) iter.Seq[reeve.Item] {
	return func(yield func(reeve.Item) bool) {
		for range n {
			if !yield(reeve.Item{}) {
				return
			}
		}
	}
}
