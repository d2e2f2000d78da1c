package sqlstore

import (
	"context"
	"sort"
	"strings"

	"github.com/reeve-scheduler/reeve/internal/store/sqlstore/seal"
)

// partition is the range of job ids of a span of time, and the number in its tables' names.
type partition struct {
	number  int64
	first   int64
	begins  int64
	keepMin int64
	keepMax int64
}

// layout is the row of meta and the partitions in order of their first ids, as one
// transaction saw them.
type layout struct {
	projected int64
	version   int64
	maxJob    int64
	numbers   int64
	parts     []partition
	// byKey are the statements that look a key up, made when first needed.
	byKey []keyLookup
}

const (
	selectMeta       = `SELECT projected, layout, max_job, numbers FROM {{s}}meta WHERE one = 1`
	selectPartitions = `SELECT number, first, begins, keep_min, keep_max FROM {{s}}partitions ORDER BY first`
)

// refresh reads meta and, if the layout changed, the partitions. It is the first
// statement of a transaction: what follows sees the same snapshot.
func (s *session) refresh(ctx context.Context) error { return s.refreshBy(ctx, selectMeta) }

// refreshToWrite is refresh in a transaction that goes on to write: those of other servers
// wait for it.
func (s *session) refreshToWrite(ctx context.Context) error {
	return s.refreshBy(ctx, selectMeta+s.db.d.lock)
}

func (s *session) refreshBy(ctx context.Context, text string) error {
	var projected, version, maxJob, numbers integer
	if a := s.ahead; len(a) == 4 {
		projected, version, maxJob, numbers = integer(a[0]), integer(a[1]), integer(a[2]), integer(a[3])
	} else if err := s.row(ctx, statement{text: text}, nil, &projected, &version, &maxJob, &numbers); err != nil {
		return err
	}
	l := &s.layout
	l.projected, l.maxJob, l.numbers = int64(projected), int64(maxJob), int64(numbers)
	if l.version == int64(version) {
		return nil
	}
	var parts []partition
	err := s.query(ctx, statement{text: selectPartitions}, func(rows row) (bool, error) {
		var number, first, begins, keepMin, keepMax integer
		if err := rows.Scan(&number, &first, &begins, &keepMin, &keepMax); err != nil {
			return false, err
		}
		parts = append(parts, partition{int64(number), int64(first), int64(begins), int64(keepMin), int64(keepMax)})
		return true, nil
	})
	if err != nil {
		return err
	}
	// Statements name the tables of partitions, which may be gone.
	s.forget()
	l.version, l.parts, l.byKey = int64(version), parts, nil
	return nil
}

// doubt makes the next refresh read the partitions again: what this session knows
// of them comes from a transaction that failed.
func (s *session) doubt() { s.layout.version = -1 }

// numbersOf returns the partitions' numbers.
func (l *layout) numbersOf() []int64 {
	numbers := make([]int64, len(l.parts))
	for i := range l.parts {
		numbers[i] = l.parts[i].number
	}
	return numbers
}

// find returns the index of the partition that holds id, -1 for none.
func (l *layout) find(id uint64) int {
	return sort.Search(len(l.parts), func(i int) bool { return uint64(l.parts[i].first) > id }) - 1
}

// keyLookup is one statement over a bounded number of partitions.
type keyLookup struct {
	text string
	args int
}

// maxTerms bounds the SELECTs that one statement joins; SQLite allows 500.
const maxTerms = 100

// lookups returns the statements that find a key in every partition.
func (l *layout) lookups() []keyLookup {
	if l.byKey != nil {
		return l.byKey
	}
	for from := 0; from < len(l.parts); from += maxTerms {
		parts := l.parts[from:min(from+maxTerms, len(l.parts))]
		terms := make([]string, len(parts))
		for i, p := range parts {
			terms[i] = expand(statement{
				text:      `SELECT ` + seal.JobColumns + ` FROM {{s}}jobs_{{n}} WHERE key_hash = ? AND key_hash <> 0`,
				partition: p.number,
			}, 0)
		}
		l.byKey = append(l.byKey, keyLookup{strings.Join(terms, " UNION ALL "), len(parts)})
	}
	return l.byKey
}

// selectByKeys finds as many keys in a partition as rowGroups says.
var selectByKeys = [len(rowGroups)]string{byKeys(rowGroups[0]), byKeys(rowGroups[1]), byKeys(rowGroups[2])}

func byKeys(n int) string {
	return `SELECT ` + seal.JobColumns + ` FROM {{s}}jobs_{{n}} WHERE key_hash IN ` + rowsOf(1, n) + ` AND key_hash <> 0`
}

// begins rounds a moment (Unix milliseconds) down to the beginning of a partition's span.
// It rises with time whatever the span was before, so that it may be another after each
// start.
func (db *database) begins(ms int64) int64 {
	past := ms % db.span
	if past < 0 {
		past += db.span
	}
	return ms - past
}
