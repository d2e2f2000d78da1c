package leader

import "time"

// liveness knows how long each worker has been silent, on a clock of its own that
// stands still while the server itself is stalled: after a stall heartbeats are
// received before anybody is given up (hashicorp/nomad#3595 tells what happens
// otherwise). It is a pure step machine.
type liveness struct {
	elapsed time.Duration // its own clock
	last    time.Duration // the outer clock at the last step
	started bool
	since   map[uint64]time.Duration
	order   []uint64
}

// stallAfter is the longest step that the clock believes in.
const stallAfter = 2 * time.Second

// silence is a worker from which nothing was heard for a while.
type silence struct {
	worker uint64
	time   time.Duration
}

func (l *liveness) heard(worker uint64) {
	if l.since == nil {
		l.since = map[uint64]time.Duration{}
	}
	if _, ok := l.since[worker]; !ok {
		l.order = append(l.order, worker)
	}
	l.since[worker] = l.elapsed
}

func (l *liveness) forget(worker uint64) {
	delete(l.since, worker)
	for i, w := range l.order {
		if w == worker {
			l.order = append(l.order[:i], l.order[i+1:]...)
			return
		}
	}
}

// step moves the clock to now, a monotonic reading, and returns the workers that
// have been silent for at least least.
func (l *liveness) step(now time.Duration, least time.Duration) []silence {
	if l.started {
		l.elapsed += min(max(now-l.last, 0), stallAfter)
	}
	l.last, l.started = now, true
	var out []silence
	for _, w := range l.order {
		if quiet := l.elapsed - l.since[w]; quiet >= least {
			out = append(out, silence{w, quiet})
		}
	}
	return out
}
