package httpapi_test

import (
	"strings"
	"testing"

	"github.com/leadflow-go/leadflow/engine/httpapi"
	"github.com/leadflow-go/leadflow/lead"
)

// twilio is a workflow of a call whose provider reports what came of it as a form.
const twilio = `{"name":"Twilio","entry":"call","nodes":[{"id":"call","type":"voice_call","retry":{"max_attempts":2,"delay":"30m"},"config":{"url":"http://dialer.test/",
	"callback":{"outcome":{"field":"CallStatus","map":{"completed":"completed","no-answer":"dnp","busy":{"error":"busy"},
		"canceled":{"error":"canceled","final":true},"failed":{"error":"failed","retry_after":"2h"}},"ignore":["queued","ringing","in-progress"]},
		"call_id":"CallSid","data":["CallDuration","SipResponseCode"]}}},
	{"id":"done","type":"converted"}],"edges":[{"from":"call","to":"done","label":"completed"}]}`

func (s *server) postForm(path, form string) answer {
	s.t.Helper()
	return s.send(request{method: "POST", path: path, kind: "application/x-www-form-urlencoded", body: strings.NewReader(form)})
}

func TestACallbackThatIsAForm(t *testing.T) {
	steps := make(chan lead.StepID, 1)
	key := []byte("0123456789abcdef")
	s := newServer(t, httpapi.Config{Token: token, CallbackKey: key}, inFlight(steps))
	w := s.active(twilio)
	var leads int
	begin := func() (l, callback string) {
		leads++
		l = s.enroll(w, "+1415555000"+string(rune('0'+leads)))
		step := <-steps
		return l, "/v1/steps/" + step.String() + "/complete?sig=" + httpapi.SignCallback(key, step)
	}
	asProvider := func(do func()) { // which has no token
		s.token = ""
		do()
		s.token = token
	}
	last := func(l string) map[string]any {
		t.Helper()
		return s.get(l + "/history").expect(200).object()["history"].([]any)[0].(map[string]any)
	}

	l, callback := begin()
	asProvider(func() {
		for _, status := range []string{"queued", "ringing", "in-progress", "ringing"} {
			if a := s.postForm(callback, "CallSid=CA1&CallStatus="+status).expect(200).object(); a["lead_status"] != "in_step" || a["lead_id"] == "" {
				t.Errorf("%s: %v", status, a)
			}
		}
	})
	if step := last(l); step["status"] != "in_progress" || step["call_id"] != nil {
		t.Errorf("a telephone that rings has ended the step: %v", step)
	}
	asProvider(func() {
		s.postForm(callback, "CallSid=CA1&CallStatus=completed&CallDuration=42&From=%2B14155550000").expect(200)
		s.postForm(callback, "CallSid=CA1&CallStatus=completed&CallDuration=42").expect(200)
		s.postForm(callback, "CallSid=CA1&CallStatus=no-answer").expect(409)
		s.postForm(callback, "CallSid=CA1&CallStatus=ringing").expect(200)
	})
	if step := last(l); step["outcome"] != "completed" || step["call_id"] != "CA1" || len(step["data"].(map[string]any)) != 1 || step["data"].(map[string]any)["CallDuration"] != "42" {
		t.Errorf("the step is %v", step)
	}

	_, callback = begin()
	s.postForm(callback+"&attempt=2", "CallStatus=completed").expect(409)
	s.postForm(callback+"&attempt=x", "CallStatus=completed").expect(422)
	s.postForm(callback+"&attempt=1", "CallStatus=completed").expect(200)

	for status, want := range map[string]string{"busy": "retrying", "failed": "retrying", "canceled": "failed"} {
		l, callback = begin()
		s.postForm(callback, "CallStatus="+status+"&CallSid=CA2").expect(200)
		if step := last(l); step["status"] != want || step["attempts"].([]any)[0].(map[string]any)["error"] != status {
			t.Errorf("%s: the step is %v", status, step)
		}
	}

	_, callback = begin()
	for form, location := range map[string]string{
		"CallStatus=flying": "body.CallStatus", "CallStatus=": "body.CallStatus", "CallSid=CA1": "body.CallStatus", "": "body.CallStatus",
		"%zz": "body", "a;b": "body", "CallStatus=completed&CallSid=" + strings.Repeat("x", 300): "body.call_id",
	} {
		a := s.postForm(callback, form).expect(422)
		if got := a.locations(); len(got) != 1 || got[0] != location {
			t.Errorf("%q: %v, want %s", form, got, location)
		}
	}
	if a := s.postForm(callback, "CallStatus=flying").expect(422); !strings.Contains(string(a.body),
		`maps busy, canceled, completed, failed, no-answer and ignores queued, ringing, in-progress`) {
		t.Errorf("the values that are known are not listed: %s", a)
	}
	s.postForm(noStep+"/complete", "CallStatus=completed").expect(404)
	s.token = ""
	s.postForm(noStep+"/complete", "CallStatus=completed").expect(401)
}

func TestANodeWithoutAMappingTakesNoForm(t *testing.T) {
	steps := make(chan lead.StepID, 1)
	s := newServer(t, httpapi.Config{}, inFlight(steps))
	l := s.enroll(s.active(callWaitText), "+14155550001")
	a := s.postForm("/v1/steps/"+(<-steps).String()+"/complete", "CallStatus=completed").expect(422)
	if !strings.Contains(string(a.body), "node call has no config.callback") {
		t.Errorf("the problem is %s", a)
	}
	if got := s.status(l); got != "in_step" {
		t.Errorf("the lead is %s", got)
	}
}
