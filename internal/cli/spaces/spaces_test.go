package spaces

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/reeve-scheduler/reeve/internal/cli/render"
	"github.com/reeve-scheduler/reeve/internal/cli/usage"
	"github.com/reeve-scheduler/reeve/internal/client"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// run parses the flags of a command that would change something, and returns what is wrong.
func run(c *cobra.Command, args ...string) error {
	root := &cobra.Command{Use: "reeve", SilenceErrors: true, SilenceUsage: true}
	root.SetFlagErrorFunc(usage.FlagError)
	root.AddCommand(c)
	root.SetArgs(append([]string{c.Name()}, args...))
	root.SetOut(io.Discard)
	return root.Execute()
}

func changing(add func(*cobra.Command)) *cobra.Command {
	c := &cobra.Command{Use: "set", Args: cobra.ExactArgs(1), RunE: func(*cobra.Command, []string) error { return nil }}
	add(c)
	needsFlag(c, "--weight 2")
	return c
}

func TestQueueFlags(t *testing.T) {
	var p queueFlags
	err := run(changing(p.add), "night", "--order", "fair", "--backfill", "none", "--ageing", "10m", "--weight", "3", "--guarantee", "cpu=8",
		"--limit", "running=10,cpu=16,gpu=2", "--rate", "10/s", "--burst", "20", "--half-life", "1h", "--preempt")
	want := job.QueueChange{
		Order: new(job.ByShare), Backfill: new(job.BackfillNone), Ageing: new(job.Duration(10 * time.Minute)), Weight: new(int64(3)),
		Guarantee: &job.Resources{CPU: 8000}, Limit: &job.Limit{Running: 10, Resources: job.Resources{CPU: 16_000, Other: job.AmountsOf(map[string]int64{"gpu": 2})}},
		Rate: &job.Rate{Count: 10, Per: job.Duration(time.Second), Burst: 20}, HalfLife: new(job.Duration(time.Hour)), Preempt: new(true),
	}
	if diff := cmp.Diff(want, p.change); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	p = queueFlags{}
	if err := run(changing(p.add), "night", "--limit", "none", "--rate=none", "--ageing", "never", "--preempt=false"); err != nil || *p.change.Limit != (job.Limit{}) || *p.change.Rate != (job.Rate{}) || *p.change.Ageing != 0 || *p.change.Preempt || p.change.Order != nil {
		t.Errorf("%v, %+v", err, p.change)
	}
}

func TestBadFlags(t *testing.T) {
	for want, args := range map[string][]string{
		`--order "best": want one of priority, fifo, shortest, deadline, fair (see reeve set --help)`:                                  {"--order", "best"},
		`--backfill "x": want one of easy, conservative, any, none (see reeve set --help)`:                                             {"--backfill", "x"},
		`--ageing "soon": want a duration such as 90s, 1h30m or 2d (see reeve set --help)`:                                             {"--ageing", "soon"},
		`--weight "-1": want a whole number from 1 (see reeve set --help)`:                                                             {"--weight", "-1"},
		`--weight "0": want a whole number from 1 (see reeve set --help)`:                                                              {"--weight", "0"},
		`--burst "0": want a whole number from 1 (see reeve set --help)`:                                                               {"--rate", "1/s", "--burst", "0"},
		`--ageing "0s": want a duration such as 90s, 1h30m or 2d (see reeve set --help)`:                                               {"--ageing", "0s"},
		`--half-life "0s": want a duration such as 90s, 1h30m or 2d (see reeve set --help)`:                                            {"--half-life", "0s"},
		`--limit "gpus=2": gpus is no resource; want gpu (see reeve set --help)`:                                                       {"--limit", "gpus=2"},
		`--limit "rununing=3": rununing is no resource; want running=10 for a number of attempts (see reeve set --help)`:               {"--limit", "rununing=3"},
		`--guarantee "running=2": running is no resource; attempts can't be guaranteed; want cpu=8 or the like (see reeve set --help)`: {"--guarantee", "running=2"},
		`--limit "10": want pairs such as cpu=16,gpu=2, or none (see reeve set --help)`:                                                {"--limit", "10"},
		`--rate "10": want a number in a time such as 10/s, 100/h or 3/10m, or none (see reeve set --help)`:                            {"--rate", "10"},
		`--preempt "maybe": want true or false (see reeve set --help)`:                                                                 {"--preempt=maybe"},
		`--burst 20: name the rate as well, such as --rate 10/s`:                                                                       {"--burst", "20"},
		`set: nothing is to change; name what, such as --weight 2 (see reeve set --help)`:                                              {},
	} {
		var p queueFlags
		if err := run(changing(p.add), append([]string{"night"}, args...)...); err == nil || err.Error() != want {
			t.Errorf("%v:\n%v\nwant\n%s", args, err, want)
		}
	}
}

// TestNothingMayWait: no number of elements is not none.
func TestNothingMayWait(t *testing.T) {
	var p namespaceFlags
	err := run(changing(p.add), "team", "--pending", "0")
	if want := `--pending "0": want a whole number from 1, or none (see reeve set --help)`; err == nil || err.Error() != want {
		t.Errorf("%v\nwant\n%s", err, want)
	}
}

func TestNamespaceFlags(t *testing.T) {
	var p namespaceFlags
	err := run(changing(p.add), "team", "--weight", "2", "--guarantee", "none", "--limit", "running=1", "--pending", "10000", "--half-life", "1d")
	want := job.NamespaceChange{
		Weight: new(int64(2)), Guarantee: &job.Resources{}, Limit: &job.Limit{Running: 1}, Pending: new(int64(10_000)), HalfLife: new(job.Duration(24 * time.Hour)),
	}
	if diff := cmp.Diff(want, p.change); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	p = namespaceFlags{}
	if err := run(changing(p.add), "team", "--pending", "none"); err != nil || *p.change.Pending != 0 {
		t.Errorf("%v, %+v", err, p.change)
	}
}

// TestCommandsAskNobody: what is wrong with a command line is said before a server is asked.
func TestCommandsAskNobody(t *testing.T) {
	asked := false
	e := Env{
		Printer: &render.Printer{Out: io.Discard}, Namespace: func() string { return "" },
		On: func(func(context.Context, *client.Client, []string) error) func(*cobra.Command, []string) error {
			return func(*cobra.Command, []string) error { asked = true; return nil }
		},
	}
	for _, c := range []*cobra.Command{e.queues(), e.namespaces()} {
		for _, args := range [][]string{{"set", "x"}, {"set"}, {"show"}, {"create"}, {"create", "x", "--limit", "much"}, {"pause"}} {
			if err := run(c, args...); err == nil || asked || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s %v: %v, asked %v", c.Name(), args, err, asked)
			}
		}
	}
	if err := run(e.queues(), "set", "x", "--weight", "1"); err != nil || !asked {
		t.Errorf("a good command: %v, asked %v", err, asked)
	}
}

func TestShow(t *testing.T) {
	for format, want := range map[string]string{
		"table": "queue       night\norder       fair\n",
		"json":  "{\n  \"name\": \"night\"\n}\n",
	} {
		var out bytes.Buffer
		e := Env{Printer: &render.Printer{Out: &out, Format: format}}
		if err := show(e, &client.Queue{Name: "night"}, [][2]string{{"queue", "night"}, {"order", "fair"}}); err != nil || out.String() != want {
			t.Errorf("%s: %v\n%s\nwant\n%s", format, err, out.String(), want)
		}
	}
}

func TestRows(t *testing.T) {
	e := Env{Printer: &render.Printer{Out: io.Discard, Format: "wide"}}
	got := strings.Join(e.queueRow(&client.Queue{Name: "night", Paused: true, Jobs: 7}), "|")
	if want := "night|paused|7|-|priority|easy|-|1|none|none|none"; got != want {
		t.Errorf("a queue is %s, want %s", got, want)
	}
	got = strings.Join(e.namespaceRow(&client.Namespace{Name: "team", Jobs: 1}), "|")
	if want := "team|open|1|-|1|none|none|none"; got != want {
		t.Errorf("a namespace is %s, want %s", got, want)
	}
}

func TestPoolCommands(t *testing.T) {
	var p poolFlags
	set := func(c *cobra.Command) { p.add(c) }
	if err := run(changing(set), "night", "--overcommit", "cpu=2,memory=1.5"); err != nil || *p.change.Overcommit != (job.Factors{CPU: 2000, Memory: 1500}) {
		t.Errorf("%v, %+v", err, p.change)
	}
	for text, want := range map[string]string{
		"2":       `--overcommit "2": want pairs such as cpu=2,memory=1.5, or none (see reeve set --help)`,
		"slots=2": `--overcommit "slots=2": slots is no resource; slots are counted apart: start workers with --slots (see reeve set --help)`,
		"cpu=0":   `--overcommit "cpu=0": cpu=0: want a number from 0.1 to 100 such as 2, 1.5 or 0.9, of at most three decimal places (see reeve set --help)`,
	} {
		if err := run(changing(set), "night", "--overcommit", text); err == nil || err.Error() != want {
			t.Errorf("%v\nwant\n%s", err, want)
		}
	}
	pool := &client.Pool{Name: "night", Workers: 3, WorkersLive: 2, Running: 4, Slots: 8}
	if got, want := strings.Join(poolRow(pool), "|"), "night|2/3|4/8|0/0|0/0|-|none"; got != want {
		t.Errorf("a pool is %s, want %s", got, want)
	}
}

func TestKeyTables(t *testing.T) {
	k := &client.ConcurrencyKey{
		Key: "deploy", Of: "jobs", Limit: 5, Held: 4, Waiting: 30, Jobs: 40,
		Holders: []*client.KeyUser{{Ref: "1"}, {Ref: "2"}, {Ref: "3"}, {Ref: "4"}}, Waiters: []*client.KeyUser{{Ref: "5.main"}},
	}
	if got, want := strings.Join(keyRow(k), "|"), "deploy|jobs|4/5|30|1 2 3 1 more"; got != want {
		t.Errorf("a key is %s, want %s", got, want)
	}
	if got, want := strings.Join(keyRow(&client.ConcurrencyKey{Key: "api", Of: "attempts"}), "|"), "api|attempts|0|0|-"; got != want {
		t.Errorf("a key is %s, want %s", got, want)
	}
	for quiet, want := range map[bool]string{
		true:  "1\n2\n3\n4\n5.main\n",
		false: "OF    REF      STATE  SINCE\njobs  1        holds  -\njobs  2        holds  -\njobs  3        holds  -\njobs  4        holds  -\njobs  5.main   waits  -\njobs  29 more  waits  -\n",
	} {
		var out bytes.Buffer
		e := Env{Printer: &render.Printer{Out: &out, Format: "table", Quiet: quiet}}
		if err := e.keyTable([]*client.ConcurrencyKey{k}); err != nil || out.String() != want {
			t.Errorf("quiet %v: %v\n%s\nwant\n%s", quiet, err, out.String(), want)
		}
	}
	asked := false
	e := Env{Printer: &render.Printer{Out: io.Discard}, On: func(func(context.Context, *client.Client, []string) error) func(*cobra.Command, []string) error {
		return func(*cobra.Command, []string) error { asked = true; return nil }
	}}
	if err := run(e.limits(), "release", "deploy"); err == nil || asked || err.Error() != "limits release: name the holder, such as --holder 4217; reeve limits KEY lists them" {
		t.Errorf("a release from nobody: %v", err)
	}
}

// TestReservationWindow: times and durations both say when a reservation begins and is over.
func TestReservationWindow(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		w           *window
		from, until time.Time
		wrong       string
	}{
		{&window{length: time.Hour}, time.Time{}, now.Add(time.Hour), ""},
		{&window{from: "2h", length: time.Hour}, now.Add(2 * time.Hour), now.Add(3 * time.Hour), ""},
		{&window{from: "2026-03-02T00:00:00Z", until: "1d"}, now.Add(12 * time.Hour), now.Add(24 * time.Hour), ""},
		{&window{from: "soon"}, time.Time{}, now, `--from "soon": want a time such as 2026-03-01T22:00:00Z, or a duration from now such as 2h`},
		{&window{until: "noon"}, time.Time{}, now, `--until "noon": want a time`},
	} {
		err := test.w.read(now)
		switch {
		case test.wrong != "":
			if err == nil || !strings.HasPrefix(err.Error(), test.wrong) {
				t.Errorf("%v; want %s", err, test.wrong)
			}
		case err != nil || test.w.From == nil != test.from.IsZero() || test.w.From != nil && !test.w.From.AsTime().Equal(test.from) || !test.w.Until.AsTime().Equal(test.until):
			t.Errorf("%v: from %v until %v, want %v and %v", err, test.w.From, test.w.Until, test.from, test.until)
		}
	}
}

func TestReservationRow(t *testing.T) {
	now := time.Now()
	r := &client.Reservation{Name: "night", Reserves: []string{"w1", "w2"}, Namespace: "default", Queue: "night", From: client.Time(now.Add(-time.Hour)), Until: client.Time(now.Add(time.Hour))}
	if row := reservationRow(r); row[0] != "night" || row[1] != "w1,w2" || row[4] != "queue default/night" || row[5] != "active" {
		t.Errorf("one that has begun: %q", row)
	}
	r = &client.Reservation{Name: "repair", From: client.Time(now.Add(2*time.Hour + time.Minute)), Until: client.Time(now.Add(3 * time.Hour))}
	if row := reservationRow(r); row[1] != "-" || row[4] != "nobody" || row[5] != "in 2h" {
		t.Errorf("one of nobody that begins later: %q", row)
	}
	if got := whose(&client.Reservation{Namespace: "team"}); got != "namespace team" {
		t.Errorf("one of a namespace is for %s", got)
	}
}

// TestBadReservations: what is wrong with the flags of a reservation is said in the product's own words.
func TestBadReservations(t *testing.T) {
	e := Env{Printer: &render.Printer{Out: io.Discard}, On: func(func(context.Context, *client.Client, []string) error) func(*cobra.Command, []string) error {
		return func(*cobra.Command, []string) error { return nil }
	}}
	const which, long = "say which workers in one way: --pool gpu, --workers w1,w2 or --where rack=a", "say how long in one way: --for 2h, or --until 2026-03-01T22:00:00Z"
	for args, want := range map[string]string{
		"--for 1h":                                     which,
		"--pool a --workers w1 --for 1h":               which,
		"--pool a":                                     long,
		"--pool a --for 1h --until 2h":                 long,
		`--where labels.rack=="a" --for 1h`:            `--where "labels.rack==\"a\"": want a label, rack=a or rack; expressions are for tasks`,
		"--where rack=a=b --for 1h":                    "",
		"--where gpu/model=a100 --where rack --for 1h": "",
	} {
		err := run(e.reserve(), append([]string{"r"}, strings.Fields(args)...)...)
		if got := fmt.Sprint(err); got != want && (err != nil || want != "") {
			t.Errorf("%s:\n%s\nwant\n%s", args, got, want)
		}
	}
}
