package webhook_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/webhook"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// A handler asks a program that dials.
func ExampleNew() {
	dialler := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var call struct {
			Lead struct {
				PhoneNumber string `json:"phone_number"`
			} `json:"lead"`
		}
		if err := json.NewDecoder(r.Body).Decode(&call); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Println("dialling", call.Lead.PhoneNumber)
		io.WriteString(w, `{"outcome":"dnp"}`)
	}))
	defer dialler.Close()

	h, err := webhook.New(webhook.Config{
		CallbackURL: func(step lead.StepID) string {
			return "https://leads.example.com/v1/steps/" + step.String() + "/complete"
		},
		Allow: []string{dialler.URL + "/"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	// An engine does this, for which the handler is configured.
	res, err := h.Handle(context.Background(), engine.Attempt{
		Node:    workflow.CallNode("call", workflow.Config{"url": dialler.URL}),
		Contact: lead.Contact{PhoneNumber: "+14155552671"},
	})
	fmt.Println(res.Outcome, err)
	// Output:
	// dialling +14155552671
	// dnp <nil>
}

// A receiver checks who asks.
func ExampleVerify() {
	secret := []byte("shared with leadflow")
	receiver := func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if err := webhook.Verify(r.Header, body, secret, time.Now()); err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		w.WriteHeader(http.StatusAccepted)
	}
	w := httptest.NewRecorder()
	receiver(w, httptest.NewRequest(http.MethodPost, "/call", nil))
	fmt.Print(w.Code, " ", w.Body)
	// Output: 401 webhook: no valid signature
}

// A program's own route for the callbacks of a provider that sends forms, such as
// Twilio. The callback URL carries a signature, so the route needs no token.
func ExampleParseCallback() {
	key := []byte("a key of sixteen bytes or more")
	callback := workflow.Config{
		"outcome": map[string]any{
			"field":  "CallStatus",
			"map":    map[string]any{"completed": "completed", "no-answer": "dnp", "busy": map[string]any{"error": "busy"}},
			"ignore": []string{"ringing", "in-progress"},
		},
		"call_id": "CallSid",
		"data":    []string{"CallDuration"},
	}
	node := workflow.CallNode("call", workflow.Config{"url": "https://dialer.example.com/call", "callback": callback})
	receive := func(w http.ResponseWriter, r *http.Request) {
		step, err := lead.ParseStepID(r.PathValue("step"))
		if err == nil {
			err = webhook.VerifyCallback(key, step, r.URL.Query().Get("sig"))
		}
		if err != nil {
			http.Error(w, "no such callback", http.StatusUnauthorized)
			return
		}
		if err := r.ParseForm(); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		// A program has the node from engine.StepNode(r.Context(), step).
		out, err := webhook.ParseCallback(node, r.PostForm)
		switch {
		case errors.Is(err, webhook.ErrIgnored):
			w.WriteHeader(http.StatusNoContent)
			return
		case err != nil:
			http.Error(w, err.Error(), http.StatusUnprocessableEntity)
			return
		}
		// And gives the outcome to engine.CompleteStep(r.Context(), step, out).
		fmt.Fprint(w, out.Outcome, out.Error, " ", out.CallID)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /callbacks/{step}", receive)

	const step = "step_01kaqf5y8sf3x8zq0h0m9d2c7r"
	id, err := lead.ParseStepID(step)
	if err != nil {
		fmt.Println(err)
		return
	}
	target := "/callbacks/" + step + "?sig=" + webhook.SignCallback(key, id)
	for _, form := range []string{"CallStatus=ringing&CallSid=CA1", "CallStatus=no-answer&CallSid=CA1", "CallStatus=lost"} {
		r := httptest.NewRequest(http.MethodPost, target, strings.NewReader(form))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		fmt.Println(strings.TrimSpace(fmt.Sprint(w.Code, " ", w.Body)))
	}
	// Output:
	// 204
	// 200 dnp CA1
	// 422 lead: invalid callback: CallStatus: unknown value "lost"; the node call maps busy, completed, no-answer and ignores ringing, in-progress
}

// The test of a receiver signs a request as a Handler does.
func ExampleSign() {
	secret, body := []byte("shared with leadflow"), []byte(`{"step_id":"step_1"}`)
	r := httptest.NewRequest(http.MethodPost, "/call", bytes.NewReader(body))
	webhook.Sign(r.Header, body, secret, time.Now())
	fmt.Println(webhook.Verify(r.Header, body, secret, time.Now()))
	// Output: <nil>
}
