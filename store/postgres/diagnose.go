package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// diagnose finds out why a batch was refused, by what is in the database. If it finds
// nothing the server's error is all there is to say.
func (s *Store) diagnose(ctx context.Context, p *place, b *store.Batch, err error) error {
	d := diagnosis{ctx: ctx, conn: s.conn, b: b}
	for _, look := range []func() error{d.place(p), d.workflows, d.expectations, d.changes, d.enrollments, d.contacts, d.steps, d.calls, d.payloads, d.suppressions} {
		if found := look(); found != nil {
			return found
		}
	}
	return err
}

type diagnosis struct {
	ctx      context.Context
	conn     *pgx.Conn
	b        *store.Batch
	refused  map[int64]bool
	enrolled map[int64]bool
}

// among returns which of the numbers the statement finds.
func (d *diagnosis) among(text string, seqs []int64) (map[int64]int64, error) {
	rows, err := d.conn.Query(d.ctx, text, seqs)
	if err != nil {
		return nil, err
	}
	found := map[int64]int64{}
	var seq, value int64
	_, err = pgx.ForEachRow(rows, []any{&seq, &value}, func() error {
		found[seq] = value
		return nil
	})
	return found, err
}

func (d *diagnosis) place(p *place) func() error {
	return func() error {
		var over bool
		var flows int64
		if err := d.conn.QueryRow(d.ctx, `SELECT over, flows FROM engines WHERE epoch = $1`, p.epoch).Scan(&over, &flows); err != nil {
			return err
		}
		if over {
			p.end()
			return store.ErrLost
		}
		if d.b.Share.Engine != 0 && flows != d.b.Share.Flows {
			return store.ErrBehind
		}
		return nil
	}
}

func (d *diagnosis) expectations() error {
	for _, e := range d.b.Share.Expect {
		var b pgx.Batch
		queueExpectation(&b, e)
		if err := d.conn.SendBatch(d.ctx, &b).Close(); codeOf(err) == divisionByZero {
			return &store.ConflictError{Kind: "workflow", Seq: e.Workflow}
		} else if err != nil {
			return err
		}
	}
	return nil
}

func (d *diagnosis) workflows() error {
	if len(d.b.Workflows) == 0 {
		return nil
	}
	rows, err := d.conn.Query(d.ctx, workflowsText)
	if err != nil {
		return err
	}
	stored, err := pgx.CollectRows(rows, scanWorkflow)
	if err != nil {
		return err
	}
	versions, ids := map[int64]int64{}, map[lead.WorkflowID]int64{}
	for i := range stored {
		versions[stored[i].Seq], ids[stored[i].ID] = stored[i].Version, stored[i].Seq
	}
	for i := range d.b.Workflows {
		w := &d.b.Workflows[i]
		other, taken := ids[w.ID]
		switch {
		case w.Version == 1 && (versions[w.Seq] != 0 || taken), taken && other != w.Seq && versions[w.Seq] == w.Version-1:
			return &store.RowError{Kind: "workflow", Key: w.Seq, Err: errNumber}
		case w.Version != 1 && versions[w.Seq] != w.Version-1:
			return &store.ConflictError{Kind: "workflow", Seq: w.Seq}
		}
		versions[w.Seq], ids[w.ID] = w.Version, w.Seq
	}
	return nil
}

var errNumber = errors.New("its number is taken")

func (d *diagnosis) changes() error {
	var seqs []int64
	for i := range d.b.Changes {
		seqs = append(seqs, d.b.Changes[i].Before.Seq)
	}
	versions, err := d.among(`SELECT seq, version FROM leads WHERE seq = ANY($1)`, seqs)
	if err != nil {
		return err
	}
	seen := map[int64]bool{}
	for i := range d.b.Changes {
		before := &d.b.Changes[i].Before
		if version, there := versions[before.Seq]; !there || version != before.Version || seen[before.Seq] {
			return &store.ConflictError{Kind: "lead", Seq: before.Seq}
		}
		seen[before.Seq] = true
	}
	return nil
}

func (d *diagnosis) enrollments() error {
	if len(d.b.Enroll) == 0 {
		return nil
	}
	all := keysOf(d.b.Enroll)
	live, err := readLive(d.b.Enroll, func(text string, args ...any) (pgx.Rows, error) { return d.conn.Query(d.ctx, text, args...) })
	if err != nil {
		return err
	}
	for i := range d.b.Changes {
		if after := &d.b.Changes[i].After; after.State.Final() {
			for who, holder := range live {
				if holder == after.Seq {
					delete(live, who)
				}
			}
		}
	}
	who := peopleOf(d.b.Enroll)
	rows, err := d.conn.Query(d.ctx, suppressionsOfText, who.phones, who.ids)
	if err != nil {
		return err
	}
	var sup suppressed
	if err := sup.scan(rows); err != nil {
		return err
	}
	by := sup.by(d.b.Enroll)
	for _, e := range firstOfEach(d.b.Enroll, by) {
		if live[keyOf(e)] == 0 {
			live[keyOf(e)] = e.Record.Seq
		}
	}
	_, d.refused = refusals(d.b.Enroll, by, live)
	taken, err := d.among(`SELECT seq, version FROM leads WHERE seq = ANY($1)`, all.leads)
	if err != nil {
		return err
	}
	d.enrolled = map[int64]bool{}
	for i := range d.b.Enroll {
		seq := d.b.Enroll[i].Record.Seq
		if d.refused[seq] {
			continue
		}
		if _, there := taken[seq]; there || d.enrolled[seq] {
			return &store.RowError{Kind: "lead", Seq: seq, Key: seq, Err: errNumber}
		}
		d.enrolled[seq] = true
	}
	return nil
}

// missing returns which of the leads there are not, nor are enrolled by the batch.
func (d *diagnosis) missing(seqs []int64) (map[int64]bool, error) {
	there, err := d.among(`SELECT seq, version FROM leads WHERE seq = ANY($1)`, seqs)
	missing := map[int64]bool{}
	for _, seq := range seqs {
		if _, ok := there[seq]; !ok && !d.enrolled[seq] && !d.refused[seq] {
			missing[seq] = true
		}
	}
	return missing, err
}

func (d *diagnosis) contacts() error {
	var seqs []int64
	for i := range d.b.Contacts {
		seqs = append(seqs, d.b.Contacts[i].Seq)
	}
	missing, err := d.missing(seqs)
	if err != nil {
		return err
	}
	for _, seq := range seqs {
		if missing[seq] {
			return &store.RowError{Kind: "contact", Seq: seq, Key: seq, Err: errNoLead}
		}
	}
	return nil
}

func (d *diagnosis) steps() error {
	var seqs []int64
	for i := range d.b.Steps {
		seqs = append(seqs, d.b.Steps[i].Seq)
	}
	taken, err := d.among(`SELECT seq, lead FROM steps WHERE seq = ANY($1)`, seqs)
	if err != nil {
		return err
	}
	for i := range d.b.Steps {
		s := &d.b.Steps[i]
		if d.refused[s.Lead] {
			continue
		}
		if _, there := taken[s.Seq]; there {
			return &store.RowError{Kind: "step", Seq: s.Lead, Key: s.Seq, Err: errNumber}
		}
		taken[s.Seq] = s.Lead
	}
	return nil
}

func (d *diagnosis) calls() error {
	var seqs, leads []int64
	for i := range d.b.Calls {
		seqs, leads = append(seqs, d.b.Calls[i].Seq), append(leads, d.b.Calls[i].Lead)
	}
	there, err := d.among(`SELECT seq, lead FROM calls WHERE seq = ANY($1)`, seqs)
	if err != nil {
		return err
	}
	missing, err := d.missing(leads)
	if err != nil {
		return err
	}
	for i := range d.b.Calls {
		c := &d.b.Calls[i]
		if _, ok := there[c.Seq]; !ok && missing[c.Lead] {
			return &store.RowError{Kind: "call", Seq: c.Lead, Key: c.Seq, Err: errNoLead}
		}
		there[c.Seq] = c.Lead
	}
	return nil
}

func (d *diagnosis) payloads() error {
	var leads []int64
	for i := range d.b.Payloads {
		leads = append(leads, d.b.Payloads[i].Lead)
	}
	missing, err := d.missing(leads)
	if err != nil {
		return err
	}
	for i := range d.b.Payloads {
		p := &d.b.Payloads[i]
		if !d.refused[p.Lead] && (p.Visit < 0 || p.Visit > lead.MaxVisits) {
			return &store.RowError{Kind: "payload", Seq: p.Lead, Key: int64(p.Visit), Err: fmt.Errorf("a visit must be from 0 to %d", lead.MaxVisits)}
		}
		if missing[p.Lead] && len(p.Data) > 0 {
			return &store.RowError{Kind: "payload", Seq: p.Lead, Key: int64(p.Visit), Err: errNoLead}
		}
	}
	return nil
}

func (d *diagnosis) suppressions() error {
	var seqs []int64
	for i := range d.b.Suppressions {
		seqs = append(seqs, d.b.Suppressions[i].Seq)
	}
	there, err := d.among(`SELECT seq, created FROM suppressions WHERE seq = ANY($1)`, seqs)
	if err != nil {
		return err
	}
	for i := range d.b.Suppressions {
		s := &d.b.Suppressions[i]
		if _, ok := there[s.Seq]; !ok && s.Check() != nil {
			return &store.RowError{Kind: "suppression", Key: s.Seq, Err: s.Check()}
		}
		there[s.Seq] = 0
	}
	return nil
}
