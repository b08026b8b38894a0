// Package postgres is a [store.Store] in a PostgreSQL database, for those whose leads
// must outlive a machine.
//
//	st, err := postgres.Open(ctx, "postgres://leadflow@db.example.com/leadflow?sslmode=verify-full", postgres.Options{})
//
// PostgreSQL 15 or later will do, over TCP with TLS or by a unix socket. Nothing needs a
// superuser or an extension: the user must be able to make a schema, or have one made
// for it (see [SQL]).
//
// # One owner
//
// One process at a time owns a schema, and another that wants it is refused with
// [ErrLocked], or waits until it gets it. The owner has a lease, which runs by the clock
// of the database and is renewed by every commit; when it is silent for longer than
// that, another process may take over. What it may have been about to commit then is
// refused, whatever it believes and however long it was stopped: every commit changes
// the row of its own epoch, in its own transaction, and a takeover closes that row. So a
// pair of processes is one that works and one that stands by.
//
// # A commit
//
// A batch is one round trip: all its statements go out together and are one transaction.
// One that enrolls leads takes two. When the connection breaks on the way the store asks
// the database what became of the batch before it answers its caller.
//
// Sessions have short timeouts for locks and for transactions that are left open, so a
// process that hangs holds nobody up for more than three seconds.
//
// # Poolers
//
// A pooler in transaction mode works when it keeps prepared statements apart (PgBouncer
// from 1.21 on, with max_prepared_statements), or with default_query_exec_mode=exec in
// the URL, and when the search_path and the timeouts are set for the user in the
// database, since such poolers drop what a session asks for. A takeover then cannot end
// the session of a process that was stopped; the timeouts do.
//
// # Caveats
//
// A text with a NUL byte, or bytes that are not UTF-8, is kept in an escaped form, which
// other programs see. Numbers of rows have gaps, since they are taken in blocks. The
// table leads has few indexes, so that a step is a HOT update: leave it so, and leave
// autovacuum on.
package postgres
