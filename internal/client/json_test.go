package client

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	reevev1 "github.com/reeve-scheduler/reeve/gen/reeve/v1"
)

// TestJSONNumbers: whole numbers of 64 bits are numbers, alone, in lists, in maps and in what
// is nested; texts that look like some stay texts.
func TestJSONNumbers(t *testing.T) {
	for want, m := range map[string]proto.Message{
		`{"cpu_milli":2000,"devices":{"gpu":"0"},"labels":{"rack":"12"},"resources":{"disk":1152921504606846976,"gpu":1},"slots":4}`: &reevev1.Worker{
			CpuMilli: 2000, Slots: 4, Labels: map[string]string{"rack": "12"}, Devices: map[string]string{"gpu": "0"},
			Resources: map[string]int64{"gpu": 1, "disk": 1 << 60},
		},
		`{"workers":[{"memory_bytes":9007199254740993},{"resources_used":{"tape":-1}}]}`: &reevev1.WorkerServiceListResponse{Workers: []*reevev1.Worker{
			{MemoryBytes: 1<<53 + 1}, {ResourcesUsed: map[string]int64{"tape": -1}},
		}},
		`{"returned":[7,18446744073709551615]}`: &reevev1.Report{Returned: []uint64{7, 1<<64 - 1}},
		`{}`:                                    &reevev1.Worker{},
	} {
		got, err := JSON(m)
		var spaced any // protojson spaces at will
		if err != nil || json.Unmarshal(got, &spaced) != nil {
			t.Errorf("%s, %v", got, err)
		} else if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Error(diff)
		}
	}
}
