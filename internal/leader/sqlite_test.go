package leader

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/replica"
	"github.com/reeve-scheduler/reeve/internal/store"
	"github.com/reeve-scheduler/reeve/internal/store/faultstore"
	"github.com/reeve-scheduler/reeve/internal/store/sqlstore"
)

// disk is a store that may be closed again at the test's end.
type disk struct {
	*sqlstore.Store
	shut func() error
}

// onDisk is a rig whose store is SQLite in a directory.
func onDisk(t *testing.T, dir string, cue faultstore.Cue) (*rig, disk) {
	t.Helper()
	s, err := sqlstore.OpenSQLite(t.Context(), dir, sqlstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	shut := sync.OnceValue(s.Close)
	t.Cleanup(func() { _ = shut() })
	r := newRig(t)
	r.faults.SetCue(cue)
	r.journal.Journal, r.tables = r.faults.Journal(s.Journal()), r.faults.Tables(s.Tables())
	return r, disk{s, shut}
}

// TestOnSQLite runs a job, stops in good order, and finds everything again.
func TestOnSQLite(t *testing.T) {
	dir := t.TempDir()
	r, s := onDisk(t, dir, nil)
	r.run()
	worker := r.join("w1")
	done := r.do(submit(t, plain, 1)).([]core.Submitted)[0].ID
	r.state(func(*core.State) {}) // by now the assignment is durable
	var wait sync.WaitGroup
	const clients, each = 8, 50
	from := r.journal.count()
	for range clients {
		wait.Go(func() {
			for range each {
				if _, err := r.leader.Do(t.Context(), submit(t, plain, 1)); err != nil {
					t.Errorf("a submit: %v", err)
				}
			}
		})
	}
	wait.Wait()
	if n := r.journal.count() - from; n >= clients*each {
		t.Errorf("%d submits of %d clients took %d appends: no batch ever held two", clients*each, clients, n)
	}
	r.do(ended(worker, r.given(worker)[0]))
	r.end()
	_, durable, projected := r.leader.Position()
	if projected != durable {
		t.Errorf("stopped with the tables at %d of %d", projected, durable)
	}
	row, _, err := s.History().Job(t.Context(), uint64(done))
	if err != nil || row.Live {
		t.Errorf("the job that has ended: %+v, %v", row, err)
	}
	if err := s.shut(); err != nil {
		t.Fatal(err)
	}

	again, _ := onDisk(t, dir, nil)
	again.run()
	if n := again.live(); n != clients*each {
		t.Errorf("%d jobs are live after a restart; want %d", n, clients*each)
	}
	again.end()
}

// TestACrashOnSQLite breaks the disk under a leader at work and opens the directory
// anew: every acknowledged job is there, and nothing half.
func TestACrashOnSQLite(t *testing.T) {
	dir := t.TempDir()
	r, s := onDisk(t, dir, faultstore.Once(faultstore.Append, 20, faultstore.Fault{Err: store.ErrBroken, After: true}))
	r.run()
	var mu sync.Mutex
	var acknowledged []core.Submitted
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for {
				reply, err := r.leader.Do(context.Background(), submit(t, plain, 3))
				if err != nil {
					return
				}
				mu.Lock()
				acknowledged = append(acknowledged, reply.([]core.Submitted)...)
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	if err := <-r.over; !errors.Is(err, store.ErrBroken) {
		t.Fatalf("the leader ended with %v", err)
	}
	if err := s.shut(); err != nil {
		t.Fatal(err)
	}

	_, s = onDisk(t, dir, nil)
	found, err := replica.Recover(t.Context(), r.settings.Core, s.Journal(), s.Tables())
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range acknowledged {
		if _, ok := found.State.Image(a.ID); !ok {
			t.Errorf("job %d was acknowledged and is not recovered", a.ID)
		}
	}
	if n := found.State.Totals().Live; len(acknowledged) == 0 || n%3 != 0 || n < int64(len(acknowledged)) {
		t.Errorf("%d jobs are recovered, %d were acknowledged, three at a time", n, len(acknowledged))
	}
}
