package demo

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"go/scanner"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// tally is how often each identifier occurs.
type tally map[string]int64

// countFiles counts the identifiers of files below root.
func countFiles(ctx context.Context, root string, files []file) (tally, error) {
	t := tally{}
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		src, err := os.ReadFile(filepath.Join(root, f.path))
		if err != nil {
			return nil, err
		}
		t.count(src)
	}
	return t, nil
}

// count adds the identifiers of one file. Text that is no Go is no error: what the
// scanner takes for an identifier counts.
func (t tally) count(src []byte) {
	set := token.NewFileSet()
	var s scanner.Scanner
	s.Init(set.AddFile("", -1, len(src)), src, nil, 0)
	for {
		switch _, tok, text := s.Scan(); tok {
		case token.IDENT:
			t[text]++
		case token.EOF:
			return
		}
	}
}

func (t tally) add(other tally) {
	for name, n := range other {
		t[name] += n
	}
}

func (t tally) total() (sum int64) {
	for _, n := range t {
		sum += n
	}
	return sum
}

// write writes lines of identifier, tab, count, sorted by identifier.
func (t tally) write(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	for _, name := range slices.Sorted(maps.Keys(t)) {
		fmt.Fprintf(w, "%s\t%d\n", name, t[name]) // the writer keeps its first error for Flush
	}
	return errors.Join(w.Flush(), f.Close())
}

// readTally reads what write wrote.
func readTally(path string) (tally, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	t := tally{}
	s := bufio.NewScanner(f)
	s.Buffer(nil, maxFile) // one identifier may be a whole file
	for s.Scan() {
		name, count, _ := strings.Cut(s.Text(), "\t")
		n, err := strconv.ParseInt(count, 10, 64)
		if err != nil || name == "" {
			return nil, fmt.Errorf("%s:%d: %q: want an identifier and its count", path, len(t)+1, s.Text())
		}
		t[name] = n
	}
	return t, s.Err()
}

// differences says where two tallies differ, in short; "" if nowhere.
func (t tally) differences(other tally) string {
	names := map[string]bool{}
	for name, n := range t {
		names[name] = other[name] != n
	}
	for name, n := range other {
		names[name] = t[name] != n
	}
	maps.DeleteFunc(names, func(_ string, differs bool) bool { return !differs })
	if len(names) == 0 {
		return ""
	}
	const show = 3
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if len(parts) == show {
			parts = append(parts, "…")
			break
		}
		parts = append(parts, fmt.Sprintf("%s %d and %d", name, t[name], other[name]))
	}
	return fmt.Sprintf("%d of the identifiers: %s", len(names), strings.Join(parts, ", "))
}

// table shows the most frequent identifiers, those of one count by name.
func (t tally) table(rows int) string {
	names := slices.SortedFunc(maps.Keys(t), func(a, b string) int {
		return cmp.Or(cmp.Compare(t[b], t[a]), cmp.Compare(a, b))
	})
	names = names[:min(rows, len(names))]
	wide := 0
	for _, name := range names {
		wide = max(wide, len([]rune(name)))
	}
	all := max(t.total(), 1)
	var b strings.Builder
	for i, name := range names {
		fmt.Fprintf(&b, "%4d  %-*s %12s %5.1f %%\n", i+1, wide, name, grouped(t[name]), 100*float64(t[name])/float64(all))
	}
	return b.String()
}

// grouped writes a number with commas between its thousands.
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	head := len(s) % 3
	if head == 0 {
		head = min(3, len(s))
	}
	var b strings.Builder
	b.WriteString(s[:head])
	for i := head; i < len(s); i += 3 {
		b.WriteByte(',')
		b.WriteString(s[i : i+3])
	}
	return b.String()
}

// megabytes writes a size for people.
func megabytes(n int64) string {
	const mega = 1_000_000
	if n < mega {
		return fmt.Sprintf("%.1f kB", float64(n)/1000)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/mega)
}
