// Package disktest puts a disk under SQLite that a test can watch, break, and
// cut the power of. It is for tests alone.
//
// [Watch] has every operation on the files of a directory told, in the order in
// which they happen: what SQLite writes, and what it has synced. Each may be
// refused, as a full or failing disk would refuse it. A [Disk] makes of these
// operations what a disk may hold after a power cut: what was synced, and of the
// rest whatever the test says.
//
//	disk := disktest.New(nil)
//	stop, err := disktest.Watch(dir, disk)
//	…                                  // commits
//	files := disk.Cut(nil, disktest.Nothing) // as of now, without what was not synced
//	err = files.WriteTo(other, "")    // to be opened again
//
// # What the disk promises
//
// What a sync returned for is there. A write that was not synced may be there or
// not, sector by sector, in whatever order, or as garbage; bytes beside it keep
// what they had, which is what SQLite assumes too (its powersafe overwrite). A
// file's name appears and goes with a sync of the directory, which SQLite makes
// with the first sync of a journal or a write-ahead log that it opened to write.
//
// A sync that fails leaves what it was for as a power cut does, and the next one
// does not make up for it: that is what Linux does.
package disktest
