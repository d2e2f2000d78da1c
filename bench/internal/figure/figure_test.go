package figure

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	ours  = Row{Workload: "W1", Case: "both", Kind: Reeve, System: "Reeve", Durability: Durable}
	share = Row{Workload: "W1", Case: "both", Kind: Reeve, System: "Reeve, shared", Durability: Durable}
	river = Row{Workload: "W1", Case: "both", Kind: Peer, System: "River", Durability: Durable}
	graph = Row{Workload: "W1", Case: "both", Kind: Peer, System: "Graph", Durability: Durable}
	quick = Row{Workload: "W1", Case: "both", Kind: Peer, System: "Quick", Durability: "1 s"}
	disk  = Row{Workload: "W1", Case: "both", Kind: Limit, System: "disk"}
	other = Row{Workload: "W1", Case: "submit", Kind: Reeve, System: "Reeve", Durability: Durable}
	late  = Row{Workload: "W3", Kind: Reeve, System: "Reeve", Durability: Durable}
	later = Row{Workload: "W3", Kind: Peer, System: "A & B", Durability: Durable}
)

func example() *Set {
	s := &Set{}
	for _, v := range []float64{50_000, 51_000, 49_000} {
		s.Add(ours, "throughput", "jobs/s", v)
	}
	s.Cost(ours, "CPU", "µs/job", 34.56)
	s.Cost(ours, "memory", "MiB", 0.03)
	s.Cost(river, "CPU", "µs/job", 88)
	s.Cost(river, "database", "µs/job", 60)
	s.Add(share, "throughput", "jobs/s", 40_000)
	s.Add(other, "throughput", "jobs/s", 200_000)
	s.Add(river, "throughput", "jobs/s", 20_000)
	s.Add(graph, "throughput", "jobs/s", 25_000)
	s.Add(quick, "throughput", "jobs/s", 60_000)
	s.Add(disk, "throughput", "jobs/s", 150_000)
	s.Add(late, "p50", "ms", 0.5)
	s.Add(later, "p50", "ms", 2.25)
	s.Miss("W1", "Slow", "it\n is not there")
	s.Miss("W1", "Slow", "again")
	return s
}

func TestRatios(t *testing.T) {
	s := example()
	want := []Ratio{
		{river, "Reeve", "throughput", 2.5, false}, {graph, "Reeve", "throughput", 2, true},
		{quick, "Reeve", "throughput", 50_000.0 / 60_000, false}, {disk, "Reeve", "throughput", 1.0 / 3, false},
		{river, "Reeve, shared", "throughput", 2, false}, {graph, "Reeve, shared", "throughput", 1.6, true},
		{quick, "Reeve, shared", "throughput", 40_000.0 / 60_000, false}, {disk, "Reeve, shared", "throughput", 40.0 / 150, false},
	}
	if d := cmp.Diff(want, s.Ratios("W1")); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	// Of times the shorter is better.
	if d := cmp.Diff([]Ratio{{later, "Reeve", "p50", 4.5, true}}, s.Ratios("W3")); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

func TestMarkdown(t *testing.T) {
	var out strings.Builder
	example().Markdown(&out, "W1")
	want := `
| what   | system            | durable | throughput, jobs/s      | Reeve is | Reeve, shared is |
|--------|-------------------|---------|-------------------------|----------|------------------|
| both   | **Reeve**         | D2      | 50,000 [49,000..51,000] |          |                  |
| both   | **Reeve, shared** | D2      | 40,000                  |          |                  |
| both   | River             | D2      | 20,000                  | 2.50 ×   | 2.00 ×           |
| both   | Graph             | D2      | 25,000                  | 2.00 ×   | 1.60 ×           |
| both   | Quick             | 1 s     | 60,000                  | 0.83 ×   | 0.67 ×           |
| both   | *disk*            |         | 150,000                 | 0.33 ×   | 0.27 ×           |
| submit | **Reeve**         | D2      | 200,000                 |          |                  |

| what | system    | durable | CPU, µs/job | database, µs/job | memory, MiB |
|------|-----------|---------|-------------|------------------|-------------|
| both | **Reeve** | D2      | 34.6        |                  | 0.03        |
| both | River     | D2      | 88.0        | 60.0             |             |

Slow: not measured: it is not there.
`
	if d := cmp.Diff(want, out.String()); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

func TestBest(t *testing.T) {
	var out strings.Builder
	example().Best(&out)
	want := `
|    | what | in         |               | is     | the best peer that is as durable |
|----|------|------------|---------------|--------|----------------------------------|
| W1 | both | throughput | Reeve         | 2.00 × | Graph                            |
| W1 | both | throughput | Reeve, shared | 1.60 × | Graph                            |
| W3 |      | p50        | Reeve         | 4.50 × | A & B                            |
`
	if d := cmp.Diff(want, out.String()); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

func TestShort(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0.00", 0.000123: "0.00012", 0.0312: "0.031", 0.1: "0.10", 1.234: "1.23", 12.34: "12.3", 99.96: "100", 999: "999", 1234567.8: "1,234,568",
	} {
		if got := short(v); got != want {
			t.Errorf("%g is spelled %s, want %s", v, got, want)
		}
	}
	if got := spell(0.126, "share"); got != "13 %" {
		t.Errorf("a share is spelled %q", got)
	}
}

func TestJSON(t *testing.T) {
	text, err := example().JSON(Run{Began: time.Unix(0, 0).UTC(), Took: 90 * time.Second, Version: "v1", Machine: "m", Runs: 3, Scale: 1})
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Format  int
		Took    int `json:"took_seconds"`
		Figures []struct {
			Workload, Case, Kind, System, Durability, Metric, Unit string
			Runs                                                   []float64
			Median, Least, Most                                    float64
		}
		Ratios []struct {
			System string
			Times  float64
			Best   bool `json:"best_durable_peer"`
		}
		Missing []Missing `json:"not_measured"`
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	f := got.Figures[0]
	if got.Format != 1 || got.Took != 90 || f.System != "Reeve" || f.Median != 50_000 || f.Least != 49_000 || f.Most != 51_000 || len(f.Runs) != 3 {
		t.Errorf("%s", text)
	}
	if len(got.Ratios) != 9 || !got.Ratios[1].Best || got.Ratios[2].Times != 0.83333 {
		t.Errorf("ratios %+v", got.Ratios)
	}
	if d := cmp.Diff([]Missing{{"W1", "Slow", "it is not there"}}, got.Missing); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

func TestChart(t *testing.T) {
	chart := string(example().Chart([]Panel{
		{Title: "More", Workload: "W1", Case: "both", Metric: "throughput"},
		{Title: "Less", Workload: "W3", Metric: "p50"},
		{Title: "Nothing", Workload: "W9"},
	}))
	d := xml.NewDecoder(strings.NewReader(chart))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%v in\n%s", err, chart)
		}
	}
	last := -1
	for _, want := range []string{"More", "disk<", "Quick (1 s)", "Reeve (D2)", "Graph (D2)", "River (D2)", "Less", "Reeve (D2)", "0.50 ms", "A &amp; B (D2)", "2.25 ms"} {
		at := strings.Index(chart[last+1:], want)
		if at < 0 {
			t.Fatalf("no %q after the %d first bytes of\n%s", want, last, chart)
		}
		last += at + 1
	}
	if n := strings.Count(chart, " →<"); n != 1 {
		t.Errorf("%d bars end before what they show, want the limit's", n)
	}
	if strings.Contains(chart, "Nothing") {
		t.Error("a panel without figures is drawn")
	}
}

func TestQuantile(t *testing.T) {
	all := []time.Duration{4, 1, 3, 2}
	if got := Quantile(all, 0.5); got != 3 {
		t.Errorf("median %d, want 3", got)
	}
	if got := Quantile(all, 0.99); got != 4 {
		t.Errorf("p99 %d, want 4", got)
	}
}
