//go:build !linux

package blackbox

import (
	"errors"
	"testing"
)

// furnish changes nothing: what it does needs Linux.
func (z *zoo) furnish() {
	z.t.Log("without Linux no power is cut, no disk filled, and no number of a process comes again")
}

func strangersIn(*testing.T, string) []stranger { return nil }

func withVariable(string) []int { return nil }

func inSpace(string, func() error) error { return errors.New("network namespaces need Linux") }
