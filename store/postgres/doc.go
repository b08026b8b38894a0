// Package postgres is a [store.Store] in a PostgreSQL database, for those whose leads
// must outlive a machine.
//
//	st, err := postgres.Open(ctx, "postgres://leadflow@db.example.com/leadflow?sslmode=verify-full", postgres.Options{})
//
// PostgreSQL 15 or later will do, over TCP with TLS or by a unix socket. Nothing needs a
// superuser or an extension: the user must be able to make a schema, or have one made
// for it (see [SQL]).
//
// # Several engines
//
// Any number of engines use a schema at the same time, each with a Store of its own. Each
// has a place, which is a row of the table engines under a number of its own (epoch), and
// a lease on it, which runs by the clock of the database and is extended by every commit
// and every Sync. Contacts are split into 64 shards, by the phone number; each shard is one
// engine's to act on, and the engines spread them evenly among themselves.
//
// An engine that is silent for longer than its lease loses its place: another one closes
// its row and takes its shards. What it may have been about to commit then is refused,
// whatever it believes and however long it was stopped, because every commit changes the
// row of its own epoch in its own transaction. It gets a new place under a new number.
//
// Every engine may change any lead, since a change names the version that it was decided
// on. What it changes for others it tells them by a row of the table notices in the same
// transaction. NOTIFY, in a transaction of its own, only has them look immediately; without
// it they look a few times a second.
//
// A change of a workflow adds to a counter in the row of every other engine. A commit
// that was decided before its engine took note of that is refused. So no message need
// arrive for a pause to hold.
//
// # Limits
//
// What all engines use of a limit is a row of the table limits, with a log of starts by the
// clock of the database. A batch that uses limits locks their rows, after those of the
// leads, until it is committed, so batches that use the same limit are committed one after
// the other. The batch is refused by the function use_limits, in the round trip that
// writes it. Batches that use no limits touch none of this.
//
// # Suppressions
//
// A suppression and an enrollment by two engines exclude each other, by an advisory lock of
// the transaction that enrollments share. A program's transaction that enrolls or removes a
// lead (see [Store.Tx]) holds it until it ends: commit soon.
//
// # A commit
//
// A batch is one round trip: all its statements go out together and are one transaction.
// One that enrolls leads, suppresses somebody or adds to the audit trail takes two, and five
// for 200 enrollments or more. Entries of the audit trail are in one chain, so that commits
// with entries, of all engines, wait for one another. When the connection breaks on the way
// the store asks the database what became of the batch before it answers its caller.
//
// Sessions have short timeouts for locks and for transactions that are left open, so a
// process that hangs holds nobody up for more than three seconds.
//
// # Poolers
//
// A pooler in transaction mode works when it keeps prepared statements apart (PgBouncer
// from 1.21 on, with max_prepared_statements), or with default_query_exec_mode=exec in
// the URL, and when the search_path and the timeouts are set for the user in the
// database, since such poolers drop what a session asks for. Set Options.NoListen then. A
// takeover cannot end the session of a process that was stopped; the timeouts do.
//
// # CockroachDB and YugabyteDB
//
// Neither was tried. Read against their documentation, what stands in the way is little:
// LISTEN and NOTIFY (CockroachDB has neither; set Options.NoListen, and leave out
// pg_notify), pg_terminate_backend of a session that was stopped (the timeouts of sessions
// do the same, later), set_config, plan_cache_mode, enable_seqscan and jit,
// pg_advisory_xact_lock around a migration and between suppressions and enrollments (the row of the table suppressed could
// be locked instead), SKIP LOCKED where shards are taken (a plain lock would do), and storage
// parameters such as fillfactor. Both run transactions as SERIALIZABLE or with write-write
// restarts, whose errors (40001) Commit already tries again. The rows of engines are the
// only ones that every commit of one engine updates, so they would have to be ranges of
// their own.
//
// # Caveats
//
// A string with a NUL byte, or bytes that are not UTF-8, is stored in an escaped form, which
// other programs see. Numbers of rows have gaps, since they are taken in blocks. The
// table leads has few indexes, so that a step is a HOT update: leave it so, and leave
// autovacuum on.
package postgres
