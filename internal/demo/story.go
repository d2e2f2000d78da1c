package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/reeve-scheduler/reeve/internal/client"
)

// logWait bounds reading what a task wrote.
const logWait = 10 * time.Second

// story follows the job, kills a worker half-way, and notes what becomes of what
// that worker held. It is for one goroutine.
type story struct {
	cluster *cluster
	screen  *screen
	id      string
	// victim is the worker that was killed, "" before.
	victim string
	losses []*loss
}

// loss is an element that was with the victim when it died.
type loss struct {
	// ref is the element's reference, name what to call it.
	ref, name string
	// again is set once the element has come to another worker.
	again bool
}

// follow goes along with the job until it has ended.
func (s *story) follow(ctx context.Context) (*client.Job, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	j, err := s.cluster.client.Follow(ctx, s.id, func(j *client.Job) {
		s.screen.tasks(j)
		if err := s.look(ctx, j); err != nil {
			cancel(err)
		}
	})
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return j, err
}

// look does what is to be done now.
func (s *story) look(ctx context.Context, j *client.Job) error {
	if s.victim != "" {
		return s.recovery(ctx)
	}
	for _, t := range j.GetTasks() {
		over, total := ended(t), t.GetCounts().GetTotal()
		if t.GetName() == "count" && 2*over >= total && over < total {
			return s.kill(ctx, j)
		}
	}
	return nil
}

// held lists the elements that are with workers now, by worker.
func (s *story) held(ctx context.Context, j *client.Job, states ...string) (map[string][]*loss, error) {
	out := map[string][]*loss{}
	add := func(task string, e *client.Element) {
		name := task
		if e.GetIndex() >= 0 {
			name = fmt.Sprintf("%s.%d", task, e.GetIndex())
		}
		out[e.GetWorker()] = append(out[e.GetWorker()], &loss{ref: e.GetId(), name: name})
	}
	for _, t := range j.GetTasks() {
		if !t.GetArray() {
			if e := t.GetElement(); e.GetWorker() != "" && t.GetEndedAt() == nil {
				add(t.GetName(), e)
			}
			continue
		}
		elements, _, err := s.cluster.client.Elements(ctx, s.id, t.GetName(), states, shards, "")
		if err != nil {
			return nil, err
		}
		for _, e := range elements {
			add(t.GetName(), e)
		}
	}
	return out, nil
}

// kill kills the worker that runs most shards; if none runs any, the next look tries
// again.
func (s *story) kill(ctx context.Context, j *client.Job) error {
	running, err := s.held(ctx, j, "running")
	if err != nil {
		return err
	}
	most := 0
	victim := ""
	// From the last to the first: the task that counts alone has most likely gone to
	// the first worker, and what is to be seen is the loss of shards.
	names := workerNames()
	for _, name := range slices.Backward(names) {
		count := 0
		for _, l := range running[name] {
			if strings.HasPrefix(l.name, "count.") {
				count++
			}
		}
		if count > most {
			most, victim = count, name
		}
	}
	if victim == "" {
		return nil
	}
	attempts, err := s.cluster.worker(victim).kill()
	if err != nil {
		return err
	}
	s.victim = victim
	s.screen.event(victim, "killed with its keeper and %s (SIGKILL); its lease ends in %s", plural(attempts, "attempt"), lease)
	if j, err = s.cluster.client.Get(ctx, s.id, false); err != nil {
		return err
	}
	held, err := s.held(ctx, j, "running", "assigned")
	s.losses = held[victim]
	return err
}

// recovery tells which lost elements have come to other workers.
func (s *story) recovery(ctx context.Context) error {
	for _, l := range s.losses {
		if l.again {
			continue
		}
		attempts, err := s.cluster.client.Attempts(ctx, l.ref)
		if err != nil {
			return err
		}
		if len(attempts) == 0 {
			continue
		}
		last := attempts[len(attempts)-1]
		if last.GetWorker() == s.victim || last.GetWorker() == "" {
			continue
		}
		l.again = true
		s.screen.event(l.name, "lost with %s, attempt %d on %s", s.victim, last.GetNumber(), last.GetWorker())
	}
	return nil
}

// totals is what the job took.
type totals struct{ elements, attempts int }

func (s *story) totals(ctx context.Context, j *client.Job) (sum totals, err error) {
	for _, t := range j.GetTasks() {
		elements := []*client.Element{t.GetElement()}
		if t.GetArray() {
			if elements, _, err = s.cluster.client.Elements(ctx, s.id, t.GetName(), nil, shards, ""); err != nil {
				return sum, err
			}
		}
		for _, e := range elements {
			sum.elements++
			sum.attempts += int(e.GetAttempts())
		}
	}
	return sum, nil
}

// verdict returns an error unless the job has shown what it is to show.
func (s *story) verdict(ctx context.Context, j *client.Job) error {
	for _, t := range j.GetTasks() {
		if t.GetName() == "compare" && t.GetOutputs()["agree"] == "true" && j.GetState() == "succeeded" {
			return nil
		}
	}
	for _, t := range j.GetTasks() {
		if t.GetState() != "failed" && t.GetState() != "timed_out" {
			continue
		}
		text := fmt.Sprintf("job %s failed in its task %s: %s", s.id, t.GetName(), t.GetCause())
		wrote, err := s.wrote(ctx, s.id+"."+t.GetName(), "stderr")
		if err != nil {
			return errors.Join(errors.New(text), err)
		}
		if wrote = strings.TrimSpace(wrote); wrote != "" {
			text += ": " + wrote[strings.LastIndexByte(wrote, '\n')+1:]
		}
		return errors.New(text)
	}
	if cause := j.GetCause(); cause != "" {
		return fmt.Errorf("job %s %s: %s", s.id, j.GetState(), cause)
	}
	return fmt.Errorf("job %s %s without a word on whether the counts agree", s.id, j.GetState())
}

// wrote returns what a task wrote to a stream.
func (s *story) wrote(ctx context.Context, ref, stream string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, logWait)
	defer cancel()
	var b strings.Builder
	err := s.cluster.client.Logs(ctx, ref, client.LogOptions{Follow: true, Streams: []string{stream}}, func(p *client.LogPiece) error {
		b.Write(p.GetData())
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("read the output of %s: %w", ref, err)
	}
	return b.String(), nil
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
