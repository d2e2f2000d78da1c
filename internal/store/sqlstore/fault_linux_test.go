package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/reeve-scheduler/reeve/internal/store"
	"github.com/reeve-scheduler/reeve/internal/store/sqlstore/file"
)

// runRole runs a child in name spaces of its own, where it may mount, and skips
// the test where the system forbids that.
func runRole(t *testing.T, role string) {
	t.Helper()
	cmd := child(t, role, t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.Output()
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.ENOSPC), strings.Contains(string(out), errForbidden.Error()):
		t.Skipf("the system forbids what the test needs: %v %s", err, out)
	case err != nil:
		t.Fatalf("%v: %s", err, out)
	}
}

var errForbidden = errors.New("not allowed on this system")

func TestDiskFull(t *testing.T) { runRole(t, "full") }

func TestDiskFullForTheIndex(t *testing.T) { runRole(t, "full-for-index") }

func TestFailingSync(t *testing.T) { runRole(t, "failing-sync") }

// fillDisk works on a small disk until it is full: that is an ordinary error, and
// the same calls work once there is space.
func fillDisk(ctx context.Context, dir string) error {
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=16m"); err != nil {
		return fmt.Errorf("%w: mount: %w", errForbidden, err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	s, err := OpenSQLite(ctx, filepath.Join(dir, "data"), Options{})
	if err != nil {
		return err
	}
	defer s.Close()
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 12<<20), 0o600); err != nil {
		return err
	}
	seq := uint64(1)
	for ; err == nil; seq++ {
		err = s.Journal().Append(ctx, numbered(seq, 100_000))
	}
	seq--
	if !errors.Is(err, file.ErrFull) || errors.Is(err, store.ErrBroken) {
		return fmt.Errorf("append on a full disk: %w, want %w", err, file.ErrFull)
	}
	f := store.Flush{Seq: 1, Jobs: []store.JobRow{{ID: 1, Live: true, Blob: make([]byte, 1<<20)}}}
	if err := s.Tables().Flush(ctx, &f); !errors.Is(err, file.ErrFull) {
		return fmt.Errorf("flush on a full disk: %w, want %w", err, file.ErrFull)
	}
	if _, err := s.Journal().Read(ctx, 1, 1<<30); err != nil {
		return fmt.Errorf("read on a full disk: %w", err)
	}
	if durable, err := s.Tables().Durable(ctx); err != nil || durable != 0 {
		return fmt.Errorf("durable on a full disk: %d, %w", durable, err)
	}
	if err := s.Journal().Append(ctx, numbered(seq, 100_000)); !errors.Is(err, file.ErrFull) {
		return fmt.Errorf("the same append on a full disk: %w, want %w", err, file.ErrFull)
	}
	if err := os.Remove(ballast); err != nil {
		return err
	}
	if err := s.Journal().Append(ctx, numbered(seq, 100_000)); err != nil {
		return fmt.Errorf("the same append with space again: %w", err)
	}
	if err := s.Tables().Flush(ctx, &f); err != nil {
		return fmt.Errorf("the same flush with space again: %w", err)
	}
	batches, err := s.Journal().Read(ctx, 1, 1<<30)
	if err != nil || uint64(len(batches)) != seq {
		return fmt.Errorf("%d batches after the disk was full, want %d: %w", len(batches), seq, err)
	}
	return nil
}

// fillIndex fills a disk on which the write-ahead log has room from before, and its index
// has not: after a crash the log's file is as large as ever, and the index begins anew.
func fillIndex(ctx context.Context, dir string) error {
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=128m"); err != nil {
		return fmt.Errorf("%w: mount: %w", errForbidden, err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	before, err := OpenSQLite(ctx, filepath.Join(dir, "before"), Options{})
	if err != nil {
		return err
	}
	defer before.Close()
	seq := uint64(1)
	for ; seq <= 200 && err == nil; seq++ { // 20 MB: the index of the first 16 is its first part
		err = before.Journal().Append(ctx, numbered(seq, 100_000))
	}
	err = errors.Join(err, before.journal.db.tidy(ctx))
	err = errors.Join(err, before.Journal().Append(ctx, numbered(seq, 100)), crashed(filepath.Join(dir, "before"), filepath.Join(dir, "after")))
	if err != nil {
		return err
	}
	s, err := OpenSQLite(ctx, filepath.Join(dir, "after"), Options{})
	if err != nil {
		return err
	}
	defer s.Close()
	ballast, err := os.Create(filepath.Join(dir, "ballast"))
	if err != nil {
		return err
	}
	defer ballast.Close()
	for err == nil {
		_, err = ballast.Write(make([]byte, 4096))
	}
	for seq++; !errors.Is(err, file.ErrFull); seq++ {
		if err = s.Journal().Append(ctx, numbered(seq, 100_000)); err != nil && !errors.Is(err, file.ErrFull) {
			return fmt.Errorf("append without room for the index: %w, want %w", err, file.ErrFull)
		}
	}
	if err := ballast.Truncate(0); err != nil {
		return err
	}
	if err := s.Journal().Append(ctx, numbered(seq-1, 100_000)); err != nil {
		return fmt.Errorf("the same append with space again: %w", err)
	}
	return nil
}

// crashed copies a data directory in use to where it is found after a crash, without what
// a crash removes.
func crashed(from, to string) error {
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return err
	}
	indexes, err := filepath.Glob(filepath.Join(to, "*-shm"))
	for _, name := range indexes {
		err = errors.Join(err, os.Remove(name))
	}
	return errors.Join(err, os.Chmod(to, 0o700))
}

// failSync lets every fsync fail: the first write that needs one is the last that
// this process tries.
func failSync(ctx context.Context, dir string) error {
	s, err := OpenSQLite(ctx, filepath.Join(dir, "data"), Options{})
	if err != nil {
		return err
	}
	if err := s.Journal().Append(ctx, numbered(1, 100)); err != nil {
		return err
	}
	if err := s.Tables().Flush(ctx, &store.Flush{Seq: 1}); err != nil {
		return err
	}
	if err := refuseSync(); err != nil {
		return fmt.Errorf("%w: %w", errForbidden, err)
	}
	for range 2 {
		if err := s.Journal().Append(ctx, numbered(2, 100)); !errors.Is(err, store.ErrBroken) {
			return fmt.Errorf("append without a sync: %w, want %w", err, store.ErrBroken)
		}
	}
	if _, err := s.Journal().Read(ctx, 1, 1<<30); err != nil {
		return fmt.Errorf("read after a failed sync: %w", err)
	}
	if _, err := s.Tables().Durable(ctx); !errors.Is(err, store.ErrBroken) {
		return fmt.Errorf("durable without a sync: %w, want %w", err, store.ErrBroken)
	}
	if err := s.Tables().Flush(ctx, &store.Flush{Seq: 2}); !errors.Is(err, store.ErrBroken) {
		return fmt.Errorf("flush after a failed sync: %w, want %w", err, store.ErrBroken)
	}
	return nil
}

// refuseSync makes fsync and fdatasync of this process fail with EIO from now on,
// by a filter on its system calls.
func refuseSync() error {
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	fail := uint32(unix.SECCOMP_RET_ERRNO | unix.EIO)
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the call's number
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 2, K: unix.SYS_FSYNC},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 1, K: unix.SYS_FDATASYNC},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		{Code: unix.BPF_RET | unix.BPF_K, K: fail},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program)))
	runtime.KeepAlive(filter)
	if errno != 0 {
		return errno
	}
	return nil
}
