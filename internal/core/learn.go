package core

import (
	"github.com/reeve-scheduler/reeve/internal/element"
	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/predict"
)

// FormatLearns is the cluster's format from which on it learns from attempts that end: programs
// that don't know it have no rows for what is learned, and would forget it.
const FormatLearns = 3

// LearnedImage is what is known of a key as the tables keep it, in the row of its slot. What
// takes the place of a key that is forgotten is written over it.
type LearnedImage struct {
	Slot int
	Key  predict.Key
	// State is what predict made of it.
	State []byte
}

// learn teaches what an attempt says that has run and ended, whose element's record is r. Jobs
// without a name teach nothing: what else runs under no name is other work. What never started,
// or nobody knows for how long it ran, teaches nothing either.
func (s *State) learn(a *attempt, e *AttemptEnded, r element.Record) {
	j := a.job
	if s.format < FormatLearns || j.spec.spec.Name == "" || r.Started == 0 || e.Ended == 0 {
		return
	}
	succeeded := e.Next == job.Succeeded
	if !succeeded && e.Usage.Memory <= 0 {
		return
	}
	s.learned.Teach(s.pupil(j, a.task), predict.Observation{Succeeded: succeeded, Run: e.Ended - r.Started, Memory: e.Usage.Memory})
}

// pupil is what is to be taught about a job's task, written out first where a flush is under way.
func (s *State) pupil(j *jobState, ti uint32) *predict.Entry {
	sp := j.spec
	if sp.taught == nil {
		sp.taught = make([]*predict.Entry, len(j.tasks))
	}
	p := sp.taught[ti] // jobs of one spec have most of the key in common
	if p == nil || p.Gone || p.Key.User != j.by || p.Key.Namespace != j.queue.space.name {
		p = s.learned.Entry(keyFor(j.queue.space.name, sp.spec, ti, j.by))
		sp.taught[ti] = p
	}
	if p.Frozen {
		s.encodeLearned(p)
	}
	if !p.Dirty {
		p.Dirty = true
		s.flush.taught = append(s.flush.taught, p)
	}
	p.Changed = s.seq + 1
	return p
}

// keyFor is what is learned of with a task of a spec that has a name.
func keyFor(namespace string, spec *job.Spec, ti uint32, by string) predict.Key {
	return predict.Key{Namespace: namespace, Job: spec.Name, Task: spec.Tasks[ti].Name, User: by}
}

// freezeLearned begins the part of a flush that is of what was learned.
func (f *flush) freezeLearned() {
	f.learning, f.taught, f.learnedAt = f.taught, f.learning[:0], 0
	for _, p := range f.learning {
		if p.Dirty = false; !p.Gone { // else its slot is another's, or has been written
			p.Frozen = true
		}
	}
}

// encodeSomeLearned writes up to most of the entries that are left of a flush.
func (s *State) encodeSomeLearned(most int) (done bool) {
	f := &s.flush
	for ; most > 0 && f.learnedAt < len(f.learning); f.learnedAt++ {
		if p := f.learning[f.learnedAt]; p.Frozen {
			s.encodeLearned(p)
			most--
		}
	}
	return f.learnedAt >= len(f.learning)
}

func (s *State) encodeLearned(p *predict.Entry) {
	p.Frozen = false
	exportLearned(s.flush.sink, p)
}

func exportLearned(sink Sink, p *predict.Entry) {
	sink.Learned(LearnedImage{Slot: p.Slot, Key: p.Key, State: p.AppendTo(nil)}, p.Changed)
}

// projectedLearned drops from what is to be written what the tables hold up to seq.
func (f *flush) projectedLearned(seq uint64) {
	kept := f.taught[:0]
	for _, p := range f.taught {
		if p.Changed > seq {
			kept = append(kept, p)
		} else {
			p.Dirty = false
		}
	}
	clear(f.taught[len(kept):])
	f.taught = kept
}

// Learned restores what is known of a key, by rising slots.
func (l *Loaded) Learned(m LearnedImage) error { return l.s.learned.Restore(m.Slot, m.Key, m.State) }

// Prediction is what is known of a task's attempts, or of those of one element of an array.
// What is zero is unknown.
type Prediction struct {
	// Run is how long the next may run.
	Run predict.Estimate
	// Memory is what they took.
	Memory predict.Memory
	// Advice is what to ask for instead of what the task asks for, if Advised.
	Advice  predict.Advice
	Advised bool
}

// Predict says what is known of the attempts of a task like one of a job's, which need not be
// in memory. Nothing is known where the job has no name.
func (s *State) Predict(m *JobImage, spec *job.Spec, ti uint32) (p Prediction) {
	if spec.Name == "" {
		return p
	}
	k, t := keyFor(m.Namespace, spec, ti, m.By), &spec.Tasks[ti]
	p.Run, _ = s.learned.Estimate(k, millis(t.Timeout))
	p.Memory = s.learned.Memory(k)
	p.Advice, p.Advised = p.Memory.Advise(t.Takes(0).Memory)
	return p
}

// PredictRun estimates how long an attempt of a task runs of a job in memory; it is false if
// nothing is known.
func (s *State) PredictRun(id job.ID, ti uint32) (predict.Estimate, bool) {
	j := s.jobs.get(id)
	if j == nil || int(ti) >= len(j.tasks) {
		return predict.Estimate{}, false
	}
	return s.predict(j, ti)
}

func (s *State) predict(j *jobState, ti uint32) (predict.Estimate, bool) {
	if j.spec.spec.Name == "" {
		return predict.Estimate{}, false
	}
	return s.learned.Estimate(keyFor(j.queue.space.name, j.spec.spec, ti, j.by), millis(j.spec.spec.Tasks[ti].Timeout))
}
