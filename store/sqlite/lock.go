package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/gofrs/flock"
)

// ErrLocked: the file has an owner already, another process or another Store of
// this one.
var ErrLocked = errors.New("another process has this file open; " +
	"stop it first, or open another file: one file has one owner at a time")

// ownership is a process's right to be the one that uses a file (promise 12). It
// is locks that the operating system drops with the process: one on a file beside
// it, which every version of this package takes and which works everywhere; and,
// where the system has locks for that, one on the file itself, whatever its name,
// and one on its log, see logLock.
type ownership struct {
	path   string
	beside *flock.Flock
	file   *heldFile // nil until it exists
	isNew  bool      // it did not exist before
}

// acquire makes this process the owner of the file, or fails immediately. A file
// that does not exist is not created: then hold is to be called when it is.
func acquire(path string) (_ *ownership, err error) {
	defer func() {
		if errors.Is(err, ErrLocked) {
			err = withHolder(err, path)
		}
	}()
	o := &ownership{path: path}
	if o.beside, err = acquireBeside(path); err != nil {
		return nil, err
	}
	if err := o.start(); err != nil {
		return nil, errors.Join(err, releaseBeside(o.beside))
	}
	return o, nil
}

func (o *ownership) start() error {
	// The log may be that of a file that was renamed, and is open still.
	switch log, err := lockLog(o.path + "-wal"); {
	case err == nil:
		if err := log.release(); err != nil {
			return err
		}
	case errors.Is(err, ErrLocked):
		return err
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("lock: %w", err)
	}
	if _, err := os.Stat(o.path); errors.Is(err, fs.ErrNotExist) {
		o.isNew = true
		return nil
	}
	return o.hold()
}

// withHolder adds to the error who has the file, where the system tells.
func withHolder(err error, path string) error {
	for _, name := range []string{path, path + ".lock", path + "-wal"} {
		switch pid := lockHolder(name); pid {
		case 0:
		case os.Getpid():
			return fmt.Errorf("%w (it is this process, %d)", err, pid)
		default:
			return fmt.Errorf("%w (it is process %d)", err, pid)
		}
	}
	return err
}

// hold locks the file itself, if that was not done yet.
func (o *ownership) hold() (err error) {
	if o.file == nil {
		o.file, err = holdFile(o.path)
	}
	return err
}

// release gives the file up. No connection to it may be open: to close the file
// that is locked would take SQLite's own locks away.
func (o *ownership) release() (err error) {
	if o.file != nil {
		err = o.file.release()
	}
	return errors.Join(err, releaseBeside(o.beside))
}

// undo removes a file that was created for an opening that failed, if nothing was
// written to it.
func (o *ownership) undo() error {
	if info, err := os.Stat(o.path); !o.isNew || err != nil || info.Size() > 0 {
		return nil
	}
	return os.Remove(o.path)
}

func acquireBeside(path string) (*flock.Flock, error) {
	for {
		l := flock.New(path+".lock", flock.SetPermissions(0o644))
		ok, err := l.TryLock()
		if err != nil {
			return nil, fmt.Errorf("lock: %w", err)
		}
		if !ok {
			return nil, ErrLocked
		}
		// The last owner removes the lock file while it holds the lock. Who opened
		// it before that now has a lock on a file that nobody else can find.
		if found, err := isAt(l, l.Path()); err != nil {
			return nil, errors.Join(fmt.Errorf("lock: %w", err), l.Close())
		} else if found {
			return l, nil
		}
		if err := l.Close(); err != nil {
			return nil, fmt.Errorf("lock: %w", err)
		}
	}
}

// releaseBeside removes the lock file, unless it is another owner's by now, and
// then gives up the lock. Where an open file cannot be removed it stays, which
// does no harm.
func releaseBeside(l *flock.Flock) error {
	if found, err := isAt(l, l.Path()); err == nil && found {
		os.Remove(l.Path())
	}
	return l.Close()
}

// isAt reports whether an open file is the one that is found at path.
func isAt(open interface{ Stat() (os.FileInfo, error) }, path string) (bool, error) {
	held, err := open.Stat()
	if err != nil {
		return false, err
	}
	found, err := os.Stat(path)
	return err == nil && os.SameFile(held, found), nil
}
