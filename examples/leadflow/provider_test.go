package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/lead"
)

// asked is what the provider is asked to do.
type asked struct {
	StepID         lead.StepID `json:"step_id"`
	Attempt        int         `json:"attempt"`
	IdempotencyKey string      `json:"idempotency_key"`
	CallbackURL    string      `json:"callback_url"`
	Redelivered    bool        `json:"redelivered"`
	Node           struct{ ID string }
	Lead           struct {
		PhoneNumber string `json:"phone_number"`
	}
	at     time.Time
	header http.Header
	body   []byte
	answer chan func(w http.ResponseWriter)
}

// reply answers the webhook.
func (a asked) reply(code int, body string) {
	a.answer <- func(w http.ResponseWriter) {
		w.WriteHeader(code)
		io.WriteString(w, body)
	}
}

// callback reports an outcome to the callback URL, as it came, without a token.
func (a asked) callback(t *testing.T, outcome string) int {
	t.Helper()
	return call(t, "POST", a.CallbackURL, "", fmt.Sprintf(`{"outcome":%q,"data":{"seconds":7}}`, outcome), nil)
}

// provider places calls and sends messages, or so it says. What it is asked to
// do for a person goes to the test, which answers, unless it has said before
// what the answer is.
type provider struct {
	url string

	mu      sync.Mutex
	seen    []asked
	queues  map[string]chan asked // by phone number
	answers map[string]string     // bodies of a 200, by phone number
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	p := &provider{queues: map[string]chan asked{}, answers: map[string]string{}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := asked{at: time.Now(), header: r.Header, answer: make(chan func(http.ResponseWriter), 1)}
		var err error
		if a.body, err = io.ReadAll(r.Body); err == nil {
			err = json.Unmarshal(a.body, &a)
		}
		if err != nil {
			if r.Context().Err() == nil { // the server was not killed
				t.Errorf("provider: %v", err)
			}
			return
		}
		p.mu.Lock()
		p.seen = append(p.seen, a)
		body, known := p.answers[a.Lead.PhoneNumber]
		p.mu.Unlock()
		if known {
			a.reply(200, body)
		} else {
			p.queue(a.Lead.PhoneNumber) <- a
		}
		select {
		case answer := <-a.answer:
			answer(w)
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(server.Close)
	p.url = server.URL
	return p
}

// always has everything for a person answered with 200 from now on.
func (p *provider) always(phone, body string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answers[phone] = body
}

func (p *provider) queue(phone string) chan asked {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.queues[phone] == nil {
		p.queues[phone] = make(chan asked, 100)
	}
	return p.queues[phone]
}

// next waits for what the provider is asked next for a person.
func (p *provider) next(t *testing.T, phone string) asked {
	t.Helper()
	select {
	case a := <-p.queue(phone):
		return a
	case <-limited(t).Done():
		t.Fatalf("the provider is not asked for %s", phone)
		return asked{}
	}
}

// attempts returns the numbers of the attempts at a node, in the order in which
// they were asked for, by phone number.
func (p *provider) attempts(node string) map[string][]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := map[string][]string{}
	for _, a := range p.seen {
		if a.Node.ID == node {
			_, number, _ := strings.Cut(a.IdempotencyKey, "/")
			out[a.Lead.PhoneNumber] = append(out[a.Lead.PhoneNumber], number)
		}
	}
	return out
}
