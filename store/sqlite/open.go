package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	moderncsqlite "modernc.org/sqlite"
	zombiezen "zombiezen.com/go/sqlite"

	"github.com/leadflow-go/leadflow/store"
)

// Synchronous says when a commit is synced to disk.
type Synchronous uint8

const (
	// Full syncs at every commit: what Commit acknowledged outlives a power cut.
	Full Synchronous = iota
	// Normal syncs now and then. A power cut, or a crash of the operating system,
	// may lose the commits acknowledged last, which breaks promise 1; a crash of
	// the process loses none. The file is never corrupted.
	Normal
)

// Options of a Store. The zero value is the default and the safe choice.
type Options struct {
	Synchronous Synchronous
}

// ErrClosed: the Store was closed.
var ErrClosed = errors.New("sqlite: store is closed")

// Store is a [store.Store] in one SQLite file. Every method may be
// called from any number of goroutines, Commit too, though the contract does
// not ask for it.
type Store struct {
	path string // absolute, without links
	opts Options
	own  *ownership

	// life is held for reading by whoever uses the database and for writing by
	// Close, so that nothing is closed under anybody.
	life     sync.RWMutex
	closed   bool  // guarded by life
	closeErr error // guarded by life

	lanes lanes

	// writing is held, by sending, by the one goroutine that uses what follows.
	writing chan struct{}
	writer  *writer // nil after a failure; the next commit makes a new one
	files   whereabouts

	last       sequences
	suppressed suppressed
}

var _ store.Store = (*Store)(nil)

// Open opens the file at path, which is a path and not a URI, and creates it if
// there is none; its directory must exist. ctx bounds the opening only.
//
// The error matches [ErrLocked] if the file has an owner already, and is a
// [*ForeignError] or a [*VersionError] if the file is not one of this version
// of leadflow; such a file is left as it was. An opening that fails leaves no new
// file behind.
func Open(ctx context.Context, path string, opts Options) (*Store, error) {
	s, err := open(ctx, path, opts)
	if err != nil {
		return nil, fmt.Errorf("sqlite: open %s: %w", path, advised(err))
	}
	return s, nil
}

func open(ctx context.Context, path string, opts Options) (_ *Store, err error) {
	if opts.Synchronous > Normal {
		return nil, fmt.Errorf("unknown Synchronous %d", opts.Synchronous)
	}
	file, err := resolve(path)
	if err != nil {
		return nil, err
	}
	texts, err := migrations()
	if err != nil {
		return nil, err
	}
	s := &Store{path: file, opts: opts, writing: make(chan struct{}, 1)}
	if s.own, err = acquire(file); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.shut(false))
		}
	}()
	// Before anything that writes: a foreign file stays as it is.
	if err := inspect(ctx, file, len(texts)); err != nil {
		return nil, err
	}
	if err := migrate(ctx, file, texts); err != nil {
		return nil, err
	}
	if err := s.own.hold(); err != nil {
		return nil, err
	}
	if s.files.db, err = fileAt(file); err != nil {
		return nil, err
	}
	if s.writer, err = newWriter(file, opts); err != nil {
		return nil, err
	}
	if err := s.writer.mayWrite(); err != nil {
		return nil, err
	}
	if err := s.last.load(s.writer); err != nil {
		return nil, err
	}
	if err := s.suppressed.load(s.writer); err != nil {
		return nil, err
	}
	if err := s.checkLog(); err != nil {
		return nil, err
	}
	if err := s.syncLog(ctx); err != nil {
		return nil, err
	}
	if s.lanes, err = openLanes(file, runtime.GOMAXPROCS(0)); err != nil {
		return nil, err
	}
	return s, nil
}

// syncLog puts on disk what the last owner wrote to the log and did not live to
// sync: whoever reads from here on sees it, and acts on it (promise 1). As a rule
// inspect and migrate have folded the log into the file, but not while another
// program has it open.
func (s *Store) syncLog(ctx context.Context) error {
	if info, err := os.Stat(s.path + "-wal"); err != nil || info.Size() == 0 {
		return nil
	}
	_, err := s.commit(ctx, &store.Batch{Ping: true}) // syncs the log as a whole
	return err
}

// Close waits for what is under way, folds the write-ahead log into the file
// and gives the file up. Every call after it fails with [ErrClosed], except
// Close itself, which returns what it returned the first time.
func (s *Store) Close() error {
	s.life.Lock()
	defer s.life.Unlock()
	if s.closed {
		return s.closeErr
	}
	s.closed = true
	if err := s.shut(true); err != nil {
		s.closeErr = fmt.Errorf("sqlite: close %s: %w", s.path, advised(err))
	}
	return s.closeErr
}

// shut closes whatever is open. The readers go first: SQLite removes the
// write-ahead log with the last connection, which must be one that can write.
func (s *Store) shut(checkpoint bool) error {
	var errs []error
	errs = append(errs, s.lanes.close())
	if s.writer != nil {
		if checkpoint {
			errs = append(errs, s.writer.checkpoint())
		}
		errs = append(errs, s.writer.close())
	}
	errs = append(errs, s.files.lock.release())
	if s.own != nil {
		if !checkpoint {
			errs = append(errs, s.own.undo())
		}
		errs = append(errs, s.own.release())
	}
	return errors.Join(errs...)
}

// enter keeps the Store open until leave is called.
func (s *Store) enter() error {
	s.life.RLock()
	if s.closed {
		s.life.RUnlock()
		return ErrClosed
	}
	return nil
}

func (s *Store) leave() { s.life.RUnlock() }

// resolve returns the one name of the file that path leads to, whether it
// exists yet or not.
func resolve(path string) (string, error) {
	if path == "" || path == ":memory:" {
		return "", errors.New("the path of a file is needed")
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(abs))
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("the directory %s does not exist: %w", filepath.Dir(abs), err)
	}
	if err != nil {
		return "", err
	}
	file, err := filepath.EvalSymlinks(abs)
	if err == nil {
		info, err := os.Stat(file)
		if err == nil && !info.Mode().IsRegular() {
			return "", errors.New("not a regular file")
		}
		return file, err
	}
	if _, linkErr := os.Lstat(abs); linkErr == nil {
		return "", fmt.Errorf("a link that leads nowhere: %w", err)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	return filepath.Join(dir, filepath.Base(abs)), nil
}

// openDB returns a pool of at most n connections, none of which is opened yet.
func openDB(path string, params url.Values, n int) (*sql.DB, error) {
	connector, err := connect(path, params)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	return db, nil
}

func connect(path string, params url.Values) (driver.Connector, error) {
	return moderncsqlite.NewConnector(dsn(path, params))
}

// dsn returns the URI of the file. As a URI it may hold any character: SQLite
// decodes what url.URL escapes.
func dsn(path string, params url.Values) string {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") { // C:/…
		path = "/" + path
	}
	params.Set("_dqs", "0")      // a misspelt column is an error, not a string
	params.Set("_error_rc", "1") // no message of an earlier error
	return (&url.URL{Scheme: "file", Path: path, RawQuery: params.Encode()}).String()
}

// busyTimeout is for locks of other programs, such as a shell that is used to
// change something.
const busyTimeout = 10 * time.Second

var busyPragma = fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds())

func writerPragmas(opts Options) []string {
	synchronous := "synchronous(FULL)"
	if opts.Synchronous == Normal {
		synchronous = "synchronous(NORMAL)"
	}
	return []string{
		"journal_mode(WAL)",
		synchronous,
		"temp_store(MEMORY)",
		// KiB. The pages that a batch touches must stay between two commits:
		// with SQLite's 2 MB, a million leads are read anew each time.
		"cache_size(-65536)",
		// Pages of the log that are moved into the file at a time, by the commit that
		// comes to so many: at SQLite's 1,000 one removal in 125 waited for that.
		"wal_autocheckpoint(4000)",
		// An import can make the log large; this much of it is kept for reuse.
		"journal_size_limit(67108864)",
	}
}

func writerParams(opts Options) url.Values {
	return url.Values{
		"mode": {"rwc"}, "_txlock": {"immediate"}, "_pragma": append([]string{busyPragma}, writerPragmas(opts)...),
	}
}

var readerPragmas = []string{"temp_store(MEMORY)", "cache_size(-8192)"}

// openConn opens a connection for one goroutine at a time; see writer.
func openConn(path, mode string, flags zombiezen.OpenFlags, pragmas []string) (*zombiezen.Conn, error) {
	conn, err := zombiezen.OpenConn(dsn(path, url.Values{"mode": {mode}}), flags|zombiezen.OpenURI)
	if err != nil {
		return nil, err
	}
	conn.SetBusyTimeout(busyTimeout)
	for _, pragma := range pragmas {
		if err := run(conn, "PRAGMA "+pragma); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", pragma, err), conn.Close())
		}
	}
	return conn, nil
}

// run runs a statement that is needed once.
func run(conn *zombiezen.Conn, text string) error {
	s, _, err := conn.PrepareTransient(text)
	if err != nil {
		return err
	}
	_, err = s.Step()
	return errors.Join(err, s.Finalize())
}
