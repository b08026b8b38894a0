package webhook

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestHostsSayHowTheyHaveAnswered(t *testing.T) {
	var status int
	r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		if status == http.StatusOK {
			fmt.Fprint(w, `{"outcome":"completed"}`)
		}
	})
	h := newTest(t, Config{})
	ask := func(answer int) {
		status = answer
		_, _ = h.Handle(context.Background(), attemptAt(t, r.URL+"/secret?token=1"))
	}
	host := func() Host {
		t.Helper()
		list := h.Hosts()
		if len(list) != 1 || list[0].Name != r.URL {
			t.Fatalf("the hosts are %+v, want %s", list, r.URL)
		}
		return list[0]
	}
	ask(http.StatusOK)
	if got := host(); got.Requests != 1 || got.Failures != 0 || got.Status != "200 OK" || got.At.IsZero() || got.Took <= 0 || got.Failure != "" {
		t.Errorf("after a success: %+v", got)
	}
	ask(http.StatusServiceUnavailable)
	ask(http.StatusNotFound)
	if got := host(); got.Requests != 3 || got.Failures != 2 || got.InARow != 2 || got.Status != "404 Not Found" || !strings.Contains(got.Failure, "404") || got.FailedAt.IsZero() {
		t.Errorf("after two failures: %+v", got)
	}
	ask(http.StatusAccepted)
	if got := host(); got.Failures != 2 || got.InARow != 0 || got.Failure == "" || got.Status != "202 Accepted" {
		t.Errorf("after another success: %+v", got)
	}
	r.Close()
	ask(http.StatusOK)
	if got := host(); got.Status != "no answer" || got.InARow != 1 || strings.Contains(got.Failure, "token=1") {
		t.Errorf("after it was gone: %+v", got)
	}
}

func TestTheHostsThatWereAskedLongestAgoAreForgotten(t *testing.T) {
	var h hosts
	begun := time.Now()
	for i := range 2 * mostHosts {
		h.note(mustURL(t, fmt.Sprintf("http://h%d.test/x", i)), begun.Add(time.Duration(i)*time.Second), "200 OK", nil)
	}
	if len(h.seen) != mostHosts || h.seen["http://h399.test:80"] == nil || h.seen["http://h0.test:80"] != nil {
		t.Errorf("%d hosts are kept", len(h.seen))
	}
}

func mustURL(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
