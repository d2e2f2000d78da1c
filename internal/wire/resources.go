package wire

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/reeve-scheduler/reeve/internal/job"

	reevev1 "github.com/reeve-scheduler/reeve/gen/reeve/v1"
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

// offers reads what a pool gives away of a worker; offersOf writes it, nil for nothing.
func offers(m *reevev1.PoolAmounts) (r job.Resources, err error) {
	r.CPU, r.Memory = m.GetCpuMilli(), m.GetMemoryBytes()
	r.Other, _, err = resources(m.GetResources(), nil)
	return r, err
}

func offersOf(r job.Resources) *reevev1.PoolAmounts {
	if r == (job.Resources{}) {
		return nil
	}
	return poolAmounts(r)
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
