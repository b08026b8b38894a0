// Package expression compiles and evaluates the expressions of workflows. The
// grammar and the type check are those of github.com/expr-lang/expr. The evaluation
// is implemented here, because the library's cannot be interrupted or limited: a
// single operator on two long arrays, or a single pattern, can take minutes.
//
// # The budget
//
// One user writes an expression, and it is evaluated on the path of everybody's
// leads. Therefore no expression of at most [MaxSource] bytes may take long, on any
// data. Each evaluation has a [Meter] of [MaxSteps] steps and [MaxBytes] bytes, and
// every operator, function and method charges it before it does its work; when the
// meter is empty, the evaluation ends with [ErrBudget]. A step is at most about 25 ns
// of work, so that the whole budget is 2 to 3 ms. Steps are counted, not time, so
// that an evaluation ends in the same way on every machine and in a simulation. For
// the same reason nothing here depends on the iteration order of a map.
//
// Compilation has no meter. Its cost is bounded by what is refused before the work
// is done: too many nodes of the syntax tree, each counted as often as it will be
// visited, and patterns that would compile to too many instructions.
//
// What costs more than a small constant must charge for it: see [Meter]. Whoever adds
// a function adds it to the random expressions of the workflow package's tests too.
package expression
