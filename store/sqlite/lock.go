package sqlite

import (
	"errors"
	"fmt"
	"os"

	"github.com/gofrs/flock"
)

// ErrLocked: the file has an owner already, another process or another Store of
// this one.
var ErrLocked = errors.New("another process has this file open; " +
	"stop it first, or open another file: one file has one owner at a time")

// acquire makes this process the owner of the file, or fails at once (promise
// 12). The lock is one that the operating system drops with the process.
func acquire(path string) (*flock.Flock, error) {
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
		held, err := l.Stat()
		if err != nil {
			return nil, errors.Join(fmt.Errorf("lock: %w", err), l.Close())
		}
		if found, err := os.Stat(l.Path()); err == nil && os.SameFile(held, found) {
			return l, nil
		}
		if err := l.Close(); err != nil {
			return nil, fmt.Errorf("lock: %w", err)
		}
	}
}

// release removes the lock file and then gives up the lock. Where an open file
// cannot be removed it stays, which does no harm.
func release(l *flock.Flock) error {
	os.Remove(l.Path())
	return l.Close()
}
