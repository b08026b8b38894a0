package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/leadflow-go/leadflow/store"
)

// Tx returns a transaction of the program's own, in the database of the Store, for the
// methods of an engine that take part in one:
//
//	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
//		if _, err := tx.Exec(ctx, `INSERT INTO orders …`); err != nil {
//			return err
//		}
//		_, err := eng.EnrollTx(ctx, st.Tx(tx), workflow, contact)
//		return err
//	})
//
// The leads that it changes are locked until the program commits: do it last, and commit
// soon, because every engine that wants to change one of them waits, with all that it
// writes in the same commit; and so does every engine that suppresses somebody, and then
// all that enroll. A transaction that is not READ COMMITTED, and enrolls, fails (40001) if
// somebody was suppressed since it began: begin it again. Therefore the server ends the transaction when nothing is
// sent for three seconds after that.
//
// Such transactions send a NOTIFY, so the server commits them one after the other, with
// all others in the whole server that send one: some hundred or a thousand a second, by
// how long its disk takes. Those who need more put several leads in each, or use
// Enroll, or EnrollAll, without a transaction.
func (s *Store) Tx(tx pgx.Tx) store.Tx { return &callersTx{s, tx} }

// hurry is how long a program may say nothing in a transaction that has locks.
var hurry = fmt.Sprintf("%d ms", idleTimeout.Milliseconds())

type callersTx struct {
	s  *Store
	tx pgx.Tx
}

const (
	// The program has a search path and timeouts of its own.
	enterText = `SELECT set_config('leadflow.search_path', current_setting('search_path'), true), set_config('search_path', $1, true)`
	leaveText = `SELECT set_config('search_path', current_setting('leadflow.search_path'), true)`
	hurryText = `SELECT set_config('idle_in_transaction_session_timeout', $1, true)
		WHERE current_setting('idle_in_transaction_session_timeout')::interval NOT BETWEEN interval '1 ms' AND $1::interval`
	versionText = `SELECT version FROM workflows WHERE seq = $1 FOR SHARE`
)

// within has the statements that queue adds run in the schema of the store, and undoes
// all of them if one fails.
func (t *callersTx) within(ctx context.Context, queue func(b *pgx.Batch)) error {
	if err := t.s.closed(); err != nil {
		return err
	}
	var b pgx.Batch
	queue(&b)
	b.Queue(leaveText)
	return pgx.BeginFunc(ctx, t.tx, func(tx pgx.Tx) error {
		// First, because statements are prepared before any of a batch is run.
		if _, err := tx.Exec(ctx, enterText, pgx.Identifier{t.s.opts.Schema}.Sanitize()); err != nil {
			return err
		}
		return tx.SendBatch(ctx, &b).Close()
	})
}

// Workflow implements [store.Tx].
func (t *callersTx) Workflow(ctx context.Context, seq int64) (version int64, err error) {
	err = t.within(ctx, func(b *pgx.Batch) {
		b.Queue(hurryText, hurry)
		b.Queue(versionText, seq).QueryRow(func(row pgx.Row) error {
			err := row.Scan(&version)
			if errors.Is(err, pgx.ErrNoRows) {
				err = store.ErrNotFound
			}
			return err
		})
	})
	return version, t.failed("read a workflow", err)
}

// Load implements [store.Tx].
func (t *callersTx) Load(ctx context.Context, seqs []int64) (found []store.Lead, err error) {
	err = t.within(ctx, func(b *pgx.Batch) {
		b.Queue(loadText, seqs).Query(func(rows pgx.Rows) error {
			found, err = pgx.CollectRows(rows, scanLead)
			return err
		})
	})
	return found, t.failed("read leads", err)
}

// Write implements [store.Tx].
func (t *callersTx) Write(ctx context.Context, b *store.Batch) (result store.Result, err error) {
	if len(b.Share.Limits)+len(b.Share.ForgetLimits) > 0 {
		return result, t.failed("write", errLimits)
	}
	if err := check(b); err != nil {
		return result, t.failed("write", err)
	}
	err = pgx.BeginFunc(ctx, t.tx, func(tx pgx.Tx) error {
		inner := callersTx{t.s, tx}
		// The gate is held whatever is written: a program that removes a lead first, and
		// enrolls another one then, would lock it after a lead.
		first := func(p *pgx.Batch) {
			t.s.queueGate(p, b, true)
			if gated(b) {
				p.Queue(unchangedText)
			}
		}
		d, err := decide(b, false, func(queue func(p *pgx.Batch)) error {
			defer func() { first = func(*pgx.Batch) {} }()
			return inner.within(ctx, func(p *pgx.Batch) {
				first(p)
				queue(p)
			})
		})
		if err != nil {
			return err
		}
		result.Refused = d.refusals
		return inner.within(ctx, func(p *pgx.Batch) {
			queueEnroll(p, b.Enroll, d.refused, d.counted)
			d.queueRest(p, b)
			queueNotices(p, b.Share.Notices)
			p.Queue("SELECT pg_notify($1, '')", t.s.channel())
			p.Queue(hurryText, hurry)
		})
	})
	if codeOf(err) == divisionByZero {
		err = t.stale(b)
	}
	if err != nil {
		return store.Result{}, t.failed("write", err)
	}
	return result, nil
}

var errLimits = &store.RowError{Kind: "limit", Err: errors.New("a program's transaction cannot use limits: use Commit")}

// stale is the error for a batch of which a lead has changed.
func (t *callersTx) stale(b *store.Batch) error {
	for i := range b.Changes {
		return &store.ConflictError{Kind: "lead", Seq: b.Changes[i].Before.Seq}
	}
	return &store.RowError{Kind: "lead", Err: errNumber}
}

func (t *callersTx) failed(what string, err error) error {
	if err == nil {
		return nil
	}
	err = t.s.failed(err)
	return fmt.Errorf("postgres: %s in the program's transaction: %w", what, err)
}
