package console

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"
)

//go:embed templates/*.html
var templateFiles embed.FS

// frame is what a template is given.
type frame struct {
	*visit
	Title string
	Live  int // how many milliseconds later the script fetches the page again; 0 for never
	Page  any // what the page itself shows
}

// templates returns the templates of the pages by name, each with what all have in
// common.
var templates = sync.OnceValues(func() (map[string]*template.Template, error) {
	base, err := template.New("").Funcs(template.FuncMap{
		"thousands": thousands, "plural": plural, "count": func(n int) string { return thousands(int64(n)) },
		"words": func(name string) string { return strings.ReplaceAll(name, "_", " ") },
	}).ParseFS(templateFiles, "templates/layout.html", "templates/parts.html")
	if err != nil {
		return nil, err
	}
	names, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		return nil, err
	}
	pages := map[string]*template.Template{}
	for _, name := range names {
		page, err := base.Clone()
		if err != nil {
			return nil, err
		}
		if _, err := page.ParseFS(templateFiles, name); err != nil {
			return nil, err
		}
		pages[strings.TrimSuffix(path.Base(name), ".html")] = page
	}
	return pages, nil
})

// render answers with a page.
func (v *visit) render(name, title string, page any) error { return v.renderLive(name, title, page, 0) }

// How often the script fetches a page again, in milliseconds.
const (
	liveOften  = 1000 // while somebody waits for something
	liveSeldom = 4000
)

// renderLive answers with a page that the script keeps up to date.
func (v *visit) renderLive(name, title string, page any, every int) error {
	if caption := v.r.URL.Query().Get("json"); caption != "" && v.status == 0 {
		return v.tableJSON(caption)
	}
	pages, err := templates()
	if err != nil {
		return err
	}
	t := pages[name]
	if t == nil {
		return fmt.Errorf("console: no template %s", name)
	}
	var text bytes.Buffer // so that half a page is never sent
	if err := t.ExecuteTemplate(&text, "layout", frame{visit: v, Title: title, Live: every, Page: page}); err != nil {
		return fmt.Errorf("console: %s: %w", name, err)
	}
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if v.status != 0 {
		v.w.WriteHeader(v.status)
	}
	if v.r.Method != http.MethodHead {
		_, _ = v.w.Write(text.Bytes()) // a browser that is gone
	}
	return nil
}

// navItem is a link to a page that is always there.
type navItem struct {
	Text, To string
	Here     bool // this page, or one below it
}

// Nav returns the links to the main pages.
func (v *visit) Nav() []navItem {
	here := strings.TrimPrefix(v.r.URL.Path, "/")
	first, _, _ := strings.Cut(here, "/")
	var list []navItem
	for _, item := range []struct{ text, to, also string }{
		{"Overview", "", ""}, {"Stop", "stop", "people"}, {"Workflows", "workflows", ""}, {"Leads", "leads", ""}, {"Now and next", "now", ""},
		{"Suppressions", "suppressions", ""}, {"Limits", "limits", ""}, {"Audit", "audit", ""}, {"Engines", "engines", ""}, {"Webhooks", "webhooks", ""},
	} {
		if item.to == "webhooks" && v.h.config.Webhooks == nil {
			continue
		}
		list = append(list, navItem{item.text, v.To(item.to), first == item.to || item.also != "" && first == item.also})
	}
	return list
}

// Name is what the installation is called.
func (v *visit) Name() string { return v.h.config.Name }

// SignsIn reports whether people sign in and out here.
func (v *visit) SignsIn() bool { return v.h.config.SignIn != nil }

// Zone is the zone in which times are shown.
func (v *visit) Zone() string { return v.zone.String() }

// Now is the server's time, by which clocks run in the browser.
func (v *visit) Now() string { return v.now.UTC().Format(time.RFC3339Nano) }

// Here is the address of this page, from the console's root; of the page on which one
// chooses a zone it is that to which it goes back.
func (v *visit) Here() string {
	if v.r.URL.Path == "/zone" {
		return v.r.URL.Query().Get("next")
	}
	return v.here()
}

// Docs returns the address of the API's documentation, or "".
func (v *visit) Docs() string { return v.ToAPI(nil, "docs") }
