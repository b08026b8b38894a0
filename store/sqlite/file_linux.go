package sqlite

import (
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// fileID is which file it is, whatever its name.
type fileID struct{ device, inode uint64 }

func idOf(info os.FileInfo) fileID {
	stat := info.Sys().(*syscall.Stat_t)
	return fileID{uint64(stat.Dev), stat.Ino}
}

func (id fileID) is(other fileID) bool { return id == other }

// fileAt returns which file the name leads to. It asks the system for nothing
// else: from Linux 6.13 on, the next write to a file whose times somebody has
// asked for, as os.Stat does, notes a new time, and a commit took a fifth longer
// for that.
func fileAt(name string) (fileID, error) {
	var stat unix.Statx_t
	for {
		switch err := unix.Statx(unix.AT_FDCWD, name, 0, unix.STATX_INO, &stat); err {
		case nil:
			return fileID{unix.Mkdev(stat.Dev_major, stat.Dev_minor), stat.Ino}, nil
		case unix.EINTR:
		case unix.ENOSYS, unix.EPERM: // an old system, or a sandbox that has not heard of statx
			info, err := os.Stat(name)
			if err != nil {
				return fileID{}, err
			}
			return idOf(info), nil
		default:
			return fileID{}, &fs.PathError{Op: "statx", Path: name, Err: err}
		}
	}
}
