package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/reeve-scheduler/reeve/internal/client"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// structured reports whether the output is for programs.
func (e *env) structured() bool { return e.output == "json" || e.output == "yaml" }

// message prints an API message as JSON or YAML.
func (e *env) message(m client.Message) error {
	b, err := client.JSON(m)
	if err != nil {
		return err
	}
	return e.raw(b)
}

// raw prints JSON as it is asked for.
func (e *env) raw(b []byte) error {
	if e.output == "json" {
		var v any
		if err := json.Unmarshal(b, &v); err != nil {
			return err
		}
		enc := json.NewEncoder(e.out)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		return enc.Encode(v)
	}
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	out, err := yaml.Marshal(v)
	if err != nil {
		return err
	}
	_, err = e.out.Write(out)
	return err
}

// list prints messages as one JSON array or YAML list.
func list[M client.Message](e *env, messages []M) error {
	parts := make([]json.RawMessage, 0, len(messages))
	for _, m := range messages {
		b, err := client.JSON(m)
		if err != nil {
			return err
		}
		parts = append(parts, b)
	}
	b, err := json.Marshal(parts)
	if err != nil {
		return err
	}
	return e.raw(b)
}

// table prints rows in columns.
func (e *env) table(header []string, rows [][]string) error {
	w := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join(header, "\t"))
	for _, r := range rows {
		for i := range r {
			r[i] = clean(r[i])
		}
		fmt.Fprintln(w, strings.Join(r, "\t"))
	}
	return w.Flush()
}

// clean keeps control characters of names and causes off the terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}

// ago writes how long ago a time was, "-" for none.
func ago(t *client.Timestamp) string {
	if t == nil {
		return "-"
	}
	return short(time.Since(t.AsTime()))
}

// took writes how long something took, so far if it has not ended.
func took(from, to *client.Timestamp) string {
	if from == nil {
		return "-"
	}
	end := time.Now()
	if to != nil {
		end = to.AsTime()
	}
	return short(end.Sub(from.AsTime()))
}

// short writes a duration in a few characters.
func short(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return job.FormatDuration(d.Truncate(time.Second))
	}
	return job.FormatDuration(d.Truncate(time.Minute))
}

// stamp writes a time for people.
func stamp(t *client.Timestamp) string {
	if t == nil {
		return "-"
	}
	return t.AsTime().Local().Format("2006-01-02 15:04:05")
}

// orDash writes "-" for nothing.
func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// plural writes a number with its noun.
func plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
