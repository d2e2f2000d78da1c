package cli

import (
	"fmt"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/reeve-scheduler/reeve/internal/client"
)

// progress shows how jobs come along: a bar per task on a terminal, a line per
// change of a task's state elsewhere.
type progress struct {
	e    *env
	many bool
	mu   sync.Mutex
	bars *mpb.Progress
	rows map[string]*row
	said map[string]string
	done bool
}

type row struct {
	bar  *mpb.Bar
	text string
}

func (e *env) progress(ids []string) *progress {
	p := &progress{e: e, many: len(ids) > 1, rows: map[string]*row{}, said: map[string]string{}}
	if e.terminal() {
		p.bars = mpb.New(mpb.WithOutput(e.err), mpb.WithWidth(40), mpb.WithRefreshRate(150*time.Millisecond))
	}
	return p
}

// update takes a job as it is now.
func (p *progress) update(_ int, j *client.Job) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done || p.e.quiet || p.e.structured() && p.bars == nil {
		return
	}
	for _, t := range j.GetTasks() {
		name := t.GetName()
		if p.many {
			name = j.GetId() + "." + name
		}
		if p.bars != nil {
			p.draw(name, t)
			continue
		}
		c := t.GetCounts()
		text := t.GetState()
		if t.GetArray() && text == "running" {
			continue // its end is told; on a line of its own each step would flood
		}
		if cause := t.GetCause(); cause != "" {
			text += " (" + clean(cause) + ")"
		}
		if text != "pending" && text != "assigned" && p.said[name] != text {
			p.said[name] = text
			if t.GetArray() {
				text = fmt.Sprintf("%s, %d of %d succeeded", text, c.GetSucceeded(), c.GetTotal())
			}
			fmt.Fprintf(p.e.err, "%s: %s\n", name, text)
		}
	}
}

func (p *progress) draw(name string, t *client.Task) {
	c := t.GetCounts()
	total := max(c.GetTotal(), 1)
	over := c.GetSucceeded() + c.GetFailed() + c.GetTimedOut() + c.GetCancelled() + c.GetSkipped()
	r := p.rows[name]
	if r == nil {
		r = &row{}
		r.bar = p.bars.AddBar(total,
			mpb.PrependDecorators(decor.Name(name, decor.WCSyncSpaceR), decor.CountersNoUnit("%d/%d", decor.WCSyncSpace)),
			mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return p.text(name) })))
		p.rows[name] = r
	}
	r.text = t.GetState()
	if n := c.GetFailed() + c.GetTimedOut(); n > 0 {
		r.text += fmt.Sprintf(", %d failed", n)
	}
	if n := c.GetRunning(); n > 0 && t.GetArray() {
		r.text += fmt.Sprintf(", %d running", n)
	}
	r.bar.SetTotal(total, false)
	r.bar.SetCurrent(over)
	if over >= c.GetTotal() {
		r.bar.SetTotal(total, true)
	}
}

// text is a row's state; mpb calls it while it draws.
func (p *progress) text(name string) string {
	if !p.mu.TryLock() { // update is at work, and waits for mpb: say nothing this time
		return ""
	}
	defer p.mu.Unlock()
	return p.rows[name].text
}

// stop ends drawing; calling it again does nothing.
func (p *progress) stop() {
	p.mu.Lock()
	if p.done {
		p.mu.Unlock()
		return
	}
	p.done = true
	rows := make([]*row, 0, len(p.rows))
	for _, r := range p.rows {
		rows = append(rows, r)
	}
	p.mu.Unlock()
	if p.bars == nil {
		return
	}
	for _, r := range rows {
		if !r.bar.Completed() {
			r.bar.Abort(false)
		}
	}
	p.bars.Wait()
}
