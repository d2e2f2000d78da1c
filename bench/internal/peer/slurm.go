package peer

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"time"

	"github.com/reeve-scheduler/reeve/bench/internal/proc"
)

const (
	// SlurmCPUs is how many processors the one node says it has: a job holds its own for most of a
	// second after it has ended, so that with as few as there are nothing would get done.
	SlurmCPUs = 256
	// slurmRange is how many elements one range of a command may name.
	slurmRange = 60_000
)

// slurmSettings is everything that isn't as it comes, for a machine of its own that does
// nothing else: no accounting, no plugin that costs, no waiting, limits for a million elements.
const slurmSettings = `ClusterName=bench
SlurmctldHost=%[1]s(127.0.0.1)
NodeName=%[1]s NodeAddr=127.0.0.1 CPUs=%[2]d RealMemory=1 State=UNKNOWN
PartitionName=all Nodes=%[1]s Default=YES MaxTime=INFINITE State=UP
SlurmUser=%[3]s
SlurmdUser=%[3]s
SlurmctldPort=%[4]d
SlurmdPort=%[5]d
AuthType=auth/munge
AuthInfo=socket=%[6]s/munge.sock
SlurmctldPidFile=%[6]s/slurmctld.pid
SlurmdPidFile=%[6]s/slurmd.pid
StateSaveLocation=%[6]s/state
SlurmdSpoolDir=%[6]s/spool
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmctldDebug=error
SlurmdDebug=error
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SwitchType=switch/none
MpiDefault=none
MailProg=/bin/true
ReturnToService=2
SchedulerType=sched/builtin
SchedulerParameters=batch_sched_delay=0,default_queue_depth=20000,partition_job_depth=20000
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
MaxJobCount=3000000
MaxArraySize=1000001
MinJobAge=2
CompleteWait=0
KillWait=1
InactiveLimit=0
EpilogMsgTime=1
MessageTimeout=60
SlurmctldTimeout=300
SlurmdTimeout=300
`

// Slurm is a cluster of one node on this machine.
type Slurm struct {
	s *Site
	// Dir is its own.
	Dir string
	// environment is where its commands find it.
	environment                []string
	munged, controller, worker *proc.Process
}

// StartSlurm returns when the node, of so many processors, waits for jobs.
func (s *Site) StartSlurm(cpus int) (*Slurm, error) {
	for _, program := range []string{"munged", "slurmctld", "slurmd", "sbatch"} {
		if _, err := exec.LookPath(program); err != nil {
			return nil, fmt.Errorf("%s is not installed", program)
		}
	}
	dir, err := os.MkdirTemp(s.Dir, "slurm-")
	if err != nil {
		return nil, err
	}
	q := &Slurm{s: s, Dir: dir, environment: append(os.Environ(), "SLURM_CONF="+dir+"/slurm.conf")}
	if err := q.configure(cpus); err != nil {
		return nil, err
	}
	if err := q.startAll(); err != nil {
		return nil, errors.Join(err, q.Close())
	}
	return q, nil
}

// configure writes its files.
func (q *Slurm) configure(cpus int) error {
	key := make([]byte, 1024)
	if _, err := rand.Read(key); err != nil {
		return err
	}
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	host, _, _ = strings.Cut(host, ".")
	me, err := user.Current()
	if err != nil {
		return err
	}
	one, other, err := freePorts(q.s.Context)
	if err != nil {
		return err
	}
	settings := fmt.Sprintf(slurmSettings, host, cpus, me.Username, one, other, q.Dir)
	return errors.Join(
		os.Mkdir(q.Dir+"/state", 0o700), os.Mkdir(q.Dir+"/spool", 0o755), os.WriteFile(q.Dir+"/munge.key", key, 0o600),
		os.WriteFile(q.Dir+"/slurm.conf", []byte(settings), 0o600), os.Chmod(q.Dir, 0o755),
	)
}

func (q *Slurm) startAll() (err error) {
	file := func(name string) string { return filepath.Join(q.Dir, name) }
	if q.munged, err = q.start("munged", "-F", "--force", "--key-file="+file("munge.key"), "--socket="+file("munge.sock"),
		"--pid-file="+file("munge.pid"), "--log-file="+file("munge.log"), "--seed-file="+file("munge.seed")); err != nil {
		return err
	}
	if err := q.await(func() (bool, error) {
		_, err := os.Stat(file("munge.sock"))
		return err == nil, nil
	}); err != nil {
		return err
	}
	if err := q.StartController(); err != nil {
		return err
	}
	if q.worker, err = q.start("slurmd", "-D"); err != nil {
		return err
	}
	return q.await(func() (bool, error) {
		state, err := q.Ask("sinfo", "-h", "-o", "%T")
		return err == nil && strings.TrimSpace(state) == "idle", nil // it may not answer yet
	})
}

// StartController starts slurmctld, which need not answer yet.
func (q *Slurm) StartController() (err error) {
	q.controller, err = q.start("slurmctld", "-D")
	return err
}

// KillController ends it as a crash does.
func (q *Slurm) KillController() error { return q.controller.Kill() }

func (q *Slurm) start(name string, args ...string) (*proc.Process, error) {
	c := exec.Command(name, args...) //nolint:noctx // it outlives calls, and Stop ends it
	c.Env = q.environment
	return proc.Start(filepath.Join(q.Dir, name+".out"), c)
}

// await asks now and then until something holds.
func (q *Slurm) await(holds func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(q.s.Context, proc.Patience)
	defer cancel()
	return proc.Await(ctx, 50*time.Millisecond, holds)
}

// Ask runs one of its commands.
func (q *Slurm) Ask(name string, args ...string) (string, error) {
	c := exec.CommandContext(q.s.Context, name, args...)
	c.Env = q.environment
	c.Dir = q.Dir
	return proc.Output(c)
}

// Submit submits a script of one line, and returns the job's id.
func (q *Slurm) Submit(line, output string, args ...string) (string, error) {
	id, err := q.Ask("sbatch", append([]string{"--parsable", "-n1", "-o", output, "-e", "/dev/null", "--wrap=" + line}, args...)...)
	return strings.TrimSpace(id), err
}

// Gone returns when no job is left.
func (q *Slurm) Gone() error {
	ctx, cancel := context.WithTimeout(q.s.Context, 3*proc.Patience)
	defer cancel()
	return proc.Await(ctx, 50*time.Millisecond, func() (bool, error) {
		left, err := q.Ask("squeue", "-h", "-t", "PD,R,CG,S", "-o", "%i")
		return left == "", err
	})
}

// CancelFirst cancels the first n elements of an array.
func (q *Slurm) CancelFirst(id string, n int) error {
	var ranges []string
	for first := 0; first < n; first += slurmRange {
		ranges = append(ranges, fmt.Sprintf("%s_[%d-%d]", id, first, min(first+slurmRange, n)-1))
	}
	_, err := q.Ask("scancel", ranges...)
	return err
}

// Control holds or releases an array. That some of its elements have finished is no error.
func (q *Slurm) Control(verb, id string) error {
	_, err := q.Ask("scontrol", verb, id)
	if err != nil && strings.Contains(err.Error(), "No error") {
		return nil // what it says of the others
	}
	return err
}

// Run runs the processes as one array.
func (q *Slurm) Run(n int, command []string, keep bool) error {
	output := "/dev/null"
	if keep {
		output = q.Dir + "/spool/%a.out"
	}
	if _, err := q.Submit(strings.Join(command, " "), output, fmt.Sprintf("--array=0-%d", n-1)); err != nil {
		return err
	}
	return q.Gone()
}

// chainSteps is how many steps of a chain it runs: each takes a second.
const chainSteps = 10

// Chain runs jobs each of which needs the one before, and returns how many.
func (q *Slurm) Chain() (int, error) {
	id := ""
	for range chainSteps {
		var args []string
		if id != "" {
			args = append(args, "--dependency=afterok:"+id)
		}
		var err error
		if id, err = q.Submit("/bin/true", "/dev/null", args...); err != nil {
			return 0, err
		}
	}
	return chainSteps, q.Gone()
}

// Fan runs one job, then n, then one.
func (q *Slurm) Fan(n int) error {
	first, err := q.Submit("/bin/true", "/dev/null")
	if err != nil {
		return err
	}
	middle, err := q.Submit("/bin/true", "/dev/null", fmt.Sprintf("--array=0-%d", n-1), "--dependency=afterok:"+first)
	if err != nil {
		return err
	}
	if _, err := q.Submit("/bin/true", "/dev/null", "--dependency=afterok:"+middle); err != nil {
		return err
	}
	return q.Gone()
}

// Controller is the process id of slurmctld.
func (q *Slurm) Controller() int { return q.controller.PID() }

// Parts are its servers, and for what the node does everything else on the machine: the
// processes that start jobs leave their parent.
func (q *Slurm) Parts() []proc.Part {
	return []proc.Part{
		proc.Itself(), {Role: proc.Server, PID: q.controller.PID(), Reach: proc.WholeTree}, {Role: proc.Server, PID: q.munged.PID()},
		{Role: proc.Worker, PID: q.worker.PID(), Reach: proc.Rest},
	}
}

// Close ends everything and removes its data.
func (q *Slurm) Close() error {
	err := errors.Join(q.worker.Stop(), q.controller.Stop(), q.munged.Stop())
	return errors.Join(err, proc.KillMarked("SLURM_CONF="+q.Dir+"/slurm.conf"), os.RemoveAll(q.Dir))
}

// freePorts are two TCP ports of this machine that nobody listens at.
func freePorts(ctx context.Context) (one, other int, err error) {
	var c net.ListenConfig
	first, err := c.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, 0, err
	}
	defer first.Close() // after the other was found: they should differ
	second, err := c.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, 0, err
	}
	defer second.Close()
	return portOf(first), portOf(second), nil
}

func portOf(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }
