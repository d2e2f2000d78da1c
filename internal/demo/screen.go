package demo

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/reeve-scheduler/reeve/internal/cli/bars"
	"github.com/reeve-scheduler/reeve/internal/client"
)

// screen shows how the demonstration comes along: with a bar per task on a terminal,
// line by line elsewhere. It is for one goroutine.
type screen struct {
	out   io.Writer
	quiet bool
	began time.Time
	board *bars.Board
	// told is how many quarters of a task have been told, line by line.
	told map[string]int64
}

func newScreen(o *Options, began time.Time) *screen {
	return &screen{out: o.Err, quiet: o.Quiet, began: began, told: map[string]int64{}}
}

// line writes a line as it is.
func (s *screen) line(format string, args ...any) {
	if !s.quiet {
		fmt.Fprintf(s.out, format+"\n", args...)
	}
}

// draw turns to bars.
func (s *screen) draw() { s.board = bars.NewBoard(s.out) }

// event tells something that happened, with its time, above the bars if there are any.
func (s *screen) event(subject, format string, args ...any) {
	if s.quiet {
		return
	}
	out := s.out
	if s.board != nil {
		out = s.board
	}
	text := fmt.Sprintf("%6.1fs  %-9s %s\n", time.Since(s.began).Seconds(), subject, fmt.Sprintf(format, args...))
	_, _ = io.WriteString(out, text) // a screen that is gone is no reason to stop
}

// tasks shows the tasks as they are now.
func (s *screen) tasks(j *client.Job) {
	for _, t := range j.GetTasks() {
		switch {
		case s.quiet:
		case s.board != nil:
			s.bar(t)
		default:
			s.quarters(t)
		}
	}
}

// ended is how many elements of a task have ended.
func ended(t *client.Task) int64 {
	c := t.GetCounts()
	return c.GetSucceeded() + c.GetFailed() + c.GetTimedOut() + c.GetCancelled() + c.GetSkipped()
}

// quarters tells each quarter of an array, and the end of any task.
func (s *screen) quarters(t *client.Task) {
	total, over := t.GetCounts().GetTotal(), ended(t)
	const quarters = 4
	if total == 0 || over*quarters/total <= s.told[t.GetName()] {
		return
	}
	s.told[t.GetName()] = over * quarters / total
	if over < total {
		s.event(t.GetName(), "%d of %d", over, total)
		return
	}
	s.event(t.GetName(), "%s", outcome(t))
}

// outcome says how a task that has ended did, in a few words.
func outcome(t *client.Task) string {
	if t.GetState() != "succeeded" {
		if cause := t.GetCause(); cause != "" {
			return t.GetState() + ": " + cause
		}
		return t.GetState()
	}
	out := t.GetOutputs()
	switch t.GetName() {
	case "list":
		return fmt.Sprintf("%s Go files, %s", grouped(number(out["files"])), megabytes(number(out["bytes"])))
	case "count":
		return fmt.Sprintf("%d of %d", ended(t), t.GetCounts().GetTotal())
	case "single", "merge":
		return grouped(number(out["identifiers"])) + " identifiers"
	case "compare":
		return "exactly the same"
	}
	return "done"
}

// number reads an output that a step has written as a number.
func number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0 // a step that wrote none has failed, and that is told
	}
	return n
}

func (s *screen) bar(t *client.Task) {
	c, text := t.GetCounts(), ""
	switch {
	case t.GetEndedAt() != nil:
		text = outcome(t)
	case t.GetArray() && c.GetRunning() > 0:
		text = fmt.Sprintf("%d running", c.GetRunning())
	case t.GetState() != "pending":
		text = t.GetState()
	}
	s.board.Set(t.GetName(), text, ended(t), c.GetTotal())
}

// stop ends the drawing; what is drawn stays.
func (s *screen) stop() {
	if s.board != nil {
		s.board.Stop()
		s.board = nil
	}
}
