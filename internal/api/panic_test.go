package api

import (
	"log/slog"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"github.com/reeve-scheduler/reeve/internal/guard"
	"github.com/reeve-scheduler/reeve/internal/store/memstore"

	reevev1 "github.com/reeve-scheduler/reeve/gen/reeve/v1"
)

// TestAPanicFailsOneRequest calls every method of the API on a server behind whose door
// everything panics, or is missing: each call fails by itself, and the server lives on.
func TestAPanicFailsOneRequest(t *testing.T) {
	r := newOpenRig(t)
	good := r.door.Load()
	bad, err := New(Options{
		Engine:  badEngine{view: func() error { panic("the state is broken") }, do: func() (any, error) { panic("so is this") }},
		History: memstore.New().History(), Open: true, Log: slog.New(slog.NewTextHandler(r.log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	// These are answered, or refused, before anything is asked.
	calm := map[string]bool{"Check": true, "Create": true, "Append": true, "Put": true, "Session": true, "GetItems": true, "Plan": true, "Set": true}
	for _, file := range guard.Files() {
		for i := range file.Services().Len() {
			methods := file.Services().Get(i).Methods()
			for k := range methods.Len() {
				m := methods.Get(k)
				r.door.Store(&bad)
				before := strings.Count(r.log.String(), "a handler panicked")
				code := r.raw(m, "1", "")
				panicked := strings.Count(r.log.String(), "a handler panicked") > before
				if panicked != (code == connect.CodeInternal) || !panicked && !calm[string(m.Name())] {
					t.Errorf("%s gave %v, and panicked: %v", m.FullName(), code, panicked)
				}
				r.door.Store(good)
				do(t, r.as("").health.Check, &reevev1.CheckRequest{})
			}
		}
	}
}
