// Package attemptlog writes what one attempt says into its log: a file of frames
// (package logline) of bounded size, whose writer never fails and never waits for
// anything but the disk.
package attemptlog

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/reeve-scheduler/reeve/internal/executor"
	"github.com/reeve-scheduler/reeve/internal/logline"
)

// File is one attempt's log. What can't be written is counted and becomes a gap.
// The file, and its directory, appear with the first byte. Its size, gap included,
// stays within the limit: the head is written as it comes, past it only the last
// frames are kept in memory and written at the end. Its methods may be called
// concurrently.
type File struct {
	path string
	pool *sync.Pool

	mu sync.Mutex
	// head is how far the file grows before output goes to the tail.
	head int64
	// keep is how many bytes of the tail are kept.
	keep int
	file *os.File
	// size is the length of the good part of the file: whole frames.
	size int64
	// lost counts output bytes dropped since the last frame in the file.
	lost int64
	// full: the head is complete and output goes to tail.
	full  bool
	tail  []byte
	notes []string
	done  bool
}

// gapRoom is more than a gap frame takes.
const gapRoom = 64

// tailChunk is the most data in a frame of the tail, so that dropping its first
// frame drops little.
const tailChunk = 4 << 10

// New makes the log of path, which holds at most limit bytes, and executor.LogTail
// if that is more. The pool lends buffers (*[]byte), so that a quiet attempt holds
// none.
func New(path string, limit int64, pool *sync.Pool) *File {
	limit = max(limit, executor.LogTail)
	keep := min(executor.LogTail, limit/2)
	return &File{path: path, pool: pool, keep: int(keep), head: limit - keep - gapRoom}
}

// Write takes what the attempt wrote; data may be reused afterwards. After Close it
// does nothing.
func (l *File) Write(kind logline.Kind, at time.Time, data []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.done {
		return
	}
	l.flushNotes(at)
	l.add(kind, at, data)
}

// Note adds a line of Reeve's own, written with the next output or at the end: the
// caller must not wait for the disk.
func (l *File) Note(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.done && len(l.notes) < 8 {
		l.notes = append(l.notes, text)
	}
}

// Close writes what is left and returns the file's size.
func (l *File) Close(at time.Time) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.done {
		return l.size
	}
	l.flushNotes(at)
	l.done = true
	if l.full {
		l.trimTail()
	}
	if l.full || l.lost > 0 {
		l.put(append(l.gap(nil, at), l.tail...), 0)
		l.tail = nil
	}
	if l.file != nil {
		l.file.Close()
	}
	return l.size
}

func (l *File) flushNotes(at time.Time) {
	notes := l.notes
	l.notes = nil
	for _, text := range notes {
		l.add(logline.Note, at, []byte(text))
	}
}

func (l *File) add(kind logline.Kind, at time.Time, data []byte) {
	if !l.full {
		buf := l.pool.Get().(*[]byte)
		defer l.pool.Put(buf)
		frames := l.gap((*buf)[:0], at)
		frames = logline.Append(frames, kind, at.UnixMilli(), data)
		*buf = frames
		if l.size+int64(len(frames)) <= l.head {
			l.put(frames, int64(len(data)))
			return
		}
		l.full = true
	}
	for len(data) > 0 {
		n := min(len(data), tailChunk)
		l.tail = logline.Append(l.tail, kind, at.UnixMilli(), data[:n])
		data = data[n:]
	}
	if len(l.tail) > 2*l.keep {
		l.trimTail()
	}
}

// gap appends the mark of what was lost, if anything was.
func (l *File) gap(dst []byte, at time.Time) []byte {
	if l.lost > 0 {
		dst = logline.Append(dst, logline.Gap, at.UnixMilli(), strconv.AppendInt(nil, l.lost, 10))
	}
	return dst
}

// put writes whole frames at the end of the good part. A write that fails leaves
// the good part as it was, and counts the output it held as lost.
func (l *File) put(frames []byte, output int64) {
	if len(frames) == 0 {
		return
	}
	if l.file == nil {
		file, err := create(l.path)
		if err != nil {
			l.lost += output
			return
		}
		l.file = file
	}
	if _, err := l.file.WriteAt(frames, l.size); err != nil {
		l.lost += output
		_ = l.file.Truncate(l.size)
		return
	}
	l.size += int64(len(frames))
	l.lost = 0
}

// trimTail drops frames from the tail's front until what is kept is left.
func (l *File) trimTail() {
	at := 0
	for len(l.tail)-at > l.keep {
		frame, n, err := logline.Next(l.tail[at:])
		if n == 0 || err != nil {
			break
		}
		if frame.Kind != logline.Note {
			l.lost += int64(len(frame.Data))
		}
		at += n
	}
	l.tail = append(l.tail[:0], l.tail[at:]...)
}

// create makes the file. The attempt may write where its directory is: neither is a
// link followed that it left there, nor its file taken for this one.
func create(path string) (*os.File, error) {
	const flags = os.O_WRONLY | os.O_CREATE | os.O_EXCL | unix.O_NOFOLLOW
	file, err := os.OpenFile(path, flags, 0o600)
	if errors.Is(err, fs.ErrNotExist) && os.MkdirAll(filepath.Dir(path), 0o700) == nil {
		file, err = os.OpenFile(path, flags, 0o600)
	}
	return file, err
}
