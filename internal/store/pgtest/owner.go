package pgtest

import (
	"errors"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// owner is as whom servers run: PostgreSQL and PgBouncer refuse to run as root.
func owner() *syscall.SysProcAttr {
	uid, gid, ok := account()
	if !ok {
		return nil
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid}}
}

// account is the account "postgres" where this process is root's.
func account() (uid, gid uint32, ok bool) {
	if os.Getuid() != 0 {
		return 0, 0, false
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return 0, 0, false
	}
	id, err := strconv.ParseUint(u.Uid, 10, 32)
	group, errGroup := strconv.ParseUint(u.Gid, 10, 32)
	return uint32(id), uint32(group), errors.Join(err, errGroup) == nil
}

// privateDir makes a directory in another, or a temporary one, that the servers' account owns.
func privateDir(in string) (string, error) {
	dir, err := os.MkdirTemp(in, "reeve-pg-")
	if err != nil {
		return "", err
	}
	if uid, gid, ok := account(); ok {
		err = os.Chown(dir, int(uid), int(gid))
	}
	return dir, err
}
