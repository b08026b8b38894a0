package webhook_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
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
