package core

import "bytes"

// input is what a submit says of a job beside its spec. Jobs that were given the
// same share one; but for shared it does not change.
type input struct {
	params  []byte
	payload []byte
	by      string
	// away: there is a payload, and only the tables have it. Nothing is decided by it, so
	// that it leaves memory once it is there, and comes back for the worker.
	away bool
	// shared: more than one job has it.
	shared bool
}

// inputOf returns the input to keep for a job that was given in.
func (sp *spec) inputOf(in input) *input {
	last := &sp.recent
	if in.away {
		last = &sp.recentAway
	}
	r := *last
	switch {
	case r == nil:
	case r.by == in.by && bytes.Equal(r.params, in.params) && bytes.Equal(r.payload, in.payload) && (r.payload == nil) == (in.payload == nil):
		r.shared = true
		return r
	default:
		if bytes.Equal(r.params, in.params) {
			in.params = r.params
		}
		if r.by == in.by {
			in.by = r.by
		}
	}
	*last = &in
	return &in
}

// sheds reports whether memory has less once the payload is away: what many jobs share
// costs nothing.
func (in *input) sheds() bool { return len(in.payload) > 0 && !in.shared }

// shed lets go of a job's payload, which the tables have.
func (j *jobState) shed() {
	if j.sheds() {
		j.input = j.spec.inputOf(input{params: j.params, by: j.by, away: true})
	}
}
