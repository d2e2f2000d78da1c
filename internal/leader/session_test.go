package leader

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/link"
)

// TestASessionGetsWhatIsDecidedAfterItsHello has another process of a worker greet while
// an assignment to the one before is on its way to the journal, or in the hello's own batch.
// The hello loses that attempt: a session that still got it would run what is another
// worker's by then.
func TestASessionGetsWhatIsDecidedAfterItsHello(t *testing.T) {
	for name, together := range map[string]bool{"in the batch before": false, "in the same batch": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				r.run()
				worker := r.join("w1")
				r.journal.shut()
				var waits []<-chan answer
				start := func(c core.Command) {
					waits = append(waits, r.start(c))
					synctest.Wait()
				}
				if together { // with something else in flight
					start(core.PutQueue{Namespace: core.DefaultName, Name: "night", Create: true})
				}
				start(submit(t, plain, 1))
				again := hello("w1")
				again.Hello.Incarnation = 2
				start(again)
				for _, wait := range waits {
					pending(t, "what is not durable", wait)
				}
				r.journal.reopen()
				synctest.Wait()
				for _, wait := range waits {
					if a := <-wait; a.err != nil {
						t.Fatal(a.err)
					}
				}
				after(time.Second) // the element is tried again
				var given []link.Fence
				for _, msg := range r.mail.session(worker) {
					for i := 0; msg.Assign != nil && i < len(msg.Assign.Attempts); i++ {
						given = append(given, msg.Assign.Attempts[i].Fence)
					}
				}
				if !slices.Equal(given, []link.Fence{2}) {
					t.Errorf("the session is given attempts %v; want [2], since its hello has lost attempt 1", given)
				}
				r.end()
			})
		})
	}
}
