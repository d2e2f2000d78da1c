package job

import (
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestFactorTexts(t *testing.T) {
	for text, want := range map[string]Factors{
		"none":                 {},
		"cpu=2":                {CPU: 2000},
		"cpu=2,memory=1.5":     {CPU: 2000, Memory: 1500},
		"memory=0.9,licence=3": {Memory: 900, Other: AmountsOf(map[string]int64{"licence": 3000})},
		"cpu=100,disk=0.1":     {CPU: 100_000, Other: AmountsOf(map[string]int64{"disk": 100})},
		"cpu=1.125":            {CPU: 1125},
	} {
		got, err := ParseFactors(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("factors %q are %+v, %v, and written as %q; want %+v", text, got, err, got, want)
		}
		b, err := json.Marshal(PoolPolicy{Overcommit: got})
		var again PoolPolicy
		if err == nil {
			err = json.Unmarshal(b, &again)
		}
		if err != nil || again.Overcommit != want {
			t.Errorf("factors %q as JSON are %s, and read as %+v, %v", text, b, again, err)
		}
	}
	for text, want := range map[string]string{"cpu=1": "none", "cpu=1.000,memory=1,licence=1": "none", "memory=2.500,cpu=3.0": "cpu=3,memory=2.5"} {
		if got, err := ParseFactors(text); err != nil || got.String() != want {
			t.Errorf("factors %q are %s, %v; want %s", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"":                         "want pairs such as cpu=2,memory=1.5, or none",
		"2":                        "want pairs such as cpu=2",
		"cpu=2,cpu=3":              "cpu stands there twice",
		"cpu=":                     "want pairs",
		"cpu=x":                    "cpu=x: want a number from 0.1 to 100",
		"cpu=-2":                   "cpu=-2: want a number",
		"cpu=0":                    "cpu=0: want a number",
		"cpu=0.099":                "cpu=0.099: want a number",
		"cpu=0.0009":               "cpu=0.0009: want a number",
		"cpu=1.0001":               "at most three decimal places",
		"cpu=100.001":              "cpu=100.001: want a number",
		"cpu=2e3":                  "cpu=2e3: want",
		"memory=1Gi":               "memory=1Gi: want",
		"gpu=2":                    "gpu=2: each of these devices is one attempt's alone",
		"Tape=2":                   `resource: name "Tape"`,
		"cpu=99999999999999999999": "want a number from 0.1 to 100",
	} {
		if got, err := ParseFactors(text); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("factors %q are %v, %v; want an error of one line with %q", text, got, err, want)
		}
	}
}

func TestCheckOfPoolPolicies(t *testing.T) {
	many := map[string]int64{}
	for i := range MaxResources + 1 {
		many["r"+string(rune('a'+i))] = 2000
	}
	for want, f := range map[string]Factors{
		"":                                     {CPU: 100_000, Memory: 100, Other: AmountsOf(map[string]int64{"licence": 2000})},
		"overcommit: cpu=100.001":              {CPU: 100_001},
		"overcommit: memory=0.099":             {Memory: 99},
		"overcommit: cpu=-1":                   {CPU: -1000},
		"overcommit: licence=0.001":            {Other: AmountsOf(map[string]int64{"licence": 1})},
		"overcommit: gpu=2":                    {Other: AmountsOf(map[string]int64{"gpu": 2000})},
		"overcommit: resource: name \"no no\"": {Other: AmountsOf(map[string]int64{"no no": 2000})},
		"overcommit: 17 resources":             {Other: AmountsOf(many)},
	} {
		p := PoolPolicy{Overcommit: f}
		if err := p.Check(); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v; want %q", f, err, want)
		}
	}
	p := PoolPolicy{Overcommit: Factors{CPU: 2000}}
	if got := (&PoolChange{}).Apply(p); got != p {
		t.Errorf("changed by nothing to %+v", got)
	}
	if got := (&PoolChange{Overcommit: &Factors{}}).Apply(p); got != (PoolPolicy{}) {
		t.Errorf("reset to %+v", got)
	}
}

// TestFactorsOfAmounts holds what there is to be given away against exact arithmetic.
func TestFactorsOfAmounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		amount, factor := rapid.Int64Range(0, MaxCount), rapid.SampledFrom([]int64{0, MinFactor, 333, 900, 1001, 1500, 2000, 99_999, MaxFactor})
		has := Resources{CPU: amount.Draw(t, "cpu"), Memory: amount.Draw(t, "memory")}
		f := Factors{CPU: factor.Draw(t, "cpu times"), Memory: factor.Draw(t, "memory times")}
		var ids Devices
		for _, name := range []string{"disk", "licence", "tape"} {
			has.Other = has.Other.Set(name, amount.Draw(t, name))
			f.Other = f.Other.Set(name, factor.Draw(t, name+" times"))
		}
		if rapid.Bool().Draw(t, "tapes have ids") {
			ids = ids.Set("tape", []string{"a", "b"})
		}
		want := func(n, factor int64) int64 {
			if factor == 0 {
				return n
			}
			exact := new(big.Int).Mul(big.NewInt(n), big.NewInt(factor))
			if exact.Div(exact, big.NewInt(1000)); exact.Cmp(big.NewInt(MaxCount)) > 0 {
				return MaxCount
			}
			return exact.Int64()
		}
		got := f.Besides(ids).Of(has)
		if got.CPU != want(has.CPU, f.CPU) || got.Memory != want(has.Memory, f.Memory) {
			t.Errorf("%s of %+v is %+v", f, has, got)
		}
		for _, name := range []string{"disk", "licence", "tape"} {
			n := want(has.Other.Get(name), f.Other.Get(name))
			if ids.Get(name) != nil {
				n = has.Other.Get(name)
			}
			if got.Other.Get(name) != n {
				t.Errorf("%s of %d %s is %d, want %d", f, has.Other.Get(name), name, got.Other.Get(name), n)
			}
		}
	})
}
