package render

import (
	"fmt"
	"slices"
	"strings"

	"github.com/reeve-scheduler/reeve/internal/client"
)

// TaskRow is a task as a row of a table: name, state, done, took, worker and cause.
func TaskRow(t *client.Task) []string {
	c := t.GetCounts()
	state, worker, cause := t.GetState(), "-", t.GetCause()
	if t.GetHeld() && t.GetEndedAt() == nil {
		state += ", held"
	}
	if el := t.GetElement(); el != nil {
		worker = OrDash(el.GetWorker())
		if el.GetAttempts() > 1 {
			cause = strings.TrimPrefix(fmt.Sprintf("%s, attempt %d", cause, el.GetAttempts()), ", ")
		}
		if el.GetCarriedFrom() != "" {
			cause = "carried over from " + el.GetCarriedFrom()
		}
	} else {
		var parts []string
		for _, p := range []struct {
			n    int64
			word string
		}{{c.GetRunning(), "running"}, {c.GetFailed(), "failed"}, {c.GetTimedOut(), "timed out"}, {c.GetCancelled(), "cancelled"}, {c.GetSkipped(), "skipped"}} {
			if p.n > 0 {
				parts = append(parts, fmt.Sprintf("%d %s", p.n, p.word))
			}
		}
		if cause != "" {
			parts = append(parts, cause)
		}
		cause = strings.Join(parts, ", ")
	}
	return []string{t.GetName(), state, fmt.Sprintf("%d/%d", Ended(c), c.GetTotal()), Took(t.GetStartedAt(), t.GetEndedAt()), worker, OrDash(cause)}
}

// Labels writes labels sorted: a=1,b=2.
func Labels(m map[string]string) string {
	pairs := make([]string, 0, len(m))
	for k, v := range m {
		pairs = append(pairs, k+"="+v)
	}
	slices.Sort(pairs)
	return strings.Join(pairs, ",")
}

// Resources writes what a task asks for, or which devices an attempt has, by name:
// cpu 2, gpu 1.
func Resources(m map[string]string) string {
	parts := make([]string, 0, len(m))
	for name, what := range m {
		parts = append(parts, name+" "+what)
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

// Failed says how many elements failed of a job that is one array, whose cause is the
// first one's alone. It is empty for other jobs, and where nothing failed.
func Failed(j *client.Job) string {
	if tasks := j.GetTasks(); len(tasks) == 1 && tasks[0].GetArray() {
		c := tasks[0].GetCounts()
		if n := c.GetFailed() + c.GetTimedOut(); n > 0 {
			return fmt.Sprintf("%d of %s failed", n, Plural(c.GetTotal(), "element"))
		}
	}
	return ""
}
