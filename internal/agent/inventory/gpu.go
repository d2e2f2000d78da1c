package inventory

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// Bounds of what a vendor's tool may take.
const (
	// toolWait is long, since a driver that nobody uses wakes up first.
	toolWait = 15 * time.Second
	// toolBytes is far above what hundreds of devices are described in.
	toolBytes = 64 << 10
)

// gpus asks NVIDIA's tool, if it is there.
func gpus(ctx context.Context) (s Stock) {
	tool, err := exec.LookPath("nvidia-smi")
	if err != nil {
		return s // as on nearly every machine
	}
	out, err := listen(ctx, tool, "--query-gpu=index,uuid,memory.total", "--format=csv,noheader")
	found, odd := readGPUs(out)
	if len(found) == 0 && strings.Contains(out, "No devices were found") {
		return s
	}
	if err != nil {
		s.Trouble = append(s.Trouble, fmt.Sprintf("%s: %v: %s", tool, err, firstLine(out)))
	} else if odd != "" {
		s.Trouble = append(s.Trouble, fmt.Sprintf("%s: not understood: %s", tool, odd))
	}
	if len(found) == 0 {
		return s
	}
	ids, memories := make([]string, 0, len(found)), make([]string, 0, len(found))
	for _, g := range found {
		ids = append(ids, g.id)
		if len(memories) == 0 || memories[len(memories)-1] != g.memory {
			memories = append(memories, g.memory)
		}
	}
	s.setDevices(job.GPU, ids)
	s.About = append(s.About, fmt.Sprintf("gpu: %d of %s", len(ids), strings.Join(memories, ", ")))
	return s
}

// gpu is one device as the tool describes it.
type gpu struct{ id, memory string }

// readGPUs reads lines such as "0, GPU-8a56a4bc-e184, 24564 MiB". A device is named by its
// unique id, since what it is called by its number may change with the next start; where it
// has none, by the number. odd is the first line that says something else.
func readGPUs(out string) (found []gpu, odd string) {
	seen := map[string]bool{}
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		fields := strings.Split(line, ",")
		for i := range fields {
			fields[i] = strings.TrimSpace(fields[i])
		}
		g := gpu{memory: "unknown memory"}
		for _, id := range fields[:min(len(fields), 2)] {
			if job.CheckDevices(job.GPU, []string{id}) == nil {
				g.id = id
			}
		}
		if len(fields) != 3 || g.id == "" || seen[g.id] || !isNumber(fields[0]) {
			if odd == "" {
				odd = firstLine(line)
			}
			continue
		}
		if amount, unit, ok := strings.Cut(fields[2], " "); ok && isNumber(amount) && unit == "MiB" {
			g.memory = fields[2]
		}
		if len(found) == job.MaxDevices {
			return found, firstLine(line)
		}
		seen[g.id] = true
		found = append(found, g)
	}
	return found, odd
}

func isNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// firstLine is what of a tool's words goes into one of ours.
func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return fmt.Sprintf("%.120q", line)
}

// listen runs a tool and returns what it says, within bounds of time and size.
func listen(ctx context.Context, tool string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, toolWait, fmt.Errorf("it has not ended after %s", toolWait))
	defer cancel()
	c := exec.CommandContext(ctx, tool, args...)
	c.WaitDelay = time.Second // for a child that keeps the output open
	said := &capped{}
	c.Stdout = said
	err := c.Run()
	cause := context.Cause(ctx)
	switch {
	case said.over:
		err = errors.New("it says too much")
	case err != nil && cause != nil:
		err = cause
	}
	return said.text.String(), err
}

// capped keeps what is written to it up to a bound, and ends whoever writes more.
type capped struct {
	text strings.Builder
	over bool
}

// Write is of io.Writer.
func (c *capped) Write(b []byte) (int, error) {
	room := toolBytes - c.text.Len()
	c.text.Write(b[:min(len(b), room)])
	if c.over = len(b) > room; c.over {
		return room, io.ErrShortWrite
	}
	return len(b), nil
}
