package cli

import (
	"errors"

	"github.com/spf13/cobra"
)

func (e *env) demo() *cobra.Command {
	return &cobra.Command{Use: "demo [DIR]", Short: "See it work: a server, three workers and a real job, here and now",
		RunE: func(*cobra.Command, []string) error { return errors.New("not yet") }}
}

func (e *env) demoStep() *cobra.Command {
	return &cobra.Command{Use: "demo-step", Hidden: true, RunE: func(*cobra.Command, []string) error { return errors.New("not yet") }}
}
