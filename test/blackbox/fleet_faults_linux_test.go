package blackbox

import (
	"fmt"
	"maps"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// everyFault is what can happen around several servers, by name.
func (f *fleet) everyFault() map[string]fault {
	all := f.workerFaults()
	for name, do := range f.serverFaults() {
		all[name] = fault{server: do}
	}
	for name, do := range f.partitions() {
		all[name] = fault{server: do}
	}
	for name, do := range f.storeFaults() {
		all[name] = fault{store: do}
	}
	maps.Copy(all, f.linkFaults())
	return all
}

// leads waits for a server that leads.
func (f *fleet) leads() (l *member) {
	_ = f.until(patience, func() string {
		for i, admin := range f.admins {
			if leads, err := metric(admin, "reeve_server_leads"); err == nil && leads == 1 {
				l = f.members[i]
				return l.name
			}
		}
		return ""
	})
	if l == nil {
		f.zoo.t.Errorf("for %s no server leads", patience)
		l = f.members[0]
	}
	return l
}

// follows is a server that does not lead.
func (f *fleet) follows() *member {
	l := f.leads()
	var others []*member
	for _, m := range f.members {
		if m != l {
			others = append(others, m)
		}
	}
	return others[time.Now().UnixNano()%int64(len(others))]
}

// newTerm does something that must begin another term.
func (f *fleet) newTerm(do func()) string {
	_, was := f.leader()
	do()
	return f.until(patience, func() string {
		if _, now := f.leader(); now > was {
			return fmt.Sprintf("term %d, then %d", was, now)
		}
		return ""
	})
}

// asked stops a server in good order, and starts it again.
func (f *fleet) asked(m *member) {
	if code := m.proc.stop(f.zoo.t); code != 0 {
		f.zoo.t.Errorf("%s, asked to end, exits with %d", m.name, code)
	}
	f.begin(m)
}

func (f *fleet) serverFaults() map[string]func() string {
	t := f.zoo.t
	return map[string]func() string{
		"leader killed": func() string {
			l := f.leads()
			defer f.begin(l)
			return f.newTerm(func() { l.proc.kill(t) })
		},
		"leader killed, and the next one": func() string {
			first := f.leads()
			defer f.begin(first)
			one := f.newTerm(func() { first.proc.kill(t) })
			second := f.leads()
			defer f.begin(second)
			return join(one, f.newTerm(func() { second.proc.kill(t) }))
		},
		"leader stopped past its lease": func() string {
			l := f.leads()
			defer l.proc.signal(syscall.SIGCONT)
			return join(f.newTerm(func() { l.proc.signal(syscall.SIGSTOP) }), stopped(l.proc.cmd.Process.Pid))
		},
		"leader stopped for a moment": func() string {
			l := f.leads()
			l.proc.signal(syscall.SIGSTOP)
			defer l.proc.signal(syscall.SIGCONT)
			f.pass(f.lease / 10)
			return stopped(l.proc.cmd.Process.Pid)
		},
		"leader asked to end": func() string {
			l := f.leads()
			return f.newTerm(func() { f.asked(l) })
		},
		"follower killed": func() string {
			m := f.follows()
			m.proc.kill(t)
			defer f.begin(m)
			return fmt.Sprintf("%s exits with %d", m.name, m.proc.code)
		},
		"follower stopped": func() string {
			m := f.follows()
			m.proc.signal(syscall.SIGSTOP)
			defer m.proc.signal(syscall.SIGCONT)
			f.pass(f.past)
			return stopped(m.proc.cmd.Process.Pid)
		},
		"servers asked to end, one after the other": func() string {
			return f.newTerm(func() {
				for _, m := range f.members {
					f.asked(m)
				}
			})
		},
		"all servers killed": func() string { return f.newTerm(f.killServers) },
	}
}

func (f *fleet) killServers() {
	for _, m := range f.members {
		m.proc.kill(f.zoo.t)
	}
	for _, m := range f.members {
		f.begin(m)
	}
}

// partitions are those of a server: from its database, from workers, and from other servers.
func (f *fleet) partitions() map[string]func() string {
	return map[string]func() string{
		"leader cut off from the database": func() string {
			way := f.ways[f.leads()]
			defer way.release()
			return f.newTerm(way.hold)
		},
		"answers of the database to the leader lost": func() string {
			way := f.ways[f.leads()]
			defer way.release()
			_, was := way.traffic()
			term := f.newTerm(func() { way.set(passes, lost) })
			_, now := way.traffic()
			return join(term, some(int(now-was), "bytes lost"))
		},
		"answers of the database to the leader late":    func() string { return f.while(f.ways[f.leads()], passes, held, time.Second) },
		"connections of the leader to the database cut": func() string { return f.each("connections cut", f.ways[f.leads()].cut) },
		"follower cut off from the database":            func() string { return f.while(f.ways[f.follows()], held, held, f.past) },
		"leader cut off from workers": func() string {
			l := f.leads()
			return f.apart(l.name, f.past, "w1", "w2", "w3")
		},
		"leader cut off from the other servers": func() string {
			l := f.leads()
			return f.apart(l.name, f.past, "s1", "s2", "s3", "tests") // without clients nobody would notice
		},
		"leader cut off from all but the database": func() string {
			l, vain := f.leads(), ""
			return join(f.newTerm(func() { vain = f.apart(l.name, 2*f.past, "s1", "s2", "s3", "w1", "w2", "w3", "tests") }), vain)
		},
		"what the leader tells the workers lost": func() string {
			l := f.leads().name
			return f.oneWay([]string{l}, []string{"w1", "w2", "w3"}, f.past)
		},
		"what the workers tell the leader lost": func() string {
			l := f.leads().name
			return f.oneWay([]string{"w1", "w2", "w3"}, []string{l}, f.past)
		},
	}
}

// linkFaults are those of the ways of one worker, or of the clients.
func (f *fleet) linkFaults() map[string]fault {
	servers := []string{"s1", "s2", "s3"}
	return map[string]fault{
		"worker cut off from all servers past the lease": {worker: func(v *victim) string { return f.apart(v.name, f.past, servers...) }},
		"worker cut off from the leader":                 {worker: func(v *victim) string { return f.apart(v.name, f.past, f.leads().name) }},
		"worker cut off for a moment":                    {worker: func(v *victim) string { return f.apart(v.name, f.lease/4, servers...) }},
		"answers to a worker lost":                       {worker: func(v *victim) string { return f.oneWay(servers, []string{v.name}, f.past) }},
		"reports of a worker lost":                       {worker: func(v *victim) string { return f.oneWay([]string{v.name}, servers, f.past) }},
		"clients cut off from the leader":                {clients: func() string { return f.apart("tests", f.lease/2, f.leads().name) }},
		"clients cut off":                                {clients: func() string { return f.apart("tests", f.lease/2, servers...) }},
		"answers to clients lost":                        {clients: func() string { return f.oneWay(servers, []string{"tests"}, f.lease/2) }},
	}
}

// apart drops all between a part and others for a time, and until something has met with that.
func (f *fleet) apart(one string, d time.Duration, others ...string) string {
	was := f.resent(append(others, one)...)
	for _, other := range others {
		if other != one {
			f.net.cut(f.net.addresses[one], f.net.addresses[other])
		}
	}
	defer func() {
		for _, other := range others {
			if other != one {
				f.net.heal(f.net.addresses[one], f.net.addresses[other])
			}
		}
	}()
	return f.sentInVain(was, d, append(others, one)...)
}

// oneWay drops all that goes from some parts to others.
func (f *fleet) oneWay(from, to []string, d time.Duration) string {
	was := f.resent(append(from, to...)...)
	for _, a := range from {
		for _, b := range to {
			f.net.cutWay(f.net.addresses[a], f.net.addresses[b])
		}
	}
	defer func() {
		for _, a := range from {
			for _, b := range to {
				f.net.healWay(f.net.addresses[a], f.net.addresses[b])
			}
		}
	}()
	return f.sentInVain(was, d, append(from, to...)...)
}

func (f *fleet) sentInVain(was int, d time.Duration, parts ...string) string {
	f.pass(d)
	return f.until(patience, func() string { return some(f.resent(parts...)-was, "segments sent again") })
}

func (f *fleet) storeFaults() map[string]func() string {
	t := f.zoo.t
	all := map[string]func() string{
		"database killed, and started again": func() string { return f.anotherDatabase(func() { f.db.Stop(t, true); f.db.Start(t) }) },
		"database stopped in order":          func() string { return f.anotherDatabase(func() { f.db.Stop(t, false); f.db.Start(t) }) },
		"database away past the lease": func() string {
			return f.anotherDatabase(func() { f.db.Stop(t, true); f.pass(f.past); f.db.Start(t) })
		},
		"database stood still": func() string {
			pids := f.ofDatabase()
			f.signalAll(pids, syscall.SIGSTOP)
			defer f.signalAll(pids, syscall.SIGCONT)
			f.pass(f.past)
			return stopped(pids...)
		},
		"sessions of the database ended": func() string {
			const words = "terminating connection due to administrator command"
			was := strings.Count(f.db.Log(t), words)
			return f.until(patience, func() string { // there may be none for a moment
				f.db.Exec(t, f.db.URL("postgres"), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'test%'")
				return some(strings.Count(f.db.Log(t), words)-was, "sessions ended")
			})
		},
	}
	if f.standby != nil {
		all["primary killed, standby promoted"] = func() string { return f.failover(false) }
		all["primary stood still, standby promoted"] = func() string { return f.failover(true) }
		all["standby away"] = func() string {
			f.standby.Stop(t, true)
			f.pass(f.lease)
			return f.until(patience, func() string { f.standby.Start(t); return "started again" })
		}
	}
	return all
}

// anotherDatabase says which process the database was and is.
func (f *fleet) anotherDatabase(do func()) string {
	was, err := f.db.PID()
	do()
	now, err2 := f.db.PID()
	if err != nil || err2 != nil || was == now {
		return ""
	}
	return fmt.Sprintf("process %d, then %d", was, now)
}

// ofDatabase are the processes of the database.
func (f *fleet) ofDatabase() (pids []int) {
	first, err := f.db.PID()
	if err != nil {
		f.zoo.t.Error(err)
		return nil
	}
	pids = append(pids, first)
	entries, _ := os.ReadDir("/proc") // Linux has it
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		text, _ := os.ReadFile("/proc/" + e.Name() + "/stat") // it may be gone
		_, rest, _ := strings.Cut(string(text), ") ")
		if words := strings.Fields(rest); len(words) > 1 && words[1] == strconv.Itoa(first) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// waitsForStandby fails where a commit would be confirmed without a standby: a failover may lose it
// then, and that would prove nothing.
const waitsForStandby = `DO $$ BEGIN ASSERT current_setting('synchronous_standby_names') = 'standby', 'commits wait for no standby'; END $$`

// failover makes the standby the primary, and another one its standby. The old primary is dead,
// or stands still and wakes up when it is too late.
func (f *fleet) failover(still bool) string {
	t := f.zoo.t
	old := f.db
	var pids []int
	if still {
		pids = f.ofDatabase()
		f.signalAll(pids, syscall.SIGSTOP)
	} else {
		old.Stop(t, true)
	}
	f.standby.Promote(t)
	f.db = f.standby
	f.db.Exec(t, f.db.URL("postgres"), waitsForStandby)
	for _, way := range f.ways {
		way.lead(fmt.Sprint("127.0.0.1:", f.db.Port()))
	}
	f.signalAll(pids, syscall.SIGCONT)
	f.standby = f.db.Standby(t) // until it is there no commit is confirmed
	if still {
		old.Stop(t, true)
	}
	return fmt.Sprintf("port %d, then %d", old.Port(), f.db.Port())
}
