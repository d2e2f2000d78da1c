package core

import "github.com/reeve-scheduler/reeve/internal/job"

// partObjects bounds the namespaces, pools, reservations, tokens, workers and keys that were learned of in one part
// of a state.
const partObjects = 200

// EndOfPart is the last id of a part that begins at a job and has about that many tasks of jobs
// that have not ended, LastJob where nothing comes after it.
func (s *State) EndOfPart(from job.ID, tasks int, slice uint64) job.ID {
	const passed = 32 // so many jobs that have ended are passed in the time of one task
	room, last := tasks*passed, job.ID(0)
	for j := range s.jobs.from(from) {
		if room <= 0 {
			return last
		}
		last = j.id
		if room--; !j.state.Terminal() {
			room -= passed * len(j.tasks)
		}
	}
	if seen := (slice + 1) * partObjects; seen < uint64(max(len(s.spaceNames), len(s.poolNames), len(s.reservationNames), len(s.tokenIDs), len(s.workerIDs), len(s.learned.Entries()), len(s.limits.Owing()))) {
		return max(from, last) // there are no more jobs, but the rest is not through yet
	}
	return LastJob
}

// ExportPart writes the images of a part of the state to a sink, as Export does: the counters, a
// window of the rest, the jobs in question and a chunk of each of their arrays. Two copies of
// one state agree on it to the last byte. It changes nothing.
func (s *State) ExportPart(sink Sink, e StateDigested) {
	sink.Counters(s.countersImage(), s.seq)
	for _, name := range window(s.spaceNames, e.Slice) {
		s.exportSpace(sink, s.spaces[name])
	}
	for _, name := range window(s.poolNames, e.Slice) {
		sink.Pool(PoolSet{Name: name, Policy: s.pools[name]}, s.seq)
	}
	for _, name := range window(s.reservationNames, e.Slice) {
		sink.Reservation(name, s.reservations[name], s.seq)
	}
	for _, id := range window(s.tokenIDs, e.Slice) {
		sink.Token(*s.tokens[id], s.seq)
	}
	for _, id := range window(s.workerIDs, e.Slice) {
		s.exportWorker(sink, s.workers[id])
	}
	for _, p := range window(s.learned.Entries(), e.Slice) {
		exportLearned(sink, p)
	}
	for _, k := range window(s.limits.Owing(), e.Slice) {
		sink.Key(keyRow(k.Name()), imageOfKey(k), s.seq)
	}
	for j := range s.jobs.from(e.From) {
		if j.id > e.To {
			return
		}
		if j.state.Terminal() {
			continue
		}
		sink.Job(s.jobImage(j))
		for i := range j.tasks {
			if a := j.tasks[i].arr; a != nil && a.table.Chunks() > 0 {
				sink.Chunk(s.chunkImage(j, uint32(i), int(e.Round%uint64(a.table.Chunks()))), j.changed)
			}
		}
	}
}

// window is the part of a list that a slice has.
func window[T any](list []T, slice uint64) []T {
	n := uint64(len(list))
	first := min(slice, n) * partObjects
	return list[min(first, n):min(first+partObjects, n)]
}

func (s *State) exportSpace(sink Sink, n *namespace) {
	sink.Namespace(n.image(), s.seq)
	for _, q := range n.names {
		sink.Queue(n.queues[q].image(), s.seq)
	}
	s.exportUse(sink, n)
}

func (s *State) exportWorker(sink Sink, w *worker) {
	sink.Worker(w.id, &WorkerImage{ID: w.id, Hello: w.hello, Joined: w.joined, Draining: w.draining, Away: w.away}, s.seq)
}
