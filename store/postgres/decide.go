package postgres

import (
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/leadflow-go/leadflow/store"
)

// decision is what must be known of a batch before the rest of it can be written.
type decision struct {
	refusals []store.Refusal
	refused  map[int64]bool // by the Seq of the lead
	counted  counts
	last     lastAudit
	// unclaimed are the enrollments, all of them, whose contacts have not got them as
	// their live leads yet.
	unclaimed []*store.Enrollment
}

// decide writes the changes of leads, and claims the contacts of enrollments. It sends the
// statements by send, mostly all at once; the gate is locked before them.
// With hope it leaves claiming to COPY, unless somebody is suppressed.
func decide(b *store.Batch, hope bool, send func(queue func(p *pgx.Batch)) error) (d decision, err error) {
	d.counted = counts{}
	live := liveLeads{}
	var sup, standing suppressed
	var leads []otherLead
	if err := send(func(p *pgx.Batch) {
		if len(b.Share.Contacts) > 0 {
			who := expected(b)
			p.Queue(leadsOfText, who.phones, who.ids).Query(func(rows pgx.Rows) (err error) {
				leads, err = scanOtherLeads(rows)
				return err
			})
		}
		if len(b.Share.Suppressed) > 0 {
			who, seqs := suppressedExpected(b)
			p.Queue(standingText, who.phones, who.ids, seqs).Query(standing.scan)
		}
		if len(b.Enroll) > 0 {
			who := peopleOf(b.Enroll)
			p.Queue(suppressionsOfText, who.phones, who.ids).Query(sup.scan)
		}
		queueChanges(p, b.Changes, d.counted)
		if !hope {
			queueLive(p, b.Enroll, nil, live)
		}
		if len(b.Audit) > 0 {
			p.Queue(lastAuditText).QueryRow(d.last.scan)
		}
	}); err != nil {
		return d, err
	}
	if err := errors.Join(unexpected(b, leads), standing.unexpected(b)); err != nil {
		return d, err
	}
	by := sup.by(b.Enroll)
	if len(by) > 0 { // some have claimed what is another's, or nobody's
		workflows, phones, seqs, _ := claims(b.Enroll, nil)
		live = liveLeads{}
		if err := send(func(p *pgx.Batch) {
			p.Queue(unclaimText, workflows, phones, seqs)
			queueLive(p, b.Enroll, by, live)
		}); err != nil {
			return d, err
		}
	}
	if hope && len(by) == 0 {
		d.unclaimed = firstOfEach(b.Enroll, nil)
		return d, nil
	}
	if finalAtOnce(b.Enroll, live) {
		live = liveLeads{}
		if err := send(func(p *pgx.Batch) {
			keys := keysOf(b.Enroll)
			p.Queue(liveText, keys.workflows, keys.phones).Query(live.scan)
		}); err != nil {
			return d, err
		}
	}
	d.refusals, d.refused = refusals(b.Enroll, by, live)
	return d, nil
}

// queueRest queues what comes after the enrollments.
func (d *decision) queueRest(p *pgx.Batch, b *store.Batch) {
	queueAudit(p, b.Audit, d.refused, d.last)
	queueRest(p, b, d.refused, d.counted)
}
