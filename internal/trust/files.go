package trust

import (
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
)

// errReadable: others may read a file that holds a key.
var errReadable = errors.New("other users may read it")

// loadOwn loads one of our own files, which must be closed to others.
func loadOwn(file string) (pair, error) {
	info, err := os.Stat(file)
	if err != nil {
		return pair{}, err
	}
	if perm := info.Mode().Perm(); perm&0o077 != 0 {
		return pair{}, fmt.Errorf("%w (mode %04o); run chmod 600 on it, or replace it if they may have copied the key", errReadable, perm)
	}
	return loadPair(file, file)
}

// writeFile replaces file by content, mode 0600: whole or not at all, and durably.
func writeFile(file string, content []byte) error {
	dir := filepath.Dir(file)
	f, err := os.CreateTemp(dir, ".new-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		os.Remove(f.Name())
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// newSerial is 127 random bits, never short, as browsers and RFC 5280 want it.
func newSerial() (*big.Int, error) {
	b := make([]byte, 16)
	if _, err := rand.Read(b); err != nil {
		return nil, err
	}
	b[0] = b[0]&0x7f | 0x40
	return new(big.Int).SetBytes(b), nil
}
