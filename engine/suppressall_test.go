package engine_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/faulty"
)

// suppressions yields those of n contacts from the i-th on.
func suppressions(i, n int) func(yield func(engine.Suppress, error) bool) {
	return func(yield func(engine.Suppress, error) bool) {
		for c := range people(i, n) {
			if !yield(engine.Suppress{PhoneNumber: c.PhoneNumber, Reason: "list"}, nil) {
				return
			}
		}
	}
}

func TestSuppressAllRejectsWhatSuppressWouldAndKeepsTheRest(t *testing.T) {
	w := newWorld(t, nil)
	wf := w.callWaitMessage()
	live := w.enrollMany(wf, 0, 3)
	broken := errors.New("a line that cannot be read")
	report, err := w.eng.SuppressAll(background, func(yield func(engine.Suppress, error) bool) {
		_ = yield(engine.Suppress{}, broken) &&
			yield(engine.Suppress{PhoneNumber: "555"}, nil) &&
			yield(engine.Suppress{ExternalID: "crm-1", WorkflowID: lead.WorkflowIDFrom(time.Now(), 99, 1)}, nil) &&
			yield(engine.Suppress{ExternalID: "crm-1", WorkflowID: wf}, nil) &&
			yield(engine.Suppress{ExternalID: "crm-1", WorkflowID: wf}, nil)
		suppressions(1, 1200)(yield)
		suppressions(0, 1200)(yield) // in other parts than before
	})
	if err != nil || report.Added != 1202 || report.Unchanged != 1200 || report.Rejected != 3 || report.LeadsRemoved != 3 {
		t.Errorf("%+v, %v", report, err)
	}
	for i, want := range []string{broken.Error(), "phone_number", "no workflow"} {
		if e := report.Errors[i]; e.Row != i+1 || e.Line != 0 || !strings.Contains(e.Message, want) {
			t.Errorf("%+v, want %s", e, want)
		}
	}
	w.expectCounts(wf, map[lead.State]int64{lead.Removed: 3})
	for _, id := range live {
		if l, err := w.eng.Lead(background, wf, id); err != nil || l.Removal == nil || l.Removal.Reason != "list" {
			t.Errorf("%+v, %v", l, err)
		}
	}
	if list, err := w.eng.Suppressions(background, engine.SuppressionFilter{Active: true}); err != nil || len(list) != 1202 {
		t.Errorf("%d suppressions, %v", len(list), err)
	}
}

func TestADryRunOfSuppressingSaysWhatWouldHappenAndWritesNothing(t *testing.T) {
	r := newRules(t)
	r.answer = live // calls are in flight
	wf := r.activate(callThenText)
	var flying []lead.Lead
	for i := range 3 {
		flying = append(flying, r.enroll(wf, person(i).PhoneNumber))
	}
	r.settle(0)
	named, err := r.Enroll(background, wf, lead.Contact{PhoneNumber: person(3).PhoneNumber, ExternalID: "crm-3"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Suppress(background, engine.Suppress{PhoneNumber: person(4).PhoneNumber}); err != nil {
		t.Fatal(err)
	}
	rows := func(yield func(engine.Suppress, error) bool) {
		_ = yield(engine.Suppress{PhoneNumber: "(415) 200-0000"}, nil) && // person 0
			yield(engine.Suppress{PhoneNumber: "555"}, nil) &&
			yield(engine.Suppress{PhoneNumber: person(3).PhoneNumber}, nil) &&
			yield(engine.Suppress{ExternalID: "crm-3"}, nil) // the same lead
		suppressions(0, 1200)(yield)
		suppressions(600, 1200)(yield)
	}
	run := func(options ...engine.SuppressOption) (engine.SuppressReport, []string) {
		var told []string
		report, err := r.SuppressAll(background, rows, append(options, engine.InRegion("US"), engine.OnSuppressed(func(row int, s engine.Suppressed, err error) {
			if row <= 5 {
				told = append(told, fmt.Sprint(row, s.New, len(s.Leads), err != nil))
			}
		}))...)
		if err != nil {
			t.Fatal(err)
		}
		return report, told
	}
	before, seen := r.Stats(), 0
	dry, told := run(engine.DryRun(), engine.OnRow(func(row int, id lead.ID, err error) {
		if seen++; row != seen || !id.IsZero() || (err != nil) != (row == 2) {
			t.Errorf("row %d: %s, %v", row, id, err)
		}
	}))
	if dry.Added != 1800 || dry.Unchanged != 603 || dry.Rejected != 1 || dry.LeadsRemoved != 4 || seen != 2404 {
		t.Errorf("%+v of %d rows", dry, seen)
	}
	if want := []string{"1 true 1 false", "2 false 0 true", "3 true 1 false", "4 true 0 false", "5 false 0 false"}; !slices.Equal(told, want) {
		t.Errorf("it tells %q, want %q", told, want)
	}
	if after := r.Stats(); after.Commits != before.Commits {
		t.Errorf("%d commits", after.Commits-before.Commits)
	}
	for _, l := range append(flying, named) {
		if got, err := r.Lead(background, wf, l.ID); err != nil || got.Removal != nil {
			t.Errorf("%+v, %v", got, err)
		}
	}
	real, _ := run()
	if diff := cmp.Diff(dry, real); diff != "" {
		t.Errorf("what was said and what happened (-said +happened):\n%s", diff)
	}
	if _, err := r.SuppressAll(background, rows, engine.InRegion("UK")); !errors.Is(err, lead.ErrInvalid) {
		t.Errorf("an unknown region: %v", err)
	}
}

func TestSuppressAllNamesAThousandRowsAndCountsAll(t *testing.T) {
	w := newWorld(t, nil)
	report, err := w.eng.SuppressAll(background, func(yield func(engine.Suppress, error) bool) {
		for i := range 1700 {
			if !yield(engine.Suppress{PhoneNumber: fmt.Sprint(i)}, nil) {
				return
			}
		}
	})
	if err != nil || report.Rejected != 1700 || len(report.Errors) != engine.MaxRowErrors || report.Errors[999].Row != 1000 {
		t.Errorf("%d rejected, %d named, %v", report.Rejected, len(report.Errors), err)
	}
}

// What was sent before a failure was known counts.
func TestSuppressAllReportsWhatIsOnDiskAfterAFailedCommit(t *testing.T) {
	for failing := 1; failing <= 4; failing++ {
		t.Run(fmt.Sprint("commit ", failing), func(t *testing.T) {
			w, faults := newFaulty(t, nil, nil)
			faults.Inject(faulty.Fault{
				Method: faulty.Commit, If: func(b *store.Batch) bool { return len(b.Suppressions) > 0 }, Nth: failing, Err: errors.New("disk full"),
			})
			report, err := w.eng.SuppressAll(background, suppressions(0, 3000))
			if err == nil || !strings.Contains(err.Error(), "disk full") {
				t.Errorf("SuppressAll: %v", err)
			}
			for _, when := range []string{"after SuppressAll had returned", "later"} {
				list, err := w.eng.Suppressions(background, engine.SuppressionFilter{})
				if err != nil || len(list) != report.Added || report.Added == 3000 {
					t.Errorf("%s %d are on disk, and the report says %d; %v", when, len(list), report.Added, err)
				}
				if err := w.eng.Shutdown(background); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// The reader of leads and that of suppressions are one: what holds for the files of leads
// holds for these.
func TestASuppressionFileMayBeOfAnyKindThatPeopleHave(t *testing.T) {
	for name, file := range map[string]string{
		"commas":           "phone_number,external_id,reason\n+14155552671,crm-1,stop\n",
		"semicolons, CRLF": "Phone Number;External ID;Reason\r\n+14155552671;crm-1;stop\r\n",
		"tabs, CR":         "phone\texternal_id\treason\r+14155552671\tcrm-1\tstop\r",
		"sep=":             "sep=|\nphone|external_id|reason\n+14155552671|crm-1|stop\n",
		"a BOM and others": "\ufeffname,note,phone,note,external-id,reason\nx,1,+14155552671,2,crm-1,stop\n",
		"UTF-16":           "\xff\xfe" + utf16Text("phone,external_id,reason\n+14155552671,crm-1,stop\n"),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			report, err := w.eng.SuppressCSV(background, strings.NewReader(file), engine.Suppress{})
			if err != nil || report.Added != 1 || report.Rejected != 0 {
				t.Fatalf("%+v, %v", report, err)
			}
			list, err := w.eng.Suppressions(background, engine.SuppressionFilter{})
			if err != nil || len(list) != 1 || list[0].PhoneNumber != "+14155552671" || list[0].ExternalID != "crm-1" || list[0].Reason != "stop" {
				t.Errorf("%+v, %v", list, err)
			}
		})
	}
}

func utf16Text(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		b.Write([]byte{c, 0})
	}
	return b.String()
}

func TestRowsOfASuppressionFileAreRejectedByLine(t *testing.T) {
	w := newWorld(t, nil)
	year := time.Now().Year()
	file := fmt.Sprintf("phone_number,external_id,expires_at,reason\n"+
		",,,nobody\n"+ // line 2
		"+14155552671,,%d-01-01,past\n"+
		"+14155552671,,0001-01-01T00:00:00Z,zero\n"+
		"+14155552671,,,\"open\n"+ // line 5
		"+14155552672,,%d-01-01T00:00:00Z,fine\n"+
		"+14155552673,,,%s\n"+
		"+14155552674\n"+
		"+14155552675,\xff,,\n", year-1, year+2, strings.Repeat("x", 1025))
	report, err := w.eng.SuppressCSV(background, strings.NewReader(file), engine.Suppress{})
	if err != nil || report.Added != 1 || report.Rejected != 7 {
		t.Fatalf("%+v, %v", report, err)
	}
	for i, want := range []string{"unless external_id", "future", "invalid time", "quote", "reason: has more", "one field", "not UTF-8"} {
		line := []int{2, 3, 4, 5, 7, 8, 9}[i]
		if e := report.Errors[i]; e.Line != line || e.Row != line || !strings.Contains(e.Message, want) {
			t.Errorf("%+v, want line %d, %s", e, line, want)
		}
	}
}

func TestDefaultsHoldForAllRowsOfASuppressionFile(t *testing.T) {
	w := newWorld(t, nil)
	wf := w.callWaitMessage()
	w.enrollMany(wf, 0, 1)
	until := time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond)
	all := engine.Suppress{WorkflowID: wf, Channel: workflow.Message, Reason: "list", Actor: "kim", ExpiresAt: until}
	file := "phone_number,reason\n" + person(0).PhoneNumber + ",\n" + person(1).PhoneNumber + ",own\n"
	report, err := w.eng.SuppressCSV(background, strings.NewReader(file), all)
	if err != nil || report.Added != 2 || report.LeadsRemoved != 0 {
		t.Errorf("%+v, %v: a channel removes nobody", report, err)
	}
	list, err := w.eng.Suppressions(background, engine.SuppressionFilter{})
	if err != nil || len(list) != 2 || list[0].Reason != "own" || list[1].Reason != "list" {
		t.Fatalf("%+v, %v", list, err)
	}
	for _, s := range list {
		if s.WorkflowID != wf || s.Channel != "message" || s.Actor != "kim" || !s.ExpiresAt.Equal(until) {
			t.Errorf("%+v", s)
		}
	}
	nobody := func(all engine.Suppress) error {
		report, err := w.eng.SuppressCSV(background, strings.NewReader(file), all)
		if report.Added+report.Unchanged+report.Rejected > 0 {
			t.Errorf("%+v", report)
		}
		return err
	}
	if err := nobody(engine.Suppress{Channel: "fax"}); !errors.Is(err, lead.ErrInvalid) {
		t.Errorf("%v", err)
	}
	if err := nobody(engine.Suppress{ExternalID: "crm-1"}); !errors.Is(err, lead.ErrInvalid) {
		t.Errorf("%v", err)
	}
	if err := nobody(engine.Suppress{WorkflowID: lead.WorkflowIDFrom(until, 99, 1)}); !errors.Is(err, lead.ErrNotFound) {
		t.Errorf("%v", err)
	}
}

func TestASuppressionFileThatBreaksOffKeepsItsWholeRows(t *testing.T) {
	w := newWorld(t, nil)
	file := "phone_number\n" + person(0).PhoneNumber + "\n" + person(1).PhoneNumber[:8]
	broken := errors.New("connection lost")
	report, err := w.eng.SuppressCSV(background, io.MultiReader(bytes.NewReader([]byte(file)), iotest.ErrReader(broken)), engine.Suppress{})
	if !errors.Is(err, broken) || report.Added != 1 || report.Rejected != 0 {
		t.Errorf("%+v, %v", report, err)
	}
}
