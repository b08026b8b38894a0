// Package sqlite keeps leads in one SQLite file. It is the default store, and
// implements [store.Store] with modernc.org/sqlite, which needs no C compiler.
//
//	s, err := sqlite.Open(ctx, "leads.db", sqlite.Options{})
//	if err != nil {
//		return err
//	}
//	defer s.Close()
//
// # Guarantees
//
// A batch that [Store.Commit] acknowledged is on disk: the file is in WAL mode
// with synchronous=FULL, so each commit ends with a sync (promise 1). See
// [Normal] for what less costs.
//
// One [Store] owns the file (promise 12). It holds a lock on the file's name
// with ".lock" behind it and, on Linux, on the file itself, whatever its name, and
// on its log, which keeps another file from taking its place; another Open of the
// same file fails immediately with [ErrLocked]. The locks go
// with the process, however that ends. Symbolic links are followed first, so on
// every system two of them to a file are the same file. Programs that only read,
// such as the sqlite3 shell, may have the file open at any time; one that writes
// will break what the engine knows. While one holds SQLite's lock, Commit waits,
// for ten seconds at most, and fails with [store.ErrBusy].
//
// A file that is removed, renamed or replaced while it is open, or whose
// write-ahead log is, takes no more commits: they fail with [ErrFileGone], and go
// on if the same file comes back to its place. Reads go on meanwhile.
//
// A file that another program made, or a newer version of this package, is
// refused untouched, with [ForeignError] or [VersionError].
//
// # Readers
//
// What an engine's loop reads ([store.LoopReader]) has connections of its own, and
// waits for no user. Users' reads wait for one another in the order in which they
// came: those of one lead, and counts, in one lane; lists, which may be long, in
// another, of which no more run at the same time than half of GOMAXPROCS, and which
// let others have a turn every few hundred rows.
//
// Leads are listed by state and node, phone or external id, and counted by state
// and node, without looking at any others: an Offset passes over entries of an
// index, and a page behind After does not even do that. Calls are listed by
// workflow, lead, phone, call id or time in the same way; a Status alone looks at
// all of them. Suppressions are listed by number, phone, external id, workflow, channel, or
// whether they are in force, and the audit trail by lead, phone, external id, workflow,
// actor or time. The lists of the audit trail by time alone are sorted first.
//
// Enrolling looks up each phone and external id among the suppressions, if there are any.
//
// A row that cannot be read, because something else wrote to the file or the disk
// forgot what it had, is left out of lists and named in [store.RowErrors].
//
// # Caveats
//
// While a Store is open, and after a crash, the file has companions: NAME-wal
// holds the latest commits and is as much part of the data as the file itself,
// NAME-shm is an index of it, and NAME.lock is the lock. Close folds them into
// the one file and removes them.
//
// Use one name for the file: after a crash the NAME-wal beside that name has its
// latest commits, and under another name, such as a hard link, they would not be
// found. A file that is not there, or empty, and has a NAME-wal beside it is
// refused, for SQLite would remove that. Nothing else in the process may open and
// close the file, which on Unix takes away the locks of SQLite: copy it with
// [Backup].
//
// The file must not be on a network file system: WAL mode needs memory shared
// between processes, and locks there are not to be relied on.
//
// To back up while the Store is open, call [Backup], from any process, or run
//
//	sqlite3 leads.db "VACUUM INTO 'backup.db'"
//
// Copying the file alone leaves out what is in NAME-wal; copy it after Close, or
// snapshot the whole file system. With leads.db, move its -wal along, or the copy
// will be stale.
//
// What a disk has synced it must keep. SQLite has checksums in NAME-wal and none
// in the file itself: a page there that was overwritten is found out when it makes
// no sense, and a NAME-wal with a fault in it counts up to that fault, so that the
// batches behind it are silently lost.
//
// A sequence number that was reserved and never written may be handed out again
// after a restart.
package sqlite
