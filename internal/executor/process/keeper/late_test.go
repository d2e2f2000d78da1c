package keeper

import (
	"log/slog"
	"testing"
	"time"

	"github.com/reeve-scheduler/reeve/internal/executor"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// late is a keeper none of whose goroutines run, as after a SIGCONT before they do. It
// holds one attempt, not started, whose deadline has passed.
func late(t *testing.T) (*Keeper, *attempt) {
	t.Helper()
	k := &Keeper{
		log: slog.New(slog.DiscardHandler), idle: time.Hour, fence: noFence{make(chan string, 10)},
		forked: make(chan struct{}, 1), poke: make(chan struct{}, 1), startable: make(chan struct{}, 1), over: make(chan struct{}),
		attempts: map[string]*attempt{}, pids: map[int]*attempt{}, watch: NewDeadlines(),
	}
	k.pool.New = func() any { b := make([]byte, 0, pipeBuffer); return &b }
	past := executor.Now().Add(-time.Second)
	if err := k.start(executor.Task{Key: "a", Argv: []string{"/bin/true"}, Dir: t.TempDir(), Deadline: past}); err != nil {
		t.Fatal(err)
	}
	return k, k.attempts["a"]
}

// TestRenewalComesTooLate: a deadline that has passed is not moved, even if the keeper
// has not come round to kill for it.
func TestRenewalComesTooLate(t *testing.T) {
	k, a := late(t)
	k.renew([]string{"a"}, executor.Now().Add(time.Hour))
	if !a.asked || !a.killed || a.cause.Kind != job.CauseWorkerLost {
		t.Errorf("asked %v, killed %v, because of %v", a.asked, a.killed, a.cause)
	}
}

// TestStartComesTooLate: what waited for its start past its deadline is not started.
func TestStartComesTooLate(t *testing.T) {
	k, a := late(t)
	k.launch(a, -1, "")
	if a.phase != ended || !a.started.IsZero() || a.exit.Cause.Kind != job.CauseWorkerLost {
		t.Errorf("phase %d, started %v, exit %+v", a.phase, a.started, a.exit)
	}
}
