package main

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/parser"

	"github.com/leadflow-go/leadflow/engine/workflow"
)

// reads is what the conditions of a node read: each name, in the order in which they are
// first read, with the values that it is compared with for equality.
type reads struct {
	source string // as it stands in the workflow, on one line
	names  []readName
}

// readName is a name such as metadata.plan, steps.call.outcome or
// steps.call.data.score.
type readName struct {
	path   []string
	values []any
}

// readsOf returns what the conditions and the waits of a workflow read, by the
// node's id. The workflow is valid.
func readsOf(def *workflow.Definition) map[string]*reads {
	all := map[string]*reads{}
	for _, n := range def.Nodes {
		var config struct {
			Expression string               `json:"expression"`
			Until      string               `json:"until"`
			Said       string               `json:"said"`
			Conditions []workflow.Condition `json:"conditions"`
		}
		if n.Type != workflow.Conditional && n.Type != workflow.Time || json.Unmarshal(n.Config, &config) != nil {
			continue
		}
		r := &reads{source: strings.Join(strings.Fields(config.Expression+config.Until+config.Said), " ")}
		if tree, err := parser.Parse(config.Expression + config.Until + config.Said); err == nil { // one of them at most
			ast.Walk(&tree.Node, r)
			if config.Said != "" {
				r.add(memberPath(tree.Node), "tomorrow 4 PM")
			}
		}
		for _, c := range config.Conditions {
			r.source += c.Field + " " + string(c.Operator) + "; "
			switch path := fieldPath(c.Field); c.Operator {
			case workflow.Equals, workflow.NotEquals:
				r.add(path, c.Value)
			default:
				r.add(path)
			}
		}
		r.source = strings.TrimSuffix(r.source, "; ")
		if r.source != "" { // a wait of so long reads nothing
			all[n.ID] = r
		}
	}
	return all
}

// add adds a path if it leads to a value, and not only to an object.
func (r *reads) add(path []string, values ...any) {
	most := 2
	switch {
	case len(path) < 2:
		return
	case path[0] == "metadata" || path[0] == "lead":
	case path[0] != "steps" || len(path) < 3:
		return
	case path[2] == "data":
		most = 4
	default:
		most = 3
	}
	if len(path) < most {
		return
	}
	if len(path) > most {
		path, values = path[:most], nil // they are compared with a part of what stands there
	}
	i := slices.IndexFunc(r.names, func(n readName) bool { return slices.Equal(n.path, path) })
	if i < 0 {
		i = len(r.names)
		r.names = append(r.names, readName{path: path})
	}
	for _, v := range values {
		if v != nil && !slices.ContainsFunc(r.names[i].values, func(had any) bool { return sameJSON(had, v) }) {
			r.names[i].values = append(r.names[i].values, v)
		}
	}
}

func sameJSON(a, b any) bool {
	one, _ := json.Marshal(a)
	two, _ := json.Marshal(b)
	return string(one) == string(two)
}

// Visit implements ast.Visitor.
func (r *reads) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.MemberNode:
		r.add(memberPath(n))
	case *ast.BinaryNode:
		switch n.Operator {
		case "==", "!=":
			r.add(memberPath(n.Left), literals(n.Right)...)
			r.add(memberPath(n.Right), literals(n.Left)...)
		case "in":
			if list, ok := n.Right.(*ast.ArrayNode); ok {
				for _, element := range list.Nodes {
					r.add(memberPath(n.Left), literals(element)...)
				}
			}
		}
	}
}

// memberPath is the names of a path such as metadata.a?.b, or nil.
func memberPath(node ast.Node) []string {
	switch n := node.(type) {
	case *ast.ChainNode:
		return memberPath(n.Node)
	case *ast.IdentifierNode:
		return []string{n.Value}
	case *ast.MemberNode:
		path := memberPath(n.Node)
		if name, ok := n.Property.(*ast.StringNode); ok && path != nil {
			return append(path, name.Value)
		}
	}
	return nil
}

func literals(node ast.Node) []any {
	switch n := node.(type) {
	case *ast.StringNode:
		return []any{n.Value}
	case *ast.IntegerNode:
		return []any{n.Value}
	case *ast.FloatNode:
		return []any{n.Value}
	case *ast.BoolNode:
		return []any{n.Value}
	}
	return nil
}

var fieldPart = regexp.MustCompile(`\["(?:[^"\\]|\\.)*"\]|[^.\["\]]+`)

// fieldPath is the names of a condition's field, such as metadata["a"].b.
func fieldPath(field string) []string {
	parts := fieldPart.FindAllString(field, -1)
	for i, p := range parts {
		if quoted, ok := strings.CutPrefix(p, "["); ok {
			parts[i], _ = strconv.Unquote(strings.TrimSuffix(quoted, "]"))
		}
	}
	if len(parts) == 1 {
		parts = append([]string{"lead"}, parts...)
	}
	return parts
}

var plainName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// String is the path as an expression has it.
func (n *readName) String() string {
	text := n.path[0]
	for _, name := range n.path[1:] {
		if plainName.MatchString(name) {
			text += "." + name
		} else {
			text += "[" + strconv.Quote(name) + "]"
		}
	}
	return text
}

// place is where the --answers file has the values, or "" if it has none.
func (n *readName) place(a *answers) string {
	if n.path[0] == "metadata" {
		return `"metadata"`
	}
	if n.path[0] != "steps" {
		return ""
	}
	if _, ok := a.Nodes[n.path[1]]; !ok {
		return ""
	}
	switch n.path[2] {
	case "data":
		return `"nodes.` + n.path[1] + `.data"`
	case "outcome":
		return `"nodes.` + n.path[1] + `.outcomes"`
	}
	return ""
}

// advice says what a node reads, and where its values come from.
func (r *reads) advice(a *answers) string {
	var names, places []string
	for i := range r.names {
		names = append(names, printable(r.names[i].String()))
		if place := r.names[i].place(a); place != "" && !slices.Contains(places, place) {
			places = append(places, place)
		}
	}
	switch {
	case len(names) == 0:
		return "it is " + printable(r.source)
	case len(places) == 0:
		return "it reads " + listed(names)
	}
	return "it reads " + listed(names) + ": give values under " + listed(places) + " in the --answers file"
}

func listed(names []string) string {
	last := len(names) - 1
	if last < 1 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:last], "; ") + " and " + names[last]
}

// readByName is every name that the workflow's conditions, waits and rate keys read, each
// once and with all of its values.
func readByName(def *workflow.Definition) []readName {
	all := &reads{}
	byNode := readsOf(def)
	for _, id := range slices.Sorted(maps.Keys(byNode)) {
		for _, n := range byNode[id].names {
			all.add(n.path, n.values...)
		}
	}
	for _, n := range def.Nodes {
		if tree, err := parser.Parse(n.RateKey); err == nil && n.RateKey != "" {
			keys := &reads{} // a plain name reads nothing
			ast.Walk(&tree.Node, keys)
			for _, name := range keys.names {
				all.add(name.path, name.values...)
			}
		}
	}
	return all.names
}
