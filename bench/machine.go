package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/reeve-scheduler/reeve/bench/internal/proc"
)

// background is the share of the machine that others use, looked at for a second.
func background(ctx context.Context) (float64, error) {
	before, err := proc.Busy()
	if err != nil {
		return 0, err
	}
	began := time.Now()
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	after, err := proc.Busy()
	return (after - before).Seconds() / time.Since(began).Seconds() / float64(runtime.NumCPU()), err
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

// answer is what an address answers.
func answer(ctx context.Context, url string, patience time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	a, err := http.DefaultClient.Do(q)
	if err != nil {
		return nil, err
	}
	defer a.Body.Close()
	return io.ReadAll(a.Body)
}

// fetch writes what an address answers to a file.
func fetch(ctx context.Context, url, name string, patience time.Duration) error {
	text, err := answer(ctx, url, patience)
	if err != nil {
		return err
	}
	return os.WriteFile(name, text, 0o600)
}
