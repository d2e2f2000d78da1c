package api

import (
	"context"
	"fmt"
	"strings"

	"connectrpc.com/connect"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/forecast"
	"github.com/reeve-scheduler/reeve/internal/guard"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/wire"

	reevev1 "github.com/reeve-scheduler/reeve/gen/reeve/v1"
)

// Plan says what would happen if a job were submitted now.
func (s *jobs) Plan(ctx context.Context, req *connect.Request[reevev1.PlanRequest]) (*connect.Response[reevev1.PlanResponse], error) {
	c, err := read(ctx, req.Msg.GetSubmit())
	if err != nil {
		return nil, err
	}
	if len(c.Items) > 1 {
		return nil, invalid("%d items: a plan is for one job; ask once for each", len(c.Items))
	}
	out := &reevev1.PlanResponse{Namespace: c.Namespace, Queue: c.Spec.Queue}
	if out.Queue == "" {
		out.Queue = core.DefaultName
	}
	asked, err := s.whatIf(ctx, c)
	switch code := job.CodeOf(err); {
	case err != nil && (code == job.NotFound || code == job.Exists || code == job.Refused || code == job.Busy || code == job.Invalid):
		out.Verdict, out.Summary = "refused", "the submit would be refused: "+err.Error()
	case err != nil:
		return nil, err
	case asked.Existing != 0:
		out.Verdict, out.Id, out.Summary = "exists", asked.Existing.String(), "there would be no new job: its key stands for job "+asked.Existing.String()
	case asked.Doomed.Kind != job.CauseNone:
		out.Verdict, out.Summary = "never", "it would end at once: "+asked.Doomed.String()
	default:
		if err := s.foretell(ctx, out, c, asked); err != nil {
			return nil, err
		}
		if asked.Cancels != nil {
			out.Summary += "; it would cancel " + jobNames(asked.Cancels) + " to have concurrency key " + asked.Key
		}
	}
	return connect.NewResponse(out), nil
}

// jobNames names a few jobs: job 4217, job 4218 and 3 more.
func jobNames(ids []job.ID) string {
	const most = 3
	var names []string
	for _, id := range ids[:min(len(ids), most)] {
		names = append(names, "job "+id.String())
	}
	text := strings.Join(names, ", ")
	if more := len(ids) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// foretell adds what would happen to a job, and by it.
func (s *server) foretell(ctx context.Context, out *reevev1.PlanResponse, c core.Submit, asked core.Asked) error {
	soon, cancel := context.WithTimeout(ctx, forecastWait)
	defer cancel()
	f, err := s.Outlook.Fresh(soon)
	if err != nil && ctx.Err() == nil {
		err = &job.Error{Code: job.Unavailable, Message: "there is no forecast at the moment; try again", Cause: err}
	}
	if err != nil {
		return err
	}
	if _, taken := f.Course.Jobs[asked.Job.ID]; taken { // by another, meanwhile
		if asked, err = s.whatIf(ctx, c); err == nil && asked.Existing != 0 {
			err = &job.Error{Code: job.Unavailable, Message: "the job was submitted while it was asked about; try again"}
		}
		if err != nil {
			return err
		}
	}
	effect, err := s.Outlook.WhatIf(ctx, f, &asked.Job)
	if err != nil {
		return err
	}
	wire.Effect(out, effect, f.Course.Now)
	return s.disturbed(ctx, out, effect)
}

// whatIf looks up what a submit needs to know, and asks what would be decided.
func (s *server) whatIf(ctx context.Context, c core.Submit) (asked core.Asked, err error) {
	const tries = 5
	for range tries {
		if err = s.facts(ctx, &c); err != nil {
			return asked, err
		}
		now := s.Engine.Now()
		if viewErr := s.Engine.View(ctx, func(state *core.State) { asked, err = state.WhatIf(core.Input{Now: now}, c) }); viewErr != nil {
			return asked, viewErr
		}
		if job.CodeOf(err) != job.Stale {
			break
		}
	}
	return asked, err
}

// disturbed names the jobs that would start later, or lose attempts, as far as the caller may
// know them.
func (s *server) disturbed(ctx context.Context, out *reevev1.PlanResponse, e *forecast.Effect) error {
	const most = 100
	out.Delayed = int64(len(e.Delays))
	return s.Engine.View(ctx, func(state *core.State) {
		for _, d := range e.Delays[:min(len(e.Delays), most)] {
			if m, ok := state.Image(d.Job); ok && guard.Reaches(ctx, m.Namespace) {
				out.Delays = append(out.Delays, &reevev1.Delay{Id: d.Job.String(), Name: m.Name, ExpectedStart: wire.Time(d.From), DelayedStart: wire.Time(d.To)})
			}
		}
		for _, id := range e.Evicts[:min(len(e.Evicts), most)] {
			if m, ok := state.Image(id); ok && guard.Reaches(ctx, m.Namespace) {
				out.Preempts = append(out.Preempts, id.String())
			}
		}
	})
}

// expect adds to jobs what the last forecast says of them.
func (s *server) expect(ctx context.Context, out []*reevev1.Job, images []core.JobImage) {
	asks := false
	for i := range images {
		asks = asks || !images[i].State.Terminal()
	}
	if !asks {
		return
	}
	f := s.Outlook.Last(ctx)
	if f == nil {
		return
	}
	for i := range images {
		if !images[i].State.Terminal() {
			wire.Expect(out[i], &images[i], f.Course, f.Cluster)
			out[i].DeadlineWarning = f.Warning(images[i].ID)
		}
	}
}
