package engine_test

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/faulty"
	"github.com/leadflow-go/leadflow/store/sqlite"
)

func splitWords(text string) []string { return strings.Fields(text) }

func reopen(t *testing.T, path string) *sqlite.Store {
	t.Helper()
	st, err := sqlite.Open(background, path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func TestAContactIsLiveOnceInAWorkflow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, liveCall)
		wf := w.callWaitMessage()
		first := w.enroll(wf, "+14155552671")
		synctest.Wait()
		again := func() error {
			_, err := w.eng.Enroll(background, wf, lead.Contact{PhoneNumber: " +1 (415) 555-2671"})
			return err
		}
		var conflict *lead.ConflictError
		if err := again(); !errors.Is(err, lead.ErrContactLive) || !errors.As(err, &conflict) || conflict.Lead != first.ID {
			t.Errorf("enrolling a live contact: %v", err)
		}
		if _, err := w.eng.Enroll(background, w.callWaitMessage(), lead.Contact{PhoneNumber: phone}); err != nil {
			t.Errorf("in another workflow: %v", err)
		}
		w.remove(first)
		if err := again(); !errors.Is(err, lead.ErrContactLive) {
			t.Errorf("while removal is pending: %v", err)
		}
		w.complete(first, "completed")
		if err := again(); err != nil {
			t.Errorf("once final: %v", err)
		}
		w.crash()
		if err := again(); !errors.Is(err, lead.ErrContactLive) {
			t.Errorf("after a restart: %v", err)
		}
	})
}

func TestEnrollingIntoNothingOrNonsenseIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		wf := w.callWaitMessage()
		if _, err := w.eng.Enroll(background, lead.WorkflowID{1}, lead.Contact{PhoneNumber: phone}); !errors.Is(err, lead.ErrNotFound) {
			t.Errorf("no workflow: %v", err)
		}
		for name, c := range map[string]lead.Contact{
			"no number":       {},
			"a bad number":    {PhoneNumber: "+1"},
			"a bad time zone": {PhoneNumber: phone, TimeZone: "Nowhere"},
			"metadata of no JSON": {PhoneNumber: phone, Metadata: map[string]any{
				"f": func() {},
			}},
			"metadata without a bottom": {PhoneNumber: phone, Metadata: nested(5000)},
			"endless metadata":          {PhoneNumber: phone, Metadata: map[string]any{"s": strings.Repeat("x", engine.MaxData)}},
		} {
			if _, err := w.eng.Enroll(background, wf, c); !errors.Is(err, lead.ErrInvalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if n, _ := w.eng.CountLeads(background, wf, engine.LeadFilter{}); n != 0 {
			t.Errorf("%d leads were enrolled", n)
		}
	})
}

func TestEnrollCSVTakesGoodRowsAndNamesBadOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		wf := w.callWaitMessage()
		file := "\ufeffname, phone_number ,external_id,time_zone,note\r\n" +
			"Ada,+14155552671,crm-1,Europe/Berlin,\"likes\ncommas, too\"\r\n" +
			"Bob,nonsense,,,\r\n" +
			"Cyd,+14155552672,,Mars/Base,\r\n" +
			"Dan,+14155552671,,,again\r\n" +
			"Eve,+14155552673\r\n" +
			"Fay,+14155552674,,,\r\n"
		var seen []string
		report, err := w.eng.EnrollCSV(background, wf, strings.NewReader(file),
			engine.OnRow(func(row int, id lead.ID, err error) { seen = append(seen, fmt.Sprint(row, id.IsZero(), err != nil)) }))
		if err != nil {
			t.Fatal(err)
		}
		if report.WorkflowID != wf || report.Enrolled != 2 || report.Rejected != 4 || len(report.Errors) != 4 {
			t.Fatalf("report: %+v", report)
		}
		for i, want := range []struct {
			row  int
			says string
		}{{3, "phone number"}, {4, "time_zone"}, {5, "already live"}, {6, "fields"}} {
			if got := report.Errors[i]; got.Row != want.row || !strings.Contains(got.Message, want.says) {
				t.Errorf("error %d is %+v, want row %d, %q", i, got, want.row, want.says)
			}
		}
		if len(seen) != 6 || seen[0] != "2 false false" || seen[1] != "3 true true" {
			t.Errorf("rows seen: %q", seen)
		}
		leads, err := w.eng.Leads(background, wf, engine.LeadFilter{PhoneNumber: "+14155552671"})
		if err != nil || len(leads) != 1 {
			t.Fatalf("leads: %+v, %v", leads, err)
		}
		if l := leads[0]; l.ExternalID != "crm-1" || l.TimeZone != "Europe/Berlin" || l.Metadata["name"] != "Ada" ||
			l.Metadata["note"] != "likes\ncommas, too" || len(l.Metadata) != 2 {
			t.Errorf("lead: %+v", l)
		}
	})
}

func TestEnrollCSVRefusesAFileThatIsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		wf := w.callWaitMessage()
		for name, file := range map[string]string{
			"empty": "", "without the column": "name,mobile\nAda,+14155552671\n",
			"with a column twice": "phone_number,a,a\n", "with a broken header": "phone_number,\"a\nb",
		} {
			if _, err := w.eng.EnrollCSV(background, wf, strings.NewReader(file)); !errors.Is(err, lead.ErrInvalid) {
				t.Errorf("a file %s: %v", name, err)
			}
		}
		if _, err := w.eng.EnrollCSV(background, lead.WorkflowID{}, strings.NewReader("phone_number\n")); !errors.Is(err, lead.ErrNotFound) {
			t.Errorf("no workflow: %v", err)
		}
	})
}

func TestEnrollCSVKeepsWhatCameBeforeABreak(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		wf := w.callWaitMessage()
		broken := io.MultiReader(strings.NewReader("phone_number\n+14155552671\n+14155552672\n+1415555"), iotest.ErrReader(io.ErrUnexpectedEOF))
		report, err := w.eng.EnrollCSV(background, wf, broken)
		if !errors.Is(err, io.ErrUnexpectedEOF) || report.Enrolled != 2 {
			t.Errorf("report %+v, %v", report, err)
		}
		if n, _ := w.eng.CountLeads(background, wf, engine.LeadFilter{}); n != 2 {
			t.Errorf("%d leads are enrolled", n)
		}
	})
}

// manyRows is a CSV file of n rows that is never in memory.
func manyRows(n int) io.Reader {
	r, out := io.Pipe()
	go func() {
		fmt.Fprintln(out, "phone_number,name,plan")
		for i := range n {
			if i%1000 == 999 {
				fmt.Fprintf(out, "bad,%d,\n", i)
				continue
			}
			fmt.Fprintf(out, "+1415%07d,Person %d,gold\n", i, i)
		}
		out.Close()
	}()
	return r
}

func TestEnrollCSVTakes100000RowsInConstantMemory(t *testing.T) {
	w := newWorld(t, nil)
	nodes, edges := callWaitMessage()
	wf := w.draft(nodes, edges...)
	rows := 100_000
	if raceEnabled {
		rows = 20_000
	}
	var most uint64
	var mem runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&mem)
	before := mem.HeapAlloc
	started := time.Now()
	report, err := w.eng.EnrollCSV(background, wf, manyRows(rows), engine.OnRow(func(row int, _ lead.ID, _ error) {
		if row%10_000 == 0 {
			runtime.GC()
			runtime.ReadMemStats(&mem)
			most = max(most, mem.HeapAlloc)
		}
	}))
	if err != nil || report.Enrolled != rows-rows/1000 || report.Rejected != rows/1000 {
		t.Fatalf("%d enrolled, %d rejected, %v", report.Enrolled, report.Rejected, err)
	}
	if got := report.Errors[0]; got.Row != 1001 {
		t.Errorf("the first bad row is named %d", got.Row)
	}
	t.Logf("%d rows in %s, at most %d KiB more on the heap", rows, time.Since(started).Round(time.Millisecond), (int64(most)-int64(before))>>10)
	if grown := int64(most) - int64(before); grown > 24<<20 {
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
}

func TestALiveContactIsRefusedThoughItsNewLeadWouldEndAtOnce(t *testing.T) {
	w := newWorld(t, nil)
	wf := w.draft([]workflow.Node{
		workflow.If("vip", "metadata.vip == true"), workflow.CallNode("call", nil), workflow.End("no", workflow.Dropped),
	}, workflow.On("vip", "true", "call"), workflow.On("vip", "false", "no"))
	vip := lead.Contact{PhoneNumber: phone, Metadata: map[string]any{"vip": true}}
	live, err := w.eng.Enroll(background, wf, vip)
	if err != nil {
		t.Fatal(err)
	}
	var conflict *lead.ConflictError
	_, err = w.eng.Enroll(background, wf, lead.Contact{PhoneNumber: phone})
	if !errors.As(err, &conflict) || !errors.Is(err, lead.ErrContactLive) || conflict.Lead != live.ID {
		t.Errorf("enrolled again: %v", err)
	}
	w.expectCounts(wf, map[lead.State]int64{lead.Enrolled: 1})
}

// What was sent before a failure was known counts: a caller who enrolls "the rest"
// by the report must leave nobody out.
func TestEnrollAllReportsWhatIsOnDiskAfterAFailedCommit(t *testing.T) {
	for failing := 1; failing <= 4; failing++ {
		t.Run(fmt.Sprint("commit ", failing), func(t *testing.T) {
			w := newWorld(t, nil)
			wf := w.callWaitMessage()
			faults := faulty.New(w.store)
			if err := w.eng.Shutdown(background); err != nil {
				t.Fatal(err)
			}
			var err error
			if w.eng, err = engine.New(faults, w.config); err != nil {
				t.Fatal(err)
			}
			if err := w.eng.Start(background); err != nil {
				t.Fatal(err)
			}
			faults.Inject(faulty.Fault{
				Method: faulty.Commit, If: func(b *store.Batch) bool { return len(b.Enroll) > 0 }, Nth: failing, Err: errors.New("disk full"),
			})
			told := map[bool]int{}
			last := 0
			report, err := w.eng.EnrollAll(background, wf, people(0, 5000), engine.OnRow(func(row int, id lead.ID, err error) {
				if told[err == nil]++; row != last+1 || id.IsZero() != (err != nil) {
					t.Errorf("row %d after row %d: %v, %v", row, last, id, err)
				}
				last = row
			}))
			if err == nil || !strings.Contains(err.Error(), "disk full") {
				t.Errorf("EnrollAll: %v", err)
			}
			n, countErr := w.eng.CountLeads(background, wf, engine.LeadFilter{})
			if countErr != nil {
				t.Fatal(countErr)
			}
			if int64(report.Enrolled) != n || told[true] != report.Enrolled || told[false] != report.Rejected || report.Rejected == 0 {
				t.Errorf("the report says %d enrolled, %d rejected; OnRow was told %v; on disk are %d", report.Enrolled, report.Rejected, told, n)
			}
			if err := w.eng.Shutdown(background); err != nil {
				t.Fatal(err)
			}
			if after, err := w.eng.CountLeads(background, wf, engine.LeadFilter{}); err != nil || after != n {
				t.Errorf("%d leads after EnrollAll had returned, and %d later (%v)", n, after, err)
			}
		})
	}
}

func TestEnrollAllReportsOfAWorkflowThatBecomesFinal(t *testing.T) {
	w := newWorld(t, nil)
	wf := w.callWaitMessage()
	report, err := w.eng.EnrollAll(background, wf, func(yield func(lead.Contact, error) bool) {
		n := 0
		for c, err := range people(0, 3000) {
			if n++; n == 1200 {
				if _, err := w.eng.CancelWorkflow(background, wf); err != nil {
					t.Error(err)
				}
			}
			if !yield(c, err) {
				return
			}
		}
	})
	n, _ := w.eng.CountLeads(background, wf, engine.LeadFilter{})
	if !errors.Is(err, lead.ErrWorkflowStatus) || int64(report.Enrolled) != n || n == 0 {
		t.Errorf("%d enrolled, %d rejected, %v; on disk are %d", report.Enrolled, report.Rejected, err, n)
	}
	if len(report.Errors) == 0 || strings.Contains(report.Errors[0].Message, "wlead_") {
		t.Errorf("errors: %+v", report.Errors[:min(1, len(report.Errors))])
	}
}
