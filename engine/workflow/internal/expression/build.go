package expression

import (
	"fmt"
	"slices"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/file"
)

// evaluator evaluates one node of the syntax tree. To end the whole evaluation with
// an error, it panics with a *failure.
type evaluator func(f *frame) any

// frame is the state of one evaluation.
type frame struct {
	Meter
	scope     *Scope
	variables []any         // the values of variables, by number
	items     []any         // the value of # in each loop, by depth
	at        file.Location // of the node that is being evaluated, for errors
	// missing reports that in a chain such as a?.b.c the value before a question
	// mark was nil, so that the whole chain is nil.
	missing bool
}

// builder turns a syntax tree into evaluators, and reports what the type check
// accepts and this package does not.
type builder struct {
	known   func(id string) bool
	source  file.Source
	program *Program

	faults  []string
	scopes  []string // the names of the variables in scope, the innermost last
	numbers []int    // their numbers
	depth   int      // how many loops enclose the current node

	badZone bool // a time zone was not found; looking for more of them would take long
}

// maxFaults is how many faults of one expression are reported.
const maxFaults = 10

func (b *builder) fault(n ast.Node, format string, args ...any) evaluator {
	if len(b.faults) < maxFaults {
		message := fmt.Sprintf(format, args...) + place(b.source, n.Location())
		if !b.reported(message) {
			b.faults = append(b.faults, message)
		}
	}
	return constant(nil)
}

func (b *builder) reported(message string) bool { return slices.Contains(b.faults, message) }

func (b *builder) build(n ast.Node) evaluator {
	switch n := n.(type) {
	case *ast.NilNode:
		return constant(nil)
	case *ast.IntegerNode:
		return constant(n.Value)
	case *ast.FloatNode:
		return constant(n.Value)
	case *ast.BoolNode:
		return constant(n.Value)
	case *ast.StringNode:
		return constant(n.Value)
	case *ast.IdentifierNode:
		return b.identifier(n)
	case *ast.UnaryNode:
		return b.unary(n)
	case *ast.BinaryNode:
		return b.binary(n)
	case *ast.ChainNode:
		return b.chain(n)
	case *ast.MemberNode:
		return b.member(n)
	case *ast.SliceNode:
		return b.slice(n)
	case *ast.CallNode:
		return b.call(n)
	case *ast.BuiltinNode:
		return b.function(n)
	case *ast.PointerNode:
		return b.pointer(n)
	case *ast.VariableDeclaratorNode:
		return b.let(n)
	case *ast.SequenceNode:
		return b.sequence(n)
	case *ast.ConditionalNode:
		return b.conditional(n)
	case *ast.ArrayNode:
		return b.array(n)
	case *ast.MapNode:
		return b.object(n)
	case *ast.BytesNode:
		return b.fault(n, `bytes such as b"x" are not available here; write a string`)
	}
	return b.fault(n, "this syntax is not available here")
}

func constant(v any) evaluator { return func(*frame) any { return v } }

func (b *builder) identifier(n *ast.IdentifierNode) evaluator {
	for i := len(b.scopes) - 1; i >= 0; i-- {
		if b.scopes[i] == n.Value {
			number := b.numbers[i]
			return func(f *frame) any { return f.variables[number] }
		}
	}
	switch n.Value {
	case "lead":
		b.program.Contact = true
		return func(f *frame) any {
			f.Step(len(leadFields))
			f.Alloc(512)
			lead := make(map[string]any, len(leadFields))
			for name, get := range leadFields {
				lead[name] = get(f.scope)
			}
			return lead
		}
	case "metadata":
		b.program.Contact = true
		return func(f *frame) any { return f.scope.Metadata }
	case "steps":
		b.program.AllSteps = true
		return func(f *frame) any { return allSteps{f.scope} }
	case "$env":
		return b.fault(n, "$env is not available here; name lead, metadata or steps")
	case "now":
		return b.fault(n, "now is a function; write now()")
	}
	if _, ok := builtin.Index[n.Value]; ok {
		return b.fault(n, "function %s is not available as a value", n.Value)
	}
	return b.fault(n, "unknown name %s; the names are lead, metadata, steps and now()", Clip(n.Value))
}

func (b *builder) pointer(n *ast.PointerNode) evaluator {
	if n.Name != "" || b.depth == 0 {
		return b.fault(n, "unknown name #%s", Clip(n.Name))
	}
	depth := b.depth - 1
	return func(f *frame) any { return f.items[depth] }
}

func (b *builder) let(n *ast.VariableDeclaratorNode) evaluator {
	value := b.build(n.Value)
	number := b.program.variables
	b.program.variables++
	b.scopes, b.numbers = append(b.scopes, n.Name), append(b.numbers, number)
	body := b.build(n.Expr)
	b.scopes, b.numbers = b.scopes[:len(b.scopes)-1], b.numbers[:len(b.numbers)-1]
	return func(f *frame) any {
		f.Step(1)
		f.variables[number] = value(f)
		return body(f)
	}
}

func (b *builder) sequence(n *ast.SequenceNode) evaluator {
	parts := b.buildAll(n.Nodes)
	return func(f *frame) (last any) {
		f.Step(len(parts))
		for _, part := range parts {
			last = part(f)
		}
		return last
	}
}

func (b *builder) buildAll(nodes []ast.Node) []evaluator {
	out := make([]evaluator, len(nodes))
	for i, n := range nodes {
		out[i] = b.build(n)
	}
	return out
}

func (b *builder) conditional(n *ast.ConditionalNode) evaluator {
	cond, yes, no := b.build(n.Cond), b.build(n.Exp1), b.build(n.Exp2)
	at := n.Cond.Location()
	return func(f *frame) any {
		f.Step(1)
		v := cond(f)
		f.at = at
		if truth("the condition of if or ?", v) {
			return yes(f)
		}
		return no(f)
	}
}

func (b *builder) unary(n *ast.UnaryNode) evaluator {
	operand, at := b.build(n.Node), n.Location()
	switch n.Operator {
	case "!", "not":
		what := "what follows " + n.Operator
		return func(f *frame) any {
			v := operand(f)
			f.Step(1)
			f.at = at
			return !truth(what, v)
		}
	case "+":
		return operand
	}
	return func(f *frame) any {
		v := operand(f)
		f.at = at
		return negate(&f.Meter, v)
	}
}

// literal returns the value of a literal.
func literal(n ast.Node) (any, bool) {
	switch n := n.(type) {
	case *ast.NilNode:
		return nil, true
	case *ast.IntegerNode:
		return n.Value, true
	case *ast.FloatNode:
		return n.Value, true
	case *ast.BoolNode:
		return n.Value, true
	case *ast.StringNode:
		return n.Value, true
	case *ast.UnaryNode:
		if i, ok := n.Node.(*ast.IntegerNode); ok && n.Operator == "-" {
			return -i.Value, true
		}
	}
	return nil, false
}

func (b *builder) array(n *ast.ArrayNode) evaluator {
	literals := make([]any, 0, len(n.Nodes))
	for _, element := range n.Nodes {
		if v, ok := literal(element); ok {
			literals = append(literals, v)
		}
	}
	if len(literals) == len(n.Nodes) {
		return constant(literals)
	}
	elements := b.buildAll(n.Nodes)
	return func(f *frame) any {
		f.Step(1 + len(elements))
		f.Alloc(48 + 16*len(elements))
		list := make([]any, len(elements))
		for i, element := range elements {
			list[i] = element(f)
		}
		return list
	}
}

func (b *builder) object(n *ast.MapNode) evaluator {
	keys, values := make([]evaluator, len(n.Pairs)), make([]evaluator, len(n.Pairs))
	for i, p := range n.Pairs {
		pair, ok := p.(*ast.PairNode)
		if !ok {
			return b.fault(n, "this syntax is not available here")
		}
		keys[i], values[i] = b.build(pair.Key), b.build(pair.Value)
	}
	at := n.Location()
	return func(f *frame) any {
		f.Step(1 + 8*len(keys))
		f.Alloc(512 + 64*len(keys))
		object := make(map[string]any, len(keys))
		for i := range keys {
			key := keys[i](f)
			value := values[i](f)
			f.at = at
			name, ok := key.(string)
			if !ok {
				fail("a key must be a string, not %s", Describe(key))
			}
			f.scan(len(name))
			object[name] = value
		}
		return object
	}
}

func (b *builder) slice(n *ast.SliceNode) evaluator {
	whole := b.build(n.Node)
	end := func(n ast.Node) evaluator {
		if n == nil {
			return constant(nil)
		}
		return b.build(n)
	}
	from, to := end(n.From), end(n.To)
	fromGiven, toGiven := n.From != nil, n.To != nil
	at := n.Location()
	return func(f *frame) any {
		f.Step(2)
		v, last, first := whole(f), to(f), from(f)
		f.at = at
		var length int
		switch v := v.(type) {
		case string:
			length = len(v)
		case []any:
			length = len(v)
		default:
			fail("a slice such as [1:3] needs a string or an array, not %s", Describe(v))
		}
		i, j := 0, length
		if fromGiven {
			i = sliceBound(first, length)
		}
		if toGiven {
			j = sliceBound(last, length)
		}
		i = min(i, j)
		if s, ok := v.(string); ok {
			return s[i:j]
		}
		return v.([]any)[i:j:j]
	}
}

// sliceBound returns a bound of a slice. A negative one counts from the end, and
// one that is out of range means the nearest that is in range.
func sliceBound(v any, length int) int {
	i, ok := index(v)
	if !ok {
		fail("the bounds of a slice must be integers, not %s", Describe(v))
	}
	if i < 0 {
		i += length
	}
	return min(max(i, 0), length)
}

func (b *builder) binary(n *ast.BinaryNode) evaluator {
	if n.Operator == "in" {
		if span, ok := n.Right.(*ast.BinaryNode); ok && span.Operator == ".." {
			return b.inRange(n, span)
		}
	}
	left, right := b.build(n.Left), b.build(n.Right)
	at, operator := n.Location(), n.Operator
	switch operator {
	case "and", "&&", "or", "||":
		or, what := operator == "or" || operator == "||", "each side of "+operator
		return func(f *frame) any {
			f.Step(1)
			v := left(f)
			f.at = at
			if truth(what, v) == or {
				return or
			}
			v = right(f)
			f.at = at
			return truth(what, v)
		}
	case "??":
		return func(f *frame) any {
			f.Step(1)
			if v := left(f); !isNil(v) {
				return v
			}
			return right(f)
		}
	case "matches":
		if text, ok := n.Right.(*ast.StringNode); ok {
			right = b.pattern(n, text.Value)
		}
	}
	apply := binaryOperators[operator]
	if apply == nil {
		return b.fault(n, "operator %s is not available here", operator)
	}
	return func(f *frame) any {
		x := left(f)
		y := right(f)
		f.at = at
		return apply(&f.Meter, x, y)
	}
}

// binaryOperators are the operators that always evaluate both sides.
var binaryOperators = map[string]func(m *Meter, a, b any) any{
	"==":      func(m *Meter, a, b any) any { return equal(m, a, b) },
	"!=":      func(m *Meter, a, b any) any { return !equal(m, a, b) },
	"<":       func(m *Meter, a, b any) any { return order(m, "<", a, b) < 0 },
	"<=":      func(m *Meter, a, b any) any { return order(m, "<=", a, b) <= 0 },
	">":       func(m *Meter, a, b any) any { return order(m, ">", a, b) > 0 },
	">=":      func(m *Meter, a, b any) any { return order(m, ">=", a, b) >= 0 },
	"in":      func(m *Meter, a, b any) any { return in(m, a, b) },
	"matches": func(m *Meter, a, b any) any { return matches(m, a, b) },
	"..":      makeRange,
}

func init() {
	for _, operator := range []string{"+", "-", "*", "/", "%", "**", "^"} {
		binaryOperators[operator] = func(m *Meter, a, b any) any { return arithmetic(m, operator, a, b) }
	}
	for _, operator := range []string{"contains", "startsWith", "endsWith"} {
		binaryOperators[operator] = func(m *Meter, a, b any) any { return search(m, operator, a, b) }
	}
}

func (b *builder) inRange(n, span *ast.BinaryNode) evaluator {
	element, from, to := b.build(n.Left), b.build(span.Left), b.build(span.Right)
	at := n.Location()
	return func(f *frame) any {
		f.Step(2)
		v, first, last := element(f), from(f), to(f)
		f.at = at
		return between(&f.Meter, v, first, last)
	}
}

func (b *builder) pattern(n ast.Node, text string) evaluator {
	size, err := checkPattern(text)
	if err == nil {
		var p *pattern
		if p, err = compilePattern(text, size); err == nil {
			return constant(p)
		}
	}
	return b.fault(n, "%s", err)
}
