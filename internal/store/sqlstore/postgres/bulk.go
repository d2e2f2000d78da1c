package postgres

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Identifiers of types, the same in every database.
const (
	byteaOID, int8OID           = 17, 20
	byteaArrayOID, int8ArrayOID = 1001, 1016
)

// Limits of one statement of Upsert or Copy: the server holds it whole.
const (
	maxRows  = 4096
	maxBytes = 8 << 20
)

// Rows are what Upsert and Copy write: Row appends the columns of row i to args, each an int64,
// []byte, string (which is stored as bytes) or nil. What it appends is read before the next call.
type Rows struct {
	Width, Len int
	Row        func(args []any, i int) []any
}

// Bulk writes rows, and keeps what it writes them into for the next. One goroutine uses it.
type Bulk struct {
	args    []any
	buf     []byte
	columns []column
}

// maxScratch is how much memory of a buffer is kept, in bytes.
const maxScratch = 1 << 20

// trim gives back what is too much to keep.
func (b *Bulk) trim() {
	clear(b.args[:cap(b.args)]) // or it would keep rows
	if cap(b.buf) > maxScratch {
		b.buf = nil
	}
	for _, c := range b.columns[:cap(b.columns)] {
		if cap(c.buf) > maxScratch {
			b.columns = nil
		}
	}
}

// Copy writes rows by COPY: the cheapest way there is, for rows whose keys are not there yet.
// into names the table and its columns.
func (b *Bulk) Copy(ctx context.Context, conn *sql.Conn, into string, rows Rows) error {
	defer b.trim()
	text := "COPY " + into + " FROM STDIN (FORMAT binary)"
	for i := 0; i < rows.Len; {
		b.buf = append(b.buf[:0], "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"...)
		for ; i < rows.Len && len(b.buf) < maxBytes; i++ {
			b.args = rows.Row(b.args[:0], i)
			b.buf = binary.BigEndian.AppendUint16(b.buf, uint16(len(b.args)))
			for _, a := range b.args {
				b.buf = appendValue(b.buf, a)
			}
		}
		b.buf = append(b.buf, 0xff, 0xff)
		err := raw(conn, func(c *pgx.Conn) error {
			_, err := c.PgConn().CopyFrom(ctx, bytes.NewReader(b.buf), text)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Upsert runs a statement for many rows at once: it selects them from {{rows}}.
func (b *Bulk) Upsert(ctx context.Context, conn *sql.Conn, text string, rows Rows) error {
	defer b.trim()
	for len(b.columns) < rows.Width {
		b.columns = append(b.columns, column{})
	}
	columns := b.columns[:rows.Width]
	for i := 0; i < rows.Len; {
		for c := range columns {
			columns[c] = column{buf: append(columns[c].buf[:0], make([]byte, arrayHeader)...)}
		}
		n := 0
		for size := 0; i < rows.Len && n < maxRows && size < maxBytes; i++ {
			b.args = rows.Row(b.args[:0], i)
			size = 0
			for c, a := range b.args {
				columns[c].add(a)
				size += len(columns[c].buf)
			}
			n++
		}
		values, oids, names := make([][]byte, len(columns)), make([]uint32, len(columns)), make([]string, len(columns))
		for c := range columns {
			values[c], oids[c], names[c] = columns[c].array(n)
			names[c] = "$" + strconv.Itoa(c+1) + names[c]
		}
		text := strings.ReplaceAll(text, "{{rows}}", "unnest("+strings.Join(names, ", ")+")")
		err := raw(conn, func(c *pgx.Conn) error {
			return c.PgConn().ExecParams(ctx, text, values, oids, binaries(len(values)), nil).Read().Err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// arrayHeader is the length of what stands before an array's elements.
const arrayHeader = 20

// column is an array in PostgreSQL's binary format, as it grows.
type column struct {
	buf     []byte
	nulls   bool
	numbers bool
}

func (c *column) add(a any) {
	at := len(c.buf)
	c.buf = appendValue(c.buf, a)
	_, number := a.(int64)
	c.numbers = c.numbers || number
	c.nulls = c.nulls || binary.BigEndian.Uint32(c.buf[at:]) == null
}

// array fills in the header of n elements.
func (c *column) array(n int) (value []byte, oid uint32, cast string) {
	element := uint32(byteaOID)
	oid, cast = byteaArrayOID, "::bytea[]"
	if c.numbers {
		element, oid, cast = int8OID, int8ArrayOID, "::bigint[]"
	}
	h := c.buf[:0]
	h = binary.BigEndian.AppendUint32(h, 1) // dimensions
	h = binary.BigEndian.AppendUint32(h, map[bool]uint32{true: 1}[c.nulls])
	h = binary.BigEndian.AppendUint32(h, element)
	h = binary.BigEndian.AppendUint32(h, uint32(n))
	binary.BigEndian.AppendUint32(h, 1) // the first index
	return c.buf, oid, cast
}

// null is the length of what is not there.
const null = 0xffffffff

// appendValue appends a value with its length before it.
func appendValue(buf []byte, a any) []byte {
	switch v := a.(type) {
	case int64:
		buf = binary.BigEndian.AppendUint32(buf, 8)
		return binary.BigEndian.AppendUint64(buf, uint64(v))
	case string:
		buf = binary.BigEndian.AppendUint32(buf, uint32(len(v)))
		return append(buf, v...)
	case []byte:
		if v == nil {
			return binary.BigEndian.AppendUint32(buf, null)
		}
		buf = binary.BigEndian.AppendUint32(buf, uint32(len(v)))
		return append(buf, v...)
	case nil:
		return binary.BigEndian.AppendUint32(buf, null)
	}
	panic(fmt.Sprintf("a column of type %T", a))
}
