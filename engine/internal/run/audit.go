package run

import "github.com/leadflow-go/leadflow/store"

// The actions of audit entries.
const (
	AuditSuppress = "suppression.added"
	AuditLift     = "suppression.lifted"
	AuditRemove   = "lead.removal_requested"
	AuditHold     = "lead.held"
	AuditRelease  = "lead.released"
	AuditSignal   = "lead.signalled"

	AuditCreate     = "workflow.created"
	AuditUpdate     = "workflow.updated"
	AuditActivate   = "workflow.activated"
	AuditPause      = "workflow.paused" // by a guard, too
	AuditResume     = "workflow.resumed"
	AuditComplete   = "workflow.completed"
	AuditCancel     = "workflow.cancelled"
	AuditDelete     = "workflow.deleted"
	AuditUpdateLead = "lead.updated"
	AuditLimits     = "limits.changed"
)

// audit adds an entry to the audit log.
func (l *loop) audit(a store.Audit) {
	a.At = l.now
	l.writes.Audit = append(l.writes.Audit, a)
}

// auditLead adds an entry about a lead to the audit log.
func (l *loop) auditLead(e *entry, a store.Audit) {
	if e.contact != nil {
		a.Phone, a.ExternalID = e.contact.Phone, e.contact.ExternalID
	}
	a.Workflow, a.Lead = e.view.Rec.Workflow, e.seq()
	l.audit(a)
}
