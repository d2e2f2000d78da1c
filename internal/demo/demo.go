package demo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/reeve-scheduler/reeve/internal/client"
)

// Options of a demonstration.
type Options struct {
	// Dir is the tree of Go source to count; empty for the Go toolchain's own.
	Dir string
	// Data is where everything is kept; empty for a temporary directory, which is
	// removed at the end unless something failed.
	Data string
	// Keep leaves server and workers up at the end, until the context ends.
	Keep bool
	// Quiet prints nothing. Terminal says that Err is one on which can be drawn.
	Quiet, Terminal bool
	// Out is for the result, Err for how it comes along.
	Out, Err io.Writer
	Version  string
}

// jobFile is the name of the job file in the data directory.
const jobFile = "job.yaml"

// Run gives the demonstration. It returns nil only if the job came to its exact
// result; when it returns, nothing that it started runs any more. It ends early, and
// in good order, when ctx ends.
func Run(ctx context.Context, o Options) (err error) {
	began := time.Now()
	root, err := findSource(ctx, o.Dir)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program, which is also the workers: %w", err)
	}
	dir, err := dataDir(o.Data)
	if err != nil {
		return err
	}
	defer func() { err = tidyUp(ctx, &o, dir, err) }()
	inner, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	s := newScreen(&o, began)
	s.line("Reeve demo: a server, three workers and a real job, all on this machine.\n")
	c, err := startCluster(inner, &o, self, dir, fail)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	p := &play{options: &o, cluster: c, screen: s, root: root, self: self}
	if err := p.run(inner); err != nil {
		return err
	}
	if !o.Keep {
		return nil
	}
	<-inner.Done()
	if ctx.Err() != nil {
		return nil // the user has seen enough
	}
	return context.Cause(inner)
}

// dataDir makes the data directory, absolute.
func dataDir(given string) (string, error) {
	if given == "" {
		return os.MkdirTemp("", "reeve-demo-")
	}
	dir, err := filepath.Abs(given)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("the data directory: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", fmt.Errorf("the data directory: %w", err)
	}
	if _, err := os.Stat(filepath.Join(dir, jobFile)); len(entries) > 0 && err != nil {
		return "", fmt.Errorf("the data directory %s holds something else; name a new one, or one of an earlier demo", dir)
	}
	return dir, nil
}

// tidyUp removes a temporary data directory, unless its logs may tell what went wrong.
func tidyUp(ctx context.Context, o *Options, dir string, err error) error {
	switch {
	case o.Data != "":
		return err
	case err != nil && ctx.Err() == nil:
		return fmt.Errorf("%w\nthe logs are in %s", err, dir)
	}
	return errors.Join(err, os.RemoveAll(dir))
}

// play is one demonstration, from the submit to the report.
type play struct {
	options    *Options
	cluster    *cluster
	screen     *screen
	root, self string
	file       string
}

func (p *play) run(ctx context.Context) error {
	id, err := p.submit(ctx)
	if err != nil {
		return err
	}
	p.screen.line("  data      %s", p.root)
	p.screen.line("  server    %s", p.cluster.url)
	p.screen.line("  workers   %s, each a process with %d slots", strings.Join(workerNames(), ", "), slots)
	p.screen.line("  job       %s, submitted from %s\n", id, p.file)
	if p.options.Terminal && !p.options.Quiet {
		p.screen.draw()
	}
	s := &story{cluster: p.cluster, screen: p.screen, id: id}
	j, err := s.follow(ctx)
	p.screen.stop()
	if err != nil {
		return err
	}
	if err := s.recovery(ctx); err != nil { // what came back between the last look and the end
		return err
	}
	if err := s.verdict(ctx, j); err != nil {
		return err
	}
	return p.report(ctx, s, j)
}

// submit writes the job file and submits it.
func (p *play) submit(ctx context.Context) (string, error) {
	p.file = filepath.Join(p.cluster.dir, jobFile)
	text := []byte(jobText(p.self, p.root, p.file))
	if err := os.WriteFile(p.file, text, 0o600); err != nil {
		return "", fmt.Errorf("write the job file: %w", err)
	}
	jobs, err := p.cluster.client.Submit(ctx, &client.SubmitRequest{
		Source: client.File(text), FileName: p.file, Items: []*client.SubmitItem{{IdempotencyKey: rand.Text()}},
	})
	if err != nil {
		return "", err
	}
	return jobs[0].GetId(), nil
}

// report prints the result.
func (p *play) report(ctx context.Context, s *story, j *client.Job) error {
	table, err := s.wrote(ctx, s.id+".report", "stdout")
	if err != nil {
		return err
	}
	sum, err := s.totals(ctx, j)
	if err != nil {
		return err
	}
	outputs := map[string]map[string]string{}
	for _, t := range j.GetTasks() {
		outputs[t.GetName()] = t.GetOutputs()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\nThe %d most frequent identifiers in %s Go files, %s:\n\n%s\n", topRows,
		grouped(number(outputs["list"]["files"])), megabytes(number(outputs["list"]["bytes"])), table)
	for _, row := range [][2]string{{"merge", fmt.Sprintf("%d shards on the workers", shards)}, {"single", "one single process"}} {
		fmt.Fprintf(&b, "  %-23s %12s identifiers, %s different ones\n", row[1],
			grouped(number(outputs[row[0]]["identifiers"])), grouped(number(outputs[row[0]]["different"])))
	}
	b.WriteString("  Both counts agree exactly.\n\n")
	fmt.Fprintf(&b, "%.1fs: %s, %s, %s.\n%s\n", time.Since(p.screen.began).Seconds(), plural(len(j.GetTasks()), "task"),
		plural(sum.elements, "element"), plural(sum.attempts, "attempt"), s.fate())
	p.next(&b, s)
	if p.options.Quiet {
		return nil
	}
	_, err = io.WriteString(p.options.Out, b.String())
	return err
}

// fate says what became of the worker that was killed.
func (s *story) fate() string {
	if s.victim == "" {
		return "The shards were over before a worker could be killed."
	}
	return fmt.Sprintf("Worker %s was lost with %s, which others ran again.", s.victim, plural(len(s.losses), "element"))
}

// next says what to try next.
func (p *play) next(b *strings.Builder, s *story) {
	if !p.options.Keep {
		if p.options.Data != "" {
			fmt.Fprintf(b, "\nThe data stays in %s. ", p.cluster.dir)
		} else {
			b.WriteString("\n")
		}
		b.WriteString("To look around while all of it is up: reeve demo --keep\n")
		return
	}
	element := "last.count.0"
	if len(s.losses) > 0 {
		element = "last." + s.losses[0].name
	}
	b.WriteString("\nServer and workers stay up until Ctrl-C. Try in another terminal:\n\n")
	if found, err := exec.LookPath("reeve"); err != nil || found != p.self {
		fmt.Fprintf(b, "  alias reeve=%s\n", shellWord(p.self))
	}
	fmt.Fprintf(b, "  export REEVE_ADDR=%s\n", p.cluster.url)
	for _, row := range [][2]string{
		{"reeve ls", "all jobs"}, {"reeve show last", "this one, by task"},
		{"reeve show " + element, "an element, attempt by attempt"}, {"reeve logs last.report", "what a task wrote"},
		{"reeve workers", "one of them is away"}, {"reeve run -- echo hello", "a job of your own"},
		{"reeve submit --wait " + shellWord(p.file), ""},
	} {
		line := fmt.Sprintf("  %-28s", row[0])
		if row[1] != "" {
			line += "  # " + row[1]
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
}

// shellWord quotes a text for a shell where it must be.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("/._-+:@", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
