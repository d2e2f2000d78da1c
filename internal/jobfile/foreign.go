package jobfile

import (
	"slices"
	"strings"
)

// foreign explains a key that job files of other systems have, where a mapping has
// Reeve's word for it. It is empty for a key that it doesn't know.
func foreign(key string, known []field) string {
	ours, form := "", ""
	switch strings.NewReplacer("_", "", "-", "").Replace(strings.ToLower(key)) {
	case "dependson", "dependencies", "depends", "dependency", "requires", "upstream":
		ours, form = "needs", "needs: [extract]"
	case "retries", "maxretries", "maxattempts", "attempts", "retrypolicy", "restart":
		ours, form = "retry", "retry: 3 for three attempts in all"
	case "script", "cmd", "shellcommand", "bash", "exec":
		ours, form = "run", "run: echo hello"
	case "args", "argv", "arguments", "entrypoint":
		ours, form = "command", "command: [program, argument]"
	case "environment", "envs", "vars", "variables":
		ours, form = "env", "env: {LEVEL: debug}"
	case "cpus", "cpu", "memory", "mem", "ram", "cores", "requests", "limits":
		ours, form = "resources", "resources: {cpu: 2, memory: 4G}"
	case "steps", "jobs", "stages", "dag", "nodes":
		ours, form = "tasks", "tasks: {first: {run: echo hello}}"
	case "constraints", "constraint", "nodeselector", "affinity", "runson":
		ours, form = "where", "where: [gpu, zone=b]"
	case "matrix", "foreach", "withitems", "parallelism", "concurrency":
		ours, form = "array", "array: {each: [a, b, c], throttle: 2}"
	case "cwd", "workingdirectory", "workingdir", "chdir", "dir":
		ours, form = "workdir", "workdir: /data/work"
	case "timelimit", "walltime", "maxrunduration", "activedeadlineseconds":
		ours, form = "timeout", "timeout: 20m"
	case "tags", "annotations":
		ours, form = "labels", "labels: {team: data}"
	case "image", "container", "docker":
		return "unknown key; tasks run as processes and functions of a program so far, not in containers"
	case "schedule", "cron", "periodic", "crontab", "interval":
		return "unknown key; jobs run when they are submitted, or once at start_after; there are no schedules yet"
	}
	if ours == "" || !slices.ContainsFunc(known, func(f field) bool { return f.key == ours }) {
		return ""
	}
	return "unknown key; want " + form
}
