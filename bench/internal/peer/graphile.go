package peer

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/reeve-scheduler/reeve/bench/internal/figure"
	"github.com/reeve-scheduler/reeve/bench/internal/proc"
)

// How graphile-worker is tuned for throughput: it fetches many jobs at a time into its own
// process and deletes those that have ended many at a time. For latency both are off.
const (
	graphileSlots   = 100
	graphileFetched = 1000
	graphileDelay   = 10 // milliseconds that ends wait for more
)

func graphileSystem() System {
	return System{
		Name: "graphile-worker", Durability: figure.Durable, Kind: figure.Peer, Start: (*Site).startGraphile,
		Rate: func(int) int { return 20_000 },
	}
}

// graphileQueue is graphile-worker on PostgreSQL, with a client of its own.
type graphileQueue struct {
	s              *Site
	pg             *postgres
	client, worker *proc.Process
}

func (s *Site) startGraphile() (Queue, error) {
	if err := s.npm("graphile"); err != nil {
		return nil, err
	}
	pg, err := s.startPostgres()
	if err != nil {
		return nil, err
	}
	q := &graphileQueue{s: s, pg: pg}
	q.client, err = q.node("client")
	return q, err
}

// npm installs what a folder's lock file names, where it isn't there yet.
func (s *Site) npm(folder string) error {
	if _, err := exec.LookPath("node"); err != nil {
		return errors.New("node is not installed")
	}
	dir := filepath.Join(s.Source, folder)
	if found, err := filepath.Glob(dir + "/node_modules/.package-lock.json"); err != nil || len(found) > 0 {
		return err
	}
	c := exec.CommandContext(s.Context, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	c.Dir = dir
	_, err := proc.Output(c)
	return err
}

// node starts one of the two programs, and returns when it is ready.
func (q *graphileQueue) node(args ...string) (*proc.Process, error) {
	cmd := exec.Command("node", append([]string{q.s.Source + "/graphile/graphile.mjs"}, args...)...) //nolint:noctx // it outlives calls, and stop ends it
	cmd.Env = q.pg.environment
	p, err := proc.Start(q.s.Dir+"/graphile-"+args[0]+".log", cmd)
	if err != nil {
		return nil, err
	}
	_, err = p.Says(q.s.Context, "^("+proc.Ready+")$")
	return p, err
}

// ask gives the client an order, and returns its answer.
func (q *graphileQueue) ask(order, answer string) (string, error) {
	if err := q.client.Tell(order); err != nil {
		return "", err
	}
	return q.client.Says(q.s.Context, answer)
}

func (q *graphileQueue) Fill(n int) error {
	_, err := q.ask(fmt.Sprintf("fill %d", n), "^filled$")
	return err
}

func (q *graphileQueue) Prepare(w Workload) (err error) {
	slots, fetched := w.Slots, graphileFetched
	if slots == 0 {
		slots = graphileSlots
	}
	if w.Kind == Stamp || w.Kind == Chain {
		fetched = 0
	}
	if err := q.pg.settle("graphile_worker._private_jobs"); err != nil {
		return err
	}
	if q.client == nil {
		if q.client, err = q.node("client"); err != nil {
			return err
		}
	}
	q.worker, err = q.node("worker", string(w.Kind), strconv.Itoa(slots), strconv.Itoa(fetched), strconv.Itoa(graphileDelay))
	return err
}

func (q *graphileQueue) Work() error { return q.worker.Tell(proc.GoOn) }

// Drained asks for rows: those of jobs that have ended are deleted.
func (q *graphileQueue) Drained() error {
	_, err := q.ask("drained", "^drained$")
	return err
}

func (q *graphileQueue) OneByOne(n int) ([]Latencies, error) {
	start, seen := Latencies{What: Start}, Latencies{What: Seen}
	for i := range n + WarmJobs {
		text, err := q.ask("one", `^one (\d+ \d+ \d+)$`)
		if err != nil {
			return nil, err
		}
		f := strings.Fields(text)
		began, err := strconv.ParseInt(f[1], 10, 64)
		if err != nil {
			return nil, err
		}
		saw, err := strconv.ParseInt(f[2], 10, 64)
		if err != nil {
			return nil, err
		}
		at, err := startedAt(q.s.Context, q.worker, f[0])
		if err != nil {
			return nil, err
		}
		if i >= WarmJobs {
			start.Took, seen.Took = append(start.Took, at.Sub(time.Unix(0, began))), append(seen.Took, time.Duration(saw-began))
		}
	}
	return []Latencies{start, seen}, nil
}

// Graph begins with its first job; the worker says when the last has ended.
func (q *graphileQueue) Graph(_ Kind, n int) error {
	if _, err := q.ask(fmt.Sprintf("graph %d", n), "^submitted$"); err != nil {
		return err
	}
	_, err := q.worker.Says(q.s.Context, "^"+ended+"$")
	return err
}

func (q *graphileQueue) Parts() []proc.Part {
	all := []proc.Part{{Role: proc.Client, PID: q.client.PID()}, q.pg.part()}
	if q.worker != nil {
		all = append(all, proc.Part{Role: proc.Worker, PID: q.worker.PID()})
	}
	return all
}

func (q *graphileQueue) Syncs(last bool) (int64, error) {
	if !last {
		return q.pg.syncs(false)
	}
	if err := errors.Join(q.worker.Stop(), q.client.Stop()); err != nil {
		return 0, err
	}
	q.worker, q.client = nil, nil
	return q.pg.syncs(true)
}

func (q *graphileQueue) Close() error {
	return errors.Join(q.worker.Stop(), q.client.Stop(), q.pg.close())
}
