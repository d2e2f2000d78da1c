package proc

import (
	"errors"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestUsage(t *testing.T) {
	before, err := Used([]Part{Itself()}, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); time.Since(began) < 5*Tick; { //nolint:revive // it spends processor time, which is what is measured
	}
	after, err := Used([]Part{Itself()}, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if d := after.Since(before); d.CPU[Client] < Tick || d.Machine < Tick || d.Ours() != d.CPU[Client] {
		t.Errorf("after %s of work: %+v", 5*Tick, d)
	}
}

func sh(t *testing.T, script string) *Process {
	t.Helper()
	p, err := Start(t.TempDir()+"/log", exec.CommandContext(t.Context(), "sh", "-c", script))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestProcess(t *testing.T) {
	p := sh(t, `echo one two; read line; echo "got $line"; exec sleep 1000`)
	got, err := p.Says(t.Context(), `^one (\w+)$`)
	if got != "two" || err != nil {
		t.Fatalf("it said %q, %v", got, err)
	}
	if err := p.Tell("word"); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Says(t.Context(), "^got word$"); err != nil {
		t.Fatal(err)
	}
	if n, err := Resident(p.PID()); n < 1<<12 || err != nil {
		t.Errorf("it occupies %d bytes, %v", n, err)
	}
	if err := p.Stop(); err == nil || !strings.Contains(err.Error(), "terminated") {
		t.Errorf("it was stopped: %v", err)
	}
	if _, err := statOf(p.PID()); !gone(err) {
		t.Errorf("it is still there: %v", err)
	}
}

func TestProcessThatEnds(t *testing.T) {
	p := sh(t, "echo the reason; exit 3")
	if _, err := p.Says(t.Context(), "ready"); err == nil || !strings.Contains(err.Error(), "the reason") || !strings.Contains(err.Error(), "status 3") {
		t.Errorf("it ended: %v", err)
	}
}

func TestTree(t *testing.T) {
	p := sh(t, "sleep 1000 & wait")
	var child int
	if err := Await(t.Context(), time.Millisecond, func() (bool, error) {
		var err error
		child, err = ChildOf(p.PID())
		return err == nil, nil
	}); err != nil {
		t.Fatal(err)
	}
	children, err := processTree()
	if got := below(children, p.PID()); len(got) != 2 || got[1] != child || err != nil {
		t.Errorf("the tree of %d is %v, %v; want it and %d", p.PID(), got, err, child)
	}
	if err := errors.Join(p.Kill(), syscall.Kill(child, syscall.SIGKILL)); err != nil {
		t.Error(err)
	}
}

func TestOutput(t *testing.T) {
	got, err := Output(exec.CommandContext(t.Context(), "sh", "-c", "echo yes"))
	if got != "yes\n" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if _, err = Output(exec.CommandContext(t.Context(), "sh", "-c", "echo no >&2; exit 1")); err == nil || !strings.Contains(err.Error(), "no") {
		t.Errorf("a failure is %v", err)
	}
}

func TestKillMarked(t *testing.T) {
	c := exec.CommandContext(t.Context(), "sleep", "1000")
	mark := "REEVE_BENCH_TEST=" + t.TempDir()
	c.Env = append(c.Environ(), mark)
	p, err := Start(t.TempDir()+"/log", c)
	if err != nil {
		t.Fatal(err)
	}
	other := sh(t, "exec sleep 1000")
	if err := KillMarked(mark); err != nil {
		t.Fatal(err)
	}
	<-p.ended
	if p.err == nil || !strings.Contains(p.err.Error(), "killed") {
		t.Errorf("it ended with %v", p.err)
	}
	if err := other.Stop(); err == nil || !strings.Contains(err.Error(), "terminated") {
		t.Errorf("another was not there any more: %v", err)
	}
}
