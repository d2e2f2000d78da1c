// Command bench measures the built binary, and beside it the programs that people would
// use instead, each in turn on the same machine: servers, workers and clients run as
// processes of their own on loopback. It prints Markdown:
//
//	go run . [-run PATTERN] [-runs N] [-scale F] [-peers=false] [-write FILE]
//
// docs/performance.md says what each figure means.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/reeve-scheduler/reeve/bench/internal/figure"
	"github.com/reeve-scheduler/reeve/bench/internal/peer"
	"github.com/reeve-scheduler/reeve/bench/internal/proc"
	"github.com/reeve-scheduler/reeve/bench/internal/several"
)

func main() {
	if len(os.Args) > 1 {
		if as, ok := roles()[os.Args[1]]; ok {
			if err := as(os.Args[2:]); err != nil {
				fmt.Fprintf(os.Stderr, "bench %s: %v\n", os.Args[1], err)
				os.Exit(1)
			}
			return
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// roles are what this program is when it starts itself as another.
func roles() map[string]func(args []string) error {
	all := peer.Programs()
	all[workerCommand] = functionWorker
	maps.Copy(all, several.Programs())
	return all
}

// bench is one run of the program.
type bench struct {
	ctx     context.Context
	figures figure.Set
	binary  string
	// dir holds everything that servers and workers write.
	dir  string
	runs int
	// scale multiplies the number of jobs.
	scale float64
	// slots is how many processes run at a time: one a processor.
	slots int
	// peers: not Reeve alone.
	peers bool
	// which are the peers that are measured.
	which *regexp.Regexp
	// source is this module's folder.
	source string
	// profile is where profiles of every run go, empty for none.
	profile string
	// openTime and overloadTime are how long the open loops of W8 and W9 last.
	openTime, overloadTime time.Duration
	// kneeRate is the highest rate that is kept up with, in jobs a second; 0 until it is known.
	kneeRate float64
}

// section is one group of figures.
type section struct {
	// name is the workload's, by which -run selects it.
	name, title string
	// about is what its table needs to be understood.
	about string
	run   func(*bench) error
}

// limitsSection is always measured: its figures stand beside others.
const limitsSection = "limits"

// sections are in the order of the report.
func sections() []section {
	return []section{
		{limitsSection, "What the machine can do at best", "", (*bench).measureLimits},
		{"W1", "W1: no-op functions", "", (*bench).throughput},
		{"W2", "W2: a backlog that was there before", "", (*bench).drain},
		{"W3", "W3: one job at a time", "", (*bench).latency},
		{"W4", "W4: processes", "", (*bench).processes},
		{"W5", "W5: one array of a million", "", (*bench).arrays},
		{"W6", "W6: what waits", "", (*bench).memory},
		{"W7", "W7: functions that need each other", "", (*bench).graphs},
		{"W8", "W8: arrivals by the clock", aboutOpen, (*bench).open},
		{"W9", "W9: twice what can be kept up with", aboutOverload, (*bench).overload},
		{"HA", "HA: several servers", aboutSeveral, (*bench).several},
	}
}

// panels are what the chart shows.
func panels() []figure.Panel {
	return []figure.Panel{
		{Title: "No-op functions end to end (more is better)", Workload: "W1", Case: caseBoth, Metric: "throughput"},
		{Title: "One job on an idle system, submit → end seen, median (less is better)", Workload: "W3", Case: peer.Seen, Metric: "p50"},
	}
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	b := &bench{ctx: ctx, slots: peer.AtOnce()}
	pattern := f.String("run", "", "only the workloads whose name this regular expression matches: W1, W2, …")
	f.StringVar(&b.binary, "binary", "", "the reeve binary (default: built from the repository around this module)")
	parent := f.String("dir", os.TempDir(), "where servers keep their data: a real disk, since every figure depends on its fsync")
	f.IntVar(&b.runs, "runs", 3, "how often each figure is measured")
	f.Float64Var(&b.scale, "scale", 1, "multiplies the number of jobs")
	f.BoolVar(&b.peers, "peers", true, "measure others beside Reeve")
	which := f.String("which", "", "only the peers whose name this regular expression matches: River, Asynq, …")
	f.StringVar(&b.profile, "profile", "", "a directory for profiles of the servers and workers, and of their memory")
	long := f.Bool("long", false, "ten minutes for each open loop of W8 and five for W9, in place of one")
	f.Float64Var(&b.kneeRate, "knee", 0, "the jobs a second that W8 and W9 take for the knee (default: measured)")
	write := f.String("write", "", "a Markdown file to write the report into too, between its lines "+beginMark+" and "+endMark+
		"; beside it the figures go into a .json and a chart into a .svg of the same name")
	if err := f.Parse(args); err != nil {
		return err
	}
	b.openTime, b.overloadTime = shortTime, shortTime
	if *long {
		b.openTime, b.overloadTime = longOpenTime, longOverloadTime
	}
	only, err := regexp.Compile(*pattern)
	if err != nil {
		return err
	}
	if b.which, err = regexp.Compile(*which); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp(*parent, "reeve-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	module, err := moduleSource(ctx)
	if err != nil {
		return err
	}
	b.source = filepath.Join(module, "bench")
	if b.binary == "" {
		b.binary = filepath.Join(b.dir, "reeve")
		if err := build(ctx, module, b.binary); err != nil {
			return err
		}
	}
	about, tables, err := b.measure(only, out)
	if err != nil || *write == "" {
		return err
	}
	return b.write(*write, about, tables)
}

// measure runs sections and prints what they found as they end.
func (b *bench) measure(only *regexp.Regexp, out io.Writer) (about figure.Run, tables string, err error) {
	if about, err = b.describe(); err != nil {
		return about, "", err
	}
	fmt.Fprint(out, head(about))
	var all strings.Builder
	for _, s := range sections() {
		if s.name != limitsSection && !only.MatchString(s.name) {
			continue
		}
		b.say("%s: measuring %s", time.Now().Format(time.TimeOnly), s.name)
		if err := s.run(b); err != nil {
			return about, "", fmt.Errorf("%s: %w", s.name, err)
		}
		to := io.MultiWriter(out, &all)
		fmt.Fprintf(to, "\n### %s\n", s.title)
		if s.about != "" {
			fmt.Fprintf(to, "\n%s\n", s.about)
		}
		b.figures.Markdown(to, s.name)
	}
	about.Took = time.Since(about.Began)
	b.figures.Best(out)
	fmt.Fprintf(out, "\nThe whole run took %s.\n", about.Took.Round(time.Second))
	return about, all.String(), nil
}

// say tells whoever waits how far it is.
func (b *bench) say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// build makes the binary as a release does.
func build(ctx context.Context, module, name string) error {
	describe := exec.CommandContext(ctx, "git", "describe", "--tags", "--always", "--dirty")
	describe.Dir = module
	version, err := proc.Output(describe)
	if err != nil {
		version = "unknown" // the source need not be a checkout
	}
	c := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-X main.version="+strings.TrimSpace(version), "-o", name, "./cmd/reeve")
	c.Dir = module
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	c.Stderr = os.Stderr
	return c.Run()
}

// moduleSource is the folder of the product's source, which this module stands in.
func moduleSource(ctx context.Context) (string, error) {
	dir, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/reeve-scheduler/reeve").Output()
	if err != nil {
		return "", fmt.Errorf("find the source, which is looked for from the folder bench on: %w", err)
	}
	return strings.TrimSpace(string(dir)), nil
}

// count scales a number of jobs.
func (b *bench) count(n int) int { return max(int(float64(n)*b.scale), 1) }
