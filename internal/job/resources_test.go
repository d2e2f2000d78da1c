package job

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func res(cpu, memory int64, other map[string]int64) Resources {
	return Resources{CPU: cpu, Memory: memory, Other: AmountsOf(other)}
}

func TestFits(t *testing.T) {
	free := res(2000, 1<<30, map[string]int64{"gpu": 2, "licence": 3})
	for name, c := range map[string]struct {
		ask  Resources
		want bool
	}{
		"nothing":            {Resources{}, true},
		"all of it":          {free, true},
		"processors":         {res(2001, 0, nil), false},
		"memory":             {res(1, 1<<30+1, nil), false},
		"too many":           {res(1, 0, map[string]int64{"gpu": 3}), false},
		"one of two":         {res(1, 0, map[string]int64{"gpu": 1}), true},
		"what is not":        {res(1, 0, map[string]int64{"fpga": 1}), false},
		"one there, one not": {res(1, 0, map[string]int64{"gpu": 1, "tape": 1}), false},
	} {
		if got := c.ask.Fits(free); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	// Where more is given away than there is, nothing fits.
	for _, over := range []Resources{free.Minus(res(0, 0, map[string]int64{"gpu": 3})), free.Minus(res(2001, 0, nil)), free.Minus(res(0, 1<<31, nil))} {
		if (Resources{}).Fits(over) || res(1, 0, map[string]int64{"licence": 1}).Fits(over) {
			t.Errorf("with %+v left", over)
		}
	}
}

func TestTimes(t *testing.T) {
	if got, want := res(500, 10, map[string]int64{"gpu": 2}).Times(3), res(1500, 30, map[string]int64{"gpu": 6}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := res(1, 1, map[string]int64{"gpu": 2}).Times(0); got != (Resources{}) {
		t.Errorf("nothing is %+v", got)
	}
}

// amountsModel draws a map of amounts, of few names so that two of them share some.
func amountsModel() *rapid.Generator[map[string]int64] {
	return rapid.MapOf(rapid.SampledFrom([]string{"a", "a-b", "b", "disk", "gpu", "gpu2", "licence"}), rapid.Int64Range(-3, 3))
}

// TestAmounts holds the text to a map: equal amounts are equal texts, whatever made them.
func TestAmounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		model := amountsModel().Draw(t, "model")
		maps.DeleteFunc(model, func(_ string, n int64) bool { return n == 0 })
		var c Amounts
		for _, name := range rapid.Permutation(slices.Sorted(maps.Keys(model))).Draw(t, "order") {
			c = c.Set(name, rapid.Int64().Draw(t, "before")).Set(name, model[name])
		}
		if c != AmountsOf(model) || c.Len() != len(model) {
			t.Fatalf("%q of %v, want %q", c, model, AmountsOf(model))
		}
		var names []string
		for name, n := range c.All {
			if names = append(names, name); n != model[name] || c.Get(name) != n {
				t.Fatalf("%s is %d and %d, want %d", name, n, c.Get(name), model[name])
			}
		}
		if !slices.Equal(names, slices.Sorted(maps.Keys(model))) {
			t.Fatalf("names %v of %v", names, model)
		}
		if c.Get("none") != 0 || c.Set("none", 0) != c {
			t.Fatalf("%q has what nobody set", c)
		}
		for range c.All {
			break // which ends it
		}
	})
}

// TestSums: sums and differences are those of each name, in one form.
func TestSums(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := amountsModel().Draw(t, "a"), amountsModel().Draw(t, "b")
		sum := maps.Clone(a)
		for name, n := range b {
			sum[name] += n
		}
		ra, rb := res(5, 7, a), res(2, 3, b)
		if got, want := ra.Plus(rb), res(7, 10, sum); got != want {
			t.Fatalf("%v + %v = %+v, want %+v", a, b, got, want)
		}
		if ra.Plus(rb).Minus(rb) != ra || rb.Plus(ra) != ra.Plus(rb) || ra.Minus(ra) != (Resources{}) {
			t.Fatalf("%v and %v", a, b)
		}
		fits := true
		for _, name := range slices.Sorted(maps.Keys(a)) {
			fits = fits && (a[name] == 0 || a[name] <= b[name])
		}
		for _, name := range slices.Sorted(maps.Keys(b)) {
			fits = fits && b[name] >= 0
		}
		if got := ra.Fits(res(5, 7, b)); got != fits {
			t.Fatalf("%v fits %v: %v", a, b, got)
		}
	})
}

func TestParseAmount(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       int64
	}{
		{"disk", "10G", 10e9}, {"disk", "512Mi", 512 << 20}, {"bandwidth", "100M", 100e6}, {"bandwidth", "0", 0},
		{"gpu", "1", 1}, {"licence", "0", 0}, {"licence", "007", 7}, {"tape", "1152921504606846976", MaxCount}, {"disk", "1024Pi", MaxCount},
	} {
		got, err := ParseAmount(c.name, c.text)
		if err != nil || got != c.want {
			t.Errorf("%s %q is %d, %v; want %d", c.name, c.text, got, err, c.want)
			continue
		}
		if again, err := ParseAmount(c.name, FormatAmount(c.name, got)); err != nil || again != got {
			t.Errorf("%s %d is written as %s, which is %d, %v", c.name, got, FormatAmount(c.name, got), again, err)
		}
	}
	for _, c := range []struct{ name, text, says string }{
		{"disk", "ten", `want a size such as 10G`},
		{"disk", "-1", `want a size such as 10G`},
		{"disk", "1025Pi", `want a size such as 10G, at most 1024Pi`},
		{"bandwidth", "fast", `want bits per second such as 100M or 1G`},
		{"gpu", "0.5", `want a whole number such as 2`},
		{"gpu", "-1", `want a whole number such as 2`},
		{"gpu", "+1", `want a whole number such as 2`},
		{"gpu", "", `want a whole number such as 2`},
		{"gpu", "4G", `want a whole number such as 2`},
		{"licence", "1152921504606846977", `want a whole number such as 2, at most 1152921504606846976`},
		{"licence", "99999999999999999999", `want a whole number such as 2, at most 1152921504606846976`},
	} {
		if n, err := ParseAmount(c.name, c.text); err == nil || err.Error() != c.says || n != 0 {
			t.Errorf("%s %q is %d, %v; want the error %s", c.name, c.text, n, err, c.says)
		}
	}
}

func TestText(t *testing.T) {
	for want, c := range map[string]map[string]int64{"": nil, "gpu 1": {"gpu": 1}, "bandwidth 100M, disk 1536Mi, licence 3": {"licence": 3, "disk": 3 << 29, "bandwidth": 1e8}} {
		if got := AmountsOf(c).Text(); got != want {
			t.Errorf("%v is %q, want %q", c, got, want)
		}
	}
}

func TestCheckResource(t *testing.T) {
	for _, name := range []string{"gpu", "disk", "licence", "a-b", "x1"} {
		if err := CheckResource(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, says := range map[string]string{
		"cpu": "has a place of its own", "memory": "has a place of its own", "": "is empty", "GPU": "small letters", "a=b": "small letters",
		"a\nb": "small letters", "all": "reserved", strings.Repeat("a", 64): "64 characters",
	} {
		if err := CheckResource(name); err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v; want an error on one line that says %s", name, err, says)
		}
	}
}

func TestResourcesJSON(t *testing.T) {
	for want, r := range map[string]Resources{
		`{"cpu":"0"}`:                    {},
		`{"cpu":"0.5","memory":"512Mi"}`: res(500, 512<<20, nil),
		`{"bandwidth":"100M","cpu":"2","disk":"10G","gpu":"1","licence":"3","memory":"4G"}`: res(2000, 4e9, map[string]int64{
			"bandwidth": 100e6, "disk": 10e9, "gpu": 1, "licence": 3,
		}),
	} {
		b, err := json.Marshal(r)
		if err != nil || string(b) != want {
			t.Errorf("%+v is written as %s, %v; want %s", r, b, err, want)
		}
		again := res(7, 7, map[string]int64{"seven": 7}) // of which nothing must stay
		if err := json.Unmarshal(b, &again); err != nil || again != r {
			t.Errorf("%s is read as %+v, %v", b, again, err)
		}
	}
	for text, says := range map[string]string{
		`{}`: "cpu", `{"cpu":"x"}`: `cpu "x"`, `{"cpu":1}`: "number", `[]`: "array", `{"cpu":"1","memory":"x"}`: `size "x"`,
		`{"cpu":"1","gpu":"x"}`: `gpu "x"`, `{"cpu":"1","G P":"1"}`: "small letters",
	} {
		var r Resources
		if err := json.Unmarshal([]byte(text), &r); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s is read as %+v, %v; want an error that says %s", text, r, err, says)
		}
	}
}

// FuzzResources: whatever is read is written in one form, which is read as the same.
func FuzzResources(f *testing.F) {
	for _, seed := range []string{
		`{"cpu":"0.5","gpu":"1","memory":"512Mi"}`, `{"cpu":"500m","disk":"1.5Gi","bandwidth":"100M","a-b":"0"}`, `{"cpu":"1","gpu":"1","gpu":"2"}`, `null`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var r, again Resources
		if json.Unmarshal(text, &r) != nil {
			return
		}
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, &again); err != nil || again != r {
			t.Fatalf("%s is %+v, which is written as %s and read as %+v, %v", text, r, b, again, err)
		}
		for name, n := range r.Other.All {
			if CheckResource(name) != nil || n <= 0 || n > MaxCount {
				t.Fatalf("%s has %d of %q", text, n, name)
			}
		}
	})
}

// BenchmarkResources is what each assignment costs beside the rest, with and without others.
func BenchmarkResources(b *testing.B) {
	for name, r := range map[string]Resources{
		"plain": res(1000, 1<<30, nil), "others": res(1000, 1<<30, map[string]int64{"gpu": 1, "licence": 2}),
	} {
		b.Run(name, func(b *testing.B) {
			capacity := r.Times(8)
			var used Resources
			b.ReportAllocs()
			for b.Loop() {
				if !r.Fits(capacity.Minus(used)) {
					b.Fatal("no room")
				}
				used = used.Plus(r).Minus(r)
			}
		})
	}
}
