package job

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestDevices holds the text to a map of lists.
func TestDevices(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ids := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"0", "1", "GPU-3f", "0000:65:00.0", "MIG-a/1/0"}), 0, 4, rapid.ID)
		model := rapid.MapOf(rapid.SampledFrom([]string{"fpga", "gpu", "gpu-x"}), ids).Draw(t, "model")
		var d Devices
		for _, name := range rapid.Permutation(slices.Sorted(maps.Keys(model))).Draw(t, "order") {
			d = d.Set(name, []string{"other"}).Set(name, model[name])
		}
		maps.DeleteFunc(model, func(_ string, ids []string) bool { return len(ids) == 0 })
		if d.Len() != len(model) {
			t.Fatalf("%q of %v", d, model)
		}
		var names []string
		for name, ids := range d.All {
			if names = append(names, name); !slices.Equal(ids, model[name]) || !slices.Equal(d.Get(name), ids) {
				t.Fatalf("%s has %v and %v, want %v", name, ids, d.Get(name), model[name])
			}
		}
		if !slices.Equal(names, slices.Sorted(maps.Keys(model))) || d.Get("none") != nil {
			t.Fatalf("names %v of %v", names, model)
		}
		for range d.All {
			break // which ends it
		}
	})
}

func TestClash(t *testing.T) {
	d := Devices("").Set("gpu", []string{"0", "1"}).Set("fpga", []string{"a"})
	for _, c := range []struct {
		name string
		ids  []string
		want bool
	}{
		{"gpu", []string{"1"}, true}, {"gpu", []string{"2", "0"}, true}, {"gpu", []string{"2"}, false}, {"gpu", nil, false},
		{"fpga", []string{"0"}, false}, {"tape", []string{"a"}, false},
	} {
		o := Devices("").Set(c.name, c.ids)
		if d.Clash(o) != c.want || o.Clash(d) != c.want {
			t.Errorf("%q and %q: %v and %v, want %v", d, o, d.Clash(o), o.Clash(d), c.want)
		}
	}
}

func TestCheckDevices(t *testing.T) {
	if err := CheckDevices(GPU, []string{"0", "1", "GPU-8a56", "0000:65:00.0", "MIG-GPU-1/2/0", "a_b"}); err != nil {
		t.Error(err)
	}
	many := make([]string, MaxDevices+1)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	for says, c := range map[string]struct {
		name string
		ids  []string
	}{
		"has a place of its own":        {"cpu", []string{"0"}},
		"small letters":                 {"GPU", []string{"0"}},
		"has no devices":                {Disk, []string{"sda"}},
		`gpu "": want a device's id`:    {GPU, []string{""}},
		`gpu "a,b": want`:               {GPU, []string{"a,b"}},
		`gpu "a\nb": want`:              {GPU, []string{"a\nb"}},
		`gpu "0" is named twice`:        {GPU, []string{"0", "1", "0"}},
		"at most 64":                    {GPU, []string{strings.Repeat("a", 65)}},
		"gpu: 257 devices; at most 256": {GPU, many},
	} {
		if err := CheckDevices(c.name, c.ids); err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s %.20q: %v; want an error on one line that says %s", c.name, c.ids, err, says)
		}
	}
}
