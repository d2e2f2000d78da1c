package link

import (
	"fmt"
	"strings"
	"testing"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// TestHelloCheck: what the server keeps of a worker has bounds.
func TestHelloCheck(t *testing.T) {
	good := func() Hello {
		return Hello{
			Name: "w1", Instance: strings.Repeat("a", 32), Incarnation: 7, Slots: 2, Capacity: job.Resources{CPU: 2000, Memory: 1 << 30, Other: "gpu=2\nlicence=3"},
			Devices: "gpu=0,GPU-1", Pool: "night",
			Labels: map[string]string{"os": "linux", "zone": "größe b"}, Executors: []string{"process"}, Functions: []string{"resize"},
			Version: "1.0", Host: "host", About: []string{"process: whole tree killed by cgroup"},
		}
	}
	if h := good(); h.Check() != nil {
		t.Fatalf("a good hello: %v", h.Check())
	}
	many := make([]string, 1001)
	labels, amounts := map[string]string{}, map[string]int64{}
	for i := range job.MaxResources + 1 {
		amounts[fmt.Sprint("r", i)] = 1
	}
	for i := range 65 {
		labels[fmt.Sprint("l", i)] = ""
	}
	long := strings.Repeat("x", 1025)
	for name, c := range map[string]struct {
		change func(*Hello)
		says   string
	}{
		"name":         {func(h *Hello) { h.Name = "../w" }, "worker: name"},
		"identity":     {func(h *Hello) { h.Instance = "" }, "lacks an identity"},
		"no slots":     {func(h *Hello) { h.Slots = 0 }, "a slot"},
		"instance":     {func(h *Hello) { h.Instance = long }, "it says 1025 bytes of identity; at most 64 are allowed"},
		"slots":        {func(h *Hello) { h.Slots = 1 << 30 }, "slots"},
		"prefetch":     {func(h *Hello) { h.Prefetch = 1 << 30 }, "attempts to hold ready"},
		"processors":   {func(h *Hello) { h.Capacity.CPU = 1 << 62 }, "thousandths of a processor"},
		"memory":       {func(h *Hello) { h.Capacity.Memory = 1<<60 + 1 }, "bytes of memory"},
		"resources":    {func(h *Hello) { h.Capacity.Other, h.Devices = job.AmountsOf(amounts), "" }, "17 resources beside processors and memory"},
		"of no name":   {func(h *Hello) { h.Capacity.Other, h.Devices = "GPU=1", "" }, "small letters"},
		"less":         {func(h *Hello) { h.Capacity.Other, h.Devices = "tape=-1", "" }, "it says -1 of tape; want 0 to"},
		"too many":     {func(h *Hello) { h.Capacity.Other, h.Devices = "tape=1152921504606846977", "" }, "it says 1152921504606846977 of tape"},
		"fewer ids":    {func(h *Hello) { h.Devices = "gpu=0" }, "it says 2 of gpu, and the ids of 1"},
		"ids of none":  {func(h *Hello) { h.Devices = "fpga=0" }, "it says 0 of fpga, and the ids of 1"},
		"an id twice":  {func(h *Hello) { h.Devices = "gpu=0,0" }, `gpu "0" is named twice`},
		"pool":         {func(h *Hello) { h.Pool = "Night" }, `worker w1: pool: name "Night"`},
		"labels":       {func(h *Hello) { h.Labels = labels }, "65 labels"},
		"executors":    {func(h *Hello) { h.Executors = many }, "executors"},
		"functions":    {func(h *Hello) { h.Functions = many }, "1001 functions"},
		"about":        {func(h *Hello) { h.About = many }, "words about its executors"},
		"label's key":  {func(h *Hello) { h.Labels = map[string]string{"a\n": "b"} }, `label "a\n": want a key`},
		"label's text": {func(h *Hello) { h.Labels = map[string]string{"a": "b\x00"} }, `"b\x00": want at most 1024 bytes`},
		"host":         {func(h *Hello) { h.Host = long }, "want at most 1024 bytes"},
		"version":      {func(h *Hello) { h.Version = long }, "want at most 1024 bytes"},
		"function":     {func(h *Hello) { h.Functions = []string{long} }, "want at most 1024 bytes"},
	} {
		h := good()
		c.change(&h)
		if err := h.Check(); err == nil || !strings.Contains(err.Error(), c.says) || strings.ContainsAny(err.Error(), "\n") || len(err.Error()) > 300 {
			t.Errorf("%s: %v; want that it says %q on one short line", name, err, c.says)
		}
	}
}
