package expression

import (
	"fmt"
	"slices"

	"github.com/expr-lang/expr/ast"
)

func (b *builder) chain(n *ast.ChainNode) evaluator {
	inner := b.build(n.Node)
	return func(f *frame) any {
		v := inner(f)
		if f.missing {
			f.missing = false
			return nil
		}
		return v
	}
}

// isRoot reports whether a node is the name itself, and not a variable.
func (b *builder) isRoot(n ast.Node, name string) bool {
	id, ok := n.(*ast.IdentifierNode)
	return ok && id.Value == name && !slices.Contains(b.scopes, name)
}

// step returns the id in an expression such as steps.first.
func (b *builder) step(n ast.Node) (id string, ok bool) {
	member, ok := n.(*ast.MemberNode)
	if !ok || !b.isRoot(member.Node, "steps") {
		return "", false
	}
	name, ok := member.Property.(*ast.StringNode)
	if !ok {
		return "", false
	}
	if !b.known(name.Value) {
		b.fault(member, "steps.%s: the workflow has no node %s", Clip(name.Value), Quote(name.Value))
	}
	if !slices.Contains(b.program.Steps, name.Value) {
		b.program.Steps = append(b.program.Steps, name.Value)
	}
	return name.Value, true
}

func (b *builder) member(n *ast.MemberNode) evaluator {
	if name, ok := n.Property.(*ast.StringNode); ok {
		switch {
		case b.isRoot(n.Node, "lead"):
			b.program.Contact = true
			get := leadFields[name.Value]
			if get == nil {
				return b.fault(n, "lead has no field %s", Clip(name.Value))
			}
			return func(f *frame) any { return get(f.scope) }
		case b.isRoot(n.Node, "metadata"):
			return b.metadata(n, name.Value)
		}
		if id, ok := b.step(n.Node); ok {
			get := stepFields[name.Value]
			if get == nil {
				return b.fault(n.Property, "a step has no field %s", Clip(name.Value))
			}
			return func(f *frame) any {
				f.Step(2)
				step := f.scope.step(id)
				return get(&step)
			}
		}
	}
	if id, ok := b.step(n); ok {
		return func(f *frame) any {
			f.Step(2)
			f.Alloc(192)
			step := f.scope.step(id)
			return &step
		}
	}
	base, key := b.build(n.Node), b.build(n.Property)
	at := n.Location()
	return func(f *frame) any {
		v := base(f)
		if f.missing {
			return nil
		}
		if n.Optional && isNil(v) {
			f.missing = true
			return nil
		}
		k := key(f)
		f.at = at
		return fetch(&f.Meter, v, k)
	}
}

// metadata evaluates metadata.key, the most frequent expression of all.
func (b *builder) metadata(n *ast.MemberNode, key string) evaluator {
	b.program.Contact = true
	at := n.Location()
	return func(f *frame) any {
		f.Step(1)
		v, ok := f.scope.Metadata[key]
		if !ok {
			return nil
		}
		f.at = at
		return f.value(v)
	}
}

// fetch returns an element of an array, or a field of an object.
func fetch(m *Meter, from, key any) any {
	m.Step(1)
	switch v := from.(type) {
	case map[string]any:
		name, ok := key.(string)
		if !ok {
			if isNil(key) {
				return nil
			}
			fail("a key must be a string, not %s", Describe(key))
		}
		m.scan(len(name))
		return m.value(v[name])
	case []any:
		return m.value(v[position(key, len(v))])
	case string:
		return int(v[position(key, len(v))])
	case *Step:
		name, _ := key.(string)
		get := stepFields[name]
		if get == nil {
			fail("a step has no field %s", Clip(fmt.Sprint(key)))
		}
		return get(v)
	case allSteps:
		name, ok := key.(string)
		if !ok && !isNil(key) {
			fail("the id of a node must be a string, not %s", Describe(key))
		}
		m.scan(len(name))
		m.Alloc(192)
		step := v.step(name)
		return &step
	case nil:
		name, ok := key.(string)
		if !ok {
			fail("cannot read an element of nil; write ?.[…] where a value may be missing")
		}
		fail("cannot read %s of nil; write ?.%s where a value may be missing", Clip(name), Clip(name))
	}
	if name, ok := key.(string); ok {
		fail("%s has no field %s", Describe(from), Clip(name))
	}
	fail("%s has no elements", Describe(from))
	return nil
}

// position returns an index into an array or a string. A negative one counts from
// the end.
func position(key any, length int) int {
	i, ok := index(key)
	if !ok {
		fail("an index must be an integer, not %s", Describe(key))
	}
	at := i
	if at < 0 {
		at += length
	}
	if at < 0 || at >= length {
		fail("index %d is out of range; the length is %d", i, length)
	}
	return at
}

func (b *builder) call(n *ast.CallNode) evaluator {
	switch callee := n.Callee.(type) {
	case *ast.IdentifierNode:
		if b.isRoot(callee, "now") {
			if len(n.Arguments) > 0 {
				return b.fault(n, "now() takes no arguments; for local time write now().In(timezone(…))")
			}
			return func(f *frame) any {
				f.Step(1)
				return f.scope.Now
			}
		}
		return b.fault(n, "%s is not a function", Clip(callee.Value))
	case *ast.MemberNode:
		if name, ok := callee.Property.(*ast.StringNode); ok {
			return b.method(n, callee, name.Value)
		}
	}
	return b.fault(n, "this is not a function")
}
