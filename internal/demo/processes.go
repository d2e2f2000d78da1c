package demo

import (
	"errors"
	"fmt"
	"syscall"
)

// process is a line of the system's process table.
type process struct{ pid, parent int }

// killTree kills a process and all that came from it, as the death of a machine
// would, and returns how many levels below it there were and how many processes on
// each: for a worker its keeper, and the attempts. The process must be a child of
// the caller that has not been waited for. Everything is stopped before anything is
// killed: what is stopped starts nothing and collects nobody, so that no number in
// the list can become another process's meanwhile.
func killTree(root int) (levels []int, err error) {
	stopped := map[int]bool{}
	stop := func(pid int) error {
		stopped[pid] = true
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("stop process %d: %w", pid, err)
		}
		return nil
	}
	if err := stop(root); err != nil {
		return nil, err
	}
	for more := true; more; {
		table, err := processes()
		if err != nil {
			return nil, err
		}
		more = false
		levels = levels[:0]
		for level := below(table, []int{root}); len(level) > 0; level = below(table, level) {
			levels = append(levels, len(level))
			for _, pid := range level {
				if stopped[pid] {
					continue
				}
				more = true
				if err := stop(pid); err != nil {
					return nil, err
				}
			}
		}
	}
	for pid := range stopped {
		if killErr := syscall.Kill(pid, syscall.SIGKILL); killErr != nil && !errors.Is(killErr, syscall.ESRCH) {
			err = errors.Join(err, fmt.Errorf("kill process %d: %w", pid, killErr))
		}
	}
	return levels, err
}

// below returns the children of parents.
func below(table []process, parents []int) (out []int) {
	for _, p := range table {
		for _, parent := range parents {
			if p.parent == parent {
				out = append(out, p.pid)
			}
		}
	}
	return out
}
