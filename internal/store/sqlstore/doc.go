// Package sqlstore is the store in SQL, written once: a journal table and the
// tables of queries, history and recovery. What differs between SQLite and PostgreSQL
// is a small dialect value, and package postgres.
//
// # Two files, or one database
//
// On SQLite the journal and the tables are two files of one data directory, so
// that a flush never blocks an append. journal.db syncs every commit; tables.db
// syncs when Durable asks, because whatever it loses is still in the journal.
// Checkpoints (moving what the write-ahead log holds into the file) are kept off
// the commit path: Trim does the journal's, Durable the tables'.
//
// On PostgreSQL both stand in one schema of one database, which any number of servers share. A
// flush begins by locking the row of meta, so that writers of tables take turns, and is
// refused when its batch is not in the journal. An append is one round trip. What a commit is
// worth, and what is done about one whose outcome is not known, says package postgres: an append
// that finds its batch standing commits a little something more, which is durable no sooner than
// the batch. Nothing is lost by trimming the journal: a failover that forgets a flush forgets the
// trim that followed it, too.
//
// # Steps of the shared schema
//
// Each step is one transaction, under a lock that servers which start at once take turns by.
// Servers of the version before are at work meanwhile and go on: a step first only adds (columns
// that may be absent, tables); the release after that writes and reads what was added; a release
// later still a step may take away what nothing uses. The first line of a step names the oldest
// version of the schema whose programs can work with what it leaves, and a program that knows less
// refuses to start.
//
// # Partitions
//
// Jobs, their parts and their specs stand in tables of their own per span of
// submission, a day or what part of the retention a server chooses. Ids rise with time, so a partition is a contiguous range of ids, and
// the partitions table maps each range's first id to its number. Retention drops
// tables. It never deletes rows on the path of a flush.
//
// # Keys
//
// Nearly every idempotency key that is looked up is a new one, and every submit waits for that. So
// each process knows roughly which keys the partitions hold, by what it has flushed and what it has
// read (package sieve). A caller says up to where it has seen everything itself: of what was flushed up to there,
// a key that is certain to be nobody's costs no question to the database. What others may
// have flushed after this process is asked for.
//
// # Payloads
//
// A job's payload is the last column of its row, with a checksum of its own: it is written
// with the first row, kept by those that come in its place, and read only to be sent.
//
// # As a whole
//
// A dump is one reading transaction, or two on SQLite: that of the journal begins second and so has
// all that the rows cover. Filling an empty store is one writing transaction, or two on SQLite,
// of which the journal's is committed last: what a crash leaves between them is refused.
//
// # What a crash leaves
//
// Every write is one transaction of one file. A killed process loses nothing that
// was acknowledged. Power loss may take whole flushes that no Durable has covered;
// the journal is trimmed only below what Durable returned, so it still has them.
package sqlstore
