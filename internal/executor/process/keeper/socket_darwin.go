package keeper

import (
	"fmt"
	"path/filepath"
)

// maxSocketPath is the longest path a socket's address holds.
const maxSocketPath = 103

// SocketPath returns the path of the keeper's socket in dir, and a function to call
// when it has been used.
func SocketPath(dir string) (path string, done func(), err error) {
	path = filepath.Join(dir, socketFile)
	if len(path) > maxSocketPath {
		return "", nil, fmt.Errorf("state directory %s: its path has %d bytes; a socket in it can have at most %d: choose a shorter one", dir, len(dir), maxSocketPath-len(socketFile)-1)
	}
	return path, func() {}, nil
}
