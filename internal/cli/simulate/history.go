package simulate

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/reeve-scheduler/reeve/internal/cli/usage"
	"github.com/reeve-scheduler/reeve/internal/client"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/simulate"
	"github.com/reeve-scheduler/reeve/internal/workload"
)

// recall takes what the cluster ran. Each element that ran becomes a job: of a task that
// needs others it comes when the last of these has ended.
func (s *source) recall(ctx context.Context, e *Env, fleet []simulate.Worker) (*input, error) {
	cl, err := e.Dial()
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	if fleet == nil {
		if fleet, err = present(ctx, cl); err != nil {
			return nil, err
		}
	}
	q := client.ListRequest{Namespace: e.Space(), Queue: s.queue}
	if s.since != "" {
		if q.SubmittedAfter, err = usage.Since("since", s.since); err != nil {
			return nil, err
		}
	}
	if s.before != "" {
		if q.SubmittedBefore, err = usage.Since("before", s.before); err != nil {
			return nil, err
		}
	}
	h := history{cl: cl, trace: &workload.Trace{}}
	for jobs := 0; jobs < s.limit; {
		q.PageSize = int32(min(s.limit-jobs, 1000))
		page, err := cl.List(ctx, &q)
		if err != nil {
			return nil, err
		}
		for _, j := range page.GetJobs() {
			if err := h.add(ctx, j.GetId()); err != nil {
				return nil, err
			}
		}
		jobs += len(page.GetJobs())
		if q.PageToken = page.GetNextPageToken(); q.PageToken == "" {
			break
		}
		if jobs == s.limit {
			h.older = true
		}
	}
	name := fmt.Sprintf("history of namespace %s", e.Space())
	return &input{name: name, trace: h.done(), fleet: fleet, told: h.told()}, nil
}

// present is the cluster's workers as they are.
func present(ctx context.Context, cl *client.Client) (fleet []simulate.Worker, err error) {
	workers, err := cl.Workers(ctx)
	if err != nil {
		return nil, err
	}
	for _, w := range workers {
		capacity := job.Resources{CPU: w.GetCpuMilli(), Memory: w.GetMemoryBytes()}
		if len(w.GetOvercommit()) > 0 {
			capacity = job.Resources{CPU: w.GetCpuMilliOffered(), Memory: w.GetMemoryBytesOffered()}
		}
		fleet = append(fleet, simulate.Worker{
			Name: w.GetName(), N: 1, Capacity: capacity,
			Slots: int(w.GetSlots()), Labels: w.GetLabels(),
		})
	}
	if fleet == nil {
		return nil, fmt.Errorf("the cluster has no worker to run its history on; say with --workers what there is to be")
	}
	return fleet, nil
}

// history is a workload in the making.
type history struct {
	cl    *client.Client
	trace *workload.Trace
	// never counts the elements that did not run, unfinished the ones that are not through,
	// unlimited those that have no time limit.
	never, unfinished, unlimited int64
	older                        bool
}

// add takes in a job.
func (h *history) add(ctx context.Context, id string) error {
	j, err := h.cl.Get(ctx, id, true)
	if err != nil {
		return err
	}
	text, err := j.GetSpec().MarshalJSON()
	if err != nil {
		return err
	}
	var spec job.Spec
	if err := json.Unmarshal(text, &spec); err != nil {
		return fmt.Errorf("job %s: its job file: %w", id, err)
	}
	ended := map[string]int64{}
	for _, t := range j.GetTasks() {
		if at := t.GetEndedAt(); at != nil {
			ended[t.GetName()] = at.AsTime().UnixMilli()
		}
	}
	for i, t := range j.GetTasks() {
		if i >= len(spec.Tasks) {
			break
		}
		p := pattern(j, &spec, i)
		for _, need := range t.GetNeeds() {
			p.Submit = max(p.Submit, ended[need])
		}
		if !t.GetArray() {
			h.element(p, t.GetElement())
			continue
		}
		for token := ""; ; {
			page, next, err := h.cl.Elements(ctx, id, t.GetName(), nil, 1000, token)
			if err != nil {
				return err
			}
			for _, e := range page {
				h.element(p, e)
			}
			if token = next; token == "" {
				break
			}
		}
	}
	return nil
}

// pattern is what the elements of a task have in common.
func pattern(j *client.Job, spec *job.Spec, i int) workload.Job {
	t := &spec.Tasks[i]
	p := workload.Job{
		Submit: j.GetSubmittedAt().AsTime().UnixMilli(), Request: time.Duration(t.Timeout).Milliseconds(), Memory: t.Resources.Memory,
		User: j.GetSubmittedBy(), Queue: j.GetQueue(), Name: cmp.Or(j.GetName(), t.Name), Priority: j.GetPriority(), Where: t.Where,
	}
	p.SetMilli(t.Resources.CPU)
	if d := j.GetDeadline(); d != nil {
		p.Deadline = d.AsTime().UnixMilli()
	}
	return p
}

// element takes in an element by its last attempt.
func (h *history) element(p workload.Job, e *client.Element) {
	if e.GetStartedAt() == nil {
		h.never++
		return
	}
	if e.GetEndedAt() == nil {
		h.unfinished++
		return
	}
	started, ended := e.GetStartedAt().AsTime().UnixMilli(), e.GetEndedAt().AsTime().UnixMilli()
	p.Run = max(ended-started, 1)
	if p.Request == 0 {
		h.unlimited++
	}
	p.Request = max(p.Request, p.Run)
	p.Submit = min(p.Submit, started)
	p.Wait = started - p.Submit
	h.trace.Jobs = append(h.trace.Jobs, p)
}

// done puts the jobs in order, from the first on.
func (h *history) done() *workload.Trace {
	t := h.trace
	slices.SortStableFunc(t.Jobs, func(a, b workload.Job) int { return cmp.Compare(a.Submit, b.Submit) })
	if len(t.Jobs) == 0 {
		return t
	}
	t.Start = t.Jobs[0].Submit
	for i := range t.Jobs {
		j := &t.Jobs[i]
		j.Number = int64(i + 1)
		j.Submit -= t.Start
		if j.Deadline > 0 {
			j.Deadline = max(j.Deadline-t.Start, 1)
		}
	}
	return t
}

// told says what was left out.
func (h *history) told() (out []string) {
	for _, d := range []workload.Decision{
		{Jobs: h.never, What: "dropped: they never started"},
		{Jobs: h.unfinished, What: "dropped: they have not ended"},
		{Jobs: h.unlimited, What: "taken with the time they ran: they have no timeout"},
	} {
		if d.Jobs > 0 {
			out = append(out, d.String())
		}
	}
	if h.older {
		out = append(out, "older jobs left out: --limit takes more")
	}
	return out
}
