package api

import (
	"compress/gzip"
	"io"

	"connectrpc.com/connect"
)

// inflater decompresses one message, and no more than is allowed of one. What lies
// beyond would be decompressed only to say how much it is: a thousand times what the
// sender, who may be anybody, had to send.
type inflater struct {
	gzip.Reader
	left int
}

func newInflater() connect.Decompressor { return new(inflater) }

func newDeflater() connect.Compressor {
	w, _ := gzip.NewWriterLevel(io.Discard, gzip.BestSpeed) // fails for no level but those there aren't
	return w
}

// Reset begins another message.
func (f *inflater) Reset(r io.Reader) error {
	f.left = MaxMessage + 1 // one more tells that it is too large
	return f.Reader.Reset(r)
}

// Read fills b, up to the bound.
func (f *inflater) Read(b []byte) (int, error) {
	if f.left == 0 {
		return 0, io.EOF
	}
	n, err := f.Reader.Read(b[:min(len(b), f.left)])
	f.left -= n
	return n, err
}
