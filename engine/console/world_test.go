package console_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/console"
	"github.com/leadflow-go/leadflow/engine/signin"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store/memory"
)

const token, readToken = "operators-token", "readers-token"

var background = context.Background()

// world is an engine with a console behind a server on loopback, mounted below a path.
type world struct {
	t   *testing.T
	eng *engine.Engine
	url string // of the console's root, with a slash at its end
	log *strings.Builder

	mu     sync.Mutex
	handle engine.HandlerFunc // nil succeeds immediately
}

const mounted = "/ops/console"

func newWorld(t *testing.T, change ...func(*console.Config)) *world {
	t.Helper()
	w := &world{t: t, log: &strings.Builder{}}
	each := engine.HandlerFunc(func(ctx context.Context, a engine.Attempt) (engine.Result, error) {
		w.mu.Lock()
		handle := w.handle
		w.mu.Unlock()
		if handle == nil {
			return engine.Result{}, nil
		}
		return handle(ctx, a)
	})
	var err error
	w.eng, err = engine.New(memory.New(), engine.Config{
		Handlers: map[string]engine.Handler{"voice_call": each, "message": each, "application": each}, Region: "US",
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.eng.Start(background); err != nil {
		t.Fatal(err)
	}
	keeper, err := signin.New(signin.Config{Token: token, ReadToken: readToken})
	if err != nil {
		t.Fatal(err)
	}
	c := console.Config{SignIn: keeper, API: "/v1", Logger: slog.New(slog.NewTextHandler(&locked{w: w.log}, nil))}
	for _, f := range change {
		f(&c)
	}
	pages, err := console.New(w.eng, c)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle(mounted+"/", http.StripPrefix(mounted, pages))
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		server.Close()
		ctx, cancel := context.WithTimeout(background, 10*time.Second)
		defer cancel()
		if err := w.eng.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
	w.url = server.URL + mounted + "/"
	return w
}

type locked struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// browser is a client that keeps cookies and runs no script.
type browser struct {
	*world
	client *http.Client
}

func (w *world) browser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return &browser{w, &http.Client{Jar: jar}}
}

// as is a browser whose person has signed in with a token.
func (w *world) as(token string) *browser {
	w.t.Helper()
	b := w.browser()
	if p := b.post("sign-in", url.Values{"token": {token}, "name": {"Ada"}}); p.status != 200 {
		w.t.Fatalf("sign-in: %d %s", p.status, p.text())
	}
	return b
}

// page is what a browser got, after redirects.
type page struct {
	t      *testing.T
	status int
	path   string // where it was found, from the console's root
	header http.Header
	body   string
	doc    *html.Node
}

func (b *browser) do(r *http.Request) page {
	b.t.Helper()
	res, err := b.client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	doc, err := html.Parse(strings.NewReader(string(body)))
	if err != nil {
		b.t.Fatal(err)
	}
	path := strings.TrimPrefix(res.Request.URL.String(), b.url)
	return page{b.t, res.StatusCode, path, res.Header, string(body), doc}
}

func (b *browser) get(path string) page {
	b.t.Helper()
	r, err := http.NewRequest("GET", b.url+path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.do(r)
}

func (b *browser) post(path string, form url.Values) page {
	b.t.Helper()
	r, err := http.NewRequest("POST", b.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.do(r)
}

func (p page) expect(status int) page {
	p.t.Helper()
	if p.status != status {
		p.t.Fatalf("%s answered %d, want %d: %s", p.path, p.status, status, p.text())
	}
	return p
}

// text is what a reader sees, with single spaces.
func (p page) text() string {
	var b strings.Builder
	p.each(func(n *html.Node) {
		if n.Type == html.TextNode && n.Parent.Data != "script" && n.Parent.Data != "style" && n.Parent.Data != "noscript" {
			b.WriteString(n.Data + " ")
		}
	})
	return strings.Join(strings.Fields(b.String()), " ")
}

// each calls f with every node of the page.
func (p page) each(f func(*html.Node)) {
	for n := range p.doc.Descendants() {
		f(n)
	}
}

// has fails the test unless a reader sees all texts.
func (p page) has(texts ...string) page {
	p.t.Helper()
	seen := p.text()
	for _, want := range texts {
		if !strings.Contains(seen, want) {
			p.t.Errorf("%s lacks %q:\n%s", p.path, want, seen)
		}
	}
	return p
}

// lacks fails the test if a reader sees one of the texts.
func (p page) lacks(texts ...string) page {
	p.t.Helper()
	seen := p.text()
	for _, bad := range texts {
		if strings.Contains(seen, bad) {
			p.t.Errorf("%s has %q:\n%s", p.path, bad, seen)
		}
	}
	return p
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// callWaitText is the workflow of most tests: a call, two days, a message.
func (w *world) callWaitText() lead.WorkflowID {
	w.t.Helper()
	return w.activate(&workflow.Definition{
		Name: "Nurture", Entry: "call",
		Nodes: []workflow.Node{
			{ID: "call", Type: workflow.VoiceCall, Label: "First call"}, workflow.Wait("wait", 48*time.Hour),
			{ID: "text", Type: workflow.Message, Label: "Good-bye"}, workflow.End("done", workflow.Converted),
		},
		Edges: []workflow.Edge{workflow.On("call", "completed", "wait"), workflow.To("wait", "text"), workflow.On("text", "success", "done")},
	})
}

func (w *world) activate(def *workflow.Definition) lead.WorkflowID {
	w.t.Helper()
	wf, err := w.eng.CreateWorkflow(background, def)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.eng.ActivateWorkflow(background, wf.ID); err != nil {
		w.t.Fatal(err)
	}
	return wf.ID
}

func (w *world) enroll(wf lead.WorkflowID, c lead.Contact) lead.Lead {
	w.t.Helper()
	l, err := w.eng.Enroll(background, wf, c)
	if err != nil {
		w.t.Fatal(err)
	}
	return l
}

// until waits until something is so.
func (w *world) until(so func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !so(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatal("it did not happen within 10 s")
		}
	}
}

// at waits until a lead is at a node and its step is in one of the states.
func (w *world) at(l lead.Lead, node string, states ...lead.State) {
	w.t.Helper()
	w.until(func() bool {
		got, err := w.eng.Lead(background, l.WorkflowID, l.ID)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, s := range states {
			if got.Node == node && got.State == s {
				return true
			}
		}
		return false
	})
}

// inFlight makes handlers take a step and wait for a callback. It returns a function that
// gives the outcome of a lead's step in flight.
func (w *world) inFlight() (hangUp func(l lead.Lead)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.handle = func(context.Context, engine.Attempt) (engine.Result, error) { return engine.InFlight("call-1"), nil }
	return func(l lead.Lead) {
		w.t.Helper()
		steps, err := w.eng.History(background, l.WorkflowID, l.ID)
		if err != nil {
			w.t.Fatal(err)
		}
		if _, err := w.eng.CompleteStep(background, steps[len(steps)-1].ID, engine.Callback{Outcome: "completed"}); err != nil {
			w.t.Fatal(err)
		}
	}
}
