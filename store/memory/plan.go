package memory

import (
	"errors"
	"fmt"
	"slices"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// plan is the effect of a batch, computed before anything is changed.
type plan struct {
	workflows []store.Workflow // all of them, as they will be
	refusals  []store.Refusal
	refused   map[int64]bool // enrollments that are refused; nil if there are none
	enrolled  map[int64]bool // enrollments that are not; nil if there are none
	audits    []store.Audit  // of leads that are not refused
}

func (c *contents) plan(b *store.Batch) (p plan, err error) {
	if p.workflows, err = c.withWorkflows(b.Workflows); err != nil {
		return p, err
	}
	if err := c.planChanges(b); err != nil {
		return p, err
	}
	if err := c.planEnroll(&p, b); err != nil {
		return p, err
	}
	if err := c.planContacts(&p, b); err != nil {
		return p, err
	}
	if err := c.planSteps(&p, b); err != nil {
		return p, err
	}
	if err := c.planCalls(&p, b); err != nil {
		return p, err
	}
	if err := c.planPayloads(&p, b); err != nil {
		return p, err
	}
	for i := range b.Audit {
		if !p.refused[b.Audit[i].Lead] {
			p.audits = append(p.audits, b.Audit[i])
		}
	}
	if err := c.planSuppressions(b); err != nil {
		return p, err
	}
	for i := range b.Starts {
		if err := b.Starts[i].Check(); err != nil {
			return p, refused("start", 0, int64(b.Starts[i].At), err)
		}
	}
	return p, c.planSettings(b)
}

func (p *plan) refuse(seq int64, r store.Refusal) {
	if p.refused == nil {
		p.refused = make(map[int64]bool)
	}
	p.refused[seq] = true
	p.refusals = append(p.refusals, r)
}

func (c *contents) planChanges(b *store.Batch) error {
	c.seqs = c.seqs[:0]
	for i := range b.Changes {
		before, after := &b.Changes[i].Before, &b.Changes[i].After
		if row := c.leads.row(before.Seq); row == nil || row.version != before.Version {
			return &store.ConflictError{Kind: "lead", Seq: before.Seq}
		}
		if after.Seq != before.Seq || after.Workflow != before.Workflow {
			return refused("lead", before.Seq, before.Seq, errors.New("a change must not change its number or workflow"))
		}
		c.seqs = append(c.seqs, before.Seq)
	}
	if seq := twice(c.seqs); seq != 0 { // the second change is based on a stale version
		return &store.ConflictError{Kind: "lead", Seq: seq}
	}
	return nil
}

// contactIn is a contact in a workflow.
type contactIn struct{ workflow, phone int64 }

func (c *contents) planEnroll(p *plan, b *store.Batch) error {
	if len(b.Enroll) == 0 {
		return nil
	}
	ended := make(map[int64]bool) // leads that this batch ends
	for i := range b.Changes {
		if after := &b.Changes[i].After; after.State.Final() {
			ended[after.Seq] = true
		}
	}
	begun := make(map[contactIn]int64) // leads that this batch makes live
	p.enrolled = make(map[int64]bool, len(b.Enroll))
	for i := range b.Enroll {
		r, contact := &b.Enroll[i].Record, &b.Enroll[i].Contact
		if seqs := b.Enroll[i].SuppressedBy(c.suppressionsOf(contact)); seqs != nil {
			p.refuse(r.Seq, store.Refusal{Index: i, Suppressed: seqs})
			continue
		}
		who := contactIn{r.Workflow, contact.Phone}
		live := begun[who]
		if live == 0 {
			live = c.liveLead(who, ended)
		}
		if live != 0 {
			p.refuse(r.Seq, store.Refusal{Index: i, Live: live})
			continue
		}
		if !r.State.Final() {
			begun[who] = r.Seq
		}
		if p.enrolled[r.Seq] || c.leads.row(r.Seq) != nil || !c.numbers.reserved(store.LeadSequence, r.Seq) {
			return refused("lead", r.Seq, r.Seq, errNumber)
		}
		if contact.Seq != r.Seq {
			return refused("contact", r.Seq, r.Seq, fmt.Errorf("its number is %d; must be that of its lead", contact.Seq))
		}
		p.enrolled[r.Seq] = true
	}
	return nil
}

// liveLead returns the lead that the contact has in the workflow, or 0.
func (c *contents) liveLead(who contactIn, ended map[int64]bool) int64 {
	for seq := range c.phones.rows(who.phone) {
		if row := c.leads.row(seq); row.workflow == who.workflow && !row.state.Final() && !ended[seq] {
			return seq
		}
	}
	return 0
}

func (c *contents) planSteps(p *plan, b *store.Batch) error {
	c.seqs = c.seqs[:0]
	for i := range b.Steps {
		step := &b.Steps[i]
		if p.refused[step.Lead] {
			continue
		}
		if c.steps.get(step.Seq) != nil || !c.numbers.reserved(store.StepSequence, step.Seq) {
			return refused("step", step.Lead, step.Seq, errNumber)
		}
		c.seqs = append(c.seqs, step.Seq)
	}
	if seq := twice(c.seqs); seq != 0 {
		i := slices.IndexFunc(b.Steps, func(step store.Step) bool { return step.Seq == seq })
		return refused("step", b.Steps[i].Lead, seq, errNumber)
	}
	return nil
}

// planCalls checks that an entry is in the log already, or that its lead exists.
func (c *contents) planCalls(p *plan, b *store.Batch) error {
	for i := range b.Calls {
		call := &b.Calls[i]
		switch {
		case p.refused[call.Lead] || c.calls.get(call.Seq) != nil:
		case !c.numbers.reserved(store.CallSequence, call.Seq):
			return refused("call", call.Lead, call.Seq, errNumber)
		case c.exists(p, call.Lead):
		case slices.ContainsFunc(b.Calls[:i], func(c store.Call) bool { return c.Seq == call.Seq }):
		default:
			return refused("call", call.Lead, call.Seq, errNoLead)
		}
	}
	return nil
}

// planContacts checks that the contacts that are to change exist.
func (c *contents) planContacts(p *plan, b *store.Batch) error {
	for i := range b.Contacts {
		if seq := b.Contacts[i].Seq; !p.refused[seq] && !c.exists(p, seq) {
			return refused("contact", seq, seq, errNoLead)
		}
	}
	return nil
}

// planPayloads checks that the lead of each payload exists, unless the payload is to be
// deleted.
func (c *contents) planPayloads(p *plan, b *store.Batch) error {
	for i := range b.Payloads {
		payload := &b.Payloads[i]
		switch {
		case p.refused[payload.Lead]:
		case payload.Visit < 0 || payload.Visit > lead.MaxVisits:
			return refused("payload", payload.Lead, int64(payload.Visit), fmt.Errorf("a visit must be from 0 to %d", lead.MaxVisits))
		case len(payload.Data) > 0 && !c.exists(p, payload.Lead):
			return refused("payload", payload.Lead, int64(payload.Visit), errNoLead)
		}
	}
	return nil
}

// planSettings checks that settings have names.
func (c *contents) planSettings(b *store.Batch) error {
	for i := range b.Settings {
		if err := b.Settings[i].Check(); err != nil {
			return refused("setting", 0, 0, err)
		}
	}
	return nil
}

// planSuppressions checks that new suppressions are about somebody.
func (c *contents) planSuppressions(b *store.Batch) error {
	for i := range b.Suppressions {
		s := &b.Suppressions[i]
		if c.suppressions.get(s.Seq) != nil {
			continue
		}
		err := s.Check()
		switch {
		case !c.numbers.reserved(store.SuppressionSequence, s.Seq):
			err = errNumber
		case err != nil && slices.ContainsFunc(b.Suppressions[:i], func(before store.Suppression) bool { return before.Seq == s.Seq }):
			err = nil // it is inserted and lifted by the batch
		}
		if err != nil {
			return refused("suppression", 0, s.Seq, err)
		}
	}
	return nil
}

// exists reports whether the lead exists, or is enrolled by the batch.
func (c *contents) exists(p *plan, seq int64) bool {
	return c.leads.row(seq) != nil || p.enrolled[seq]
}

var (
	errNumber = errors.New("its number is in use already, or was not reserved")
	errNoLead = errors.New("the lead does not exist")
)

// refused is the error of a row that cannot be written.
func refused(kind string, seq, key int64, err error) error {
	return &store.RowError{Kind: kind, Seq: seq, Key: key, Err: err}
}

// twice returns a number that is in the list more than once, or 0. It sorts the list,
// which is mostly sorted already.
func twice(seqs []int64) int64 {
	slices.Sort(seqs)
	for i := 1; i < len(seqs); i++ {
		if seqs[i] == seqs[i-1] {
			return seqs[i]
		}
	}
	return 0
}
