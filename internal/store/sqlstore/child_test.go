package sqlstore

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/reeve-scheduler/reeve/internal/store"
)

// The tests of crashes need processes: this program started again with the name
// of a role in the environment.
const (
	roleVariable = "REEVE_SQLSTORE_ROLE"
	dirVariable  = "REEVE_SQLSTORE_DIR"
)

// roles are what a child can be. A role's error is printed and fails the child.
var roles = map[string]func(ctx context.Context, dir string) error{
	"append":         appendForever,
	"full":           fillDisk,
	"full-for-index": fillIndex,
	"failing-sync":   failSync,
}

func TestMain(m *testing.M) {
	role, ok := roles[os.Getenv(roleVariable)]
	if !ok {
		os.Exit(m.Run())
	}
	if err := role(context.Background(), os.Getenv(dirVariable)); err != nil {
		fmt.Fprintln(os.Stdout, "error:", err)
		os.Exit(1)
	}
}

// child prepares this program in a role; it is killed when the test takes longer
// than a minute.
func child(t *testing.T, role, dir string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), roleVariable+"="+role, dirVariable+"="+dir)
	cmd.Stderr = os.Stderr
	return cmd
}

// numbered is a batch that can be told again by its sequence.
func numbered(seq uint64, size int) store.Batch {
	b := store.Batch{Seq: seq, Epoch: 1, Payload: make([]byte, size)}
	for i := 0; i+8 <= size; i += 8 {
		binary.LittleEndian.PutUint64(b.Payload[i:], seq)
	}
	binary.LittleEndian.PutUint64(b.ID[:], ^seq)
	if seq > 1 {
		binary.LittleEndian.PutUint64(b.Prev[:], ^(seq - 1))
	}
	return b
}

// appendForever appends batches and flushes rows and prints what was acknowledged.
func appendForever(ctx context.Context, dir string) error {
	s, err := OpenSQLite(ctx, dir, Options{})
	if err != nil {
		return err
	}
	// Recovery: the batches that the last life didn't flush.
	projected, err := s.Tables().Load(ctx, &counting{})
	if err != nil {
		return err
	}
	for seq := projected + 1; ; seq++ {
		if err := s.Journal().Append(ctx, numbered(seq, int(seq%64)*512)); err != nil {
			return err
		}
		fmt.Fprintln(os.Stdout, "batch", seq)
		f := store.Flush{
			Seq: seq, Specs: []store.SpecRow{{Hash: [32]byte{1}}},
			Jobs: []store.JobRow{{ID: seq, Live: true, Changed: seq, Submitted: int64(seq/20) * 86_400_000, Spec: [32]byte{1}}},
		}
		if err := s.Tables().Flush(ctx, &f); err != nil {
			return err
		}
		fmt.Fprintln(os.Stdout, "flush", seq)
		if seq%10 == 0 {
			if _, err := s.Tables().Durable(ctx); err != nil {
				return err
			}
			if err := s.Journal().Trim(ctx, seq-seq%50); err != nil {
				return err
			}
		}
	}
}

// TestKilled kills a writing process again and again: what it said was written is
// there.
func TestKilled(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	batches, flushes := uint64(0), uint64(0)
	for round := 1; round <= 5; round++ {
		cmd := child(t, "append", dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := 0
		for in := bufio.NewScanner(out); in.Scan(); lines++ {
			if lines == 30*round {
				cmd.Process.Kill()
			}
			what, number, _ := cutLast(in.Text())
			switch what {
			case "batch":
				batches = number
			case "flush":
				flushes = number
			default:
				t.Fatalf("the child said %q", in.Text())
			}
		}
		cmd.Wait()
		if lines < 30*round {
			t.Fatalf("the child ended by itself after %d lines", lines)
		}
		inspect(t, dir, batches, flushes)
	}
}

func cutLast(line string) (what string, number uint64, err error) {
	if len(line) < 7 {
		return line, 0, errors.New("too short")
	}
	number, err = strconv.ParseUint(line[6:], 10, 64)
	return line[:5], number, err
}

// inspect opens what a killed process left.
func inspect(t *testing.T, dir string, batches, flushes uint64) {
	t.Helper()
	s := openIn(t, dir)
	defer s.Close()
	first, last, err := s.Journal().Bounds(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if last < batches || last > batches+1 {
		t.Errorf("the journal ends at %d, %d was acknowledged", last, batches)
	}
	got, err := s.Journal().Read(t.Context(), first, 1<<30)
	if err != nil || uint64(len(got)) != last-first+1 {
		t.Fatalf("%d batches from %d to %d: %v", len(got), first, last, err)
	}
	for _, b := range got {
		want := numbered(b.Seq, int(b.Seq%64)*512)
		if b.ID != want.ID || string(b.Payload) != string(want.Payload) {
			t.Errorf("batch %d isn't what was appended", b.Seq)
		}
	}
	var c counting
	projected, err := s.Tables().Load(t.Context(), &c)
	if err != nil {
		t.Fatal(err)
	}
	if projected < flushes || projected > flushes+1 || uint64(c.jobs) != projected {
		t.Errorf("the tables are at %d with %d jobs, %d was acknowledged", projected, c.jobs, flushes)
	}
}

// TestSecondProcess holds that one process has a data directory, until it ends.
func TestSecondProcess(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	cmd := child(t, "append", dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewScanner(out)
	in.Scan()
	_, err = OpenSQLite(t.Context(), dir, Options{})
	if !errors.Is(err, store.ErrLocked) {
		t.Errorf("OpenSQLite beside another process: %v, want %v", err, store.ErrLocked)
	}
	cmd.Process.Kill()
	for in.Scan() {
	}
	cmd.Wait()
	openIn(t, dir)
	if _, err := OpenSQLite(t.Context(), dir, Options{}); !errors.Is(err, store.ErrLocked) {
		t.Errorf("OpenSQLite twice in one process: %v, want %v", err, store.ErrLocked)
	}
}
