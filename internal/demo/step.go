package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Names of what the steps hand to each other as artifacts.
const (
	filesName  = "files.txt"
	countsName = "counts.tsv"
	tableName  = "top.txt"
)

// topRows is how many identifiers the report shows.
const topRows = 20

// Place is what an attempt is given to work with.
type Place struct {
	// Inputs and Artifacts are directories, Output is a file; as in docs/jobfile.md.
	Inputs, Artifacts, Output string
	// Index is the element's place in the array, from 0, and Count how many there
	// are; 0 and 0 outside arrays.
	Index, Count int
	// AtLeast is how long a shard takes at the least, so that there is something to
	// watch, and time to lose a worker, on a small tree or a large machine.
	AtLeast time.Duration
	// Out is where the step prints.
	Out io.Writer
}

// PlaceOf reads a Place from an attempt's environment.
func PlaceOf(getenv func(string) string, out io.Writer) (Place, error) {
	p := Place{Inputs: getenv("REEVE_INPUTS"), Artifacts: getenv("REEVE_ARTIFACTS"), Output: getenv("REEVE_OUTPUT"), Out: out}
	if p.Artifacts == "" || p.Output == "" {
		return p, errors.New("a step of the demo runs as a task of its job, which has REEVE_ARTIFACTS and REEVE_OUTPUT; see reeve demo")
	}
	if getenv("REEVE_ARRAY_COUNT") == "" {
		return p, nil
	}
	var n [3]int
	for i, name := range []string{"REEVE_ARRAY_INDEX", "REEVE_ARRAY_MIN", "REEVE_ARRAY_COUNT"} {
		v, err := strconv.Atoi(getenv(name))
		if err != nil {
			return p, fmt.Errorf("%s: want a number: %w", name, err)
		}
		n[i] = v
	}
	p.Index, p.Count = n[0]-n[1], n[2]
	if p.Index < 0 || p.Index >= p.Count {
		return p, fmt.Errorf("REEVE_ARRAY_INDEX %d is not within the %d elements from %d", n[0], n[2], n[1])
	}
	return p, nil
}

// Step does one task of the job: args are its name and, for list, count and single,
// the directory of the source tree. It stops early when ctx ends.
func Step(ctx context.Context, p Place, args []string) error {
	takesDir := map[string]func(context.Context, Place, string) error{"list": list, "count": countShard, "single": countAll}
	takesNone := map[string]func(Place) error{"merge": merge, "report": report, "compare": compare}
	if len(args) == 2 && takesDir[args[0]] != nil {
		return takesDir[args[0]](ctx, p, args[1])
	}
	if len(args) == 1 && takesNone[args[0]] != nil {
		return takesNone[args[0]](p)
	}
	return fmt.Errorf("demo-step %s: want list DIR, count DIR, single DIR, merge, report or compare", strings.Join(args, " "))
}

// countShard counts the files of one shard.
func countShard(ctx context.Context, p Place, root string) error {
	if p.Count == 0 {
		return errors.New("count is an array: REEVE_ARRAY_COUNT is not set")
	}
	enough := time.NewTimer(p.AtLeast)
	defer enough.Stop()
	files, err := readFiles(p.input("list", filesName))
	if err != nil {
		return err
	}
	t, err := countFiles(ctx, root, shard(files, p.Index, p.Count))
	if err != nil {
		return err
	}
	select {
	case <-enough.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return p.keep(t)
}

// countAll counts every file in this one process.
func countAll(ctx context.Context, p Place, root string) error {
	files, err := readFiles(p.input("list", filesName))
	if err != nil {
		return err
	}
	t, err := countFiles(ctx, root, files)
	if err != nil {
		return err
	}
	return p.keep(t)
}

// merge adds the counts of all shards.
func merge(p Place) error {
	parts, err := filepath.Glob(filepath.Join(globQuote(p.Inputs), "count", "*", countsName))
	if err != nil {
		return err
	}
	if len(parts) == 0 {
		return errors.New("no counts to merge: the artifacts of count are missing")
	}
	sum := tally{}
	for _, part := range parts {
		t, err := readTally(part)
		if err != nil {
			return err
		}
		sum.add(t)
	}
	if err := p.output("shards", strconv.Itoa(len(parts))); err != nil {
		return err
	}
	return p.keep(sum)
}

// globQuote keeps the characters of a path from meaning anything to Glob.
func globQuote(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// report prints the most frequent identifiers, and keeps the table.
func report(p Place) error {
	t, err := readTally(p.input("merge", countsName))
	if err != nil {
		return err
	}
	table := t.table(topRows)
	if err := os.WriteFile(filepath.Join(p.Artifacts, tableName), []byte(table), 0o600); err != nil {
		return err
	}
	_, err = io.WriteString(p.Out, table)
	return err
}

// compare fails unless both ways to count say exactly the same.
func compare(p Place) error {
	shards, err := readTally(p.input("merge", countsName))
	if err != nil {
		return err
	}
	single, err := readTally(p.input("single", countsName))
	if err != nil {
		return err
	}
	if text := shards.differences(single); text != "" {
		return fmt.Errorf("the two counts differ: %s (did files change meanwhile?)", text)
	}
	fmt.Fprintf(p.Out, "exactly the same: %s identifiers, %s different ones\n", grouped(single.total()), grouped(int64(len(single))))
	return p.output("agree", "true")
}

func (p *Place) input(task, name string) string { return filepath.Join(p.Inputs, task, name) }

// keep leaves a tally as the step's artifact and its sums as outputs.
func (p *Place) keep(t tally) error {
	fmt.Fprintf(p.Out, "%s identifiers, %s different ones\n", grouped(t.total()), grouped(int64(len(t))))
	if err := p.output("identifiers", strconv.FormatInt(t.total(), 10)); err != nil {
		return err
	}
	if err := p.output("different", strconv.Itoa(len(t))); err != nil {
		return err
	}
	return t.write(filepath.Join(p.Artifacts, countsName))
}

// output appends a line to REEVE_OUTPUT.
func (p *Place) output(key, value string) error {
	f, err := os.OpenFile(p.Output, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%s=%s\n", key, value)
	return errors.Join(err, f.Close())
}
