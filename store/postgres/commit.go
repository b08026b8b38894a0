package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/leadflow-go/leadflow/store"
)

// A batch is one pipeline: all statements go out together, and the server runs them in
// one transaction, which it commits at the end of the pipeline or not at all. So a
// batch costs one round trip, and one that enrolls leads two if it leaves any out, because
// those must be known before what belongs to them is written.
//
// A statement that must touch so many rows says so itself, by dividing by zero when it
// does not. Then, and for every other error of the server's, nothing has happened; and
// what was wrong is found out by looking (see diagnose), since that is seldom.
const (
	fenceText = `WITH o AS (UPDATE engines SET batch = $2, until = clock_timestamp() + $3
		WHERE epoch = $1 AND NOT over AND batch < $2 AND ($4::bigint < 0 OR flows = $4) RETURNING 1)
		SELECT 1 / count(*) FROM o`

	insertWorkflowText = `INSERT INTO workflows (version, id, status, name, description, definition, created, updated, deleted, seq)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`
	updateWorkflowText = `WITH w AS (UPDATE workflows SET version = $1, id = $2, status = $3, name = $4, description = $5, definition = $6,
		created = $7, updated = $8, deleted = $9 WHERE seq = $10 AND version = $1 - 1 RETURNING 1)
		SELECT 1 / count(*) FROM w`

	changeText = `WITH done AS (
			UPDATE leads l SET version = u.version, spot = u.spot, phase = u.phase, node = u.node, visit = u.visit, visits = u.visits,
				attempt = u.attempt, entered = u.entered, due = u.due, started = u.started, deadline = u.deadline, wake = nullif(u.wake, 0),
				last_step = u.last_step, updated = u.updated, outcome = u.outcome, extra = u.extra
			FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::smallint[], $6::int[], $7::int[], $8::int[], $9::int[],
				$10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[], $16::bigint[], $17::text[], $18::bytea[])
				AS u (seq, before, version, spot, phase, node, visit, visits, attempt, entered, due, started, deadline, wake, last_step, updated, outcome, extra)
			WHERE l.seq = u.seq AND l.version = u.before RETURNING 1)
		SELECT 1 / (count(*) = $19)::int FROM done`
	endText = `DELETE FROM live l USING unnest($1::bigint[], $2::bigint[]) AS u (seq, workflow) JOIN contacts c ON c.seq = u.seq
		WHERE l.workflow = u.workflow AND l.phone = c.phone AND l.lead = u.seq`

	// Whoever has no live lead gets one. A row that is there is locked, so that it is not
	// deleted before the batch is committed, and returned.
	beginLiveText = `WITH b AS (INSERT INTO live (workflow, phone, lead) SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[])
			ON CONFLICT (workflow, phone) DO UPDATE SET lead = live.lead RETURNING workflow, phone, lead)
		SELECT workflow, phone, b.lead FROM b LEFT JOIN unnest($3::bigint[]) AS u (lead) ON u.lead = b.lead WHERE u.lead IS NULL`
	// claimText fails if one of them has a live lead.
	claimText = `INSERT INTO live (workflow, phone, lead) SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[])`
	liveText  = `SELECT l.workflow, l.phone, l.lead FROM unnest($1::bigint[], $2::bigint[]) AS u (workflow, phone) JOIN live l USING (workflow, phone)`

	insertLeadsText = `INSERT INTO leads (seq, workflow, version, spot, phase, node, visit, visits, attempt, entered, due, started, deadline, wake, last_step, updated, outcome, extra, shard)
		SELECT seq, workflow, version, spot, phase, node, visit, visits, attempt, entered, due, started, deadline, nullif(wake, 0), last_step, updated, outcome, extra, shard
		FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::smallint[], $6::int[], $7::int[], $8::int[], $9::int[],
			$10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[], $16::bigint[], $17::text[], $18::bytea[], $19::smallint[])
			AS u (seq, workflow, version, spot, phase, node, visit, visits, attempt, entered, due, started, deadline, wake, last_step, updated, outcome, extra, shard)`
	insertContactsText = `INSERT INTO contacts (seq, id, phone, external_id, time_zone, metadata, enrolled)
		SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::text[], $5::text[], $6::bytea[], $7::bigint[])`
	updateContactsText = `WITH done AS (
			UPDATE contacts c SET external_id = u.external_id, time_zone = u.time_zone, metadata = u.metadata
			FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bytea[]) AS u (seq, external_id, time_zone, metadata)
			WHERE c.seq = u.seq RETURNING 1)
		SELECT 1 / (count(*) = $5)::int FROM done`
	insertStepsText = `INSERT INTO steps (seq, prev, lead, visit, node, kind, status, attempts, entered, due, started, exited, outcome, detail)
		SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::int[], $5::int[], $6::smallint[], $7::smallint[], $8::int[],
			$9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::text[], $14::bytea[])`
	// The contact of a lead that is gone was noted when the entry was first written.
	putCallsText = `WITH done AS (
			INSERT INTO calls (seq, lead, lead_id, workflow, phone, visit, entered, attempt, node_id, status, started, ended, call_id, outcome, error, data)
			SELECT u.seq, u.lead, coalesce(c.id, k.lead_id), u.workflow, coalesce(c.phone, k.phone), u.visit, u.entered, u.attempt, u.node_id, u.status,
				u.started, u.ended, u.call_id, u.outcome, u.error, u.data
			FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::int[], $5::bigint[], $6::int[], $7::text[], $8::smallint[], $9::bigint[], $10::bigint[],
				$11::text[], $12::text[], $13::text[], $14::bytea[])
				AS u (seq, lead, workflow, visit, entered, attempt, node_id, status, started, ended, call_id, outcome, error, data)
			LEFT JOIN calls k ON k.seq = u.seq LEFT JOIN contacts c ON c.seq = u.lead AND k.seq IS NULL
			WHERE c.seq IS NOT NULL OR k.seq IS NOT NULL
			ON CONFLICT (seq) DO UPDATE SET workflow = excluded.workflow, visit = excluded.visit, entered = excluded.entered, attempt = excluded.attempt,
				node_id = excluded.node_id, status = excluded.status, started = excluded.started, ended = excluded.ended, call_id = excluded.call_id,
				outcome = excluded.outcome, error = excluded.error, data = excluded.data
			RETURNING 1)
		SELECT 1 / (count(*) = $15)::int FROM done`
	putPayloadsText = `WITH done AS (
			INSERT INTO payloads (lead, visit, data)
			SELECT u.lead, u.visit, u.data FROM unnest($1::bigint[], $2::int[], $3::bytea[]) AS u (lead, visit, data) JOIN leads l ON l.seq = u.lead
			ON CONFLICT (lead, visit) DO UPDATE SET data = excluded.data RETURNING 1)
		SELECT 1 / (count(*) = $4)::int FROM done`
	dropPayloadsText = `DELETE FROM payloads p USING unnest($1::bigint[], $2::int[]) AS u (lead, visit) WHERE p.lead = u.lead AND p.visit = u.visit`

	forgetText = `WITH gone AS (DELETE FROM leads WHERE seq = ANY($1) RETURNING seq, workflow, node, spot, last_step),
		contact AS (DELETE FROM contacts c USING gone WHERE c.seq = gone.seq RETURNING c.seq, c.phone, gone.workflow),
		freed AS (DELETE FROM live l USING contact c WHERE l.workflow = c.workflow AND l.phone = c.phone AND l.lead = c.seq RETURNING 1),
		beside AS (DELETE FROM payloads p USING gone WHERE p.lead = gone.seq RETURNING 1)
		INSERT INTO node_counts (workflow, node, state, n)
		SELECT workflow, node, (spot & 7)::smallint, -count(*) FROM gone GROUP BY 1, 2, 3
		ON CONFLICT (workflow, node, state) DO UPDATE SET n = node_counts.n + excluded.n`
	// Written so that there is one way to run it: step by step, by the primary key.
	forgetStepsText = `WITH RECURSIVE chain (seq, prev) AS (
			SELECT s.seq, s.prev FROM leads l JOIN steps s ON s.seq = l.last_step WHERE l.seq = ANY($1)
			UNION SELECT s.seq, s.prev FROM chain, LATERAL (SELECT seq, prev FROM steps WHERE seq = chain.prev OFFSET 0) s)
		DELETE FROM steps WHERE seq = ANY(ARRAY(SELECT seq FROM chain))`
	countText = `INSERT INTO node_counts (workflow, node, state, n) SELECT * FROM unnest($1::bigint[], $2::int[], $3::smallint[], $4::bigint[])
		ON CONFLICT (workflow, node, state) DO UPDATE SET n = node_counts.n + excluded.n`

	outcomeText   = `SELECT batch, over FROM engines WHERE epoch = $1 FOR UPDATE`
	forestallText = `UPDATE engines SET batch = CASE WHEN batch < $2 THEN $2 + 1 ELSE batch END, backend = $3, begun = $4 WHERE epoch = $1`
)

// Commit implements [store.Writer]. ctx bounds waiting for the commit before; the write
// itself goes on until its outcome is known. While the database cannot be reached that
// may take as long as it cannot, if the connection broke while the batch was on its
// way: nobody is told that nothing happened when it may have.
//
// A stale version is a [*store.ConflictError], and a row that cannot be written a
// [*store.RowError]. The error matches [store.ErrLost] when others have taken over.
func (s *Store) Commit(ctx context.Context, b *store.Batch) (store.Result, error) {
	select {
	case s.writing <- struct{}{}:
	case <-ctx.Done():
		return store.Result{}, fmt.Errorf("postgres: commit: %w", context.Cause(ctx))
	case <-s.closing:
		return store.Result{}, fmt.Errorf("postgres: commit: %w", ErrClosed)
	}
	defer func() { <-s.writing }()
	err := ctx.Err()
	if err == nil {
		err = s.closed()
	}
	var result store.Result
	if err == nil {
		result, err = s.commit(ctx, b)
	}
	if err != nil {
		err = s.failed(err)
		return store.Result{}, fmt.Errorf("postgres: commit: %w", err)
	}
	return result, nil
}

const (
	retries = 4 // of what the server refuses for no fault of the batch
	// maxSilence is longer than the server itself lets a statement take.
	maxSilence = statementTimeout + 5*time.Second
)

func (s *Store) commit(ctx context.Context, b *store.Batch) (result store.Result, err error) {
	if b.Empty() {
		return result, nil
	}
	if err := check(b); err != nil {
		return result, err
	}
	p := s.place.Load()
	if p.ended() || b.Share.Engine != 0 && b.Share.Engine != p.epoch {
		return result, store.ErrLost
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.silence)
	defer cancel()
	partial := false // some leads are stale
	for range retries {
		if s.conn == nil {
			if err := s.reconnect(ctx, p); err != nil {
				return result, err
			}
		}
		s.batch++
		asked := time.Now()
		if partial {
			result, err = s.writePart(ctx, p, b)
		} else {
			result, err = s.write(ctx, p, b)
		}
		var pg *pgconn.PgError
		switch {
		case err == nil:
			p.extend(asked, s.opts.Lease)
			s.committed(b)
			return result, nil
		case errors.Is(err, errLive): // written again, and carefully
		case errors.Is(err, store.ErrConflict): // which the store itself has found
			return store.Result{}, err
		case !errors.As(err, &pg) || pg.Severity == "FATAL": // the connection broke
			s.disconnect()
			happened, lookErr := s.outcome(p, asked)
			if lookErr != nil {
				return result, errors.Join(lookErr, err)
			}
			if happened {
				s.committed(b)
				return s.refusals(ctx, b, result)
			}
		case pg.Code == limitUsedUp:
			return store.Result{}, limitError(pg)
		case pg.Code == divisionByZero || pg.Code == uniqueViolation || pg.Code == checkViolation:
			err = s.diagnose(ctx, p, b, err)
			if conflict := (*store.ConflictError)(nil); !partial && b.Share.Partial && errors.As(err, &conflict) && conflict.Kind == "lead" {
				partial = true
				continue
			}
			return store.Result{}, err
		case pg.Code != serializationFailure && pg.Code != deadlock && (pg.Code != lockTimedOut || !changesFlows(b) && !gated(b)):
			if pg.Code == readOnly {
				s.disconnect()
			}
			return store.Result{}, err
		}
	}
	return store.Result{}, err
}

// write sends the batch and returns what came of it. With an error that is not the
// server's nobody knows.
func (s *Store) write(ctx context.Context, at *place, b *store.Batch) (result store.Result, err error) {
	var p pgx.Batch
	if 0 < len(b.Enroll) && len(b.Enroll) < copyFrom && len(b.Suppressions)+len(b.Share.Contacts)+len(b.Share.Suppressed) == 0 && s.hopes(b) {
		return result, s.writeInHope(ctx, at, b)
	}
	if len(b.Enroll)+len(b.Suppressions)+len(b.Audit)+len(b.Share.Contacts)+len(b.Share.Suppressed) > 0 {
		s.queueBegin(&p, at, b)
		return s.writeIn(ctx, &p, b, result)
	}
	limited := len(b.Share.Limits) > 0 // what others use is seen only if it is READ COMMITTED
	if limited {
		p.Queue(beginText)
	}
	s.queueFence(&p, at, b)
	queueWorkflows(&p, b)
	s.queueGate(&p, b, false)
	counted := counts{}
	queueChanges(&p, b.Changes, counted)
	queueRest(&p, b, nil, counted)
	if limited {
		p.Queue(commitText)
	}
	if err = s.conn.SendBatch(ctx, &p).Close(); err != nil && limited {
		err = s.rollback(ctx, err)
	}
	return result, err
}

// commitText goes out with the last statements of a transaction that beginText has begun.
const commitText = "COMMIT"

// queueBegin queues the beginning of a transaction, and what it locks before any lead.
func (s *Store) queueBegin(p *pgx.Batch, at *place, b *store.Batch) {
	p.Queue(beginText)
	s.queueFence(p, at, b)
	queueWorkflows(p, b)
	s.queueGate(p, b, false)
}

// writeIn sends the batch, after what is queued already in a transaction that it ends and
// that queueBegin has begun.
func (s *Store) writeIn(ctx context.Context, p *pgx.Batch, b *store.Batch, result store.Result) (store.Result, error) {
	d, err := decide(b, len(b.Enroll) >= copyFrom && s.hopes(b), func(queue func(p *pgx.Batch)) error {
		queue(p)
		err := s.conn.SendBatch(ctx, p).Close()
		p = &pgx.Batch{}
		return err
	})
	if err != nil {
		return result, s.rollback(ctx, err)
	}
	if err := s.claim(ctx, b, &d); err != nil {
		return result, s.rollback(ctx, err)
	}
	result.Refused = d.refusals
	var rest pgx.Batch
	if len(b.Enroll)-len(d.refused) >= copyFrom {
		if err := s.copyEnroll(ctx, b.Enroll, d.refused, d.counted); err != nil {
			return result, s.rollback(ctx, err)
		}
	} else {
		queueEnroll(&rest, b.Enroll, d.refused, d.counted)
	}
	d.queueRest(&rest, b)
	rest.Queue(commitText)
	if err := s.conn.SendBatch(ctx, &rest).Close(); err != nil {
		return result, s.rollback(ctx, err)
	}
	return result, nil
}

// copyFrom is how many leads must be enrolled for COPY, which takes round trips of its own
// but less of the server's time a row.
const copyFrom = 200

// Enrollments are written in the hope that none of the contacts has a live lead: a few
// take one round trip then, and for many COPY takes a third of the time of a statement that
// looks. If one has, nothing has happened. The batch is written again with a look, and so
// are those after it, until carefulFor of them in a row had nobody to refuse.
const carefulFor = 20

var errLive = errors.New("a contact has a live lead already, or is suppressed")

// writeInHope sends a batch that enrolls a few leads, all of it at once. The error is
// errLive if the hope may have been in vain.
func (s *Store) writeInHope(ctx context.Context, at *place, b *store.Batch) error {
	var p pgx.Batch
	s.queueBegin(&p, at, b)
	counted := counts{}
	who := peopleOf(b.Enroll)
	p.Queue(nobodySuppressedText, who.phones, who.ids)
	queueChanges(&p, b.Changes, counted)
	workflows, phones, leads, _ := claims(b.Enroll, nil)
	p.Queue(claimText, workflows, phones, leads)
	queueEnroll(&p, b.Enroll, nil, counted)
	queueRest(&p, b, nil, counted)
	p.Queue(commitText)
	err := s.conn.SendBatch(ctx, &p).Close()
	if err == nil {
		return nil
	}
	if err = s.rollback(ctx, err); codeOf(err) == divisionByZero || codeOf(err) == uniqueViolation {
		s.careful, err = carefulFor, errLive
	}
	return err
}

// hopes reports whether the batch is to be written without a look at who has a live lead.
// Entries of the audit trail come after the live leads, for all engines.
func (s *Store) hopes(b *store.Batch) bool {
	return len(b.Audit) == 0 && s.careful == 0 && len(firstOfEach(b.Enroll, nil)) == len(b.Enroll)
}

// claim gives contacts their live leads that were left out in hope. The error is errLive
// if the hope was in vain.
func (s *Store) claim(ctx context.Context, b *store.Batch, d *decision) error {
	var err error
	switch {
	case len(d.unclaimed) > 0:
		if err = s.copyLive(ctx, d.unclaimed); codeOf(err) == uniqueViolation {
			s.careful, err = carefulFor, errLive
		}
	case len(b.Enroll) == 0:
	case slices.ContainsFunc(d.refusals, func(r store.Refusal) bool { return r.Live != 0 }):
		s.careful = carefulFor
	case s.careful > 0:
		s.careful--
	}
	return err
}

// lockText locks the leads that have the versions that a batch was decided on.
const lockText = `SELECT l.seq FROM unnest($1::bigint[], $2::bigint[]) AS u (seq, version) JOIN leads l ON l.seq = u.seq AND l.version = u.version
	ORDER BY l.seq FOR UPDATE OF l`

// writePart writes the batch without the leads that are stale. It locks the others
// first, so it is certain to write them.
func (s *Store) writePart(ctx context.Context, at *place, b *store.Batch) (result store.Result, err error) {
	seqs, versions := make([]int64, len(b.Changes)), make([]int64, len(b.Changes))
	for i := range b.Changes {
		seqs[i], versions[i] = b.Changes[i].Before.Seq, b.Changes[i].Before.Version
	}
	var locked []int64
	var p pgx.Batch
	s.queueBegin(&p, at, b)
	p.Queue(lockText, seqs, versions).Query(func(rows pgx.Rows) error {
		locked, err = pgx.CollectRows(rows, pgx.RowTo[int64])
		return err
	})
	if err := s.conn.SendBatch(ctx, &p).Close(); err != nil {
		return result, s.rollback(ctx, err)
	}
	part, stale := without(b, locked)
	if err := namedByContacts(b, stale); err != nil {
		return result, s.rollback(ctx, err)
	}
	result.Stale = stale
	return s.writeIn(ctx, &pgx.Batch{}, part, result)
}

// without returns the batch without the changes of leads that are not locked, and what
// belongs to them, and those leads.
func without(b *store.Batch, locked []int64) (part *store.Batch, stale []int64) {
	left := make(map[int64]bool, len(b.Changes))
	for i := range b.Changes {
		left[b.Changes[i].Before.Seq] = true
	}
	for _, seq := range locked {
		delete(left, seq)
	}
	part = &store.Batch{
		Workflows: b.Workflows, Enroll: b.Enroll, Suppressions: b.Suppressions, Starts: b.Starts, ForgetStarts: b.ForgetStarts,
		Settings: b.Settings, Ping: b.Ping, Share: b.Share,
	}
	part.Share.Limits = keep(b.Share.Limits, func(u *store.LimitUse) bool { return !left[u.Lead] })
	part.Audit = keep(b.Audit, func(a *store.Audit) bool { return !left[a.Lead] })
	part.Changes = keep(b.Changes, func(c *store.Change) bool { return !left[c.Before.Seq] })
	part.Contacts = keep(b.Contacts, func(c *store.Contact) bool { return !left[c.Seq] })
	part.Steps = keep(b.Steps, func(st *store.Step) bool { return !left[st.Lead] })
	part.Calls = keep(b.Calls, func(c *store.Call) bool { return !left[c.Lead] })
	part.Payloads = keep(b.Payloads, func(p *store.Payload) bool { return !left[p.Lead] })
	part.Forget = keep(b.Forget, func(seq *int64) bool { return !left[*seq] })
	return part, slices.Sorted(maps.Keys(left))
}

func keep[T any](list []T, good func(*T) bool) (kept []T) {
	for i := range list {
		if good(&list[i]) {
			kept = append(kept, list[i])
		}
	}
	return kept
}

// changesFlows reports whether the other engines must take note of the batch before they
// go on.
func changesFlows(b *store.Batch) bool { return len(b.Workflows) > 0 || len(b.Settings) > 0 }

// queueFence queues what makes certain that the engine has its place, and what concerns
// the other engines.
func (s *Store) queueFence(p *pgx.Batch, at *place, b *store.Batch) {
	flows := int64(-1)
	if b.Share.Engine != 0 {
		flows = b.Share.Flows
	}
	if changesFlows(b) {
		p.Queue(lockEnginesText) // in one order, so that no two changes of workflows wait for one another
	}
	p.Queue(fenceText, at.epoch, s.batch, s.opts.Lease, flows)
	s.queueShare(p, &b.Share, at.epoch, changesFlows(b))
}

// committed wakes the other engines if they should learn of the batch.
func (s *Store) committed(b *store.Batch) {
	if changesFlows(b) || len(b.Share.Release) > 0 || len(b.Share.Notices) > 0 || b.Share.Wake {
		s.wake()
	}
}

// refusals of a batch of which it was found out later that it was committed are those
// whose leads are not there.
func (s *Store) refusals(ctx context.Context, b *store.Batch, known store.Result) (store.Result, error) {
	if len(b.Enroll) == 0 || known.Refused != nil {
		return known, nil
	}
	all := keysOf(b.Enroll)
	rows, err := s.conn.Query(ctx, `SELECT seq FROM leads WHERE seq = ANY($1)`, all.leads)
	if err != nil {
		return known, err
	}
	there, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return known, err
	}
	enrolled := map[int64]bool{}
	for _, seq := range there {
		enrolled[seq] = true
	}
	live, err := readLive(b.Enroll, func(text string, args ...any) (pgx.Rows, error) { return s.conn.Query(ctx, text, args...) })
	if err != nil {
		return known, err
	}
	who := peopleOf(b.Enroll)
	if rows, err = s.conn.Query(ctx, suppressionsOfText, who.phones, who.ids); err != nil {
		return known, err
	}
	var sup suppressed
	if err := sup.scan(rows); err != nil {
		return known, err
	}
	by := sup.by(b.Enroll)
	for i := range b.Enroll {
		if e := &b.Enroll[i]; !enrolled[e.Record.Seq] {
			// Those of the batch itself came too late.
			seqs := slices.DeleteFunc(by[i], func(seq int64) bool {
				return slices.ContainsFunc(b.Suppressions, func(s store.Suppression) bool { return s.Seq == seq })
			})
			if len(seqs) > 0 {
				known.Refused = append(known.Refused, store.Refusal{Index: i, Suppressed: seqs})
				continue
			}
			// The lead that the contact had may have ended since. Then the answer names no
			// lead that is there, but refuses all the same.
			holder := cmp.Or(live[keyOf(e)], e.Record.Seq)
			known.Refused = append(known.Refused, store.Refusal{Index: i, Live: holder})
		}
	}
	return known, nil
}

// refusals says whom the batch leaves out: those who are suppressed, and those whose
// contact has a live lead, which is another, stored or earlier in the batch.
func refusals(list []store.Enrollment, suppressed map[int][]int64, live liveLeads) (out []store.Refusal, refused map[int64]bool) {
	refused = map[int64]bool{}
	begun := map[contactIn]bool{} // by this batch, so far
	within := make(map[int64]bool, len(list))
	for i := range list {
		within[list[i].Record.Seq] = true
	}
	for i := range list {
		e := &list[i]
		who := keyOf(e)
		holder := live[who]
		switch {
		case suppressed[i] != nil:
			out = append(out, store.Refusal{Index: i, Suppressed: suppressed[i]})
			refused[e.Record.Seq] = true
		case holder == e.Record.Seq && !begun[who]:
			begun[who] = true
		case holder != 0 && (begun[who] || !within[holder]):
			out = append(out, store.Refusal{Index: i, Live: holder})
			refused[e.Record.Seq] = true
		}
	}
	return out, refused
}

var errNoLead = errors.New("the lead does not exist")

// check looks for what the database would not refuse.
func check(b *store.Batch) error {
	for i := range b.Changes {
		before, after := &b.Changes[i].Before, &b.Changes[i].After
		if after.Seq != before.Seq || after.Workflow != before.Workflow {
			return &store.RowError{Kind: "lead", Seq: before.Seq, Key: before.Seq, Err: errors.New("a change must keep the lead's number and workflow")}
		}
	}
	if err := checkLimits(b); err != nil {
		return err
	}
	for i := range b.Starts {
		if err := b.Starts[i].Check(); err != nil {
			return &store.RowError{Kind: "start", Key: int64(b.Starts[i].At), Err: err}
		}
	}
	for i := range b.Settings {
		if err := b.Settings[i].Check(); err != nil {
			return &store.RowError{Kind: "setting", Err: err}
		}
	}
	for i := range b.Enroll {
		if r, c := &b.Enroll[i].Record, &b.Enroll[i].Contact; c.Seq != r.Seq {
			return &store.RowError{Kind: "contact", Seq: r.Seq, Key: r.Seq, Err: fmt.Errorf("its number is %d, but that of its lead is %d", c.Seq, r.Seq)}
		}
	}
	return nil
}
