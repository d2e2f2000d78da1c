//go:build !linux

package sqlstore

import (
	"context"
	"errors"
)

// These faults are made with what only Linux has.

func fillDisk(context.Context, string) error { return errors.ErrUnsupported }

func fillIndex(context.Context, string) error { return errors.ErrUnsupported }

func failSync(context.Context, string) error { return errors.ErrUnsupported }
