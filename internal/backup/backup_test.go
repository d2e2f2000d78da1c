package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/reeve-scheduler/reeve/internal/core"
	"github.com/reeve-scheduler/reeve/internal/record"
	"github.com/reeve-scheduler/reeve/internal/replica"
	"github.com/reeve-scheduler/reeve/internal/store"
	"github.com/reeve-scheduler/reeve/internal/store/memstore"
)

const jobs = 20

// lived returns a store whose rows are at batch 3 of 5, in generation 4 and, from the last batch on, 6.
func lived(t *testing.T) *memstore.Store {
	t.Helper()
	s := memstore.New()
	prev := [16]byte{}
	for seq := uint64(1); seq <= 5; seq++ {
		var events []core.Event
		if seq == 5 {
			events = []core.Event{core.EpochStarted{Epoch: 9, Generation: 6, At: 1}}
		}
		payload, err := record.EncodeBatch(nil, events)
		if err != nil {
			t.Fatal(err)
		}
		b := store.Batch{Seq: seq, Epoch: 8, ID: [16]byte{byte(seq), 1}, Prev: prev, Payload: payload}
		prev = b.ID
		if err := s.Journal().Append(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	rows := record.NewRows()
	rows.Counters(core.CountersImage{Epoch: 8, Generation: 4, NextJob: jobs + 1, NextWorker: 1, NextFence: 1}, 3)
	f := rows.Flush(0, store.Mark{Seq: 3})
	spec := store.SpecRow{Job: 1, Blob: []byte(`{"spec":1}`)}
	spec.Hash = sha256.Sum256(spec.Blob)
	f.Specs = []store.SpecRow{spec}
	for id := uint64(1); id <= jobs; id++ {
		j := store.JobRow{
			ID: id, Changed: 3, Namespace: "default", Queue: "night", Name: fmt.Sprint("job ", id), State: 3, Submitted: int64(id), Ended: 5,
			KeepUntil: math.MaxInt64, Spec: spec.Hash, Blob: []byte("state"), Labels: []string{"", "a=b"}[:id%3],
		}
		if id%4 == 0 {
			j.Payload, j.KeyHash = make([]byte, id%8), math.MaxUint64
		}
		f.Jobs = append(f.Jobs, j)
		f.Parts = append(f.Parts, store.PartRow{Job: id, Task: 1, Kind: store.PartOutput, N: 7, Changed: 3, Blob: []byte("part")})
	}
	if err := s.Tables().Flush(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Cluster().Secret(t.Context(), "ca", []byte("\x00secret")); err != nil {
		t.Fatal(err)
	}
	return s
}

// made returns a backup of it.
func made(t *testing.T, s *memstore.Store) (file []byte, c Contents) {
	t.Helper()
	var b bytes.Buffer
	c, err := Write(t.Context(), &b, s, "v1")
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), c
}

// all collects what is handed over.
type all struct {
	Flushes []store.Flush
	Batches []store.Batch
	Secrets []string
}

func (a *all) Flush(f *store.Flush) error { a.Flushes = append(a.Flushes, *f); return nil }

func (a *all) Batch(b store.Batch) error { a.Batches = append(a.Batches, b); return nil }

func (a *all) Secret(name string, secret []byte) error {
	a.Secrets = append(a.Secrets, name+"="+string(secret))
	return nil
}

func dumped(t *testing.T, s Dumper) *all {
	t.Helper()
	a := &all{}
	if err := s.Dump(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	return a
}

func TestRestore(t *testing.T) {
	from := lived(t)
	file, wrote := made(t, from)
	if wrote.Jobs != jobs || wrote.Parts != jobs || wrote.Objects != 1 || wrote.Batches != 3 || wrote.Secrets != 1 || wrote.Sequence != 5 ||
		wrote.Generation != 6 || wrote.Version != "v1" {
		t.Errorf("a backup holds %+v", wrote)
	}
	checked, err := Check(t.Context(), bytes.NewReader(file))
	if err != nil || checked != wrote {
		t.Errorf("it is found to hold %+v, not %+v: %v", checked, wrote, err)
	}
	to := memstore.New()
	restored, generation, err := Restore(t.Context(), bytes.NewReader(file), to)
	if err != nil || restored != wrote || generation != 7 {
		t.Fatalf("%+v is restored in generation %d: %v", restored, generation, err)
	}
	want, got := dumped(t, from), dumped(t, to)
	if n := len(got.Batches); n != 4 || got.Batches[3].Prev != want.Batches[2].ID || got.Batches[3].Epoch != 10 {
		t.Fatalf("the journal has batches %+v", got.Batches)
	}
	if events, err := record.DecodeBatch(got.Batches[3].Payload); err != nil || len(events) != 1 || events[0].(core.EpochStarted).Generation != 7 {
		t.Errorf("the last batch has %+v: %v", events, err)
	}
	got.Batches = got.Batches[:3]
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
		t.Errorf("what was restored (-want +got):\n%s", d)
	}
	if _, _, err := Restore(t.Context(), bytes.NewReader(file), to); !errors.Is(err, store.ErrRefused) {
		t.Errorf("a full store is restored into: %v", err)
	}
}

// TestIDsLeap holds that a state which is recovered from what was restored gives out ids that are
// far from all that were given out before.
func TestIDsLeap(t *testing.T) {
	s := memstore.New()
	state := core.New(core.Config{})
	payload, err := record.EncodeBatch(nil, state.Begin(1000, 1, 1))
	if err == nil {
		err = s.Journal().Append(t.Context(), store.Batch{Seq: 1, Epoch: 1, ID: [16]byte{1}, Payload: payload})
	}
	if err != nil {
		t.Fatal(err)
	}
	file, _ := made(t, s)
	to := memstore.New()
	if _, _, err := Restore(t.Context(), bytes.NewReader(file), to); err != nil {
		t.Fatal(err)
	}
	c, err := replica.Recover(t.Context(), core.Config{}, to.Journal(), to.Tables())
	if err != nil {
		t.Fatal(err)
	}
	rows := record.NewRows()
	c.State.BeginFlush(rows)
	m, _, err := record.Counters(rows.Flush(0, c.Last).Objects[0])
	if err != nil || m.Generation != 2 || m.Epoch != 2 || m.NextJob != 1<<40 || m.NextFence != 1<<40 {
		t.Errorf("a restored state goes on with %+v: %v", m, err)
	}
}

// TestDamage holds that whatever happens to a file, nothing of it becomes a store. A bit that can be
// changed without another byte coming out is no damage.
func TestDamage(t *testing.T) {
	file, wrote := made(t, lived(t))
	refused := func(what string, damaged []byte) {
		t.Helper()
		to := memstore.New()
		c, _, err := Restore(t.Context(), bytes.NewReader(damaged), to)
		if err == nil && c == wrote && len(damaged) == len(file) {
			return
		}
		if err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s is restored: %v", what, err)
		}
		if got := dumped(t, to); len(got.Batches) > 0 || len(got.Flushes[0].Objects) > 0 {
			t.Errorf("%s leaves something", what)
		}
	}
	for n := range file {
		refused(fmt.Sprintf("one of %d bytes", n), file[:n])
		flipped := bytes.Clone(file)
		flipped[n] ^= 1 << (n % 8)
		refused(fmt.Sprintf("one with byte %d changed", n), flipped)
	}
	refused("one with more behind it", append(bytes.Clone(file), file...))
	refused("one with a byte behind it", append(bytes.Clone(file), 0))
	_, err := Check(t.Context(), strings.NewReader("reeve backup 2\nwhatever"))
	if err == nil || !strings.Contains(err.Error(), "use a newer reeve") {
		t.Errorf("one of a later version: %v", err)
	}
}

// TestManyBlocks holds that a backup of more than a block is read again, and that each block counts.
func TestManyBlocks(t *testing.T) {
	noise := make([]byte, 3*blockSize)
	if _, err := rand.NewChaCha8([32]byte{1}).Read(noise); err != nil {
		t.Fatal(err)
	}
	s := lived(t)
	f := &store.Flush{Seq: 3, Jobs: []store.JobRow{{ID: jobs + 1, Namespace: "default", Payload: noise}}}
	if err := s.Tables().Flush(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	file, wrote := made(t, s)
	if c, err := Check(t.Context(), bytes.NewReader(file)); err != nil || c != wrote {
		t.Fatalf("%+v is found where %+v was written: %v", c, wrote, err)
	}
	for at := len(file) - 1; at > 0; at -= blockSize / 2 {
		damaged := bytes.Clone(file)
		damaged[at] ^= 1
		for _, b := range [][]byte{damaged, file[:at]} {
			if _, err := Check(t.Context(), bytes.NewReader(b)); !errors.Is(err, ErrDamaged) {
				t.Errorf("damage at %d is found to be %v", at, err)
			}
		}
	}
}

// TestNothing holds that what no server has used is no store to copy.
func TestNothing(t *testing.T) {
	if _, err := Write(t.Context(), io.Discard, memstore.New(), "v1"); err == nil {
		t.Error("nothing is backed up")
	}
	if _, err := Copy(t.Context(), memstore.New(), memstore.New()); err == nil {
		t.Error("nothing is moved")
	}
}

func TestCopy(t *testing.T) {
	from, to := lived(t), memstore.New()
	c, err := Copy(t.Context(), from, to)
	if err != nil || c.Jobs != jobs || c.Sequence != 5 {
		t.Fatalf("%+v is moved: %v", c, err)
	}
	if d := cmp.Diff(dumped(t, from), dumped(t, to)); d != "" {
		t.Errorf("what was moved (-want +got):\n%s", d)
	}
	// What comes out is another store's.
	if _, err := Copy(t.Context(), from, swapped{memstore.New(), lived(t)}); err != nil {
		t.Errorf("an equal store is another: %v", err)
	}
	other := lived(t)
	if _, err := other.Cluster().Secret(t.Context(), "more", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := Copy(t.Context(), from, swapped{memstore.New(), other}); err == nil || !strings.Contains(err.Error(), "do not use it") {
		t.Errorf("another store is taken for the copy: %v", err)
	}
}

// swapped is filled as one store and read as another.
type swapped struct{ into, out *memstore.Store }

func (s swapped) Fill(ctx context.Context, from func(store.Copier) error) error {
	return s.into.Fill(ctx, from)
}

func (s swapped) Dump(ctx context.Context, to store.Copier) error { return s.out.Dump(ctx, to) }

func TestRows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		blob := func(name string) []byte {
			return rapid.OneOf(rapid.Just([]byte(nil)), rapid.SliceOf(rapid.Byte())).Draw(t, name)
		}
		want := store.JobRow{
			ID: rapid.Uint64().Draw(t, "id"), Live: rapid.Bool().Draw(t, "live"), Changed: rapid.Uint64().Draw(t, "changed"),
			Namespace: rapid.String().Draw(t, "namespace"), State: rapid.Uint8().Draw(t, "state"), Submitted: rapid.Int64().Draw(t, "submitted"),
			Ended: rapid.Int64().Draw(t, "ended"), KeyHash: rapid.Uint64().Draw(t, "hash"), Labels: rapid.SliceOf(rapid.String()).Draw(t, "labels"),
			Blob: blob("blob"), Payload: blob("payload"),
		}
		var c coder
		c.job(&want)
		r := coder{b: c.b, reading: true}
		var got store.JobRow
		r.job(&got)
		if err := r.done(); err != nil {
			t.Fatal(err)
		}
		if len(want.Labels) == 0 {
			want.Labels = nil
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("a job (-want +got):\n%s", d)
		}
	})
}

func TestSave(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	stop := errors.New("stop")
	if err := Save(path, func(w io.Writer) error { fmt.Fprint(w, "some"); return stop }); !errors.Is(err, stop) {
		t.Errorf("a file that can't be written: %v", err)
	}
	if err := Save(path, func(w io.Writer) error { _, err := io.WriteString(w, "all"); return err }); err != nil {
		t.Fatal(err)
	}
	if err := Save(path, func(io.Writer) error { return nil }); err == nil {
		t.Error("a file is written over another")
	}
	text, err := os.ReadFile(path)
	info, statErr := os.Stat(path)
	entries, dirErr := os.ReadDir(filepath.Dir(path))
	if err := errors.Join(err, statErr, dirErr); err != nil || string(text) != "all" || info.Mode() != 0o600 || len(entries) != 1 {
		t.Errorf("it holds %q with mode %v beside %d others: %v", text, info.Mode(), len(entries)-1, err)
	}
}
