package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestAFileOfPeopleIsSuppressed(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	s := startServer(t, t.TempDir()+"/leads.db")
	wf := s.create(definition(p, time.Hour), false)
	s.enroll(wf, phone)
	dir := t.TempDir()
	list, bad, scoped, odd := filepath.Join(dir, "list.csv"), filepath.Join(dir, "bad.csv"), filepath.Join(dir, "Scoped.CSV"), filepath.Join(dir, "list of people")
	write(t, list, "Phone,External ID,expires_at\n"+phone+",crm-1,\n555,,\n+14155550102,,2001-01-01\n"+phone+",crm-1,\n")
	write(t, bad, "phone\n1\n")
	national := filepath.Join(dir, "national.csv")
	write(t, national, "phone\n(415) 555-0109\n")
	write(t, scoped, "external_id\ncrm-2\n")
	write(t, odd, "external_id\ncrm-3\n")
	write(t, filepath.Join(dir, "empty.csv"), "external_id\n")
	write(t, filepath.Join(dir, "mobile.csv"), "mobile\n1\n")
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"suppress", "--file", list, "--dry-run"}, exitRejected, `
Would add 1 suppression; 1 was there already; 2 rows rejected. 1 lead is to be removed.
line 3: phone_number: "555" has no known country code; write it as +<country code><number>
line 4: expires_at: must be in the future
leadflow suppress: 2 rows of ` + list + ` would be rejected`},
		{[]string{"suppress", list, "--reason", "list", "--actor", "kim"}, exitRejected, `
Added 1 suppression; 1 was there already; 2 rows rejected. 1 lead is removed.
line 3: phone_number: "555" has no known country code; write it as +<country code><number>
line 4: expires_at: must be in the future
leadflow suppress: 2 rows of ` + list + ` were rejected`},
		{[]string{"suppress", list}, exitRejected, `
Added 0 suppressions; 2 were there already; 2 rows rejected. 0 leads are removed.
line 3: phone_number: "555" has no known country code; write it as +<country code><number>
line 4: expires_at: must be in the future
leadflow suppress: 2 rows of ` + list + ` were rejected`},
		{[]string{"suppress", scoped, "--workflow", wf, "--channel", "message", "--until", "2100-01-01T00:00:00Z"}, 0,
			`Added 1 suppression; 0 were there already; 0 rows rejected. 0 leads are removed.`},
		{[]string{"suppress", odd}, 0, `Added 1 suppression; 0 were there already; 0 rows rejected. 0 leads are removed.`},
		{[]string{"suppressions", "--active", "true"}, 0, `
ID PHONE NUMBER EXTERNAL ID SCOPE SINCE UNTIL REASON
sup_ID - crm-3 everywhere TIME - -
sup_ID - crm-2 wfl_ID message TIME TIME -
sup_ID +14155550101 crm-1 everywhere TIME - list`},
		{[]string{"suppress", bad}, exitFailed, `
Added 0 suppressions; 0 were there already; 1 row rejected. 0 leads are removed.
line 2: phone_number: "1" is not a phone number
leadflow suppress: no row of ` + bad + ` can be used`},
		{[]string{"suppress", filepath.Join(dir, "empty.csv")}, exitFailed, `
Added 0 suppressions; 0 were there already; 0 rows rejected. 0 leads are removed.
leadflow suppress: ` + filepath.Join(dir, "empty.csv") + ` has no rows below its line of column names`},
		{[]string{"suppress", filepath.Join(dir, "mobile.csv"), "--json"}, exitFailed, `
leadflow suppress: ` + filepath.Join(dir, "mobile.csv") + `: the server answered 422 Unprocessable Entity: body.header: no column phone_number or external_id; the columns are ["mobile"]; nobody was suppressed`},
		{[]string{"suppress", filepath.Join(dir, "none.csv")}, exitFailed, `leadflow suppress: open ` + filepath.Join(dir, "none.csv") + `: no such file or directory`},
		{[]string{"suppress", list, "--linked"}, exitUsage, `
leadflow suppress: --external-id and --linked are for one person, and ` + list + ` is a file
See leadflow help suppress.`},
		{[]string{"suppress", national, "--region", "US", "--dry-run"}, 0,
			`Would add 1 suppression; 0 were there already; 0 rows rejected. 0 leads are to be removed.`},
		{[]string{"suppress", phone, "--dry-run"}, exitUsage, `
leadflow suppress: --region and --dry-run are for files
See leadflow help suppress.`},
		{[]string{"suppress", phone, "--file", list}, exitUsage, `
leadflow suppress: takes --file or one argument, not both
See leadflow help suppress.`},
		{[]string{"suppress"}, exitUsage, `
leadflow suppress: needs a phone number, a CSV file, or --external-id
See leadflow help suppress.`},
		{[]string{"suppress", "--external-id", "crm-9", phone}, 0, phone + ` crm-9 is suppressed: sup_ID.`},
		{[]string{"suppress", list, "--channel", "fax"}, exitFailed, `leadflow suppress: ` + list +
			`: the server answered 422 Unprocessable Entity: query.channel: invalid channel "fax"; must be one of voice_call, message, application`},
		{[]string{"enroll", wf, phone}, exitFailed, `leadflow enroll: the server answered 409 Conflict: contact is suppressed`},
		{[]string{"remove"}, exitUsage, `
leadflow remove: needs a lead's id, or --phone
See leadflow help remove.`},
		{[]string{"remove", wf, "--phone", phone}, exitUsage, `
leadflow remove: --phone removes the person from every workflow; give it, or a lead's id
See leadflow help remove.`},
		{[]string{"limits", "set"}, exitUsage, `
leadflow limits: takes no arguments, or set and a file
See leadflow help limits.`},
		{[]string{"limits", "set", bad}, exitFailed, `leadflow limits: the server answered 422 Unprocessable Entity: body: `},
	} {
		out, stderr, code := s.cli(c.args...)
		if code != c.code {
			t.Errorf("%q: exit code %d", c.args, code)
		}
		if code == exitFailed && !strings.HasPrefix(c.want, "\n") {
			if !strings.HasPrefix(stderr, c.want) || out != "" {
				t.Errorf("%q: %s%s", c.args, out, stderr)
			}
			continue
		}
		same(t, strings.Join(c.args, " "), out+stderr, c.want)
	}
}

// The environment sets flags, too; it must not turn one lead into a person.
func TestAPhoneNumberInTheEnvironmentDoesNotRemoveThePerson(t *testing.T) {
	_, stderr, code := runBinary(t, []string{"LEADFLOW_PHONE=" + phone}, "remove", "wlead_00000000000000000000000000")
	if code != exitUsage || !strings.Contains(stderr, "--phone removes the person from every workflow") {
		t.Errorf("%d: %s", code, stderr)
	}
}

func TestFilesComeFromStandardInput(t *testing.T) {
	t.Parallel()
	s := startServer(t, t.TempDir()+"/leads.db")
	for _, c := range []struct{ args, input, want string }{
		{"suppress - --reason list", "phone_number\n" + phone + "\n", "Added 1 suppression; 0 were there already; 0 rows rejected. 0 leads are removed.\n"},
		{"limits set -", "\ufeff" + `{"limits":[{"channel":"message","starts":1,"per":"1s"}]}`, "CHANNEL  RATE KEY  AT MOST\nmessage  -         1 start in 1s\n"},
	} {
		out, stderr, code := s.cliWith(c.input, strings.Fields(c.args)...)
		if out != c.want || code != 0 {
			t.Errorf("%s: %d: %s%s", c.args, code, out, stderr)
		}
	}
	if _, err := os.Stat("-"); err == nil {
		t.Error("there is a file -")
	}
}
