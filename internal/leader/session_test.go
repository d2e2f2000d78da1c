package leader

import (
	"testing"
	"testing/synctest"

	"github.com/reeve-scheduler/reeve/internal/core"
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
				lost := r.mail.fences(worker)
				if len(lost) == 0 {
					t.Fatal("the first process of the worker was given nothing")
				}
				for _, msg := range r.mail.session(worker) {
					for i := 0; msg.Assign != nil && i < len(msg.Assign.Attempts); i++ {
						if msg.Assign.Attempts[i].Fence == lost[0] {
							t.Errorf("the session is given attempt %d, which its hello has lost", lost[0])
						}
					}
				}
				r.end()
			})
		})
	}
}
