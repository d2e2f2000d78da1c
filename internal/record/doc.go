// Package record is the codec of what is stored: events in the journal, state
// blobs in the tables' rows. The schema is package reeve.record.v1; the bytes are
// valid protobuf of it, written and read by hand because the leader does so for
// every event twice. Each payload begins with the number of its format, and what
// is not known is an error, never skipped: a replica that skips is not a replica.
//
// Byte strings keep the difference between nil and empty; for lists and maps the
// two are the same and read back as nil.
package record

import "errors"

// ErrFormat: the payload was written in a format that this version does not know,
// or holds an event or field that it does not know: most likely a newer version
// of Reeve wrote it.
var ErrFormat = errors.New("record: unknown format; install the version of Reeve that wrote it, or a newer one")
