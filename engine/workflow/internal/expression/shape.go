package expression

import (
	"fmt"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/parser/lexer"
)

// The bounds of an expression.
const (
	// MaxSource is how many bytes an expression may have.
	MaxSource = 4 << 10
	// maxNodes is how many nodes its syntax tree may have.
	maxNodes = 1000
)

// parse returns the syntax tree of an expression that is small enough to be
// checked and compiled, and the size of its patterns.
func parse(source string, c *conf.Config) (tree *parser.Tree, parts int, err error) {
	// After an error of the lexer, the parser calls it again for each open bracket,
	// and each call makes another error with a copy of the source.
	if _, err := lexer.Lex(file.NewSource(source)); err != nil {
		return nil, 0, err
	}
	if tree, err = parser.ParseWithConfig(source, c); err != nil {
		return nil, 0, err
	}
	s := shape{left: maxNodes, patterns: maxInstructions}
	if at := s.measure(tree.Node); s.fault != "" {
		err := &file.Error{Message: s.fault}
		if at != nil {
			err.Location = at.Location()
		}
		return nil, 0, err.Bind(tree.Source)
	}
	return tree, maxInstructions - s.patterns, nil
}

const tooLong = "the expression is too long"

// shape measures a syntax tree before the type check.
type shape struct {
	left     int // how many more nodes are allowed
	patterns int // how many more instructions of patterns are allowed
	fault    string
}

// measure checks a node and its descendants. It stops at the first fault and
// returns the node at which that is.
//
// A node is counted once for each path that leads to it. Where something is
// written once and evaluated twice, as b in a < b < c, the parser gives two nodes
// the same child, so that the work of the type check doubles with each level of
// such an expression.
func (s *shape) measure(n ast.Node) ast.Node {
	if s.left--; s.left < 0 || n == nil {
		s.fault = tooLong
		return nil
	}
	if binary, ok := n.(*ast.BinaryNode); ok && binary.Operator == "matches" {
		// Now, because the type check compiles the pattern.
		if text, ok := binary.Right.(*ast.StringNode); ok {
			size, err := checkPattern(text.Value)
			if s.patterns -= size; err == nil && s.patterns < 0 {
				err = fmt.Errorf("the patterns of the expression are too large in total; at most %d parts are allowed", maxInstructions)
			}
			if err != nil {
				s.fault = err.Error()
				return n
			}
		}
	}
	var at ast.Node
	children(n, func(child ast.Node) bool {
		at = s.measure(child)
		return s.fault == ""
	})
	return at
}

// children calls visit for each child of a node, until it returns false.
func children(n ast.Node, visit func(ast.Node) bool) {
	all := func(nodes ...ast.Node) {
		for _, child := range nodes {
			if !visit(child) {
				return
			}
		}
	}
	switch n := n.(type) {
	case *ast.UnaryNode:
		visit(n.Node)
	case *ast.BinaryNode:
		all(n.Left, n.Right)
	case *ast.ChainNode:
		visit(n.Node)
	case *ast.MemberNode:
		all(n.Node, n.Property)
	case *ast.SliceNode:
		all(present(n.Node, n.From, n.To)...)
	case *ast.CallNode:
		if visit(n.Callee) {
			all(n.Arguments...)
		}
	case *ast.BuiltinNode:
		all(n.Arguments...)
	case *ast.PredicateNode:
		visit(n.Node)
	case *ast.VariableDeclaratorNode:
		all(n.Value, n.Expr)
	case *ast.SequenceNode:
		all(n.Nodes...)
	case *ast.ConditionalNode:
		all(n.Cond, n.Exp1, n.Exp2)
	case *ast.ArrayNode:
		all(n.Nodes...)
	case *ast.MapNode:
		all(n.Pairs...)
	case *ast.PairNode:
		all(n.Key, n.Value)
	}
}

// present returns the nodes that are not nil: a slice may have no bounds.
func present(nodes ...ast.Node) []ast.Node {
	out := nodes[:0]
	for _, n := range nodes {
		if n != nil {
			out = append(out, n)
		}
	}
	return out
}

// place returns a location for the end of a message.
func place(source file.Source, at file.Location) string {
	err := file.Error{Location: at}
	err.Bind(source)
	if err.Line > 1 {
		return fmt.Sprintf(" (line %d, column %d)", err.Line, err.Column+1)
	}
	return fmt.Sprintf(" (column %d)", err.Column+1)
}

// joinNames joins names for a message.
func joinNames(names []string) string { return strings.Join(names, ", ") }
