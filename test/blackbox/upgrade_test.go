package blackbox

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// olderCommit is the program before clusters had a format of their own.
const olderCommit = "58720acba0642eac7a174a71ccffdbc432f0dda5"

// olderBinary builds the program of olderCommit, unless REEVE_TEST_OLDER names it. Where the
// repository's history is not there it skips the test, or fails it where CI=true.
func olderBinary(t *testing.T) string {
	t.Helper()
	if program := os.Getenv("REEVE_TEST_OLDER"); program != "" {
		return program
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("git", "-C", root, "merge-base", "--is-ancestor", olderCommit, "HEAD").CombinedOutput(); err != nil {
		miss := t.Skipf
		if os.Getenv("CI") == "true" {
			miss = t.Fatalf
		}
		miss("the program of commit %.12s can't be built: the checkout has no history that reaches back to it (%v: %s); fetch all of it", olderCommit, err, strings.TrimSpace(string(out)))
	}
	dir := t.TempDir()
	tree, program := filepath.Join(dir, "older.tar"), filepath.Join(dir, "reeve-older")
	for _, argv := range [][]string{{"git", "-C", root, "archive", "--output", tree, olderCommit}, {"tar", "-xf", tree, "-C", dir}} {
		if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
		}
	}
	build := exec.Command("go", "build", "-buildvcs=false", "-ldflags", "-X main.version=older", "-o", program, "./cmd/reeve")
	build.Dir, build.Env = dir, append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the program of commit %.12s: %v\n%s", olderCommit, err, out)
	}
	return program
}

// mixed is a server and a worker of an older version beside those of this one.
type mixed struct {
	*several
	older, newer *member
	ids          []string
}

// check has jobs submitted at each server, by command lines of both versions, and run by workers
// of both: whoever is asked knows of them at once, and all succeed.
func (x *mixed) check(after string) {
	x.t.Helper()
	from := len(x.ids)
	for _, m := range x.members {
		for _, worker := range []string{"older", "newer"} {
			by := &cluster{t: x.t, dir: x.dir, env: m.only.env, program: m.program}
			id := by.submit(fmt.Sprintf("where: [version=%s]\nrun: echo %s", worker, after))
			x.ids = append(x.ids, id)
			for _, o := range x.members {
				if o.only.show(id).ID != id {
					x.t.Errorf("after %s: job %s, which %s took, is not known to %s", after, id, m.name, o.name)
				}
			}
		}
	}
	for _, id := range x.ids[from:] {
		x.ends(id, "succeeded")
		if got := x.ok("logs", id); got != after+"\n" {
			x.t.Errorf("the log of job %s is %q, want %q", id, got, after)
		}
	}
}

// TestUpgrade runs servers and workers of two versions on one database. Each leads in turn, and
// nothing is lost; then the cluster's format is raised, and the older version is of no use any more.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	older := olderBinary(t)
	x := &mixed{several: plainSeveral(t, 2)}
	x.older, x.newer = x.members[0], x.members[1]
	x.older.program = older
	x.begin(x.older)
	x.begin(x.newer)
	agent := &cluster{t: t, dir: x.dir, env: x.env, program: older}
	agent.worker("older", "--cpu", "8", "--slots", "8", "--label", "version=older")
	x.worker("newer", "--cpu", "8", "--slots", "8", "--label", "version=newer")
	l := newLedger(t)
	long := []string{
		x.submit(l.env() + "\nname: long\ntasks: {onolder: {where: [version=older], run: '" + gated + "'}}"),
		x.submit(l.env() + "\nname: long\ntasks: {onnewer: {where: [version=newer], run: '" + gated + "'}}"),
	}
	l.seen(1, "begin", "onolder")
	l.seen(1, "begin", "onnewer")
	x.check("the start")

	turn := func(from, to *member, kill bool) {
		t.Helper()
		epoch := from.epoch()
		if one, _ := x.leader(); one != from {
			t.Fatalf("%s leads, want %s", one.name, from.name)
		}
		if kill {
			from.proc.kill(t)
		} else if code := from.proc.stop(t); code != 0 {
			t.Errorf("%s exits with %d", from.name, code)
		}
		await(t, to.name+" leads", func() bool { return to.epoch() > epoch })
		x.begin(from)
		x.check(to.name + " leads")
	}
	turn(x.older, x.newer, true)
	turn(x.newer, x.older, true)
	turn(x.older, x.newer, false)

	if out := x.ok("upgrade"); !strings.Contains(out, "format is 1; not all servers know a newer one yet") {
		t.Errorf("reeve upgrade says\n%s", out)
	}
	x.refused([]string{"upgrade", "--finalize"}, "format is 1 and can't be raised", x.older.listen+" (version older", "knows no newer one")
	x.raiseBehindItsBack()

	newerEpoch := x.newer.epoch()
	x.newer.proc.kill(t)
	x.begin(x.newer)
	await(t, x.newer.name+" leads again", func() bool { return x.newer.epoch() > newerEpoch })
	if n := x.older.epoch(); n > newerEpoch {
		t.Errorf("the older server led term %d, after term %d with a format that it can't read", n, newerEpoch)
	}
	x.older.proc.stop(t)
	x.older.program = ""
	x.begin(x.older)
	x.check("the upgrade")
	l.open("gate")
	for _, id := range append(long, x.ids...) {
		x.ends(id, "succeeded")
	}
	l.begins("onolder", 1, 0)
	l.begins("onnewer", 1, 0)
	l.noTwins()
}

// raiseBehindItsBack raises the format while the older server stands still and is not known to
// be there. It then meets what it can't read, says so, and answers by way of the other one; one
// that starts does the same.
func (x *mixed) raiseBehindItsBack() {
	t := x.t
	t.Helper()
	x.older.proc.signal(syscall.SIGSTOP)
	x.db.Exec(t, x.older.store, "DELETE FROM reeve.servers WHERE version = 'older'")
	if out := x.newer.only.ok("upgrade", "--finalize"); !strings.Contains(out, "format was 1 and is 3 now") {
		t.Errorf("reeve upgrade --finalize says\n%s", out)
	}
	x.older.proc.signal(syscall.SIGCONT)
	const says = "install the version of Reeve that wrote it, or a newer one"
	x.older.proc.says(t, says)
	x.check("the raise")
	x.older.proc.stop(t)
	x.launch(x.older)
	x.older.proc.says(t, says)
	x.check("a start after it")
}
