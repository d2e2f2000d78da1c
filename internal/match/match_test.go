package match

import (
	"fmt"
	"strings"
	"testing"
)

var worker = Worker{Name: "w1", Labels: []string{"gen=3", "gpu", "gpu/model=a100", "load=NaN", "pool=owned-eu", "price=0.25", "spot=true", "zone=eu-1"}}

// TestWhere: what entries say of one worker, and why they say nothing.
func TestWhere(t *testing.T) {
	const example = `want a label such as gpu or zone=b, or an expression in CEL such as labels.zone in ["eu-1", "eu-2"]`
	for _, c := range []struct {
		entry  string
		want   bool
		reason string
	}{
		{"gpu", true, ""},
		{"zone", true, ""},
		{"zone=eu-1", true, ""},
		{"zone=eu", false, ""},
		{"gpu=", true, ""},
		{"gp", false, ""},
		{"zone=", false, ""},
		{`labels.zone in ["eu-1", "eu-2"] && int(labels.gen) >= 3`, true, ""},
		{`labels.zone == "eu"`, false, ""},
		{`labels["gpu/model"].matches("^a[0-9]+$")`, true, ""},
		{`labels.zone.startsWith("eu-") && !labels.zone.endsWith("2") && labels.zone.contains("-")`, true, ""},
		{`labels.gpu == ""`, true, ""},
		{`name == "w1" && pool == "owned-eu" && labels.pool == pool`, true, ""},
		{`has(labels.spot) && "spot" in labels && !("x" in labels)`, true, ""},
		{`size(labels) == 8`, true, ""},
		{`double(labels.price) < 1`, true, ""},
		{`1.0 < 2 && 0.5 * 2.0 == 1.0 && 7 % 4 == 3 && string(7 / 2) == "3"`, true, ""},
		{`{"eu-1": 1, "us": 2}[labels.zone] == 1`, true, ""},
		{`labels[name + "x"] == ""`, false, "no label w1x"},
		{`labels.rack == "a"`, false, "no label rack"},
		{`!(labels.rack == "a")`, false, "no label rack"},
		{`labels.rack == "a" || labels.zone == "eu-1"`, true, ""},
		{`labels.rack == "a" && labels.zone == "eu"`, false, ""},
		{`has(labels.rack) ? labels.rack == "a" : true`, true, ""},
		{`int(labels.zone) > 1`, false, "type conversion error from 'string' to 'int'"},
		{`int(labels.gen) / 0 == 1`, false, "division by zero"},
		{`int(labels.gen) + 9223372036854775807 > 0`, false, "integer overflow"},
		{`name.matches(labels.zone + "(")`, false, "error parsing regexp: missing closing ): `eu-1(`"},
		{`labels.zone.moon(3)`, false, "is no expression: undeclared reference to 'moon' (at its character 17); there are has, size, contains, startsWith, endsWith, matches, int, double, string and bool"},
		{`labels.zone ==`, false, "is no expression: it ends too early (at its character 15); " + example},
		{`labels.zone == "eu" "us"`, false, `is no expression: '"us"' is not expected (at its character 21); ` + example},
		{`(labels.zone == "eu"`, false, "is no expression: ')' is missing (at its character 21); " + example},
		{`cheapest`, false, ""},
	} {
		var b Book
		for range 2 { // the second time it is known
			if e := b.Where(c.entry); e.Holds(&worker) != c.want || e.Reason(&worker) != c.reason {
				t.Errorf("%s: %v, %q; want %v, %q", c.entry, e.Holds(&worker), e.Reason(&worker), c.want, c.reason)
			}
		}
	}
}

// TestPrefer: what entries are worth on one worker.
func TestPrefer(t *testing.T) {
	for _, c := range []struct {
		entry        string
		weight, want int64
	}{
		{"gpu", 1, 1_000_000},
		{"zone=eu", 5, 0},
		{`labels.spot == "true"`, 3, 3_000_000},
		{`labels.spot == "true"`, -3, -3_000_000},
		{`labels.rack == "a"`, 3, 0},
		{Cheapest, 1, -250_000},
		{Cheapest, 4, -1_000_000},
		{`-double(labels.price)`, 1, -250_000},
		{`double(labels.price) / 3.0`, 1, 83_333},
		{`int(labels.gen)`, 2, 6_000_000},
		{`int(labels.gen)`, 0, 0},
		{`int(labels.rack)`, 1, noPoints},
		{`int(labels.rack)`, -7, noPoints},
		{`double(labels.load)`, 1, noPoints},
		{`double("inf")`, 1, maxPoints},
		{`-double("inf")`, 1000, -maxPoints / 1000 * 1000},
		{`9223372036854775807 + 0`, 1000, maxPoints / 1000 * 1000},
		{`labels.moon(3)`, 1, 0},
	} {
		var b Book
		for range 2 {
			if got := b.Prefer(c.entry).Points(&worker, c.weight); got != c.want {
				t.Errorf("%s times %d: %d, want %d", c.entry, c.weight, got, c.want)
			}
		}
	}
	if MaxEntries*maxPoints >= -noPoints || MaxEntries*noPoints > 0 {
		t.Error("the sum of all points is not exact, or outweighs a number that is missing")
	}
}

// TestEvaluatedOnce: workers that are alike in what an expression looks at cost one evaluation,
// and of many that are not none is kept.
func TestEvaluatedOnce(t *testing.T) {
	for _, c := range []struct {
		entry string
		known int
	}{
		{`labels.zone in ["z0", "z1"]`, 4},
		{`labels.zone == "z1" && int(labels["gen"]) > 2 && !("x" in labels)`, 8},
		{`pool == "a" || has(labels.zone)`, 4},
		{`labels.host == "h1"`, 0},
		{`name == "h1"`, 0},
		{`size(labels) == 5`, 0},
		{`labels == {"zone": "z1"}`, 0},
		{`[labels][0].zone == "z1"`, 0},
		{`1 < 2`, 1},
	} {
		var b Book
		e := b.Where(c.entry)
		for i := range 2000 {
			name := fmt.Sprint("h", i)
			w := Worker{Name: name, Labels: []string{fmt.Sprint("gen=", i/4%2), "host=" + name, "pool=a", fmt.Sprint("zone=z", i%4)}}
			var fresh Book
			if got, want := e.Holds(&w), fresh.Where(c.entry).Holds(&w); got != want {
				t.Fatalf("%s on %s: %v, want %v", c.entry, name, got, want)
			}
			if len(e.expr.known) > maxMemo {
				t.Fatalf("%s: %d values are kept", c.entry, len(e.expr.known))
			}
		}
		if got := len(e.expr.known); got != c.known {
			t.Errorf("%s: %d values are kept, want %d", c.entry, got, c.known)
		}
	}
}

// TestTooDear: what takes too long to work out is not true, and says so.
func TestTooDear(t *testing.T) {
	var b Book
	e := b.Where(strings.Repeat(`(name + name).matches("(x|y|zz)*w(x|y|zz)+") || `, 18) + `true`)
	short, long := worker, worker
	long.Name = strings.Repeat("w", 60)
	if !e.Holds(&short) || e.Holds(&long) || e.Reason(&long) != "it takes too long to work out" {
		t.Errorf("%v, %v, %q", e.Holds(&short), e.Holds(&long), e.Reason(&long))
	}
}

// TestBookIsBounded: a book that is full begins anew, and what it gave out stays good.
func TestBookIsBounded(t *testing.T) {
	var b Book
	first := b.Where(`labels.zone == "eu-1"`)
	if b.Where(`labels.zone == "eu-1"`) != first {
		t.Error("the same entry is read twice")
	}
	for i := range maxEntries + 1 {
		b.Where(fmt.Sprint("label=", i))
	}
	if len(b.entries) > maxEntries || !first.Holds(&worker) {
		t.Errorf("%d entries are kept; the first holds: %v", len(b.entries), first.Holds(&worker))
	}
}

// FuzzEntry: whatever stands in an entry, it is refused in one line or says the same of a worker
// each time.
func FuzzEntry(f *testing.F) {
	for _, s := range []string{
		"gpu", "zone=eu", `labels.zone in ["eu-1"]`, `int(labels.gen) >= 3`, `name.matches("(")`, `has(labels.x)`, "a\nb", "((((1", `labels.zone == 'eu`,
		`1 / 0 == 1`, `[1, "a"][0]`, `{1: 2}`, `b"x" == b"y"`, `1u < 2u`, `null == null`, `"\u00e9" == "é"`, `labels.a.b`, `.labels.zone == "x"`, `cheapest`,
		`r"a" == 'a' // c`, `a.b{c: 1}`, `-double(labels.price)`, `"""x"""`, `true ? 1 : 2`, `labels[?"a"]`, "\xff", `size(labels) % 0 == 1`, `google.protobuf.Duration{}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var r Reader
		for _, err := range []error{r.Condition(text), r.Measure(text)} {
			if err != nil && (strings.ContainsAny(err.Error(), "\n\r") || len(err.Error()) > 1000) {
				t.Fatalf("not one line: %q", err)
			}
		}
		var b Book
		e := b.Where(text)
		holds, points, reason := e.Holds(&worker), e.Points(&worker, 3), e.Reason(&worker)
		other := Worker{Name: "w2"}
		e.Holds(&other)
		var again Book
		if f := again.Where(text); f.Holds(&worker) != holds || f.Points(&worker, 3) != points || f.Reason(&worker) != reason {
			t.Fatalf("%q: %v, %d, %q the first time, and then something else", text, holds, points, reason)
		}
		if strings.Contains(reason, "\n") || points > 3*maxPoints || points < noPoints {
			t.Fatalf("%q: %d, %q", text, points, reason)
		}
	})
}
