package engine_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/webhook"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store/memory"
)

// dialler calls people by a provider that reports the result later, as a form, and
// reports people who say stop.
type dialler struct {
	eng  *engine.Engine
	key  []byte // 16 random bytes or more, the same after a restart
	call func(ctx context.Context, number, callback string) (callID string, err error)
}

// Handle begins a call. Its outcome comes to the callback URL, which only the holder
// of the key can make.
func (d *dialler) Handle(ctx context.Context, a engine.Attempt) (engine.Result, error) {
	sig := webhook.SignCallback(d.key, a.StepID)
	callback := fmt.Sprintf("https://example.com/callbacks/%s?attempt=%d&sig=%s", a.StepID, a.Number, sig)
	callID, err := d.call(ctx, a.Contact.PhoneNumber, callback)
	return engine.InFlight(callID), err
}

// CheckNode refuses a workflow at activation if a node does not say what the fields of
// the provider's forms mean.
func (d *dialler) CheckNode(n workflow.Node) error { return webhook.CheckCallback(n) }

// callback serves POST /callbacks/{step}.
func (d *dialler) callback(w http.ResponseWriter, r *http.Request) {
	step, err := lead.ParseStepID(r.PathValue("step"))
	query := r.URL.Query()
	if err != nil || webhook.VerifyCallback(d.key, step, query.Get("sig")) != nil {
		http.Error(w, "invalid signature", http.StatusForbidden)
		return
	}
	if err := r.ParseForm(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	_, node, err := d.eng.StepNode(r.Context(), step)
	if err != nil {
		answer(w, err)
		return
	}
	out, err := webhook.ParseCallback(node, r.PostForm)
	if err == nil {
		out.Attempt, _ = strconv.Atoi(query.Get("attempt"))
		_, err = d.eng.CompleteStep(r.Context(), step, out)
	}
	answer(w, err)
}

// stop serves POST /stop, for a person who wants no more calls: they are removed from
// every workflow, and queued retries are dropped. Check first, as your provider
// documents it, who asks.
func (d *dialler) stop(w http.ResponseWriter, r *http.Request) {
	leads, err := d.eng.ContactLeads(r.Context(), engine.ContactFilter{
		PhoneNumber: r.FormValue("From"), States: []lead.State{lead.Enrolled, lead.InStep, lead.PendingRemoval},
	})
	for _, l := range leads {
		_, failed := d.eng.Remove(r.Context(), l.WorkflowID, l.ID, engine.SkipRetries(), engine.Reason("said stop"))
		if !errors.Is(failed, lead.ErrLeadFinal) { // it may have ended just now
			err = errors.Join(err, failed)
		}
	}
	answer(w, err)
}

// answer answers the provider, which sends a request again only after a 5xx.
func answer(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	switch {
	case err == nil, errors.Is(err, webhook.ErrIgnored): // such as: the telephone rings
		w.WriteHeader(http.StatusNoContent)
		return
	case errors.Is(err, lead.ErrNotFound):
		status = http.StatusNotFound
	case errors.Is(err, lead.ErrConflict): // the step has another outcome already
		status = http.StatusConflict
	case errors.Is(err, lead.ErrInvalid):
		status = http.StatusUnprocessableEntity
	}
	http.Error(w, err.Error(), status)
}

// A program has a route for the callbacks of its provider, and one for people who say
// stop.
func Example_callbacks() {
	ctx := context.Background()
	callbacks := make(chan string, 1)
	d := &dialler{key: []byte("0123456789abcdef"), call: func(_ context.Context, _, callback string) (string, error) {
		callbacks <- callback
		return "CA1", nil
	}}
	eng, err := engine.New(memory.New(), engine.Config{Handlers: map[string]engine.Handler{"voice_call": d}, Logger: slog.New(slog.DiscardHandler)})
	check(err)
	d.eng = eng
	check(eng.Start(ctx))
	defer eng.Shutdown(ctx)
	ended := make(chan lead.Lead, 2)
	eng.Listen(func(e engine.Event) {
		if e.Type == engine.EventCompleted || e.Type == engine.EventRemoved {
			ended <- e.Lead
		}
	})
	wf, err := eng.CreateWorkflow(ctx, &workflow.Definition{
		Name: "Calls", Entry: "call",
		Nodes: []workflow.Node{
			workflow.CallNode("call", workflow.Config{"callback": map[string]any{
				"outcome": map[string]any{
					"field":  "CallStatus",
					"map":    map[string]any{"completed": "completed", "no-answer": "dnp", "busy": map[string]any{"error": "busy"}},
					"ignore": []string{"ringing", "in-progress"},
				},
				"call_id": "CallSid",
			}}),
			{ID: "done", Type: workflow.Converted},
		},
		Edges: []workflow.Edge{workflow.On("call", "completed", "done")},
	})
	check(err)
	_, err = eng.ActivateWorkflow(ctx, wf.ID)
	check(err)

	mux := http.NewServeMux()
	mux.HandleFunc("POST /callbacks/{step}", d.callback)
	mux.HandleFunc("POST /stop", d.stop)
	post := func(target string, form url.Values) int {
		r := httptest.NewRequest(http.MethodPost, target, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		return w.Code
	}

	ada, err := eng.Enroll(ctx, wf.ID, lead.Contact{PhoneNumber: "+14155552671"})
	check(err)
	callback := <-callbacks
	fmt.Println("ringing:", post(callback, url.Values{"CallStatus": {"ringing"}}))
	fmt.Println("forged:", post(strings.Replace(callback, "sig=", "sig=x", 1), url.Values{"CallStatus": {"completed"}}))
	fmt.Println("unknown:", post(callback, url.Values{"CallStatus": {"lost"}}))
	ada, err = eng.LeadByID(ctx, ada.ID)
	check(err)
	fmt.Println("Ada is", ada.State)
	fmt.Println("completed:", post(callback, url.Values{"CallStatus": {"completed"}}))
	fmt.Println("Ada is", (<-ended).Outcome)

	bob, err := eng.Enroll(ctx, wf.ID, lead.Contact{PhoneNumber: "+14155552672"})
	check(err)
	callback = <-callbacks
	fmt.Println("stop:", post("/stop", url.Values{"From": {"+14155552672"}}))
	bob, err = eng.LeadByID(ctx, bob.ID)
	check(err)
	fmt.Println("Bob is", bob.State)
	fmt.Println("busy:", post(callback, url.Values{"CallStatus": {"busy"}}))
	fmt.Println("Bob is", (<-ended).State)
	fmt.Println("stop, from nobody:", post("/stop", url.Values{}))
	// Output:
	// ringing: 204
	// forged: 403
	// unknown: 422
	// Ada is in_step
	// completed: 204
	// Ada is converted
	// stop: 204
	// Bob is pending_removal
	// busy: 204
	// Bob is removed
	// stop, from nobody: 422
}
