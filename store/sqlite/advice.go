package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	moderncsqlite "modernc.org/sqlite"
	zombiezen "zombiezen.com/go/sqlite"

	"github.com/leadflow-go/leadflow/store"
)

// advised adds to an error of SQLite, or of the system, what can be done about
// it. SQLite says what it met, and not always in words that say where to look.
func advised(err error) error {
	advice := adviceOn(err)
	if advice == adviceLocked && !errors.Is(err, store.ErrBusy) {
		return fmt.Errorf("%w: %w: %s", store.ErrBusy, err, advice)
	}
	if advice != "" {
		return fmt.Errorf("%w: %s", err, advice)
	}
	return err
}

const (
	adviceFull     = "make room on the disk; what is written after that succeeds"
	adviceDisk     = "check the system log and free space"
	adviceWritable = "this user must be allowed to write the file and its directory, on a file system that is not read-only"
	adviceDamaged  = "the file is damaged, or not a database: stop, keep it and its -wal file as they are, and restore a backup"
	adviceRow      = "everything else goes on; keep a copy of the file, and check it with PRAGMA integrity_check"
	adviceLocked   = "another program has the file locked, such as a shell in the middle of a transaction; end that first"
)

// errSenseless: something in the file is as this package never writes it.
var errSenseless = errors.New("unexpected data in the database file")

func adviceOn(err error) string {
	code := zombiezen.ErrCode(err)
	if driver := (*moderncsqlite.Error)(nil); errors.As(err, &driver) {
		code = zombiezen.ResultCode(driver.Code())
	}
	switch code.ToPrimary() {
	case zombiezen.ResultFull:
		return adviceFull
	case zombiezen.ResultIOErr:
		return adviceDisk
	case zombiezen.ResultReadOnly, zombiezen.ResultCantOpen, zombiezen.ResultPerm:
		return adviceWritable
	case zombiezen.ResultCorrupt, zombiezen.ResultNotADB:
		return adviceDamaged
	case zombiezen.ResultBusy:
		return adviceLocked
	}
	switch {
	case errors.Is(err, errSenseless):
		return adviceRow
	case errors.Is(err, syscall.ENOSPC):
		return adviceFull
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return adviceWritable
	}
	return ""
}
