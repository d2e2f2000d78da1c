package leader

import "time"

// Liveness knows how long each worker has been silent, on a clock of its own that
// stands still while the server itself is stalled: after a stall heartbeats are
// received before anybody is given up (hashicorp/nomad#3595 tells what happens
// otherwise). It is a pure step machine; the zero value watches nobody. Not safe for
// concurrent use.
type Liveness struct {
	elapsed time.Duration // its own clock
	last    time.Duration // the outer clock at the last step
	started bool
	since   map[uint64]time.Duration // or heard
	order   []uint64
}

// heard is in the place of a moment that the next step will know.
const heard = -1

// stallAfter is the longest step that the clock believes in.
const stallAfter = 2 * time.Second

// Silence is a worker from which nothing was heard for a while.
type Silence struct {
	Worker uint64
	// For is how long nothing came, on the clock of Liveness.
	For time.Duration
}

// Heard notes that something came from the worker after the last step. It counts as
// having come at the next: nobody is silent for as long as a step took.
func (l *Liveness) Heard(worker uint64) {
	if l.since == nil {
		l.since = map[uint64]time.Duration{}
	}
	if _, ok := l.since[worker]; !ok {
		l.order = append(l.order, worker)
	}
	l.since[worker] = heard
}

// Forget ends the watch over a worker that does not exist any more.
func (l *Liveness) Forget(worker uint64) {
	delete(l.since, worker)
	for i, w := range l.order {
		if w == worker {
			l.order = append(l.order[:i], l.order[i+1:]...)
			return
		}
	}
}

// Step moves the clock to now, a monotonic reading, and returns the workers that
// have been silent for at least least.
func (l *Liveness) Step(now time.Duration, least time.Duration) []Silence {
	if l.started {
		l.elapsed += min(max(now-l.last, 0), stallAfter)
	}
	l.last, l.started = now, true
	var out []Silence
	for _, w := range l.order {
		if l.since[w] == heard {
			l.since[w] = l.elapsed
		}
		if quiet := l.elapsed - l.since[w]; quiet >= least {
			out = append(out, Silence{w, quiet})
		}
	}
	return out
}
