// Package sqlstore is the store in SQL, written once: a journal table and the
// tables of queries, history and recovery. What differs between engines is a
// small dialect value; SQLite is the one there is.
//
// # Two files
//
// On SQLite the journal and the tables are two files of one data directory, so
// that a flush never blocks an append. journal.db syncs every commit; tables.db
// syncs when Durable asks, because whatever it loses is still in the journal.
// Checkpoints (moving what the write-ahead log holds into the file) are kept off
// the commit path: Trim does the journal's, Durable the tables'.
//
// # Partitions
//
// Jobs, their parts and their specs stand in tables of their own per span of
// submission, a day or what part of the retention a server chooses. Ids rise with time, so a partition is a contiguous range of ids, and
// the partitions table maps each range's first id to its number. Retention drops
// tables. It never deletes rows on the path of a flush.
//
// # Payloads
//
// A job's payload is the last column of its row, with a checksum of its own: it is written
// with the first row, kept by those that come in its place, and read only to be sent.
//
// # What a crash leaves
//
// Every write is one transaction of one file. A killed process loses nothing that
// was acknowledged. Power loss may take whole flushes that no Durable has covered;
// the journal is trimmed only below what Durable returned, so it still has them.
package sqlstore
