// Package expression compiles and evaluates the expressions of workflows. The
// grammar and the type check are those of github.com/expr-lang/expr; the
// evaluation is the package's own, because that of the library can be neither
// interrupted nor billed: one operator on two long lists, or one pattern, may
// take it minutes.
//
// # The budget
//
// An expression is written by one user and evaluated for everybody's leads, so
// that no text of at most [MaxSource] bytes and no data may take long. Every
// operator, function and method here pays for what it is about to do before it
// does it, from a [Meter] of [MaxSteps] steps and [MaxBytes] bytes; when the
// meter is empty the evaluation ends with [ErrBudget]. A step is at most about
// 25 ns of work, so that a whole budget is 2 to 3 ms. Steps and not time are
// counted, so that an evaluation ends in the same way on every machine and in a
// simulation: two evaluations of one expression on equal data take the same
// number of steps.
//
// Compiling has no meter. Its cost is bounded by what is refused before the work
// begins: by the number of nodes of the syntax tree, counted as often as they
// will be visited, and by the size that a pattern will have when it is compiled.
//
// A [Program] is immutable and safe for concurrent use.
package expression
