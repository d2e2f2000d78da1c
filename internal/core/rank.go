package core

import (
	"math/bits"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// far is beyond every moment and every length, in milliseconds.
const far = int64(1) << 50

// atFront is above what any order makes of a job: what was put to the front stands beyond it,
// the later the higher.
const atFront = int64(1) << 58

// score says where what a job has ready stands in its queue, higher first, if it is
// expected to run for so long (milliseconds, 0 for unknown) on so many thousandths of a
// processor. It does not change with time:
// priority that rises with waiting is worked out for all at the moment 0, by which the order
// is the same at every other.
func (j *jobState) score(length, cpu int64) int64 {
	p := &j.queue.policy
	ageing := millis(p.Ageing)
	if j.front > 0 {
		return atFront + j.front
	}
	switch p.Order {
	case job.ByAge:
		return 0
	case job.ByLength:
		if ageing > 0 {
			return -j.submitted - ageing*log2(work(length, cpu))/sixteenth
		}
		if length == 0 {
			return -far
		}
		return -min(length, far)
	case job.ByDeadline:
		if j.deadline > 0 {
			return -min(j.deadline, far)
		}
		return int64(j.priority()) - 2*far
	}
	if ageing > 0 {
		return int64(j.priority())*ageing - j.submitted
	}
	return int64(j.priority())
}

// priority is what a job has: what its spec says, or what was said since.
func (j *jobState) priority() int32 { return j.spec.spec.Priority + j.raised }

// precedence is where a job stands among those that wait for a concurrency key, higher first.
func (j *jobState) precedence() int64 {
	if j.front > 0 {
		return atFront + j.front
	}
	return int64(j.priority())
}

// sixteenth is how many parts log2 has to the whole.
const sixteenth = 16

// work is what a task takes of processors in milliseconds; what nobody knows is taken for much.
func work(length, cpu int64) int64 {
	if length == 0 {
		length = far
	}
	return min(length, far) / 1000 * max(cpu, 1)
}

// log2 is the binary logarithm in sixteenths, straight between powers of two; 0 of what is less
// than 2.
func log2(n int64) int64 {
	if n < 2 {
		return 0
	}
	whole := int64(bits.Len64(uint64(n)) - 1)
	part := n - 1<<whole
	if whole > 50 {
		return whole*sixteenth + part>>(whole-4)
	}
	return whole*sixteenth + part*sixteenth>>whole
}

// tier is the priority class: 0 for background, 4 for critical.
func (j *jobState) tier() uint8 {
	switch p := j.priority(); {
	case p <= job.PriorityBackground:
		return 0
	case p <= job.PriorityLow:
		return 1
	case p < job.PriorityHigh:
		return 2
	case p < job.PriorityCritical:
		return 3
	}
	return 4
}

// turn is whose turn a job waits for: its user's, where users take turns.
func (j *jobState) turn() string {
	if j.queue.policy.Order == job.ByShare {
		return j.by
	}
	return ""
}

// length is how long an element of a task is expected to run, in milliseconds, 0 for unknown:
// as the last ones did, or else as long as it may.
func (s *State) length(j *jobState, ti uint32) int64 {
	if e, ok := s.predict(j, ti); ok {
		return max(e.Run, 1)
	}
	return millis(j.spec.spec.Tasks[ti].Timeout)
}

// expect tells the plan when an attempt will end, as far as anything is known.
func (s *State) expect(a *attempt) {
	length, limit := s.length(a.job, a.task), millis(a.job.spec.spec.Tasks[a.task].Timeout)
	from := max(a.started, a.assigned)
	ends := [2]int64{length, limit}
	for i := range ends {
		if ends[i] > 0 {
			ends[i] += from
		}
	}
	s.plan.Expect(a.run, ends[0], ends[1])
}
