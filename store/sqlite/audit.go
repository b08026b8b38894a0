package sqlite

import (
	"context"
	"fmt"
	"runtime"
	"slices"

	zombiezen "zombiezen.com/go/sqlite"

	"github.com/leadflow-go/leadflow/store"
)

// The statements of the tables audit and settings.
const (
	insertAuditText = `
		INSERT INTO audit (seq, at, actor, action, reason, phone, external_id, workflow, lead, suppression, detail, hash)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	auditColumns = `seq, at, actor, action, reason, phone, external_id, workflow, lead, suppression, detail, hash`
	// A row with a higher number is a damaged one, after which no number would be left.
	lastAuditText = `SELECT seq, hash FROM audit WHERE seq < 1 << 62 ORDER BY seq DESC LIMIT 1`
	auditsText    = `SELECT ` + auditColumns + ` FROM audit WHERE seq IN (SELECT value FROM json_each(?)) ORDER BY seq`

	putSettingText    = `INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value`
	deleteSettingText = `DELETE FROM settings WHERE name = ?`
	settingsText      = `SELECT name, value FROM settings ORDER BY name`
)

// putAudits appends the entries, but for those of leads that are refused.
func (t *transaction) putAudits(entries []store.Audit) error {
	list := slices.DeleteFunc(slices.Clone(entries), func(a store.Audit) bool { return t.refused[a.Lead] })
	if len(list) == 0 {
		return nil
	}
	var last store.Audit
	if err := t.lastAudit.row(func(from row) error {
		// Whoever checks the chain finds that an entry's hash is none. What is asked for now
		// is no less urgent for that.
		_ = from.from(1).scan(&last.Hash)
		return from.scan(&last.Seq)
	}); err != nil {
		return err
	}
	store.Chain(last.Seq, last.Hash, list)
	for i := range list {
		a := &list[i]
		_, err := t.insertAudit.ints(a.Seq, int64(a.At)).text(a.Actor).text(a.Action).text(a.Reason).orNull(a.Phone).text(a.ExternalID).
			orNull(a.Workflow).orNull(a.Lead).orNull(a.Suppression).blob(a.Detail).blob(a.Hash[:]).exec()
		if err != nil {
			return unwritten(store.RowError{Kind: "audit", Seq: a.Lead, Key: a.Seq}, err)
		}
	}
	return nil
}

func scanAudit(from row, a *store.Audit) error {
	var phone, workflow, lead, suppression orZero
	if err := from.scan(&a.Seq); err != nil {
		return named(auditRow(0), err)
	}
	err := from.from(1).scan((*int64)(&a.At), &a.Actor, &a.Action, &a.Reason, &phone, &a.ExternalID, &workflow, &lead, &suppression,
		&a.Detail, &a.Hash)
	a.Phone, a.Workflow, a.Lead, a.Suppression = int64(phone), int64(workflow), int64(lead), int64(suppression)
	return named(auditRow(a.Seq), err)
}

// Audits implements [store.AuditReader].
func (s *Store) Audits(ctx context.Context, q store.AuditQuery) ([]store.Audit, error) {
	return read(ctx, s, s.lanes.long, "the audit trail", func(conn *zombiezen.Conn) ([]store.Audit, error) {
		sources := func() ([]*source, error) { return []*source{auditSource(q)}, nil }
		return listRows(conn, sources, page{newest: q.Newest, limit: q.Limit}, runtime.Gosched, auditRow, scanAudit, auditsText)
	})
}

// auditSource goes by the index that leaves the fewest entries to look at. All but that
// over at yield them in order of seq.
func auditSource(q store.AuditQuery) *source {
	var w conditions
	index := "NOT INDEXED"
	if q.From != 0 || q.To != 0 {
		index = "INDEXED BY audit_at"
		w.add("at >= ?", int64(q.From))
		if q.To != 0 {
			w.add("at < ?", int64(q.To))
		}
	}
	if q.Actor != "" {
		index = "INDEXED BY audit_actor"
		w.add("actor = ?", q.Actor)
	}
	if q.Workflow != 0 {
		index = "INDEXED BY audit_workflow"
		w.add("workflow = ?", q.Workflow)
	}
	if q.ExternalID != "" {
		index = "INDEXED BY audit_external_id"
		w.add("external_id = ?", q.ExternalID)
	}
	if q.Phone != 0 {
		index = "INDEXED BY audit_phone"
		w.add("phone = ?", q.Phone)
	}
	if q.Lead != 0 {
		index = "INDEXED BY audit_lead"
		w.add("lead = ?", q.Lead)
	}
	return w.source("audit", index, q.Newest, q.After)
}

func (w *writer) putSetting(s *store.Setting) error {
	err := s.Check()
	switch {
	case err != nil:
		err = fmt.Errorf("%w: %w", errContent, err)
	case len(s.Value) == 0:
		_, err = w.deleteSetting.text(s.Name).exec()
	default:
		_, err = w.insertSetting.text(s.Name).blob(s.Value).exec()
	}
	return unwritten(store.RowError{Kind: "setting"}, err)
}

func scanSetting(from row, s *store.Setting) error {
	return named(store.RowError{Kind: "setting"}, from.scan(&s.Name, &s.Value))
}

// Settings implements [store.WorkflowReader].
func (s *Store) Settings(ctx context.Context) ([]store.Setting, error) {
	return read(ctx, s, s.lanes.point, "settings", rows(scanSetting, settingsText))
}
