package reeve

import (
	"context"
	"fmt"
	"io"
	"iter"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/reeve-scheduler/reeve/internal/client"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// target is what a reference names, as the calls take it.
type target struct{ id, task, elements string }

// parseTarget reads a reference; in brackets a task's elements may also be ranges, such
// as 4217.transform[1-7:2,9].
func parseTarget(ref string) (target, error) {
	ranges := ""
	if head, rest, ok := strings.Cut(ref, "["); ok && strings.HasSuffix(rest, "]") {
		ref, ranges = head, strings.TrimSuffix(rest, "]")
	}
	r, err := job.ParseRef(ref)
	if err != nil {
		return target{}, &Error{Code: CodeInvalid, Message: err.Error(), cause: err}
	}
	t := target{id: r.Job.String(), task: r.Task, elements: ranges}
	switch {
	case ranges != "" && (r.Task == "" || r.Index != job.NoIndex):
		return target{}, invalid("reference " + ref + "[" + ranges + "]: ranges go with a task, such as 4217.transform[1-7]")
	case r.Index != job.NoIndex:
		t.elements = job.FormatRanges([]job.Range{{First: r.Index, Last: r.Index, Step: 1}})
	}
	return t, nil
}

// Get returns a job with its tasks.
func (c *Client) Get(ctx context.Context, id string) (*JobInfo, error) {
	j, err := c.c.Get(ctx, id, false)
	if err != nil {
		return nil, fail(ctx, err)
	}
	return jobInfo(j), nil
}

// Filter selects jobs; zero fields do not restrict.
type Filter struct {
	// Namespace is the client's by default; "*" is every one that the token reaches.
	Namespace string
	States    []State
	Queue     string
	Name      string
	// Labels must all be there; one with an empty value may have any.
	Labels                          map[string]string
	SubmittedAfter, SubmittedBefore time.Time
}

// space is the namespace for a call that reads; empty for all.
func (c *Client) space(namespace string) string {
	switch {
	case namespace == "*":
		return ""
	case namespace != "":
		return namespace
	case c.namespace != "":
		return c.namespace
	}
	return "default"
}

// pageSize is how many a list asks for at once.
const pageSize = 500

// List yields the jobs that f selects, newest first, without their tasks. It asks for
// more as it is read; an error is the last thing that it yields. Jobs whose records on the
// server's disk are damaged are left out, and named by an error at the end.
func (c *Client) List(ctx context.Context, f Filter) iter.Seq2[*JobInfo, error] {
	return func(yield func(*JobInfo, error) bool) {
		q := &client.ListRequest{
			Namespace: c.space(f.Namespace), States: texts(f.States), Queue: f.Queue, Name: f.Name, PageSize: pageSize,
			SubmittedAfter: client.Time(f.SubmittedAfter), SubmittedBefore: client.Time(f.SubmittedBefore),
		}
		for k, v := range f.Labels {
			if v != "" {
				k += "=" + v
			}
			q.Labels = append(q.Labels, k)
		}
		var damaged []string
		for {
			page, err := c.c.List(ctx, q)
			if err != nil {
				yield(nil, fail(ctx, err))
				return
			}
			damaged = append(damaged, page.GetDamaged()...)
			for _, j := range page.GetJobs() {
				if !yield(jobInfo(j), nil) {
					return
				}
			}
			if q.PageToken = page.GetNextPageToken(); q.GetPageToken() == "" {
				break
			}
		}
		if damaged != nil {
			yield(nil, fmt.Errorf("can't list jobs %s: their records on the server's disk are damaged; its log says more", strings.Join(damaged, ", ")))
		}
	}
}

func texts(states []State) []string {
	out := make([]string, 0, len(states))
	for _, s := range states {
		out = append(out, string(s))
	}
	return out
}

// Elements yields the elements of a task by index, those in the given states if any are
// given.
func (c *Client) Elements(ctx context.Context, id, task string, states ...State) iter.Seq2[ElementInfo, error] {
	return func(yield func(ElementInfo, error) bool) {
		token := ""
		for {
			page, next, err := c.c.Elements(ctx, id, task, texts(states), pageSize, token)
			if err != nil {
				yield(ElementInfo{}, fail(ctx, err))
				return
			}
			for _, e := range page {
				if !yield(elementInfo(e), nil) {
					return
				}
			}
			if token = next; token == "" {
				return
			}
		}
	}
}

// Attempts returns the attempts of an element, or of a task that is not an array, oldest
// first.
func (c *Client) Attempts(ctx context.Context, ref string) ([]AttemptInfo, error) {
	ms, err := c.c.Attempts(ctx, ref)
	if err != nil {
		return nil, fail(ctx, err)
	}
	out := make([]AttemptInfo, 0, len(ms))
	for _, m := range ms {
		out = append(out, attemptInfo(m))
	}
	return out, nil
}

// Wait returns a job once it has ended. The error is nil only if the job has succeeded;
// if it ended otherwise the job comes with a *JobError that says how and why. It lives
// through restarts of the server: only ctx, a job that does not exist and a refusal end
// it early, without a job.
func (c *Client) Wait(ctx context.Context, id string) (*JobInfo, error) {
	return c.Follow(ctx, id, nil)
}

// Follow is Wait that calls fn, unless it is nil, with the job as it is now and after
// changes. Changes that come quickly one after the other may be seen as one.
func (c *Client) Follow(ctx context.Context, id string, fn func(*JobInfo)) (*JobInfo, error) {
	var each func(*client.Job)
	if fn != nil {
		each = func(j *client.Job) { fn(jobInfo(j)) }
	}
	m, err := c.c.Follow(ctx, id, each)
	if err != nil {
		return nil, fail(ctx, err)
	}
	j := jobInfo(m)
	return j, j.Err()
}

// Stopped says what Cancel and Kill met.
type Stopped struct {
	// Stopping elements were asked to end and still run; Cancelled ones had not started.
	Stopping, Cancelled int64
	// AlreadyEnded: there was nothing to stop.
	AlreadyEnded bool
}

// Cancel asks what ref names to end: a job, a task, an element, or ranges of a task's
// elements such as 4217.transform[1-7]. What runs gets its task's grace; handlers see
// their context end. It returns before they have ended.
func (c *Client) Cancel(ctx context.Context, ref, reason string) (Stopped, error) {
	return c.stop(ctx, ref, reason, false)
}

// Kill is Cancel without grace, and without clean-up tasks.
func (c *Client) Kill(ctx context.Context, ref, reason string) (Stopped, error) {
	return c.stop(ctx, ref, reason, true)
}

func (c *Client) stop(ctx context.Context, ref, reason string, kill bool) (Stopped, error) {
	t, err := parseTarget(ref)
	if err != nil {
		return Stopped{}, err
	}
	a, err := c.c.Cancel(ctx, &client.CancelRequest{Id: t.id, Task: t.task, Elements: t.elements, Kill: kill, Reason: reason})
	return Stopped{Stopping: a.GetStopping(), Cancelled: a.GetCancelled(), AlreadyEnded: a.GetAlreadyEnded()}, fail(ctx, err)
}

// Hold keeps what has not started of a job or a task from starting, until Release.
func (c *Client) Hold(ctx context.Context, ref string) error {
	t, err := parseWhole(ref)
	if err != nil {
		return err
	}
	return fail(ctx, c.c.Hold(ctx, t.id, t.task))
}

// Release ends a hold.
func (c *Client) Release(ctx context.Context, ref string) error {
	t, err := parseWhole(ref)
	if err != nil {
		return err
	}
	return fail(ctx, c.c.Release(ctx, t.id, t.task))
}

// Change is what Update changes of a job. What is nil or empty stays as it is.
type Change struct {
	// Priority is -1000 to 1000; higher runs first.
	Priority *int
	// Queue is a queue of the job's namespace.
	Queue string
	// Front puts the job before all others of its queue or, where users take turns, of its user
	// there; the one that was put there last goes first. False puts it back to where it stood.
	Front *bool
}

// Update changes where a job stands that has not ended: what waits of it is ranked anew, what
// runs goes on.
func (c *Client) Update(ctx context.Context, id string, to Change) error {
	t, err := parseTarget(id)
	if err == nil && t.task != "" {
		err = invalid("reference " + id + ": only whole jobs can be updated; name the job")
	}
	if err != nil {
		return err
	}
	q := &client.UpdateRequest{Id: t.id, Front: to.Front}
	if to.Priority != nil {
		p, err := job.ParsePriority(strconv.Itoa(*to.Priority))
		if err != nil {
			return invalid(err.Error())
		}
		q.Priority = &p
	}
	if to.Queue != "" {
		q.Queue = &to.Queue
	}
	_, err = c.c.Update(ctx, q)
	return fail(ctx, err)
}

// parseWhole reads a reference to a job or a task.
func parseWhole(ref string) (target, error) {
	t, err := parseTarget(ref)
	if err == nil && t.elements != "" {
		err = invalid("reference " + ref + ": single elements can't be held; name the job or the task")
	}
	return t, err
}

// Retry submits a finished job again, as a new job that carries the succeeded elements
// over and runs the others, and returns the new job's id.
func (c *Client) Retry(ctx context.Context, id string) (newID string, err error) {
	newID, err = c.c.Retry(ctx, id, false, randomKey())
	return newID, fail(ctx, err)
}

// Rerun is Retry that carries nothing over: everything runs again.
func (c *Client) Rerun(ctx context.Context, id string) (newID string, err error) {
	newID, err = c.c.Retry(ctx, id, true, randomKey())
	return newID, fail(ctx, err)
}

// Explain says every reason why what ref names waits, or how it ended.
func (c *Client) Explain(ctx context.Context, ref string) (*Explanation, error) {
	m, err := c.c.Explain(ctx, ref)
	if err != nil {
		return nil, fail(ctx, err)
	}
	e := &Explanation{Summary: m.GetSummary()}
	for _, t := range m.GetTasks() {
		why := TaskReasons{Task: t.GetTask(), State: State(t.GetState())}
		for _, r := range t.GetReasons() {
			why.Reasons = append(why.Reasons, Reason{Kind: r.GetKind(), Text: r.GetText()})
		}
		e.Tasks = append(e.Tasks, why)
	}
	return e, nil
}

// ElementOutputs is what one element left.
type ElementOutputs struct {
	// Index is -1 for a task that is not an array.
	Index  int64
	Values map[string]string
}

// Result reads what the element's function returned into v.
func (o ElementOutputs) Result(v any) error {
	return readResult(o.Values, fmt.Sprintf("element %d", o.Index), v)
}

// Outputs yields the outputs of a task's elements, by index. An error is the last thing
// that it yields.
func (c *Client) Outputs(ctx context.Context, id, task string) iter.Seq2[ElementOutputs, error] {
	return func(yield func(ElementOutputs, error) bool) {
		s := stream{c: c, patience: c.patience}
		last := int64(math.MinInt64)
		err := s.run(ctx, func() error {
			return c.c.ElementOutputs(ctx, id, task, func(m *client.ElementOutputs) error {
				s.moved = true
				if m.GetIndex() <= last {
					return nil // a connection before this one brought it
				}
				last = m.GetIndex()
				if !yield(ElementOutputs{Index: last, Values: m.GetOutputs()}, nil) {
					return errEnough
				}
				return nil
			})
		})
		if err != nil {
			yield(ElementOutputs{}, err)
		}
	}
}

// Artifact is a file that an attempt left.
type Artifact struct {
	// Ref is the task or element that left it.
	Ref string
	// Path has slashes, on every system.
	Path string
	// Size is in bytes.
	Size int64
}

// Artifacts lists the files of a job, task or element: of each element those of its last
// attempt that left any.
func (c *Client) Artifacts(ctx context.Context, ref string) ([]Artifact, error) {
	files, err := c.c.Artifacts(ctx, ref)
	if err != nil {
		return nil, fail(ctx, err)
	}
	out := make([]Artifact, 0, len(files))
	for _, f := range files {
		out = append(out, Artifact{Ref: f.GetRef(), Path: f.GetPath(), Size: f.GetSize()})
	}
	return out, nil
}

// ReadArtifact writes a file that Artifacts lists to a writer. After an error a part may
// have been written.
func (c *Client) ReadArtifact(ctx context.Context, ref, path string, to io.Writer) error {
	s := stream{c: c, patience: c.patience}
	return s.run(ctx, func() error { return c.c.Artifact(ctx, ref, path, onceWriter{to, &s}) })
}

// onceWriter ends a stream's patience with the first byte, which can't be taken back.
type onceWriter struct {
	to io.Writer
	s  *stream
}

func (w onceWriter) Write(p []byte) (int, error) {
	w.s.patience = 0
	return w.to.Write(p)
}
