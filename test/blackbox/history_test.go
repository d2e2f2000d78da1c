package blackbox

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/reeve-scheduler/reeve"
)

// history is all that is known of a mixed-fault run, each from its own source: what
// clients were told, what jobs wrote, what Reeve says in the end, and what was done to
// it. It can be written to a directory and audited again.
type history struct {
	About   about
	Strikes []strike
	Orders  []order
	Records []record
	Heard   []heard
	Reads   []reading
	// Told is what clients were told that nobody may be told.
	Told []string
	// Left is what the run has left behind, and must not have.
	Left  []string
	Marks []mark
	// Strangers are the numbers of processes beside the jobs, from when on they had them.
	Strangers []stranger
}

// about is what the run was.
type about struct {
	Seed uint64
	// Lease is the workers', in seconds; Slots is what each worker has.
	Lease float64
	Slots int
	// Pause is how long a fault lasts, in seconds, at most: for so long a process that is
	// stopped does not do what it must.
	Pause float64
	// Among is the worker whose processes share their numbers with strangers.
	Among string
	// Resync: the watch had to say that it may have missed something.
	Resync bool
	// Least are the counts below which a run has tried nothing.
	Least least
}

// least is what a run must have had to count.
type least struct{ Jobs, Attempts, Strikes, Lost, Late int }

// strike is a fault as it was made. One without evidence has not happened.
type strike struct {
	At       time.Time
	Up       float64
	Name     string
	Evidence string
}

// order is a job that a client wants.
type order struct {
	N    int
	Kind string
	// ID is the job's once the submit was acknowledged.
	ID string
	// Asked and Told are when it was first sent and when it was acknowledged, in seconds of
	// uptime.
	Asked, Told float64
	// Cancelled: the client has asked for its end; CancelTold and CancelAt are when that was
	// acknowledged, if it was.
	Cancelled  bool
	CancelTold float64
	CancelAt   time.Time
}

// record is what Reeve says of a job in the end.
type record struct {
	Info *reeve.JobInfo
	// Ends is how often a watch heard that it ended, and as what.
	Ends []reeve.State
	// Elements are its elements, by reference.
	Elements map[string]reeve.ElementInfo
	// Attempts are the attempts of elements that were asked for, by the element's reference.
	Attempts map[string][]reeve.AttemptInfo
	// Lines is what the log of a job has that writes numbered lines, and Early what it had
	// soon after the job's end, if it was read then; Gaps says that marks in it admit that
	// something is missing.
	Lines, Early string
	Gaps         bool
}

// heard is an event of the watch; a kind of "resync" stands between what may have a gap.
type heard struct {
	Kind   reeve.EventKind
	Ref    string
	State  reeve.State
	Worker string
}

// reading is a state that a client was shown.
type reading struct {
	Job   string
	State reeve.State
}

// stranger is a process that is none of Reeve's business.
type stranger struct {
	PID  int
	Born float64
	// Killed is the signal that ended it, if one did.
	Killed int
}

// The files of a history: one of JSON and one of JSON lines for each long list, so that
// people can search them.
const (
	historyFile = "history.json"
	marksFile   = "book.jsonl"
	heardFile   = "heard.jsonl"
)

// save writes h to a directory.
func (h *history) save(dir string) error {
	short := *h
	short.Marks, short.Heard = nil, nil
	text, err := json.MarshalIndent(short, "", " ")
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, historyFile), text, 0o600),
		saveLines(filepath.Join(dir, marksFile), h.Marks), saveLines(filepath.Join(dir, heardFile), h.Heard))
}

// loadHistory reads what save has written.
func loadHistory(dir string) (*history, error) {
	h := &history{}
	text, err := os.ReadFile(filepath.Join(dir, historyFile))
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, h); err != nil {
		return nil, err
	}
	return h, errors.Join(loadLines(filepath.Join(dir, marksFile), &h.Marks), loadLines(filepath.Join(dir, heardFile), &h.Heard))
}

func saveLines[T any](path string, list []T) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	enc := json.NewEncoder(w)
	for i := range list {
		if err == nil {
			err = enc.Encode(list[i])
		}
	}
	return errors.Join(err, w.Flush(), f.Close())
}

func loadLines[T any](path string, list *[]T) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	dec := json.NewDecoder(f)
	for dec.More() {
		var v T
		if err := dec.Decode(&v); err != nil {
			return err
		}
		*list = append(*list, v)
	}
	return nil
}
