// Package foreign knows the words of other systems' job files, and what Reeve says for them.
package foreign

import "strings"

// Key is Reeve's key for one that job files of other systems have, and how it is written.
// Where there is no such key, form says what else to do; both are empty for a word that is
// not known here.
func Key(key string) (ours, form string) {
	switch plain(key) {
	case "dependson", "dependencies", "depends", "dependency", "requires", "upstream":
		return "needs", "needs: [extract]"
	case "retries", "maxretries", "maxattempts", "attempts", "retrypolicy", "restart":
		return "retry", "retry: 3 for three attempts in all"
	case "script", "cmd", "shellcommand", "bash", "exec":
		return "run", "run: echo hello"
	case "args", "argv", "arguments", "entrypoint":
		return "command", "command: [program, argument]"
	case "environment", "envs", "vars", "variables":
		return "env", "env: {LEVEL: debug}"
	case "cpus", "cpu", "memory", "mem", "ram", "cores", "requests", "limits":
		return "resources", "resources: {cpu: 2, memory: 4G}"
	case "gpus", "gpu", "accelerators", "accelerator", "gres", "disk", "storage", "scratch", "bandwidth", "licenses", "licences":
		return "resources", "resources: {gpu: 1, disk: 10G, bandwidth: 100M, licence: 3}"
	case "steps", "jobs", "stages", "dag", "nodes":
		return "tasks", "tasks: {first: {run: echo hello}}"
	case "constraints", "constraint", "nodeselector", "affinity", "runson":
		return "where", "where: [gpu, zone=b]"
	case "locality", "datalocality", "podaffinity", "colocate", "colocation", "samenode", "stickiness":
		return "near", "near: [extract], to run where extract ran if there is room"
	case "antiaffinity", "podantiaffinity", "distincthosts", "distinctproperty":
		return "apart", "apart: {by: worker, key: heavy-disk}, to run with nothing on the worker that says the same"
	case "topologyspreadconstraints":
		return "spread", "spread: {by: zone, key: web}"
	case "matrix", "foreach", "withitems", "parallelism":
		return "array", "array: {each: [a, b, c], throttle: 2}"
	case "cwd", "workingdirectory", "workingdir", "chdir", "dir":
		return "workdir", "workdir: /data/work"
	case "timelimit", "walltime", "maxrunduration", "activedeadlineseconds":
		return "timeout", "timeout: 20m"
	case "tags", "annotations":
		return "labels", "labels: {team: data}"
	case "image", "container", "docker":
		return "", "tasks run as processes and functions of a program so far, not in containers"
	case "schedule", "cron", "periodic", "crontab", "interval":
		return "", "jobs run when they are submitted, or once at start_after; there are no schedules yet"
	}
	return "", ""
}

// Resource is how Reeve spells a resource that other systems call by that name; empty for a
// name that may be one.
func Resource(name string) string {
	switch plain(name) {
	case "cpus", "core", "cores", "vcpu", "vcpus", "processors", "ncpus", "millicpu":
		return "cpu: 2"
	case "mem", "ram", "memorymb", "memmb":
		return "memory: 4G"
	case "gpus", "ngpus", "nvidia.com/gpu", "amd.com/gpu", "accelerator", "accelerators":
		return "gpu: 1"
	case "disks", "diskspace", "storage", "scratch", "ephemeralstorage", "ephemeraldisk":
		return "disk: 10G"
	case "network", "net", "bw", "mbits":
		return "bandwidth: 100M"
	}
	return ""
}

// plain is a word without what systems spell differently: dashes and capitals.
func plain(word string) string {
	return strings.NewReplacer("_", "", "-", "").Replace(strings.ToLower(word))
}
