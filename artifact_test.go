package reeve_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve"
	"github.com/reeve-scheduler/reeve/internal/app"
)

// TestArtifacts: a function leaves files, also while the connection breaks, and a client
// reads them.
func TestArtifacts(t *testing.T) {
	s := newServer(t, app.ServerConfig{})
	w := newWire(t, s.addr)
	client := connect(t, s.addr)
	large := strings.Repeat("0123456789abcdef", 1<<16)
	work(t, connect(t, w.addr), reeve.WorkerConfig{}, pick("f", func(ctx context.Context, a *reeve.Attempt) error {
		if err := a.SaveArtifact(ctx, "../out", strings.NewReader("")); !errors.Is(err, reeve.ErrInvalid) {
			return fmt.Errorf("a path that leads out: %w", err)
		}
		broken := &tripwire{ReadSeeker: strings.NewReader(large), trip: func() { w.cut(true); w.cut(false) }}
		return errors.Join(a.SaveArtifact(ctx, "dir/large", broken), a.SaveArtifact(ctx, "small", strings.NewReader("text")))
	}))
	ctx := withPatience(t)
	id := must[string](t)(client.Enqueue(ctx, "f", nil))
	if _, err := client.Wait(ctx, id); err != nil {
		t.Fatal(err)
	}
	files := must[[]reeve.Artifact](t)(client.Artifacts(ctx, id))
	want := []reeve.Artifact{{Ref: id + ".main", Path: "dir/large", Size: int64(len(large))}, {Ref: id + ".main", Path: "small", Size: 4}}
	slices.SortFunc(files, func(a, b reeve.Artifact) int { return strings.Compare(a.Path, b.Path) })
	if diff := cmp.Diff(want, files); diff != "" {
		t.Errorf("artifacts (-want +got):\n%s", diff)
	}
	var got strings.Builder
	if err := client.ReadArtifact(ctx, id, "dir/large", &got); err != nil || got.String() != large {
		t.Errorf("ReadArtifact: %d bytes, %v", got.Len(), err)
	}
	if err := client.ReadArtifact(ctx, id, "none", &got); !errors.Is(err, reeve.ErrNotFound) {
		t.Errorf("an artifact that is not there: %v", err)
	}
}

// tripwire does something once, when half a megabyte was read.
type tripwire struct {
	io.ReadSeeker

	n    int
	trip func()
}

func (r *tripwire) Read(p []byte) (int, error) {
	n, err := r.ReadSeeker.Read(p)
	if r.n += n; r.n > 1<<19 && r.trip != nil {
		r.trip()
		r.trip = nil
	}
	return n, err
}
