package blackbox

import (
	"cmp"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/reeve-scheduler/reeve/internal/store/pgtest"
)

// member is one of several servers.
type member struct {
	name, listen string
	// store is how this one reaches the database.
	store string
	// inside is the start of a command line that runs the rest where this server lives, and args
	// what it is told beside the others.
	inside, args []string
	// program is the reeve that it is, binary if empty.
	program string
	proc    *proc
	// only is a cluster whose commands ask this server alone.
	only *cluster
}

// several is servers on one database: commands of the cluster may ask any of them.
type several struct {
	*cluster
	db      *pgtest.Server
	members []*member
	// begun is every process of a server so far.
	begun []*proc
}

// startSeveral starts a database and n servers on it; args are further ones of reeve server.
func startSeveral(t *testing.T, n int, args ...string) *several {
	t.Helper()
	v := plainSeveral(t, n, args...)
	for _, m := range v.members {
		v.begin(m)
	}
	return v
}

// plainSeveral is the same before the servers are started.
func plainSeveral(t *testing.T, n int, args ...string) *several {
	t.Helper()
	return severalOn(t, pgtest.Start(t, pgtest.Config{}), n, args...)
}

// severalOn is the same on a database that is there.
func severalOn(t *testing.T, db *pgtest.Server, n int, args ...string) *several {
	t.Helper()
	v := &several{cluster: &cluster{t: t, dir: t.TempDir()}, db: db}
	v.args = append([]string{"--dev"}, args...)
	store := db.Database(t)
	var all []string
	for i := range n {
		m := &member{name: fmt.Sprintf("server%d", i+1), listen: steadyAddress(t), store: store}
		v.members = append(v.members, m)
		all = append(all, "http://"+m.listen)
		m.only = &cluster{t: t, dir: v.dir, env: cleanEnv("REEVE_ADDR=http://"+m.listen, "HOME="+v.dir)}
	}
	v.env = cleanEnv("REEVE_ADDR="+strings.Join(all, ","), "HOME="+v.dir)
	return v
}

// begin starts a server, again if it ran before, and waits until it answers.
func (v *several) begin(m *member) {
	v.t.Helper()
	v.launch(m)
	m.proc.says(v.t, "export REEVE_ADDR=")
}

// launch starts a server without waiting.
func (v *several) launch(m *member) {
	v.t.Helper()
	argv := slices.Concat(m.inside, []string{
		cmp.Or(m.program, binary), "server", "--data", filepath.Join(v.dir, m.name), "--listen", m.listen, "--advertise", m.listen, "--blobs", filepath.Join(v.dir, "blobs"),
	}, v.args, m.args)
	m.proc = startProgram(v.t, m.name, v.dir, append(slices.Clone(v.env), "REEVE_STORE="+m.store), argv...)
	v.begun = append(v.begun, m.proc)
}

var leadingLine = regexp.MustCompile(`msg=leading epoch=(\d+)`)

// epoch is the newest term that a server has said to lead, 0 for none.
func (m *member) epoch() (newest int) {
	for _, found := range leadingLine.FindAllStringSubmatch(m.proc.err.String(), -1) {
		n, _ := strconv.Atoi(found[1])
		newest = max(newest, n)
	}
	return newest
}

// leader is the server that led last, and its term.
func (v *several) leader() (one *member, epoch int) {
	for _, m := range v.members {
		if e := m.epoch(); e > epoch {
			one, epoch = m, e
		}
	}
	return one, epoch
}

// follower is a server that does not lead.
func (v *several) follower() *member {
	l, _ := v.leader()
	for _, m := range v.members {
		if m != l && alive(m.proc.cmd.Process.Pid) {
			return m
		}
	}
	v.t.Fatal("no server follows")
	return nil
}

// another waits until a term after epoch has begun.
func (v *several) another(epoch int) {
	v.t.Helper()
	await(v.t, fmt.Sprintf("a term after %d begins", epoch), func() bool {
		_, e := v.leader()
		return e > epoch
	})
}

// TestSeveralServers lets each part fail in turn: what was acknowledged is there at every
// server, what runs goes on and runs once.
func TestSeveralServers(t *testing.T) {
	t.Parallel()
	v := startSeveral(t, 3)
	w1 := v.worker("w1", "--cpu", "8", "--slots", "8")
	v.worker("w2", "--cpu", "8", "--slots", "8")
	l := newLedger(t)
	long := v.submit(l.env() + "\nrun: '" + gated + "'")
	l.seen(1, "begin", "main")
	var ids, said []string
	check := func(after string) {
		t.Helper()
		for _, m := range v.members {
			if !alive(m.proc.cmd.Process.Pid) {
				continue
			}
			id := m.only.submit("run: echo " + after)
			ids, said = append(ids, id), append(said, after+"\n")
			// Whoever is asked next knows of it already.
			for _, o := range v.members {
				if alive(o.proc.cmd.Process.Pid) && o.only.show(id).ID != id {
					t.Errorf("after %s: job %s, which %s took, is not known to %s", after, id, m.name, o.name)
				}
			}
		}
		for _, id := range ids[max(len(ids)-3, 0):] {
			v.ends(id, "succeeded")
		}
		// What an earlier leader has taken of logs is there, too.
		for i, id := range ids {
			if got := v.ok("logs", id); got != said[i] {
				t.Errorf("after %s: the log of job %s is %q, want %q", after, id, got, said[i])
			}
		}
	}
	check("the start")

	old, epoch := v.leader()
	old.proc.kill(t)
	v.another(epoch)
	check("the leader was killed")
	v.begin(old)
	check("it is back")

	old, epoch = v.leader()
	if code := old.proc.stop(t); code != 0 {
		t.Errorf("the leader exits with %d", code)
	}
	v.another(epoch)
	check("the leader was stopped")
	v.begin(old)

	old, epoch = v.leader()
	old.proc.signal(syscall.SIGSTOP)
	v.another(epoch)
	old.proc.signal(syscall.SIGCONT)
	check("the leader stood still")
	old.proc.says(t, "the term is over") // it may notice by the lease, or by what the other one has written

	v.follower().proc.kill(t)
	check("a follower was killed")

	v.db.Stop(t, true)
	v.db.Start(t)
	check("the database was restarted")

	w1.kill(t)
	v.worker("w1", "--cpu", "8", "--slots", "8")
	check("a worker was killed")

	l.open("gate")
	v.ends(long, "succeeded")
	l.begins("main", 1, 0)
	l.noTwins()
	for _, id := range ids {
		v.ends(id, "succeeded")
	}
}

// TestStoreRefusals are command lines of a server on a database that can't be.
func TestStoreRefusals(t *testing.T) {
	t.Parallel()
	c := plainCluster(t)
	store := (&url.URL{Scheme: "postgres", User: url.UserPassword("reeve", "hush"), Host: "127.0.0.1:1", Path: "/reeve"}).String()
	for _, test := range []struct {
		args []string
		says string
	}{
		{[]string{"--store", store, "--blobs", "x"}, "--store-password-file"},
		{[]string{"--store", "postgres://reeve@127.0.0.1:1/reeve"}, "--blobs"},
		{[]string{"--store", "mysql://reeve@127.0.0.1:1/reeve", "--blobs", "x"}, "want the URL of a PostgreSQL database"},
		{[]string{"--blobs", "x"}, "give --store, too"},
		{[]string{"--store", "postgres://reeve@127.0.0.1:1/reeve", "--blobs", "azblob://logs"}, "put ?account=name after it"},
	} {
		args := append([]string{"server", "--dev", "--listen", c.listen, "--data", filepath.Join(c.dir, "data")}, test.args...)
		if line := c.refused(args, test.says); strings.Contains(line, "hush") {
			t.Errorf("the error tells the password: %s", line)
		}
	}
}
