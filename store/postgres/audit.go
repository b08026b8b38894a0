package postgres

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/leadflow-go/leadflow/store"
)

const (
	auditColumns = `seq, at, actor, action, reason, phone, external_id, workflow, lead, suppression, detail, hash`
	// All engines lock this row, so it comes after the leads and before the counts.
	lastAuditText   = `SELECT seq, hash FROM audit_last FOR UPDATE`
	setLastText     = `UPDATE audit_last SET seq = $1, hash = $2`
	insertAuditText = `INSERT INTO audit (` + auditColumns + `)
		SELECT seq, at, actor, action, reason, nullif(phone, 0), external_id, nullif(workflow, 0), nullif(lead, 0), nullif(suppression, 0), detail, hash
		FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::bigint[], $9::bigint[],
			$10::bigint[], $11::bytea[], $12::bytea[])
			AS u (seq, at, actor, action, reason, phone, external_id, workflow, lead, suppression, detail, hash)`
	auditsText = `SELECT ` + auditColumns + ` FROM audit `

	putSettingText  = `INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value`
	dropSettingText = `DELETE FROM settings WHERE name = $1`
	settingsText    = `SELECT name, value FROM settings ORDER BY name`
)

// lastAudit is where the audit trail goes on.
type lastAudit struct {
	seq  int64
	hash [32]byte
}

func (l *lastAudit) scan(row pgx.Row) error {
	var hash []byte
	if err := row.Scan(&l.seq, &hash); err != nil {
		return err
	}
	return copyID(l.hash[:], hash)
}

// queueAudit appends the entries behind the last one, but for those of leads that are
// refused.
func queueAudit(p *pgx.Batch, entries []store.Audit, refused map[int64]bool, last lastAudit) {
	list := slices.DeleteFunc(slices.Clone(entries), func(a store.Audit) bool { return refused[a.Lead] })
	if len(list) == 0 {
		return
	}
	store.Chain(last.seq, last.hash, list)
	var seq, at, phone, workflow, lead, suppression []int64
	var actor, action, reason, externalID []*string
	var detail, hash [][]byte
	for i := range list {
		a := &list[i]
		seq, at, phone = append(seq, a.Seq), append(at, int64(a.At)), append(phone, a.Phone)
		workflow, lead, suppression = append(workflow, a.Workflow), append(lead, a.Lead), append(suppression, a.Suppression)
		actor, action = append(actor, encodeText(a.Actor)), append(action, encodeText(a.Action))
		reason, externalID = append(reason, encodeText(a.Reason)), append(externalID, encodeText(a.ExternalID))
		detail, hash = append(detail, a.Detail), append(hash, a.Hash[:])
	}
	p.Queue(insertAuditText, seq, at, actor, action, reason, phone, externalID, workflow, lead, suppression, detail, hash)
	end := &list[len(list)-1]
	p.Queue(setLastText, end.Seq, end.Hash[:])
}

func scanAudit(row pgx.CollectableRow) (a store.Audit, err error) {
	var phone, workflow, lead, suppression *int64
	var actor, action, reason, externalID *string
	var hash []byte
	err = row.Scan(&a.Seq, (*int64)(&a.At), &actor, &action, &reason, &phone, &externalID, &workflow, &lead, &suppression, &a.Detail, &hash)
	if err == nil {
		err = copyID(a.Hash[:], hash)
	}
	a.Actor, a.Action, a.Reason, a.ExternalID = decodeText(actor), decodeText(action), decodeText(reason), decodeText(externalID)
	a.Phone, a.Workflow, a.Lead, a.Suppression = orZero(phone), orZero(workflow), orZero(lead), orZero(suppression)
	return a, err
}

// Audits implements [store.AuditReader].
func (s *Store) Audits(ctx context.Context, q store.AuditQuery) ([]store.Audit, error) {
	var w where
	w.number("phone", q.Phone)
	w.says("external_id", q.ExternalID)
	w.number("workflow", q.Workflow)
	w.number("lead", q.Lead)
	w.says("actor", q.Actor)
	if q.From != 0 {
		w.add("at >= %s", int64(q.From))
	}
	if q.To != 0 {
		w.add("at < %s", int64(q.To))
	}
	return list(ctx, s, s.readers, "the audit trail", scanAudit, auditsText+w.page(q.Newest, q.After, q.Limit), w.args...)
}

func queueSettings(p *pgx.Batch, list []store.Setting) {
	for i := range list {
		if s := &list[i]; len(s.Value) > 0 {
			p.Queue(putSettingText, encodeText(s.Name), s.Value)
		} else {
			p.Queue(dropSettingText, encodeText(s.Name))
		}
	}
}

// Settings implements [store.WorkflowReader].
func (s *Store) Settings(ctx context.Context) ([]store.Setting, error) {
	return list(ctx, s, s.readers, "settings", func(row pgx.CollectableRow) (to store.Setting, err error) {
		var name *string
		err = row.Scan(&name, &to.Value)
		to.Name = decodeText(name)
		return to, err
	}, settingsText)
}
