package agent

import (
	"context"
	"sync"
	"testing"

	"github.com/reeve-scheduler/reeve/internal/executor"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// slowRelease is an executor whose first Release waits for over.
type slowRelease struct {
	executor.Executor
	once            sync.Once
	begun, released chan struct{}
	over            <-chan struct{}
	err             error
}

func (s *slowRelease) Release(ctx context.Context, key string) error {
	s.once.Do(func() {
		close(s.begun)
		<-s.over
		s.err = ctx.Err()
		close(s.released)
	})
	return s.Executor.Release(ctx, key)
}

// TestLastCalls has an agent leave while it releases what it held: a keeper that did
// not hear of it would stay, for the sake of a result that nobody will fetch.
func TestLastCalls(t *testing.T) {
	dir, srv := stateDir(t), newMemServer(t)
	kinds := processes(t, dir)
	slow := &slowRelease{begun: make(chan struct{}), released: make(chan struct{})}
	open := kinds[0].Open
	kinds[0].Open = func(ctx context.Context, ev executor.Events) (executor.Executor, error) {
		e, err := open(ctx, ev)
		slow.Executor = e
		return slow, err
	}
	stop := runAgent(t, Config{Server: srv, Dir: dir, Executors: kinds})
	get(t, srv.hellos)
	srv.mu.Lock()
	slow.over = srv.session.done // closed when the agent has begun to shut
	srv.mu.Unlock()
	srv.assign(parse(t, "name: demo\ncommand: [\"true\"]\n"), 0, 1, nil)
	if r := get(t, srv.results); r.Cause != (job.Cause{}) {
		t.Fatalf("result: %+v", r)
	}
	get(t, slow.begun)
	stop()
	get(t, slow.released)
	if slow.err != nil {
		t.Errorf("the release was cut off: %v", slow.err)
	}
}
