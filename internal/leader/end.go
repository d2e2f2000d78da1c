package leader

import (
	"fmt"
	"time"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// windDownTime is how long a stopping leader waits for journal and tables.
const windDownTime = 30 * time.Second

// windDown makes what was decided durable and brings the tables up to date.
func (p *loop) windDown() error {
	deadline := time.After(windDownTime)
	for {
		if err := p.settle(p.clock.Now()); err != nil {
			return err
		}
		if p.flying == nil {
			p.launch()
		}
		if p.flying == nil && !p.unsettled && p.settings.Holds != nil {
			return nil // whoever leads next has it all, and is waited for
		}
		if p.flying == nil && p.flush == nil && !p.unsettled && !p.state.Changed() {
			return nil
		}
		p.due = time.Time{}
		p.flushSome()
		if p.flying == nil && p.unsettled || p.flush != nil && !p.flush.encoded {
			continue
		}
		select {
		case err := <-p.appended:
			if err := p.landed(err); err != nil {
				return err
			}
		case r := <-p.flushed:
			if err := p.flushedBy(r); err != nil {
				return err
			}
		case <-deadline:
			if p.flying != nil {
				return fmt.Errorf("the batch at %d was not durable %s after the stop", p.flying.at.Seq, windDownTime)
			}
			p.log.Warn("the tables lag behind the journal; recovery will replay the rest")
			return nil
		}
	}
}

// pastLease refuses to say what is so while another server may lead.
func pastLease() error {
	return &job.Error{Code: job.Unavailable, Message: "this server can't tell whether it leads still, since it has not reached the database for too long; try again"}
}

// dismiss answers everybody who still waits when the loop has ended.
func (p *loop) dismiss(why error) {
	if p.flying != nil {
		for _, h := range p.flying.answers {
			h.to.done <- answer{err: &job.Error{Code: job.Unavailable, Cause: why,
				Message: "the server stopped before it knew that the change is durable; its outcome is unknown: try again"}}
		}
	}
	for _, h := range p.forming.answers {
		h.to.done <- answer{err: &job.Error{Code: job.Unavailable, Cause: why,
			Message: "the server stopped before the change was made; nothing has changed: try again"}}
	}
	for r := p.in.next(lanes - 1); r != nil; r = p.in.next(lanes - 1) {
		r.done <- answer{err: stopping()}
	}
}

// spell names a command in the log, so that whoever sent it can be found.
func spell(c core.Command) string {
	switch c := c.(type) {
	case nil:
		return "the recovered state"
	case core.Submit:
		name := "?"
		if c.Spec != nil {
			name = c.Spec.Name
		}
		return fmt.Sprintf("core.Submit of %d jobs %q in %s by %s", len(c.Items), name, c.Namespace, c.By)
	case core.Cancel:
		return fmt.Sprintf("core.Cancel of job %d by %s", c.Job, c.By)
	case core.Hold:
		return fmt.Sprintf("core.Hold of job %d", c.Job)
	case core.Update:
		return fmt.Sprintf("core.Update of job %d by %s", c.Job, c.By)
	case core.WorkerHello:
		return fmt.Sprintf("core.WorkerHello of worker %s", c.Hello.Name)
	case core.WorkerReport:
		return fmt.Sprintf("core.WorkerReport of worker %d: %d ended", c.Worker, len(c.Report.Ended))
	}
	return fmt.Sprintf("%T", c)
}
