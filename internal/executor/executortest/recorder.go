package executortest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/reeve-scheduler/reeve/internal/executor"
)

// Patience is how long a test waits for what must happen.
const Patience = 30 * time.Second

// Recorder is an executor.Events that remembers. Its zero value is not usable; make
// it with NewRecorder. It fails the test on a second start or end of one key.
type Recorder struct {
	t  *testing.T
	mu sync.Mutex
	// changed is closed and replaced at each event.
	changed chan struct{}
	started map[string]time.Time
	ended   map[string]executor.Exit
	wrote   map[string]int
	closed  bool
}

var _ executor.Events = (*Recorder)(nil)

// NewRecorder makes a recorder that reports broken promises to t.
func NewRecorder(t *testing.T) *Recorder {
	return &Recorder{
		t: t, changed: make(chan struct{}),
		started: map[string]time.Time{}, ended: map[string]executor.Exit{}, wrote: map[string]int{},
	}
}

func (r *Recorder) note(what, key string, f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		r.t.Errorf("%s(%s) after Close", what, key)
		return
	}
	f()
	close(r.changed)
	r.changed = make(chan struct{})
}

// Started implements executor.Events.
func (r *Recorder) Started(key string, at time.Time) {
	r.note("Started", key, func() {
		if _, twice := r.started[key]; twice {
			r.t.Errorf("Started(%s) twice", key)
		}
		if _, late := r.ended[key]; late {
			r.t.Errorf("Started(%s) after Ended", key)
		}
		r.started[key] = at
	})
}

// Ended implements executor.Events.
func (r *Recorder) Ended(key string, exit executor.Exit) {
	r.note("Ended", key, func() {
		if _, twice := r.ended[key]; twice {
			r.t.Errorf("Ended(%s) twice", key)
		}
		r.ended[key] = exit
	})
}

// Wrote implements executor.Events.
func (r *Recorder) Wrote(key string) {
	r.note("Wrote", key, func() { r.wrote[key]++ })
}

// HasStarted says whether Started was called for key.
func (r *Recorder) HasStarted(key string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.started[key]
	return ok
}

// HasEnded says whether Ended was called for key.
func (r *Recorder) HasEnded(key string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.ended[key]
	return ok
}

// HasWritten says whether Wrote was called for key.
func (r *Recorder) HasWritten(key string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.wrote[key] > 0
}

// Close makes each later event a failure.
func (r *Recorder) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
}

// Until waits until ok holds, looking again at each event.
func (r *Recorder) Until(what string, ok func() bool) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	for {
		r.mu.Lock()
		changed := r.changed
		r.mu.Unlock()
		if ok() {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			r.t.Fatalf("waited %s in vain for: %s", Patience, what)
		}
	}
}

// WaitStarted waits for Started of key.
func (r *Recorder) WaitStarted(key string) time.Time {
	r.t.Helper()
	r.Until("start of "+key, func() bool { return r.HasStarted(key) })
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.started[key]
}

// WaitEnded waits for Ended of key.
func (r *Recorder) WaitEnded(key string) executor.Exit {
	r.t.Helper()
	r.Until("end of "+key, func() bool { return r.HasEnded(key) })
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ended[key]
}
