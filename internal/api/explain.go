package api

import (
	"context"
	"fmt"
	"time"

	"connectrpc.com/connect"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/forecast"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/outlook"
	"github.com/reeve-scheduler/reeve/internal/wire"

	reevev1 "github.com/reeve-scheduler/reeve/gen/reeve/v1"
)

// Explain says why a job, a task or an element waits.
func (s *jobs) Explain(ctx context.Context, req *connect.Request[reevev1.ExplainRequest]) (*connect.Response[reevev1.ExplainResponse], error) {
	ref, err := job.ParseRef(req.Msg.GetRef())
	if err != nil {
		return nil, invalid("%s", err)
	}
	f, why, err := s.reasons(ctx, ref)
	if err != nil {
		return nil, err
	}
	ahead := s.forecastOf(ctx, &f.image, why)
	if ahead != nil { // it may have taken a second: what is so by now is said
		if f, why, err = s.reasons(ctx, ref); err != nil {
			return nil, err
		}
	}
	out := &reevev1.ExplainResponse{Summary: "job " + ref.Job.String() + " is " + f.image.State.String()}
	if c := f.image.Cause.String(); c != "" {
		out.Summary += ": " + c
	}
	out.DeadlineWarning = s.foresee(ctx, ahead, &f.image, why)
	for i := range why {
		out.Tasks = append(out.Tasks, wire.Explanation(&why[i]))
	}
	return connect.NewResponse(out), nil
}

// reasons finds a job and what it, a task or an element of it waits for at the moment.
func (s *jobs) reasons(ctx context.Context, ref job.Ref) (f *found, why []core.Explanation, err error) {
	if f, err = s.find(ctx, ref.Job); err != nil {
		return nil, nil, err
	}
	if err = f.has(ref); err != nil {
		return nil, nil, err
	}
	if ref.Index != job.NoIndex {
		why, err = s.explainElement(ctx, f, ref)
		return f, why, err
	}
	now := s.Engine.Now()
	err = s.in(ctx, f, func(state *core.State) { why = state.Explain(ref.Job, ref.Task, now) })
	f.tellArrays(why)
	return f, why, err
}

// forecastWait is how long who asks why something waits, or what would happen, waits for a
// forecast that is of now.
const forecastWait = 3 * time.Second

// forecastOf waits for a forecast of an unfinished job that is of now, nil if there is none or nothing to ask of it.
func (s *server) forecastOf(ctx context.Context, m *core.JobImage, why []core.Explanation) *outlook.Forecast {
	asks := m.Deadline > 0
	for i := range why {
		asks = asks || len(why[i].Groups) > 0
	}
	if m.State.Terminal() || !asks {
		return nil
	}
	soon, cancel := context.WithTimeout(ctx, forecastWait)
	defer cancel()
	f, err := s.Outlook.Fresh(soon)
	if err != nil {
		return nil
	}
	return f
}

// foresee adds to what is said of a job what a forecast says, if there is one, and returns the warning that the job
// will miss its deadline.
func (s *server) foresee(ctx context.Context, f *outlook.Forecast, m *core.JobImage, why []core.Explanation) string {
	const most = 50 // tasks
	if f == nil || m.State.Terminal() {
		return ""
	}
	soon, cancel := context.WithTimeout(ctx, forecastWait)
	defer cancel()
	_ = s.Outlook.Moment(soon, f, func(moment *forecast.Moment) { // without it there is less to say
		left := most
		for i := range why {
			switch {
			case len(why[i].Groups) == 0:
			case left == 0:
				why[i].Reasons = append(why[i].Reasons, core.Reason{Kind: "unknown_start", Text: fmt.Sprintf(
					"when it starts is said of %d tasks at a time: ask for %s.%s", most, m.ID, why[i].Task)})
			default:
				why[i].Foresee(f.Course, moment)
				left--
			}
		}
	})
	return f.Warning(m.ID)
}

// explainElement explains an element of an array. One that has ended may be in the
// tables only, and has but its end to tell.
func (s *jobs) explainElement(ctx context.Context, f *found, ref job.Ref) ([]core.Explanation, error) {
	ti, err := f.task(ref.Task)
	if err != nil {
		return nil, err
	}
	p, _ := f.spec.Tasks[ti].Array.Position(ref.Index) // it has the element, says has
	views, _, err := s.elements(ctx, f, ti, p, nil, 1)
	if err != nil {
		return nil, err
	}
	if len(views) == 1 && views[0].Record.State.Terminal() {
		r := views[0].Record
		return []core.Explanation{{Task: ref.Task, State: r.State, Reasons: []core.Reason{core.Ended(ref.Job, r)}}}, nil
	}
	var why core.Explanation
	now := s.Engine.Now()
	err = s.in(ctx, f, func(state *core.State) { why, _ = state.ExplainElement(ref.Job, ti, p, now) })
	return []core.Explanation{why}, err
}

// tellArrays says how the arrays of a job ended that is in the tables: what explains
// it otherwise does not have their elements.
func (f *found) tellArrays(why []core.Explanation) {
	for i := range why {
		ti, err := f.task(why[i].Task)
		if err == nil && f.stored && f.spec.Tasks[ti].Array != nil {
			counts := f.image.Tasks[ti].Counts
			why[i].State, why[i].Reasons = counts.TaskState(), []core.Reason{core.EndedArray(counts)}
		}
	}
}
