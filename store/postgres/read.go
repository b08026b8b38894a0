package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// The columns of each kind of row, in the order in which they are scanned.
const (
	recordColumns  = `l.seq, l.workflow, l.version, l.spot, l.phase, l.node, l.visit, l.visits, l.attempt, l.entered, l.due, l.started, l.deadline, l.wake, l.last_step, l.updated, l.outcome, l.extra, l.shard`
	contactColumns = `c.seq, c.id, c.phone, c.external_id, c.time_zone, c.metadata, c.enrolled`
	stepColumns    = `s.seq, s.prev, s.lead, s.visit, s.node, s.kind, s.status, s.attempts, s.entered, s.due, s.started, s.exited, s.outcome, s.detail`
	leadsText      = `SELECT ` + recordColumns + `, ` + contactColumns + ` FROM leads l JOIN contacts c ON c.seq = l.seq `
	recordsText    = `SELECT ` + recordColumns + ` FROM leads l `
)

const (
	loadText = leadsText + `WHERE l.seq = ANY($1) ORDER BY l.seq`
	leadText = leadsText + `WHERE l.seq = $1`
	dueText  = recordsText + `WHERE l.wake IS NOT NULL AND (l.wake, l.seq) > ($1, $2) AND l.wake <= $3 ORDER BY l.wake, l.seq LIMIT $4`
	// Leads of other engines are read in due order, too, and passed over.
	myDueText    = recordsText + `WHERE l.wake IS NOT NULL AND (l.wake, l.seq) > ($1, $2) AND l.wake <= $3 AND l.shard = ANY($5) ORDER BY l.wake, l.seq LIMIT $4`
	contactsText = `SELECT ` + contactColumns + ` FROM contacts c WHERE c.seq = ANY($1) ORDER BY c.seq`
	stepsText    = `SELECT ` + stepColumns + ` FROM steps s WHERE s.seq = ANY($1) ORDER BY s.seq`
	chainText    = `WITH RECURSIVE chain (seq, prev) AS (
			SELECT seq, prev FROM steps WHERE seq = $1
			UNION SELECT s.seq, s.prev FROM chain JOIN steps s ON s.seq = chain.prev)
		SELECT ` + stepColumns + ` FROM chain JOIN steps s USING (seq)`
	payloadsText    = `SELECT lead, visit, data FROM payloads WHERE lead = $1 ORDER BY visit`
	somePayloadText = `SELECT lead, visit, data FROM payloads WHERE lead = $1 AND visit = ANY($2) ORDER BY visit`
	countsText      = `SELECT state, sum(n)::bigint FROM node_counts WHERE workflow = $1 GROUP BY state`
	nodeCountsText  = `SELECT node, state, sum(n)::bigint FROM node_counts WHERE workflow = $1 GROUP BY node, state HAVING sum(n) > 0 ORDER BY node, state`
	workflowsText   = `SELECT seq, id, version, status, name, description, definition, created, updated, deleted FROM workflows ORDER BY seq`
)

// list reads rows on a connection of the pool.
func list[T any](ctx context.Context, s *Store, pool *pgxpool.Pool, what string, scan func(pgx.CollectableRow) (T, error), text string, args ...any) ([]T, error) {
	if err := s.closed(); err != nil {
		return nil, fmt.Errorf("postgres: read %s: %w", what, err)
	}
	ctx, cancel := context.WithTimeout(ctx, s.silence)
	defer cancel()
	rows, err := pool.Query(ctx, text, args...)
	var found []T
	if err == nil {
		found, err = pgx.CollectRows(rows, scan)
	}
	if err != nil {
		err = s.failed(err)
		return nil, fmt.Errorf("postgres: read %s: %w", what, err)
	}
	return found, nil
}

// one is list for a single row.
func one[T any](ctx context.Context, s *Store, pool *pgxpool.Pool, what string, scan func(pgx.CollectableRow) (T, error), text string, args ...any) (T, error) {
	found, err := list(ctx, s, pool, what, scan, text, args...)
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("postgres: read %s: %w", what, store.ErrNotFound)
	}
	if err != nil {
		var none T
		return none, err
	}
	return found[0], nil
}

// recordTargets are where to scan recordColumns to; done makes the record of them.
func recordTargets(r *store.Record) (targets []any, done func()) {
	var spot int64
	var wake *int64
	var outcome *string
	targets = []any{
		&r.Seq, &r.Workflow, &r.Version, &spot, &r.Phase, &r.Node, &r.Visit, &r.Visits, &r.Attempt,
		(*int64)(&r.Entered), (*int64)(&r.Due), (*int64)(&r.Started), (*int64)(&r.Deadline), &wake, &r.LastStep, (*int64)(&r.Updated), &outcome, &r.EngineState, &r.Shard,
	}
	return targets, func() {
		r.State, r.Outcome = lead.State(spot&7), decodeText(outcome)
		if wake != nil {
			r.Wake = store.Millis(*wake)
		}
	}
}

func contactTargets(c *store.Contact) (targets []any, done func() error) {
	var id []byte
	var externalID, zone *string
	targets = []any{&c.Seq, &id, &c.Phone, &externalID, &zone, &c.Metadata, (*int64)(&c.Enrolled)}
	return targets, func() error {
		c.ExternalID, c.TimeZone = decodeText(externalID), decodeText(zone)
		return copyID(c.ID[:], id)
	}
}

func copyID(to, from []byte) error {
	if len(from) != len(to) {
		return fmt.Errorf("an id of %d bytes, want %d", len(from), len(to))
	}
	copy(to, from)
	return nil
}

func scanRecord(row pgx.CollectableRow) (r store.Record, err error) {
	targets, done := recordTargets(&r)
	if err = row.Scan(targets...); err == nil {
		done()
	}
	return r, err
}

func scanContact(row pgx.CollectableRow) (c store.Contact, err error) {
	targets, done := contactTargets(&c)
	if err = row.Scan(targets...); err == nil {
		err = done()
	}
	return c, err
}

func scanLead(row pgx.CollectableRow) (l store.Lead, err error) {
	targets, done := recordTargets(&l.Record)
	more, doneToo := contactTargets(&l.Contact)
	if err = row.Scan(append(targets, more...)...); err == nil {
		done()
		err = doneToo()
	}
	return l, err
}

func scanStep(row pgx.CollectableRow) (s store.Step, err error) {
	var outcome *string
	err = row.Scan(&s.Seq, &s.Prev, &s.Lead, &s.Visit, &s.Node, &s.Kind, &s.Status, &s.Attempts,
		(*int64)(&s.Entered), (*int64)(&s.Due), (*int64)(&s.Started), (*int64)(&s.Exited), &outcome, &s.Detail)
	s.Outcome = decodeText(outcome)
	return s, err
}

func scanPayload(row pgx.CollectableRow) (p store.Payload, err error) {
	err = row.Scan(&p.Lead, &p.Visit, &p.Data)
	return p, err
}

func scanWorkflow(row pgx.CollectableRow) (w store.Workflow, err error) {
	var id []byte
	var name, description *string
	err = row.Scan(&w.Seq, &id, &w.Version, &w.Status, &name, &description, &w.Definition, (*int64)(&w.Created), (*int64)(&w.Updated), &w.Deleted)
	if err == nil {
		err = copyID(w.ID[:], id)
	}
	w.Name, w.Description = decodeText(name), decodeText(description)
	return w, err
}

// Load implements [store.LoopReader].
func (s *Store) Load(ctx context.Context, seqs []int64) ([]store.Lead, error) {
	return list(ctx, s, s.loop, "leads", scanLead, loadText, seqs)
}

// Due implements [store.LoopReader]. It returns leads of the engine's shards only, once
// Sync was called.
func (s *Store) Due(ctx context.Context, after store.Key, until store.Millis, limit int) ([]store.Record, error) {
	if mine := s.mine.Load(); mine != nil && len(*mine) < store.Shards {
		return list(ctx, s, s.loop, "due leads", scanRecord, myDueText, int64(after.Wake), after.Seq, int64(until), limit, *mine)
	}
	return list(ctx, s, s.loop, "due leads", scanRecord, dueText, int64(after.Wake), after.Seq, int64(until), limit)
}

// Sweep implements [store.LoopReader].
func (s *Store) Sweep(ctx context.Context, q store.LeadQuery) ([]store.Record, error) {
	return find(ctx, s, s.loop, q, scanRecord, recordsText)
}

// Contacts implements [store.LoopReader].
func (s *Store) Contacts(ctx context.Context, seqs []int64) ([]store.Contact, error) {
	return list(ctx, s, s.loop, "contacts", scanContact, contactsText, seqs)
}

// Steps implements [store.LoopReader].
func (s *Store) Steps(ctx context.Context, seqs []int64) ([]store.Step, error) {
	return list(ctx, s, s.loop, "steps", scanStep, stepsText, seqs)
}

// Payloads implements [store.LoopReader].
func (s *Store) Payloads(ctx context.Context, lead int64, visits []int32) ([]store.Payload, error) {
	what := fmt.Sprintf("payloads of lead %d", lead)
	if visits == nil {
		return list(ctx, s, s.loop, what, scanPayload, payloadsText, lead)
	}
	return list(ctx, s, s.loop, what, scanPayload, somePayloadText, lead, visits)
}

// Counts implements [store.LoopReader] and [store.LeadReader].
func (s *Store) Counts(ctx context.Context, workflow int64) (map[lead.State]int64, error) {
	type count struct {
		state lead.State
		n     int64
	}
	found, err := list(ctx, s, s.loop, "counts", func(row pgx.CollectableRow) (c count, err error) {
		err = row.Scan(&c.state, &c.n)
		return c, err
	}, countsText, workflow)
	if err != nil {
		return nil, err
	}
	counts := make(map[lead.State]int64, len(found))
	for _, c := range found {
		if c.n > 0 {
			counts[c.state] = c.n
		}
	}
	return counts, nil
}

// NodeCounts implements [store.LeadReader].
func (s *Store) NodeCounts(ctx context.Context, workflow int64) ([]store.NodeCount, error) {
	return list(ctx, s, s.readers, "counts", func(row pgx.CollectableRow) (c store.NodeCount, err error) {
		err = row.Scan(&c.Node, &c.State, &c.N)
		return c, err
	}, nodeCountsText, workflow)
}

// Lead implements [store.LeadReader].
func (s *Store) Lead(ctx context.Context, seq int64) (store.Lead, error) {
	return one(ctx, s, s.readers, fmt.Sprintf("lead %d", seq), scanLead, leadText, seq)
}

// Workflows implements [store.WorkflowReader].
func (s *Store) Workflows(ctx context.Context) ([]store.Workflow, error) {
	return list(ctx, s, s.readers, "workflows", scanWorkflow, workflowsText)
}

// History implements [store.HistoryReader].
func (s *Store) History(ctx context.Context, seq int64) (l store.Lead, steps []store.Step, payloads []store.Payload, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.silence)
	defer cancel()
	if err = s.closed(); err == nil {
		err = pgx.BeginTxFunc(ctx, s.readers, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
			rows, err := tx.Query(ctx, leadText, seq)
			if err != nil {
				return err
			}
			if l, err = pgx.CollectExactlyOneRow(rows, scanLead); errors.Is(err, pgx.ErrNoRows) {
				return store.ErrNotFound
			} else if err != nil {
				return err
			}
			// The chain is ordered by its links: numbers of steps are taken in blocks.
			if rows, err = tx.Query(ctx, chainText, l.LastStep); err != nil {
				return err
			}
			if steps, err = pgx.CollectRows(rows, scanStep); err != nil {
				return err
			}
			if rows, err = tx.Query(ctx, payloadsText, seq); err != nil {
				return err
			}
			payloads, err = pgx.CollectRows(rows, scanPayload)
			return err
		})
	}
	if err != nil {
		err = s.failed(err)
		return store.Lead{}, nil, nil, fmt.Errorf("postgres: read lead %d: %w", seq, err)
	}
	return l, inChain(l.LastStep, steps), payloads, nil
}

// inChain orders steps as they follow one another, the last one named.
func inChain(last int64, steps []store.Step) []store.Step {
	by := make(map[int64]int, len(steps))
	for i := range steps {
		by[steps[i].Seq] = i
	}
	ordered := make([]store.Step, 0, len(steps))
	for i, ok := by[last]; ok; i, ok = by[last] {
		ordered = append(ordered, steps[i])
		delete(by, last)
		last = steps[i].Prev
	}
	slices.Reverse(ordered)
	return ordered
}
