package workflow

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/file"
)

// allowedBuiltins are the functions of the expression language that an
// expression may call. A condition gives true or false and a wait gives a time,
// so that the ones that build large values are left out: with them forty
// characters are enough to fill the memory of the machine.
var allowedBuiltins = []string{
	"all", "none", "any", "one", "filter", "find", "findIndex", "findLast", "findLastIndex", "count", "sum",
	"len", "type", "abs", "ceil", "floor", "round", "int", "float", "max", "min", "mean", "median",
	"trim", "trimPrefix", "trimSuffix", "upper", "lower", "split", "indexOf", "lastIndexOf", "hasPrefix", "hasSuffix",
	"fromJSON", "fromBase64", "duration", "date", "timezone", "first", "last", "get", "take", "keys", "values",
}

// maxRange is how many numbers a range such as 1..10 may have.
const maxRange = 1000

// restrictions walks an expression before it is compiled: it notes what the
// expression reads, and refuses what could make its evaluation endless, or
// what reads around the names it is given.
type restrictions struct {
	known  func(id string) bool
	source file.Source

	uses
	root   reflect.Type // of the whole expression: the walk ends at its root
	faults []string
}

func (r *restrictions) fault(node ast.Node, format string, args ...any) {
	at := file.Error{Location: node.Location()}
	at.Bind(r.source)
	message := fmt.Sprintf(format, args...) + place(at.Line, at.Column+1)
	if !slices.Contains(r.faults, message) {
		r.faults = append(r.faults, message)
	}
}

// Visit implements ast.Visitor. Children come before their parents.
func (r *restrictions) Visit(node *ast.Node) {
	r.root = (*node).Type()
	switch n := (*node).(type) {
	case *ast.IdentifierNode:
		r.identifier(n)
	case *ast.MemberNode:
		r.member(n)
	case *ast.BuiltinNode:
		if !slices.Contains(allowedBuiltins, n.Name) {
			r.fault(n, "function %s is not available here", n.Name)
		}
	case *ast.PredicateNode:
		r.predicate(n)
	case *ast.ArrayNode:
		for _, element := range n.Nodes {
			r.plain(element)
		}
	case *ast.PairNode:
		r.plain(n.Value)
	case *ast.BinaryNode:
		switch n.Operator {
		case "..":
			r.span(n)
		case "+":
			r.sum(node, n)
		}
	}
}

func (r *restrictions) identifier(n *ast.IdentifierNode) {
	switch n.Value {
	case "steps":
		r.steps = true
	case "lead", "metadata":
		r.contact = true
	case "$env":
		r.fault(n, "$env is not available here; name lead, metadata or steps")
	case joinTexts, addAny:
		r.fault(n, "unknown name %s", n.Value)
	default:
		// A function that is called by its own name is a BuiltinNode; as a value
		// it would pass the check above.
		if _, ok := builtin.Index[n.Value]; ok && n.Value != "now" && n.Value != "string" {
			r.fault(n, "function %s is not available as a value", n.Value)
		}
	}
}

func (r *restrictions) member(n *ast.MemberNode) {
	root, ok := n.Node.(*ast.IdentifierNode)
	if !ok || root.Value != "steps" {
		return
	}
	if id, ok := n.Property.(*ast.StringNode); ok && !r.known(id.Value) {
		r.fault(n, "steps.%s: the workflow has no node %s", clip(id.Value), quote(id.Value))
	}
}

// predicate refuses loops in loops: their cost is a product, and metadata may
// hold long lists.
func (r *restrictions) predicate(n *ast.PredicateNode) {
	var inner loopFinder
	ast.Walk(&n.Node, &inner)
	if inner.found != nil {
		r.fault(inner.found, "all(…), filter(…) and the like may not stand in one another")
	}
}

type loopFinder struct{ found ast.Node }

// Visit implements ast.Visitor.
func (f *loopFinder) Visit(node *ast.Node) {
	if n, ok := (*node).(*ast.PredicateNode); ok {
		f.found = n
	}
}

// plain refuses lists in lists that an expression makes itself. Each level could
// hold the one below it twice, so that comparing two of them takes time that
// doubles with every level. What metadata and steps hold is a tree, and as large
// as it was when it came in.
func (r *restrictions) plain(element ast.Node) {
	switch t := element.Type(); t.Kind() {
	case reflect.Interface:
		if !fromEnv(element) {
			r.fault(element, "a list or an object written here may hold texts, numbers, true, false, times and fields of lead, metadata and steps only")
		}
	case reflect.Slice, reflect.Array, reflect.Map:
		r.fault(element, "a list or an object written here may not hold another one")
	}
}

// fromEnv reports whether the node is nil, or a path such as metadata.a.b.
func fromEnv(node ast.Node) bool {
	for {
		switch n := node.(type) {
		case *ast.NilNode:
			return true
		case *ast.ChainNode:
			node = n.Node
		case *ast.MemberNode:
			node = n.Node
		case *ast.IdentifierNode:
			return n.Value == "lead" || n.Value == "metadata" || n.Value == "steps"
		default:
			return false
		}
	}
}

// span refuses ranges whose length is not there to be read.
func (r *restrictions) span(n *ast.BinaryNode) {
	from, fromOK := wholeNumber(n.Left)
	to, toOK := wholeNumber(n.Right)
	if !fromOK || !toOK || abs(from) > 1<<40 || abs(to) > 1<<40 || to-from >= maxRange {
		r.fault(n, "a range such as 1..10 needs two whole numbers, at most %d apart", maxRange-1)
	}
}

func wholeNumber(node ast.Node) (int, bool) {
	switch n := node.(type) {
	case *ast.IntegerNode:
		return n.Value, true
	case *ast.UnaryNode:
		if inner, ok := n.Node.(*ast.IntegerNode); ok && n.Operator == "-" {
			return -inner.Value, true
		}
	}
	return 0, false
}

func abs(n int) int { return max(n, -n) }

// sum replaces a + that may join texts by a function that bounds the result.
func (r *restrictions) sum(node *ast.Node, n *ast.BinaryNode) {
	left, right := n.Left.Type().Kind(), n.Right.Type().Kind()
	name := addAny
	switch {
	case left == reflect.String && right == reflect.String:
		name = joinTexts
	case (left == reflect.String || left == reflect.Interface) && (right == reflect.String || right == reflect.Interface):
	default:
		// With one side known to be no text this is no joining of texts.
		return
	}
	ast.Patch(node, &ast.CallNode{
		Callee:    &ast.IdentifierNode{Value: name},
		Arguments: []ast.Node{n.Left, n.Right},
	})
}

// quote and clip make a text from outside fit to stand in a message.

func quote(text string) string { return fmt.Sprintf("%q", clip(text)) }

func clip(text string) string {
	const most = 80
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// shorten keeps a message of a library to one line.
func shorten(message string) string {
	message, _, _ = strings.Cut(message, "\n")
	const most = 300
	if len(message) > most {
		message = strings.ToValidUTF8(message[:most], "") + "…"
	}
	return message
}
