package inventory

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// tool puts a script in the place of nvidia-smi, and nothing else that has that name.
func tool(t *testing.T, script string) {
	t.Helper()
	dir := t.TempDir()
	if script != "" {
		if err := os.WriteFile(filepath.Join(dir, "nvidia-smi"), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+":/usr/bin:/bin")
}

func TestGPUs(t *testing.T) {
	const two = "0, GPU-8a56a4bc-e184-4b9c-9d4a-5e5b5a7c2f11, 24564 MiB\n1, GPU-1f, 24564 MiB\n"
	for name, c := range map[string]struct {
		script  string
		ids     []string
		about   string
		trouble string
	}{
		"no tool":      {},
		"two":          {"printf '" + two + "'", []string{"GPU-8a56a4bc-e184-4b9c-9d4a-5e5b5a7c2f11", "GPU-1f"}, "gpu: 2 of 24564 MiB", ""},
		"the request":  {`test "$*" = "--query-gpu=index,uuid,memory.total --format=csv,noheader" && echo "0, GPU-a, 1 MiB"`, []string{"GPU-a"}, "gpu: 1 of 1 MiB", ""},
		"of two sizes": {"printf '0, GPU-a, 1 MiB\\n1, GPU-b, 2 MiB\\r\\n'", []string{"GPU-a", "GPU-b"}, "gpu: 2 of 1 MiB, 2 MiB", ""},
		"without ids":  {"printf '0, [N/A], [N/A]\\n3, [N/A], [N/A]\\n'", []string{"0", "3"}, "gpu: 2 of unknown memory", ""},
		"none":         {"echo 'No devices were found'; exit 6", nil, "", ""},
		"no driver": {"echo \"NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\"; exit 9", nil, "",
			"exit status 9: \"NVIDIA-SMI has failed because it couldn't communicate"},
		"one is lost":        {"printf '0, GPU-a, 1 MiB\\nUnable to determine the device handle for GPU1: Unknown Error\\n'", []string{"GPU-a"}, "gpu: 1 of 1 MiB", "not understood: \"Unable"},
		"one twice":          {"printf '0, GPU-a, 1 MiB\\n1, GPU-a, 1 MiB\\n'", []string{"GPU-a"}, "gpu: 1 of 1 MiB", "not understood: \"1, GPU-a"},
		"something else":     {"echo hello", nil, "", "not understood: \"hello\""},
		"too much":           {"yes '0, [N/A], 1 MiB'", []string{"0"}, "gpu: 1 of 1 MiB", "it says too much"},
		"too many devices":   {"i=0; while [ $i -lt 300 ]; do echo \"$i, GPU-$i, 1 MiB\"; i=$((i+1)); done", nil, "gpu: 256 of 1 MiB", "not understood: \"256, GPU-256"},
		"a child that stays": {"echo '0, GPU-a, 1 MiB'; sleep 3 & exit 0", []string{"GPU-a"}, "gpu: 1 of 1 MiB", "WaitDelay"},
	} {
		t.Run(name, func(t *testing.T) {
			tool(t, c.script)
			s := gpus(t.Context())
			ids := s.Devices.Get(job.GPU)
			if c.ids == nil && c.about != "" {
				c.ids = ids
			}
			if diff := cmp.Diff(c.ids, ids); diff != "" || s.Capacity.Other.Get(job.GPU) != int64(len(ids)) {
				t.Errorf("%d devices (-want +got):\n%s", s.Capacity.Other.Get(job.GPU), diff)
			}
			if got := strings.Join(s.About, "\n"); got != c.about {
				t.Errorf("about %q, want %q", got, c.about)
			}
			if got := strings.Join(s.Trouble, "\n"); !strings.Contains(got, c.trouble) || (got == "") != (c.trouble == "") || len(got) > 300 {
				t.Errorf("trouble %q, want %q", got, c.trouble)
			}
		})
	}
}

// TestToolHangs: a driver that does not answer keeps no worker from its work.
func TestToolHangs(t *testing.T) {
	tool(t, "exec sleep 1000")
	hurry := errors.New("in a hurry")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Millisecond, hurry)
	defer cancel()
	if s := gpus(ctx); s.Devices != "" || len(s.Trouble) != 1 || !strings.Contains(s.Trouble[0], hurry.Error()) {
		t.Errorf("%+v", s)
	}
}

func TestFind(t *testing.T) {
	tool(t, "echo '0, GPU-a, 1 MiB'")
	dir := filepath.Join(t.TempDir(), "not", "there", "yet")
	s, err := Find(t.Context(), dir, Choice{})
	if err != nil {
		t.Fatal(err)
	}
	var size int64 = 1 << 50
	if disk := s.Capacity.Other.Get(job.Disk); disk < 0 || disk > size || s.Capacity.Other.Get(job.GPU) != 1 || !slices.Equal(s.Devices.Get(job.GPU), []string{"GPU-a"}) {
		t.Errorf("%+v", s)
	}
	for name, n := range s.Capacity.Other.All {
		if n <= 0 || job.CheckResource(name) != nil {
			t.Errorf("%d of %q", n, name)
		}
	}
	tool(t, "echo asked >&2; exit 1")
	for _, c := range []Choice{{Amounts: map[string]int64{job.GPU: 0}}, {Devices: map[string][]string{job.GPU: {"x"}}}} {
		if s, err := Find(t.Context(), dir, c); err != nil || len(s.Trouble) > 0 || s.Capacity.Other.Get(job.GPU) != int64(len(c.Devices[job.GPU])) {
			t.Errorf("with %+v: %+v, %v; want that nobody is asked", c, s, err)
		}
	}
	if _, err := Find(t.Context(), dir, Choice{Amounts: map[string]int64{"GPU": 1}}); err == nil {
		t.Error("a choice of no name is taken")
	}
}

func TestSpare(t *testing.T) {
	const gi = 1 << 30
	for _, c := range []struct {
		name       string
		free, size uint64
		want       int64
	}{
		{"empty", 0, 100 * gi, 0},
		{"less than is kept", 4 * gi, 100 * gi, 0},
		{"a twentieth is kept", 50 * gi, 100 * gi, 45 * gi},
		{"in whole units", 50*gi + 17, 100 * gi, 45 * gi},
		{"a small one", gi + 5<<20, 10 * gi, 5 << 20},
		{"a large one", 9_000 * gi, 10_000 * gi, (9_000 - 64) * gi},
		{"more than a number", 1 << 63, 1 << 63, 1<<60 - 64*gi},
	} {
		if got := spare(c.free, c.size); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
	if scratch("/proc/self/nothing/there") != 0 {
		t.Error("there is room in /proc")
	}
}

func TestChoice(t *testing.T) {
	found := Stock{Capacity: job.Resources{Other: job.AmountsOf(map[string]int64{job.Disk: 7, job.GPU: 3})}, Devices: job.Devices("").Set(job.GPU, []string{"a", "b", "c"})}
	for name, c := range map[string]struct {
		choice  Choice
		amounts map[string]int64
		gpus    []string
		says    string
	}{
		"nothing":             {Choice{}, map[string]int64{job.Disk: 7, job.GPU: 3}, []string{"a", "b", "c"}, ""},
		"another amount":      {Choice{Amounts: map[string]int64{job.Disk: 5, "licence": 2}}, map[string]int64{job.Disk: 5, job.GPU: 3, "licence": 2}, []string{"a", "b", "c"}, ""},
		"none":                {Choice{Amounts: map[string]int64{job.Disk: 0, job.GPU: 0, "licence": 0}}, nil, nil, ""},
		"none by no names":    {Choice{Devices: map[string][]string{job.GPU: nil}}, map[string]int64{job.Disk: 7}, nil, ""},
		"fewer":               {Choice{Amounts: map[string]int64{job.GPU: 2}}, map[string]int64{job.Disk: 7, job.GPU: 2}, []string{"a", "b"}, ""},
		"others":              {Choice{Devices: map[string][]string{job.GPU: {"x"}, "fpga": {"0"}}}, map[string]int64{job.Disk: 7, job.GPU: 1, "fpga": 1}, []string{"x"}, ""},
		"both":                {Choice{Amounts: map[string]int64{job.GPU: 1}, Devices: map[string][]string{job.GPU: {"x"}}}, map[string]int64{job.Disk: 7, job.GPU: 1}, []string{"x"}, ""},
		"more than there are": {Choice{Amounts: map[string]int64{job.GPU: 4}}, nil, nil, "gpu: 4, and this machine has 3; name others by their ids"},
		"a number of others":  {Choice{Amounts: map[string]int64{job.GPU: 2}, Devices: map[string][]string{job.GPU: {"x"}}}, nil, nil, "gpu: 2, of which 1 are named"},
		"less than none":      {Choice{Amounts: map[string]int64{"tape": -1}}, nil, nil, "tape: -1; want 0 to"},
		"no name":             {Choice{Amounts: map[string]int64{"GPU": 4}}, nil, nil, "small letters"},
		"no id":               {Choice{Devices: map[string][]string{job.GPU: {"a b"}}}, nil, nil, `gpu "a b": want a device's id`},
	} {
		got, err := found.choose(c.choice)
		if c.says != "" {
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %v; want an error that says %s", name, err, c.says)
			}
			continue
		}
		if diff := cmp.Diff(c.gpus, got.Devices.Get(job.GPU)); err != nil || diff != "" || got.Capacity.Other != job.AmountsOf(c.amounts) {
			t.Errorf("%s: %v, %q, want %v; devices (-want +got):\n%s", name, err, got.Capacity.Other, c.amounts, diff)
		}
	}
	many := map[string]int64{}
	for i := range job.MaxResources {
		many["r"+string(rune('a'+i))] = 1
	}
	if _, err := found.choose(Choice{Amounts: many}); err == nil || !strings.Contains(err.Error(), "18 resources beside processors and memory; at most 16") {
		t.Errorf("too many: %v", err)
	}
	if got, err := found.choose(Choice{CPU: 500, Memory: 9}); err != nil || got.Capacity.CPU != 500 || got.Capacity.Memory != 9 {
		t.Errorf("%+v, %v", got, err)
	}
}

// FuzzReadGPUs: whatever a tool says, what is read of it are devices.
func FuzzReadGPUs(f *testing.F) {
	f.Add("0, GPU-a, 1 MiB\n1, [N/A], [N/A]\n")
	f.Add("a,b,c,d\n,,\n0,0,0")
	f.Fuzz(func(t *testing.T, out string) {
		found, _ := readGPUs(out)
		var ids []string
		for _, g := range found {
			ids = append(ids, g.id)
		}
		if err := job.CheckDevices(job.GPU, ids); err != nil {
			t.Fatalf("%q is read as %q: %v", out, ids, err)
		}
	})
}
