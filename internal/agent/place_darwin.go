package agent

import "golang.org/x/sys/unix"

// bootID names the time since the machine was started; empty if it is not known.
func bootID() string {
	id, err := unix.Sysctl("kern.bootsessionuuid")
	if err != nil {
		return ""
	}
	return id
}
