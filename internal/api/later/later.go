// Package later sends the answers of a stream, some of them only once what they promise is kept,
// while others go on.
package later

import (
	"context"
	"sync"
)

// maxWaiting bounds the answers of one stream that wait.
const maxWaiting = 1024

// Answers sends answers of type T on one stream. Now and When are called by one goroutine.
type Answers[T any] struct {
	sending sync.Mutex
	stream  func(T) error
	waiting chan waiting[T]
	ctx     context.Context
	cancel  context.CancelFunc
	ended   chan struct{}
}

type waiting[T any] struct {
	until  func(context.Context) error
	answer func(kept bool) T
}

// New sends answers by stream, from one goroutine at a time, until End or until ctx ends.
func New[T any](ctx context.Context, stream func(T) error) *Answers[T] {
	a := &Answers[T]{stream: stream, waiting: make(chan waiting[T], maxWaiting), ended: make(chan struct{})}
	a.ctx, a.cancel = context.WithCancel(ctx) //nolint:gosec // End calls it
	go a.run()
	return a
}

// End gives up the answers that wait still.
func (a *Answers[T]) End() {
	a.cancel()
	<-a.ended
}

// Now sends an answer at once.
func (a *Answers[T]) Now(answer T) error {
	a.sending.Lock()
	defer a.sending.Unlock()
	return a.stream(answer)
}

// When sends what answer returns once until does, in the order of the calls. Kept is whether until
// returned no error. When itself waits only while very many wait.
func (a *Answers[T]) When(until func(context.Context) error, answer func(kept bool) T) error {
	if err := a.ctx.Err(); err != nil {
		return err
	}
	select {
	case a.waiting <- waiting[T]{until, answer}:
		return nil
	case <-a.ctx.Done():
		return a.ctx.Err()
	}
}

func (a *Answers[T]) run() {
	defer close(a.ended)
	for {
		select {
		case w := <-a.waiting:
			err := w.until(a.ctx)
			if a.ctx.Err() != nil || a.Now(w.answer(err == nil)) != nil {
				a.cancel() // a stream that is broken is found out by who receives from it, too
				return
			}
		case <-a.ctx.Done():
			return
		}
	}
}
