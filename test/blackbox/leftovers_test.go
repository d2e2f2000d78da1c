package blackbox

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// sizes is how much the server and the workers hold on to, by name. What can't be told
// here is left out.
func (z *zoo) sizes() map[string]float64 {
	all := map[string]float64{}
	admins := map[string]string{}
	for i, admin := range z.admins {
		admins[fmt.Sprint("server ", i+1)] = admin
	}
	for _, v := range z.workers {
		admins[v.name] = v.admin
		for _, pid := range keepers(z.t, z.c.state(v.name)) {
			for _, what := range []string{"fd", "task"} {
				if entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/%s", pid, what)); err == nil {
					all[fmt.Sprintf("%s of the keeper of %s", what, v.name)] = float64(len(entries))
				}
			}
		}
	}
	for name, admin := range admins {
		for _, what := range []string{"go_goroutines", "process_open_fds"} {
			if n, err := metric(admin, what); err == nil {
				all[what+" of "+name] = n
			}
		}
	}
	return all
}

// left waits until all is as it was before the jobs, and says what is not: room that is
// not given back, processes and directories of jobs, and what the programs themselves
// hold on to.
func (z *zoo) left(before map[string]float64) (left []string) {
	z.t.Helper()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); ; <-tick.C {
		left = append(append(z.atRest(), z.ofJobs()...), grown(before, z.sizes())...)
		if len(left) == 0 || time.Now().After(end) {
			return left
		}
	}
}

// atRest says what the server still counts as in use.
func (z *zoo) atRest() (left []string) {
	for _, name := range []string{"reeve_slots_used", "reeve_cpu_cores_used", "reeve_attempts_held", "reeve_attempts_prefetched", "reeve_jobs_unfinished"} {
		if n, err := z.number(name); err != nil || n != 0 {
			left = append(left, fmt.Sprintf("at rest: %s is %v (%v)", name, n, err))
		}
	}
	return left
}

// ofJobs says what is left of jobs on this machine.
func (z *zoo) ofJobs() (left []string) {
	for _, pid := range withVariable("BOOK=" + z.load.book.path) {
		left = append(left, fmt.Sprintf("left over: process %d of a job", pid))
	}
	for _, v := range z.workers {
		for _, dir := range []string{"attempts", "starts", "results"} {
			entries, err := os.ReadDir(filepath.Join(z.c.state(v.name), dir))
			if err != nil || len(entries) > 0 {
				left = append(left, fmt.Sprintf("left over: %d entries in %s of %s (%v)", len(entries), dir, v.name, err))
			}
		}
	}
	return left
}

// grown says what is more than a tenth larger than it was. A few more are no leak: idle
// connections, threads of the runtime, and the cgroups that a keeper has ready for what
// comes next, with three descriptors each.
func grown(before, now map[string]float64) (left []string) {
	const few = 20 + 3*chaosSlots
	for name, n := range now {
		if was, known := before[name]; known && n > 1.1*was+few {
			left = append(left, fmt.Sprintf("left over: %s is %v, and was %v before", name, n, was))
		}
	}
	return left
}

// leave asks all to end, and says what they leave behind.
func (z *zoo) leave() (left []string) {
	z.t.Helper()
	for _, v := range z.workers {
		z.signal(v, syscall.SIGTERM)
		if code := v.p.exit(z.t); code != 0 {
			left = append(left, fmt.Sprintf("worker %s, asked to end, exits with %d", v.name, code))
		}
		state := z.c.state(v.name)
		await(z.t, "the keeper of "+v.name+" leaves", func() bool { return len(keepers(z.t, state)) == 0 })
		for _, dir := range cgroupsOf(state) {
			left = append(left, "left over: the cgroup "+dir)
		}
		if _, err := os.Stat(filepath.Join(state, "keeper.sock")); err == nil {
			left = append(left, "left over: the socket of the keeper of "+v.name)
		}
	}
	for _, p := range z.servers() {
		if code := p.stop(z.t); code != 0 {
			left = append(left, fmt.Sprintf("%s, asked to end, exits with %d", p.name, code))
		}
	}
	return left
}
