package httpapi_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/httpapi"
	"github.com/leadflow-go/leadflow/lead"
)

var (
	soak = flag.Duration("httpapi.soak", 0, "how long the clients of TestManyClients go on; 0 for a short dose")
	seed = flag.Uint64("httpapi.seed", uint64(time.Now().UnixNano()), "seed of TestManyClients")
)

// TestManyClients has many clients enroll, remove, complete and list at the
// same time. Nothing is answered with a 5xx, and what was answered holds: a
// removed lead stays removed and starts no step.
func TestManyClients(t *testing.T) {
	const clients = 64
	t.Logf("seed %d", *seed)
	open := make(chan lead.StepID, 10_000)
	removed := sync.Map{} // lead.ID → since when it must be silent
	loud := atomic.Int64{}
	s := newServer(t, httpapi.Config{}, func(_ context.Context, a engine.Attempt) (engine.Result, error) {
		if _, silent := removed.Load(a.LeadID.String()); silent {
			loud.Add(1)
		}
		select {
		case open <- a.StepID:
			return engine.InFlight(""), nil
		default:
			return engine.Result{Outcome: "dnp"}, nil
		}
	})
	s.check = nil // validating takes a lock; the other tests have seen these answers
	workflows := []string{s.active(callWaitText), s.active(onlyWait), s.draft(callWaitText)}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	rounds := 25
	if *soak > 0 {
		rounds = 1 << 30
		time.AfterFunc(*soak, cancel)
	}
	var answers [600]atomic.Int64
	var clientsDone sync.WaitGroup
	for n := range clients {
		clientsDone.Go(func() {
			c := &client{s: s, r: rand.New(rand.NewPCG(*seed, uint64(n))), answers: &answers, removed: &removed}
			for range rounds {
				if ctx.Err() != nil {
					return
				}
				c.act(n, workflows[c.r.IntN(len(workflows))], open)
			}
		})
	}
	clientsDone.Wait()
	if n := loud.Load(); n != 0 {
		t.Errorf("%d steps of removed leads have started", n)
	}
	var all []string
	for status := range answers {
		if n := answers[status].Load(); n > 0 {
			all = append(all, fmt.Sprintf("%d: %d", status, n))
			if status >= 500 {
				t.Errorf("%d answers were %d", n, status)
			}
		}
	}
	t.Log(strings.Join(all, ", "))
	removed.Range(func(id, path any) bool {
		if got := s.status(path.(string)); got != "removed" {
			t.Errorf("%v was answered removed, and is %s", id, got)
		}
		return true
	})
	s.get("/healthz").expect(200)
}

// client is one of many.
type client struct {
	s       *server
	r       *rand.Rand
	answers *[600]atomic.Int64
	removed *sync.Map
	leads   []string
}

func (c *client) send(r request) answer {
	a := c.s.send(r)
	c.answers[a.status].Add(1)
	return a
}

func (c *client) act(n int, workflow string, open <-chan lead.StepID) {
	json := func(method, path, body string) request {
		return request{method: method, path: path, kind: "application/json", body: strings.NewReader(body)}
	}
	switch c.r.IntN(8) {
	case 0, 1:
		// Few numbers, so that clients get in each other's way.
		body := fmt.Sprintf(`{"phone_number":"+1415555%04d"}`, c.r.IntN(5000))
		if a := c.send(json("POST", workflow+"/leads", body)); a.status == 201 {
			c.leads = append(c.leads, workflow+"/leads/"+a.object()["id"].(string))
		}
	case 2:
		file := fmt.Sprintf("phone_number\n+1415556%04d\n+1415557%04d\nx\n", c.r.IntN(5000), c.r.IntN(5000))
		c.send(request{method: "POST", path: workflow + "/leads", kind: "text/csv", body: strings.NewReader(file)})
	case 3:
		if len(c.leads) == 0 {
			return
		}
		path := c.leads[c.r.IntN(len(c.leads))]
		query := []string{"", "?wait=1ms", "?skip_retries=1", "?wait=5ms&reason=x"}[c.r.IntN(4)]
		if a := c.send(request{method: "DELETE", path: path + query}); a.status == 200 {
			c.removed.Store(a.object()["id"].(string), path)
		}
	case 4:
		select {
		case step := <-open:
			c.send(json("POST", "/v1/steps/"+step.String()+"/complete", `{"outcome":"completed"}`))
			c.send(json("POST", "/v1/steps/"+step.String()+"/complete", `{"outcome":"dnp"}`))
		default:
		}
	case 5:
		page := c.send(request{method: "GET", path: workflow + "/leads?limit=5&status=pending_removal"})
		for _, e := range page.object()["data"].([]any) {
			c.send(request{method: "GET", path: workflow + "/leads/" + e.(map[string]any)["id"].(string) + "/history"})
		}
	case 6:
		c.send(request{method: "GET", path: "/v1/calls?limit=10"})
		c.send(request{method: "GET", path: workflow})
	case 7:
		if n%16 == 0 {
			c.send(json("POST", workflow+"/"+[]string{"pause", "resume", "activate"}[c.r.IntN(3)], `{}`))
		}
		c.s.send(request{method: "GET", path: "/healthz"}) // 503 where a commit takes seconds, and so not counted
	}
}
