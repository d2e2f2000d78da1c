package app

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/reeve-scheduler/reeve/internal/auth"
)

// proofKeyFile is where a data directory has the key that proves which worker was given an
// attempt. Attempts outlive the server that gave them out, and so must the key.
const proofKeyFile = "proof.key"

// proofKey reads the key, or makes one where there is none.
func proofKey(file string) (key auth.ProofKey, err error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		_, _ = rand.Read(key[:]) // never fails: crypto/rand ends the program instead
		if err := writeSecret(file, hex.EncodeToString(key[:])+"\n"); err != nil {
			return key, fmt.Errorf("write the key of attempts: %w", err)
		}
		return key, nil
	}
	if err != nil {
		return key, fmt.Errorf("the key of attempts: %w", err)
	}
	b, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(b) != len(key) {
		return key, fmt.Errorf("file %s: want a key of %d hexadecimal digits; restore it from a backup, or remove it: what runs now can't leave logs or artifacts then", file, 2*len(key))
	}
	return auth.ProofKey(b), nil
}

// sharedKey returns the key that all servers of a cluster use, which the first of them has
// made, and keeps it in file, too.
func sharedKey(file string, share func([]byte) ([]byte, error)) (auth.ProofKey, error) {
	own, err := proofKey(file)
	if err != nil {
		return own, err
	}
	common, err := share(own[:])
	if err != nil {
		return own, fmt.Errorf("the servers' common key of attempts: %w", err)
	}
	var key auth.ProofKey
	if copy(key[:], common) != len(key) || len(common) != len(key) {
		return own, fmt.Errorf("the servers' common key of attempts has %d bytes; want %d", len(common), len(key))
	}
	if key != own {
		err = writeSecret(file, hex.EncodeToString(key[:])+"\n")
	}
	return key, err
}

// writeSecret writes a file that only its owner can read, whatever stood there before,
// and returns once it is on disk.
func writeSecret(file, text string) error {
	fresh := file + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(fresh, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(fresh, file); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(file))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
