package demo

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Shape of the cluster and the job.
const (
	shards  = 64
	slots   = 2
	lease   = 3 * time.Second
	atLeast = 250 * time.Millisecond
)

// workerNames are the workers, in the order in which they are started.
func workerNames() []string { return []string{"w1", "w2", "w3"} }

// jobText is the job file: self is the program that the tasks run, root the tree,
// path where the file will lie.
func jobText(self, root, path string) string {
	const text = `# The job that reeve demo runs. It counts the identifiers of a tree of Go source in two ways, in %[1]d shards
# on all workers and in one single process, and succeeds only if both come to exactly the same.
#
# Again:            reeve submit --wait %[2]s
# With other data:  reeve submit --wait -p dir=/some/go/source %[2]s
name: demo
params:
  dir: %[3]s
env: {GOMAXPROCS: 1}  # an attempt is given one processor unless it asks for more
tasks:
  list:     # the files and their sizes
    command: [%[4]s, demo-step, list, "${{ params.dir }}"]
  count:    # each element its own files; a shard takes some time at the least, so that there is something to see
    needs: list
    fetch: list
    array: 0-%[5]d
    command: [%[4]s, demo-step, count, "${{ params.dir }}", --at-least=%[6]s]
  single:   # everything in one process, at the same time
    needs: list
    fetch: list
    command: [%[4]s, demo-step, single, "${{ params.dir }}"]
  merge:    # the sum of the shards
    needs: count
    fetch: count
    command: [%[4]s, demo-step, merge]
  report:   # the most frequent
    needs: merge
    fetch: merge
    command: [%[4]s, demo-step, report]
  compare:  # the shards against the one process
    needs: [merge, single]
    fetch: [merge, single]
    command: [%[4]s, demo-step, compare]
`
	return fmt.Sprintf(text, shards, strings.ReplaceAll(shellWord(path), "\n", " "), quoted(root), quoted(strings.ReplaceAll(self, "${{", "$${{")), shards-1, atLeast)
}

// quoted writes a text as JSON does, which YAML reads the same.
func quoted(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) //nolint:errchkjson // a string can be encoded
	return strings.TrimSpace(b.String())
}
