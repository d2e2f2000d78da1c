package reeve_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/reeve-scheduler/reeve"
	"github.com/reeve-scheduler/reeve/internal/app"
)

// TestDevices: no two attempts have the same device at the same time, and all are used.
func TestDevices(t *testing.T) {
	s := newServer(t, app.ServerConfig{})
	client := connect(t, s.addr)
	var mu sync.Mutex
	busy := map[string]string{}
	full := make(chan struct{})
	cfg := reeve.WorkerConfig{Concurrency: 8, Other: map[string]int64{"seat": 5}, Devices: map[string][]string{"gpu": {"a", "b"}}, Pool: "night"}
	work(t, client, cfg, pick("train", func(ctx context.Context, a *reeve.Attempt) error {
		id := a.Env("REEVE_GPUS")
		if id != a.Env("CUDA_VISIBLE_DEVICES") || a.Env("REEVE_RESOURCE_SEAT") != "2" {
			return fmt.Errorf("devices %q and %q, %s seats", id, a.Env("CUDA_VISIBLE_DEVICES"), a.Env("REEVE_RESOURCE_SEAT"))
		}
		mu.Lock()
		if other := busy[id]; other != "" || id != "a" && id != "b" {
			mu.Unlock()
			return fmt.Errorf("%s has device %q, and %q has it", a.ID, id, other)
		}
		if busy[id] = a.ID; len(busy) == 2 {
			select {
			case <-full:
			default:
				close(full)
			}
		}
		mu.Unlock()
		defer func() {
			mu.Lock()
			delete(busy, id)
			mu.Unlock()
		}()
		select {
		case <-full:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}))
	ctx := withPatience(t)
	j := reeve.Job{Tasks: []reeve.Task{{
		Function: "train", Array: &reeve.Array{Indexes: "0-9"}, Where: map[string]string{"pool": "night"},
		Resources: reeve.Resources{CPU: 0.5, GPU: 1, Other: map[string]int64{"seat": 2}},
	}}}
	done, err := client.Wait(ctx, must[string](t)(client.Submit(ctx, j)))
	if err != nil || done.Err() != nil {
		t.Fatal(err, done.Err())
	}
}
