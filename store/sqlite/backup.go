package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
)

// Backup writes a copy of the database at path to dest, which must not exist
// yet, while a Store, of this process or another, may be at work on it: the
// copy is the file as of one commit, and commits go on meanwhile. It is one
// file, to be opened as any other, with whatever space the original had to
// spare left out. Only its owner may read it.
//
// dest is complete and on disk when it appears under its name. When Backup
// fails there is none: an existing file is refused with an error that matches
// fs.ErrExist, a path without a database with one that matches fs.ErrNotExist,
// and a database that Open would refuse as Open does. ctx ends it early.
func Backup(ctx context.Context, path, dest string) error {
	if err := backup(ctx, path, dest); err != nil {
		return fmt.Errorf("sqlite: back up %s: %w", path, advised(err))
	}
	return nil
}

func backup(ctx context.Context, path, dest string) (err error) {
	file, err := resolve(path)
	if err != nil {
		return err
	}
	// No look into the file itself: to close it again would drop the locks that
	// this process may have on it.
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	if info.Size() == 0 {
		return errors.New("the file is empty")
	}
	done := useFile(info)
	defer func() { err = errors.Join(err, done()) }()
	if dest == "" {
		return errors.New("the path of the copy is needed")
	}
	if dest, err = filepath.Abs(dest); err != nil {
		return err
	}
	if err := refuseExisting(dest); err != nil {
		return err
	}
	// Beside its final place, so that to move it there is to give it a name.
	made, err := os.CreateTemp(filepath.Dir(dest), "."+filepath.Base(dest)+".*.tmp")
	if err != nil {
		return err
	}
	temp := made.Name()
	defer func() {
		for _, name := range []string{temp, temp + "-journal"} {
			if gone := os.Remove(name); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
				err = errors.Join(err, gone)
			}
		}
	}()
	if err := made.Close(); err != nil {
		return err
	}
	if err := vacuumInto(ctx, file, temp); err != nil {
		return err
	}
	if err := syncFile(temp); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if err := nameFile(temp, dest); err != nil {
		return err
	}
	return syncDir(filepath.Dir(dest))
}

func refuseExisting(dest string) error {
	if _, err := os.Lstat(dest); err == nil {
		return fmt.Errorf("%s: %w; a backup overwrites nothing", dest, fs.ErrExist)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// vacuumInto has SQLite write the database anew, in one read transaction. The
// connection may write, though it does not: one that may not would leave a
// write-ahead log behind when it is the last to close.
func vacuumInto(ctx context.Context, file, temp string) error {
	texts, err := migrations()
	if err != nil {
		return err
	}
	db, err := openDB(file, url.Values{"mode": {"rw"}, "_pragma": {busyPragma, "cache_size(-8192)"}}, 1)
	if err != nil {
		return err
	}
	err = checkHeader(ctx, db, len(texts))
	if err == nil {
		_, err = db.ExecContext(ctx, `VACUUM INTO ?`, temp)
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return errors.Join(err, db.Close())
}

// syncFile puts on disk what SQLite wrote, which it leaves to the system.
func syncFile(name string) error {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// nameFile gives a file its name, unless that is taken. The old name may stay.
func nameFile(temp, dest string) error {
	err := os.Link(temp, dest) // in one step, and it refuses to replace
	if err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	// A file system without links.
	if err := refuseExisting(dest); err != nil {
		return err
	}
	return os.Rename(temp, dest)
}

// syncDir puts a directory's names on disk.
func syncDir(name string) error {
	if runtime.GOOS == "windows" { // where a directory cannot be synced
		return nil
	}
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
