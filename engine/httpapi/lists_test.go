package httpapi_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/leadflow-go/leadflow/engine/httpapi"
	"github.com/leadflow-go/leadflow/lead"
)

// ids are the ids, or other names, of a page's elements.
func ids(page map[string]any, name string) (out []string) {
	for _, e := range page["data"].([]any) {
		out = append(out, e.(map[string]any)[name].(string))
	}
	return out
}

// walk reads a list by cursor, as often as it goes on.
func walk(s *server, path, name string) (out []string, pages int) {
	s.t.Helper()
	cursor := ""
	for {
		page := s.get(path + "&cursor=" + cursor).expect(200).object()
		out = append(out, ids(page, name)...)
		pages++
		next, more := page["next_cursor"].(string)
		if !more {
			if page["next_cursor"] != nil {
				s.t.Errorf("next_cursor is %v", page["next_cursor"])
			}
			return out, pages
		}
		cursor = next
	}
}

func TestLeadsAreListedByPageAndByCursor(t *testing.T) {
	s := newServer(t, httpapi.Config{}, nil)
	w := s.active(onlyWait)
	var file strings.Builder
	file.WriteString("phone_number\n")
	for i := range 45 {
		fmt.Fprintf(&file, "+1415555%04d\n", i)
	}
	s.upload(w+"/leads", file.String()).expect(200)

	meta := func(a answer, page, limit, total, pages int) {
		t.Helper()
		m := a.expect(200).object()["meta"].(map[string]any)
		if m["page"] != float64(page) || m["limit"] != float64(limit) || m["total"] != float64(total) || m["totalPages"] != float64(pages) {
			t.Errorf("meta is %v", m)
		}
	}
	first := s.get(w + "/leads")
	meta(first, 1, 20, 45, 3)
	if n := len(ids(first.object(), "id")); n != 20 {
		t.Errorf("the default page has %d leads", n)
	}
	third := s.get(w + "/leads?page=3&limit=20")
	meta(third, 3, 20, 45, 3)
	if n := len(ids(third.object(), "id")); n != 5 || third.object()["next_cursor"] != nil {
		t.Errorf("the last page is %s", third)
	}
	second := s.get(w + "/leads?cursor=" + first.object()["next_cursor"].(string))
	meta(second, 2, 20, 45, 3)
	if got, want := ids(second.object(), "id"), ids(s.get(w+"/leads?page=2").object(), "id"); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("by cursor %v, by page %v", got, want)
	}
	meta(s.get(w+"/leads?page=99"), 99, 20, 45, 3)
	meta(s.get(w+"/leads?status=removed"), 1, 20, 0, 0)
	meta(s.get(w+"/leads?page=2147483647&limit=100"), 2147483647, 100, 45, 1)
	meta(s.get(w+"/leads?page=&limit=&cursor="), 1, 20, 45, 3)

	all, pages := walk(s, w+"/leads?limit=15", "phone_number")
	if len(all) != 45 || pages != 3 || all[0] != "+14155550000" || all[44] != "+14155550044" {
		t.Errorf("%d leads on %d pages: %v", len(all), pages, all)
	}
	if got := ids(s.get(w+"/leads?phone_number=+14155550007").object(), "phone_number"); len(got) != 1 || got[0] != "+14155550007" {
		t.Errorf("with a + that came as a blank: %v", got)
	}
	if got := ids(s.get(w+"/leads?phone_number=%2B1+415+555+0007&node_id=wait&status=enrolled").object(), "phone_number"); len(got) != 1 || got[0] != "+14155550007" {
		t.Errorf("the filters find %v", got)
	}
	if got := ids(s.get(w+"/leads?node_id=done").object(), "id"); len(got) != 0 {
		t.Errorf("at the end are %v", got)
	}
}

func TestWorkflowsAreListedByCursorAlsoPastADeletedOne(t *testing.T) {
	s := newServer(t, httpapi.Config{}, nil)
	var made []string
	for range 5 {
		path := s.draft(onlyWait)
		made = append(made, path[strings.LastIndexByte(path, '/')+1:])
	}
	s.post("/v1/workflows/"+made[4]+"/activate", "").expect(200)
	if got, pages := walk(s, "/v1/workflows?limit=2", "id"); fmt.Sprint(got) != fmt.Sprint(made) || pages != 3 {
		t.Errorf("%v on %d pages, want %v", got, pages, made)
	}
	if got := ids(s.get("/v1/workflows?status=active").object(), "id"); fmt.Sprint(got) != fmt.Sprint(made[4:]) {
		t.Errorf("active are %v", got)
	}
	first := s.get("/v1/workflows?limit=2").object()
	s.delete("/v1/workflows/" + made[1]).expect(200) // on which the cursor stands
	next := s.get("/v1/workflows?limit=2&cursor=" + first["next_cursor"].(string)).expect(200).object()
	if got := ids(next, "id"); fmt.Sprint(got) != fmt.Sprint(made[2:4]) {
		t.Errorf("the next page is %v, want %v", got, made[2:4])
	}
}

func TestCallsAreListedByFilterAndCursor(t *testing.T) {
	steps := make(chan lead.StepID, 10)
	s := newServer(t, httpapi.Config{}, inFlight(steps))
	w := s.active(callWaitText)
	var leads []string
	for i := range 5 {
		leads = append(leads, s.enroll(w, fmt.Sprintf("+1415555%04d", i)))
		step := <-steps
		if i == 0 {
			s.post("/v1/steps/"+step.String()+"/complete", `{"outcome":"dnp"}`).expect(200)
		}
	}
	all, pages := walk(s, "/v1/calls?limit=2", "lead_id")
	if len(all) != 5 || pages != 3 {
		t.Errorf("%v on %d pages", all, pages)
	}
	if all, pages := walk(s, "/v1/calls?limit=5", "lead_id"); len(all) != 5 || pages != 1 {
		t.Errorf("%v on %d pages", all, pages)
	}
	id := w[strings.LastIndexByte(w, '/')+1:]
	for query, want := range map[string]int{
		"workflow_id=" + id: 5,
		"workflow_id=" + noWorkflow[strings.LastIndexByte(noWorkflow, '/')+1:]: 0,
		"lead_id=" + leads[2][strings.LastIndexByte(leads[2], '/')+1:]:         1,
		"phone_number=%2B14155550003":                                          1, "status=in_progress": 4, "status=completed": 1, "status=failed": 0,
		"from=2000-01-01T00:00:00Z": 5, "to=2000-01-01T00:00:00Z": 0, "from=2000-01-01T00:00:00%2B02:00&to=2999-01-01T00:00:00Z": 5,
	} {
		if got := len(ids(s.get("/v1/calls?"+query).expect(200).object(), "lead_id")); got != want {
			t.Errorf("%s finds %d, want %d", query, got, want)
		}
	}
}

func TestFaultyParametersListWhatCanBeMeant(t *testing.T) {
	s := newServer(t, httpapi.Config{}, nil)
	w := s.active(onlyWait)
	for path, want := range map[string]string{
		"/v1/workflows?status=flying":  `query.status: invalid workflow status "flying"; must be one of draft, active, paused, completed, cancelled`,
		w + "/leads?status=flying":     `query.status: invalid state "flying"; must be one of enrolled, in_step, pending_removal, removed, completed`,
		"/v1/calls?status=retrying":    `query.status: invalid status "retrying"; a call's must be one of in_progress, completed, failed`,
		"/v1/calls?status=a&from=soon": "the request has 2 faults; see errors",
	} {
		if got := s.get(path).expect(422).object()["detail"]; got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	got := s.delete(w + "/leads/" + noLead + "?wait=30").expect(422).object()["detail"]
	if want := `query.wait: invalid duration "30"; it has no unit: write "30s", "30m" or "30h"`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	got = s.post(noStep+"/complete", `{"error":"busy","retry_after":"30"}`).expect(422).object()["detail"]
	if want := `body.retry_after: invalid duration "30"; it has no unit: write "30s", "30m" or "30h"`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
