package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/leadflow-go/leadflow/store"
)

// sharing is what a Store remembers from one Sync to the next.
type sharing struct {
	mu sync.Mutex
	// delivered are the notices that the last Sync has returned. noted are those that the
	// engine has taken note of, and that the next one deletes.
	delivered, noted []int64
	listening        sync.Once
	woken            chan struct{}
}

const (
	syncText = `WITH e AS (UPDATE engines SET until = clock_timestamp() + $2, takes = $3, seen = greatest(seen, $4)
			WHERE epoch = $1 AND NOT over RETURNING flows)
		SELECT flows, (SELECT max(epoch) FROM engines) FROM e`
	othersText = `SELECT epoch, takes, extract(epoch FROM until - clock_timestamp()), backend, begun FROM engines
		WHERE NOT over AND epoch <> $1 ORDER BY epoch`
	shardsText  = `SELECT shard, epoch FROM shards ORDER BY shard`
	notedText   = `DELETE FROM notices WHERE id = ANY($1)`
	noticesText = `SELECT id, shard, engine, lead, wake FROM notices WHERE engine = $1
			OR engine = 0 AND shard IN (SELECT shard FROM shards WHERE epoch = $1) ORDER BY id LIMIT $2`
	dropNoticesText = `DELETE FROM notices n WHERE n.engine <> 0 AND NOT EXISTS (SELECT FROM engines e WHERE e.epoch = n.engine AND NOT e.over)`
	takeoverText    = `UPDATE engines SET over = true WHERE epoch = $1 AND until < clock_timestamp() AND NOT over`
	terminateText   = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1 AND backend_start = $2`
	stillText       = `WITH e AS (UPDATE engines SET until = clock_timestamp() + $2 WHERE epoch = $1 AND NOT over RETURNING 1) SELECT 1 / count(*) FROM e`
	takeShardsText  = `UPDATE shards SET epoch = $1 WHERE shard IN (SELECT shard FROM shards s WHERE s.epoch <> $1
			AND NOT EXISTS (SELECT FROM engines e WHERE e.epoch = s.epoch AND NOT e.over) ORDER BY shard LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING shard`
	releaseShardsText = `WITH r AS (UPDATE shards SET epoch = 0 WHERE epoch = $1 AND shard = ANY($2) RETURNING 1) SELECT 1 / (count(*) = $3)::int FROM r`
	// Nobody would ever read a notice for an engine that has gone.
	noteText = `INSERT INTO notices (shard, engine, lead, wake)
		SELECT shard, engine, lead, wake FROM unnest($1::smallint[], $2::bigint[], $3::bigint[], $4::bigint[]) AS u (shard, engine, lead, wake)
		WHERE engine = 0 OR EXISTS (SELECT FROM engines e WHERE e.epoch = u.engine AND NOT e.over)`
	changedText     = `UPDATE engines SET flows = flows + 1 WHERE epoch <> $1 AND NOT over`
	lockEnginesText = `SELECT epoch FROM engines WHERE NOT over ORDER BY epoch FOR UPDATE`
	expectText      = `SELECT 1 / (coalesce(sum(n), 0) = $3)::int FROM node_counts WHERE workflow = $1 AND state = ANY($2)`
	agreedText      = `SELECT NOT EXISTS (SELECT FROM engines WHERE NOT over AND takes AND seen < flows AND epoch <> $1)`
	heededText      = `SELECT NOT EXISTS (SELECT FROM notices JOIN unnest($1::bigint[], $2::bigint[]) AS u (engine, lead) USING (engine, lead))`
	enginesText     = `SELECT e.epoch, e.name, e.takes, extract(epoch FROM e.until - clock_timestamp())::float8, e.joined,
			array(SELECT shard FROM shards s WHERE s.epoch = e.epoch ORDER BY shard) FROM engines e WHERE NOT e.over ORDER BY e.epoch`
)

const (
	// The defaults of Options.Poll, without and with LISTEN.
	pollEvery   = 250 * time.Millisecond
	listenEvery = time.Second
	// mostNotices are taken up by one Sync.
	mostNotices = 10_000
)

// other is another engine that has a place.
type other struct {
	epoch int64
	takes bool
	left  time.Duration // of its lease
	backend
}

// Sync implements [store.Shared].
func (s *Store) Sync(ctx context.Context, take bool, seen int64) (store.Membership, error) {
	m, err := s.sync(ctx, take, seen)
	if errors.Is(err, store.ErrLost) {
		m, err = s.sync(ctx, take, 0)
	}
	if err != nil {
		err = s.failed(err)
		return store.Membership{}, fmt.Errorf("postgres: extend the lease: %w", err)
	}
	return m, nil
}

func (s *Store) sync(ctx context.Context, take bool, seen int64) (m store.Membership, err error) {
	if err := s.closed(); err != nil {
		return m, err
	}
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	sh := &s.sharing
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if take && !s.opts.NoListen {
		sh.listening.Do(func() { s.done.Go(s.listen) })
	}
	if s.place.Load().ended() {
		if err := s.rejoin(ctx); err != nil {
			return m, err
		}
		sh.delivered, sh.noted, seen = nil, nil, 0
	}
	p := s.place.Load()
	m.Engine = p.epoch

	asked := time.Now()
	var others []other
	of := map[int16]int64{}
	var notices []store.Notice
	var ids []int64
	var b pgx.Batch
	lost := false
	b.Queue(syncText, p.epoch, s.opts.Lease, take, seen).QueryRow(func(row pgx.Row) error {
		err := row.Scan(&m.Flows, &m.Newest)
		if errors.Is(err, pgx.ErrNoRows) {
			lost, err = true, nil
		}
		return err
	})
	b.Queue(notedText, sh.noted)
	// The newest number was read before the others are: whoever is not among those, and is
	// not newer, is over.
	b.Queue(othersText, p.epoch).Query(func(rows pgx.Rows) error {
		var o other
		var left float64
		_, err := pgx.ForEachRow(rows, []any{&o.epoch, &o.takes, &left, &o.pid, &o.begun}, func() error {
			o.left = time.Duration(left * float64(time.Second))
			others = append(others, o)
			return nil
		})
		return err
	})
	b.Queue(shardsText).Query(func(rows pgx.Rows) error {
		var shard int16
		var epoch int64
		_, err := pgx.ForEachRow(rows, []any{&shard, &epoch}, func() error {
			of[shard] = epoch
			if epoch == p.epoch {
				m.Shards = append(m.Shards, shard)
			}
			return nil
		})
		return err
	})
	b.Queue(noticesText, p.epoch, mostNotices).Query(func(rows pgx.Rows) error {
		var n store.Notice
		var id int64
		_, err := pgx.ForEachRow(rows, []any{&id, &n.Shard, &n.Engine, &n.Lead, (*int64)(&n.Wake)}, func() error {
			notices, ids = append(notices, n), append(ids, id)
			return nil
		})
		return err
	})
	if err := s.control.SendBatch(ctx, &b).Close(); err != nil {
		return m, err
	}
	if lost {
		p.end()
		return m, store.ErrLost
	}
	p.extend(asked, s.opts.Lease)
	m.Next = s.opts.Poll
	if !s.opts.NoListen && !s.heard.Load() { // for now
		m.Next = min(m.Next, pollEvery)
	}
	if others, err = s.takeover(ctx, others); err != nil {
		return m, err
	}
	rank, sharers := 0, 1 // of those that take shards
	living := map[int64]bool{0: false, p.epoch: true}
	for _, o := range others {
		m.Others, living[o.epoch] = append(m.Others, o.epoch), true
		if o.takes {
			sharers++
			if o.epoch < p.epoch {
				rank++
			}
		}
		m.Next = min(m.Next, max(o.left, 0)+10*time.Millisecond)
	}
	share := 0
	if take {
		share = store.Shards / sharers
		if rank < store.Shards%sharers {
			share++
		}
	}
	if len(m.Shards) > share {
		m.Give = m.Shards[share:]
	}
	free := 0
	for _, epoch := range of {
		if !living[epoch] {
			free++
		}
	}
	if want := min(share-len(m.Shards), free); want > 0 {
		taken, err := s.take(ctx, p, want)
		if err != nil {
			return m, err
		}
		m.Shards = append(m.Shards, taken...)
	}
	if len(notices) == mostNotices {
		m.Next = 0 // there may be more
	}
	m.Notices, sh.delivered, sh.noted = notices, ids, nil // only now, because after an error the caller has none of them
	all := m.Shards
	s.mine.Store(&all)
	return m, nil
}

// takeover ends the places of those whose lease has run out, and returns the others.
func (s *Store) takeover(ctx context.Context, others []other) (left []other, err error) {
	for _, o := range others {
		if o.left > 0 {
			left = append(left, o)
			continue
		}
		// A process that was stopped in the middle of a transaction holds locks for as
		// long as its session lives. Who may connect as a user may end that user's
		// sessions.
		if _, err := s.control.Exec(ctx, terminateText, o.pid, o.begun); err != nil && codeOf(err) != notPrivileged {
			return nil, err // else another user's session, which ends by its timeouts
		}
		tag, err := s.control.Exec(ctx, takeoverText, o.epoch)
		if err != nil {
			return nil, err
		}
		if tag.RowsAffected() == 0 { // it was heard of just now, or another engine was faster
			left = append(left, o)
			continue
		}
		if _, err := s.control.Exec(ctx, dropNoticesText); err != nil {
			return nil, err
		}
	}
	return left, nil
}

// take takes up to n of the shards that nobody has.
func (s *Store) take(ctx context.Context, p *place, n int) (taken []int16, err error) {
	asked := time.Now()
	var b pgx.Batch
	b.Queue(stillText, p.epoch, s.opts.Lease)
	b.Queue(takeShardsText, p.epoch, n).Query(func(rows pgx.Rows) error {
		taken, err = pgx.CollectRows(rows, pgx.RowTo[int16])
		return err
	})
	if err := s.control.SendBatch(ctx, &b).Close(); err != nil {
		if codeOf(err) == divisionByZero {
			p.end()
			return nil, store.ErrLost
		}
		return nil, err
	}
	p.extend(asked, s.opts.Lease)
	return taken, nil
}

// Woken implements [store.Shared].
func (s *Store) Woken() <-chan struct{} { return s.sharing.woken }

// Agreed implements [store.Shared].
func (s *Store) Agreed(ctx context.Context) (agreed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.silence)
	defer cancel()
	if err = s.closed(); err == nil {
		err = s.control.QueryRow(ctx, agreedText, s.place.Load().epoch).Scan(&agreed)
	}
	if err != nil {
		err = s.failed(err)
		return false, fmt.Errorf("postgres: read which engines have taken note of the workflows: %w", err)
	}
	return agreed, nil
}

// Noted implements [store.Shared].
func (s *Store) Noted() {
	sh := &s.sharing
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.noted = append(sh.noted, sh.delivered...)
	sh.delivered = nil
}

// Heeded implements [store.Shared].
func (s *Store) Heeded(ctx context.Context, notices []store.Notice) (heeded bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.silence)
	defer cancel()
	engines, leads := make([]int64, len(notices)), make([]int64, len(notices))
	for i, n := range notices {
		engines[i], leads[i] = n.Engine, n.Lead
	}
	if err = s.closed(); err == nil {
		err = s.control.QueryRow(ctx, heededText, engines, leads).Scan(&heeded)
	}
	if err != nil {
		err = s.failed(err)
		return false, fmt.Errorf("postgres: read which engines have taken note of changes: %w", err)
	}
	return heeded, nil
}

// Engines implements [store.Shared].
func (s *Store) Engines(ctx context.Context) ([]store.EngineInfo, error) {
	return list(ctx, s, s.readers, "engines", scanEngine, enginesText)
}

// channel is what engines listen on.
func (s *Store) channel() string { return "leadflow_" + s.opts.Schema }

// wakeOthers has the other engines call Sync. It is a transaction of its own, because
// such a transaction takes a lock that all of them take. It need not wait for the disk:
// what the others look for is there already, and who listens after a crash of the server
// looks anyway.
func (s *Store) wakeOthers(ctx context.Context) error {
	_, err := s.control.Exec(ctx, "SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, $2)", s.channel(), strconv.FormatInt(s.place.Load().epoch, 10))
	return err
}

// wake has the others woken soon, by waker.
func (s *Store) wake() {
	select {
	case s.waking <- struct{}{}:
	default:
	}
}

// waker wakes the others: several commits at once wake them once.
func (s *Store) waker() {
	for {
		select {
		case <-s.closing:
			return
		case <-s.waking:
		}
		ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
		_ = s.wakeOthers(ctx) // for speed only
		cancel()
	}
}

// listen receives what others send, on a connection of its own.
func (s *Store) listen() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		<-s.closing
		cancel()
	}()
	for ctx.Err() == nil {
		_ = s.hear(ctx)
		s.heard.Store(false)
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

func (s *Store) hear(ctx context.Context) error {
	conn, err := pgx.ConnectConfig(ctx, s.config.Copy())
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "LISTEN "+pgx.Identifier{s.channel()}.Sanitize()); err != nil {
		return err
	}
	s.heard.Store(true)
	s.wakeSelf() // something may have been sent before
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		if n.Payload != strconv.FormatInt(s.place.Load().epoch, 10) {
			s.wakeSelf()
		}
	}
}

func (s *Store) wakeSelf() {
	select {
	case s.sharing.woken <- struct{}{}:
	default:
	}
}

// queueShare queues what a batch has for the other engines, after the fence.
func (s *Store) queueShare(b *pgx.Batch, sh *store.Share, epoch int64, workflows bool) {
	if workflows {
		b.Queue(changedText, epoch)
	}
	if len(sh.Release) > 0 {
		b.Queue(releaseShardsText, epoch, sh.Release, int64(len(sh.Release)))
	}
	queueNotices(b, sh.Notices)
}

func queueNotices(b *pgx.Batch, list []store.Notice) {
	if len(list) == 0 {
		return
	}
	shards, engines, leads, wakes := make([]int16, len(list)), make([]int64, len(list)), make([]int64, len(list)), make([]int64, len(list))
	for i, n := range list {
		shards[i], engines[i], leads[i], wakes[i] = n.Shard, n.Engine, n.Lead, int64(n.Wake)
	}
	b.Queue(noteText, shards, engines, leads, wakes)
}

func queueExpectation(b *pgx.Batch, e store.Expectation) {
	states := make([]int16, len(e.States))
	for i, state := range e.States {
		states[i] = int16(state)
	}
	b.Queue(expectText, e.Workflow, states, e.Leads)
}

// Engines returns the engines that have a place in the schema, without taking one. The
// error is a [*VersionError] if the schema is not of a version that this program can use.
func Engines(ctx context.Context, url string, opts Options) ([]store.EngineInfo, error) {
	found, err := listEngines(ctx, url, opts.withDefaults())
	if err != nil {
		return nil, fmt.Errorf("postgres: list engines: %w", err)
	}
	return found, nil
}

func listEngines(ctx context.Context, url string, opts Options) ([]store.EngineInfo, error) {
	if err := opts.check(); err != nil {
		return nil, err
	}
	config, err := opts.parse(url)
	if err != nil {
		return nil, err
	}
	conn, err := pgx.ConnectConfig(ctx, config.ConnConfig)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := checkVersion(ctx, conn); err != nil {
		return nil, err
	}
	rows, err := conn.Query(ctx, enginesText)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanEngine)
}

func scanEngine(row pgx.CollectableRow) (e store.EngineInfo, err error) {
	var left float64
	err = row.Scan(&e.Engine, &e.Name, &e.Takes, &left, &e.Joined, &e.Shards)
	e.Lease = time.Duration(left * float64(time.Second))
	return e, err
}
