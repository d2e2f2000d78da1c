package member

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/reeve-scheduler/reeve/internal/store"
)

// Seen is a place in history that this server knows to have been durable.
type Seen struct {
	Generation uint64
	store.Mark
}

// seenFile is what of it a server keeps on its disk, so that a database that went back in
// time while all servers were stopped is noticed, too.
type seenFile struct {
	Format     int    `json:"format"`
	Generation uint64 `json:"generation"`
	Seq        uint64 `json:"sequence"`
	ID         string `json:"batch"`
}

const seenFormat = 1

// readSeen reads what save has written; nothing is no error.
func readSeen(path string) (Seen, error) {
	if path == "" {
		return Seen{}, nil
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Seen{}, nil
	}
	if err != nil {
		return Seen{}, err
	}
	var f seenFile
	s := Seen{}
	if err := json.Unmarshal(text, &f); err != nil || f.Format != seenFormat {
		return s, fmt.Errorf("%s: not the place in history that this server has seen, as this version writes it; remove it if the database is certain to be whole", path)
	}
	if id, err := hex.DecodeString(f.ID); err != nil || copy(s.ID[:], id) != len(s.ID) {
		return s, fmt.Errorf("%s: batch %.40q: want 32 hexadecimal digits", path, f.ID)
	}
	s.Generation, s.Seq = f.Generation, f.Seq
	return s, nil
}

// save writes s in the place of what was there.
func (s Seen) save(path string) error {
	text, err := json.Marshal(seenFile{seenFormat, s.Generation, s.Seq, fmt.Sprintf("%x", s.ID)})
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".seen-*")
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// Less reports whether s lies before o.
func (s Seen) Less(o Seen) bool {
	return s.Generation < o.Generation || s.Generation == o.Generation && s.Seq < o.Seq
}

// Lost reports whether the journal's history lacks what was seen. Where that has been
// trimmed there is no telling, and it counts as there: a journal is trimmed far behind its
// end.
func (s Seen) Lost(ctx context.Context, journal store.Journal) (bool, error) {
	if s.Seq == 0 {
		return false, nil
	}
	last, err := journal.Last(ctx)
	if err != nil {
		return false, err
	}
	if last.Seq < s.Seq {
		return true, nil
	}
	batches, err := journal.Read(ctx, s.Seq, 0)
	switch {
	case errors.Is(err, store.ErrTrimmed):
		return false, nil
	case err != nil:
		return false, err
	}
	return len(batches) == 0 || batches[0].ID != s.ID, nil
}
