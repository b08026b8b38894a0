package postgres

import (
	"cmp"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/leadflow-go/leadflow/store"
)

// queueWorkflows queues the changes of workflows and settings, and then what they rest on: only when
// the workflows are locked no program's transaction can enroll or remove any more.
func queueWorkflows(p *pgx.Batch, b *store.Batch) {
	for i := range b.Workflows {
		w := &b.Workflows[i]
		text := updateWorkflowText
		if w.Version == 1 {
			text = insertWorkflowText
		}
		p.Queue(text, w.Version, w.ID[:], int16(w.Status), encodeText(w.Name), encodeText(w.Description), w.Definition,
			int64(w.Created), int64(w.Updated), w.Deleted, w.Seq)
	}
	queueSettings(p, b.Settings)
	for _, e := range b.Share.Expect {
		queueExpectation(p, e)
	}
}

// records are rows of leads as columns.
type records struct {
	seq, workflow, version, spot                             []int64
	phase                                                    []int16
	node, visit, visits, attempt                             []int32
	entered, due, started, deadline, wake, lastStep, updated []int64
	outcome                                                  []*string
	extra                                                    [][]byte
}

func newRecords(n int) *records {
	ints := func() []int64 { return make([]int64, 0, n) }
	short := func() []int32 { return make([]int32, 0, n) }
	return &records{
		seq: ints(), workflow: ints(), version: ints(), spot: ints(), phase: make([]int16, 0, n), node: short(), visit: short(), visits: short(),
		attempt: short(), entered: ints(), due: ints(), started: ints(), deadline: ints(), wake: ints(), lastStep: ints(), updated: ints(),
		outcome: make([]*string, 0, n), extra: make([][]byte, 0, n),
	}
}

func (c *records) add(r *store.Record) {
	c.seq, c.workflow, c.version, c.spot = append(c.seq, r.Seq), append(c.workflow, r.Workflow), append(c.version, r.Version), append(c.spot, spotOf(r))
	c.phase = append(c.phase, int16(r.Phase))
	c.node, c.visit, c.visits, c.attempt = append(c.node, r.Node), append(c.visit, r.Visit), append(c.visits, r.Visits), append(c.attempt, r.Attempt)
	c.entered, c.due = append(c.entered, int64(r.Entered)), append(c.due, int64(r.Due))
	c.started, c.deadline = append(c.started, int64(r.Started)), append(c.deadline, int64(r.Deadline))
	c.wake, c.lastStep, c.updated = append(c.wake, int64(r.Wake)), append(c.lastStep, r.LastStep), append(c.updated, int64(r.Updated))
	c.outcome, c.extra = append(c.outcome, encodeText(r.Outcome)), append(c.extra, r.EngineState)
}

// args are the columns in the order of the statements; second is what stands second.
func (c *records) args(second []int64) []any {
	return []any{c.seq, second, c.version, c.spot, c.phase, c.node, c.visit, c.visits, c.attempt, c.entered, c.due, c.started, c.deadline, c.wake,
		c.lastStep, c.updated, c.outcome, c.extra}
}

// spot is what leads are counted by.
type spot struct {
	workflow int64
	node     int32
	state    int16
}

func countedAt(r *store.Record) spot { return spot{r.Workflow, r.Node, int16(r.State)} }

// counts are how many leads of a batch come to a spot and go from it.
type counts map[spot]int64

// queue comes once in a batch, so that no two batches wait for one another, and late,
// because all engines change the same few rows.
func (c counts) queue(p *pgx.Batch) {
	var list []spot
	for at, n := range c {
		if n != 0 {
			list = append(list, at)
		}
	}
	if len(list) == 0 {
		return
	}
	slices.SortFunc(list, func(a, b spot) int {
		return cmp.Or(cmp.Compare(a.workflow, b.workflow), cmp.Compare(a.node, b.node), cmp.Compare(a.state, b.state))
	})
	workflows, nodes, states, ns := make([]int64, len(list)), make([]int32, len(list)), make([]int16, len(list)), make([]int64, len(list))
	for i, at := range list {
		workflows[i], nodes[i], states[i], ns[i] = at.workflow, at.node, at.state, c[at]
	}
	p.Queue(countText, workflows, nodes, states, ns)
}

func queueChanges(p *pgx.Batch, list []store.Change, counted counts) {
	if len(list) == 0 {
		return
	}
	order := make([]*store.Change, len(list))
	for i := range list {
		order[i] = &list[i]
	}
	slices.SortFunc(order, func(a, b *store.Change) int { return cmp.Compare(a.After.Seq, b.After.Seq) })
	columns, before := newRecords(len(list)), make([]int64, len(list))
	var ended, endedIn []int64
	for i, c := range order {
		columns.add(&c.After)
		before[i] = c.Before.Version
		if from, to := countedAt(&c.Before), countedAt(&c.After); from != to {
			counted[from]--
			counted[to]++
		}
		if c.After.State.Final() && !c.Before.State.Final() {
			ended, endedIn = append(ended, c.After.Seq), append(endedIn, c.After.Workflow)
		}
	}
	p.Queue(changeText, append(columns.args(before), int64(len(list)))...)
	if ended != nil {
		p.Queue(endText, ended, endedIn)
	}
}

func queueEnroll(p *pgx.Batch, list []store.Enrollment, refused map[int64]bool, counted counts) {
	columns := newRecords(len(list))
	var seqs, phones, enrolled []int64
	var shards []int16
	var ids, metadata [][]byte
	var externalIDs, zones []*string
	for i := range list {
		r, c := &list[i].Record, &list[i].Contact
		if refused[r.Seq] {
			continue
		}
		columns.add(r)
		shards = append(shards, r.Shard)
		counted[countedAt(r)]++
		seqs, ids, phones, enrolled = append(seqs, c.Seq), append(ids, c.ID[:]), append(phones, c.Phone), append(enrolled, int64(c.Enrolled))
		externalIDs, zones, metadata = append(externalIDs, encodeText(c.ExternalID)), append(zones, encodeText(c.TimeZone)), append(metadata, c.Metadata)
	}
	if len(seqs) == 0 {
		return
	}
	p.Queue(insertLeadsText, append(columns.args(columns.workflow), shards)...)
	p.Queue(insertContactsText, seqs, ids, phones, externalIDs, zones, metadata, enrolled)
}

// queueRest queues what comes after the enrollments, but for what belongs to leads that
// are refused.
func queueRest(p *pgx.Batch, b *store.Batch, refused map[int64]bool, counted counts) {
	queueContacts(p, b.Contacts, refused)
	queueSteps(p, b.Steps, refused)
	queueCalls(p, b.Calls, refused)
	queuePayloads(p, b.Payloads, refused)
	queueLimits(p, &b.Share, refused)
	counted.queue(p)
	queueSuppressions(p, b.Suppressions)
	queueStarts(p, b)
	if len(b.Forget) > 0 {
		p.Queue(forgetStepsText, b.Forget)
		p.Queue(forgetText, b.Forget)
	}
}

// lastOfEach returns the last row of each key, in the order of the keys.
func lastOfEach[T any, K comparable](list []T, refused map[int64]bool, of func(*T) (lead int64, key K), compare func(a, b K) int) []*T {
	last := make(map[K]*T, len(list))
	var order []K
	for i := range list {
		lead, key := of(&list[i])
		if refused[lead] {
			continue
		}
		if last[key] == nil {
			order = append(order, key)
		}
		last[key] = &list[i]
	}
	slices.SortFunc(order, compare)
	rows := make([]*T, len(order))
	for i, key := range order {
		rows[i] = last[key]
	}
	return rows
}

func queueContacts(p *pgx.Batch, list []store.Contact, refused map[int64]bool) {
	rows := lastOfEach(list, refused, func(c *store.Contact) (int64, int64) { return c.Seq, c.Seq }, cmp.Compare[int64])
	if len(rows) == 0 {
		return
	}
	var seqs []int64
	var externalIDs, zones []*string
	var metadata [][]byte
	for _, c := range rows {
		seqs, externalIDs, zones = append(seqs, c.Seq), append(externalIDs, encodeText(c.ExternalID)), append(zones, encodeText(c.TimeZone))
		metadata = append(metadata, c.Metadata)
	}
	p.Queue(updateContactsText, seqs, externalIDs, zones, metadata, int64(len(rows)))
}

func queueSteps(p *pgx.Batch, list []store.Step, refused map[int64]bool) {
	n := len(list)
	seq, prev, lead := make([]int64, 0, n), make([]int64, 0, n), make([]int64, 0, n)
	visit, node, attempts := make([]int32, 0, n), make([]int32, 0, n), make([]int32, 0, n)
	kind, status := make([]int16, 0, n), make([]int16, 0, n)
	entered, due, started, exited := make([]int64, 0, n), make([]int64, 0, n), make([]int64, 0, n), make([]int64, 0, n)
	outcome, detail := make([]*string, 0, n), make([][]byte, 0, n)
	for i := range list {
		s := &list[i]
		if refused[s.Lead] {
			continue
		}
		seq, prev, lead = append(seq, s.Seq), append(prev, s.Prev), append(lead, s.Lead)
		visit, node, attempts = append(visit, s.Visit), append(node, s.Node), append(attempts, s.Attempts)
		kind, status = append(kind, int16(s.Kind)), append(status, int16(s.Status))
		entered, due = append(entered, int64(s.Entered)), append(due, int64(s.Due))
		started, exited = append(started, int64(s.Started)), append(exited, int64(s.Exited))
		outcome, detail = append(outcome, encodeText(s.Outcome)), append(detail, s.Detail)
	}
	if len(seq) > 0 {
		p.Queue(insertStepsText, seq, prev, lead, visit, node, kind, status, attempts, entered, due, started, exited, outcome, detail)
	}
}

func queueCalls(p *pgx.Batch, list []store.Call, refused map[int64]bool) {
	rows := lastOfEach(list, refused, func(c *store.Call) (int64, int64) { return c.Lead, c.Seq }, cmp.Compare[int64])
	if len(rows) == 0 {
		return
	}
	first := map[int64]int64{} // an entry is of the lead that it was first written for
	for i := range list {
		if c := &list[i]; !refused[c.Lead] && first[c.Seq] == 0 {
			first[c.Seq] = c.Lead
		}
	}
	var seq, lead, workflow, entered, started, ended []int64
	var visit, attempt []int32
	var status []int16
	var node, call, outcome, text []*string
	var data [][]byte
	for _, c := range rows {
		seq, lead, workflow = append(seq, c.Seq), append(lead, first[c.Seq]), append(workflow, c.Workflow)
		visit, attempt, status = append(visit, c.Visit), append(attempt, c.Attempt), append(status, int16(c.Status))
		entered, started, ended = append(entered, int64(c.Entered)), append(started, int64(c.Started)), append(ended, int64(c.Ended))
		node, call = append(node, encodeText(c.NodeID)), append(call, encodeText(c.CallID))
		outcome, text, data = append(outcome, encodeText(c.Outcome)), append(text, encodeText(c.Error)), append(data, c.Data)
	}
	p.Queue(putCallsText, seq, lead, workflow, visit, entered, attempt, node, status, started, ended, call, outcome, text, data, int64(len(rows)))
}

// payloadKey is what a payload is known by.
type payloadKey struct {
	lead  int64
	visit int32
}

func queuePayloads(p *pgx.Batch, list []store.Payload, refused map[int64]bool) {
	rows := lastOfEach(list, refused, func(p *store.Payload) (int64, payloadKey) { return p.Lead, payloadKey{p.Lead, p.Visit} },
		func(a, b payloadKey) int { return cmp.Or(cmp.Compare(a.lead, b.lead), cmp.Compare(a.visit, b.visit)) })
	var put, drop struct {
		leads  []int64
		visits []int32
		data   [][]byte
	}
	for _, r := range rows {
		to := &drop
		if len(r.Data) > 0 {
			to = &put
			to.data = append(to.data, r.Data)
		}
		to.leads, to.visits = append(to.leads, r.Lead), append(to.visits, r.Visit)
	}
	if put.leads != nil {
		p.Queue(putPayloadsText, put.leads, put.visits, put.data, int64(len(put.leads)))
	}
	if drop.leads != nil {
		p.Queue(dropPayloadsText, drop.leads, drop.visits)
	}
}
