// Package inventory finds what a machine has to give to attempts: processors, memory, disk,
// network, devices. Nothing here fails: what can't be found is not there, and Trouble says
// what went wrong.
package inventory

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// Stock is what a machine has.
type Stock struct {
	// Capacity is all amounts; a resource that has devices is as many as those.
	Capacity job.Resources
	Devices  job.Devices
	// About is what there is to know of devices, in words.
	About []string
	// Trouble is what was looked for and could not be found out, in words.
	Trouble []string
}

// Find looks for everything beside processors and memory that was not chosen, and puts what
// was in its place. dir is where attempts will have their files; it need not exist yet. It
// may take as long as a slow driver does, some seconds. The error is about the choice.
func Find(ctx context.Context, dir string, c Choice) (Stock, error) {
	var s Stock
	if _, named := c.Devices[job.GPU]; !named && !c.none(job.GPU) {
		s = gpus(ctx)
	}
	s.set(job.Disk, scratch(dir))
	s.set(job.Bandwidth, bandwidth())
	return s.choose(c)
}

func (s *Stock) set(name string, n int64) {
	s.Capacity.Other = s.Capacity.Other.Set(name, n)
}

func (s *Stock) setDevices(name string, ids []string) {
	s.Devices = s.Devices.Set(name, ids)
	s.set(name, int64(len(ids)))
}

// Choice is what a worker was told to have instead of what was found.
type Choice struct {
	// CPU and Memory are 0 for what was found.
	CPU, Memory int64
	// Amounts by name; 0 is none.
	Amounts map[string]int64
	// Devices are ids by name; no ids are none.
	Devices map[string][]string
}

// Chosen is what was chosen and nothing else, for workers that are not their machine's.
func Chosen(c Choice) (Stock, error) { return Stock{}.choose(c) }

// none reports whether it was said that there are none.
func (c *Choice) none(name string) bool {
	n, said := c.Amounts[name]
	return said && n == 0
}

// choose puts what was chosen in the place of what was found. Of found devices an amount
// takes the first.
func (s Stock) choose(c Choice) (Stock, error) {
	if c.CPU > 0 {
		s.Capacity.CPU = c.CPU
	}
	if c.Memory > 0 {
		s.Capacity.Memory = c.Memory
	}
	for _, name := range sortedKeys(c.Devices) {
		ids := c.Devices[name]
		if err := job.CheckDevices(name, ids); err != nil {
			return s, err
		}
		if n, counted := c.Amounts[name]; counted && n != int64(len(ids)) {
			return s, fmt.Errorf("%s: %d, of which %d are named; name all, or leave the number out", name, n, len(ids))
		}
		s.setDevices(name, ids)
	}
	for _, name := range sortedKeys(c.Amounts) {
		n, ids := c.Amounts[name], s.Devices.Get(name)
		switch err := job.CheckResource(name); {
		case err != nil:
			return s, err
		case n < 0 || n > job.MaxCount:
			return s, fmt.Errorf("%s: %d; want 0 to %d", name, n, int64(job.MaxCount))
		case ids == nil:
			s.set(name, n)
		case n > int64(len(ids)):
			return s, fmt.Errorf("%s: %d, and this machine has %d; name others by their ids", name, n, len(ids))
		default:
			s.setDevices(name, ids[:n])
		}
	}
	if n := s.Capacity.Other.Len(); n > job.MaxResources {
		return s, fmt.Errorf("%d resources beside processors and memory; at most %d are allowed", n, job.MaxResources)
	}
	return s, nil
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// What is left of a file system for all that is not scratch space of attempts: a part of its
// size, within bounds, in bytes.
const (
	reservePart = 20
	leastSpare  = 1 << 30
	mostSpare   = 64 << 30
	// roundTo keeps the amount, which is never exact, in numbers that can be read.
	roundTo = 1 << 30
)

// scratch is how many bytes attempts may leave where dir is, or will be.
func scratch(dir string) int64 {
	for {
		var fsys unix.Statfs_t
		err := unix.Statfs(dir, &fsys)
		if err == nil {
			block := uint64(fsys.Bsize) //nolint:unconvert // its type differs between systems
			return spare(fsys.Bavail*block, fsys.Blocks*block)
		}
		up := filepath.Dir(dir)
		if !errors.Is(err, fs.ErrNotExist) || up == dir {
			return 0
		}
		dir = up
	}
}

// spare is what may be given of the free bytes of a file system, in whole units unless that
// would be nothing.
func spare(free, size uint64) int64 {
	left := int64(min(free, job.MaxCount)) - int64(min(max(size/reservePart, leastSpare), mostSpare))
	if left >= roundTo {
		left -= left % roundTo
	}
	return max(left, 0)
}
