package httpapi_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/httpapi"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store/sqlite"
)

// damaged is a server whose file is damaged between two processes.
type damaged struct {
	t     *testing.T
	path  string
	store *sqlite.Store
	eng   *engine.Engine
	http  *httptest.Server

	mu    sync.Mutex
	log   bytes.Buffer
	heard map[lead.ID]int
}

// Write takes the log.
func (d *damaged) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.log.Write(p)
}

// handle leaves leads in every phase, by the last digit of the number.
func handle(ctx context.Context, a engine.Attempt) (engine.Result, error) {
	switch number := a.Contact.PhoneNumber; number[len(number)-1] {
	case '1': // goes on to the wait
		return engine.Result{}, nil
	case '2':
		<-ctx.Done()
		return engine.Result{}, ctx.Err()
	case '4':
		return engine.Result{}, fmt.Errorf("no answer")
	case '5': // its hook hangs
		return engine.Result{Outcome: "slow"}, nil
	default:
		return engine.InFlight("c"), nil
	}
}

func (d *damaged) open() {
	d.t.Helper()
	var err error
	if d.store, err = sqlite.Open(context.Background(), d.path, sqlite.Options{Synchronous: sqlite.Normal}); err != nil {
		d.t.Fatal(err)
	}
	h := engine.HandlerFunc(handle)
	hook := engine.Hook{Name: "slow", Run: func(ctx context.Context, e engine.HookEvent) error {
		if e.Step.Outcome == "slow" {
			<-ctx.Done()
		}
		return nil
	}}
	d.eng, err = engine.New(d.store, engine.Config{
		Handlers: map[string]engine.Handler{"voice_call": h}, Hooks: []engine.Hook{hook},
		Logger: slog.New(slog.NewTextHandler(d, nil)),
	})
	if err != nil {
		d.t.Fatal(err)
	}
	d.eng.Listen(func(e engine.Event) {
		if e.Type == engine.EventUnreadable {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.heard[e.Lead.ID]++
		}
	})
	if err := d.eng.Start(context.Background()); err != nil {
		d.t.Fatal(err)
	}
	api, err := httpapi.New(d.eng, httpapi.Config{Logger: quiet})
	if err != nil {
		d.t.Fatal(err)
	}
	d.http = httptest.NewServer(api)
}

func (d *damaged) close() {
	d.http.Close()
	over, cancel := context.WithCancel(context.Background())
	cancel()
	_ = d.eng.Shutdown(over)
	if err := d.store.Close(); err != nil {
		d.t.Error(err)
	}
}

func (d *damaged) ask(method, path string, to any) int {
	d.t.Helper()
	req, err := http.NewRequest(method, d.http.URL+"/v1"+path, nil)
	if err != nil {
		d.t.Fatal(err)
	}
	res, err := d.http.Client().Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	if err := json.Unmarshal(text, to); err != nil {
		d.t.Fatalf("%s %s: %d %s: %v", method, path, res.StatusCode, text, err)
	}
	return res.StatusCode
}

type listed struct {
	Data []struct {
		ID, Status, Unreadable string
		PhoneNumber            string `json:"phone_number"`
	}
	Meta struct{ Total int }
}

// Whatever a row of a lead says, in whatever phase the lead is: the lead is listed and
// shown, its history says what is wrong, and it can be removed for good.
func TestADamagedLeadIsListedAndCanBeRemoved(t *testing.T) {
	statements := map[string]string{}
	for column, values := range map[string][]string{
		"node": {"9999", "-1", "3", "2147483648"}, "visit": {"-1", "2147483647", "99999999999"}, "visits": {"-9", "2147483647"},
		"phase": {"0", "1", "2", "3", "4", "5", "6", "7", "300"}, "attempt": {"-5"},
		"spot": {"0", "-1", "spot + 8", "spot - spot % 8 + 6", "spot - spot % 8 + 2"}, "wake": {"NULL"}, "extra": {"x'7b'", "NULL", "CAST('[]' AS BLOB)"},
		"entered": {"9223372036854775807"}, "due": {"-9223372036854775808"}, "updated": {"9223372036854775807"}, "last_step": {"-1"},
	} {
		for _, v := range values {
			statements[column+"="+v] = "UPDATE leads SET " + column + " = " + v + " WHERE seq = ?"
		}
	}
	for column, values := range map[string][]string{
		"id": {"x'00'"}, "metadata": {"x'7b'"}, "enrolled": {"9223372036854775807"}, "time_zone": {"'x'"},
	} {
		for _, v := range values {
			statements[column+"="+v] = "UPDATE contacts SET " + column + " = " + v + " WHERE seq = ?"
		}
	}
	statements["no contact"] = "DELETE FROM contacts WHERE seq = ?"
	statements["detail"] = "UPDATE steps SET detail = x'7b' WHERE lead = ?"
	n := 0
	for name, statement := range statements { // in any order
		if n++; raceEnabled && n > len(statements)/4 {
			break
		}
		t.Run(name, func(t *testing.T) { t.Parallel(); damageAll(t, statement) })
	}
}

func damageAll(t *testing.T, statement string) {
	d := &damaged{t: t, path: filepath.Join(t.TempDir(), "leads.db"), heard: map[lead.ID]int{}}
	d.open()
	ctx := context.Background()
	retry := workflow.Retry{MaxAttempts: 2, Delay: workflow.Duration(time.Hour)}
	wf, err := d.eng.CreateWorkflow(ctx, &workflow.Definition{
		Name: "damaged", Entry: "call",
		Nodes: []workflow.Node{
			workflow.CallNode("call", nil).WithRetry(retry), workflow.Wait("wait", time.Hour), workflow.If("gold", `metadata.plan == "gold"`),
			workflow.End("done", workflow.Converted),
		},
		Edges: []workflow.Edge{workflow.On("call", "default", "wait"), workflow.To("wait", "gold"), workflow.On("gold", "true", "done"), workflow.On("gold", "false", "done")},
	})
	if err == nil {
		_, err = d.eng.ActivateWorkflow(ctx, wf.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	var leads []lead.Lead
	for i := range 10 { // twice those of each phase; the first five are damaged
		l, err := d.eng.Enroll(ctx, wf.ID, lead.Contact{PhoneNumber: fmt.Sprintf("+1415555%d67%d", 2+i/5, i%5+1), Metadata: map[string]any{"plan": "x"}})
		if err != nil {
			t.Fatal(err)
		}
		leads = append(leads, l)
	}
	settled := func() bool {
		n := 0
		for _, l := range leads {
			steps, err := d.eng.History(ctx, wf.ID, l.ID)
			if err != nil {
				t.Fatal(err)
			}
			s := steps[len(steps)-1]
			switch l.PhoneNumber[len(l.PhoneNumber)-1] {
			case '1':
				n += b2i(s.NodeID == "wait")
			case '2':
				n += b2i(s.Status == lead.StepInProgress)
			case '3':
				n += b2i(s.CallID == "c")
			case '4':
				n += b2i(s.Status == lead.StepRetrying)
			case '5':
				n += b2i(s.Outcome == "slow")
			}
		}
		return n == len(leads)
	}
	for until := time.Now().Add(time.Minute); !settled(); time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("the leads do not come to their phases")
		}
	}
	d.close()
	db, err := sql.Open("sqlite", d.path)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range leads[:5] {
		if _, err := db.Exec(statement, l.ID.Seq()); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	d.open()
	defer d.close()

	at := "/workflows/" + wf.ID.String() + "/leads"
	var all listed
	if status := d.ask("GET", at+"?limit=100", &all); status != 200 || len(all.Data) != len(leads) || all.Meta.Total != len(leads) {
		t.Fatalf("the list: %d, %d leads, total %d", status, len(all.Data), all.Meta.Total)
	}
	for i, l := range all.Data[:5] { // in order
		var one struct{ ID, Status string }
		if status := d.ask("GET", at+"/"+l.ID, &one); status != 200 || one.ID != l.ID || strings.Contains(statement, "UPDATE leads") && one.Status != l.Status {
			t.Errorf("GET of %+v: %d %+v", l, status, one)
		}
		var past struct {
			History []any
			Detail  string
		}
		if status := d.ask("GET", at+"/"+l.ID+"/history", &past); status != 200 && (status != 500 || !strings.Contains(past.Detail, "cannot be read")) {
			t.Errorf("history of %s: %d %s", l.ID, status, past.Detail)
		}
		final := l.Status == "removed" || l.Status == "completed"
		var gone struct{ Status, Detail string }
		switch status := d.ask("DELETE", at+"/"+l.ID+"?skip_retries=true", &gone); {
		case status == 200, status == 202 && l.Unreadable == "", final && status == 409:
		case status == 202 && !strings.Contains(statement, "UPDATE leads"): // the step can still end
		default:
			t.Errorf("DELETE of %+v: %d %+v", l, status, gone)
		}
		d.mu.Lock()
		lines := strings.Count(d.log.String(), fmt.Sprintf("lead_seq=%d ", leads[i].ID.Seq()))
		told := d.heard[leads[i].ID] + d.heard[lead.ID{}]
		if l.Unreadable != "" && (lines != 1 || told == 0 && strings.Contains(statement, "UPDATE leads")) {
			t.Errorf("%s: %d lines in the log, %d events:\n%s", l.ID, lines, told, &d.log)
		}
		d.mu.Unlock()
	}
	var after listed
	if status := d.ask("GET", at+"?limit=100", &after); status != 200 || len(after.Data) != len(leads) || after.Meta.Total != len(leads) {
		t.Fatalf("the list afterwards: %d, %d leads, total %d", status, len(after.Data), after.Meta.Total)
	}
	for i, l := range after.Data {
		if was := all.Data[i]; i < 5 && was.Unreadable != "" && strings.Contains(statement, "UPDATE leads") {
			if l.Unreadable != "" && was.Status != "removed" && was.Status != "completed" {
				t.Errorf("still unreadable: %+v", l)
			}
			if l.Status != "removed" && was.Status != "completed" {
				t.Errorf("not removed: %+v", l)
			}
		} else if i >= 5 && l.Status != all.Data[i].Status {
			t.Errorf("a healthy lead: %+v, was %+v", l, all.Data[i])
		}
	}
	var counted struct{ Counts map[string]int }
	if d.ask("GET", "/workflows/"+wf.ID.String(), &counted); strings.Contains(statement, "UPDATE leads") {
		want := map[string]int{}
		for _, l := range after.Data {
			want[l.Status]++
		}
		for state, n := range want {
			if counted.Counts[state] != n {
				t.Errorf("counts are %v, want %v", counted.Counts, want)
			}
		}
	}
	if _, err := d.eng.CancelWorkflow(ctx, wf.ID); err != nil {
		t.Error(err)
	}
	if err := d.eng.Health(ctx); err != nil {
		t.Error(err)
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
