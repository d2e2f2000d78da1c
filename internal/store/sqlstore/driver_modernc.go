//go:build !ncruces

package sqlstore

import (
	"errors"

	"modernc.org/sqlite"
)

const driverName = "sqlite"

func sqliteCode(err error) (int, bool) {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return 0, false
	}
	return e.Code(), true
}
