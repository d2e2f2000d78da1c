package wire

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// resources reads amounts and ids of devices by name. What is no name or no id is refused,
// since it can't be kept.
func resources(amounts map[string]int64, ids map[string]string) (other job.Amounts, devices job.Devices, err error) {
	if n := max(len(amounts), len(ids)); n > job.MaxResources {
		return "", "", fmt.Errorf("a worker has %d resources beside processors and memory; at most %d are allowed", n, job.MaxResources)
	}
	for _, name := range slices.Sorted(maps.Keys(amounts)) {
		if err := job.CheckResource(name); err != nil {
			return "", "", err
		}
		other = other.Set(name, amounts[name])
	}
	for _, name := range slices.Sorted(maps.Keys(ids)) {
		list := strings.Split(ids[name], ",")
		if err := job.CheckDevices(name, list); err != nil {
			return "", "", err
		}
		devices = devices.Set(name, list)
	}
	return other, devices, nil
}

// amountMap writes amounts, nil for none.
func amountMap(c job.Amounts) map[string]int64 {
	if c == "" {
		return nil
	}
	return maps.Collect(c.All)
}

// deviceMap writes the ids of devices by name, nil for none.
func deviceMap(d job.Devices) map[string]string {
	if d == "" {
		return nil
	}
	out := make(map[string]string, d.Len())
	for name, ids := range d.All {
		out[name] = strings.Join(ids, ",")
	}
	return out
}
