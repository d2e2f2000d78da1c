package logstore

import "golang.org/x/sys/unix"

// diskFree returns the bytes that this user may still write on dir's file system.
func diskFree(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail * uint64(st.Bsize)), nil
}
