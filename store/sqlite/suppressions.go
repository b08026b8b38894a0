package sqlite

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"

	zombiezen "zombiezen.com/go/sqlite"

	"github.com/leadflow-go/leadflow/store"
)

// The statements of the table suppressions.
const (
	insertSuppressionText = `
		INSERT INTO suppressions (seq, id, phone, external_id, workflow, channel, reason, actor, created, expires,
			lifted, lifted_by, lift_reason)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (seq) DO NOTHING`
	liftSuppressionText = `UPDATE suppressions SET lifted = ?, lifted_by = ?, lift_reason = ? WHERE seq = ?`

	suppressionsText = `
		SELECT seq, id, phone, external_id, workflow, channel, reason, actor, created, expires, lifted, lifted_by, lift_reason
		FROM suppressions WHERE seq IN (SELECT value FROM json_each(?)) ORDER BY seq`

	// What an enrollment must know of those of its contact.
	suppressionsOfPhoneText = `SELECT seq, workflow, expires FROM suppressions WHERE phone = ? AND lifted = 0`
	suppressionsOfIDText    = `SELECT seq, workflow, expires FROM suppressions WHERE external_id = ? AND lifted = 0`
	suppressedText          = `
		SELECT EXISTS (SELECT 1 FROM suppressions WHERE phone IS NOT NULL),
			EXISTS (SELECT 1 FROM suppressions WHERE external_id IS NOT NULL)`

	// Up to so many that expire are sorted, rather than looked for among all that ever did.
	mostSorted      = 4096
	fewExpireText   = `SELECT count(*) FROM (SELECT 1 FROM suppressions INDEXED BY suppressions_expires WHERE lifted = 0 AND %s LIMIT ?)`
	unexpiredText   = `expires > max(0, ?)`
	expiredText     = `expires > 0 AND expires <= ?`
	aboutPhonesText = `SELECT seq FROM suppressions INDEXED BY suppressions_phone WHERE phone IN (SELECT value FROM json_each(?))`
	aboutIDText     = `SELECT seq FROM suppressions INDEXED BY suppressions_external_id WHERE external_id = ?`
	// In a damaged row one may say so and the other not.
	liveLead       = `(l.wake IS NOT NULL OR l.spot & 7 NOT IN (4, 5))`
	livePhonesText = `
		SELECT c.seq FROM json_each(?1) CROSS JOIN contacts c INDEXED BY contacts_phone ON c.phone = json_each.value
			CROSS JOIN leads l ON l.seq = c.seq
		WHERE ` + liveLead + ` AND (?2 = 0 OR l.workflow = ?2)`
	liveIDText = `
		SELECT e.lead FROM external_ids e CROSS JOIN leads l ON l.seq = e.lead
		WHERE e.external_id = ?1 AND ` + liveLead + ` AND (?2 = 0 OR l.workflow = ?2)`
)

// suppressed says whether there are any suppressions, so that a store that has none need
// not look for them. It may say so too early, of a batch that is not committed.
type suppressed struct{ phones, externalIDs bool }

func (s *suppressed) load(w *writer) error {
	var phones, ids int64
	_, err := w.suppressed.get(&phones, &ids)
	s.phones, s.externalIDs = phones != 0, ids != 0
	return err
}

func (t *transaction) putSuppression(s *store.Suppression) error {
	bad := s.Check()
	n := 0
	var err error
	if bad == nil {
		t.suppressed.phones = t.suppressed.phones || s.Phone != 0
		t.suppressed.externalIDs = t.suppressed.externalIDs || s.ExternalID != ""
		n, err = t.insertSuppression.ints(s.Seq).blob(s.ID[:]).orNull(s.Phone).text(s.ExternalID).orNull(s.Workflow).
			text(s.Channel).text(s.Reason).text(s.Actor).ints(int64(s.Created), int64(s.Expires), int64(s.Lifted)).
			text(s.LiftedBy).text(s.LiftReason).exec()
	}
	if err == nil && n == 0 {
		n, err = t.liftSuppression.ints(int64(s.Lifted)).text(s.LiftedBy).text(s.LiftReason).ints(s.Seq).exec()
	}
	if err == nil && n == 0 {
		err = fmt.Errorf("%w: %w", errContent, bad)
	}
	return unwritten(suppressionRow(s.Seq), err)
}

// suppressedBy returns the numbers of the suppressions that keep the lead out.
func (t *transaction) suppressedBy(e *store.Enrollment) ([]int64, error) {
	var list []store.Suppression
	find := func(s *stmt, of store.Suppression) error {
		return s.each(func() { list = append(list, of) }, &of.Seq, &of.Workflow, (*int64)(&of.Expires))
	}
	if c := &e.Contact; t.suppressed.phones {
		if err := find(t.suppressionsOfPhone.ints(c.Phone), store.Suppression{Phone: c.Phone}); err != nil {
			return nil, err
		}
	}
	if c := &e.Contact; t.suppressed.externalIDs && c.ExternalID != "" {
		if err := find(t.suppressionsOfID.text(c.ExternalID), store.Suppression{ExternalID: c.ExternalID}); err != nil {
			return nil, err
		}
	}
	return e.SuppressedBy(list), nil
}

func scanSuppression(from row, s *store.Suppression) error {
	var phone, workflow orZero
	if err := from.scan(&s.Seq); err != nil {
		return named(suppressionRow(0), err)
	}
	err := from.from(1).scan((*[16]byte)(&s.ID), &phone, &s.ExternalID, &workflow, &s.Channel, &s.Reason, &s.Actor,
		(*int64)(&s.Created), (*int64)(&s.Expires), (*int64)(&s.Lifted), &s.LiftedBy, &s.LiftReason)
	s.Phone, s.Workflow = int64(phone), int64(workflow)
	if err == nil && s.Check() != nil {
		err = fmt.Errorf("%w: there is neither phone nor external_id", errSenseless)
	}
	return named(suppressionRow(s.Seq), err)
}

// Suppressions implements [store.LoopReader] and [store.LeadReader]. A list without a
// Limit waits for other long lists, and nothing else does.
func (s *Store) Suppressions(ctx context.Context, q store.SuppressionQuery) ([]store.Suppression, error) {
	from := s.lanes.people
	if q.Limit <= 0 && q.Seqs == nil && !q.OfPersons() && q.Phone == 0 && q.ExternalID == "" {
		from = s.lanes.long
	}
	return read(ctx, s, from, "suppressions", func(conn *zombiezen.Conn) ([]store.Suppression, error) {
		q := q
		if q.OfPersons() {
			seqs, err := suppressionsAbout(conn, q.Phones, q.ExternalIDs)
			if err != nil {
				return nil, err
			}
			if q.Seqs != nil {
				seqs = slices.DeleteFunc(seqs, func(seq int64) bool { return !slices.Contains(q.Seqs, seq) })
			}
			q.Seqs = seqs
		}
		sources := func() ([]*source, error) { return suppressionSources(conn, q) }
		return listRows(conn, sources, page{newest: q.Newest, limit: q.Limit}, runtime.Gosched, suppressionRow, scanSuppression, suppressionsText)
	})
}

// suppressionsAbout returns the numbers of the suppressions of any of the phones or ids.
func suppressionsAbout(conn *zombiezen.Conn, phones []int64, ids []string) ([]int64, error) {
	seqs, err := query(conn, scanSeq, aboutPhonesText, numbers(phones))
	for i := 0; i < len(ids) && err == nil; i++ {
		var more []int64
		more, err = query(conn, scanSeq, aboutIDText, ids[i])
		seqs = append(seqs, more...)
	}
	return append([]int64{}, seqs...), err
}

// suppressionSources returns where the suppressions that match q are found.
func suppressionSources(conn *zombiezen.Conn, q store.SuppressionQuery) (list []*source, err error) {
	var w conditions
	if q.Seqs != nil {
		w.add("seq IN (SELECT value FROM json_each(?))", numbers(q.Seqs))
	}
	if q.Phone != 0 {
		w.add("phone = ?", q.Phone)
	}
	if q.ExternalID != "" {
		w.add("external_id = ?", q.ExternalID)
	}
	if q.Workflow != 0 {
		w.add("workflow = ?", q.Workflow)
	}
	if q.Channel != "" {
		w.add("channel = ?", q.Channel)
	}
	const table = "suppressions"
	index := ""
	switch {
	case q.Seqs != nil:
		index = "NOT INDEXED"
	case q.Phone != 0:
		index = "INDEXED BY suppressions_phone"
	case q.ExternalID != "":
		index = "INDEXED BY suppressions_external_id"
	case q.Workflow != 0:
		index = "INDEXED BY suppressions_workflow"
	case q.Channel != "":
		index = "INDEXED BY suppressions_channel"
	case q.Active != 0 && q.Inactive == 0:
		expiring, err := expiringSource(conn, q, unexpiredText, int64(q.Active))
		return []*source{
			new(conditions).add("lifted = 0").add("expires = 0").source(table, "INDEXED BY suppressions_expires", q.Newest, q.After), expiring,
		}, err
	case q.Inactive != 0 && q.Active == 0:
		expired, err := expiringSource(conn, q, expiredText, int64(q.Inactive))
		return []*source{
			new(conditions).add("lifted <> 0").source(table, "INDEXED BY suppressions_lifted", q.Newest, q.After), expired,
		}, err
	default:
		index = "NOT INDEXED"
	}
	if q.Active != 0 {
		w.add("lifted = 0").add("(expires = 0 OR expires > ?)", int64(q.Active))
	}
	if q.Inactive != 0 {
		w.add("(lifted <> 0 OR expires <> 0 AND expires <= ?)", int64(q.Inactive))
	}
	return []*source{w.source(table, index, q.Newest, q.After)}, nil
}

// expiringSource yields those that expire, and are not lifted, for which the condition
// holds. Few are sorted; many are found soon by reading all that expire in order.
func expiringSource(conn *zombiezen.Conn, q store.SuppressionQuery, condition string, at int64) (*source, error) {
	found, err := query(conn, scanSeq, fmt.Sprintf(fewExpireText, condition), at, mostSorted)
	if err != nil {
		return nil, err
	}
	w := new(conditions).add("lifted = 0").add(condition, at)
	if found[0] < mostSorted {
		return w.source("suppressions", "INDEXED BY suppressions_expires", q.Newest, q.After), nil
	}
	return w.add("expires <> 0").source("suppressions", "INDEXED BY suppressions_expiring", q.Newest, q.After), nil
}

// conditions are those of a query, and their arguments.
type conditions struct {
	text string
	args []any
}

func (w *conditions) add(condition string, args ...any) *conditions {
	w.text += condition + " AND "
	w.args = append(w.args, args...)
	return w
}

// source returns the numbers of the rows of the table that the conditions hold for, behind
// after, by the index.
func (w *conditions) source(table, index string, newest bool, after int64) *source {
	order := "seq > ? ORDER BY seq LIMIT ?"
	if newest {
		order = "seq < ? ORDER BY seq DESC LIMIT ?"
		if after == 0 {
			after = math.MaxInt64
		}
	}
	return &source{text: "SELECT seq FROM " + table + " " + index + " WHERE " + w.text + order, args: w.args, after: after}
}

// Live implements [store.LoopReader] and [store.LeadReader].
func (s *Store) Live(ctx context.Context, q store.LiveQuery) ([]store.Lead, error) {
	return read(ctx, s, s.lanes.people, "live leads", func(conn *zombiezen.Conn) (list []store.Lead, err error) {
		var bad store.RowErrors
		err = snapshot(conn, func() error {
			seqs, err := query(conn, scanSeq, livePhonesText, numbers(q.Phones), q.Workflow)
			for i := 0; i < len(q.ExternalIDs) && err == nil; i++ {
				var more []int64
				more, err = query(conn, scanSeq, liveIDText, q.ExternalIDs[i], q.Workflow)
				seqs = append(seqs, more...)
			}
			if err != nil {
				return err
			}
			for seqs := range slices.Chunk(sorted(seqs), pageRows) {
				page, err := eachAlone(conn, seqs, leadRow, scanLead, loadText)
				var some store.RowErrors
				if errors.As(err, &some) {
					bad = append(bad, some...)
				} else if err != nil {
					return err
				}
				list = append(list, page...)
				runtime.Gosched()
			}
			return nil
		})
		if err == nil && bad != nil {
			err = bad
		}
		return list, err
	})
}
