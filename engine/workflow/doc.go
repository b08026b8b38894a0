// Package workflow is the graph that leads move through: nodes joined by
// labelled edges, read from JSON or written in Go, validated with every fault
// named at once, and compiled into a [Graph] that answers where a lead goes
// next. It is data and evaluation only: it starts no goroutine, does no I/O, and
// knows neither engine nor store. A Graph is safe for concurrent use; a
// [Definition] is plain data.
//
//	d := &workflow.Definition{
//		Name:  "Nurture",
//		Entry: "first",
//		Nodes: []workflow.Node{
//			workflow.CallNode("first", nil).WithRetry(workflow.Retry{MaxAttempts: 3, Delay: workflow.Duration(30 * time.Minute)}),
//			workflow.Wait("pause", 48*time.Hour),
//			workflow.If("adult", `int(metadata.age) >= 18`),
//			workflow.End("won", workflow.Converted),
//			workflow.End("lost", workflow.Dropped),
//		},
//		Edges: []workflow.Edge{
//			workflow.On("first", "completed", "adult"),
//			workflow.On("first", workflow.DefaultLabel, "pause"),
//			workflow.To("pause", "first"),
//			workflow.On("adult", "true", "won"),
//			workflow.On("adult", "false", "lost"),
//		},
//	}
//	g, err := workflow.Compile(d)
//
// # Nodes and their config
//
//	voice_call, message, application   any JSON object, for the step handler
//	time                               duration ("48h"), or until (an expression that gives a time)
//	conditional                        expression, or conditions with match "all" (the default) or "any"
//	converted, dropped                 nothing
//
// The step handler of an action node is the one that has the name of the node's
// type, or the one that its handler field names.
//
// A circle of nodes is allowed, and is how a workflow tries again; one of
// conditional nodes alone is not, because a lead in it would never rest.
//
// # Expressions
//
// The language is that of github.com/expr-lang/expr. It sees
//
//	lead.phone_number  lead.external_id  lead.time_zone
//	metadata.age  metadata["first name"]
//	steps.first.outcome  steps["first-call"].data.score
//	now()
//
// and of a step outcome, data, status, attempts, call_id, error, entered_at and
// exited_at. A step that has not happened has outcome "" and no data; a
// metadata key that is missing is nil. To reach into something that may be
// missing, write metadata.address?.city; to compare it by size, give it a value
// first, as in (metadata.score ?? 0) > 5: nil has no order, and an evaluation
// that fails is an error of [Graph.Test]. Metadata that came from CSV is text,
// so that a number in it is int(metadata.age) or float(metadata.price).
//
// now() is [Env].Now in UTC, never the machine's clock, so that a simulation
// decides as the real thing would. now() + duration("24h") is a time, and so are
// date("2026-05-01T09:00:00Z") and
// date("2026-05-01 09:00", "2006-01-02 15:04", "Europe/Berlin").
//
// An expression is checked when it is compiled: names, the nodes behind steps,
// and its type as far as it is known then. It has at most [MaxExpression] bytes.
//
// # What an evaluation may cost
//
// No expression and no condition may hold up the leads of others, whatever
// somebody wrote in it and whatever is in the metadata. Each evaluation has a
// budget of steps and of memory, from which every operator, function and method
// is paid, by the size of what it works on; a whole budget is 2 to 3 ms of work.
// An evaluation that needs more ends with an error that wraps [ErrBudget]. Steps
// are counted, not time, so that equal data give equal results on every machine
// and in a simulation. An expression whose compilation would be dear is refused,
// with the reason: one of more than 1000 names, values and operators, or with a
// pattern that compiles to more than 1000 parts.
//
// The functions that build large values (repeat, join, replace, toJSON, map,
// sort, reduce and others) are left out.
//
// # Conditions
//
// A condition is a field, an operator and a value. The field is named as in an
// expression: metadata.age, steps.first.outcome, steps["a.b"].data.list[0],
// lead.time_zone; phone_number, external_id and time_zone need no lead in front.
// Between dots a name may also hold spaces and dashes: metadata.First Name.
//
//	equals        Numbers by value, also when one of them is text: 42, 42.0 and "42".
//	              True and false also as text. Two texts byte by byte: "007" is not "7".
//	              Lists and objects element by element.
//	not_equals    the opposite
//	exists        the field has a value; with the value false: it has none
//	contains      a text has the part, a list the element, an object the key
//	greater_than  Two numbers, or texts of numbers, by value; else two RFC 3339 times
//	less_than     by time; else as texts, byte by byte. False for true, false, lists
//	              and objects, which have no order.
//
// A field that is missing makes every operator false, except not_equals and
// exists with the value false. Null is missing, and so is a field of lead or of
// a step that is empty; an empty text in metadata is a value.
package workflow
