package disktest

import (
	"errors"
	"path/filepath"
	"sync"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// This file stands between SQLite and the operating system: a VFS that hands
// everything on to the one that was there before it, and knows of what changes a
// file. It keeps the other's file objects and exchanges their methods, so that
// locks and shared memory go on as they were.

// Watcher is told what SQLite does in a directory.
type Watcher interface {
	// Before is called ahead of an operation, one at a time. What it returns,
	// unless it is OK or Pretend, is what SQLite gets instead; of a write that is
	// refused, half is written.
	Before(op Op) Code
	// After is called when an operation has been done. Neither may keep Op.Data,
	// which is SQLite's.
	//
	// During both, a mutex is held that all watched files of the process share,
	// and for which SQLite waits before it opens or deletes any file. So neither
	// may use SQLite, nor wait for anybody who does: that is a deadlock.
	After(op Op)
}

// Code is what a disk answers.
type Code int32

// The codes. Pretend, which is for a Sync, has it told as done and not done: when
// a test cuts the power only by a [Disk], nothing need ever reach the real one.
const (
	Pretend Code = -1
	OK      Code = sqlite3.SQLITE_OK
	Full    Code = sqlite3.SQLITE_FULL
	IOError Code = sqlite3.SQLITE_IOERR
)

// for each kind of operation, how SQLite calls an error of it.
func (c Code) of(k Kind) int32 {
	if c != IOError {
		return int32(c)
	}
	switch k {
	case Write:
		return sqlite3.SQLITE_IOERR_WRITE
	case Truncate:
		return sqlite3.SQLITE_IOERR_TRUNCATE
	case Sync:
		return sqlite3.SQLITE_IOERR_FSYNC
	case Delete:
		return sqlite3.SQLITE_IOERR_DELETE
	}
	return sqlite3.SQLITE_CANTOPEN
}

var (
	install sync.Once
	failed  error

	// under is the VFS below this one.
	under *sqlite3.Tsqlite3_vfs

	mu      sync.Mutex // guards what follows, and is held during each operation
	watched = map[string]Watcher{}
	open    = map[uintptr]*openFile{} // by SQLite's file object
	tables  = map[uintptr]uintptr{}   // methods of the VFS below, and those instead
)

// openFile is a file of a watched directory.
type openFile struct {
	watcher   Watcher
	name      string
	methods   *sqlite3.Tsqlite3_io_methods // of the VFS below
	syncsName bool                         // its next sync is one of the directory too
}

// Watch has w told of everything that SQLite does to files of dir that are
// opened from now on, by this process, until stop is called; of those that are
// open then, until they are closed. dir must exist, and not be watched already;
// it may be named by way of symbolic links.
//
// The first call makes the VFS that watches the one that SQLite uses in this
// process unless told otherwise, and so it stays: stop ends the watching alone.
func Watch(dir string, w Watcher) (stop func(), err error) {
	if install.Do(register); failed != nil {
		return nil, failed
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return nil, err
	}
	mu.Lock()
	defer mu.Unlock()
	if watched[dir] != nil {
		return nil, errors.New("disktest: " + dir + " is watched already")
	}
	watched[dir] = w
	return func() {
		mu.Lock()
		defer mu.Unlock()
		delete(watched, dir)
	}, nil
}

// register makes the VFS the one that SQLite uses unless told otherwise.
func register() {
	tls := libc.NewTLS()
	defer tls.Close()
	was := sqlite3.Xsqlite3_vfs_find(tls, 0)
	mine := sqlite3.Xsqlite3_malloc(tls, int32(unsafe.Sizeof(sqlite3.Tsqlite3_vfs{})))
	name, err := libc.CString("disktest")
	if was == 0 || mine == 0 || err != nil {
		failed = errors.New("disktest: SQLite has no default VFS, or no memory")
		return
	}
	under = at[sqlite3.Tsqlite3_vfs](was)
	vfs := at[sqlite3.Tsqlite3_vfs](mine)
	*vfs = *under
	vfs.FpNext, vfs.FzName = 0, name
	vfs.FxOpen = pointer(struct {
		f func(*libc.TLS, uintptr, uintptr, uintptr, int32, uintptr) int32
	}{xOpen})
	vfs.FxDelete = pointer(struct {
		f func(*libc.TLS, uintptr, uintptr, int32) int32
	}{xDelete})
	if sqlite3.Xsqlite3_vfs_register(tls, mine, 1) != sqlite3.SQLITE_OK {
		failed = errors.New("disktest: SQLite takes no VFS")
	}
}

// at is what lies at an address that SQLite gave.
func at[T any](address uintptr) *T { return *(**T)(unsafe.Pointer(&address)) }

// pointer is a function of Go, in a struct, as SQLite keeps it. It must be one
// that is no closure, which nothing in Go's memory would hold on to.
func pointer[F any](f F) uintptr { return *(*uintptr)(unsafe.Pointer(&f)) }

// function is a function that SQLite keeps, as one of Go.
func function[F any](address uintptr) F { return *(*F)(unsafe.Pointer(&struct{ uintptr }{address})) }

func xOpen(tls *libc.TLS, _, path, file uintptr, flags int32, out uintptr) int32 {
	mu.Lock()
	defer mu.Unlock()
	call := function[func(*libc.TLS, uintptr, uintptr, uintptr, int32, uintptr) int32](under.FxOpen)
	if path == 0 { // a temporary file
		return call(tls, address(under), path, file, flags, out)
	}
	name := libc.GoString(path)
	w := watched[filepath.Dir(name)]
	if w == nil {
		return call(tls, address(under), path, file, flags, out)
	}
	f := &openFile{watcher: w, name: filepath.Base(name)}
	create := Op{Kind: Create, File: f.name}
	isNew := flags&sqlite3.SQLITE_OPEN_CREATE != 0 && !exists(name)
	if isNew {
		if c := w.Before(create); c != OK {
			return c.of(Create)
		}
	}
	rc := call(tls, address(under), path, file, flags, out)
	object := at[sqlite3.Tsqlite3_file](file)
	if rc != sqlite3.SQLITE_OK || object.FpMethods == 0 {
		return rc
	}
	if isNew {
		w.After(create)
	}
	const journals = sqlite3.SQLITE_OPEN_WAL | sqlite3.SQLITE_OPEN_MAIN_JOURNAL
	f.syncsName = flags&sqlite3.SQLITE_OPEN_CREATE != 0 && flags&journals != 0
	f.methods = at[sqlite3.Tsqlite3_io_methods](object.FpMethods)
	open[file] = f
	object.FpMethods = instead(tls, object.FpMethods)
	return rc
}

// instead returns the methods to have instead of others.
func instead(tls *libc.TLS, methods uintptr) uintptr {
	if tables[methods] != 0 {
		return tables[methods]
	}
	p := sqlite3.Xsqlite3_malloc(tls, int32(unsafe.Sizeof(sqlite3.Tsqlite3_io_methods{})))
	m := at[sqlite3.Tsqlite3_io_methods](p)
	*m = *at[sqlite3.Tsqlite3_io_methods](methods)
	m.FxClose = pointer(struct {
		f func(*libc.TLS, uintptr) int32
	}{xClose})
	m.FxWrite = pointer(struct {
		f func(*libc.TLS, uintptr, uintptr, int32, int64) int32
	}{xWrite})
	m.FxTruncate = pointer(struct {
		f func(*libc.TLS, uintptr, int64) int32
	}{xTruncate})
	m.FxSync = pointer(struct {
		f func(*libc.TLS, uintptr, int32) int32
	}{xSync})
	tables[methods] = p
	return p
}

func xClose(tls *libc.TLS, file uintptr) int32 {
	mu.Lock()
	defer mu.Unlock()
	f := open[file]
	delete(open, file)
	return function[func(*libc.TLS, uintptr) int32](f.methods.FxClose)(tls, file)
}

func xWrite(tls *libc.TLS, file, data uintptr, n int32, off int64) int32 {
	mu.Lock()
	defer mu.Unlock()
	f := open[file]
	call := function[func(*libc.TLS, uintptr, uintptr, int32, int64) int32](f.methods.FxWrite)
	op := Op{Kind: Write, File: f.name, Off: off, Data: unsafe.Slice(at[byte](data), n)}
	c := f.watcher.Before(op)
	if c != OK { // in the middle of it
		n /= 2
		op.Data = op.Data[:n]
	}
	rc := f.told(op, call(tls, file, data, n, off))
	if c != OK {
		return c.of(Write)
	}
	return rc
}

func xTruncate(tls *libc.TLS, file uintptr, size int64) int32 {
	mu.Lock()
	defer mu.Unlock()
	f := open[file]
	op := Op{Kind: Truncate, File: f.name, Off: size}
	if c := f.watcher.Before(op); c != OK {
		return c.of(Truncate)
	}
	return f.told(op, function[func(*libc.TLS, uintptr, int64) int32](f.methods.FxTruncate)(tls, file, size))
}

func xSync(tls *libc.TLS, file uintptr, flags int32) int32 {
	mu.Lock()
	defer mu.Unlock()
	f := open[file]
	op := Op{Kind: Sync, File: f.name}
	rc := int32(sqlite3.SQLITE_OK)
	switch c := f.watcher.Before(op); c {
	case OK:
		rc = function[func(*libc.TLS, uintptr, int32) int32](f.methods.FxSync)(tls, file, flags)
	case Pretend:
	default:
		return c.of(Sync)
	}
	f.told(op, rc)
	if rc == sqlite3.SQLITE_OK && f.syncsName {
		f.syncsName = false
		f.watcher.After(Op{Kind: SyncNames})
	}
	return rc
}

// told passes on that an operation was done, if it was.
func (f *openFile) told(op Op, rc int32) int32 {
	if rc == sqlite3.SQLITE_OK {
		f.watcher.After(op)
	}
	return rc
}

func xDelete(tls *libc.TLS, _, path uintptr, syncDir int32) int32 {
	mu.Lock()
	defer mu.Unlock()
	name := libc.GoString(path)
	w := watched[filepath.Dir(name)]
	op := Op{Kind: Delete, File: filepath.Base(name)}
	if w != nil {
		if c := w.Before(op); c != OK {
			return c.of(Delete)
		}
	}
	rc := function[func(*libc.TLS, uintptr, uintptr, int32) int32](under.FxDelete)(tls, address(under), path, syncDir)
	if w != nil && rc == sqlite3.SQLITE_OK {
		w.After(op)
		if syncDir != 0 {
			w.After(Op{Kind: SyncNames})
		}
	}
	return rc
}

func address(vfs *sqlite3.Tsqlite3_vfs) uintptr { return uintptr(unsafe.Pointer(vfs)) }
