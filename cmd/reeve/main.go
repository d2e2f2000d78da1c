// Command reeve is the job scheduler: server, worker, command line and demo.
package main

import (
	"os"

	"github.com/reeve-scheduler/reeve/internal/cli"
)

// version is set by the linker in releases.
var version string

func main() { os.Exit(cli.Main(version, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
