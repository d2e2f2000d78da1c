package demo

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// processes reads the process table.
func processes() ([]process, error) {
	list, err := unix.SysctlKinfoProcSlice("kern.proc.all")
	if err != nil {
		return nil, fmt.Errorf("list the processes: %w", err)
	}
	table := make([]process, 0, len(list))
	for i := range list {
		table = append(table, process{int(list[i].Proc.P_pid), int(list[i].Eproc.Ppid)})
	}
	return table, nil
}
