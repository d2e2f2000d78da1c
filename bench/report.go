package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/reeve-scheduler/reeve/bench/internal/figure"
	"github.com/reeve-scheduler/reeve/bench/internal/proc"
)

// describe says what is measured and where.
func (b *bench) describe() (figure.Run, error) {
	r := figure.Run{Began: time.Now().UTC().Truncate(time.Second), Machine: machine(), Runs: b.runs, Scale: b.scale}
	load, err := background(b.ctx)
	if err != nil {
		return r, err
	}
	version, err := proc.Output(exec.CommandContext(b.ctx, b.binary, "version"))
	if err != nil {
		return r, err
	}
	r.Version = strings.TrimPrefix(strings.TrimSpace(version), "reeve ")
	r.Settings = []string{
		fmt.Sprintf("Others used %.0f %% of it before the run.", 100*load),
		"Reeve " + r.Version + "; TLS and tokens on, retention as it comes; server, worker and client are processes of their own on loopback.",
		fmt.Sprintf("Each system starts with nothing for each measurement; %d runs in turn, median [least..most].", b.runs),
	}
	return r, nil
}

// The report stands between these lines of a document.
const (
	beginMark = "<!-- begin of the figures: make bench -->"
	endMark   = "<!-- end of the figures -->"
)

// head says with what it was measured.
func head(about figure.Run) string {
	return fmt.Sprintf("Machine: %s.\n%s\n", about.Machine, strings.Join(about.Settings, "\n"))
}

// write puts a report into a document, and its figures and chart beside it.
func (b *bench) write(name string, about figure.Run, tables string) error {
	figures, err := b.figures.JSON(about)
	if err != nil {
		return err
	}
	stem := strings.TrimSuffix(name, filepath.Ext(name))
	var text strings.Builder
	fmt.Fprintf(&text, "![Throughput and latency](%s.svg)\n\n%s", filepath.Base(stem), head(about))
	b.figures.Best(&text)
	fmt.Fprintf(&text, "%s\nThe whole run took %s.\n", tables, about.Took.Round(time.Second))
	return errors.Join(
		os.WriteFile(stem+".json", figures, 0o644),
		os.WriteFile(stem+".svg", b.figures.Chart(panels()), 0o644),
		writeInto(name, text.String()),
	)
}

// writeInto puts a report into a document in place of the one before.
func writeInto(name, text string) error {
	old, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	head, rest, begins := strings.Cut(string(old), beginMark+"\n")
	_, tail, ends := strings.Cut(rest, endMark+"\n")
	if !begins || !ends {
		return fmt.Errorf("%s has no lines %q and %q to write between", name, beginMark, endMark)
	}
	return os.WriteFile(name, []byte(head+beginMark+"\n"+text+endMark+"\n"+tail), 0o644)
}
