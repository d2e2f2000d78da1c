package predict

// Observation is what an attempt teaches that has run and ended.
type Observation struct {
	// Succeeded: one that did not says nothing of how long it takes to succeed.
	Succeeded bool
	// Run is how long it ran, in milliseconds.
	Run int64
	// Memory is its peak in bytes, 0 if that is unknown.
	Memory int64
}

// learned is what is known of the attempts of one key.
type learned struct {
	// taught is the number of the observation that it was taught last, of all of an index.
	taught uint64
	// last is the run times of the last successful attempts, the latest first; n is how many.
	last   [2]int64
	n      uint8
	runs   Sketch // of the successful ones, in milliseconds
	memory Sketch // peaks in bytes
}

func (l *learned) add(o Observation) {
	if o.Succeeded {
		l.last = [2]int64{max(o.Run, 0), l.last[0]}
		l.n = min(l.n+1, 2)
		l.runs.Add(o.Run)
	}
	if o.Memory > 0 {
		l.memory.Add(o.Memory)
	}
}

// merge adds what is known of another key's attempts to a copy that is only read. What ran
// last stays what it was, if anything was.
func (l *learned) merge(o *learned) {
	if l.n == 0 {
		l.last, l.n = o.last, o.n
	}
	l.runs.Merge(&o.runs)
	l.memory.Merge(&o.memory)
}

// Estimate is how long the next attempt may run, in milliseconds.
type Estimate struct {
	// Run is the prediction: the mean of the last two successful runs, at most the time limit,
	// at least 1; 0 if nothing is known.
	Run int64
	// Low and High are between what four of five runs took, Runs is how many of them count.
	Low, High, Runs int64
	// Others: nothing is known of the user's own runs, these are others' of the same task.
	Others bool
}

// estimate predicts the next run; limit is the task's time limit in milliseconds, 0 for none.
//
// The mean of the last two is what Tsafrir, Etsion and Feitelson found hard to beat
// ("Backfilling using system-generated predictions rather than user runtime estimates", 2007).
func (l *learned) estimate(limit int64) (e Estimate, ok bool) {
	switch l.n {
	case 0:
		return e, false
	case 1:
		e.Run = l.last[0]
	default:
		e.Run = l.last[0] + (l.last[1]-l.last[0])/2
	}
	e.Run = max(within(e.Run, limit), 1)
	e.Low, e.High, e.Runs = within(l.runs.Quantile(100), limit), within(l.runs.Quantile(900), limit), l.runs.Count()
	return e, true
}

func within(v, limit int64) int64 {
	if limit > 0 {
		return min(v, limit)
	}
	return v
}

// Expect is how long an attempt may run in all that has run for elapsed already: as predicted,
// or, once it has outlived that, as long as its time limit lets it. It is false where neither
// is known. All are in milliseconds, 0 for none.
func Expect(prediction, limit, elapsed int64) (run int64, known bool) {
	if prediction = within(prediction, limit); prediction > elapsed {
		return prediction, true
	}
	return max(limit, elapsed), limit > 0
}
