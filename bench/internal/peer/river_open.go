package peer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/riverqueue/river"
)

// Open is a queue that takes jobs at moments that no answer changes.
type Open interface {
	// Closed submits n jobs in batches of that size, each of so many submitters its next
	// batch once the one before is taken.
	Closed(n, batch, submitters int) error
	// Offer submits a batch at each of so many moments, and returns when all jobs have ended.
	Offer(moments, batch int, gap time.Duration) (Lateness, error)
}

// Lateness is how long after the moment at which their batch was due jobs began: of half
// of them, of all but one in a hundred, of all but one in a thousand at most.
type Lateness struct{ P50, P99, P999 time.Duration }

// openCalls bounds the calls under way of an open loop.
const openCalls = 4000

// riverRetention is how long finished jobs are kept where they come by the clock.
const riverRetention = 6 * time.Second

// Closed submits jobs that do nothing.
func (q *riverQueue) Closed(n, batch, submitters int) error {
	return q.fill(n, batch, submitters, riverJob{What: Noop})
}

// fill submits n copies of a job.
func (q *riverQueue) fill(n, batch, submitters int, j riverJob) error {
	errs := make([]error, submitters)
	var wg sync.WaitGroup
	for i := range submitters {
		wg.Go(func() {
			for left := n*(i+1)/submitters - n*i/submitters; left > 0 && errs[i] == nil; left -= batch {
				errs[i] = q.insert(q.s.Context, min(batch, left), j)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// insert submits n copies of a job in one call.
func (q *riverQueue) insert(ctx context.Context, n int, j riverJob) error {
	jobs := make([]river.InsertManyParams, n)
	for k := range jobs {
		if j.bytes > 0 {
			j.Payload = Payload(k, j.bytes)
		}
		jobs[k].Args = j
	}
	_, err := q.client.InsertManyFast(ctx, jobs)
	return err
}

// Offer does not wait for answers: where more calls than one can have under way are, River
// has fallen behind for good.
func (q *riverQueue) Offer(moments, batch int, gap time.Duration) (l Lateness, err error) {
	began := time.Now()
	open := make(chan struct{}, openCalls)
	errs := make([]error, moments)
	var calls sync.WaitGroup
	for i := range moments {
		due := began.Add(time.Duration(i) * gap)
		select {
		case <-time.After(time.Until(due)):
		case <-q.s.Context.Done():
			return l, q.s.Context.Err()
		}
		select {
		case open <- struct{}{}:
		default:
			return l, fmt.Errorf("%d calls are under way", openCalls)
		}
		calls.Go(func() {
			defer func() { <-open }()
			errs[i] = q.insert(q.s.Context, batch, riverJob{What: Late, Due: due.UnixMicro()})
		})
	}
	calls.Wait()
	if err := errors.Join(errs...); err != nil {
		return l, err
	}
	text, err := q.worker.Says(q.s.Context, `^late (\d+ \d+ \d+)$`)
	if err != nil {
		return l, err
	}
	f := strings.Fields(text)
	for i, to := range []*time.Duration{&l.P50, &l.P99, &l.P999} {
		us, err := strconv.ParseInt(f[i], 10, 64)
		if err != nil {
			return l, err
		}
		*to = time.Duration(us) * time.Microsecond
	}
	return l, nil
}

// lateJobs is how late the jobs of a worker began.
type lateJobs struct {
	mu  sync.Mutex
	all []time.Duration
}

func (l *lateJobs) note(due int64) {
	late := time.Since(time.UnixMicro(due))
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, late)
}

// say prints what Offer reads.
func (l *lateJobs) say() {
	l.mu.Lock()
	defer l.mu.Unlock()
	slices.Sort(l.all)
	at := func(share float64) int64 {
		return l.all[min(int(share*float64(len(l.all))), len(l.all)-1)].Microseconds()
	}
	fmt.Printf("late %d %d %d\n", at(0.5), at(0.99), at(0.999))
}
