package console_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// forms returns the forms of a page that are sent by a method.
func (p page) forms(method string) (list []*html.Node) {
	p.each(func(n *html.Node) {
		if n.Data == "form" && n.Type == html.ElementNode && attribute(n, "method") == method {
			list = append(list, n)
		}
	})
	return list
}

// elements returns the elements of a page with a name.
func (p page) elements(names ...string) (list []*html.Node) {
	p.each(func(n *html.Node) {
		if n.Type == html.ElementNode && slices.Contains(names, n.Data) {
			list = append(list, n)
		}
	})
	return list
}

// TestEveryLinkLeadsSomewhere follows every link from the first page on, within the
// console, and looks at each page that it finds.
func TestEveryLinkLeadsSomewhere(t *testing.T) {
	s := newSite(t)
	b := s.as(token)
	seen, todo := map[string]bool{}, append([]string{""}, s.pages...)
	base, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	for len(todo) > 0 {
		path := todo[0]
		todo = todo[1:]
		if seen[path] {
			continue
		}
		seen[path] = true
		if len(seen) > 2000 {
			t.Fatal("the links have no end")
		}
		p := b.get(path)
		if p.status != 200 {
			t.Errorf("%s answers %d", path, p.status)
			continue
		}
		if strings.HasPrefix(p.header.Get("Content-Type"), "application/json") {
			continue
		}
		if !strings.HasPrefix(path, "static/") {
			p.wellMade()
		}
		at, err := base.Parse(p.path)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range p.elements("a", "link", "script") {
			to := attribute(a, "href") + attribute(a, "src")
			u, err := at.Parse(to)
			if err != nil {
				t.Fatalf("%s: %q: %v", path, to, err)
			}
			rest, inside := strings.CutPrefix(u.String(), s.url)
			switch {
			case strings.HasPrefix(to, "#"):
			case inside:
				// Not every way to sort every page.
				if q := u.Query(); q.Get("sort") == "" || strings.Count(path, "sort=") == 0 {
					todo = append(todo, rest)
				}
			case u.Host != base.Host || !strings.HasPrefix(u.Path, "/v1/"):
				t.Errorf("%s leads to %s, outside of the console and the API", path, to)
			}
		}
	}
	if len(seen) < 60 {
		t.Errorf("only %d pages were found", len(seen))
	}
}

// wellMade checks what every page must have.
func (p page) wellMade() {
	p.t.Helper()
	ids := map[string]bool{}
	p.each(func(n *html.Node) {
		if n.Type != html.ElementNode {
			return
		}
		if id := attribute(n, "id"); id != "" {
			if ids[id] {
				p.t.Errorf("%s has the id %s twice", p.path, id)
			}
			ids[id] = true
		}
		for _, a := range n.Attr {
			if strings.HasPrefix(a.Key, "on") || a.Key == "style" {
				p.t.Errorf("%s: <%s %s=%q>, which the policy forbids", p.path, n.Data, a.Key, a.Val)
			}
		}
	})
	for _, n := range p.elements("script", "style") {
		if n.FirstChild != nil {
			p.t.Errorf("%s has an inline <%s>", p.path, n.Data)
		}
	}
	if n := len(p.elements("h1")); n != 1 {
		p.t.Errorf("%s has %d headings of the first order", p.path, n)
	}
	if strings.Contains(p.body, "%!") || strings.Contains(p.body, "ZgotmplZ") || strings.Contains(p.body, "<no value>") {
		p.t.Errorf("%s has a template's fault in it", p.path)
	}
	labels := map[string]bool{}
	for _, n := range p.elements("label") {
		labels[attribute(n, "for")] = true
	}
	for _, n := range p.elements("input", "select", "textarea") {
		if attribute(n, "type") == "hidden" || n.Parent.Data == "label" {
			continue
		}
		if id := attribute(n, "id"); !labels[id] {
			p.t.Errorf("%s: the field %s has no label", p.path, attribute(n, "name"))
		}
	}
	for _, n := range p.elements("input", "textarea", "button", "summary", "label") {
		if described := attribute(n, "aria-describedby"); described != "" && !ids[described] {
			p.t.Errorf("%s: described by %s, which there is not", p.path, described)
		}
	}
}
