package tidy

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestLawIsWritten compares the table of rooms with the one people read.
func TestLawIsWritten(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	var written []string
	row := regexp.MustCompile("(?m)^\\| (\\d+) \\| `([^`]+)` \\|( pure)? \\| (.+) \\|$")
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		written = append(written, strings.Join([]string{m[1], m[2], strings.TrimSpace(m[3]), m[4]}, " | "))
	}
	var law []string
	for _, r := range rooms() {
		pure := ""
		if r.pure {
			pure = "pure"
		}
		law = append(law, strings.Join([]string{strconv.Itoa(r.floor), r.dir, pure, r.says}, " | "))
	}
	if diff := cmp.Diff(law, written); diff != "" {
		t.Errorf("rooms() and the table in ARCHITECTURE.md differ (-law +document):\n%s\nwhy: the document is what people build by", diff)
	}
}

// TestLawIsSound checks the law itself: it names each room once, and its exceptions make sense.
func TestLawIsSound(t *testing.T) {
	floor := map[string]int{}
	for _, r := range rooms() {
		if _, twice := floor[r.dir]; twice {
			t.Errorf("%s stands in the law twice", r.dir)
		}
		if r.says == "" {
			t.Errorf("%s has no responsibility", r.dir)
		}
		floor[r.dir] = r.floor
	}
	for edge, reason := range sideways() {
		from, known := floor[edge[0]]
		to, alsoKnown := floor[edge[1]]
		if !known || !alsoKnown || from != to {
			t.Errorf("sideways %s -> %s: both must be rooms on one floor", edge[0], edge[1])
		}
		if sideways()[[2]string{edge[1], edge[0]}] != "" {
			t.Errorf("sideways %s <-> %s goes both ways", edge[0], edge[1])
		}
		if len(strings.Fields(reason)) < 3 {
			t.Errorf("sideways %s -> %s has no reason", edge[0], edge[1])
		}
	}
	for _, b := range bans() {
		if len(strings.Fields(b.reason)) < 3 {
			t.Errorf("the ban of %s has no reason", b.prefix)
		}
		for _, dir := range b.except {
			if _, known := floor[strings.TrimSuffix(dir, "/...")]; !known && dir != "gen/..." {
				t.Errorf("the ban of %s lets in %s, which is not a room", b.prefix, dir)
			}
		}
	}
}

func TestBanCovers(t *testing.T) {
	for _, c := range []struct {
		prefix, path string
		want         bool
	}{
		{"database/sql", "database/sql/driver", true},
		{"database/sql", "database/sqlx", false},
		{"log", "log", true},
		{"log", "log/slog", false},
		{"math/rand", "math/rand/v2", false},
	} {
		if got := (ban{prefix: c.prefix}).covers(c.path); got != c.want {
			t.Errorf("the ban of %s covers %s: %v, want %v", c.prefix, c.path, got, c.want)
		}
	}
}
