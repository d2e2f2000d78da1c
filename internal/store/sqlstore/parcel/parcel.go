// Package parcel is what is read of jobs on its way to who takes it in, so that the next are read
// meanwhile.
package parcel

import (
	"errors"
	"maps"
	"math"

	"github.com/reeve-scheduler/reeve/internal/store"
)

// Parcel is some of what is read of jobs, which rise by id from parcel to parcel.
type Parcel struct {
	// Specs has those of these jobs that have not been told before, and may have others.
	Specs map[[32]byte][]byte
	Jobs  []store.JobRow
	// Parts are of these jobs, and of the last one of the parcel before.
	Parts []store.PartRow
}

// ahead is how many parcels may wait to be taken in.
const ahead = 2

// errStop ends what reads for somebody who has given up.
var errStop = errors.New("store: what was read is not wanted any more")

// Carry runs read and take at the same time: what read sends, take gets, until there is nothing
// more or either fails. It returns take's error before read's.
func Carry(read func(send func(Parcel) error) error, take func(<-chan Parcel) error) error {
	parcels, stop, taken := make(chan Parcel, ahead), make(chan struct{}), make(chan error, 1)
	go func() {
		err := take(parcels)
		close(stop)
		taken <- err
	}()
	err := read(func(p Parcel) error {
		select {
		case parcels <- p:
			return nil
		case <-stop:
			return errStop
		}
	})
	close(parcels)
	if takenErr := <-taken; takenErr != nil {
		return takenErr
	}
	return err
}

// Load hands parcels to a loader, each job after its spec and before its parts.
func Load(from <-chan Parcel, into store.Loader) error {
	for p := range from {
		next := 0
		tell := func(upTo uint64) error {
			for ; next < len(p.Jobs) && p.Jobs[next].ID <= upTo; next++ {
				j := p.Jobs[next]
				if blob := p.Specs[j.Spec]; blob != nil {
					delete(p.Specs, j.Spec) // parcels of one slice have them together
					if err := into.Spec(store.SpecRow{Job: j.ID, Hash: j.Spec, Blob: blob}); err != nil {
						return err
					}
				}
				if err := into.Job(j); err != nil {
					return err
				}
			}
			return nil
		}
		for i := range p.Parts {
			if err := tell(p.Parts[i].Job); err != nil {
				return err
			}
			if err := into.Part(p.Parts[i]); err != nil {
				return err
			}
		}
		if err := tell(math.MaxUint64); err != nil {
			return err
		}
	}
	return nil
}

// Flushes hands parcels over as flushes at seq, each with the specs of its jobs.
func Flushes(from <-chan Parcel, seq uint64, to store.Copier) error {
	for p := range from {
		f := &store.Flush{Seq: seq, Jobs: p.Jobs, Parts: p.Parts}
		specs := maps.Clone(p.Specs)
		for i := range p.Jobs {
			hash := p.Jobs[i].Spec
			if blob := specs[hash]; blob != nil {
				f.Specs = append(f.Specs, store.SpecRow{Job: p.Jobs[i].ID, Hash: hash, Blob: blob})
				delete(specs, hash)
			}
		}
		if err := to.Flush(f); err != nil {
			return err
		}
	}
	return nil
}
