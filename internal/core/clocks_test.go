package core

import "testing"

// TestWorkersClocks has workers whose clocks are wrong tell when an attempt ran, which was
// assigned at 1000, in what is decided at 2000.
func TestWorkersClocks(t *testing.T) {
	a := &attempt{assigned: 1000}
	for name, test := range map[string]struct{ started, ended, wantStarted, wantEnded int64 }{
		"right":                       {1200, 1700, 1200, 1700},
		"a little ahead":              {1900, 2100, 1800, 2000},
		"an hour ahead":               {3_601_200, 3_601_700, 1500, 2000},
		"a little behind":             {900, 1400, 1000, 1500},
		"a year behind":               {-1_000_000, -999_500, 1000, 1500},
		"set forward while it ran":    {1200, 90_000, 1000, 2000},
		"set back while it ran":       {1200, 300, 1200, 1200},
		"ahead, started":              {5000, 0, 2000, 0},
		"behind, started":             {10, 0, 1000, 0},
		"unknown":                     {0, 0, 0, 0},
		"behind, and did not start":   {0, 5, 0, 1000},
		"ahead, and did not start":    {0, 5000, 0, 2000},
		"ran longer than is possible": {1, 5000, 1000, 2000},
	} {
		if s, e := a.during(2000, test.started, test.ended); s != test.wantStarted || e != test.wantEnded {
			t.Errorf("%s: %d to %d becomes %d to %d, want %d to %d", name, test.started, test.ended, s, e, test.wantStarted, test.wantEnded)
		}
	}
	late := &attempt{assigned: 2500} // by the leader before, whose clock was ahead
	if s, e := late.during(2000, 1800, 1900); s != 2000 || e != 2000 {
		t.Errorf("what was assigned later than now ran from %d to %d, want 2000", s, e)
	}
}
