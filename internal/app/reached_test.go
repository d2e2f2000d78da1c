package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reeve-scheduler/reeve/internal/store"
)

// TestReached: a server that starts waits for a database that goes away meanwhile, and for nothing
// else.
func TestReached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &ServerConfig{Log: slog.New(slog.DiscardHandler)}
		away := fmt.Errorf("%w: conn closed", store.ErrUnavailable)
		tries := 0
		err := c.reached(t.Context(), func() error {
			if tries++; tries < 10 {
				return away
			}
			return nil
		})
		if err != nil || tries != 10 {
			t.Errorf("after %d tries: %v", tries, err)
		}
		tries = 0
		if err := c.reached(t.Context(), func() error { tries++; return store.ErrCorrupt }); !errors.Is(err, store.ErrCorrupt) || tries != 1 {
			t.Errorf("what no waiting mends: %v after %d tries", err, tries)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := c.reached(ctx, func() error { return away }); !errors.Is(err, store.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a database that stays away: %v", err)
		}
	})
}
