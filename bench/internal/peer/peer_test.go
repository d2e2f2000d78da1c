package peer

import (
	"os"
	"strings"
	"testing"
)

func TestPayload(t *testing.T) {
	a, b := Payload(7, 300), Payload(8, 300)
	if len(a) != 300 || len(b) != 300 || a == b {
		t.Errorf("payloads %q and %q", a, b)
	}
}

func TestLimits(t *testing.T) {
	for _, s := range StarterLimits() {
		dir := t.TempDir()
		// What runs leaves a mark, and files of output are gone afterwards.
		mark := t.TempDir() + "/mark"
		q, err := s.Start(&Site{Context: t.Context(), Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if err := q.Run(5, []string{"sh", "-c", "echo x; echo y >>" + mark}, true); err != nil {
			t.Errorf("%s: %v", s.Name, err)
		}
		text, err := os.ReadFile(mark)
		if strings.Count(string(text), "y\n") != 5 || err != nil {
			t.Errorf("%s ran %q, %v; want 5", s.Name, text, err)
		}
		if err := q.Run(1, []string{"false"}, false); err == nil {
			t.Errorf("%s: a process that fails is no error", s.Name)
		}
		left, err := os.ReadDir(dir)
		if len(left) != 0 || err != nil {
			t.Errorf("%s leaves %v, %v", s.Name, left, err)
		}
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestFreePorts(t *testing.T) {
	one, other, err := freePorts(t.Context())
	if one == 0 || other == 0 || one == other || err != nil {
		t.Errorf("ports %d and %d, %v", one, other, err)
	}
}

func TestLast(t *testing.T) {
	for _, c := range []struct {
		j    riverJob
		want bool
	}{
		{riverJob{What: Chain, Step: 0, Steps: 3}, false},
		{riverJob{What: Chain, Step: 2, Steps: 3}, true},
		{riverJob{What: Fan, Step: 3, Steps: 3}, false},
		{riverJob{What: Fan, Step: 4, Steps: 3}, true},
		{riverJob{}, false},
	} {
		if got := c.j.isLast(); got != c.want {
			t.Errorf("%+v is the last: %t", c.j, got)
		}
	}
}
