package agent

import (
	"sync"

	"github.com/reeve-scheduler/reeve/internal/agent/will"
)

// mailbox carries events from any goroutine to the one that steps the machine. What
// comes in while that is busy is taken together.
type mailbox struct {
	mu     sync.Mutex
	events []will.Event
	spare  []will.Event
	wake   chan struct{}
}

func newMailbox() *mailbox { return &mailbox{wake: make(chan struct{}, 1)} }

func (b *mailbox) put(e will.Event) {
	b.mu.Lock()
	b.events = append(b.events, e)
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// take returns all that came in; it is valid until the next take.
func (b *mailbox) take() []will.Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	taken := b.events
	clear(b.spare)
	b.events, b.spare = b.spare[:0], taken
	return taken
}

// pool runs functions on at most limit goroutines, in order of arrival; with a limit
// of one, one after the other. Its queue is bounded by the attempts that the machine
// holds. Idle goroutines end.
type pool struct {
	mu    sync.Mutex
	queue []func()
	busy  int
	limit int
	wg    *sync.WaitGroup
}

func (p *pool) run(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.busy == p.limit {
		p.queue = append(p.queue, f)
		return
	}
	p.busy++
	p.wg.Go(func() { p.work(f) })
}

func (p *pool) work(f func()) {
	for {
		f()
		p.mu.Lock()
		if len(p.queue) == 0 {
			p.busy--
			p.mu.Unlock()
			return
		}
		f = p.queue[0]
		p.queue[0] = nil // the array is given up only when it is full
		p.queue = p.queue[1:]
		p.mu.Unlock()
	}
}
