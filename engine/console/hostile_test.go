package console_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/console"
	"github.com/leadflow-go/leadflow/engine/webhook"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// mark is in every hostile text, so that it can be found on a page.
const mark = "xyzzy"

// hostile are texts that would be more than text where they are not escaped.
var hostile = []string{
	`<script>window.` + mark + `()</script>`, `"><img src=x onerror=` + mark + `>`, `'"></a><h1>` + mark, `{{.Root}}` + mark, `</script><svg onload=` + mark + `>`,
	`javascript:` + mark, "\u202e" + mark + "\u202c", `<!--` + mark, `&lt;` + mark + `&amp;`, mark + "\x00\x1b[31m\x07", mark + "\xff\xfe", strings.Repeat(mark, 30),
	mark + "\n\r\t</title><style>*{display:none}</style>", `` + mark + "`${1}`", `%s%n%d` + mark, `../../` + mark, `]]>` + mark,
}

// TestHostileTextIsText has hostile text in every field that somebody fills, and looks at
// every page with it.
func TestHostileTextIsText(t *testing.T) {
	for _, text := range hostile {
		hostileWorld(t, text)
	}
}

// hostileWorld puts a text wherever it is taken, and looks at the pages.
func hostileWorld(t *testing.T, text string) {
	t.Helper()
	w := newWorld(t, func(c *console.Config) {
		c.Name = text
		c.Webhooks = func() []webhook.Host {
			return []webhook.Host{{Name: text, Status: text, Failure: text, Failures: 5, InARow: 5, FailedAt: time.Now(), At: time.Now()}}
		}
	})
	w.mu.Lock()
	w.handle = func(_ context.Context, a engine.Attempt) (engine.Result, error) {
		switch a.Number {
		case 1:
			return engine.Result{}, errors.New(text)
		case 2:
			return engine.Result{Outcome: text, CallID: text, Data: map[string]any{text: text}}, nil
		}
		return engine.InFlight(text), nil
	}
	w.mu.Unlock()
	def := &workflow.Definition{
		Name: text, Description: text, Entry: "call", Exits: []workflow.Exit{{Signal: "paid", Outcome: "converted"}},
		Nodes: []workflow.Node{
			{ID: "call", Type: workflow.VoiceCall, Label: text, Retry: &workflow.Retry{MaxAttempts: 3, Delay: workflow.Duration(time.Millisecond)}, RateKey: "k"},
			{ID: "wait", Type: workflow.Time, Label: text, Config: json.RawMessage(`{"signal":"go","duration":"9h"}`)},
			{ID: "won", Type: workflow.Converted, Label: text},
		},
		Edges: []workflow.Edge{workflow.On("call", "default", "wait"), workflow.On("wait", "signal", "won")},
	}
	if wf, err := w.eng.CreateWorkflow(background, def); err == nil {
		_, err = w.eng.ActivateWorkflow(background, wf.ID)
		if err != nil {
			t.Fatal(err)
		}
		w.hostileLeads(wf.ID, text)
	} else if !errors.Is(err, lead.ErrInvalid) {
		t.Fatal(err)
	} else { // as far as a text is taken
		def.Name, def.Description = mark, mark
		for i := range def.Nodes {
			def.Nodes[i].Label = mark
		}
		w.hostileLeads(w.activate(def), text)
	}
}

func (w *world) hostileLeads(wf lead.WorkflowID, text string) {
	w.t.Helper()
	refused := func(err error) {
		w.t.Helper()
		if err != nil && !errors.Is(err, lead.ErrInvalid) && !errors.Is(err, lead.ErrConflict) {
			w.t.Fatal(err)
		}
	}
	contact := lead.Contact{PhoneNumber: "+14155552671", ExternalID: text, Metadata: map[string]any{text: text, "deep": map[string]any{text: []any{text}}}}
	l, err := w.eng.Enroll(background, wf, contact)
	if err != nil {
		refused(err)
		contact.ExternalID = ""
		if l, err = w.eng.Enroll(background, wf, contact); err != nil {
			refused(err)
			l = w.enroll(wf, lead.Contact{PhoneNumber: "+14155552671"})
		}
	}
	w.until(func() bool {
		got, err := w.eng.LeadByID(background, l.ID)
		return err == nil && (got.Node == "wait" || got.State == lead.InStep)
	})
	_, err = w.eng.Hold(background, wf, l.ID, engine.Hold{Reason: text, Actor: text})
	refused(err)
	_, err = w.eng.Signal(background, wf, l.ID, "go", map[string]any{text: text})
	refused(err)
	_, err = w.eng.Suppress(background, engine.Suppress{PhoneNumber: "+14155552672", Reason: text, Actor: text})
	refused(err)
	s, err := w.eng.Suppress(background, engine.Suppress{ExternalID: text, Reason: text, Actor: text})
	refused(err)
	if err == nil {
		_, err = w.eng.Lift(background, s.ID, engine.Reason(text), engine.Actor(text))
		refused(err)
	}
	other := w.enroll(wf, lead.Contact{PhoneNumber: "+14155552673"})
	_, err = w.eng.Remove(background, wf, other.ID, engine.Reason(text), engine.Actor(text))
	refused(err)
	refused(w.eng.SetLimits(background, []workflow.Limit{{InFlight: 5, RateKey: text}}))

	b := w.as(token)
	q := escapeQuery(text)
	found := 0
	for _, path := range []string{
		"", "workflows", "workflows/" + wf.String(), "workflows/" + wf.String() + "/cancel", "leads?workflow=" + wf.String(), "leads?external_id=" + q, "leads?workflow=" + q,
		"leads?phone_number=" + q, "leads?workflow=" + wf.String() + "&node_id=" + q, "leads?workflow=" + wf.String() + "&status=" + q, "leads/" + l.ID.String(), "leads/" + other.ID.String(),
		"leads/" + q, "leads?sort=" + q, "people/+14155552671", "people/+14155552672", "people/" + q, "stop?number=" + q, "suppressions", "suppressions?external_id=" + q,
		"suppressions/" + s.ID.String(), "limits", "audit", "audit?actor=" + q, "audit?from=" + q, "audit?after=" + q, "now", "engines", "webhooks", "zone?next=" + q, "sign-in?next=" + q, q,
		"workflows/" + wf.String() + "/" + q, "?json=" + q, "leads?workflow=" + wf.String() + "&after=" + q, "leads/" + l.ID.String() + "?did=" + q,
	} {
		p := b.get(path)
		if p.status >= 500 {
			w.t.Errorf("%q: %s answers %d", text, path, p.status)
		}
		p.isText(text)
		if strings.Contains(p.text(), mark) {
			found++
		}
	}
	if found < 12 {
		w.t.Errorf("%q is on %d pages only", text, found)
	}
}

// isText fails the test if a page has an element or an attribute that is made of a text.
func (p page) isText(text string) {
	p.t.Helper()
	p.wellMade()
	for _, n := range p.elements("img", "iframe", "object", "embed", "base", "svg", "style", "script", "a", "form", "meta") {
		for _, a := range n.Attr {
			switch a.Key {
			case "href", "src", "action", "xlink:href":
				to := strings.ToLower(strings.TrimSpace(a.Val))
				if !strings.HasPrefix(to, "./") && !strings.HasPrefix(to, "?") && !strings.HasPrefix(to, "/v1/") && !strings.HasPrefix(to, "#") {
					p.t.Errorf("%q: %s has <%s %s=%q>", text, p.path, n.Data, a.Key, a.Val)
				}
			}
		}
		if n.Data == "img" || n.Data == "iframe" || n.Data == "object" || n.Data == "embed" || n.Data == "base" {
			p.t.Errorf("%q: %s has <%s>", text, p.path, n.Data)
		}
	}
}

func escapeQuery(text string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	var b strings.Builder
	for i := range len(text) {
		if c := text[i]; strings.IndexByte(plain, c) >= 0 {
			b.WriteByte(c)
		} else {
			const hex = "0123456789ABCDEF"
			b.WriteString("%" + string(hex[c>>4]) + string(hex[c&15]))
		}
	}
	return b.String()
}

// TestRandomHostileTextIsText makes texts of the pieces of hostile ones.
func TestRandomHostileTextIsText(t *testing.T) {
	pieces := []string{
		"<", ">", `"`, "'", "&", "/", "\\", "script", "svg", " onload=", "=", "{{", "}}", "`", "${", "\x00", "\xff", "\u2028", "\u202e", "é", "]]>", "<!--", "-->", "\n", ";", "#", "?",
		"%", "%00", "javascript:", "//", " ", "😀",
	}
	rapid.Check(t, func(r *rapid.T) {
		part := rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 8)
		text := strings.Join(part.Draw(r, "before"), "") + mark + strings.Join(part.Draw(r, "behind"), "")
		if hostileWorld(t, text); t.Failed() {
			r.Fatalf("%q is not only text", text)
		}
	})
}
