package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// routes are those of the contract, and the answers that the README's examples
// of them get.
var routes = []struct {
	method, path string
	codes        []int
}{
	{"GET", "/healthz", []int{200}},
	{"POST", "/workflows", []int{201}},
	{"GET", "/workflows", []int{200}},
	{"GET", "/workflows/{id}", []int{200}},
	{"PATCH", "/workflows/{id}", []int{200}},
	{"GET", "/workflows/{id}/nodes", []int{200}},
	{"GET", "/workflows/{id}/edges", []int{200}},
	{"GET", "/workflows/{id}/diagram", []int{200}},
	{"POST", "/workflows/{id}/activate", []int{200}},
	{"POST", "/workflows/{id}/pause", []int{200}},
	{"POST", "/workflows/{id}/resume", []int{200}},
	{"POST", "/workflows/{id}/cancel", []int{200}},
	{"POST", "/workflows/{id}/duplicate", []int{201}},
	{"DELETE", "/workflows/{id}", []int{200}},
	{"POST", "/workflows/{id}/leads", []int{201, 200}}, // one, and a file
	{"GET", "/workflows/{id}/leads", []int{200}},
	{"GET", "/workflows/{id}/leads/{id}", []int{200}},
	{"GET", "/workflows/{id}/leads/{id}/history", []int{200}},
	{"DELETE", "/workflows/{id}/leads/{id}", []int{200, 202}}, // a lead that waits, and one in a step
	{"POST", "/steps/{id}/complete", []int{200}},
	{"GET", "/calls", []int{200}},

	{"POST", "/suppressions", []int{201, 200}}, // one, and a file
	{"GET", "/suppressions", []int{200}},
	{"GET", "/suppressions/{id}", []int{200}},
	{"DELETE", "/suppressions/{id}", []int{200}},
	{"GET", "/contacts/{id}/leads", []int{200}},
	{"POST", "/contacts/{id}/signals", []int{200}},
	{"DELETE", "/contacts/{id}/leads", []int{200}},
	{"GET", "/contacts/{id}/receipt", []int{200}},
	{"GET", "/audit", []int{200}},
	{"POST", "/workflows/{id}/leads/{id}/hold", []int{200}},
	{"GET", "/workflows/{id}/leads/{id}/explanation", []int{200}},
	{"POST", "/workflows/{id}/leads/{id}/release", []int{200}},
	{"POST", "/workflows/{id}/leads/{id}/signals", []int{200}},
	{"PUT", "/limits", []int{200}},
	{"GET", "/limits", []int{200}},
}

// TestREADMEsExamplesRun runs every sh block of the README, in order, in one
// shell with the real curl, against the real binary.
func TestREADMEsExamplesRun(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"curl", "sh"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("this test runs the README's examples and needs %s to be installed: %v", tool, err)
		}
	}
	s := startServer(t, t.TempDir()+"/leads.db")
	target, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	// In between, something that sees what is asked and answered.
	var mu sync.Mutex
	seen := map[string]int{}
	ids := regexp.MustCompile(`(wfl|wlead|step|sup)_[0-9a-z]{26}|\+\d{11}`)
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ModifyResponse: func(res *http.Response) error {
			mu.Lock()
			defer mu.Unlock()
			path := ids.ReplaceAllString(strings.TrimPrefix(res.Request.URL.Path, "/v1"), "{id}")
			seen[fmt.Sprintf("%s %s %d", res.Request.Method, path, res.StatusCode)]++
			return nil
		},
	}
	front := httptest.NewServer(proxy)
	defer front.Close()

	// The program that the README's webhooks ask.
	program := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotImplemented)
	}))
	defer program.Close()

	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	script := "set -eu\n"
	for _, block := range strings.Split(string(text), "```sh\n")[1:] {
		body, _, ok := strings.Cut(block, "```")
		if !ok {
			t.Fatal("a block does not end")
		}
		script += strings.ReplaceAll(body, "http://127.0.0.1:9000", program.URL)
	}
	cmd := exec.CommandContext(limited(t), "sh", "-x", "-c", script)
	cmd.Dir = t.TempDir()
	cmd.Env = environ("LEADFLOW_SERVER="+front.URL, "LEADFLOW_TOKEN="+token)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		`"leads_enrolled":2,"rejected":1`, "flowchart TD", `"status":"pending_removal"`, `"status":"removed"`, "Trial follow-up (Copy)",
		`"call_id":"call-4711"`, `"lead_status":"enrolled"`,
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("nothing was answered with %s", want)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	for _, r := range routes {
		for _, code := range r.codes {
			name := fmt.Sprintf("%s %s %d", r.method, r.path, code)
			if seen[name] == 0 {
				t.Errorf("no example of %s", name)
			}
			delete(seen, name)
		}
	}
	if len(seen) > 0 {
		t.Errorf("other answers: %v\n%s", seen, out)
	}
}
