package expression

import (
	"reflect"
	"slices"

	"github.com/expr-lang/expr/ast"
)

// maxCheapNodes is the most nodes that the syntax tree of a cheap expression has.
const maxCheapNodes = 200

// cheap reports whether evaluating a node takes some microseconds at most for any
// metadata and any steps.
func (b *builder) cheap(n ast.Node) bool {
	left := maxCheapNodes
	return b.isCheap(n, &left)
}

func (b *builder) isCheap(n ast.Node, left *int) bool {
	if *left--; *left < 0 {
		return false
	}
	switch n := n.(type) {
	case *ast.BinaryNode:
		if !b.cheapOperator(n) {
			return false
		}
		if span, ok := n.Right.(*ast.BinaryNode); ok && n.Operator == "in" && span.Operator == ".." {
			return b.isCheap(n.Left, left) && b.isCheap(span.Left, left) && b.isCheap(span.Right, left)
		}
	case *ast.BuiltinNode:
		switch {
		case slices.Contains(loopFunctions, n.Name):
			return false
		case n.Name == "timezone", n.Name == "date":
			// A time zone literal has been loaded during compilation.
			for i, arg := range n.Arguments {
				_, literal := arg.(*ast.StringNode)
				if (n.Name == "timezone" || i == 2) && !literal {
					return false
				}
			}
		case n.Name == "string" && b.small(n):
		case !functions[n.Name].cheap:
			return false
		}
	case *ast.IdentifierNode:
		if n.Value == "lead" && b.isRoot(n, "lead") {
			return true
		}
	}
	cheap := true
	children(n, func(child ast.Node) bool {
		cheap = b.isCheap(child, left)
		return cheap
	})
	return cheap
}

// cheapOperator reports whether applying an operator to its operands is cheap.
func (b *builder) cheapOperator(n *ast.BinaryNode) bool {
	switch n.Operator {
	case "matches", "..":
		return false
	case "==", "!=", "<", "<=", ">", ">=", "startsWith", "endsWith":
		return b.small(n.Left) || b.small(n.Right)
	case "contains", "+":
		return b.small(n.Left) && b.small(n.Right) || b.number(n.Left) || b.number(n.Right)
	case "in":
		span, ok := n.Right.(*ast.BinaryNode)
		if ok && span.Operator == ".." {
			return true
		}
		list, ok := n.Right.(*ast.ArrayNode)
		return ok && (b.small(n.Left) || !slices.ContainsFunc(list.Nodes, func(e ast.Node) bool { return !b.small(e) }))
	}
	return true
}

// small reports whether a node's value has a small, fixed size: a number, a time, a
// literal, or a string whose length is limited, such as an outcome.
func (b *builder) small(n ast.Node) bool {
	if _, ok := literal(n); ok || b.number(n) {
		return true
	}
	switch n := n.(type) {
	case *ast.MemberNode:
		if b.isRoot(n.Node, "lead") {
			return true
		}
		inner, ok := n.Node.(*ast.MemberNode)
		if !ok || !b.isRoot(inner.Node, "steps") {
			return false
		}
		name, ok := n.Property.(*ast.StringNode)
		return ok && name.Value != "data"
	case *ast.BuiltinNode:
		return n.Name == "string" && len(n.Arguments) == 1 && b.number(n.Arguments[0])
	case *ast.BinaryNode:
		return n.Operator == "??" && b.small(n.Left) && b.small(n.Right)
	}
	return false
}

// number reports whether a node is known to give a number, a boolean, a time or a
// duration.
func (b *builder) number(n ast.Node) bool {
	switch t := n.Type(); t {
	case timeType, durationType:
		return true
	default:
		return t.Kind() == reflect.Int || t.Kind() == reflect.Float64 || t.Kind() == reflect.Bool
	}
}
