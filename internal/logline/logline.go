// Package logline frames what an attempt writes: one stream of bytes that keeps
// stdout and stderr apart, in order, with times. The keeper writes these frames,
// the agent ships them unchanged and the log store keeps them, so that an offset
// into an attempt's log means the same everywhere.
//
// A frame is: kind (1 byte), Unix milliseconds (uvarint), length (uvarint), data.
package logline

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Kind says what a frame holds. The numbers are stored.
type Kind uint8

// The kinds of frames.
const (
	// Stdout and Stderr hold bytes the attempt wrote; not necessarily whole lines.
	Stdout Kind = 1
	Stderr Kind = 2
	// Gap marks dropped bytes: its data is their count in decimal.
	Gap Kind = 3
	// Note is a line by Reeve itself, such as why an attempt was killed.
	Note Kind = 4
)

// MaxData is the most data one frame holds, in bytes.
const MaxData = 64 << 10

// MaxFrame is the most bytes one frame takes, header included.
const MaxFrame = MaxData + 1 + 2*binary.MaxVarintLen64

// Version is the version of this framing, stored beside logs.
const Version = 1

// ErrDamaged: the bytes are not frames.
var ErrDamaged = errors.New("logline: damaged frame")

// Frame is one piece of a log.
type Frame struct {
	Kind Kind
	// Time is when the bytes were read from the attempt, in Unix milliseconds.
	Time int64
	// Data aliases the decoded buffer.
	Data []byte
}

// Append appends frames for data to dst, splitting at MaxData. Empty data appends
// nothing.
func Append(dst []byte, kind Kind, unixMilli int64, data []byte) []byte {
	for len(data) > 0 {
		n := min(len(data), MaxData)
		dst = append(dst, byte(kind))
		dst = binary.AppendUvarint(dst, uint64(max(unixMilli, 0)))
		dst = binary.AppendUvarint(dst, uint64(n))
		dst = append(dst, data[:n]...)
		data = data[n:]
	}
	return dst
}

// Next decodes the first frame of b and returns its length in bytes. A length of
// zero and no error means that b ends inside the frame: get more bytes.
func Next(b []byte) (Frame, int, error) {
	if len(b) == 0 {
		return Frame{}, 0, nil
	}
	kind := Kind(b[0])
	if kind < Stdout || kind > Note {
		return Frame{}, 0, fmt.Errorf("%w: kind %d", ErrDamaged, kind)
	}
	ms, n := binary.Uvarint(b[1:])
	if n <= 0 {
		return short(n)
	}
	size, m := binary.Uvarint(b[1+n:])
	if m <= 0 {
		return short(m)
	}
	if size == 0 || size > MaxData || ms > 1<<62 {
		return Frame{}, 0, fmt.Errorf("%w: %d bytes at time %d", ErrDamaged, size, ms)
	}
	end := 1 + n + m + int(size)
	if end > len(b) {
		return Frame{}, 0, nil
	}
	return Frame{Kind: kind, Time: int64(ms), Data: b[1+n+m : end]}, end, nil
}

func short(n int) (Frame, int, error) {
	if n < 0 {
		return Frame{}, 0, fmt.Errorf("%w: number too large", ErrDamaged)
	}
	return Frame{}, 0, nil
}

// Whole returns how many of b's leading bytes are whole frames, so that a buffer
// or a torn file is cut at a frame's edge.
func Whole(b []byte) (int, error) {
	at := 0
	for {
		_, n, err := Next(b[at:])
		if n == 0 || err != nil {
			return at, err
		}
		at += n
	}
}
