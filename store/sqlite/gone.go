package sqlite

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/leadflow-go/leadflow/store"
)

// ErrFileGone: the file, or its write-ahead log, was removed, renamed or replaced
// while the Store is open. What is committed then would not be found by whoever
// opens the file next, so nothing is. It matches [store.ErrUnavailable].
var ErrFileGone error = fileGone{}

type fileGone struct{}

func (fileGone) Error() string        { return "the database file is not where it was opened" }
func (fileGone) Is(target error) bool { return target == store.ErrUnavailable }

// whereabouts are which files a Store has open, to be compared with those that are
// found under their names.
type whereabouts struct {
	db   fileID
	log  *fileID  // nil until a transaction has begun on the writer's connection
	lock *logLock // on the log
}

// checkFile returns an error if the file is gone.
func (s *Store) checkFile() error {
	return stillThere(s.path, s.files.db)
}

// checkLog is checkFile for the log. It is called in a transaction, because then
// there is a log; a new writer may have begun a new one, which is locked then.
func (s *Store) checkLog() error {
	name := s.path + "-wal"
	if s.files.log != nil {
		return stillThere(name, *s.files.log)
	}
	err := s.files.lock.release()
	s.files.lock = nil
	if err != nil {
		return err
	}
	if s.files.lock, err = lockLog(name); err != nil {
		return goneError(name, err)
	}
	log, err := fileAt(name)
	if err != nil {
		return goneError(name, err)
	}
	s.files.log = &log
	return nil
}

func stillThere(name string, opened fileID) error {
	found, err := fileAt(name)
	if err != nil {
		return goneError(name, err)
	}
	if !found.is(opened) {
		return fmt.Errorf("%w: %s was replaced by another file; nothing more is written: stop this program, "+
			"and start it again on the file that is to be used", ErrFileGone, name)
	}
	return nil
}

func goneError(name string, err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return fmt.Errorf("%w: %s was removed or renamed; nothing more is written: stop this program, "+
		"put the file or a backup in its place, and start again", ErrFileGone, name)
}
