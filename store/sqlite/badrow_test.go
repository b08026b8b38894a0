package sqlite

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	zombiezen "zombiezen.com/go/sqlite"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/storetest"
)

// limit has SQLite take no more bytes than that, in one value and in one row.
func (w *writer) limit(bytes int) {
	w.conn.Limit(zombiezen.LimitLength, int32(bytes))
	w.mostBytes = bytes
}

// A row that SQLite does not take for what is in it concerns its lead.
func TestARowThatIsTooLargeNamesItsLead(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "leads.db"))
	s.writer.limit(100_000)
	list := enroll(t, s, 3)
	before := everything(t, s)
	large := make([]byte, 60_000) // two of which are too much for a row, one not
	for i := range large {
		large[i] = 'x'
	}
	seq := func(kind store.Sequence) int64 {
		n, err := s.Reserve(t.Context(), kind, 1)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	r := list[1].Record
	tooLong := string(large) + string(large)
	for name, size := range map[string]struct{ text string }{"in one value": {tooLong}, "in a row": {string(large)}} {
		change := store.Change{Before: r, After: r}
		change.After.Version++
		change.After.Outcome, change.After.EngineState = size.text, large
		contact := list[1].Contact
		contact.ExternalID, contact.Metadata = size.text, large
		fresh := list[1]
		fresh.Record.Seq = seq(store.LeadSequence)
		fresh.Contact.Seq, fresh.Contact.Phone = fresh.Record.Seq, 4930
		fresh.Contact.TimeZone, fresh.Contact.Metadata = size.text, large
		w := workflow(t, s)
		w.Name, w.Definition = size.text, large
		for _, c := range []struct {
			kind  string
			seq   int64
			batch store.Batch
		}{
			{"lead", r.Seq, store.Batch{Changes: []store.Change{change}}},
			{"contact", r.Seq, store.Batch{Contacts: []store.Contact{contact}}},
			{"contact", fresh.Record.Seq, store.Batch{Enroll: []store.Enrollment{fresh}}},
			{"step", r.Seq, store.Batch{Steps: []store.Step{{Seq: seq(store.StepSequence), Lead: r.Seq, Outcome: size.text, Detail: large}}}},
			{"call", r.Seq, store.Batch{Calls: []store.Call{{Seq: seq(store.CallSequence), Lead: r.Seq, Error: size.text, Data: large}}}},
			{"payload", r.Seq, store.Batch{Payloads: []store.Payload{{Lead: r.Seq, Visit: 1, Data: []byte(tooLong)}}}},
			{"workflow", 0, store.Batch{Workflows: []store.Workflow{w}}},
		} {
			// Something else is written before it, and is not there after it.
			other := store.Change{Before: list[0].Record, After: list[0].Record}
			other.After.Version++
			b := c.batch
			b.Changes = append([]store.Change{other}, b.Changes...)
			_, err := s.Commit(t.Context(), &b)
			var row *store.RowError
			if !errors.As(err, &row) || row.Kind != c.kind || row.Seq != c.seq {
				t.Errorf("a %s with too much %s: %v (%+v)", c.kind, name, err, row)
			}
			if everything(t, s) != before {
				t.Fatalf("a %s with too much %s: something of the batch was written", c.kind, name)
			}
		}
	}
	if _, err := s.Commit(t.Context(), &store.Batch{Ping: true}); err != nil {
		t.Errorf("a commit after them: %v", err)
	}
}

// loosen has a table of a closed file take any value in any column, which as a
// strict one it does not.
func loosen(t *testing.T, path, table string) {
	t.Helper()
	exec(t, path, `PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(replace(sql, 'STRICT', ''), 'NOT NULL', '')
		WHERE name = '`+table+`'`)
}

// columnsOf are the columns of a table and values that are not to be found in
// them, by name; key is what finds its rows.
var columnsOf = map[string]struct {
	key     string
	columns map[string][]string
}{
	"leads": {"seq = ", map[string][]string{
		"workflow": {"NULL", "'x'", "1.5"}, "version": {"NULL", "x'00'"}, "spot": {"NULL", "0", "6", "spot + 8", "spot + 5", "-1", "'x'"},
		"phase": {"NULL", "0", "7", "1000"}, "node": {"NULL", "-1", "1 << 31", "'x'"}, "visit": {"NULL", "-1", "1 << 40"},
		"visits": {"NULL", "-9"}, "attempt": {"NULL", "1 << 31"}, "entered": {"NULL", "'x'"}, "due": {"NULL"}, "started": {"x''"},
		"deadline": {"NULL"}, "last_step": {"NULL", "'x'"}, "updated": {"NULL"}, "outcome": {"x'00'"}, "extra": {"'text'", "5"},
		"wake": {"'x'", "x'00'"},
	}},
	"contacts": {"seq = ", map[string][]string{
		"id": {"NULL", "x'00'", "'0123456789abcdef'", "zeroblob(17)"}, "phone": {"NULL", "'x'"}, "external_id": {"x'00'"},
		"time_zone": {"x'00'"}, "metadata": {"'{}'", "1"}, "enrolled": {"NULL"},
	}},
	"steps": {"lead = ", map[string][]string{
		"visit": {"NULL", "-1"}, "node": {"'x'", "1 << 31"}, "kind": {"256"}, "status": {"-1"}, "attempts": {"NULL"},
		"entered": {"NULL"}, "due": {"'x'"}, "started": {"NULL"}, "exited": {"1.5"}, "outcome": {"x'00'"}, "detail": {"'x'"},
	}},
	"calls": {"lead = ", map[string][]string{
		"lead_id": {"NULL", "x'00'"}, "workflow": {"NULL"}, "phone": {"'x'"}, "visit": {"-1"}, "entered": {"NULL"}, "attempt": {"1 << 31"},
		"node_id": {"x'00'"}, "status": {"256"}, "started": {"NULL"}, "ended": {"'x'"}, "call_id": {"x'00'"}, "outcome": {"x'00'"}, "error": {"x'00'"},
		"data": {"'x'"},
	}},
	"payloads": {"key >> 22 = ", map[string][]string{"data": {"NULL", "'x'", "5", "x''"}}},
}

// badRowFile has three leads with a step, a call and a payload each.
func badRowFile(t *testing.T) (path string, leads []store.Enrollment, workflow int64) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "leads.db")
	s := openTest(t, path)
	leads = enroll(t, s, 3)
	records := []store.Record{leads[0].Record, leads[1].Record, leads[2].Record}
	b := storetest.StepBatch(t, s, records)
	for i, r := range records {
		seq, err := s.Reserve(t.Context(), store.CallSequence, 1)
		if err != nil {
			t.Fatal(err)
		}
		b.Calls = append(b.Calls, store.Call{Seq: seq, Lead: r.Seq, Workflow: r.Workflow, Status: lead.StepFailed, Started: 5})
		b.Payloads = append(b.Payloads, store.Payload{Lead: r.Seq, Visit: 1, Data: []byte{1}})
		leads[i].Record = b.Changes[i].After
	}
	if _, err := s.Commit(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return path, leads, records[0].Workflow
}

// answer is what a list has of each lead, by its number.
type answer struct {
	leads []int64
	err   error
}

// lists asks for everything that there is, by every list.
func lists(ctx context.Context, s *Store, leads []store.Enrollment, workflow int64) map[string]answer {
	seqs := []int64{leads[0].Record.Seq, leads[1].Record.Seq, leads[2].Record.Seq}
	var steps []int64
	for i := range leads {
		steps = append(steps, leads[i].Record.LastStep)
	}
	all := map[string]answer{}
	add := func(name string, err error, list []int64) { all[name] = answer{list, err} }
	loaded, err := s.Load(ctx, seqs)
	add("Load", err, numbersOf(loaded, func(l store.Lead) int64 { return l.Contact.Seq }))
	due, err := s.Due(ctx, store.Key{}, store.MaxMillis, 3)
	add("Due", err, numbersOf(due, func(r store.Record) int64 { return r.Seq }))
	swept, err := s.Sweep(ctx, store.LeadQuery{Workflow: workflow})
	add("Sweep", err, numbersOf(swept, func(r store.Record) int64 { return r.Seq }))
	contacts, err := s.Contacts(ctx, seqs)
	add("Contacts", err, numbersOf(contacts, func(c store.Contact) int64 { return c.Seq }))
	past, err := s.Steps(ctx, steps)
	add("Steps", err, numbersOf(past, func(step store.Step) int64 { return step.Lead }))
	var payloads []store.Payload
	var failed error
	for _, seq := range seqs {
		found, err := s.Payloads(ctx, seq, nil)
		payloads = append(payloads, found...)
		if err != nil {
			failed = err
		}
	}
	add("Payloads", failed, numbersOf(payloads, func(p store.Payload) int64 { return p.Lead }))
	list, err := s.Leads(ctx, store.LeadQuery{Workflow: workflow})
	add("Leads", err, numbersOf(list, func(l store.Lead) int64 { return l.Seq }))
	calls, err := s.Calls(ctx, store.CallQuery{})
	add("Calls", err, numbersOf(calls, func(c store.Call) int64 { return c.Lead }))
	return all
}

func numbersOf[T any](list []T, number func(T) int64) (seqs []int64) {
	for _, item := range list {
		seqs = append(seqs, number(item))
	}
	return seqs
}

// Whatever is in a row, it concerns its lead only.
func TestARowThatCannotBeReadConcernsItsLeadOnly(t *testing.T) {
	path, leads, flow := badRowFile(t)
	whole := []int64{leads[0].Record.Seq, leads[1].Record.Seq, leads[2].Record.Seq}
	victim := leads[1].Record.Seq
	rest := []int64{whole[0], whole[2]}
	must := map[string][]string{ // the lists that cannot have the row
		"leads": {"Load", "Due", "Sweep", "Leads"}, "contacts": {"Load", "Contacts", "Leads"},
		"steps": {"Steps"}, "calls": {"Calls"}, "payloads": {"Payloads"},
	}
	kinds := map[string]string{"leads": "lead", "contacts": "contact", "steps": "step", "calls": "call", "payloads": "payload"}
	check := func(t *testing.T, path, table, what string) {
		t.Helper()
		s, err := Open(t.Context(), path, Options{Synchronous: Normal})
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		defer s.Close()
		for name, got := range lists(t.Context(), s, leads, flow) {
			var bad store.RowErrors
			if !slices.Contains(must[table], name) {
				if got.err != nil || !slices.Equal(got.leads, whole) {
					// An index may no longer find what it should, but nobody else suffers.
					if got.err != nil || !slices.Equal(got.leads, rest) || table != "leads" {
						t.Errorf("%s: %s has %v, %v", what, name, got.leads, got.err)
					}
				}
				continue
			}
			if !errors.As(got.err, &bad) {
				if got.err == nil && slices.Equal(got.leads, rest) { // an index does not find it
					continue
				}
				t.Errorf("%s: %s has %v, %v, want an error of the row", what, name, got.leads, got.err)
				continue
			}
			if !slices.Equal(got.leads, rest) {
				t.Errorf("%s: %s has %v, want %v", what, name, got.leads, rest)
			}
			if len(bad) != 1 || bad[0].Kind != kinds[table] || bad[0].Seq != victim || !errors.Is(bad[0], errSenseless) {
				t.Errorf("%s: %s names %v", what, name, got.err)
			}
			if !strings.Contains(got.err.Error(), adviceRow) {
				t.Errorf("%s: %s does not say what to do: %v", what, name, got.err)
			}
		}
		if _, err := s.Lead(t.Context(), victim); (table == "leads" || table == "contacts") == (err == nil) {
			t.Errorf("%s: Lead: %v", what, err)
		}
		var row *store.RowError
		if _, _, _, err := s.History(t.Context(), victim); table != "calls" && !errors.As(err, &row) {
			t.Errorf("%s: History: %v", what, err)
		}
		// The others go on, and the lead can be forgotten.
		step := storetest.StepBatch(t, s, []store.Record{leads[0].Record})
		if _, err := s.Commit(t.Context(), &step); err != nil {
			t.Errorf("%s: a step of another lead: %v", what, err)
		}
		if _, err := s.Commit(t.Context(), &store.Batch{Forget: []int64{victim}}); err != nil {
			t.Errorf("%s: Forget: %v", what, err)
		}
		if _, steps, _, err := s.History(t.Context(), whole[2]); err != nil || len(steps) != 1 {
			t.Errorf("%s: the history of another lead: %d steps, %v", what, len(steps), err)
		}
	}
	for table, c := range columnsOf {
		loose := copyFile(t, path)
		loosen(t, loose, table)
		for column, values := range c.columns {
			for _, value := range values {
				copied := copyFile(t, loose)
				exec(t, copied, fmt.Sprint("UPDATE ", table, " SET ", column, " = ", value, " WHERE ", c.key, victim))
				check(t, copied, table, fmt.Sprintf("%s.%s = %s", table, column, value))
			}
		}
	}
	copied := copyFile(t, path)
	exec(t, copied, fmt.Sprintf(`DELETE FROM contacts WHERE seq = %d`, victim))
	s := openTest(t, copied)
	var row *store.RowError
	if list, err := s.Load(t.Context(), whole); len(list) != 2 || !errors.As(err, &row) || row.Kind != "contact" || row.Seq != victim {
		t.Errorf("a lead without a contact: %d leads, %v", len(list), err)
	}
	// What a lead, or a step of it, says of its steps does not give it those of
	// another.
	other := leads[0].Record.LastStep
	for own, text := range []string{
		fmt.Sprintf(`UPDATE leads SET last_step = %d WHERE seq = %d`, other, victim),
		fmt.Sprintf(`UPDATE steps SET prev = %d WHERE lead = %d`, other, victim),
	} {
		copied = copyFile(t, path)
		exec(t, copied, text)
		s = openTest(t, copied)
		if _, steps, _, err := s.History(t.Context(), victim); err != nil || len(steps) != own {
			t.Errorf("%s: a lead has %d steps, %v, want %d", text, len(steps), err, own)
		}
		if _, err := s.Commit(t.Context(), &store.Batch{Forget: []int64{victim}}); err != nil {
			t.Fatal(err)
		}
		if _, steps, _, err := s.History(t.Context(), whole[0]); err != nil || len(steps) != 1 {
			t.Errorf("%s: the steps of another went with a lead: %d are left, %v", text, len(steps), err)
		}
	}
}

// Rows that cannot be read do not count towards a limit: else a page of them
// would look like the end.
func TestBadRowsDoNotFillAPage(t *testing.T) {
	path, leads, flow := badRowFile(t)
	exec(t, path, fmt.Sprintf("UPDATE leads SET node = -1 WHERE seq < %d", leads[2].Record.Seq))
	s := openTest(t, path)
	var bad store.RowErrors
	due, err := s.Due(t.Context(), store.Key{}, store.MaxMillis, 1)
	if len(due) != 1 || due[0].Seq != leads[2].Record.Seq || !errors.As(err, &bad) || len(bad) != 2 {
		t.Errorf("Due: %v, %v", due, err)
	}
	swept, err := s.Sweep(t.Context(), store.LeadQuery{Workflow: flow, Limit: 1})
	if len(swept) != 1 || swept[0].Seq != leads[2].Record.Seq || !errors.As(err, &bad) || len(bad) != 2 {
		t.Errorf("Sweep: %v, %v", swept, err)
	}
	list, err := s.Leads(t.Context(), store.LeadQuery{Workflow: flow, Limit: 1})
	if len(list) != 1 || list[0].Seq != leads[2].Record.Seq || !errors.As(err, &bad) || len(bad) != 2 {
		t.Errorf("Leads: %v, %v", list, err)
	}
	exec(t, closed(t, s), fmt.Sprintf("UPDATE calls SET status = 256 WHERE lead < %d", leads[2].Record.Seq))
	s = openTest(t, path)
	calls, err := s.Calls(t.Context(), store.CallQuery{Limit: 1})
	if len(calls) != 1 || calls[0].Lead != leads[2].Record.Seq || !errors.As(err, &bad) || len(bad) != 2 {
		t.Errorf("Calls: %v, %v", calls, err)
	}
}

// closed closes a store and returns the path of its file.
func closed(t *testing.T, s *Store) string {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return s.path
}

// Whatever is in a suppression, or in an entry of the audit trail, concerns itself only:
// the others are read, people are suppressed and enrolled, and the trail goes on.
func TestASuppressionOrAuditEntryThatCannotBeReadConcernsItselfOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "leads.db")
	s := openTest(t, path)
	leads := enroll(t, s, 1)
	flow := leads[0].Record.Workflow
	b := store.Batch{Audit: []store.Audit{{Action: "a"}, {Action: "b"}, {Action: "c"}}}
	if _, err := s.Reserve(t.Context(), store.SuppressionSequence, 3); err != nil {
		t.Fatal(err)
	}
	for seq := range int64(3) {
		b.Suppressions = append(b.Suppressions, store.Suppression{Seq: seq + 1, Phone: 4930_5550_0001 + seq})
	}
	if _, err := s.Commit(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	closed(t, s)
	for table, columns := range map[string]map[string][]string{
		"suppressions": {
			"id": {"NULL", "x'00'"}, "phone": {"NULL", "'x'"}, "external_id": {"x'00'"}, "workflow": {"'x'"}, "channel": {"x'00'"},
			"reason": {"x'00'"}, "actor": {"x'00'"}, "created": {"NULL"}, "expires": {"NULL", "'x'"}, "lifted": {"NULL", "'x'"},
			"lifted_by": {"x'00'"}, "lift_reason": {"x'00'"},
		},
		"audit": {
			"at": {"NULL"}, "actor": {"x'00'"}, "action": {"x'00'"}, "reason": {"x'00'"}, "phone": {"'x'"}, "external_id": {"x'00'"},
			"workflow": {"'x'"}, "lead": {"'x'"}, "suppression": {"'x'"}, "detail": {"'x'"}, "hash": {"NULL", "x'00'"},
		},
	} {
		for column, values := range columns {
			for _, value := range values {
				for victim := int64(2); victim <= 3; victim++ { // one of them is the last
					copied := copyFile(t, path)
					loosen(t, copied, table)
					what := fmt.Sprintf("%s.%s = %s in row %d", table, column, value, victim)
					exec(t, copied, fmt.Sprint("UPDATE ", table, " SET ", column, " = ", value, " WHERE seq = ", victim))
					checkBadOrder(t, copied, table, what, victim, flow)
				}
			}
		}
	}
}

func checkBadOrder(t *testing.T, path, table, what string, victim, flow int64) {
	t.Helper()
	s, err := Open(t.Context(), path, Options{Synchronous: Normal})
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	defer s.Close()
	var whole, rest []int64
	for seq := int64(1); seq <= 3; seq++ {
		if whole = append(whole, seq); seq != victim {
			rest = append(rest, seq)
		}
	}
	suppressions, err := s.Suppressions(t.Context(), store.SuppressionQuery{})
	audits, auditErr := s.Audits(t.Context(), store.AuditQuery{})
	for name, got := range map[string]answer{
		"suppressions": {numbersOf(suppressions, func(s store.Suppression) int64 { return s.Seq }), err},
		"audit":        {numbersOf(audits, func(a store.Audit) int64 { return a.Seq }), auditErr},
	} {
		want := whole
		if name == table {
			want = rest
		}
		var bad store.RowErrors
		if !slices.Equal(got.leads, want) || (name == table) != (errors.As(got.err, &bad) && len(bad) == 1 && bad[0].Key == victim) {
			t.Errorf("%s: the %s are %v, %v", what, name, got.leads, got.err)
		}
	}
	// The others go on.
	other := 4930_5550_0000 + rest[0]
	list := storetest.Enrollments(t, s, flow, 2)
	list[0].Contact.Phone = other
	done, err := s.Commit(t.Context(), &store.Batch{Enroll: list, Audit: []store.Audit{{Action: "d"}}})
	if err != nil || len(done.Refused) != 1 || !slices.Equal(done.Refused[0].Suppressed, rest[:1]) {
		t.Errorf("%s: enrolling: %+v, %v", what, done, err)
	}
	last, err := s.Audits(t.Context(), store.AuditQuery{Newest: true, Limit: 1})
	if err != nil || len(last) != 1 || last[0].Seq != 4 {
		t.Errorf("%s: the last entry is %+v, %v", what, last, err)
	}
}
