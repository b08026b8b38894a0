package console

import (
	"cmp"
	"encoding/json"
	"math"
	"net/url"
	"slices"
	"strings"
	"time"
)

// table is a list on a page. It can be sorted by each column. What is sorted are the rows
// that the page has; the order of the pages is that of the API.
type table struct {
	Caption string
	JSON    string // the address of the same list in the API, or else here
	Empty   string // what to do if there are no rows
	Columns []column
	Rows    []row
	Next    string // the address of the next page; "" on the last
	First   string // of the first page; "" if this is it
	Partial bool   // there are other pages, so sorting is by this page
}

type column struct {
	Name   string
	Number bool
	Sort   string // the address of the page sorted by this column
	Sorted string // "ascending", "descending" or "none"
}

type row []cell

// cell is one field of a row.
type cell struct {
	Text   string
	To     string // where the text leads; "" for nowhere
	At     moment // shown in place of a Text
	Badge  string // the style of the Text as a badge
	Note   string // in small letters below
	Hidden string // what a link is about, for those who hear the page
	Bar    string // of a share, in percent
	Number bool
	Label  string // the name of its column
	by     key    // to sort by, if that is not the Text
}

// key is what a cell is sorted by.
type key struct {
	set    bool
	number float64
}

func text(s string) cell { return cell{Text: s} }

func link(s, to string) cell { return cell{Text: s, To: to} }

func badge(s string) cell { return cell{Text: strings.ReplaceAll(s, "_", " "), Badge: s} }

func number(n int64) cell {
	return cell{Text: thousands(n), Number: true, by: key{true, float64(n)}}
}

func when(m moment, t time.Time) cell {
	return cell{At: m, by: key{true, float64(t.UnixMilli())}}
}

// newTable returns a table with the columns. Those whose names begin with # have numbers.
func (v *visit) newTable(caption, empty, json string, columns ...string) *table {
	t := &table{Caption: caption, Empty: empty, JSON: json}
	if json == "" {
		t.JSON = v.with("json", caption)
	}
	v.tables = append(v.tables, t)
	for _, name := range columns {
		plain, isNumber := strings.CutPrefix(name, "#")
		t.Columns = append(t.Columns, column{Name: plain, Number: isNumber, Sorted: "none"})
	}
	return t
}

// add appends a row.
func (t *table) add(cells ...cell) {
	for i := range cells {
		cells[i].Label = t.Columns[i].Name
	}
	t.Rows = append(t.Rows, cells)
}

// sort sorts the rows as the request says, by the parameter sort: the name of a column, with a
// minus before it for the opposite order.
func (v *visit) sort(t *table) *table {
	wanted := v.r.URL.Query().Get("sort")
	name, descending := strings.CutPrefix(wanted, "-")
	for i := range t.Columns {
		c := &t.Columns[i]
		if c.Name == "" {
			continue
		}
		to := c.Name
		if c.Name == name && name != "" {
			if c.Sorted = "ascending"; descending {
				c.Sorted = "descending"
			} else {
				to = "-" + to
			}
			slices.SortStableFunc(t.Rows, func(a, b row) int {
				n := compare(&a[i], &b[i])
				if descending {
					n = -n
				}
				return n
			})
		}
		c.Sort = v.with("sort", to)
	}
	return t
}

// compare compares two cells of a column; those without a value come last.
func compare(a, b *cell) int {
	if a.by.set || b.by.set {
		return cmp.Or(-cmp.Compare(btoi(a.by.set), btoi(b.by.set)), cmp.Compare(a.by.number, b.by.number))
	}
	return cmp.Compare(strings.ToLower(a.Text), strings.ToLower(b.Text))
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// with returns this page's address with another value of a parameter; "" leaves it out.
func (v *visit) with(name, value string) string {
	q := v.r.URL.Query()
	q.Del("json")
	q.Del("did") // was said once
	q.Set(name, value)
	if value == "" {
		q.Del(name)
	}
	return "?" + q.Encode()
}

// pages sets the links to other pages. next is the cursor of the next one, "" on the last.
func (v *visit) pages(t *table, next string) {
	if v.r.URL.Query().Get("after") != "" {
		t.First, t.Partial = v.with("after", ""), true
	}
	if next != "" {
		t.Next, t.Partial = v.with("after", next), true
	}
}

// query returns the parameters of this page that the API knows by the same names.
func (v *visit) query(names ...string) url.Values {
	q := url.Values{}
	for _, name := range names {
		if value := v.r.URL.Query().Get(name); value != "" {
			q.Set(name, value)
		}
	}
	return q
}

// tableJSON answers with a table of this page as JSON: an object with an array data, in
// which each row is an object with a field for each column.
func (v *visit) tableJSON(caption string) error {
	for _, t := range v.tables {
		if t.Caption != caption {
			continue
		}
		data := []map[string]any{}
		for _, r := range t.Rows {
			fields := map[string]any{}
			for i, c := range r {
				fields[t.Columns[i].Name] = c.value()
			}
			data = append(data, fields)
		}
		text, err := json.Marshal(map[string]any{"data": data})
		if err != nil {
			return err
		}
		v.w.Header().Set("Content-Type", "application/json")
		_, _ = v.w.Write(text) // a browser that is gone
		return nil
	}
	return errNoPage
}

// value is what a cell says, for programs.
func (c *cell) value() any {
	switch {
	case c.At.Set():
		return c.At.ISO
	case c.Number && c.by.set && c.by.number == math.Trunc(c.by.number):
		return int64(c.by.number)
	case c.Note != "" && c.Text != "":
		return c.Text + " (" + c.Note + ")"
	}
	return c.Text
}
