package webhook

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// mapped is a node with that config.callback.
func mapped(callback string) workflow.Node {
	return workflow.Node{ID: "call", Type: workflow.VoiceCall, Config: json.RawMessage(`{"url":"http://dialer.test/","callback":` + callback + `}`)}
}

const twilio = `{"outcome":{"field":"CallStatus","map":{"completed":"completed","no-answer":"dnp","busy":{"error":"busy"},
	"failed":{"error":"no such number","final":true},"later":{"error":"later","retry_after":"2h"}},"ignore":["ringing"]},
	"call_id":"CallSid","data":["CallDuration"]}`

func TestAFormIsReadAsTheNodeSays(t *testing.T) {
	for form, want := range map[string]engine.Callback{
		"CallStatus=completed&CallSid=CA1&CallDuration=42": {Outcome: "completed", CallID: "CA1", Data: map[string]string{"CallDuration": "42"}},
		"CallStatus=no-answer":                             {Outcome: "dnp"},
		"CallStatus=busy&CallSid=CA1":                      {Error: "busy", CallID: "CA1"},
		"CallStatus=failed":                                {Error: "no such number", Final: true},
		"CallStatus=later&Other=x":                         {Error: "later", RetryAfter: 2 * time.Hour},
	} {
		values, err := url.ParseQuery(form)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseCallback(mapped(twilio), values)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s", form, err, diff)
		}
	}
	if _, err := ParseCallback(mapped(twilio), url.Values{"CallStatus": {"ringing"}}); !errors.Is(err, ErrIgnored) {
		t.Errorf("ringing: %v", err)
	}
	for _, c := range []struct {
		node workflow.Node
		form url.Values
		text string
	}{
		{mapped(twilio), url.Values{"CallStatus": {"flying"}}, `CallStatus: unknown value "flying"; the node call maps busy, completed, failed, later, no-answer and ignores ringing`},
		{mapped(twilio), url.Values{}, "CallStatus: is missing"},
		{mapped(`null`), nil, "has no config.callback"},
		{workflow.Node{ID: "call"}, nil, "has no config.callback"},
		{mapped(`{}`), nil, "config.callback.outcome.field is missing"},
	} {
		if _, err := ParseCallback(c.node, c.form); !errors.Is(err, lead.ErrInvalid) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%v: %v, want %q", c.form, err, c.text)
		}
	}
}

// A program's own handler refuses at activation what ParseCallback could never read.
func TestCheckCallbackNamesWhatParseCallbackWouldRefuse(t *testing.T) {
	if err := CheckCallback(mapped(twilio)); err != nil {
		t.Error(err)
	}
	for _, c := range []struct {
		node  workflow.Node
		texts []string
	}{
		{mapped(`null`), []string{"the node call has no config.callback"}},
		{workflow.Node{ID: "call"}, []string{"the node call has no config.callback"}},
		{workflow.Node{ID: "call", Config: json.RawMessage(`[]`)}, []string{"the node call cannot take a form: config: "}},
		{mapped(`{"outcome":{"field":7,"map":[]},"call_id":7}`), []string{
			"config.callback.call_id must be a string", "outcome.field must be a string", "outcome.map must be an object"}},
	} {
		err := CheckCallback(c.node)
		if !errors.Is(err, lead.ErrInvalid) {
			t.Errorf("%s: %v does not match lead.ErrInvalid", c.node.Config, err)
		}
		for _, text := range c.texts {
			if !strings.Contains(fmt.Sprint(err), text) {
				t.Errorf("%s: error %q lacks %q", c.node.Config, err, text)
			}
		}
		if _, parse := ParseCallback(c.node, url.Values{"CallStatus": {"completed"}}); fmt.Sprint(parse) != fmt.Sprint(err) {
			t.Errorf("%s: ParseCallback says %v, CheckCallback %v", c.node.Config, parse, err)
		}
	}
}

func TestAFaultyMappingIsNotActivated(t *testing.T) {
	h := newTest(t, Config{})
	if err := h.CheckNode(mapped(twilio)); err != nil {
		t.Error(err)
	}
	for callback, texts := range map[string][]string{
		`7`:                         {"config.callback must be an object"},
		`{}`:                        {"config.callback.outcome.field is missing"},
		`{"outcome":{"field":"S"}}`: {"config.callback.outcome.map is missing: it says what the values of S mean"},
		`{"outcom":{},"call_id":7,"data":"x","outcome":{"field":1,"map":[],"ignore":{},"more":1}}`: {
			`config.callback has the unknown field "outcom"; the fields here are outcome, call_id, data`, "config.callback.call_id must be a string",
			"config.callback.data must be an array of strings", "outcome.field must be a string", "outcome.map must be an object",
			"outcome.ignore must be an array of strings", `config.callback.outcome has the unknown field "more"`},
		`{"outcome":{"field":"S","ignore":["a"],"map":{"a":"x","b":"","c":7,"d":{},"e":{"error":"x","final":true,"retry_after":"1h"},
			"f":{"error":"x","retry_after":"-1h"},"g":{"error":"x","retry_after":"soon"},"h":{"eror":"x"},"i":null}}}`: {
			`ignore has "a", which map has too`, `map["b"] must not be empty`, `map["c"] must be an outcome such as "completed", or an object`,
			`map["d"].error is missing`, `map["e"].retry_after cannot be combined with final`, `map["f"].retry_after must not be negative`,
			`map["g"].retry_after must be a duration`, `map["h"] has the unknown field "eror"`, `map["i"] must be an outcome`},
	} {
		err := h.CheckNode(mapped(callback))
		for _, text := range texts {
			if !strings.Contains(fmt.Sprint(err), text) {
				t.Errorf("%s: error %q lacks %q", callback, err, text)
			}
		}
	}
	both := workflow.Node{ID: "call", Type: workflow.VoiceCall, Config: json.RawMessage(`{"callback":7}`)}
	if err := fmt.Sprint(h.CheckNode(both)); !strings.Contains(err, "config.url is missing") || !strings.Contains(err, "config.callback must be") {
		t.Errorf("both faults: %s", err)
	}
}
