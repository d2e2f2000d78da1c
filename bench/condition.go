package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/reeve-scheduler/reeve/bench/internal/proc"
)

// condition is what a server occupies at a moment, in bytes, and what it has to do.
type condition struct {
	rss, live            int64
	tables, journal, all int64 // on disk
	unfinished           int64
}

func (c *cluster) condition() (s condition, err error) {
	if s.rss, err = proc.Resident(c.server.PID()); err != nil {
		return s, err
	}
	if s.live, err = c.live(); err != nil {
		return s, err
	}
	status, err := c.inside.Status(c.b.ctx)
	if err != nil {
		return s, err
	}
	s.unfinished = status.GetPending()
	err = filepath.WalkDir(c.dir+"/server", func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			return nil
		}
		var info fs.FileInfo
		if err == nil {
			info, err = d.Info()
		}
		if errors.Is(err, os.ErrNotExist) { // it was there a moment ago
			return nil
		}
		if err != nil {
			return err
		}
		s.all += info.Size()
		switch {
		case strings.HasPrefix(d.Name(), "tables.db"):
			s.tables += info.Size()
		case strings.HasPrefix(d.Name(), "journal.db"):
			s.journal += info.Size()
		}
		return nil
	})
	return s, err
}

// conditions are those of a time, at equal distances.
type conditions struct {
	all []condition
	err error
}

// watch looks at the server's condition until stop, and then hands over what it saw.
func (c *cluster) watch(every time.Duration) (seen <-chan conditions, stop func()) {
	out, stopped := make(chan conditions, 1), make(chan struct{})
	go func() {
		var all conditions
		defer func() { out <- all }()
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				s, err := c.condition()
				if err != nil {
					all.err = err
					return
				}
				all.all = append(all.all, s)
			case <-stopped:
				return
			}
		}
	}()
	return out, func() { close(stopped) }
}
