package logstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// adoptGap is how many numbers adopted segments skip: a store that was overtaken may pack what
// it had under numbers of its own for a moment.
const adoptGap = 1 << 16

// adopt moves what stands in the directories beside the store's own into that, in the order
// of their names, under numbers after highest. It returns the highest then.
func (s *Store) adopt(highest uint64) (uint64, error) {
	beside, err := os.ReadDir(filepath.Dir(s.dir))
	if err != nil {
		return 0, err
	}
	highest += adoptGap
	for _, d := range beside {
		dir := filepath.Join(filepath.Dir(s.dir), d.Name())
		if !d.IsDir() || dir == s.dir {
			continue
		}
		if highest, err = s.adoptFrom(dir, highest); err != nil {
			return 0, fmt.Errorf("take over the logs in %s: %w", dir, err)
		}
	}
	return highest, nil
}

func (s *Store) adoptFrom(dir string, highest uint64) (uint64, error) {
	// What was dropped there was dropped here, too; twice does no harm.
	text, err := os.ReadFile(filepath.Join(dir, dropName))
	if err == nil {
		_, err = s.appendDrops(text)
	}
	if err == nil {
		err = os.Remove(filepath.Join(dir, dropName))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	for _, file := range files { // sorted, and names sort as numbers
		if _, ok := parseSegmentName(file.Name()); !ok {
			continue
		}
		highest++
		err := os.Rename(filepath.Join(dir, file.Name()), filepath.Join(s.dir, segmentName(highest)))
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // whoever was overtaken may have packed it just now
			return 0, err
		}
	}
	_ = os.Remove(dir) // one that is not empty stays, for the next one to look at
	return highest, nil
}
