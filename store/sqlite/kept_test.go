package sqlite

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/storetest"
)

// Files that earlier versions wrote are kept in testdata, each with what that
// version read from it.

// keptContents is what a file has, as the version that wrote it read it.
type keptContents struct {
	Workflows []store.Workflow
	Leads     []store.Lead   // of one workflow after the other
	Steps     [][]store.Step // of each lead
	Calls     []store.Call
	Payloads  [][]store.Payload // of each lead
}

func unzip(t *testing.T, name string) []byte {
	t.Helper()
	packed, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// openKept opens a copy of a kept file.
func openKept(t *testing.T, schema int) (*Store, keptContents) {
	t.Helper()
	var want keptContents
	if err := json.Unmarshal(unzip(t, fmt.Sprintf("schema%d.json.gz", schema)), &want); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "leads.db")
	if err := os.WriteFile(path, unzip(t, fmt.Sprintf("schema%d.db.gz", schema)), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { checkIntegrity(t, path) }) // after it is closed
	return openTest(t, path), want
}

func same[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestAFileOfAnEarlierVersionIsReadAsItWas(t *testing.T) {
	for _, schema := range []int{1, 2} {
		t.Run(fmt.Sprint("schema ", schema), func(t *testing.T) { readKept(t, schema) })
	}
}

func readKept(t *testing.T, schema int) {
	s, want := openKept(t, schema)
	ctx := t.Context()
	flows, err := s.Workflows(ctx)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "workflows", flows, want.Workflows)
	calls, err := s.Calls(ctx, store.CallQuery{})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "calls", calls, want.Calls)
	var leads []store.Lead
	for _, f := range flows {
		list, err := s.Leads(ctx, store.LeadQuery{Workflow: f.Seq})
		if err != nil {
			t.Fatal(err)
		}
		leads = append(leads, list...)
		checkQueries(t, s, f.Seq, list)
	}
	same(t, "leads", leads, want.Leads)
	due := 0
	for i, l := range leads {
		_, steps, payloads, err := s.History(ctx, l.Seq)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "steps", steps, want.Steps[i])
		if schema > 1 {
			same(t, "payloads", payloads, want.Payloads[i])
		} else if len(payloads) > 0 {
			t.Errorf("there are payloads: %v", payloads)
		}
		if !l.State.Final() {
			due++
		}
	}
	if list, err := s.Due(ctx, store.Key{}, store.MaxMillis, 1000); err != nil || len(list) != due {
		t.Errorf("%d leads are due, %v, want %d", len(list), err, due)
	}
	byCallID := 0
	for _, c := range calls {
		if c.CallID == "CA4" {
			byCallID++
		}
	}
	if list, err := s.Calls(ctx, store.CallQuery{CallID: "CA4"}); err != nil || len(list) != byCallID || byCallID == 0 {
		t.Errorf("%d calls with a call id, %v, want %d", len(list), err, byCallID)
	}

	// And goes on as if this version had written it.
	last := leads[len(leads)-1]
	change := last.Contact
	change.ExternalID = "crm-new"
	payload := store.Payload{Lead: last.Seq, Visit: 1, Data: []byte("new")}
	if _, err := s.Commit(ctx, &store.Batch{Contacts: []store.Contact{change}, Payloads: []store.Payload{payload}}); err != nil {
		t.Fatal(err)
	}
	if list, err := s.Leads(ctx, store.LeadQuery{ExternalID: "crm-new"}); err != nil || len(list) != 1 {
		t.Errorf("%d leads, %v", len(list), err)
	}
	if _, err := s.Reserve(ctx, store.LeadSequence, 1); err != nil {
		t.Error(err)
	}
	seq, err := s.Reserve(ctx, store.SuppressionSequence, 1)
	if err != nil || seq != 1 {
		t.Errorf("the first suppression has the number %d, %v", seq, err)
	}
	fresh := storetest.Enrollments(t, s, flows[0].Seq, 1)
	fresh[0].Contact.Phone = 4930555001
	for _, b := range []store.Batch{
		{Suppressions: []store.Suppression{{Seq: seq, Phone: 4930555001}}, Audit: []store.Audit{{Action: "suppress"}}, Settings: []store.Setting{{Name: "a", Value: []byte{1}}},
			Starts: []store.Start{{Key: "a", At: 1, N: 1}, {Key: "a", Phone: 4930555001, At: 1, N: 1}}},
		{Enroll: fresh},
	} {
		done, err := s.Commit(ctx, &b)
		if err != nil {
			t.Fatal(err)
		}
		if len(b.Enroll) > 0 && (len(done.Refused) != 1 || len(done.Refused[0].Suppressed) != 1) {
			t.Errorf("a suppressed contact was enrolled: %+v", done)
		}
	}
	for _, phone := range []int64{0, 4930555001} {
		if list, err := s.Starts(ctx, store.StartQuery{Key: "a", Phone: phone}); err != nil || len(list) != 1 {
			t.Errorf("%d starts of the phone %d, %v", len(list), phone, err)
		}
	}
}

// checkQueries compares what lists and counts of a workflow say with its leads,
// which were read without any filter.
func checkQueries(t *testing.T, s *Store, workflow int64, leads []store.Lead) {
	t.Helper()
	ids := map[string]bool{"": true}
	for _, l := range leads {
		ids[l.Contact.ExternalID] = true
	}
	for node := int32(-1); node < 5; node++ {
		for _, states := range [][]lead.State{nil, {lead.Enrolled}, {lead.InStep, lead.Completed}, {lead.Removed}, {lead.PendingRemoval}} {
			for id := range ids {
				q := store.LeadQuery{Workflow: workflow, States: states, ExternalID: id}
				if node >= 0 {
					q.Node = &node
				}
				var want []store.Lead
				for _, l := range leads {
					if matchesQuery(q, l) {
						want = append(want, l)
					}
				}
				got, err := s.Leads(t.Context(), q)
				if err != nil {
					t.Fatal(err)
				}
				same(t, fmt.Sprintf("leads of %+v", q), got, want)
				n, err := s.CountLeads(t.Context(), q)
				if err != nil || n != int64(len(want)) {
					t.Errorf("count of %+v: %d, %v, want %d", q, n, err, len(want))
				}
			}
		}
	}
}

func matchesQuery(q store.LeadQuery, l store.Lead) bool {
	inState := len(q.States) == 0
	for _, state := range q.States {
		inState = inState || l.State == state
	}
	return inState && (q.Node == nil || l.Node == *q.Node) && (q.ExternalID == "" || l.Contact.ExternalID == q.ExternalID)
}
