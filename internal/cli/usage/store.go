package usage

import (
	"errors"
	"net/url"
	"os"
)

// StoreURL is the URL of a shared store, from the command line or the environment. Others on
// this machine can read what is on a command line.
func StoreURL(flag string) (string, error) {
	if flag == "" {
		return os.Getenv("REEVE_STORE"), nil
	}
	if u, err := url.Parse(flag); err != nil {
		return "", errors.New("--store: not a URL; want one such as postgres://reeve@db.example:5432/reeve")
	} else if _, has := u.User.Password(); has || u.Query().Has("password") {
		return "", errors.New("--store: the URL has a password, which others on this machine can read; put it into a file for --store-password-file, or the whole URL into REEVE_STORE")
	}
	return flag, nil
}
