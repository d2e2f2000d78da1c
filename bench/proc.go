package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// tick is the unit in which Linux counts processor time for its users, 1/100 s on every
// machine that Go runs on.
const tick = 10 * time.Millisecond

// stat is what /proc says of a process.
type stat struct {
	parent int
	// own is its processor time, children that of its children that have ended.
	own, children time.Duration
}

func statOf(pid int) (stat, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	// The name, in parentheses, may hold anything.
	f := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(f) < 15 {
		return stat{}, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(f))
	}
	var n [15]int
	for _, i := range []int{1, 11, 12, 13, 14} {
		if n[i], err = strconv.Atoi(f[i]); err != nil {
			return stat{}, err
		}
	}
	return stat{n[1], time.Duration(n[11]+n[12]) * tick, time.Duration(n[13]+n[14]) * tick}, nil
}

// childOf finds the one child of a process.
func childOf(pid int) (int, error) {
	names, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		child, err := strconv.Atoi(filepath.Base(name))
		if err != nil {
			continue
		}
		if s, err := statOf(child); err == nil && s.parent == pid {
			return child, nil
		}
	}
	return 0, fmt.Errorf("process %d has no child", pid)
}

// resident is the memory that a process occupies.
func resident(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if kb, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(kb), " kB"), 10, 64)
			return n << 10, err
		}
	}
	return 0, errors.New("no VmRSS in /proc/PID/status")
}

// busy is the processor time that the whole machine has spent since it started.
func busy() (time.Duration, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	f := strings.Fields(line)
	var sum time.Duration
	for _, i := range []int{1, 2, 3, 6, 7} { // user, nice, system, interrupts; not idle, waiting, stolen
		n, err := strconv.Atoi(f[i])
		if err != nil {
			return 0, err
		}
		sum += time.Duration(n) * tick
	}
	return sum, nil
}

// background is the share of the machine that others use, looked at for a second.
func background(ctx context.Context) (float64, error) {
	before, err := busy()
	if err != nil {
		return 0, err
	}
	began := time.Now()
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	after, err := busy()
	return (after - before).Seconds() / time.Since(began).Seconds() / float64(runtime.NumCPU()), err
}

// cpu is the processor time of each side of a cluster.
type cpu struct {
	server, worker, keeper, attempts, client, machine time.Duration
}

// spent reads the clocks of every side. The client is this process.
func (c *cluster) spent() (now cpu, err error) {
	read := func(pid int, own, children *time.Duration) {
		s, statErr := statOf(pid)
		err = errors.Join(err, statErr)
		*own = s.own
		if children != nil {
			*children = s.children
		}
	}
	read(c.server.cmd.Process.Pid, &now.server, nil)
	read(os.Getpid(), &now.client, nil)
	if c.worker != nil {
		read(c.worker.cmd.Process.Pid, &now.worker, nil)
	}
	if c.keeper != 0 {
		read(c.keeper, &now.keeper, &now.attempts)
	}
	machine, busyErr := busy()
	now.machine = machine
	return now, errors.Join(err, busyErr)
}

func (c cpu) since(o cpu) cpu {
	return cpu{c.server - o.server, c.worker - o.worker, c.keeper - o.keeper, c.attempts - o.attempts, c.client - o.client, c.machine - o.machine}
}

// others is the share of the machine that was spent on something else.
func (c cpu) others(took time.Duration) float64 {
	ours := c.server + c.worker + c.keeper + c.attempts + c.client
	return max((c.machine-ours).Seconds()/took.Seconds()/float64(runtime.NumCPU()), 0)
}

// machine says in general words what this runs on.
func machine() string {
	model := "unknown processor"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	memory := int64(0)
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		if f := strings.Fields(string(text)); len(f) > 1 {
			memory, _ = strconv.ParseInt(f[1], 10, 64) // 0 says that it is unknown
		}
	}
	return fmt.Sprintf("%d processors (%s), %d GiB, %s/%s, %s", runtime.NumCPU(), model, (memory+1<<19)>>20, runtime.GOOS, runtime.GOARCH, runtime.Version())
}

// syncTime is how long the disk takes to make 4 KiB durable: the median and the slowest
// but one in a hundred.
func syncTime(dir string) (p50, p99 time.Duration, err error) {
	f, err := os.CreateTemp(dir, "sync-")
	if err != nil {
		return 0, 0, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	var took []time.Duration
	block := make([]byte, 4096)
	for range 200 {
		began := time.Now()
		if _, err := f.Write(block); err != nil {
			return 0, 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, 0, err
		}
		took = append(took, time.Since(began))
	}
	return quantile(took, 0.5), quantile(took, 0.99), nil
}

// fetch writes what an address answers to a file.
func fetch(ctx context.Context, url, name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	a, err := http.DefaultClient.Do(q)
	if err != nil {
		return err
	}
	defer a.Body.Close()
	_, err = io.Copy(f, a.Body)
	return err
}
