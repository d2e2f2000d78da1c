// Package bars shows on a terminal how jobs and uploads come along, and tells it line
// by line elsewhere.
package bars

import (
	"fmt"
	"io"
	"sync"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/reeve-scheduler/reeve/internal/cli/render"
	"github.com/reeve-scheduler/reeve/internal/client"
)

// maxBars is how many bars fit on a screen beside what stands there already.
const maxBars = 12

// Progress shows how jobs come along. On a terminal: a bar per task of one job, per
// job of several, and one bar for very many. Elsewhere: a line per change of a task's
// state. It may be used concurrently.
type Progress struct {
	o     Options
	jobs  int
	mu    sync.Mutex
	board *Board
	said  map[string]string
	// over is the jobs that have ended.
	over map[string]bool
	done bool
}

// Options of what is shown.
type Options struct {
	// Out is where it is shown.
	Out io.Writer
	// Terminal says that Out is one on which can be drawn.
	Terminal bool
	// Lines says that lines may be told where nothing can be drawn.
	Lines bool
}

// New begins to show a number of jobs; call Stop when they have ended.
func New(o Options, jobs int) *Progress {
	p := &Progress{o: o, jobs: jobs, said: map[string]string{}, over: map[string]bool{}}
	if o.Terminal {
		p.board = NewBoard(o.Out)
	}
	return p
}

// Update takes a job as it is now.
func (p *Progress) Update(j *client.Job) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.done:
	case p.board != nil:
		p.draw(j)
	case p.o.Lines:
		for _, t := range j.GetTasks() {
			p.tell(j, t)
		}
	}
}

// Write tells whole lines, above the bars if there are any.
func (p *Progress) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.done:
	case p.board != nil:
		return p.board.Write(b)
	case p.o.Lines:
		return p.o.Out.Write(b)
	}
	return len(b), nil
}

// tell writes a line where a task's state has changed.
func (p *Progress) tell(j *client.Job, t *client.Task) {
	name := t.GetName()
	if p.jobs > 1 {
		name = j.GetId() + "." + name
	}
	text := t.GetState()
	if t.GetArray() && text == "running" {
		return // its end is told; on a line of its own each step would flood
	}
	if cause := t.GetCause(); cause != "" {
		text += " (" + render.Clean(cause) + ")"
	}
	if text == "pending" || text == "assigned" || p.said[name] == text {
		return
	}
	p.said[name] = text
	if t.GetArray() {
		text = fmt.Sprintf("%s, %d of %d succeeded", text, t.GetCounts().GetSucceeded(), t.GetCounts().GetTotal())
	}
	fmt.Fprintf(p.o.Out, "%s: %s\n", name, text)
}

func (p *Progress) draw(j *client.Job) {
	switch {
	case p.jobs > maxBars:
		p.over[j.GetId()] = p.over[j.GetId()] || client.Ended(j)
		n := 0
		for _, over := range p.over {
			if over {
				n++
			}
		}
		p.board.Set("jobs", "", int64(n), int64(p.jobs))
	case p.jobs > 1 || len(j.GetTasks()) > maxBars:
		all := &client.Counts{}
		for _, t := range j.GetTasks() {
			addCounts(all, t.GetCounts())
		}
		p.board.Set("job "+j.GetId(), describe(j.GetState(), all, true), render.Ended(all), all.GetTotal())
	default:
		for _, t := range j.GetTasks() {
			p.board.Set(t.GetName(), describe(t.GetState(), t.GetCounts(), t.GetArray()), render.Ended(t.GetCounts()), t.GetCounts().GetTotal())
		}
	}
}

func addCounts(to, c *client.Counts) {
	to.Total += c.GetTotal()
	to.Running += c.GetRunning()
	to.Succeeded += c.GetSucceeded()
	to.Failed += c.GetFailed()
	to.TimedOut += c.GetTimedOut()
	to.Cancelled += c.GetCancelled()
	to.Skipped += c.GetSkipped()
}

// describe is a state with the numbers behind it.
func describe(state string, c *client.Counts, several bool) string {
	if n := c.GetFailed() + c.GetTimedOut(); n > 0 && several {
		state += fmt.Sprintf(", %d failed", n)
	}
	if n := c.GetRunning(); n > 0 && several {
		state += fmt.Sprintf(", %d running", n)
	}
	return state
}

// Stop ends drawing; calling it again does nothing.
func (p *Progress) Stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.board != nil && !p.done {
		p.board.Stop()
	}
	p.done = true
}

// Upload shows how much of a file has been read, where that takes a while.
type Upload struct {
	bars *mpb.Progress
	bar  *mpb.Bar
}

// NewUpload begins to show the reading of size bytes, 0 for not known.
func NewUpload(o Options, what string, size int64) *Upload {
	const worth = 1 << 20
	if !o.Terminal || size > 0 && size < worth {
		return &Upload{}
	}
	u := &Upload{bars: mpb.New(mpb.WithOutput(o.Out), mpb.WithWidth(width(o.Out)), mpb.WithRefreshRate(refresh))}
	counter := decor.Counters(decor.SizeB1024(0), "% .1f / % .1f")
	if size == 0 {
		counter = decor.CurrentKibiByte("% .1f")
	}
	u.bar = u.bars.New(size, style(), mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Name(what+"  ")), mpb.AppendDecorators(counter))
	return u
}

// Reader is in, with what is read from it shown.
func (u *Upload) Reader(in io.Reader) io.Reader {
	if u.bar == nil {
		return in
	}
	proxy, err := u.bar.ProxyReader(in)
	if err != nil {
		return in // the bar has ended already
	}
	return proxy
}

// Stop takes the bar away; calling it again does nothing.
func (u *Upload) Stop() {
	if u.bar != nil {
		u.bar.Abort(true)
		u.bars.Wait()
	}
}
