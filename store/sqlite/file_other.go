//go:build !linux

package sqlite

import "os"

// fileID is which file it is, whatever its name.
type fileID struct{ os.FileInfo }

func (id fileID) is(other fileID) bool { return os.SameFile(id.FileInfo, other.FileInfo) }

// fileAt returns which file the name leads to.
func fileAt(name string) (fileID, error) {
	info, err := os.Stat(name)
	return fileID{info}, err
}
