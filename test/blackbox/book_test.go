package blackbox

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// book is a file that jobs append to. Its order is the order in which things
// happened, whatever Reeve says.
type book struct{ path string }

// mark is a line of a book.
type mark struct {
	// Verb is begin, tick, end for a success, or fail for an exit with another code.
	Verb string
	// Job, Task and Index are the element.
	Job, Task string
	Index     int
	Attempt   int
	Fence     uint64
	Boot      string
	// Up is the machine's seconds since it started, a clock that only runs forwards.
	Up     float64
	PID    int
	Worker string
}

func (m *mark) element() string { return fmt.Sprintf("%s.%s.%d", m.Job, m.Task, m.Index) }

// bookShell defines the function with which jobs write to a book. One short line is
// one write, and a write at the end of a file is atomic.
const bookShell = `mark() { up=0; if [ -r /proc/uptime ]; then read -r up _ < /proc/uptime; fi
printf '%s %s %s %s %s %s %s %s %s %s\n' "$1" "$REEVE_JOB_ID" "$REEVE_TASK" "${REEVE_ARRAY_INDEX:-0}" "$REEVE_ATTEMPT" "$REEVE_FENCE" "$BOOT" "$up" $$ "$REEVE_WORKER" >> "$BOOK"; }
`

// env is what a job needs to write here.
func (b book) env() map[string]string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		boot = []byte("unknown")
	}
	return map[string]string{"BOOK": b.path, "BOOT": strings.TrimSpace(string(boot))}
}

// uptime is the clock of a book's lines; 0 where there is none.
func uptime() float64 {
	text, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(text), " ")
	up, _ := strconv.ParseFloat(first, 64)
	return up
}

func (b book) size() int64 {
	info, err := os.Stat(b.path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// read returns the lines so far.
func (b book) read(t *testing.T) []mark {
	t.Helper()
	f, err := os.Open(b.path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []mark
	lines := bufio.NewScanner(f)
	for at := 0; lines.Scan(); at += len(lines.Bytes()) + 1 {
		m, err := parseMark(lines.Text())
		if err != nil {
			m, err = parseTorn(lines.Text(), at, err)
		}
		if err != nil {
			t.Fatalf("line %d of the book, %q: %v", len(all)+1, lines.Text(), err)
		}
		all = append(all, m)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// parseTorn reads a line, at an offset of its file, that stands behind half a line of another
// process: one that is killed while it writes stops at the end of a page. err is why it is no line.
func parseTorn(line string, at int, err error) (mark, error) {
	const page = 4096
	if cut := page - at%page; cut < len(line) {
		return parseMark(line[cut:])
	}
	return mark{}, err
}

func parseMark(line string) (m mark, err error) {
	f := strings.Fields(line)
	if len(f) != 10 {
		return m, fmt.Errorf("%d words, want 10", len(f))
	}
	number := func(s string) int {
		n, e := strconv.Atoi(s)
		if e != nil && err == nil {
			err = e
		}
		return n
	}
	m = mark{Verb: f[0], Job: f[1], Task: f[2], Index: number(f[3]), Attempt: number(f[4]), Boot: f[6], PID: number(f[8]), Worker: f[9]}
	if m.Fence, err = strconv.ParseUint(f[5], 10, 64); err != nil {
		return m, err
	}
	m.Up, err = strconv.ParseFloat(f[7], 64)
	return m, err
}

// TestTornLine reads a book in which a writer was killed at the end of a page.
func TestTornLine(t *testing.T) {
	t.Parallel()
	const line = "begin 7 main 0 1 26 boot 21635.91 5840 w2\n"
	var text strings.Builder
	for text.Len()+len(line) < 4096 {
		text.WriteString(line)
	}
	whole := text.Len() / len(line)
	text.WriteString(line[:4096-text.Len()])
	text.WriteString(line + line)
	b := book{mustWrite(t, t.TempDir()+"/book", text.String())}
	if got := len(b.read(t)); got != whole+2 {
		t.Errorf("%d lines, want %d", got, whole+2)
	}
	if _, err := parseTorn("be"+line, 0, fmt.Errorf("no line")); err == nil {
		t.Error("half a line in the midst of a page is taken for one")
	}
}
