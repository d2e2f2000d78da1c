//go:build ncruces

package sqlstore

import (
	"errors"

	"github.com/ncruces/go-sqlite3"
	_ "github.com/ncruces/go-sqlite3/driver"
)

const driverName = "sqlite3"

func sqliteCode(err error) (int, bool) {
	var e *sqlite3.Error
	if !errors.As(err, &e) {
		return 0, false
	}
	return int(e.ExtendedCode()), true
}
