package leader

import (
	"slices"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/replica"
)

// read takes all notices that there are.
func read(t *testing.T, reader *replica.Reader) (kinds []string, resync bool) {
	t.Helper()
	for {
		list, lost, err := reader.Next(t.Context(), 100)
		if err != nil {
			t.Fatal(err)
		}
		for i := range list {
			kinds = append(kinds, list[i].Kind)
		}
		if lost || len(list) < 100 {
			return kinds, lost
		}
	}
}

// TestNoticesOfALife tells a watcher what happened, in order, with places that rise.
func TestNoticesOfALife(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.run()
		synctest.Wait() // a turn that is under way has asked already who listens
		reader := r.leader.Hub().Read(replica.Cursor{})
		defer reader.Close()
		worker := r.join("w1")
		r.do(submit(t, plain, 1))
		synctest.Wait()
		r.do(ended(worker, r.given(worker)[0]))
		synctest.Wait()
		list, lost, err := reader.Next(t.Context(), 100)
		if err != nil || lost {
			t.Fatalf("resync %v, %v", lost, err)
		}
		var kinds []string
		for i := range list {
			kinds = append(kinds, list[i].Kind)
			if i > 0 && (list[i].Cursor.Seq < list[i-1].Cursor.Seq || list[i].Cursor == list[i-1].Cursor) {
				t.Errorf("notice %d stands at %v after %v", i, list[i].Cursor, list[i-1].Cursor)
			}
		}
		want := []string{"worker_joined", "job_submitted", "task_ready", "attempt_assigned", "attempt_ended", "job_ended"}
		if diff := cmp.Diff(want, kinds); diff != "" {
			t.Errorf("the watcher was told (-want +got):\n%s", diff)
		}
		r.end()
	})
}

// TestAWatcherInTheMidstOfABatch resumes while a batch forms of which nobody was there
// to hear the beginning: it must not get the second half alone.
func TestAWatcherInTheMidstOfABatch(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.run()
		r.do(submit(t, plain, 1))
		r.journal.shut()
		r.start(submit(t, plain, 1))
		synctest.Wait()
		r.start(core.Cancel{Job: 1, Task: core.NoTask, By: "anna"}) // begins the next batch
		synctest.Wait()
		reader := r.leader.Hub().Read(r.leader.Hub().End())
		defer reader.Close()
		r.start(core.Hold{Job: 2, Task: core.NoTask, Held: true})
		synctest.Wait()
		r.journal.reopen()
		synctest.Wait()
		if kinds, resync := read(t, reader); !resync {
			t.Errorf("the watcher heard %v and was not told that it missed the beginning", kinds)
		}
		r.do(core.Hold{Job: 2, Task: core.NoTask, Held: false})
		synctest.Wait()
		if kinds, resync := read(t, reader); resync || len(kinds) != 1 || kinds[0] != "released" {
			t.Errorf("after the resync the watcher heard %v, resync %v", kinds, resync)
		}
		r.end()
	})
}

// TestNoticesAreOfTheirNamespace lets the door filter by it.
func TestNoticesAreOfTheirNamespace(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.run()
		r.do(core.PutNamespace{Name: "ops", Create: true})
		synctest.Wait()
		reader := r.leader.Hub().Read(replica.Cursor{})
		defer reader.Close()
		c := submit(t, plain, 1)
		c.Namespace = "ops"
		id := r.do(c).([]core.Submitted)[0].ID
		list, _, err := reader.Next(t.Context(), 1)
		if err != nil || list[0].Namespace != "ops" || list[0].Ref.Job != id || list[0].State != job.JobPending.String() {
			t.Errorf("the notice is %+v (%v)", list, err)
		}
		r.end()
	})
}

// TestLogsAreExpectedBeforeTheEndIsTold: whoever hears of an end may read the log at once, and must
// know by then how long that will be.
func TestLogsAreExpectedBeforeTheEndIsTold(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		told := make(chan replica.Cursor, 1)
		r.settings.Logged = func(job.Ref, int64) { told <- r.leader.Hub().End() }
		r.run()
		synctest.Wait()
		reader := r.leader.Hub().Read(replica.Cursor{})
		defer reader.Close()
		worker := r.join("w1")
		r.do(submit(t, plain, 1))
		synctest.Wait()
		report := ended(worker, r.given(worker)[0])
		report.Report.Ended[0].LogSize = 1
		r.do(report)
		synctest.Wait()
		list, _, err := reader.Next(t.Context(), 100)
		if err != nil {
			t.Fatal(err)
		}
		at := slices.IndexFunc(list, func(n replica.Notice) bool { return n.Kind == "attempt_ended" })
		if end := <-told; at < 0 || end.Seq >= list[at].Cursor.Seq {
			t.Errorf("the log is expected when notices up to %v were told, %+v among them", end, list)
		}
		r.end()
	})
}
