// Package schema is the databases' schemas: numbered steps for each of them, what applies them, and
// the tables of a partition. A step that was released is never changed again. Words in braces stand for
// what engines spell differently: see the dialects of package sqlstore.
package schema

import (
	"embed"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/reeve-scheduler/reeve/internal/store"
)

//go:embed journal/*.sql tables/*.sql postgres/*.sql
var steps embed.FS

//go:embed partition.sql
var partition string

// Files returns the folders of steps: journal and tables for SQLite, postgres for PostgreSQL.
func Files() fs.FS { return steps }

// Partition returns the text that makes the tables of one partition.
func Partition() string { return partition }

// Step is one migration.
type Step struct{ Name, Text string }

// Read returns the steps of a folder, whose names begin with 0001, 0002 and so on.
func Read(from fs.FS, folder string) ([]Step, error) {
	entries, err := fs.ReadDir(from, folder)
	if err != nil {
		return nil, err
	}
	var all []Step
	for i, e := range entries {
		number, _, _ := strings.Cut(e.Name(), "_")
		if n, err := strconv.Atoi(number); err != nil || n != i+1 {
			return nil, fmt.Errorf("schema file %s/%s: want number %04d", folder, e.Name(), i+1)
		}
		text, err := fs.ReadFile(from, folder+"/"+e.Name())
		if err != nil {
			return nil, err
		}
		all = append(all, Step{e.Name(), string(text)})
	}
	return all, nil
}

// Oldest reads the first line of a step: which version a program must know at least to work
// with the schema after it.
func (st *Step) Oldest() (version int, err error) {
	line, _, _ := strings.Cut(st.Text, "\n")
	text, found := strings.CutPrefix(line, "-- oldest: ")
	version, err = strconv.Atoi(text)
	if !found || err != nil || version < 1 {
		return 0, fmt.Errorf("%w: schema step %s begins with %q: want \"-- oldest: \" and a version", store.ErrRefused, st.Name, line)
	}
	return version, nil
}
