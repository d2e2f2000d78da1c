package job

import (
	"fmt"
	"slices"
	"strings"
)

// Devices is the ids of devices by the name of their resource, in one form that can be
// compared: lines of "name=id,id" by name. Ids keep their order. The zero value is none.
type Devices table

// Bounds of devices.
const (
	// MaxDevices bounds the devices of one name.
	MaxDevices = 256
	// MaxDeviceID bounds an id, in bytes.
	MaxDeviceID = 64
)

// All calls yield with each name and its ids, by name.
func (d Devices) All(yield func(name string, ids []string) bool) {
	for rest := table(d); rest != ""; {
		var name, ids string
		name, ids, rest = rest.cut()
		if !yield(name, strings.Split(ids, ",")) {
			return
		}
	}
}

// Get is the ids of a name, nil if there are none.
func (d Devices) Get(name string) []string {
	if ids := table(d).get(name); ids != "" {
		return strings.Split(ids, ",")
	}
	return nil
}

// Set returns d with other ids of a name; none take the name out.
func (d Devices) Set(name string, ids []string) Devices {
	return Devices(table(d).set(name, strings.Join(ids, ",")))
}

// Len is how many names have ids.
func (d Devices) Len() int { return table(d).len() }

// Clash reports whether two have a device in common.
func (d Devices) Clash(o Devices) bool {
	for name, ids := range d.All {
		for _, other := range o.Get(name) {
			if slices.Contains(ids, other) {
				return true
			}
		}
	}
	return false
}

// CheckDevices reports why ids can't be those of a resource's devices.
func CheckDevices(name string, ids []string) error {
	if err := CheckResource(name); err != nil {
		return err
	}
	if Divisible(name) {
		return fmt.Errorf("resource %q has no devices", name)
	}
	if len(ids) > MaxDevices {
		return fmt.Errorf("%s: %d devices; at most %d are allowed", name, len(ids), MaxDevices)
	}
	seen := make(map[string]bool, len(ids))
	for _, id := range ids {
		switch {
		case !deviceID(id):
			return fmt.Errorf("%s %.80q: want a device's id of letters, digits and . _ : / -, at most %d", name, id, MaxDeviceID)
		case seen[id]:
			return fmt.Errorf("%s %q is named twice", name, id)
		}
		seen[id] = true
	}
	return nil
}

func deviceID(id string) bool {
	for i := range len(id) {
		c := id[i]
		word := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !word && strings.IndexByte("._:/-", c) < 0 {
			return false
		}
	}
	return id != "" && len(id) <= MaxDeviceID
}
