// Package postgres is PostgreSQL as a store meets it: how it is reached, what its errors and
// notices mean, and how statements and rows travel in few messages.
//
// Everything here holds behind a pooler that gives each transaction another connection of the
// server: no prepared statement outlives its message, and no setting its transaction.
//
// # What a commit is worth
//
// A transaction that writes begins with Settings: its commit returns when the log is on disk here
// and on every synchronous standby, whatever the database's or role's own settings are, and no
// timeout ends it while it works. A connection that breaks before the answer leaves the outcome unknown. It is
// never cancelled from here: a commit that waits for its standby would be told to stop waiting, and
// stand without it. Where somebody else cancels that wait the server says so in a warning, and
// Doubted tells it: what was committed stands here and perhaps nowhere else. It is certain once
// any later transaction has been committed with Settings, because the log is replicated in order.
package postgres
