package render

import (
	"errors"
	"fmt"
	"os"
)

// File is a file that is made with the first byte for it, so that nothing is
// overwritten by what does not come.
type File struct {
	path string
	file *os.File
}

// NewFile returns a file of a path, which it does not touch yet.
func NewFile(path string) *File { return &File{path: path} }

// Write makes the file if that has not been done.
func (l *File) Write(b []byte) (int, error) {
	if l.file == nil {
		f, err := os.Create(l.path)
		if err != nil {
			return 0, fmt.Errorf("write %s: %w", l.path, errors.Unwrap(err)) // the path is said
		}
		l.file = f
	}
	return l.file.Write(b)
}

// Close ends a file that is complete; one without a byte is made here.
func (l *File) Close() error {
	if _, err := l.Write(nil); err != nil {
		return err
	}
	return l.file.Close()
}

// Remove removes what is not complete.
func (l *File) Remove() error {
	if l.file == nil {
		return nil
	}
	return errors.Join(l.file.Close(), os.Remove(l.path))
}
