package foreign

import (
	"testing"

	"github.com/reeve-scheduler/reeve/internal/job"
)

func TestKey(t *testing.T) {
	for key, want := range map[string][2]string{
		"depends_on":     {"needs", "needs: [extract]"},
		"nodeSelector":   {"where", "where: [gpu, zone=b]"},
		"podAffinity":    {"near", "near: [extract], to run where extract ran if there is room"},
		"distinct_hosts": {"apart", "apart: {by: worker, key: heavy-disk}, to run with nothing on the worker that says the same"},
		"GPUs":           {"resources", "resources: {gpu: 1, disk: 10G, bandwidth: 100M, licence: 3}"},
		"cpu":            {"resources", "resources: {cpu: 2, memory: 4G}"},
		"cron":           {"", "jobs run when they are submitted, or once at start_after; there are no schedules yet"},
		"frobnicate":     {},
		"":               {},
	} {
		if ours, form := Key(key); ours != want[0] || form != want[1] {
			t.Errorf("%q is %q, %q; want %q", key, ours, form, want)
		}
	}
}

func TestResource(t *testing.T) {
	for name, want := range map[string]string{
		"Cores": "cpu: 2", "v-cpu": "cpu: 2", "mem": "memory: 4G", "nvidia.com/gpu": "gpu: 1", "ephemeral-storage": "disk: 10G",
		"network": "bandwidth: 100M", "licence": "", "tpu": "", "": "",
	} {
		if got := Resource(name); got != want {
			t.Errorf("%q is %q, want %q", name, got, want)
		}
	}
	for _, ours := range []string{"cpu", "memory", job.Disk, job.GPU, job.Bandwidth} {
		if form := Resource(ours); form != "" {
			t.Errorf("our own %s is foreign: %s", ours, form)
		}
	}
}
