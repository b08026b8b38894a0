package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/leadflow-go/leadflow/store"
)

// Options of a Store. The zero value is the default.
type Options struct {
	// Schema is the name of the schema in which the tables are. Default "leadflow".
	Schema string
	// Name is what the engine is called in lists of engines. Two may have the same one.
	// Default: the host's name and the number of the process.
	Name string
	// Lease is how long the engine may be silent before the others take over its leads.
	// Default 10 s; at least 1 s.
	Lease time.Duration
	// Readers is the most connections that readers have, apart from the engine's own,
	// which are six at most. Default 8.
	Readers int
	// Poll is how often an engine looks for what others have done; for new work the
	// others wake it immediately. Default 1 s; 250 ms with NoListen.
	Poll time.Duration
	// NoListen does without LISTEN, which poolers in transaction mode do not support.
	NoListen bool
	// NoMigrate has Open refuse a schema that is not of this version, rather than take
	// it there. See [Migrate] and [SQL].
	NoMigrate bool
}

const (
	defaultSchema  = "leadflow"
	defaultLease   = 10 * time.Second
	defaultReaders = 8
)

func (o Options) withDefaults() Options {
	if o.Schema == "" {
		o.Schema = defaultSchema
	}
	if o.Lease == 0 {
		o.Lease = defaultLease
	}
	if o.Readers == 0 {
		o.Readers = defaultReaders
	}
	if o.Poll == 0 {
		o.Poll = listenEvery
		if o.NoListen {
			o.Poll = pollEvery
		}
	}
	if o.Name == "" {
		host, err := os.Hostname()
		if err != nil {
			host = "unknown host"
		}
		o.Name = host + ", process " + strconv.Itoa(os.Getpid())
	}
	return o
}

func (o Options) check() error {
	var faults []error
	if len(o.Schema) > 63 {
		faults = append(faults, errors.New("options: Schema must have at most 63 bytes"))
	}
	if o.Lease < time.Second {
		faults = append(faults, errors.New("options: Lease must be at least 1s, or 0 for the default"))
	}
	if o.Poll < 0 {
		faults = append(faults, errors.New("options: Poll must not be negative"))
	}
	if o.Readers < 1 {
		faults = append(faults, errors.New("options: Readers must not be negative"))
	}
	return errors.Join(faults...)
}

// Timeouts of every session. What waits longer has failed, and is tried again.
const (
	// lockTimeout bounds waiting for a lock that another session has.
	lockTimeout = 3 * time.Second
	// idleTimeout ends a session that has begun a transaction and says no more, such as
	// that of a process that was stopped.
	idleTimeout      = 3 * time.Second
	statementTimeout = 30 * time.Second
	connectTimeout   = 5 * time.Second
)

// parse reads the URL, or the keywords and values, of a database.
func (o Options) parse(url string) (*pgxpool.Config, error) {
	c, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	p := c.ConnConfig.RuntimeParams
	p["search_path"] = pgx.Identifier{o.Schema}.Sanitize()
	if p["application_name"] == "" {
		p["application_name"] = "leadflow"
	}
	for name, d := range map[string]time.Duration{
		"lock_timeout": lockTimeout, "idle_in_transaction_session_timeout": idleTimeout, "statement_timeout": statementTimeout,
	} {
		if p[name] == "" {
			p[name] = strconv.FormatInt(d.Milliseconds(), 10)
		}
	}
	if c.ConnConfig.ConnectTimeout == 0 {
		c.ConnConfig.ConnectTimeout = connectTimeout
	}
	return c, nil
}

// ErrClosed: the Store was closed.
var ErrClosed = errors.New("postgres: store is closed")

// Store is a [store.Store] in one schema of a PostgreSQL database. Every method may be
// called from any number of goroutines.
type Store struct {
	opts    Options
	config  *pgx.ConnConfig
	readers *pgxpool.Pool // for users
	loop    *pgxpool.Pool // for the engine's own reads: no user can hold them up
	control *pgxpool.Pool // for the lease and what else concerns other engines: no read can hold it up
	numbers numbers
	silence time.Duration // a server that says nothing for so long is given up
	place   atomic.Pointer[place]
	mine    atomic.Pointer[[]int16] // the shards whose due leads are read; nil for all
	sharing sharing
	waking  chan struct{} // others are to be woken
	heard   atomic.Bool   // others can wake this engine

	closing chan struct{}
	once    sync.Once
	done    sync.WaitGroup

	writing chan struct{} // held, by sending, by the one who uses what follows
	conn    *pgx.Conn     // that commits; nil after a failure
	backend backend       // of that connection
	batch   int64         // the last one that was sent
	careful int           // how many batches are to be written without hope; see carefulFor
}

// backend is a process of the server.
type backend struct {
	pid   int32
	begun time.Time
}

var (
	_ store.Store  = (*Store)(nil)
	_ store.Shared = (*Store)(nil)
)

// Open opens the schema in the database at url, which is a URL
// (postgres://user@host/database?sslmode=verify-full) or keywords and values, as libpq
// reads them, with the environment's PGHOST and its like as defaults. It makes the
// schema if there is none. ctx bounds the opening alone. Any number of Stores may be
// open at the same time, each for one engine.
//
// The error is a [*VersionError] if the schema is not of a version that this program can
// use.
func Open(ctx context.Context, url string, opts Options) (*Store, error) {
	s, err := open(ctx, url, opts)
	if err != nil {
		return nil, fmt.Errorf("postgres: open: %w", err)
	}
	return s, nil
}

func open(ctx context.Context, url string, opts Options) (*Store, error) {
	opts = opts.withDefaults()
	if err := opts.check(); err != nil {
		return nil, err
	}
	config, err := opts.parse(url)
	if err != nil {
		return nil, err
	}
	s := &Store{opts: opts, config: config.ConnConfig, closing: make(chan struct{}), writing: make(chan struct{}, 1), silence: maxSilence}
	s.waking, s.sharing.woken = make(chan struct{}, 1), make(chan struct{}, 1)
	if err := s.connect(ctx); err != nil {
		return nil, err
	}
	fail := func(err error) (*Store, error) {
		s.disconnect()
		return nil, err
	}
	if opts.NoMigrate {
		err = checkVersion(ctx, s.conn)
	} else {
		err = migrate(ctx, s.conn, opts.Schema)
	}
	if err != nil {
		return fail(err)
	}
	if err := s.join(ctx); err != nil {
		return fail(err)
	}
	// A pool makes no connection before one is needed, so only a fault of the options is
	// an error.
	ofLoop := config.Copy()
	byIndex(ofLoop.ConnConfig)
	for _, p := range []struct {
		pool   **pgxpool.Pool
		config *pgxpool.Config
		most   int
	}{{&s.readers, config, opts.Readers}, {&s.loop, ofLoop, 2}, {&s.control, config, 2}} {
		if *p.pool, err = newPool(ctx, p.config, p.most); err != nil {
			return fail(err)
		}
	}
	s.numbers.pool = s.loop
	s.done.Go(s.renew)
	s.done.Go(s.waker)
	return s, nil
}

func newPool(ctx context.Context, config *pgxpool.Config, most int) (*pgxpool.Pool, error) {
	c := config.Copy()
	c.MaxConns, c.MinConns = int32(most), 0
	return pgxpool.NewWithConfig(ctx, c)
}

func checkVersion(ctx context.Context, conn *pgx.Conn) error {
	texts, err := migrations()
	if err != nil {
		return err
	}
	version, err := schemaVersion(ctx, conn)
	if isUndefined(err) {
		version, err = 0, nil
	}
	if err == nil && version != len(texts) {
		err = &VersionError{version, len(texts)}
	}
	return err
}

// planOnce has the server plan each statement of the connection once. They are always the
// same: planning them anew for each commit would take as long as the commit.
func planOnce(config *pgx.ConnConfig) {
	config.RuntimeParams["plan_cache_mode"] = "force_generic_plan"
	byIndex(config)
}

// byIndex keeps the server from reading tables from end to end. It plans statements while
// tables are empty, when that seems best, and goes on like that until autovacuum comes by.
// Where there is no other way, for a table of one row, such a plan counts as expensive, and
// the server would compile it each time, which takes it tens of milliseconds.
func byIndex(config *pgx.ConnConfig) {
	config.RuntimeParams["enable_seqscan"] = "off"
	config.RuntimeParams["jit"] = "off"
}

// connect makes the connection that commits.
func (s *Store) connect(ctx context.Context) error {
	config := s.config.Copy()
	planOnce(config)
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	b := backend{pid: int32(conn.PgConn().PID())}
	// The time is asked for beside the number because numbers are used again. Behind a
	// pooler the number may be that of another session, and is of no use.
	err = conn.QueryRow(ctx, "SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()").Scan(&b.pid, &b.begun)
	if err != nil {
		conn.Close(ctx)
		return err
	}
	s.conn, s.backend = conn, b
	return nil
}

// disconnect drops the connection that commits.
func (s *Store) disconnect() {
	if s.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	s.conn.Close(ctx)
	s.conn = nil
}

// Close gives up the engine's place, so that others take over its leads at once, and closes
// all connections, after
// the commit and the reads that are under way. Closing again does nothing.
func (s *Store) Close() (err error) {
	s.once.Do(func() {
		close(s.closing)
		s.done.Wait()
		s.writing <- struct{}{} // for good
		err = s.release()
		s.disconnect()
		s.readers.Close()
		s.loop.Close()
		s.control.Close()
	})
	return err
}

// closed returns ErrClosed once Close was called.
func (s *Store) closed() error {
	select {
	case <-s.closing:
		return ErrClosed
	default:
		return nil
	}
}
