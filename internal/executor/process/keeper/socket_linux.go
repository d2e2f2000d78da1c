package keeper

import (
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// maxSocketPath is the longest path a socket's address holds.
const maxSocketPath = 107

// SocketPath returns a path by which the keeper's socket in dir can be named to the
// kernel, and a function to call when that is done. A path that is too long for a
// socket is reached through an open descriptor of its directory.
func SocketPath(dir string) (path string, done func(), err error) {
	path = filepath.Join(dir, socketFile)
	if len(path) <= maxSocketPath {
		return path, func() {}, nil
	}
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", nil, err
	}
	return "/proc/self/fd/" + strconv.Itoa(fd) + "/" + socketFile, func() { unix.Close(fd) }, nil
}
