package core

import "github.com/reeve-scheduler/reeve/internal/job"

// QueueCount is how many unfinished jobs a queue has.
type QueueCount struct {
	Namespace, Queue string
	Jobs             int64
}

// Census is how much there is to do and who does it.
type Census struct {
	Totals
	// Queues is every queue with unfinished jobs, up to MaxQueueCounts; what is in
	// further ones is in OtherJobs.
	Queues    []QueueCount
	OtherJobs int64
	// Connected, Away and Draining count workers; one that drains is connected.
	Connected, Away, Draining int
	// Slots, Running, Capacity and Used are of the workers that are connected;
	// Prefetched waits on them for a slot.
	Slots, Running, Prefetched int
	Capacity, Used             job.Resources
}

// MaxQueueCounts bounds how many queues a Census names.
const MaxQueueCounts = 1000

// Census counts what is in memory. It takes time in proportion to queues and workers, not
// to jobs.
func (s *State) Census() Census {
	c := Census{Totals: s.Totals()}
	for _, space := range s.spaceNames {
		n := s.spaces[space]
		for _, name := range n.names {
			switch q := n.queues[name]; {
			case q.jobs == 0:
			case len(c.Queues) == MaxQueueCounts:
				c.OtherJobs += q.jobs
			default:
				c.Queues = append(c.Queues, QueueCount{space, name, q.jobs})
			}
		}
	}
	for _, id := range s.workerIDs {
		w := s.workers[id]
		if w.away {
			c.Away++
			continue
		}
		c.Connected++
		if w.draining {
			c.Draining++
		}
		used, running, prefetched := s.plan.Usage(id)
		c.Slots += w.hello.Slots
		c.Running += running
		c.Prefetched += prefetched
		c.Capacity, c.Used = c.Capacity.Plus(w.hello.Capacity), c.Used.Plus(used)
	}
	return c
}
