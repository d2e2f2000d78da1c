// Package render prints what a command has to say: tables and words for people, JSON
// and YAML for programs.
package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/reeve-scheduler/reeve/internal/client"
	"github.com/reeve-scheduler/reeve/internal/job"
)

// Printer prints in one format. Its zero value prints tables to nowhere.
type Printer struct {
	Out io.Writer
	// Format is table, wide, json or yaml.
	Format string
	// Quiet prints ids or names only, or nothing.
	Quiet bool
	// Columns is how wide Out is, 0 if that does not matter.
	Columns int
}

// Structured reports whether the output is for programs.
func (p *Printer) Structured() bool { return p.Format == "json" || p.Format == "yaml" }

// Message prints an API message as JSON or YAML.
func (p *Printer) Message(m client.Message) error {
	b, err := client.JSON(m)
	if err != nil {
		return err
	}
	return p.Raw(b)
}

// Raw prints JSON as it is asked for.
func (p *Printer) Raw(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return err
	}
	if p.Format == "yaml" {
		out, err := yaml.Marshal(plainNumbers(v))
		if err != nil {
			return err
		}
		_, err = p.Out.Write(out)
		return err
	}
	enc := json.NewEncoder(p.Out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// plainNumbers makes the numbers of JSON such as YAML knows them.
func plainNumbers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			v[k] = plainNumbers(x)
		}
	case []any:
		for i, x := range v {
			v[i] = plainNumbers(x)
		}
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		if f, err := v.Float64(); err == nil {
			return f
		}
	}
	return v
}

// List prints messages as one JSON array or YAML list.
func List[M client.Message](p *Printer, messages []M) error {
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
	return p.Raw(b)
}

// OneOrList prints what a command did to the things that it was given: an object for
// one, a list for several.
func OneOrList[M client.Message](p *Printer, messages []M) error {
	if len(messages) == 1 {
		return p.Message(messages[0])
	}
	return List(p, messages)
}

// Values is OneOrList for what is no message.
func (p *Printer) Values(all any) error {
	b, err := json.Marshal(all)
	if err != nil {
		return err
	}
	var parts []json.RawMessage
	if err := json.Unmarshal(b, &parts); err == nil && len(parts) == 1 {
		b = parts[0]
	}
	return p.Raw(b)
}

// Done says what was done: one of the values, or its line of text.
func (p *Printer) Done(value map[string]any, format string, args ...any) error {
	switch {
	case p.Structured():
		return p.Values(value)
	case p.Quiet:
		return nil
	}
	_, err := fmt.Fprintf(p.Out, format+"\n", args...)
	return err
}

// Table prints rows in columns. Where lines would wrap on a terminal they are cut;
// the wide format never is.
func (p *Printer) Table(header []string, rows [][]string) error {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join(header, "\t"))
	for _, r := range rows {
		for i := range r {
			r[i] = Clean(r[i])
		}
		fmt.Fprintln(w, strings.Join(r, "\t"))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if p.Columns == 0 || p.Format == "wide" {
		_, err := p.Out.Write(b.Bytes())
		return err
	}
	for line := range strings.Lines(b.String()) {
		if _, err := fmt.Fprintln(p.Out, cut(strings.TrimRight(line, " \n"), p.Columns)); err != nil {
			return err
		}
	}
	return nil
}

// cut shortens a line to a number of characters.
func cut(line string, most int) string {
	if utf8.RuneCountInString(line) <= most {
		return line
	}
	return string([]rune(line)[:most-1]) + "…"
}

// Clean keeps what could steer a terminal out of names and causes.
func Clean(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
}

// Ago writes how long ago a time was, "-" for none.
func Ago(t *client.Timestamp) string {
	if t == nil {
		return "-"
	}
	return short(time.Since(t.AsTime()))
}

// Usage writes the processor time that an attempt used and its memory at the most, "-"
// where that is not known.
func Usage(a *client.Attempt) (cpu, memory string) {
	if a.GetMemoryBytes() == 0 {
		return "-", "-"
	}
	return fmt.Sprintf("%d.%03ds", a.GetCpuMs()/1000, a.GetCpuMs()%1000), fmt.Sprintf("%.1fMi", float64(a.GetMemoryBytes())/(1<<20))
}

// Mebibytes writes a size in whole MiB.
func Mebibytes(n int64) string {
	if n == 0 {
		return "0"
	}
	return fmt.Sprintf("%dMi", n>>20)
}

// Took writes how long something took, so far if it has not ended.
func Took(from, to *client.Timestamp) string {
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

// Stamp writes a time for people.
func Stamp(t *client.Timestamp) string {
	if t == nil {
		return "-"
	}
	return t.AsTime().Local().Format("2006-01-02 15:04:05")
}

// OrDash writes "-" for nothing.
func OrDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// Plural writes a number with its noun.
func Plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// Ended is how many elements have ended.
func Ended(c *client.Counts) int64 {
	return c.GetSucceeded() + c.GetFailed() + c.GetTimedOut() + c.GetCancelled() + c.GetSkipped()
}
