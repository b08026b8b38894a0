package engine_test

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/lead"
)

func TestEnrollCSVReadsTheFilesThatPeopleHave(t *testing.T) {
	for name, file := range map[string]string{
		"as documented":              "phone_number,name\n+14155550101,Ann\n+14155550102,Ben\n",
		"with lines that end in CR":  "phone_number,name\r+14155550101,Ann\r+14155550102,Ben\r",
		"with blank rows":            "phone_number,name\n,\n+14155550101,Ann\n,,\n+14155550102,Ben\n,\n",
		"with semicolons":            "phone_number;name\n+14155550101;Ann\n+14155550102;Ben\n",
		"with tabs":                  "Phone Number\tname\n+14155550101\tAnn\n+14155550102\tBen\n",
		"with bars":                  "PHONE|name\n+14155550101|Ann\n+14155550102|Ben\n",
		"with sep=":                  "sep=;\nphone-number;name\n+14155550101;Ann\n+14155550102;Ben\n",
		"with a byte order mark":     "\ufeffphone_number,name\r\n+14155550101,Ann\r\n+14155550102,Ben\r\n",
		"with empty columns":         "name,Phone_Number,,\nAnn,+14155550101,,\nBen,+14155550102,,\n",
		"with a column named alike":  "name,Phone Number,phone\nAnn,+14155550101,\nBen,+14155550102,\n",
		"with two more named alike":  "Phone,phone,phone_number,name\n,,+14155550101,Ann\n,,+14155550102,Ben\n",
		"with spaces around a title": " phone number ,name\n+14155550101,Ann\n+14155550102,Ben",
	} {
		w := newWorld(t, nil)
		wf := w.callWaitMessage()
		report, err := w.eng.EnrollCSV(background, wf, strings.NewReader(file))
		if err != nil || report.Enrolled != 2 || report.Rejected != 0 {
			t.Errorf("a file %s: %+v, %v", name, report, err)
			continue
		}
		leads, err := w.eng.Leads(background, wf, engine.LeadFilter{})
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range []struct{ phone, name string }{{"+14155550101", "Ann"}, {"+14155550102", "Ben"}} {
			if l := leads[i]; l.PhoneNumber != want.phone || !maps.Equal(l.Metadata, map[string]any{"name": want.name}) {
				t.Errorf("a file %s: lead %d is %+v", name, i, l.Contact)
			}
		}
	}
}

// What fills a field of the contact is not metadata as well.
func TestEnrollCSVKeepsEachColumnOnce(t *testing.T) {
	w := newWorld(t, nil)
	wf := w.callWaitMessage()
	file := "Phone;External ID;timezone;Plan\n+14155550101;crm-7;Europe/Berlin;gold\n"
	if report, err := w.eng.EnrollCSV(background, wf, strings.NewReader(file)); err != nil || report.Enrolled != 1 {
		t.Fatalf("%+v, %v", report, err)
	}
	leads, err := w.eng.Leads(background, wf, engine.LeadFilter{})
	if err != nil {
		t.Fatal(err)
	}
	if l := leads[0]; l.ExternalID != "crm-7" || l.TimeZone != "Europe/Berlin" || !maps.Equal(l.Metadata, map[string]any{"Plan": "gold"}) {
		t.Errorf("%+v", l.Contact)
	}
}

func TestEnrollCSVNamesTheLineOfAnOpenQuote(t *testing.T) {
	w := newWorld(t, nil)
	nodes, edges := callWaitMessage()
	wf := w.draft(nodes, edges...)
	var file strings.Builder
	file.WriteString("phone_number,name\n")
	for i := range 10_000 {
		if i == 0 {
			file.WriteString("+14155560000,\"Ann\n")
		} else {
			fmt.Fprintf(&file, "+1415556%04d,\"Ben, %d\"\n", i, i)
		}
	}
	told := 0
	report, err := w.eng.EnrollCSV(background, wf, strings.NewReader(file.String()), engine.OnRow(func(row int, _ lead.ID, err error) {
		if told++; row != told+1 || (err != nil) != (row == 2) {
			t.Errorf("row %d is the %d. of which is told: %v", row, told, err)
		}
	}))
	if err != nil || report.Enrolled != 9_999 || report.Rejected != 1 || told != 10_000 {
		t.Fatalf("%d enrolled, %d rejected, told %d, %v", report.Enrolled, report.Rejected, told, err)
	}
	if e := report.Errors[0]; e.Row != 2 || e.Line != 2 || !strings.Contains(e.Message, "quote") {
		t.Errorf("%+v", e)
	}
}

func TestEnrollCSVNamesRowsAndLines(t *testing.T) {
	w := newWorld(t, nil)
	wf := w.callWaitMessage()
	file := "sep=,\n\nphone_number,note\n+14155550101,\"two\nlines\"\n,\nnobody,x\n\n+14155550102\n" +
		"+14155550103,caf\xe9\n+14155550104," + strings.Repeat("x", engine.MaxData) + "\n+14155550105,y\n"
	report, err := w.eng.EnrollCSV(background, wf, strings.NewReader(file))
	if err != nil || report.Enrolled != 2 || report.Rejected != 4 {
		t.Fatalf("%+v, %v", report, err)
	}
	for i, want := range []struct {
		row, line int
		says      string
	}{{4, 7, "phone"}, {5, 9, "one field, and the header 2"}, {6, 10, "UTF-8"}, {7, 11, "too long"}} {
		if got := report.Errors[i]; got.Row != want.row || got.Line != want.line || !strings.Contains(got.Message, want.says) {
			t.Errorf("error %d is %+v, want %+v", i, got, want)
		}
	}
}

func TestEnrollCSVRefusesAHeaderThatCanBeReadTwoWays(t *testing.T) {
	w := newWorld(t, nil)
	wf := w.callWaitMessage()
	for file, says := range map[string]string{
		"Phone,phone-number,phone number\n": `"phone-number" and "phone number"`, "Phone,phone\n+14155550101,\n": `"Phone" and "phone"`,
		"phone,External ID,external-id\n": "external_id", "phone,a,a\n": "two columns are named", "phone,caf\xe9\n": "not UTF-8",
		"telephone,name\n": "no column phone_number", "phone,\"a\n": "quote",
	} {
		var invalid *lead.InvalidError
		_, err := w.eng.EnrollCSV(background, wf, strings.NewReader(file))
		if !errors.As(err, &invalid) || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want an error about %s", file, err, says)
		}
	}
}

func TestADryRunSaysWhatEnrollingWouldAndEnrollsNobody(t *testing.T) {
	w := newWorld(t, nil)
	wf := w.callWaitMessage()
	over := w.enroll(wf, "+14155550104")
	w.remove(over)
	w.enroll(wf, "+14155550101")
	file := "phone_number\n+14155550101\n(415) 555-0102\n+14155550102\n+14155550103\n+14155550103\n12\n+14155550104\n"
	want := fmt.Sprint(engine.EnrollReport{Enrolled: 3, Rejected: 4})
	var first engine.EnrollReport
	for _, options := range [][]engine.EnrollOption{
		{engine.InRegion("US"), engine.DryRun()}, {engine.DryRun(), engine.InRegion("US")}, {engine.InRegion("US")},
	} {
		report, err := w.eng.EnrollCSV(background, wf, strings.NewReader(file), options...)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(engine.EnrollReport{Enrolled: report.Enrolled, Rejected: report.Rejected}); got != want {
			t.Errorf("%s, want %s: %+v", got, want, report.Errors)
		}
		if first.Errors == nil {
			first = report
		}
		for i, e := range report.Errors {
			if e.Line != first.Errors[i].Line {
				t.Errorf("line %d, and %d before", e.Line, first.Errors[i].Line)
			}
		}
		if n, err := w.eng.CountLeads(background, wf, engine.LeadFilter{}); err != nil || n != 2 && len(options) == 2 || n != 5 && len(options) == 1 {
			t.Errorf("%d leads, %v", n, err)
		}
	}
	if _, err := w.eng.EnrollCSV(background, wf, strings.NewReader(file), engine.InRegion("UK")); !errors.Is(err, lead.ErrInvalid) {
		t.Errorf("an unknown region: %v", err)
	}
	if _, err := w.eng.CancelWorkflow(background, wf); err != nil {
		t.Fatal(err)
	}
	if _, err := w.eng.EnrollCSV(background, wf, strings.NewReader(file), engine.DryRun()); !errors.Is(err, lead.ErrWorkflowStatus) {
		t.Errorf("a workflow that is over: %v", err)
	}
}
