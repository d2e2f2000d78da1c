package link

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// Bounds of a hello. The server keeps it, and writes it down at every greeting.
const (
	maxInstance  = 64   // bytes
	maxPlace     = 128  // bytes
	maxWords     = 1024 // bytes of one text: a label's value, the host, a word of About
	maxExecutors = 16
	maxAbout     = 32
	// MaxFunctions bounds the functions of a worker.
	MaxFunctions = 1000
	// MaxSlots bounds its slots, and what it holds ready beyond them.
	MaxSlots = 100_000
	// maxCPU is the most that a job file can ask for, in thousandths of a processor.
	maxCPU    = 1_000_000_000
	maxMemory = 1 << 60
)

// Near reports whether two processes of a worker have the same state directory before them,
// as far as is known: each sees what the other has left.
func (h *Hello) Near(other *Hello) bool {
	return h.Place == other.Place || h.Place == "" || other.Place == ""
}

// Check refuses what no worker says of itself: a hello that lacks something, or that is
// larger than the server should keep.
func (h *Hello) Check() error {
	if err := job.CheckName(h.Name); err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	if h.Pool != "" {
		if err := job.CheckName(h.Pool); err != nil {
			return fmt.Errorf("worker %s: pool: %w", h.Name, err)
		}
	}
	if h.Instance == "" || h.Incarnation == 0 || h.Slots < 1 || h.Capacity.CPU < 0 || h.Capacity.Memory < 0 || h.Prefetch < 0 {
		return fmt.Errorf("worker %s: its hello lacks an identity, a slot or a capacity", h.Name)
	}
	for _, most := range []struct {
		what    string
		n, most int64
	}{
		{"bytes of identity", int64(len(h.Instance)), maxInstance},
		{"bytes of place", int64(len(h.Place)), maxPlace},
		{"slots", int64(h.Slots), MaxSlots},
		{"attempts to hold ready", int64(h.Prefetch), MaxSlots},
		{"thousandths of a processor", h.Capacity.CPU, maxCPU},
		{"bytes of memory", h.Capacity.Memory, maxMemory},
		{"resources beside processors and memory", int64(h.Capacity.Other.Len()), job.MaxResources},
		{"labels", int64(len(h.Labels)), job.MaxLabels},
		{"executors", int64(len(h.Executors)), maxExecutors},
		{"functions", int64(len(h.Functions)), MaxFunctions},
		{"words about its executors", int64(len(h.About)), maxAbout},
	} {
		if most.n > most.most {
			return fmt.Errorf("worker %s: it says %d %s; at most %d are allowed", h.Name, most.n, most.what, most.most)
		}
	}
	if err := h.checkResources(); err != nil {
		return fmt.Errorf("worker %s: %w", h.Name, err)
	}
	for _, key := range slices.Sorted(maps.Keys(h.Labels)) {
		if key == "" || len(key) > job.MaxName || strings.ContainsFunc(key, unicode.IsControl) {
			return fmt.Errorf("worker %s: label %.80q: want a key of 1 to %d bytes without control characters", h.Name, key, job.MaxName)
		}
	}
	texts := slices.Concat([]string{h.Version, h.Host}, h.Executors, h.Functions, h.About, slices.Sorted(maps.Values(h.Labels)))
	for _, text := range texts {
		if len(text) > maxWords || strings.ContainsFunc(text, unicode.IsControl) {
			return fmt.Errorf("worker %s: %.80q: want at most %d bytes without control characters", h.Name, text, maxWords)
		}
	}
	return nil
}

// checkResources refuses amounts of resources that nothing can have, and devices that are
// not as many as the amount says.
func (h *Hello) checkResources() error {
	for name, n := range h.Capacity.Other.All {
		if err := job.CheckResource(name); err != nil {
			return err
		}
		if n < 0 || n > job.MaxCount {
			return fmt.Errorf("it says %d of %s; want 0 to %d", n, name, int64(job.MaxCount))
		}
	}
	for name, ids := range h.Devices.All {
		if err := job.CheckDevices(name, ids); err != nil {
			return err
		}
		if n := h.Capacity.Other.Get(name); n != int64(len(ids)) {
			return fmt.Errorf("it says %d of %s, and the ids of %d", n, name, len(ids))
		}
	}
	return nil
}
