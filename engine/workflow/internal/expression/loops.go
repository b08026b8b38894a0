package expression

import "github.com/expr-lang/expr/ast"

// loopFunctions are the functions that evaluate something for each element of an array.
var loopFunctions = []string{
	"all", "none", "any", "one", "filter", "find", "findIndex", "findLast", "findLastIndex", "count", "sum",
}

// loop is a call of one of loopFunctions.
type loop struct {
	name  string
	what  string // for messages
	list  evaluator
	each  evaluator // for each element; nil means the element itself
	depth int
}

func (b *builder) loop(n *ast.BuiltinNode) evaluator {
	l := loop{name: n.Name, what: "the condition of " + n.Name + "()", list: b.build(n.Arguments[0]), depth: b.depth}
	if len(n.Arguments) > 1 {
		predicate, ok := n.Arguments[1].(*ast.PredicateNode)
		if !ok {
			return b.fault(n, "%s needs a condition", n.Name)
		}
		b.depth++
		b.program.loops = max(b.program.loops, b.depth)
		l.each = b.build(predicate.Node)
		b.depth--
	}
	at := n.Location()
	run := l.runner()
	return func(f *frame) any {
		list := l.list(f)
		f.at = at
		elements, ok := list.([]any)
		if !ok {
			fail("%s() takes an array, not %s", l.name, Describe(list))
		}
		f.Step(2)
		return run(f, elements)
	}
}

// value evaluates for one element.
func (l *loop) value(f *frame, element any) any {
	f.Step(3)
	v := f.value(element)
	if l.each == nil {
		return v
	}
	f.items[l.depth] = v
	return l.each(f)
}

// first returns the index of the first element, or with backwards of the last, for
// which the condition is want; -1 if there is none.
func (l *loop) first(f *frame, list []any, want, backwards bool) int {
	for i := range list {
		if backwards {
			i = len(list) - 1 - i
		}
		if truth(l.what, l.value(f, list[i])) == want {
			return i
		}
	}
	return -1
}

func (l *loop) runner() func(f *frame, list []any) any {
	switch l.name {
	case "all":
		return func(f *frame, list []any) any { return l.first(f, list, false, false) < 0 }
	case "none":
		return func(f *frame, list []any) any { return l.first(f, list, true, false) < 0 }
	case "any":
		return func(f *frame, list []any) any { return l.first(f, list, true, false) >= 0 }
	case "find", "findLast":
		backwards := l.name == "findLast"
		return func(f *frame, list []any) any {
			if i := l.first(f, list, true, backwards); i >= 0 {
				return f.value(list[i])
			}
			return nil
		}
	case "findIndex", "findLastIndex":
		backwards := l.name == "findLastIndex"
		return func(f *frame, list []any) any {
			if i := l.first(f, list, true, backwards); i >= 0 {
				return i
			}
			return nil
		}
	case "one":
		return func(f *frame, list []any) any { return l.count(f, list) == 1 }
	case "count":
		return func(f *frame, list []any) any { return l.count(f, list) }
	case "filter":
		return l.filter
	}
	return l.sum
}

func (l *loop) count(f *frame, list []any) int {
	n := 0
	for _, element := range list {
		if truth(l.what, l.value(f, element)) {
			n++
		}
	}
	return n
}

func (l *loop) filter(f *frame, list []any) any {
	kept := []any{}
	for _, element := range list {
		if truth(l.what, l.value(f, element)) {
			f.Alloc(64) // includes what append copies
			kept = append(kept, element)
		}
	}
	return kept
}

func (l *loop) sum(f *frame, list []any) any {
	var total any = 0
	for _, element := range list {
		v := l.value(f, element)
		f.Alloc(8)
		total = arithmetic(&f.Meter, "+", total, v)
	}
	return total
}
