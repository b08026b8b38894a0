//go:build !linux

package sqlite

import "os"

// heldFile is no lock: elsewhere than on Linux, flock(2) and SQLite's own locks
// get in each other's way, or there is none. The lock beside the file is all
// there is.
type heldFile struct{}

func holdFile(string) (*heldFile, error) { return &heldFile{}, nil }

func (*heldFile) release() error { return nil }

// logLock is no lock either.
type logLock struct{}

func lockLog(string) (*logLock, error) { return nil, nil }

func (*logLock) release() error { return nil }

func lockHolder(string) int { return 0 }

func useFile(os.FileInfo) (done func() error) { return func() error { return nil } }
