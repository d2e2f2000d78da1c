// Command bench measures the built binary: a server and its workers run as processes of
// their own, on loopback, with every acknowledgement on disk. It prints Markdown:
//
//	go run . [-run PATTERN] [-runs N] [-scale F] [-write FILE]
//
// docs/performance.md says what each figure means.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == workerCommand {
		if err := functionWorker(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "bench worker:", err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// bench is one run of the program.
type bench struct {
	ctx    context.Context
	out    *report
	binary string
	// dir holds everything that servers and workers write.
	dir  string
	runs int
	// scale multiplies the number of jobs.
	scale float64
	// profile is where profiles of every run go, empty for none.
	profile string
}

// section is one group of figures.
type section struct {
	name string
	run  func(*bench) error
}

// sections are in the order of the report: the longest come last.
func sections() []section {
	return []section{
		{"noop", (*bench).noop},
		{"latency", (*bench).latency},
		{"process", (*bench).processes},
		{"memory", (*bench).memory},
	}
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	b := &bench{ctx: ctx}
	pattern := f.String("run", "", "only the sections that this regular expression matches: noop, latency, process, memory")
	f.StringVar(&b.binary, "binary", "", "the reeve binary (default: built from the repository around this module)")
	parent := f.String("dir", os.TempDir(), "where servers keep their data: a real disk, since every figure depends on its fsync")
	f.IntVar(&b.runs, "runs", 3, "how often each figure is measured")
	f.Float64Var(&b.scale, "scale", 1, "multiplies the number of jobs")
	f.StringVar(&b.profile, "profile", "", "a directory for profiles of the servers and workers, and of their memory")
	write := f.String("write", "", "a Markdown file to write the report into too, between its lines "+beginMark+" and "+endMark)
	if err := f.Parse(args); err != nil {
		return err
	}
	only, err := regexp.Compile(*pattern)
	if err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp(*parent, "reeve-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	if b.binary == "" {
		if b.binary, err = build(ctx, b.dir); err != nil {
			return err
		}
	}
	began := time.Now()
	var text strings.Builder
	b.out = &report{to: io.MultiWriter(out, &text)}
	if err := b.describe(); err != nil {
		return err
	}
	for _, s := range sections() {
		if !only.MatchString(s.name) {
			continue
		}
		b.say("%s: measuring %s", time.Now().Format(time.TimeOnly), s.name)
		if err := s.run(b); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	b.out.printf("\nThe whole run took %s.\n", time.Since(began).Round(time.Second))
	if *write != "" {
		return writeInto(*write, text.String())
	}
	return nil
}

// say tells whoever waits how far it is.
func (b *bench) say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// build makes the binary as a release does, from the source that this module stands in.
func build(ctx context.Context, dir string) (string, error) {
	const module = "github.com/reeve-scheduler/reeve"
	source, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return "", fmt.Errorf("find the source, which is looked for from the folder bench on: %w", err)
	}
	name := filepath.Join(dir, "reeve")
	c := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", name, "./cmd/reeve")
	c.Dir = strings.TrimSpace(string(source))
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	c.Stderr = os.Stderr
	return name, c.Run()
}

// count scales a number of jobs.
func (b *bench) count(n int) int { return max(int(float64(n)*b.scale), 1) }
