package render

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/reeve-scheduler/reeve/internal/client"
)

func TestTable(t *testing.T) {
	rows := func() [][]string {
		return [][]string{{"1", "a name", "it\nfailed\x1b[31m \u202eback"}, {"22", "ü", "–"}}
	}
	for _, test := range []struct {
		name    string
		printer Printer
		want    string
	}{
		{"to a file", Printer{Format: "table"}, "ID  NAME    CAUSE\n1   a name  it failed [31m  back\n22  ü       –\n"},
		{"on a narrow terminal", Printer{Format: "table", Columns: 16}, "ID  NAME    CAU…\n1   a name  it …\n22  ü       –\n"},
		{"wide is never cut", Printer{Format: "wide", Columns: 16}, "ID  NAME    CAUSE\n1   a name  it failed [31m  back\n22  ü       –\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out bytes.Buffer
			test.printer.Out = &out
			if err := test.printer.Table([]string{"ID", "NAME", "CAUSE"}, rows()); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, out.String()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestFormats: one message is an object, several are a list; numbers are numbers.
func TestFormats(t *testing.T) {
	element := func(id string) *client.Element { return &client.Element{Id: id, Index: 1 << 40, ExitCode: 3} }
	for _, test := range []struct {
		format string
		n      int
		want   string
	}{
		{"json", 1, "{\n  \"exit_code\": 3,\n  \"id\": \"<7>\",\n  \"index\": 1099511627776\n}\n"},
		{"yaml", 1, "exit_code: 3\nid: <7>\nindex: 1099511627776\n"},
		{"json", 0, "[]\n"},
		{"yaml", 0, "[]\n"},
		{"yaml", 2, "- exit_code: 3\n  id: <7>\n  index: 1099511627776\n- exit_code: 3\n  id: <7>\n  index: 1099511627776\n"},
	} {
		var out bytes.Buffer
		p := &Printer{Out: &out, Format: test.format}
		all := make([]*client.Element, 0, test.n)
		for range test.n {
			all = append(all, element("<7>"))
		}
		if err := OneOrList(p, all); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, out.String()); diff != "" {
			t.Errorf("%d as %s (-want +got):\n%s", test.n, test.format, diff)
		}
	}
}

// TestDone: what was done is told once, in the form that was asked for.
func TestDone(t *testing.T) {
	for _, test := range []struct {
		printer Printer
		want    string
	}{
		{Printer{Format: "table"}, "queue gpu is made\n"},
		{Printer{Format: "table", Quiet: true}, ""},
		{Printer{Format: "json", Quiet: true}, "{\n  \"name\": \"gpu\"\n}\n"},
		{Printer{Format: "yaml"}, "name: gpu\n"},
	} {
		var out bytes.Buffer
		test.printer.Out = &out
		if err := test.printer.Done(map[string]any{"name": "gpu"}, "queue %s is made", "gpu"); err != nil {
			t.Fatal(err)
		}
		if out.String() != test.want {
			t.Errorf("%+v: %q, want %q", test.printer, out.String(), test.want)
		}
	}
}

func TestResources(t *testing.T) {
	for want, m := range map[string]map[string]string{
		"": nil, "cpu 0.5": {"cpu": "0.5"}, "cpu 2, gpu 1, memory 4G": {"memory": "4G", "gpu": "1", "cpu": "2"},
	} {
		if got := Resources(m); got != want {
			t.Errorf("%v is %q, want %q", m, got, want)
		}
	}
}

func TestShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 0: "0ms", 999 * time.Millisecond: "999ms", 1500 * time.Millisecond: "1.5s", 9990 * time.Millisecond: "10.0s",
		10 * time.Second: "10s", 59900 * time.Millisecond: "59s", 61 * time.Second: "1m1s", 25*time.Hour + 3*time.Minute + 5*time.Second: "1d1h3m",
	} {
		if got := short(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}

// TestUsage writes what is known of an attempt's usage.
func TestUsage(t *testing.T) {
	for _, c := range []struct {
		ms, bytes   int64
		cpu, memory string
	}{
		{0, 0, "-", "-"},
		{0, 16 << 20, "0.000s", "16.0Mi"},
		{61_005, 3<<29 + 1, "61.005s", "1536.0Mi"},
	} {
		if cpu, memory := Usage(&client.Attempt{CpuMs: c.ms, MemoryBytes: c.bytes}); cpu != c.cpu || memory != c.memory {
			t.Errorf("%d ms and %d bytes: %s, %s; want %s, %s", c.ms, c.bytes, cpu, memory, c.cpu, c.memory)
		}
	}
}
