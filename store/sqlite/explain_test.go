package sqlite

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	zombiezen "zombiezen.com/go/sqlite"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/storetest"
)

// queryPlan returns the lines of EXPLAIN QUERY PLAN.
func queryPlan(t *testing.T, s *Store, text string, args []any) []string {
	t.Helper()
	lines, err := read(t.Context(), s, s.lanes.long, "plan", rows(func(from row, line *string) error {
		return from.from(3).scan(line)
	}, "EXPLAIN QUERY PLAN "+text, args...))
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

func TestEveryQueryGoesByAnIndex(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "leads.db"))
	node := int32(1)
	type query struct {
		name string
		text string
		args []any
		want string // a line of the plan begins with it
		sort bool   // an order that no index gives is allowed
	}
	of := func(name, want string) func(text string, args []any) query {
		return func(text string, args []any) query { return query{name: name, text: text, args: args, want: want} }
	}
	unsorted := func(q query) query { q.sort = true; return q }
	two := []lead.State{lead.Enrolled, lead.InStep}
	sourceOf := func(q store.LeadQuery, n int) (text string, args []any) {
		err := s.lanes.long.use(t.Context(), func(conn *zombiezen.Conn) error {
			sources, err := leadSources(conn, q)
			if err == nil {
				text, args = sources[n].text, append(sources[n].args, 7, 8)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return text, args
	}
	countOf := func(q store.LeadQuery) (string, []any) {
		_, text, args := personQuery(q)
		return fmt.Sprintf(countText, text), args
	}
	suppressionsAt := func(q store.SuppressionQuery, n int) (text string, args []any) {
		err := s.lanes.long.use(t.Context(), func(conn *zombiezen.Conn) error {
			sources, err := suppressionSources(conn, q)
			if err == nil {
				text, args = sources[n].text, append(sources[n].args, 7, 8)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return text, args
	}
	unexpired := new(conditions).add("lifted = 0").add(unexpiredText, int64(6)).add("expires <> 0").
		source("suppressions", "INDEXED BY suppressions_expiring", true, 0)
	auditsAt := func(q store.AuditQuery) (string, []any) {
		from := auditSource(q)
		return from.text, append(from.args, 7, 8)
	}
	for _, q := range []query{
		of("due at one moment", "SEARCH l USING INDEX leads_wake (wake=? AND rowid>?)")(dueText, []any{1, 2, 3, 4, 5}),
		of("due later", "SEARCH l USING INDEX leads_wake (wake>? AND wake<?)")(dueText, []any{1, 2, 3, 4, 5}),
		of("due keys at one moment", "SEARCH l USING COVERING INDEX leads_wake (wake=? AND rowid>?)")(dueKeysText, []any{1, 2, 3, 4, 5}),
		of("due keys later", "SEARCH l USING COVERING INDEX leads_wake (wake>? AND wake<?)")(dueKeysText, []any{1, 2, 3, 4, 5}),
		of("load", "SEARCH l USING INTEGER PRIMARY KEY")(loadText, []any{"[1]"}),
		of("lead", "SEARCH c USING INTEGER PRIMARY KEY")(leadText, []any{1}),
		of("history", "SEARCH s USING INTEGER PRIMARY KEY")(historyText, []any{1, 1}),
		of("counts", "SEARCH node_counts USING PRIMARY KEY")(countsText, []any{1}),

		of("spots", "SEARCH l USING COVERING INDEX leads_spot (workflow=? AND spot>? AND spot<?)")(nextSpotText, []any{1, 2}),
		of("leads at a spot", "SEARCH l USING COVERING INDEX leads_spot (workflow=? AND spot=? AND rowid>?)")(
			sourceOf(store.LeadQuery{Workflow: 1, Node: &node, States: two[:1]}, 0)),
		of("newest leads at a spot", "SEARCH l USING COVERING INDEX leads_spot (workflow=? AND spot=? AND rowid<?)")(
			sourceOf(store.LeadQuery{Workflow: 1, Node: &node, States: two[:1], Newest: true}, 0)),
		of("moving leads at a node", "SEARCH l USING INDEX leads_spot (workflow=? AND spot=? AND rowid>?)")(
			sourceOf(store.LeadQuery{Workflow: 1, Node: &node, States: two[:1]}, 1)),
		of("newest moving leads at a node", "SEARCH l USING INDEX leads_spot (workflow=? AND spot=? AND rowid<?)")(
			sourceOf(store.LeadQuery{Workflow: 1, Node: &node, States: two[:1], Newest: true}, 1)),
		of("leads by phone", "SEARCH c USING INDEX contacts_phone (phone=? AND rowid>?)")(
			sourceOf(store.LeadQuery{Workflow: 1, States: two, Phone: 5, ExternalID: "x", Node: &node}, 0)),
		of("newest leads by phone", "SEARCH c USING INDEX contacts_phone (phone=? AND rowid<?)")(
			sourceOf(store.LeadQuery{Phone: 5, Newest: true}, 0)),
		of("leads by external id", "SEARCH e USING PRIMARY KEY (external_id=? AND lead>?)")(
			sourceOf(store.LeadQuery{ExternalID: "x"}, 0)),
		of("newest leads by external id", "SEARCH e USING PRIMARY KEY (external_id=? AND lead<?)")(
			sourceOf(store.LeadQuery{ExternalID: "x", Newest: true}, 0)),
		of("count by phone", "SEARCH c USING INDEX contacts_phone (phone=?)")(countOf(store.LeadQuery{Phone: 5})),
		of("count by external id", "SEARCH e USING PRIMARY KEY (external_id=?)")(countOf(store.LeadQuery{ExternalID: "x"})),
		of("contacts", "SEARCH c USING INTEGER PRIMARY KEY")(contactsText, []any{"[1]"}),
		of("records", "SEARCH l USING INTEGER PRIMARY KEY")(recordsText, []any{"[1]"}),
		of("steps", "SEARCH steps USING INTEGER PRIMARY KEY")(stepsText, []any{"[1]"}),
		of("payloads", "SEARCH payloads USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)")(payloadsText, []any{1, 2}),
		of("payloads of visits", "SEARCH payloads USING INTEGER PRIMARY KEY")(somePayloadsText, []any{"[1]"}),

		of("calls", "SEARCH calls USING INTEGER PRIMARY KEY (rowid>?)")(callsQuery(store.CallQuery{Limit: 5})),
		of("calls by workflow", "SEARCH calls USING COVERING INDEX calls_workflow (workflow=? AND rowid>?)")(
			callsQuery(store.CallQuery{Workflow: 1})),
		of("calls by lead", "SEARCH calls USING INDEX calls_lead (lead=? AND rowid>?)")(
			callsQuery(store.CallQuery{Workflow: 1, Lead: 2, From: 3})),
		of("calls by call id", "SEARCH calls USING INDEX calls_call_id (call_id=? AND rowid>?)")(
			callsQuery(store.CallQuery{Workflow: 1, CallID: "CA1"})),
		of("calls by phone", "SEARCH calls USING INDEX calls_phone (phone=? AND rowid>?)")(
			callsQuery(store.CallQuery{Phone: 2, Status: lead.StepFailed})),
		of("suppressions of phones", "SEARCH suppressions USING COVERING INDEX suppressions_phone (phone=?)")(aboutPhonesText, []any{"[1]"}),
		of("suppressions of an id", "SEARCH suppressions USING COVERING INDEX suppressions_external_id (external_id=?)")(aboutIDText, []any{"a"}),
		of("starts", "SEARCH starts USING PRIMARY KEY (key=? AND at>?)")(startsText, []any{"a", 1}),
		of("starts of a phone", "SEARCH starts USING INDEX starts_phone (key=? AND phone=? AND at>?)")(startsOfPhoneText, []any{"a", 1, 2}),
		of("forget starts", "SEARCH starts USING PRIMARY KEY (key=? AND at<?)")(forgetStartsText, []any{"a", 1}),
		of("a contact's suppressions by phone", "SEARCH suppressions USING INDEX suppressions_phone (phone=?)")(suppressionsOfPhoneText, []any{1}),
		of("a contact's suppressions by external id", "SEARCH suppressions USING INDEX suppressions_external_id (external_id=?)")(
			suppressionsOfIDText, []any{"x"}),
		of("the last audit entry", "SEARCH audit USING INTEGER PRIMARY KEY (rowid<?)")(lastAuditText, nil),
		of("suppressions", "SEARCH suppressions USING INTEGER PRIMARY KEY")(suppressionsText, []any{"[1]"}),
		of("a page of suppressions", "SEARCH suppressions USING INTEGER PRIMARY KEY (rowid<?)")(
			suppressionsAt(store.SuppressionQuery{Newest: true}, 0)),
		of("suppressions by phone", "SEARCH suppressions USING INDEX suppressions_phone (phone=? AND rowid>?)")(
			suppressionsAt(store.SuppressionQuery{Phone: 5, Active: 6, Workflow: 7}, 0)),
		of("suppressions by external id", "SEARCH suppressions USING INDEX suppressions_external_id (external_id=? AND rowid>?)")(
			suppressionsAt(store.SuppressionQuery{ExternalID: "x", Inactive: 6}, 0)),
		of("suppressions by workflow", "SEARCH suppressions USING INDEX suppressions_workflow (workflow=? AND rowid<?)")(
			suppressionsAt(store.SuppressionQuery{Workflow: 5, Channel: "x", Active: 6, Newest: true}, 0)),
		of("suppressions by channel", "SEARCH suppressions USING COVERING INDEX suppressions_channel (channel=? AND rowid>?)")(
			suppressionsAt(store.SuppressionQuery{Channel: "x"}, 0)),
		of("suppressions that stand", "SEARCH suppressions USING COVERING INDEX suppressions_expires (expires=? AND rowid<?)")(
			suppressionsAt(store.SuppressionQuery{Active: 6, Newest: true}, 0)),
		unsorted(of("suppressions that expire", "SEARCH suppressions USING COVERING INDEX suppressions_expires (expires>?)")(
			suppressionsAt(store.SuppressionQuery{Active: 6}, 1))),
		of("suppressions that are lifted", "SEARCH suppressions USING INDEX suppressions_lifted (seq>?)")(
			suppressionsAt(store.SuppressionQuery{Inactive: 6}, 0)),
		of("many suppressions that expire", "SEARCH suppressions USING COVERING INDEX suppressions_expiring (seq<?)")(
			unexpired.text, append(unexpired.args, 7, 8)),
		of("live leads by phone", "SEARCH c USING COVERING INDEX contacts_phone (phone=?)")(livePhonesText, []any{"[1]", 2}),
		of("live leads by external id", "SEARCH e USING PRIMARY KEY (external_id=?)")(liveIDText, []any{"x", 2}),
		of("audit", "SEARCH audit USING INTEGER PRIMARY KEY (rowid<?)")(auditsAt(store.AuditQuery{Newest: true})),
		of("audit by phone", "SEARCH audit USING INDEX audit_phone (phone=? AND rowid>?)")(auditsAt(store.AuditQuery{Phone: 5, From: 6})),
		of("audit by external id", "SEARCH audit USING COVERING INDEX audit_external_id (external_id=? AND rowid>?)")(auditsAt(store.AuditQuery{ExternalID: "x"})),
		of("audit by workflow", "SEARCH audit USING INDEX audit_workflow (workflow=? AND rowid>?)")(auditsAt(store.AuditQuery{Workflow: 5, Actor: "x"})),
		of("audit by lead", "SEARCH audit USING INDEX audit_lead (lead=? AND rowid>?)")(auditsAt(store.AuditQuery{Lead: 5, Phone: 6})),
		of("audit by actor", "SEARCH audit USING COVERING INDEX audit_actor (actor=? AND rowid>?)")(auditsAt(store.AuditQuery{Actor: "x"})),
		unsorted(of("audit by time", "SEARCH audit USING COVERING INDEX audit_at (at>? AND at<?)")(auditsAt(store.AuditQuery{From: 5, To: 6}))),
		unsorted(of("calls by time", "SEARCH calls USING COVERING INDEX calls_started (started>? AND started<?)")(
			callsQuery(store.CallQuery{From: 1, To: 2}))),
	} {
		plan := queryPlan(t, s, q.text, q.args)
		all := strings.Join(plan, "\n\t")
		found := false
		for _, line := range plan {
			found = found || strings.HasPrefix(line, q.want)
			scan, isScan := strings.CutPrefix(line, "SCAN ")
			// What a query makes itself may be read from end to end.
			if isScan && scan != "chain" && !strings.HasPrefix(scan, "json_each ") && !strings.HasPrefix(scan, "(subquery-") {
				t.Errorf("%s reads all of a table:\n\t%s", q.name, all)
			}
			if strings.Contains(line, "TEMP B-TREE") && !q.sort {
				t.Errorf("%s sorts:\n\t%s", q.name, all)
			}
		}
		if !found {
			t.Errorf("%s: no %s:\n\t%s", q.name, q.want, all)
		}
	}
}

// written returns how many b-trees a statement opens for writing.
func written(t *testing.T, s *Store, text string) (n int) {
	t.Helper()
	for _, row := range onWriter(t, s, "EXPLAIN "+text) {
		if row[1] == "OpenWrite" { // the opcode
			n++
		}
	}
	return n
}

func TestAStepTouchesNoIndex(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "leads.db"))
	for _, c := range []struct {
		name string
		text string
		want int
	}{
		{"a step", updateLeadText(false, false), 1},
		{"a wait", updateLeadText(true, false), 2},
		{"a spot", updateLeadText(false, true), 2},
		{"both", updateLeadText(true, true), 3},
		{"a finished step", insertStepText, 1},
		{"a start of a limit", putStartText, 2}, // the second one only for a contact's
	} {
		if got := written(t, s, c.text); got != c.want {
			t.Errorf("%s writes to %d b-trees, want %d", c.name, got, c.want)
		}
	}
}

// A change that keeps wake and state is written by the statement that mentions
// neither: it leaves what the two columns say, whatever it was told.
func TestAStepIsWrittenByTheNarrowStatement(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "leads.db"))
	e := storetest.Enrollments(t, s, 1, 1)
	if _, err := s.Commit(t.Context(), &store.Batch{Enroll: e}); err != nil {
		t.Fatal(err)
	}
	before := e[0].Record
	before.Wake, before.State = 5, lead.PendingRemoval // not what is stored
	after := before
	after.Node++ // the lead stays on the move
	after.Version++
	if _, err := s.Commit(context.Background(), &store.Batch{Changes: []store.Change{{Before: before, After: after}}}); err != nil {
		t.Fatal(err)
	}
	got, err := s.Lead(t.Context(), before.Seq)
	if err != nil || got.Wake != e[0].Record.Wake || got.State != e[0].Record.State || got.Version != 2 {
		t.Errorf("got %+v, %v", got.Record, err)
	}
}
