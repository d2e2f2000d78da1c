package later_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/reeve-scheduler/reeve/internal/api/later"
)

// TestAnswers that wait hold up no others, and keep their own order.
func TestAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var sent []string
		a := later.New(t.Context(), func(text string) error {
			mu.Lock()
			defer mu.Unlock()
			sent = append(sent, text)
			return nil
		})
		want := func(all ...string) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if !slices.Equal(sent, all) {
				t.Errorf("sent: %q, want %q", sent, all)
			}
		}
		kept := make(chan error)
		until := func(ctx context.Context) error {
			select {
			case err := <-kept:
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		answer := func(text string) func(bool) string {
			return func(kept bool) string {
				if !kept {
					return "not " + text
				}
				return text
			}
		}
		if err := errors.Join(a.When(until, answer("one")), a.When(until, answer("two")), a.When(until, answer("three")), a.Now("now")); err != nil {
			t.Fatal(err)
		}
		want("now")
		kept <- nil
		want("now", "one")
		kept <- errors.New("away")
		want("now", "one", "not two")
		a.End()
		want("now", "one", "not two")
		if err := a.When(until, answer("four")); !errors.Is(err, context.Canceled) {
			t.Errorf("after the end: %v", err)
		}
	})
}

// TestBrokenStream ends what waits.
func TestBrokenStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		a := later.New(t.Context(), func(string) error { return broken })
		at := func(context.Context) error { return nil }
		if err := a.When(at, func(bool) string { return "one" }); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err := a.Now("two"); !errors.Is(err, broken) {
			t.Errorf("Now = %v", err)
		}
		a.End()
	})
}
