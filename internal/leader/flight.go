package leader

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A batch leaves when the last one has landed. If that had crowdEvents, it also waits until
// ripeAfter the last one left, or for ripeEvents or ripeBytes.
const (
	crowdEvents = 64
	ripeEvents  = 512
	ripeBytes   = 256 << 10
	ripeAfter   = 3 * time.Millisecond
)

// ripe reports whether the forming batch need not wait for more. While much happens, batches
// that leave as soon as the one before has landed are many and small, and most of what each
// costs, here and in workers, is the same for a large one.
func (p *loop) ripe() bool {
	if p.crowd < crowdEvents || p.forming.empty() || p.forming.count >= ripeEvents || len(p.forming.payload) >= ripeBytes {
		return true
	}
	wait := ripeAfter - time.Since(p.launched)
	if wait <= 0 {
		return true
	}
	p.ripens.Reset(wait)
	return false
}

// launch sends the forming batch to the appender, or, if it decided nothing,
// releases what saw only what is durable.
func (p *loop) launch() {
	if p.forming.empty() {
		p.release(&p.forming)
		p.forming.reset()
		return
	}
	b := p.forming.seal(p.last, p.state.Epoch())
	p.last, p.forming.gen = p.forming.at, p.state.Generation()
	p.state.Batch(b.Seq)
	flying := p.forming
	p.flying, p.forming, p.spare = &flying, p.spare, batch{}
	p.flying.sent = time.Now()
	p.launched, p.crowd = p.flying.sent, p.flying.count
	p.appends <- b
	p.beginFlush()
}

// landed takes note of an append's outcome.
func (p *loop) landed(err error) error {
	if err != nil {
		return fmt.Errorf("append the batch at %d: %w", p.flying.at.Seq, err)
	}
	b := p.flying
	p.flying = nil
	p.settings.Observer.Appended(b.count, len(b.payload), time.Since(b.sent))
	p.mu.Lock()
	p.durable = b.at
	p.mu.Unlock()
	p.release(b)
	b.reset()
	p.spare = *b
	p.sendFlush()
	return nil
}

func (p *loop) appendLoop(ctx context.Context) {
	for {
		select {
		case b := <-p.appends:
			err := appendUntilKnown(ctx, p.journal, b, &p.stall, p.log)
			if errors.Is(err, context.Canceled) {
				return
			}
			p.appended <- err
		case <-ctx.Done():
			return
		}
	}
}
