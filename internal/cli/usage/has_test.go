package usage

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/agent/inventory"
)

func TestHas(t *testing.T) {
	h := Has{CPU: "500m", Memory: "4G", Resources: []string{"licence=3", "disk=10G", "bandwidth=0"}, Devices: []string{"gpu=0,GPU-1", "fpga="}}
	got, err := h.Choice()
	want := inventory.Choice{
		CPU: 500, Memory: 4e9, Amounts: map[string]int64{"licence": 3, "disk": 10e9, "bandwidth": 0}, Devices: map[string][]string{"gpu": {"0", "GPU-1"}, "fpga": nil},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for says, h := range map[string]Has{
		`--resource "licence": want name=value`:                                                        {Resources: []string{"licence"}},
		`--resource licence=many: want a whole number such as 2`:                                       {Resources: []string{"licence=many"}},
		`--resource disk=ten: want a size such as 10G`:                                                 {Resources: []string{"disk=ten"}},
		`--resource licence=2: licence is given twice`:                                                 {Resources: []string{"licence=1", "licence=2"}},
		`--resource cpu: cpu has a flag of its own, --cpu`:                                             {Resources: []string{"cpu=2"}},
		`--device memory: memory has a flag of its own, --memory`:                                      {Devices: []string{"memory=2"}},
		`--device gpu=a b: gpu "a b": want a device's id of letters, digits and . _ : / -, at most 64`: {Devices: []string{"gpu=a b"}},
		`--device gpu=0,0: gpu "0" is named twice`:                                                     {Devices: []string{"gpu=0,0"}},
		`--device gpu=1: gpu is given twice; separate ids by commas`:                                   {Devices: []string{"gpu=0", "gpu=1"}},
		`--device disk=sda: resource "disk" has no devices`:                                            {Devices: []string{"disk=sda"}},
		`--memory 0: want more than nothing; reeve drain keeps work away`:                              {Memory: "0"},
		`--cpu: cpu "x": want processors such as 2, 0.5 or 500m, at most 1000000`:                      {CPU: "x"},
		`--memory: size "x": want a number of bytes with an optional unit, such as 512Mi or 4G`:        {Memory: "x"},
		`--cpu 0: want more than nothing; reeve drain keeps work away`:                                 {CPU: "0"},
	} {
		if _, err := h.Choice(); err == nil || err.Error() != says {
			t.Errorf("%+v: %v\nwant %s", h, err, says)
		}
	}
}
