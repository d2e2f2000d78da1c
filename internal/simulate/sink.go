package simulate

import (
	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// sink takes what would go to the tables, and keeps nothing of it but what has ended.
type sink struct{ c *cluster }

func (k sink) Job(j core.JobImage) {
	if j.State.Terminal() {
		k.c.ended = append(k.c.ended, j.ID)
	}
}

func (sink) Counters(core.CountersImage, uint64)              {}
func (sink) Namespace(core.NamespaceSet, uint64)              {}
func (sink) Queue(core.QueueImage, uint64)                    {}
func (sink) Key(string, *core.KeyImage, uint64)               {}
func (sink) Pool(core.PoolSet, uint64)                        {}
func (sink) Reservation(string, *core.ReservationSet, uint64) {}
func (sink) Token(core.Token, uint64)                         {}
func (sink) Worker(uint64, *core.WorkerImage, uint64)         {}
func (sink) Spec(job.ID, core.Hash, []byte)                   {}
func (sink) Chunk(core.ChunkImage, uint64)                    {}
func (sink) Past(core.PastAttempt, uint64)                    {}
func (sink) Learned(core.LearnedImage, uint64)                {}
func (sink) Use(string, core.UseImage, uint64)                {}
func (sink) Output(core.OutputImage, uint64)                  {}
