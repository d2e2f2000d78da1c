package classic

// user is what the last two jobs of a user took, the latest first, 0 for none.
type user struct {
	last [2]int64
	// waiting is the user's jobs that wait, as they came, where what is known of them is
	// asked anew.
	waiting []int32
}

// of is the user of a job.
func (s *Scheduler) of(i int) *user {
	u := s.users[s.jobs[i].User]
	if u == nil {
		u = &user{}
		s.users[s.jobs[i].User] = u
	}
	return u
}

// estimate is what is known of a job's run time as it comes.
func (s *Scheduler) estimate(i int) int64 {
	j := &s.jobs[i]
	switch s.policy.Estimate {
	case Actual:
		return j.Run
	case LastTwo:
		if j.User == "" {
			return j.Request
		}
	case LastTwoOfAll:
	default:
		return j.Request
	}
	last := s.of(i).last
	if last[1] == 0 {
		return j.Request
	}
	mean := (last[0] + last[1]) / 2
	if mean > second {
		mean -= mean % second // published programs count in seconds
	}
	return min(max(mean, 1), j.Request)
}

const second = 1000

// learn takes in what a job took.
func (s *Scheduler) learn(i int, now int64) {
	if s.policy.Estimate != LastTwo && s.policy.Estimate != LastTwoOfAll {
		return
	}
	u := s.of(i)
	u.last = [2]int64{s.jobs[i].Run, u.last[0]}
	for _, w := range u.waiting {
		s.dequeue(int(w))
		s.enqueue(int(w), now)
	}
}

// steps is what BySteps adds to the first prediction, one after the other, in
// milliseconds: a minute, 5, 15 and 30, an hour, 2, 5, 10, 20, 50 and 100. After these
// it takes what is requested.
var steps = [...]int64{
	60_000, 300_000, 900_000, 1_800_000,
	3600_000, 2 * 3600_000, 5 * 3600_000, 10 * 3600_000, 20 * 3600_000, 50 * 3600_000, 100 * 3600_000,
}

// corrected is the next prediction for a job that has outlived one.
func (s *Scheduler) corrected(r *run) int64 {
	request := s.jobs[r.job].Request
	switch s.policy.Correct {
	case BySteps:
		if r.corrections < len(steps) {
			return min(s.est[r.job]+steps[r.corrections], request)
		}
	case ByDoubling: // beyond what is requested too, as where the published results come from
		return 2 * (r.end - r.start)
	}
	return request
}
