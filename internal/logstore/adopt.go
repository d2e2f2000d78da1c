package logstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// termShift is how far a term stands before the numbers of its segments, and the versions of its
// packs: a term may be a time in milliseconds, and a store makes fewer of both than that.
const termShift = 20

// adopt moves what stands in the directories beside the store's own into that.
func (s *Store) adopt() error {
	beside, err := os.ReadDir(filepath.Dir(s.dir))
	if err != nil {
		return err
	}
	for _, d := range beside {
		dir := filepath.Join(filepath.Dir(s.dir), d.Name())
		if !d.IsDir() || dir == s.dir {
			continue
		}
		if err := s.adoptFrom(dir); err != nil {
			return fmt.Errorf("take over the logs in %s: %w", dir, err)
		}
	}
	return nil
}

func (s *Store) adoptFrom(dir string) error {
	// What was dropped there was dropped here, too; twice does no harm.
	text, err := os.ReadFile(filepath.Join(dir, dropName))
	if err == nil {
		_, err = s.appendDrops(text)
	}
	if err == nil {
		err = os.Remove(filepath.Join(dir, dropName))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, file := range files {
		if _, ok := parseSegmentName(file.Name()); !ok {
			continue
		}
		err := os.Rename(filepath.Join(dir, file.Name()), filepath.Join(s.dir, file.Name()))
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // whoever was overtaken may have packed it just now
			return err
		}
	}
	_ = os.Remove(dir) // one that is not empty stays, for the next one to look at
	return nil
}
