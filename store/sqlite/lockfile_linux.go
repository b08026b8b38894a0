package sqlite

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// heldFile is a lock on the database file itself, by flock(2). On Linux that and
// the locks of fcntl(2), which SQLite uses, know nothing of each other.
//
// But a process that closes any descriptor of a file loses all of its fcntl locks
// on it, SQLite's among them, and another program could then have the file for
// itself and do without the write-ahead log. So nothing here closes a descriptor of
// a file while a connection of this process is open to it; see filesInUse.
type heldFile struct {
	file *os.File
	id   fileID
}

// filesInUse are the files to which connections of this process are, or may be,
// open.
var filesInUse = struct {
	sync.Mutex
	of map[fileID]*fileUse
}{of: map[fileID]*fileUse{}}

// fileUse is who uses a file. Guarded by filesInUse.
type fileUse struct {
	owned bool
	users int        // the owner and those who only read
	spare []*os.File // descriptors to close when nobody is left
}

// holdFile locks the file.
func holdFile(path string) (*heldFile, error) {
	filesInUse.Lock()
	defer filesInUse.Unlock()
	for {
		if before, err := os.Stat(path); err == nil {
			if use := filesInUse.of[idOf(before)]; use != nil && use.owned {
				return nil, ErrLocked // without a descriptor that would have to be closed
			}
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return nil, fmt.Errorf("lock: %w", err)
		}
		info, err := f.Stat()
		if err != nil {
			return nil, errors.Join(fmt.Errorf("lock: %w", err), f.Close())
		}
		id := idOf(info)
		use := filesInUse.of[id]
		discard := func() error {
			if use != nil {
				use.spare = append(use.spare, f)
				return nil
			}
			return f.Close()
		}
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(ErrLocked, discard())
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("lock: %w", err), discard())
		}
		if found, err := os.Stat(path); err == nil && os.SameFile(info, found) {
			if use == nil {
				use = &fileUse{}
				filesInUse.of[id] = use
			}
			use.owned = true
			use.users++
			return &heldFile{f, id}, nil
		}
		// It was moved or removed meanwhile.
		if err := errors.Join(syscall.Flock(int(f.Fd()), syscall.LOCK_UN), discard()); err != nil {
			return nil, fmt.Errorf("lock: %w", err)
		}
	}
}

func (h *heldFile) release() error {
	filesInUse.Lock()
	defer filesInUse.Unlock()
	use := filesInUse.of[h.id]
	use.owned = false
	use.spare = append(use.spare, h.file)
	return errors.Join(syscall.Flock(int(h.file.Fd()), syscall.LOCK_UN), use.leave(h.id))
}

// leave is called when somebody has closed their connections.
func (use *fileUse) leave(id fileID) error {
	if use.users--; use.users > 0 {
		return nil
	}
	delete(filesInUse.of, id)
	var errs []error
	for _, f := range use.spare {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// useFile says that a connection to the file is going to be opened without owning
// it, until done is called.
func useFile(info os.FileInfo) (done func() error) {
	filesInUse.Lock()
	defer filesInUse.Unlock()
	id := idOf(info)
	use := filesInUse.of[id]
	if use == nil {
		use = &fileUse{}
		filesInUse.of[id] = use
	}
	use.users++
	return func() error {
		filesInUse.Lock()
		defer filesInUse.Unlock()
		return use.leave(id)
	}
}

// logLock is a lock on a write-ahead log, which keeps another database away from
// it: one that takes the place of a file that was renamed without its log. SQLite
// has no locks on the log itself, so its descriptors may be closed at any time.
type logLock struct{ file *os.File }

// lockLog locks the log, which must exist. The error matches ErrLocked if another
// Store has it.
func lockLog(name string) (*logLock, error) {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = ErrLocked
		}
		return nil, errors.Join(err, f.Close())
	}
	return &logLock{f}, nil
}

func (l *logLock) release() error {
	if l == nil {
		return nil
	}
	return l.file.Close()
}

// lockHolder returns the process that has a file locked by flock(2), or 0 if that
// cannot be told, as in another namespace of processes.
func lockHolder(name string) int {
	info, err := os.Stat(name)
	if err != nil {
		return 0
	}
	text, err := os.ReadFile("/proc/locks")
	if err != nil {
		return 0
	}
	id := idOf(info)
	major, minor := id.device>>8&0xfff|id.device>>32&^0xfff, id.device&0xff|id.device>>12&^0xff
	file := fmt.Sprintf("%02x:%02x:%d", major, minor, id.inode)
	for line := range strings.Lines(string(text)) {
		// 1: FLOCK ADVISORY WRITE 4711 fe:00:131 0 EOF
		if f := strings.Fields(line); len(f) > 5 && f[1] == "FLOCK" && f[5] == file {
			pid, _ := strconv.Atoi(f[4])
			return max(pid, 0)
		}
	}
	return 0
}
